"""The figures of an evaluation class by class of a label: for each person, say, beside the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from motionsynth.comparison.compared import Described, Stage
from motionsynth.comparison.reference import Reference
from motionsynth.corpus.motions import MotionSet
from motionsynth.errors import MotionSynthError
from motionsynth.metrics.registry import Chosen
from motionsynth.metrics.suite import Figure

__all__ = ["Group", "Groups", "classes_by", "score_groups"]

_LEAST = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Figures against the reference windows of one class.

    Args:
        windows: how many there were; as many generated ones are drawn where there are more of those.
        takes: of how many takes.
        figures: of the generated set, by key.
        real_figures: the same keys, of real training motion against the same windows.
    """

    windows: int
    takes: int
    figures: Mapping[str, Figure]
    real_figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Groups:
    """Figures that stand beside those of the whole.

    Args:
        label: by which the reference is parted.
        classes: class -> its figures.
        notes: what was left out.
    """

    label: str
    classes: Mapping[str, Group]
    notes: tuple[str, ...] = ()


def classes_by(label: str | None, held: Reference) -> dict[str, str]:
    """Clip of the reference -> its class; empty without a label.

    Raises:
        MotionSynthError: the corpus has no such label.
    """
    if label is None:
        return {}
    try:
        return held.corpus.labels.classes(label, held.corpus.clips(held.split))
    except ValueError as error:
        raise MotionSynthError(f"--by {label}: {error}") from error


def score_groups(
    label: str,
    classes: Mapping[str, str],
    reference: MotionSet,
    described: Described,
    chosen: Sequence[Chosen],
    resamples: int,
    seed: int,
    stage: Stage,
) -> Groups:
    """Score all generated windows against the reference windows of each class, and training windows in their place.

    Args:
        label: by which the reference is parted.
        classes: clip of the reference -> its class.
        reference: its windows, whose takes are clips.
        described: the sets as metrics see them.
        chosen: what is computed.
        resamples: for each interval.
        seed: what subsamples and resamples are drawn by.
        stage: called with the share of the work done.
    """
    members: dict[str, list[int]] = {name: [] for name in sorted(set(classes.values()))}
    for window, take in enumerate(reference.takes):
        members[classes[take]].append(window)
    few = [name for name, windows in members.items() if len(windows) < _LEAST]
    found = {}
    for name in (name for name in members if name not in few):
        part = described.sets.reference.subset(torch.tensor(members[name]).to(described.sets.reference.take_N.device))
        against = replace(described, sets=described.sets._replace(reference=part))
        figures, real = against.score(chosen, resamples, seed, partial(_staged, stage, f"score {name}"))
        found[name] = Group(len(part), len({reference.takes[i] for i in members[name]}), figures, real)
    notes = (f"{label} {', '.join(few)}: fewer than {_LEAST} windows, so nothing is compared",) if few else ()
    return Groups(label, found, notes)


def _staged(stage: Stage, name: str, _: str, done: int, total: int) -> None:
    stage(name, done, total)
