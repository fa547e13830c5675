"""The one layout that all files of a corpus are brought to, settled by what most of them are.

What belongs to a single file stays its own: the axis that points up, where its motion shows it, its unit, its order of
joints, its frame rate, and the joint of the trunk that moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np

from motionsynth.corpus.bones import BONES_DIFFER
from motionsynth.errors import ClipError, CorpusError
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.formats import read_clip
from motionsynth.motion.measure import (
    UNITS,
    Units,
    detect_units,
    detect_up,
    moving_joint,
    refuse_vast,
    up_axis,
)
from motionsynth.motion.mirror import mirror_frames
from motionsynth.motion.skeleton import FloatArray
from motionsynth.motion.transform import order_joints, to_y_up

if TYPE_CHECKING:
    from motionsynth.corpus.config import DataConfig

__all__ = [
    "EncodeSettings",
    "Fault",
    "Plan",
    "make_plan",
    "probe_clip",
]

_PROBES: Final = 9
"""Files read to see what a corpus is made of, spread over it."""


@dataclass(frozen=True)
class EncodeSettings:
    """The part of a data configuration that decides what the features of a file are; its defaults are those there."""

    frame_rate: float = 30.0
    units: str = "auto"
    up: str = "auto"
    velocities: bool = False
    contacts: bool = True
    mirror: bool = False
    bones: str = "same"

    @classmethod
    def of(cls, config: DataConfig) -> EncodeSettings:
        """Pick the settings out of a configuration."""
        return cls(
            config.frame_rate,
            config.units,
            config.up,
            config.velocities,
            config.contacts,
            config.mirror,
            str(config.bones),
        )


@dataclass(frozen=True)
class Plan:
    """The layout that every file of a corpus is brought to."""

    spec: FeatureSpec
    up: str
    """The axis that points up, ``y`` or ``z``; ``auto`` for that of each file, as it seems."""
    units: str
    mirror_frames: FloatArray | None = None
    """The mirror of each joint's frame, the same for all clips; None where no mirror images are wanted."""
    own_up: bool = False
    """True where a file whose motion shows another axis beyond doubt is turned by that."""
    any_bones: bool = False
    """True where clips of the same joints with other bones are brought to those of the spec."""

    @classmethod
    def of(cls, spec: FeatureSpec, config: DataConfig, up: str) -> Self:
        """The plan by which a clip is read as those of a corpus were.

        Args:
            spec: of the corpus.
            config: how it was read.
            up: the axis that points up in the clip; ``auto`` for that which it seems to be.
        """
        return cls(spec, up, config.units, any_bones=config.bones != "same")


class Fault(NamedTuple):
    """A file that cannot be learned from."""

    file: str
    reason: str
    skeleton: tuple[Any, ...] | None = None
    """Identity of its skeleton, where nothing is wrong but that this is not the corpus'."""
    mover: str = ""
    """The joint further down the trunk that moves, where nothing else is wrong."""


class Probe(NamedTuple):
    """The suggestions of one clip by itself."""

    clip: Clip
    up: str
    up_certain: bool
    units: Units
    mover: int

    @property
    def kind(self) -> tuple[Any, ...]:
        skeleton = self.clip.skeleton
        return skeleton.names, skeleton.parents, self.mover, self.up, self.units.name, skeleton.orders

    def upright(self, up: str) -> Clip:
        """The clip with y up; by its own axis where that is certain."""
        return to_y_up(self.clip, "z" if (self.up if self.up_certain else up) == "z" else "y")


