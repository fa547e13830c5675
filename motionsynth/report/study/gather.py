"""The results of a study as its report needs them: each arm on each corpus in each view, over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from motionsynth.calibration.record import Calibration
from motionsynth.report.numbers import number_text
from motionsynth.report.page import Cell, figure_cell
from motionsynth.study.outcomes import Doubt, not_useful
from motionsynth.study.plan import ArmConfig, StudyConfig
from motionsynth.study.plan import Cell as PlannedCell
from motionsynth.study.results import CellResult, DoseReading, ViewResult
from motionsynth.study.statistics import t_interval

__all__ = ["Entry", "Gathered", "Mean", "mean_cell", "mean_of", "p_text"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds with its t interval; no interval from one seed.

    Args:
        value, low, high: the mean and the ends of its interval.
        values: one number a seed.
    """

    value: float
    low: float | None
    high: float | None
    values: tuple[float, ...]


def mean_of(values: Sequence[float], confidence: float) -> Mean | None:
    """The mean of what the seeds gave; None of none."""
    if not values:
        return None
    if len(values) == 1:
        return Mean(values[0], None, None, tuple(values))
    low, high = t_interval(values, confidence)
    return Mean(float(np.mean(values)), float(low), float(high), tuple(values))


def mean_cell(mean: Mean | None, scale: float = 1.0, note: str = "") -> Cell:
    """A mean as a table has it; without an interval where all seeds gave the same."""
    if mean is None:
        return Cell("–", tone="dim")
    value, low, high = (None if end is None else scale * end for end in (mean.value, mean.low, mean.high))
    return figure_cell(value, None if low == high else low, high, note)


def p_text(p: float) -> str:
    """A probability in a table."""
    return "< 0.001" if p < 0.001 else number_text(p, 2)


@dataclass(frozen=True)
class Entry:
    """One arm on one corpus in one view.

    Args:
        arm, view, corpus: which.
        config: the arm.
        results: its finished cells that hold the view, by seed.
        confidence: of intervals.
    """

    arm: str
    view: str
    corpus: str
    config: ArmConfig
    results: tuple[CellResult, ...]
    confidence: float

    @property
    def title(self) -> str:
        """What tables call the arm."""
        return self.config.title or self.arm

    @property
    def name(self) -> str:
        """The arm, and the view where that is not the arm's own."""
        return self.title if self.main else f"{self.title}, {self.view.replace('_', ' ')}"

    @property
    def main(self) -> bool:
        """Whether the view stands for the arm."""
        return self.view == self.config.main_view

    @property
    def views(self) -> list[ViewResult]:
        """One a seed."""
        return [result.views[self.view] for result in self.results]

    def mean(self, of: Callable[[ViewResult], float | None]) -> Mean | None:
        """A number of a view over those seeds that have it."""
        return mean_of([value for view in self.views if (value := of(view)) is not None], self.confidence)

    def figure(self, key: str) -> Mean | None:
        """A figure over those seeds that have it."""
        return self.mean(lambda view: view.figures.get(key))

    def readings(self, axis: str) -> list[DoseReading]:
        """The readings of an axis, one a seed that has one."""
        return [view.doses[axis] for view in self.views if axis in view.doses]

    def share(self, axis: str) -> Mean | None:
        """Where the doses lie on an axis: 0 real motion, 1 the strongest dose; beyond either they go on."""
        return mean_of([reading.share for reading in self.readings(axis)], self.confidence)


class Gathered:
    """Results by arm, corpus and view.

    Args:
        study: the plan.
        results: cells by key.
        planned: every cell of the plan; where given, results of other cells are left out.
        calibrations: by corpus, where they are at hand.
    """

    def __init__(
        self,
        study: StudyConfig,
        results: Mapping[str, CellResult],
        planned: Sequence[PlannedCell],
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self.study, self.planned, self.calibrations = study, tuple(planned), dict(calibrations or {})
        keys = {cell.key for cell in planned}
        mine = [r for r in results.values() if r.arm in study.arms and r.corpus in study.corpora]
        mine = [r for r in mine if r.seed in study.seeds_of(r.arm) and (not keys or r.key in keys)]
        latest = {(r.arm, r.corpus, r.seed): r for r in sorted(mine, key=lambda r: r.created)}
        order = {arm: place for place, arm in enumerate(study.arms)}
        corpora = {corpus: place for place, corpus in enumerate(study.corpora)}
        self.cells = sorted(latest.values(), key=lambda r: (corpora[r.corpus], order[r.arm], r.seed))
        """All that count, finished or not, in the order of the plan."""
        self.left_out = len(results) - len(self.cells)
        """Results that belong to no cell of the plan, such as those of an arm as it was before a change."""

    @property
    def missing(self) -> list[PlannedCell]:
        """Cells of the plan that have no result."""
        there = {result.key for result in self.cells}
        return [cell for cell in self.planned if cell.key not in there]

    @property
    def corpora(self) -> list[str]:
        """Those with a finished cell."""
        return [name for name in self.study.corpora if any(r.corpus == name and r.views for r in self.cells)]

    def corpus_title(self, corpus: str) -> str:
        """What the report calls a corpus."""
        return self.study.corpora[corpus].title or corpus

    def entries(self, corpus: str, *tiers: str) -> Iterator[Entry]:
        """Each view of each arm with a finished cell, in the order of the plan; of all tiers where none is named."""
        for name, arm in self.study.arms.items():
            if tiers and arm.tier not in tiers:
                continue
            for view in arm.views:
                entry = self.entry(name, corpus, view)
                if entry is not None:
                    yield entry

    def entry(self, arm: str, corpus: str, view: str | None = None) -> Entry | None:
        """One arm on one corpus; its own view where none is named; None where no cell of it finished."""
        config = self.study.arms[arm]
        view = view or config.main_view
        held = [
            r for r in self.cells if (r.arm, r.corpus) == (arm, corpus) and r.state == "finished" and view in r.views
        ]
        return Entry(arm, view, corpus, config, tuple(held), self.study.confidence) if held else None

    def not_useful(self, arm: str, corpus: str) -> Doubt | None:
        """Why no verdict may be drawn from an arm; None where one may. The same rule as that of verdicts."""
        return not_useful(self.study, arm, corpus, {(r.arm, r.corpus, r.seed): r for r in self.cells})
