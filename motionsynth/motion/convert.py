"""Cut, resample, mirror, rescale and rewrite clips."""

from __future__ import annotations

from dataclasses import dataclass

from motionsynth.motion.clip import Clip

__all__ = ["Conversion"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to do to a clip, in this order.

    Args:
        frames: frames to keep, of the file's own.
        frame_rate: frames a second to resample to.
        mirror: whether to exchange left and right.
        units: unit of length of the result: ``m``, ``cm``, ``mm`` or ``in``.
        from_units: unit of the file; judged by the skeleton's height where None.
        portable: whether positions stand on the root only, see ``to_portable``.
    """

    frames: slice | None = None
    frame_rate: float | None = None
    mirror: bool = False
    units: str | None = None
    from_units: str | None = None
    portable: bool = False

    def apply(self, clip: Clip) -> Clip:
        """The converted clip.

        Raises:
            ValueError: nothing is left, or the clip cannot be mirrored, measured or made portable.
        """
        if self.frames is not None:
            clip = clip[self.frames]
            if not len(clip):
                raise ValueError("no frame is left by --slice")
        if self.frame_rate is not None:
            from motionsynth.motion.resample import resample

            clip = resample(clip, self.frame_rate)
        if self.mirror:
            from motionsynth.motion.mirror import mirror

            clip = mirror(clip)
        if self.units is not None:
            clip = self._rescale(clip, self.units)
        if self.portable:
            from motionsynth.motion.portable import to_portable

            clip = to_portable(clip)
        return clip

    def _rescale(self, clip: Clip, units: str) -> Clip:
        from motionsynth.motion.measure import UNITS, detect_units
        from motionsynth.motion.transform import scale_lengths

        for unit in filter(None, (units, self.from_units)):
            if unit not in UNITS:
                raise ValueError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
        detected = detect_units(clip)
        if self.from_units is None and not detected.certain:
            raise ValueError("the skeleton's height does not tell its unit; give --from-units")
        metres = UNITS[self.from_units] if self.from_units else detected.metres
        return scale_lengths(clip, metres / UNITS[units])