def make_plan(
    root: Path,
    files: Sequence[str],
    settings: EncodeSettings,
    like: FeatureSpec | None = None,
    *,
    up: str = "",
    mover: str = "",
) -> Plan:
    """Look at a few files and settle skeleton, unit, up axis, moving joint and heading axis for all.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        settings: how they are encoded.
        like: features of another corpus that theirs are to be the same as; unit and up axis remain their own.
        up: the axis that points up in most files, where that is known.
        mover: a joint that moves in some file, where that is known.

    Raises:
        CorpusError: not one file can be used, or they have another skeleton than ``like``.
    """
    probes = _probes(root, files, settings)
    common = Counter(probe.kind for probe in probes).most_common(1)[0][0]
    alike = [probe for probe in probes if probe.kind == common]
    typical = alike[0]
    certain = Counter(probe.up for probe in probes if probe.up_certain)
    if settings.up != "auto":
        up = settings.up
    elif not up:
        up = certain.most_common(1)[0][0] if certain else typical.up
    units = typical.units.name if settings.units == "auto" else settings.units
    spec = _spec(probes, typical, settings, up, mover)
    plan = Plan(spec, up, units, own_up=settings.up == "auto", any_bones=settings.bones != "same")
    if like is not None:
        plan = _plan_like(like, plan, typical.upright(up), root)
    if not settings.mirror:
        return plan

    try:
        upright = [order_joints(probe.upright(up), plan.spec.names) for probe in alike]
        return replace(plan, mirror_frames=mirror_frames(upright))
    except ValueError as error:
        raise CorpusError(f"{root}: data.mirror: {error}") from error


def _probes(root: Path, files: Sequence[str], settings: EncodeSettings) -> list[Probe]:
    """A few files that can be used, or at least one."""
    spread = dict.fromkeys(files[i] for i in np.linspace(0, len(files) - 1, _PROBES).round().astype(int))
    rest = [file for file in files if file not in spread]
    probes: list[Probe] = []
    first_error = ""
    for number, file in enumerate([*spread, *rest]):
        if number >= len(spread) and probes:
            break
        try:
            probes.append(probe_clip(read_clip(root / file), settings))
        except (ClipError, ValueError) as error:
            text = str(error) if isinstance(error, ClipError) else f"{root / file}: {error}"
            first_error = first_error or text
    if not probes:
        raise CorpusError(f"{root}: none of its {len(files)} clips can be used; {first_error}")
    return probes


def probe_clip(clip: Clip, settings: EncodeSettings) -> Probe:
    """Look at one clip alone.

    Raises:
        ValueError: it cannot be used; with the reason.
    """
    if len(clip) < 2:
        raise ValueError("fewer than 2 frames")
    refuse_vast(clip)
    found, given = detect_up(clip), settings.up != "auto"
    up = settings.up if given else found.axis if found.certain else up_axis(clip)
    probe = Probe(clip, up, given or found.certain, detect_units(clip), moving_joint(clip))
    _spec([probe], probe, settings, up)
    return probe


def _spec(probes: Sequence[Probe], typical: Probe, settings: EncodeSettings, up: str, mover: str = "") -> FeatureSpec:
    """The features of clips like the typical one, whose trajectory is that of the last joint that moves in any."""
    names = typical.clip.skeleton.names
    movers = {
        probe.clip.skeleton.names[probe.mover] for probe in probes if set(probe.clip.skeleton.names) == set(names)
    }
    deepest = max(typical.mover, *(names.index(name) for name in {*movers, mover} if name in names))
    upright = typical.upright(up)
    for joint in dict.fromkeys((deepest, typical.mover)):
        try:
            return FeatureSpec.for_clip(
                upright,
                frame_rate=settings.frame_rate,
                metres_per_unit=typical.units.metres if settings.units == "auto" else UNITS[settings.units],
                velocities=settings.velocities,
                contacts=settings.contacts,
                moving_joint=joint,
            )
        except ValueError:
            if joint == typical.mover:
                raise
    raise AssertionError("a spec was made or refused")


def _plan_like(like: FeatureSpec, plan: Plan, typical: Clip, root: Path) -> Plan:
    """The plan with features laid out as those of another corpus, in its own unit."""
    scale = plan.spec.metres_per_unit / like.metres_per_unit
    typical = order_joints(typical, like.names)
    other_tree = like.tree_mismatch(typical.skeleton)
    other_bones = None if plan.any_bones else like.mismatch(typical.skeleton, typical.translations[0] * scale)
    if reason := other_tree or other_bones:
        way = "bring this one to the other's first" if other_tree else BONES_DIFFER
        raise CorpusError(
            f"{root}: cannot join a corpus of another skeleton: {reason}; two corpora need one skeleton: {way}"
        )
    rest = tuple((float(x), float(y), float(z)) for x, y, z in like.rest_array / scale)
    return replace(plan, spec=replace(like, rest=rest, metres_per_unit=plan.spec.metres_per_unit))
