"""Clips of the walkers corpus: their parameters, in recording order, and who shares frames with whom."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.cells import CELLS, Cell, WalkerParameters

__all__ = ["DRIFT", "SERIES", "VERSION", "SharedStretch", "Walker", "count_clips", "plan_walkers"]

VERSION: Final = 1
"""Raised whenever the same seed would give other bytes."""
DRIFT: Final = 0.03
"""Step of the walk from take to take, as a part of each parameter's range."""
SERIES: Final = (2, 6)
"""Fewest and most takes of a series of near-duplicates; a cell's last series may be cut short."""
_SHARED_CELL: Final = "turn/normal"
_SHARED_FRAMES: Final = (105, 145)
_SHARED_PER_CLIP: Final = 8 / 1000
_FLOATS: Final = tuple(field.name for field in fields(WalkerParameters) if field.type == "float")


@dataclass(frozen=True)
class Walker:
    """One clip of the corpus: its file name, its number in recording order within its cell, its parameters."""

    file: str
    take: int
    series: int
    """Takes of one series are near-duplicates of one another."""
    parameters: WalkerParameters


@dataclass(frozen=True)
class SharedStretch:
    """``length`` frames that are the same, bit for bit, in two files, starting at a frame of each."""

    files: tuple[str, str]
    starts: tuple[int, int]
    length: int


def count_clips(clips: int) -> dict[str, int]:
    """Clips of each cell: the declared weights as closely as whole numbers allow (largest remainders).

    Raises:
        ValueError: ``clips`` is less than one.
    """
    if clips < 1:
        raise ValueError(f"a corpus needs at least one clip, not {clips}")
    exact = {name: cell.weight * clips for name, cell in CELLS.items()}
    counts = {name: int(share + 1e-9) for name, share in exact.items()}
    by_remainder = sorted(CELLS, key=lambda name: (counts[name] - exact[name], CELLS[name].weight))
    for name in by_remainder[: clips - sum(counts.values())]:
        counts[name] += 1
    return counts


def plan_walkers(clips: int = 1000, seed: int = 0) -> tuple[list[Walker], list[SharedStretch]]:
    """Draw the parameters of every clip, and list which clips share a stretch of frames.

    Within a cell takes come in series: the first is uniform on the cell's ranges, the next ones a reflected random walk
    from it, so neighbours are near-duplicates while every clip by itself is still uniform.

    Args:
        clips: how many clips, at least one.
        seed: non-negative; the same seed gives the same plan.

    Raises:
        ValueError: ``clips`` is less than one, or ``seed`` is negative.
    """
    if seed < 0:
        raise ValueError(f"a seed is not negative, as {seed} is")
    walkers: list[Walker] = []
    shared: list[SharedStretch] = []
    for number, (name, count) in enumerate(count_clips(clips).items()):
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([VERSION, seed, number])))
        drawn = _draw_cell(CELLS[name], count, generator)
        if name == _SHARED_CELL:
            shared = _share_stretches(drawn, max(1, round(clips * _SHARED_PER_CLIP)), generator)
        walkers += drawn
    return walkers, shared


def _draw_cell(cell: Cell, count: int, generator: np.random.Generator) -> list[Walker]:
    """Draw ``count`` takes of a cell in recording order."""
    lengths: list[int] = []
    while sum(lengths) < count:
        lengths.append(min(int(generator.integers(SERIES[0], SERIES[1] + 1)), count - sum(lengths)))
    walkers: list[Walker] = []
    for series, length in enumerate(lengths):
        unit = generator.uniform(size=1 + len(cell.ranges))
        for _ in range(length):
            parameters = _parameters(cell, unit, int(generator.integers(2**32)))
            take = len(walkers) + 1
            walkers.append(Walker(f"{cell.content}_{cell.style}_{take:03d}.bvh", take, series, parameters))
            unit = _fold(unit + DRIFT * generator.standard_normal(unit.shape))
    return walkers


def _fold(x: FloatArray) -> FloatArray:
    """Reflect into [0, 1]: a random walk that is folded so stays uniform if it starts so."""
    return np.abs(np.mod(x + 1.0, 2.0) - 1.0)


def _parameters(cell: Cell, unit: FloatArray, noise_seed: int) -> WalkerParameters:
    low, high = cell.frames
    frames = min(low + int(unit[0] * (high - low + 1)), high)
    values = dict.fromkeys(_FLOATS, 0.0)
    for (name, (least, most)), u in zip(cell.ranges.items(), unit[1:], strict=True):
        # Six decimals, as labels.csv holds them: its rows give the very clips back.
        values[name] = round(least + (most - least) * float(u), 6)
    return WalkerParameters(
        content=cell.content,
        style=cell.style,
        frames=frames,
        skip=0,
        recorded=frames,
        noise_seed=noise_seed,
        **values,
    )


def _share_stretches(walkers: list[Walker], pairs: int, generator: np.random.Generator) -> list[SharedStretch]:
    """Make every eighth take and the one four later two cuts of one performance, as found in real motion capture."""
    shared = []
    for first in range(0, len(walkers) - 4, 8)[:pairs]:
        second = first + 4
        early = walkers[first].parameters
        least, most = _SHARED_FRAMES
        length = int(generator.integers(least, min(most, early.frames - 1) + 1))
        frames = int(generator.integers(length + 1, CELLS[_SHARED_CELL].frames[1] + 1))
        skip = early.frames - length
        early = replace(early, recorded=skip + frames)
        walkers[first] = replace(walkers[first], parameters=early)
        walkers[second] = replace(walkers[second], parameters=replace(early, skip=skip, frames=frames))
        shared.append(SharedStretch((walkers[first].file, walkers[second].file), (skip, 0), length))
    return shared
