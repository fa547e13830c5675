"""The one layout that all files of a corpus are brought to, settled by what most of them are.

What belongs to a single file stays its own: the axis that points up, where its motion shows it, its unit, its order of
joints, its frame rate, and the joint of the trunk that moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np

from motionsynth.corpus.facts import Facts
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
from motionsynth.motion.skeleton import FloatArray
from motionsynth.motion.transform import order_joints, to_y_up

if TYPE_CHECKING:
    from motionsynth.config import DataConfig

__all__ = [
    "EncodeSettings",
    "Fault",
    "Plan",
    "make_plan",
    "probe_clip",
    "settle",
]

_PROBES: Final = 9
"""Files read to see what a corpus is made of, spread over it."""
_ATTEMPTS: Final = 4
"""Times that a corpus may be read because most of its files turn out to be others than those looked at first."""


@dataclass(frozen=True)
class EncodeSettings:
    """The part of a data configuration that decides what the features of a file are; its defaults are those there."""

    frame_rate: float = 30.0
    units: str = "auto"
    up: str = "auto"
    velocities: bool = False
    contacts: bool = True
    mirror: bool = False

    @classmethod
    def of(cls, config: DataConfig) -> EncodeSettings:
        """Pick the settings out of a configuration."""
        return cls(config.frame_rate, config.units, config.up, config.velocities, config.contacts, config.mirror)


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


class Fault(NamedTuple):
    """A file that cannot be learned from."""

    file: str
    reason: str
    skeleton: tuple[Any, ...] | None = None
    """Identity of its skeleton, where nothing is wrong but that this is not the corpus'."""
    mover: str = ""
    """The joint further down the trunk that moves, where nothing else is wrong."""


class Outcome(Protocol):
    """The result of reading a corpus by one plan."""

    @property
    def facts(self) -> Mapping[str, Facts]:
        """File that can be used -> what was found in it."""

    @property
    def faults(self) -> Sequence[Fault]:
        """The files that cannot."""


Read = TypeVar("Read", bound=Outcome)


def settle(
    root: Path, files: Sequence[str], settings: EncodeSettings, like: FeatureSpec | None, read: Callable[[Plan], Read]
) -> tuple[Plan, Read]:
    """Read a corpus by the plan that suits most of its files, and again where the files looked at first were few.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        settings: how they are encoded.
        like: features of another corpus that theirs are to be the same as.
        read: reads all files by a plan.

    Raises:
        CorpusError: as :func:`make_plan`.
    """
    plan = make_plan(root, files, settings, like)
    outcome = read(plan)
    for _ in range(_ATTEMPTS - 1):
        better = _better_plan(plan, root, settings, like, outcome)
        if better is None:
            break
        plan = better
        outcome = read(plan)
    return plan, outcome


def _better_plan(
    plan: Plan, root: Path, settings: EncodeSettings, like: FeatureSpec | None, found: Outcome
) -> Plan | None:
    """The plan that suits more files than the one they were read by; None where that is the best."""
    facts = found.facts
    strangers = Counter(fault.skeleton for fault in found.faults if fault.skeleton is not None)
    if strangers and strangers.most_common(1)[0][1] > len(facts):
        common = strangers.most_common(1)[0][0]
        return make_plan(root, [fault.file for fault in found.faults if fault.skeleton == common], settings, like)
    layouts = Counter((one.scale, one.reordered) for one in facts.values())
    if like is None and layouts and (layout := layouts.most_common(1)[0][0]) != (1.0, False):
        return make_plan(root, [f for f, one in facts.items() if (one.scale, one.reordered) == layout], settings)
    deeper = {fault.file: fault.mover for fault in found.faults if fault.mover}
    if like is None and deeper:
        try:
            mover = max(deeper.values(), key=plan.spec.names.index)
            return make_plan(root, sorted([*facts, *deeper]), settings, up=plan.up, mover=mover)
        except CorpusError:
            return None  # joints hang beside it: the files in which it moves are left out
    turned = [one.own_up for one in facts.values() if one.own_up]
    if 2 * len(turned) > len(facts):
        return make_plan(root, list(facts), settings, like, up=turned[0])
    return None


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
    plan = Plan(spec, up, units, own_up=settings.up == "auto")
    if like is not None:
        plan = _plan_like(like, plan, typical.upright(up), root)
    if not settings.mirror:
        return plan
    from motionsynth.motion.mirror import mirror_frames

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
        ValueError: it cannot be used; says why.
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
    if reason := like.mismatch(typical.skeleton, typical.translations[0] * scale):
        raise CorpusError(
            f"{root}: cannot join a corpus of another skeleton: {reason}; two corpora need one skeleton, so bring this "
            "one to the other's first"
        )
    rest = tuple((float(x), float(y), float(z)) for x, y, z in like.rest_array / scale)
    return replace(plan, spec=replace(like, rest=rest, metres_per_unit=plan.spec.metres_per_unit))
