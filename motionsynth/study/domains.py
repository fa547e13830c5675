"""Held-out motion of two classes of a label, such as two styles, over the same contents.

Shapes: N windows, T frames, D features, X numbers of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from motionsynth.comparison.motions import as_one_kind
from motionsynth.corpus.motions import MotionSet
from motionsynth.corpus.split import SplitName
from motionsynth.errors import StudyError, unknown_word
from motionsynth.extractors.extractor import Extractor
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.study.world import World

__all__ = ["Domain", "content_label", "described", "domains", "matched"]


@dataclass(frozen=True, eq=False)
class Domain:
    """Real windows of one class.

    Args:
        label: such as ``style``.
        name: of the class, such as ``elderly``.
        held: the held-out windows, features as files have them.
        described: the same as metrics see them; their cells are the true contents.
        content_N: (N,) index of the content that each has, among the judge's; None where it tells none.
        train_NX: the training windows of the class, normalised and flat.
    """

    label: str
    name: str
    held: MotionSet
    described: Descriptors
    content_N: Tensor | None
    train_NX: Tensor


@lru_cache(maxsize=2)
def domains(world: World) -> tuple[Domain, Domain]:
    """Both classes of ``measure.between``: of each content equally many held-out windows, ``count`` in all at most.

    Raises:
        StudyError: the corpus has no such label or class, or a class has no held-out window of a shared content.
    """
    assert world.measure.between is not None
    ((label, names),) = world.measure.between.items()
    known = world.reference.corpus.label_names
    path = world.reference.corpus.config.path
    if label not in known:
        raise StudyError(path, f"measure.between: {unknown_word(f'label {label!r}', label, known)}")
    for name in names:
        if name not in known[label]:
            raise StudyError(path, f"measure.between: {unknown_word(f'{label} {name!r}', name, known[label])}")
    index = [known[label].index(name) for name in names]
    held = [_of_class(world, world.reference.split, label, of) for of in index]
    content = content_label(world.judge, label)
    said = [motions.labels[content] if content in motions.labels else _zeros(motions) for motions in held]
    chosen = matched(said, world.measure.count, world.measure.seed)
    if len(chosen[0]) < 2:
        raise StudyError(path, f"measure.between: {names[0]} and {names[1]} share no content in held-out motion")
    first, second = (
        _domain(world, label, name, of, motions.subset(index_N), content)
        for name, of, motions, index_N in zip(names, index, held, chosen, strict=True)
    )
    return first, second


def _domain(world: World, label: str, name: str, index: int, held: MotionSet, content: str | None) -> Domain:
    corpus = world.reference.corpus
    train = _of_class(world, "train", label, index)
    content_N = None
    if content is not None and content in held.labels:
        place = torch.tensor([world.judge.labels[content].index(known) for known in corpus.label_names[content]])
        content_N = place[held.labels[content]]
    train_NX = corpus.normaliser.normalise(train.features_NTD).flatten(1)
    return Domain(label, name, held, described(world, held, content_N), content_N, train_NX)


def _of_class(world: World, split: SplitName, label: str, index: int) -> MotionSet:
    motions = world.reference.motions(split)
    return motions.subset((motions.labels[label] == index).nonzero()[:, 0])


def content_label(judge: Extractor, label: str) -> str | None:
    """The label beside ``label`` that the judge tells."""
    return next((name for name in judge.labels if name != label), None)


def _zeros(motions: MotionSet) -> Tensor:
    return torch.zeros(len(motions), dtype=torch.int64)


def matched(contents: Sequence[Tensor], count: int, seed: int) -> list[Tensor]:
    """Indices of equally many windows of each content in both sets: as many as the smaller has, at random."""
    rng = np.random.default_rng(seed)
    parts: list[list[Tensor]] = [[], []]
    for content in sorted(set(contents[0].tolist()) & set(contents[1].tolist())):
        places = [(of_N == content).nonzero()[:, 0] for of_N in contents]
        fewest = min(map(len, places))
        for part, place_N in zip(parts, places, strict=True):
            part.append(place_N[torch.from_numpy(np.sort(rng.choice(len(place_N), fewest, replace=False)))])
    joined = [torch.cat(part) if part else torch.zeros(0, dtype=torch.int64) for part in parts]
    if len(joined[0]) <= count:
        return joined
    # the same rows of both: rows of both are of the same contents
    kept_N = torch.from_numpy(np.sort(rng.choice(len(joined[0]), count, replace=False)))
    return [index_N[kept_N] for index_N in joined]


def described(world: World, motions: MotionSet, content_N: Tensor | None) -> Descriptors:
    """Windows as metrics see them, their true contents as cells."""
    found = world.judge.describe(as_one_kind(motions))
    return replace(found, cell_N=content_N, cell_names=())
