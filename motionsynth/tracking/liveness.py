"""Processes of runs: which are still there, and the status in MLflow of runs whose process is not."""

from __future__ import annotations

import math
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionsynth.errors import RunError
from motionsynth.journal_rows import JOURNAL
from motionsynth.run_files import RECORD, RunFiles, RunRecord
from motionsynth.tracking.store import find_experiment, open_client, store_errors, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

__all__ = ["last_sign", "process_alive", "process_started", "run_state", "sweep_dead_runs"]

STATUS_OF_STATE = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "killed": "KILLED"}
_CLOCK_SLACK_SECONDS = 2.0
_MOST_RUNS = 50_000  # as many as MLflow gives at once


def process_started(pid: Any) -> float | None:
    """Unix time at which process ``pid`` started; None where there is none, it is a zombie, or the system hides it."""
    if not isinstance(pid, int):
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    if fields[0] in "ZX":
        return None
    return int(boot.split()[1]) + int(fields[19]) / float(os.sysconf("SC_CLK_TCK"))


def process_alive(pid: Any, host: Any, not_after: float | None = None) -> bool | None:
    """Whether process ``pid`` of ``host`` runs; None where this machine cannot know.

    Args:
        pid: its number.
        host: the machine it ran on.
        not_after: unix time by which it must have started; a younger process only reuses the number.
    """
    if not isinstance(pid, int) or not 0 < pid < 2**31 or host != socket.gethostname():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and another user's
    if not Path("/proc/self/stat").exists():
        return True
    started = process_started(pid)
    if started is None:
        return False  # a zombie: over, only not yet collected by its parent
    return not_after is None or started <= not_after + _CLOCK_SLACK_SECONDS


def run_state(run_dir: Path, record: RunRecord) -> str:
    """The state in ``run.json``, or ``killed`` where it claims to go on and its process is gone."""
    if record.state in STATUS_OF_STATE:
        return record.state
    written = (run_dir / RECORD).stat().st_mtime  # the process wrote it, so that it is older than the file
    return "killed" if process_alive(record.pid, record.host, written) is False else record.state


def last_sign(run_dir: Path) -> float:
    """Unix time at which the run last wrote its state or its journal: its end, once it is over."""
    files = (run_dir / RECORD, run_dir / JOURNAL)
    return max(path.stat().st_mtime for path in files if path.exists())


def sweep_dead_runs(uri: str | None = None) -> list[str]:
    """Give runs of this machine that MLflow still calls RUNNING, though their process is gone, the status they earned.

    Returns:
        The MLflow ids of the runs changed.

    Raises:
        TrackingError: the store does not answer.
    """
    with store_errors():
        client = open_client(uri or tracking_uri())
        experiment = find_experiment(client)
        return sweep(client, experiment.experiment_id) if experiment else []


def sweep(client: MlflowClient, experiment_id: str) -> list[str]:
    """``sweep_dead_runs`` on a store that is open."""
    changed: list[str] = []
    condition = f"attributes.status = 'RUNNING' and tags.`motionsynth.host` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment_id], condition, max_results=_MOST_RUNS):
        state, ended = _outcome(run)
        if state in STATUS_OF_STATE:
            client.set_terminated(run.info.run_id, STATUS_OF_STATE[state], end_time=round(ended * 1000))
            changed.append(run.info.run_id)
    return changed


def _outcome(run: Run) -> tuple[str, float]:
    """State and time of the end of a run, from its directory where that is still there, else from its tags."""
    tags = run.data.tags
    run_dir = Path(tags.get("motionsynth.run_dir", "."))
    try:
        record = RunFiles(run_dir).record()
        if record.tracking_id == tags.get("motionsynth.tracking_id"):
            return run_state(run_dir, record), last_sign(run_dir)
    except (RunError, OSError):
        pass  # moved, deleted or damaged: the tags still know the process
    try:
        pid, started = int(tags.get("motionsynth.pid", "")), float(tags.get("motionsynth.process_started", "nan"))
    except ValueError:  # never set, or by something else
        return "running", time.time()
    alive = process_alive(pid, tags.get("motionsynth.host"), None if math.isnan(started) else started)
    return ("killed" if alive is False else "running"), time.time()
