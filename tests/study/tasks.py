"""What the tests' engines run: functions of a module, so that other processes find them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from motionsynth.errors import BvhError
from motionsynth.study.cells import CellJob, CellOutcome, run_cells
from motionsynth.training.signals import StopRequest


def square(value: int) -> int:
    return value * value


def pid_of(value: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def unusable(path: Path) -> None:
    raise BvhError(path, 7, "has no frames")


def die_at_two(value: int) -> int:
    if value == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def train_until_stopped(path: Path) -> str:
    """As training does: note that it began, and on a signal leave something behind and return."""
    with StopRequest() as stop:
        path.with_suffix(".pid").write_text(str(os.getpid()))
        while stop.signal is None:
            time.sleep(0.02)
        time.sleep(0.3)  # a checkpoint is being written
        path.with_suffix(".saved").write_text(signal.Signals(stop.signal).name)
    return "stopped"


def measure_for_ever(path: Path) -> None:
    """What has no checkpoint to write."""
    path.with_suffix(".pid").write_text(str(os.getpid()))
    time.sleep(600)


def node_of(value: int) -> tuple[str, str]:
    """Folder and Ray node that this runs in."""
    import ray

    time.sleep(0.5)
    return str(Path.cwd()), str(ray.get_runtime_context().get_node_id())


def cells_at_once(jobs: Sequence[CellJob]) -> tuple[str, list[CellOutcome]]:
    """Ray node, and cells whose runs take their steps at once, as they do on a GPU."""
    import ray

    from motionsynth.runs import train as trainings

    trainings.train_seeds = partial(trainings.train_seeds, stacked=True)
    return ray.get_runtime_context().get_node_id(), run_cells(jobs)
