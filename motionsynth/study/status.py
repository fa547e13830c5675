"""How far a study is: the state of every cell, and how long what is left will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from motionsynth.config import TrainConfig
from motionsynth.errors import RunError
from motionsynth.run_files import RunFiles, holds_run
from motionsynth.study.plan import Cell
from motionsynth.study.runner import Places, Plan
from motionsynth.tracking.journal import JOURNAL, last_values
from motionsynth.tracking.liveness import run_state

__all__ = ["CellState", "CellStatus", "TimeLeft", "cell_statuses", "time_left"]

CellState = Literal["finished", "diverged", "trained", "running", "stopped", "failed", "waiting"]
"""``trained`` is still to be measured; ``stopped`` and ``failed`` go on when the study does."""

_TOLD_SHARE: Final = 0.05
"""Of a training, after which its pace says how long it takes."""


@dataclass(frozen=True, slots=True)
class CellStatus:
    """One cell.

    Args:
        cell: which.
        state: what became of it.
        share: of its training that is done, 0 to 1.
        took_s: seconds of training and measuring; None where it is not done.
        expected_s: seconds that it takes in all; None where nothing is known.
        error: why it diverged or failed.
    """

    cell: Cell
    state: CellState
    share: float = 0.0
    took_s: float | None = None
    expected_s: float | None = None
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return self.state in ("finished", "diverged")

    @property
    def left_s(self) -> float | None:
        """Seconds until it is done, if one process does it."""
        return 0.0 if self.done else None if self.expected_s is None else self.expected_s * (1 - self.share)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """How long a study will still take.

    Args:
        seconds: for the cells that something is known of.
        unknown: cells that nothing is known of.
    """

    seconds: float
    unknown: int


def cell_statuses(plan: Plan, places: Places) -> list[CellStatus]:
    """The state of every cell of a plan, in its order; runs that cannot be read count as waiting.

    Args:
        plan: with the results that there are.
        places: where its runs are.
    """
    paces = _paces(plan)
    statuses = [_status(cell, plan, places.runs / cell.key, paces) for cell in plan.cells]
    # a cell that runs tells of the other seeds of its arm, until one of them has ended
    running = {(s.cell.arm, s.cell.corpus): s.expected_s for s in statuses if s.expected_s is not None}
    return [
        replace(status, expected_s=running.get((status.cell.arm, status.cell.corpus)))
        if status.expected_s is None
        else status
        for status in statuses
    ]


def time_left(statuses: Iterable[CellStatus], slots: int) -> TimeLeft:
    """What is left, shared out over ``slots`` that work at once; no less than the longest cell."""
    lefts = [status.left_s for status in statuses if not status.done]
    known = [left for left in lefts if left is not None]
    return TimeLeft(max(sum(known) / slots, max(known, default=0.0)), len(lefts) - len(known))


def _paces(plan: Plan) -> dict[tuple[str, ...], float]:
    """(arm, corpus), and (arm,) -> mean seconds of its finished cells."""
    taken: dict[tuple[str, ...], list[float]] = {}
    for result in plan.done.values():
        if result.state == "finished":
            seconds = sum(result.seconds.values())
            for key in ((result.arm, result.corpus), (result.arm,)):
                taken.setdefault(key, []).append(seconds)
    return {key: sum(seconds) / len(seconds) for key, seconds in taken.items()}


def _status(cell: Cell, plan: Plan, run_dir: Path, paces: Mapping[tuple[str, ...], float]) -> CellStatus:
    if result := plan.done.get(cell.key):
        took = sum(result.seconds.values())
        state: CellState = "diverged" if result.state == "diverged" else "finished"
        return CellStatus(cell, state, 1.0, took, took, result.error)
    expected = paces.get((cell.arm, cell.corpus), paces.get((cell.arm,)))
    if expected is None and cell.config is not None and cell.config.train.minutes:
        expected = 60 * cell.config.train.minutes
    if cell.config is None or not holds_run(run_dir):
        return CellStatus(cell, "waiting", expected_s=expected)
    try:
        state, error, step, values = _run(run_dir)
    except (RunError, OSError):
        return CellStatus(cell, "waiting", expected_s=expected)
    share = 1.0 if state == "trained" else _share(cell.config.train, step, values)
    if expected is None and share >= _TOLD_SHARE and (minutes := values.get("budget/minutes")):
        expected = 60 * minutes / share
    return CellStatus(cell, state, min(share, 1.0), None, expected, error)


def _run(run_dir: Path) -> tuple[CellState, str, int, dict[str, float]]:
    record = RunFiles(run_dir).record()
    states: Mapping[str, CellState] = {"finished": "trained", "running": "running", "failed": "failed"}
    step, values = last_values(run_dir / JOURNAL)
    return states.get(run_state(run_dir, record), "stopped"), record.error or "", step or 0, values


def _share(train: TrainConfig, step: int, values: Mapping[str, float]) -> float:
    budgets = {"samples": train.samples, "passes": train.passes, "minutes": train.minutes}
    if train.steps:
        return step / train.steps
    return next((values.get(f"budget/{name}", 0.0) / budget for name, budget in budgets.items() if budget), 0.0)
