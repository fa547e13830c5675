"""Cut, resample, mirror, rescale and rewrite clips."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import detect_units
from motionsynth.motion.mirror import mirror
from motionsynth.motion.names import note_renamed
from motionsynth.motion.portable import to_portable
from motionsynth.motion.resample import resample
from motionsynth.motion.transform import scale_lengths, unit_metres

__all__ = ["Conversion"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Changes to make to a clip, in this order.

    Args:
        frames: frames to keep, of the file's own.
        from_frame_rate: frames a second of the file, where what it says is wrong, or it says nothing.
        frame_rate: frames a second to resample to.
        mirror: whether to exchange left and right.
        clean_feet: whether planted feet are made to stand, see ``motion.feet``; without effect where no leg is found.
        units: unit of length of the result, a key of ``motion.measure.UNITS``.
        from_units: unit of the file; judged by the skeleton's height where None.
        portable: whether positions stand on the root only and names are kept apart everywhere, see ``to_portable``.
        keep_names: whether joints keep their names all the same.

    Example:
        >>> from motionsynth import Conversion, read_bvh
        >>> clip = read_bvh("walkers/walk_normal_001.bvh")
        >>> metres = Conversion(frames=slice(0, 30), units="m", from_units="cm").apply(clip)
        >>> len(metres), bool(abs(metres.positions() * 100 - clip[:30].positions()).max() < 1e-9)
        (30, True)
    """

    frames: slice | None = None
    from_frame_rate: float | None = None
    frame_rate: float | None = None
    mirror: bool = False
    clean_feet: bool = False
    units: str | None = None
    from_units: str | None = None
    portable: bool = False
    keep_names: bool = False
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """Filled by :meth:`apply`: joint names before and after, where they differ."""

    def apply(self, clip: Clip) -> Clip:
        """The converted clip.

        Raises:
            ValueError: nothing is left, or the clip cannot be mirrored, measured or made portable.
        """
        if self.frames is not None:
            clip = clip[self.frames]
            if not len(clip):
                raise ValueError("no frame is left by --slice")
        if self.from_frame_rate is not None:
            clip = replace(clip, frame_time=1 / self.from_frame_rate)
        if self.frame_rate is not None:
            clip = resample(clip, self.frame_rate)
        if self.mirror:
            clip = mirror(clip)
        if self.clean_feet:
            from motionsynth.motion.feet import clean_feet

            clip = clean_feet(clip)
        if self.units is not None:
            clip = self._rescale(clip, self.units)
        if self.portable:
            names, clip = clip.skeleton.names, to_portable(clip, keep_names=self.keep_names)
            note_renamed(self.renamed, names, clip.skeleton.names)
        return clip

    def _rescale(self, clip: Clip, units: str) -> Clip:
        wanted, detected = unit_metres(units), detect_units(clip)
        metres = unit_metres(self.from_units) if self.from_units else detected.metres
        if self.from_units is None and not detected.certain:
            raise ValueError("the skeleton's height does not tell its unit; give --from-units")
        return scale_lengths(clip, metres / wanted)
