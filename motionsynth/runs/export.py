"""Clips as they leave: in the world of the corpus that a run learnt from, under names that all programs keep apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from motionsynth.corpus.corpus import file_up
from motionsynth.features.placement import ORIGIN, Placement, place, placement_of
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.feet import NO_LEGS, clean_feet, find_legs
from motionsynth.motion.formats import read_clip
from motionsynth.motion.names import note_renamed, portable_names, rename_joints, restore_names
from motionsynth.motion.resample import resample
from motionsynth.motion.transform import scale_lengths, to_y_up, unit_metres
from motionsynth.runs.run import Run

__all__ = ["Export", "Source"]


_SAME_UNIT = 0.02


@dataclass(frozen=True, slots=True)
class Source:
    """The place, axis and scale that a clip passes on to those made of it.

    Args:
        start: place and heading of its first frame, with y up, in the corpus' unit.
        up: the axis that points up in its file.
        scale: lengths in its file, as a multiple of those in the corpus; 1 where both have one unit.
    """

    start: Placement
    up: Literal["y", "z"]
    scale: float = 1.0

    @classmethod
    def of(cls, run: Run, path: Path) -> Source:
        """Read where a clip starts.

        Raises:
            ClipError: it cannot be read.
            ValueError: it lacks the joint that moves in the run's corpus, or cannot be turned.
        """
        clip, spec = read_clip(path), run.spec()
        up = file_up(clip, run.config.data, run.record.up)
        first = restore_names(to_y_up(clip[:1], up), spec.names)
        scale = _bone_ratio(first, spec)
        return cls(placement_of(scale_lengths(first, 1 / scale), spec), up, scale)

    def toward(self, other: Source, share: float) -> Source:
        """Interpolate from this (0) to another (1): on a straight line, by the shorter turn."""
        a, b = self.start, other.start
        turn = math.remainder(b.heading - a.heading, math.tau)
        start = replace(a, x=a.x + share * (b.x - a.x), z=a.z + share * (b.z - a.z), heading=a.heading + share * turn)
        nearer = self if share < 0.5 else other
        return Source(start, nearer.up, nearer.scale)


def _bone_ratio(clip: Clip, spec: FeatureSpec) -> float:
    """Length of a clip's bones over that of the same bones in the corpus; 1 where they are as long."""
    below, names = list(spec.joints_below), clip.skeleton.names
    own = below if names == spec.names else [names.index(spec.names[joint]) for joint in below]
    sums = [float(np.linalg.norm(bones, axis=1).sum()) for bones in (clip.translations[0, own], spec.rest_array[below])]
    ratio = sums[0] / sums[1] if min(sums) > 0 else 1.0
    return 1.0 if abs(ratio - 1) < _SAME_UNIT else ratio


@dataclass(frozen=True, slots=True)
class Export:
    """Axis, rate, unit and names of clips that leave; where None, as in the corpus of the run, or in their source.

    Args:
        up: axis that points up, ``y`` or ``z``.
        frame_rate: frames a second; as in the corpus where None.
        units: unit of length: ``m``, ``cm``, ``mm`` or ``in``.
        keep_names: whether joints keep the names that they have in the corpus, though not all programs keep them apart.
        clean_feet: whether planted feet are made to stand, see ``motion.feet``; has no effect where no leg is found.
    """

    up: Literal["y", "z"] | None = None
    frame_rate: float | None = None
    units: str | None = None
    keep_names: bool = False
    clean_feet: bool = False
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """Filled by :meth:`apply`: joint name in the corpus and in the files, where they differ."""
    notes: list[str] = field(default_factory=list)
    """Filled by :meth:`apply`: sentences for the user."""

    def apply(self, clip: Clip, run: Run, source: Source | None = None) -> Clip:
        """Bring a decoded clip of a run to where it is wanted.

        Args:
            clip: what ``decode`` gives.
            run: whose features it was decoded from.
            source: what it was made of; it starts at the origin, heading along +Z, where None.

        Raises:
            ValueError: the unit is unknown, or the frame rate a hundred times the run's.
        """
        spec, record = run.spec(), run.record
        if self.clean_feet:
            clip = clean_feet(clip)
            if NO_LEGS not in self.notes and not find_legs(clip.skeleton):
                self.notes.append(NO_LEGS)
        clip = place(clip, spec, source.start if source else ORIGIN, self.up or (source.up if source else record.up))
        clip = resample(clip, self.frame_rate or record.source_rate or spec.frame_rate)
        if self.units is not None:
            clip = scale_lengths(clip, spec.metres_per_unit / unit_metres(self.units))
        elif source is not None and source.scale != 1:
            clip = scale_lengths(clip, source.scale)
        if self.keep_names:
            return clip
        names = portable_names(spec.names)
        note_renamed(self.renamed, spec.names, names)
        return rename_joints(clip, names)
