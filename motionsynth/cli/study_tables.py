"""Progress of a study on the terminal: a bar that looks into the run directories, whoever trains; a table; JSON."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from motionsynth.cli.progress import Display, duration
from motionsynth.cli.terminal import console, escaped, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from motionsynth.study.runner import Places, Plan
    from motionsynth.study.status import CellStatus

__all__ = ["StudyBar", "print_plan", "print_statuses_json"]

_LOOK_SECONDS = 2.0
_NAMED = 4
"""Cells that run which are named, rather than counted."""


class StudyBar(Display):
    """A bar that is told of cells that end, and looks for itself how far the others are.

    Args:
        places: where the runs are.
        slots: cells at once.
        console: where to; stderr where None.
    """

    line_seconds = 60.0

    def __init__(self, places: Places, slots: int, console: Console | None = None) -> None:
        super().__init__("study", console)
        self._places, self._slots = places, slots
        self._plan: Plan | None = None
        self._failed = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()
        self.close()

    def told(self, plan: Plan, failed: Sequence[str]) -> None:
        """A cell has ended."""
        with self._lock:
            self._plan, self._failed = plan, len(failed)
            self._next_line = 0.0
            self._draw(plan)

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            with self._lock:
                if self._plan is not None and self._plan.left:
                    self._draw(self._plan)

    def _draw(self, plan: Plan) -> None:
        from motionsynth.study.status import cell_statuses

        statuses = cell_statuses(plan, self._places)
        running = sorted((s for s in statuses if s.state == "running"), key=lambda status: -status.share)
        parts = [_left_words(statuses, self._slots)]
        parts += [f"{status.cell.name} {100 * status.share:.0f} %" for status in running[:_NAMED]]
        parts += [f"and {len(running) - _NAMED} more"] if len(running) > _NAMED else []
        parts += [f"{self._failed} failed"] if self._failed else []
        self.show(sum(status.done for status in statuses), len(statuses), "  ".join(filter(None, parts)))


def _left_words(statuses: Sequence[CellStatus], slots: int) -> str:
    """Time left, as far as it is known; empty where nothing is left."""
    from motionsynth.study.status import time_left

    left = time_left(statuses, slots)
    unknown = f"{left.unknown} {'cell' if left.unknown == 1 else 'cells'} of unknown length"
    if left.seconds == 0:
        return f"{unknown} left" if left.unknown else ""
    return f"{duration(left.seconds)} left" + (f" and {unknown}" if left.unknown else "")


def print_plan(plan: Plan, places: Places, slots: int) -> None:
    """A row for each arm on each corpus, what went wrong, and the time left."""
    from rich.table import Table

    from motionsynth.study.status import cell_statuses

    statuses = cell_statuses(plan, places)
    table = Table(box=None, pad_edge=False)
    for heading in ("arm", "corpus", "cells", "done", "others", "a cell takes"):
        table.add_column(heading, justify="right" if heading in ("cells", "done", "a cell takes") else "left")
    groups: dict[tuple[str, str], list[CellStatus]] = {}
    for status in statuses:
        groups.setdefault((status.cell.arm, status.cell.corpus), []).append(status)
    for (arm, corpus), of in groups.items():
        done = sum(status.done for status in of)
        table.add_row(escaped(arm), escaped(corpus), str(len(of)), str(done), escaped(_others(of)), _pace(of))
    out = console()
    out.print(f"[bold]{escaped(plan.study.name)}[/bold]: {escaped(plan.study.question)}", soft_wrap=True)
    out.print(table)
    for status in statuses:
        if status.error:
            out.print(f"{status.state}: {escaped(status.cell.name)}: {escaped(status.error)}", soft_wrap=True)
    count = f"{sum(status.done for status in statuses)} of {len(statuses)} cells are done"
    left = _left_words(statuses, slots)
    out.print(", ".join(filter(None, (count, left and f"{left} with {slots} at once"))))
    out.print(f"runs {escaped(str(places.runs))}, results {escaped(str(places.results))}", soft_wrap=True)


def _others(statuses: Sequence[CellStatus]) -> str:
    """Seeds of cells that are neither done nor only waiting, and of those that diverged."""
    parts = []
    for state in ("running", "trained", "stopped", "failed", "diverged"):
        of = [status for status in statuses if status.state == state]
        shares = state in ("running", "stopped")
        seeds = [f"{s.cell.seed} ({100 * s.share:.0f} %)" if shares else str(s.cell.seed) for s in of]
        parts += [f"{state}: {', '.join(seeds)}"] if of else []
    return "; ".join(parts)


def _pace(statuses: Sequence[CellStatus]) -> str:
    known = [status.expected_s for status in statuses if status.expected_s is not None and status.state != "diverged"]
    return duration(sum(known) / len(known)) if known else "unknown"


def print_statuses_json(plan: Plan, places: Places) -> None:
    """Every cell for programs."""
    from motionsynth.study.status import cell_statuses

    rows = [
        {
            "arm": status.cell.arm,
            "corpus": status.cell.corpus,
            "seed": status.cell.seed,
            "key": status.cell.key,
            "state": status.state,
            "share": round(status.share, 4),
            "took_s": status.took_s,
            "expected_s": status.expected_s,
            "error": status.error,
        }
        for status in cell_statuses(plan, places)
    ]
    print_json(rows)
