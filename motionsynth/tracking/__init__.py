"""MLflow, fed from a run's files by a process of its own, so that training never waits for it.

    run directory (run.json, metrics.jsonl, …) -> feeder process -> MLflow store

Nothing here is imported by the trainer except ``start_feeder``; MLflow itself is imported where a store is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionsynth.tracking.feeder import Feeder, start_feeder
    from motionsynth.tracking.liveness import sweep_dead_runs
    from motionsynth.tracking.local import RunSummary, list_runs, summarise_run
    from motionsynth.tracking.store import tracking_uri
    from motionsynth.tracking.sync import SyncReport, sync_run
    from motionsynth.tracking.ui import UiServer, start_ui, ui_command

_HOMES = {
    "Feeder": "feeder",
    "RunSummary": "local",
    "SyncReport": "sync",
    "UiServer": "ui",
    "list_runs": "local",
    "start_feeder": "feeder",
    "start_ui": "ui",
    "summarise_run": "local",
    "sweep_dead_runs": "liveness",
    "sync_run": "sync",
    "tracking_uri": "store",
    "ui_command": "ui",
}

__all__ = [
    "Feeder",
    "RunSummary",
    "SyncReport",
    "UiServer",
    "list_runs",
    "start_feeder",
    "start_ui",
    "summarise_run",
    "sweep_dead_runs",
    "sync_run",
    "tracking_uri",
    "ui_command",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used, so that the trainer pays for none of the others."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
