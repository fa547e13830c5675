"""All chosen figures of two sets of windows, each with its interval or with the reason why it has no value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Measure, Metric, Resample, Sets, UndefinedError
from motionsynth.metrics.registry import Chosen, figure_key
from motionsynth.metrics.resampling import Interval, Takes, interval, resample_sets
from motionsynth.progress import Progress

__all__ = ["Figure", "Progress", "equal_sets", "missing_note", "score"]


_ROUNDING = 1e-6
"""By how much a figure may lie beyond its bounds."""
_UNDEFINED_SHARE = 0.1
"""A figure that more of the resamples than this leave undefined gets no interval."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the table.

    Args:
        key: ``group/name``, or in a feature space ``group/name.space``.
        metric: its record.
        space: its feature space.
        value: None where it is undefined; never nan or infinite.
        low: lower end of the 95 % interval, where one was computed.
        high: its upper end.
        note: why there is no value, or no interval.
        missing: resamples that leave it undefined; None where none were drawn.
    """

    key: str
    metric: Metric
    space: str | None
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None
    missing: int | None = None

    @property
    def outcome(self) -> float | str:
        """The value, or why there is none."""
        return self.value if self.value is not None else self.note or "undefined"


def score(
    sets: Sets,
    chosen: Sequence[Chosen],
    *,
    resamples: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Figure]:
    """Figures by key, in the order chosen; the same ones for the same sets and seed.

    The larger set is subsampled to the size of the smaller (see :func:`equal_sets`), as many figures move with N.

    Args:
        sets: what is compared.
        chosen: as ``registry.choose`` gives them.
        resamples: resamples for each interval; none where 0.
        seed: what subsamples and resamples are drawn by.
        progress: called with the number of computations done.
    """
    sets, _ = equal_sets(sets, seed)
    total, done = len(chosen) * (1 + resamples), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    rounds = {how: _Resamples(sets, how, resamples, seed) for how in {measure.resample for measure, _ in chosen}}
    figures: dict[str, Figure] = {}
    for measure, space in chosen:
        figures |= _figures(measure, space, sets, rounds[measure.resample], tick)
        if done % (1 + resamples):  # an undefined figure has no resamples to wait for
            done += (1 + resamples) - done % (1 + resamples)
            if progress:
                progress(done, total)
    return figures


def equal_sets(sets: Sets, seed: int) -> tuple[Sets, tuple[str, ...]]:
    """Both sets with the same number of windows, and a sentence where one was subsampled for it."""
    counts = {"generated": len(sets.generated), "reference": len(sets.reference)}
    fewest = min(counts.values())
    larger = next((name for name, count in counts.items() if count > fewest), None)
    if larger is None:
        return sets, ()
    windows: Descriptors = getattr(sets, larger)
    drawn = np.sort(np.random.default_rng(seed).choice(len(windows), fewest, replace=False))
    smaller = windows.subset(torch.from_numpy(drawn).to(windows.take_N.device))
    note = f"{counts[larger]} {larger} windows are subsampled to {fewest} (seed {seed}), as the other set has no more"
    return sets._replace(**{larger: smaller}), (note,)


class _Resamples:
    """The same resamples for every measure of a kind, drawn when first asked for."""

    def __init__(self, sets: Sets, how: Resample, count: int, seed: int) -> None:
        self.sets, self.how, self.count, self.seed = sets, how, count, seed
        self._takes: tuple[Takes, Takes] | None = None

    @property
    def takes(self) -> tuple[Takes, Takes]:
        """Takes of both sets."""
        if self._takes is None:
            generated, reference = (Takes.of(s.take_N.cpu().numpy()) for s in self.sets[:2] if s is not None)
            self._takes = generated, reference
        return self._takes

    def obstacle(self) -> str | None:
        """Reason why no interval can be made."""
        names = [name for name, takes in zip(("generated", "reference"), self.takes, strict=True) if len(takes) < 2]
        return f"no interval: all {' and '.join(names)} windows are of one take" if names else None

    def __iter__(self) -> Iterator[Sets]:
        for number in range(self.count):
            yield resample_sets(self.sets, self.takes, self.how, np.random.default_rng((self.seed, number)))


def _figures(
    measure: Measure, space: str | None, sets: Sets, resamples: _Resamples, tick: Callable[[], None]
) -> dict[str, Figure]:
    values = _compute(measure, space, sets)
    tick()
    obstacle = resamples.obstacle() if resamples.count else None
    rows: list[Mapping[str, float | str]] = []
    if resamples.count and not obstacle and any(isinstance(value, float) for value in values.values()):
        for drawn in resamples:
            rows.append(_compute(measure, space, drawn))
            tick()
    figures = {}
    for metric in measure.metrics:
        value, key = values[metric.name], figure_key(metric, space)
        if isinstance(value, str):
            figures[key] = Figure(key, metric, space, None, note=value)
            continue
        found, missing = _interval(value, [row[metric.name] for row in rows], metric) if rows else (None, None)
        low, high = (found.low, found.high) if found else (None, None)
        note = missing_note(missing or 0, len(rows), found is not None) if missing or (rows and not found) else obstacle
        figures[key] = Figure(key, metric, space, value, low, high, note, missing)
    return figures


def missing_note(missing: int | str, resamples: int, interval: bool) -> str:
    """The note of a figure that so many resamples leave undefined, with an interval or too many for one."""
    return f"{'' if interval else 'no interval: '}undefined in {missing} of {resamples} resamples"


def _interval(value: float, rows: Sequence[float | str], metric: Metric) -> tuple[Interval | None, int]:
    defined = [row for row in rows if isinstance(row, float)]
    missing = len(rows) - len(defined)
    if missing > _UNDEFINED_SHARE * len(rows) or len(defined) < 2:
        return None, missing
    return interval(value, defined, metric.bounds), missing


def _compute(measure: Measure, space: str | None, sets: Sets) -> dict[str, float | str]:
    """Value by metric name; a sentence in place of one that is undefined."""
    bounds = {metric.name: metric.bounds for metric in measure.metrics}
    names = list(bounds)
    lack = _lack(measure, space, sets)
    if lack:
        return dict.fromkeys(names, lack)
    try:
        computed = measure.compute(sets, space)
    except UndefinedError as error:
        return dict.fromkeys(names, str(error))
    values: dict[str, float | str] = {}
    for name in names:
        value = float(computed[name])
        low, high = bounds[name]
        if value < low - _ROUNDING or value > high + _ROUNDING:
            raise ValueError(f"{name} is {value}, and its record says that it lies from {low} to {high}")
        values[name] = value if math.isfinite(value) else f"not a finite number ({value}) for these sets"
    return values


def _lack(measure: Measure, space: str | None, sets: Sets) -> str | None:
    """Lack of the sets for a measure, in words."""
    for name, windows in (("generated", sets.generated), ("reference", sets.reference)):
        if len(windows) < measure.least:
            return f"needs {measure.least} windows, has {len(windows)} ({name})"
        if space is not None and space not in windows.embeddings:
            return f"needs the feature space {space}, which the {name} windows are not described in"
        if "cells" in measure.needs and windows.cell_N is None:
            return "needs cells (content x style, or of an extractor)"
    if "train" in measure.needs and sets.train is None:
        return "needs the training windows of the reference corpus"
    if "feet" in measure.needs and not sets.generated.spec.contact_joints:
        return "needs foot joints, and the features know none (data.contacts)"
    if "realism" in measure.needs and sets.generated.realistic_N is None:
        return "needs the realism gate of an extractor"
    return None
