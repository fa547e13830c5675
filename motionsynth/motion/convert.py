"""Cut, resample, mirror, rescale and rewrite clips, one file or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from motionsynth.errors import MotionSynthError
from motionsynth.motion.clip import Clip

__all__ = ["Conversion", "convert_path"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to do to a clip, in this order.

    Args:
        frames: frames to keep, of the file's own.
        frame_rate: frames a second to resample to.
        mirror: whether to exchange left and right.
        units: unit of length of the result: ``m``, ``cm``, ``mm`` or ``in``.
        from_units: unit of the file; judged by the skeleton's height where None.
        portable: whether positions stand on the root only and names are kept apart everywhere, see ``to_portable``.
        keep_names: whether joints keep their names all the same.
    """

    frames: slice | None = None
    frame_rate: float | None = None
    mirror: bool = False
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
        if self.frame_rate is not None:
            from motionsynth.motion.resample import resample

            clip = resample(clip, self.frame_rate)
        if self.mirror:
            from motionsynth.motion.mirror import mirror

            clip = mirror(clip)
        if self.units is not None:
            clip = self._rescale(clip, self.units)
        if self.portable:
            from motionsynth.motion.names import note_renamed
            from motionsynth.motion.portable import to_portable

            names, clip = clip.skeleton.names, to_portable(clip, keep_names=self.keep_names)
            note_renamed(self.renamed, names, clip.skeleton.names)
        return clip

    def _rescale(self, clip: Clip, units: str) -> Clip:
        from motionsynth.motion.measure import detect_units
        from motionsynth.motion.transform import scale_lengths, unit_metres

        wanted, detected = unit_metres(units), detect_units(clip)
        metres = unit_metres(self.from_units) if self.from_units else detected.metres
        if self.from_units is None and not detected.certain:
            raise ValueError("the skeleton's height does not tell its unit; give --from-units")
        return scale_lengths(clip, metres / wanted)


def convert_path(source: Path, target: Path, conversion: Conversion) -> Iterator[Path]:
    """Convert a file, or every BVH file below a folder to the same place below another; yields what is written.

    Raises:
        BvhError: a file cannot be read or written.
        MotionSynthError: there is nothing to convert, or a clip cannot be converted; names the file.
    """
    from motionsynth.motion.bvh import read_bvh, write_bvh

    if source.is_dir():
        pairs = [(path, target / path.relative_to(source)) for path in sorted(source.rglob("*.[bB][vV][hH]"))]
        if not pairs:
            raise MotionSynthError(f"{source}: no .bvh file in this folder")
    else:
        pairs = [(source, target / source.name if target.is_dir() else target)]
    for path, out in pairs:
        try:
            clip = conversion.apply(read_bvh(path))
        except ValueError as error:
            raise MotionSynthError(f"{path}: {error}") from error
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bvh(clip, out)
        yield out
