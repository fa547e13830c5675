"""Windows that each repeat compares, undosed and in the doses that only choose among windows.

Every repeat draws anew: N windows of the pool that doses are done to, N windows of the reference, and a halving of the
pool's takes. Figures that look for copies of training data need the halves: windows of the first are judged, the second
plays the training set. The halves also show how far real motion lies from real motion when the takes are others: the
mean of half the K takes, drawn without replacement, has the variance s^2 / K of the mean of K new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from motionsynth.calibration.plan import Dose
from motionsynth.calibration.pool import Pool

__all__ = [
    "COPIES",
    "Drawn",
    "Repeat",
    "changes_nothing",
    "draw_repeats",
    "evenly",
    "halve_takes",
    "union",
]

Indices = npt.NDArray[np.int64]

LEAST_WINDOWS: Final = 8
"""A cell of fewer windows cannot stand for a mode."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Windows chosen of a pool."""

    index_N: Indices
    """Rising; a window that is drawn twice stands there twice."""
    repeated: int
    """Number of them that repeat another."""


@dataclass(frozen=True, eq=False)
class Repeat:
    """One draw of everything.

    Args:
        number: which repeat.
        seed: of the calibration.
        reference_N: windows of the reference.
        windows_N: windows of the pool.
        half_N: all windows of the half that is judged.
        apart_N: of these the ones drawn.
        train_N: all windows of the other half.
    """

    number: int
    seed: int
    reference_N: Indices
    windows_N: Indices
    half_N: Indices
    apart_N: Indices
    train_N: Indices

    def of(self, dose: Dose, pool: Pool, *, apart: bool = False) -> Drawn:
        """The windows that a dose leaves.

        Args:
            dose: one that acts on motion changes nothing here.
            pool: what to draw from.
            apart: whether only windows of the judged half count.
        """
        drawn_N = self.apart_N if apart else self.windows_N
        open_N = self.half_N if apart else np.arange(len(pool))
        # the same seed for all amounts of a kind: what 7 kept is part of what 14 kept
        rng = np.random.default_rng((self.seed, self.number, _KIND_SEEDS.get(dose.kind, 0)))
        amount = int(dose.value)
        if dose.kind == "cells":
            return keep_cells(pool.cell_N, open_N, amount, len(drawn_N), rng)
        if dose.kind == "windows_per_cell":
            return keep_windows(pool.cell_N, pool.clip_N, open_N, drawn_N, amount, rng)
        if dose.kind == "memoriser":
            return memorise(self.train_N if apart else open_N, amount, len(drawn_N), rng)
        return Drawn(drawn_N, 0)


_KIND_SEEDS = {"cells": 1, "memoriser": 3, "windows_per_cell": 4}

COPIES: Final = frozenset({"memoriser", "windows_per_cell"})
"""Kinds that stand for a model that makes the same clip over and over: each copy is a take of its own, as a model's
clips are. Where windows repeat only to fill a set, they stay part of their take."""


def draw_repeats(pool: Pool, reference: int, *, count: int, repeats: int, seed: int) -> list[Repeat]:
    """Draw every repeat.

    Args:
        pool: the windows that doses are done to.
        reference: how many windows the reference has.
        count: windows of each set; fewer where there are fewer, the same number for both.
        repeats: how many repeats.
        seed: fixes all.
    """
    drawn = []
    for number in range(repeats):
        rng = np.random.default_rng((seed, number))
        first_N, second_N = halve_takes(pool, rng)
        size = min(count, len(pool), reference)
        drawn.append(
            Repeat(
                number,
                seed,
                np.sort(rng.choice(reference, size, replace=False)),
                np.sort(rng.choice(len(pool), size, replace=False)),
                first_N,
                evenly(first_N, size, rng),
                second_N,
            )
        )
    return drawn


