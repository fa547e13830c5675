"""What ``runs list`` and ``runs show`` tell, from run directories alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from motionsynth.errors import RunError
from motionsynth.journal_rows import spelled
from motionsynth.run_files import RECORD, RunFiles
from motionsynth.tracking.journal import JOURNAL, last_values
from motionsynth.tracking.liveness import run_state
from motionsynth.tracking.record import ERROR_TAG, describe

__all__ = ["RunSummary", "find_run_dirs", "list_runs", "summarise_run"]

_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as its directory tells it."""

    path: Path
    name: str
    state: str
    """created, running, finished, stopped, failed; killed where it was running and its process is gone; damaged."""
    family: str = ""
    corpus: str = ""
    """Name of the folder that its clips came from."""
    seed: str = ""
    step: int = 0
    """Newest step in the journal."""
    created: str = ""
    """ISO 8601, UTC."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Newest value of each metric."""
    tags: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    """Reason of its failure, or the damage to it."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a metric that is not finite is a string, as in the journal."""
        return {**asdict(self), "path": str(self.path), "metrics": {k: spelled(v) for k, v in self.metrics.items()}}


def find_run_dirs(folder: str | Path) -> Iterator[Path]:
    """Run directories in ``folder`` (itself, or up to three levels below), in order of their paths."""
    root = Path(folder)
    for path, folders, files in os.walk(root):
        folders.sort()
        if RECORD in files:
            folders.clear()
            yield Path(path)
        elif len(Path(path).relative_to(root).parts) >= _DEEPEST:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]


def summarise_run(run_dir: str | Path) -> RunSummary:
    """State, step and newest metrics of one run.

    Raises:
        RunError: there is no run in ``run_dir``, or its files are damaged.
    """
    run_dir = Path(run_dir)
    record = RunFiles(run_dir).record()
    description = describe(run_dir, record)
    step, metrics = last_values(run_dir / JOURNAL)
    tags = description.tags
    return RunSummary(
        path=run_dir,
        name=description.name,
        state=run_state(run_dir, record),
        family=tags.get("family", ""),
        corpus=tags.get("corpus", ""),
        seed=tags.get("seed", ""),
        step=step or 0,
        created=record.created,
        metrics=metrics,
        tags=tags,
        reason=tags.get(ERROR_TAG),
    )


def list_runs(folder: str | Path = "runs") -> list[RunSummary]:
    """Every run in ``folder``, newest first; one that cannot be read is listed as damaged, with the reason."""
    summaries = []
    for run_dir in find_run_dirs(folder):
        try:
            summaries.append(summarise_run(run_dir))
        except RunError as error:
            summaries.append(RunSummary(run_dir, run_dir.name, "damaged", reason=str(error)))
    return sorted(summaries, key=lambda summary: summary.created, reverse=True)
