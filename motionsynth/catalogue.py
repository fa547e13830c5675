"""Every family as its baseline builds it: phases, the size of its networks, and what it can do."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import numpy as np
from torch import nn

from motionsynth.config import baseline, load_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.docstrings import docstring
from motionsynth.families import FAMILIES
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Encodes, LearnsByEM, Reconstructs, Scores, Translates
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.training.determinism import build_family
from motionsynth.walkers.body import SKELETON
from motionsynth.walkers.cells import CELLS

__all__ = ["Entry", "catalogue", "walkers_shape"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One family."""

    name: str
    summary: str
    phases: dict[str, tuple[str, ...]]
    """Phase -> networks that learn in it; empty for a family that learns by expectation maximisation."""
    parameters: dict[str, int]
    """Network -> numbers in it; for a family without networks all under its own name."""
    abilities: tuple[str, ...]
    """Capabilities for the commands."""
    priors: tuple[str, ...]
    """Priors of latents, the default first."""
    longest: int | None
    """Frames it makes at most; None for any number."""
    alone: str | None
    """Reason why one process must train it; None where several may."""

    @property
    def learns(self) -> str:
        """Way of learning, in a few words, such as ``critic: critic; generator: generator``."""
        moves = [f"{phase}: {', '.join(networks)}" for phase, networks in self.phases.items()]
        return "; ".join(moves) or "expectation maximisation"


def catalogue() -> list[Entry]:
    """The families of the registry in its order, with the settings of ``configs/run``, on windows of the walkers."""
    entries = []
    for name in FAMILIES:
        config = load_config(baseline(name))
        entries.append(_entry(name, build_family(config.family, walkers_shape(config.data), config.train.seed)))
    return entries


def walkers_shape(data: DataConfig) -> MotionShape:
    """The size of windows of the walkers, with the classes of the clips that are kept."""
    angles, offsets = np.zeros((2, len(SKELETON), 3)), SKELETON.offsets
    standing = Clip(SKELETON, 1 / data.frame_rate, angles, np.stack((offsets, offsets)))
    spec = FeatureSpec.for_clip(
        standing,
        frame_rate=data.frame_rate,
        metres_per_unit=0.01,
        velocities=data.velocities,
        contacts=data.contacts,
    )
    kept: dict[str, set[str]] = {"content": set(), "style": set()}
    for cell in CELLS:
        labels = dict(zip(kept, cell.split("/"), strict=True))
        if all(labels[label] in classes for label, classes in data.keep.items()):
            for label, name in labels.items():
                kept[label].add(name)
    return MotionShape(data.window_frames, spec.width, {label: len(names) for label, names in kept.items()})


def _entry(name: str, family: Family) -> Entry:
    phases = {} if isinstance(family, LearnsByEM) else {phase.name: phase.trains for phase in family.phases}
    networks = dict.fromkeys(network for trains in phases.values() for network in trains)
    parameters = {network: _size(getattr(family, network)) for network in networks} or {name: _size(family)}
    return Entry(
        name,
        docstring(sys.modules[type(family).__module__]).splitlines()[0],
        phases,
        parameters,
        _abilities(family),
        family.priors,
        family.longest,
        family.alone,
    )


def _size(module: object) -> int:
    parameters = [module] if isinstance(module, nn.Parameter) else module.parameters()  # type: ignore[attr-defined]
    return sum(parameter.numel() for parameter in parameters)


def _abilities(family: Family) -> tuple[str, ...]:
    can: Final = {
        "encode": Encodes,
        "reconstruct": Reconstructs,
        "score": Scores,
        "translate": Translates,
    }
    return ("sample", *(word for word, protocol in can.items() if isinstance(family, protocol)))