def halve_takes(pool: Pool, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Windows of two halves of the takes: in each cell a block of neighbours in recording order, and the rest.

    The block begins at a random take, and goes on from the first after the last. A cell of odd size gives the larger
    half to either side by chance.
    """
    first = np.zeros(len(pool.clip_names), dtype=bool)
    cell_of_C = np.zeros(len(pool.clip_names), dtype=np.int64)
    cell_of_C[pool.clip_N] = pool.cell_N
    for cell in np.unique(cell_of_C):
        (takes,) = np.nonzero(cell_of_C == cell)
        half = (len(takes) + int(rng.integers(2))) // 2
        first[np.roll(takes, int(rng.integers(len(takes))))[:half]] = True
    if first.all() or not first.any():  # a corpus of single takes, and every coin fell the same way
        first[rng.integers(len(first))] ^= True
    in_first = first[pool.clip_N]
    return np.nonzero(in_first)[0], np.nonzero(~in_first)[0]


def evenly(windows: Indices, count: int, rng: np.random.Generator) -> Indices:
    """``count`` of the windows, rising; where there are fewer, each as often as any other, but for one time."""
    if not len(windows):
        raise ValueError("there is no window to draw from")
    whole, rest = divmod(count, len(windows))
    return np.sort(np.concatenate([np.repeat(windows, whole), rng.choice(windows, rest, replace=False)]))


def keep_cells(cell_N: Indices, open_N: Indices, cells: int, count: int, rng: np.random.Generator) -> Drawn:
    """``count`` windows of a few cells, drawn at random; the weights of what is kept stay as they are.

    Cells of fewer than 8 windows are kept only after all others: one clip over and over is another dose.
    """
    present, windows = np.unique(cell_N[open_N], return_counts=True)
    order = rng.permutation(len(present))
    order = order[np.argsort(windows[order] < LEAST_WINDOWS, kind="stable")]
    kept_N = open_N[np.isin(cell_N[open_N], present[order[:cells]])]
    return _drawn(evenly(kept_N, count, rng))


def keep_windows(
    cell_N: Indices, clip_N: Indices, open_N: Indices, drawn_N: Indices, windows: int, rng: np.random.Generator
) -> Drawn:
    """A few windows of each cell over and over, as many of each cell as ``drawn_N`` holds; one of each clip before a
    second of any.
    """
    order_N = rng.permutation(open_N)
    turn_N = np.zeros(len(order_N), dtype=np.int64)  # which of its clip's windows each one is
    by_clip_N = np.argsort(clip_N[order_N], kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(clip_N[order_N][by_clip_N]) > 0])
    turn_N[by_clip_N] = np.arange(len(order_N)) - np.repeat(starts, np.diff(np.r_[starts, len(order_N)]))
    order_N = order_N[np.argsort(turn_N, kind="stable")]
    parts = [
        evenly(np.sort(order_N[cell_N[order_N] == cell][:windows]), int(wanted), rng)
        for cell, wanted in zip(*np.unique(cell_N[drawn_N], return_counts=True), strict=True)
    ]
    return _drawn(np.sort(np.concatenate(parts)))


def memorise(known_N: Indices, windows: int, count: int, rng: np.random.Generator) -> Drawn:
    """A few windows over and over."""
    return _drawn(evenly(rng.permutation(known_N)[:windows], count, rng))


def _drawn(index_N: Indices) -> Drawn:
    return Drawn(index_N, len(index_N) - len(np.unique(index_N)))


def changes_nothing(dose: Dose, pool: Pool, count: int) -> str | None:
    """Reason why a dose leaves sets of ``count`` windows of this pool as they are, or cannot be done to them."""
    spec = pool.motions.spec
    if dose.kind == "low_pass" and dose.value >= spec.frame_rate / 2:
        return f"{dose.label}: the motion holds no more than {spec.frame_rate / 2:g} Hz"
    if dose.kind == "windows_per_cell" and dose.value >= count / len(np.unique(pool.cell_N)):
        return f"{dose.label}: a set of {count} windows holds no more of a cell on average"
    if dose.kind == "memoriser" and dose.value >= len(pool) // 2:
        return f"{dose.label}: half of the training set has no more windows"
    if dose.kind == "neighbours" and dose.value > len(pool.clip_names):
        return f"{dose.label}: there are {len(pool.clip_names)} takes"
    return None


def union(parts: Sequence[Indices]) -> Indices:
    """All windows that occur, rising."""
    return np.unique(np.concatenate(parts))
