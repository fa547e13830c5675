"""Cells as jobs of a Slurm cluster, by submitit.

Every node must see the same folders under the same names: clips, runs, results, logs and the MLflow store.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from motionsynth.errors import StudyError, WorkerDiedError
from motionsynth.processes import safe_children

__all__ = ["SlurmEngine"]

T = TypeVar("T")

_POLL_SECONDS: Final = 1.0
_REQUEUES: Final = 100
"""Times that a cell which ran out of its time goes on in another job."""


class SlurmEngine:
    """One job a cell.

    Args:
        jobs: how many are in the queue at once.
        device: where cells train; a job asks for one GPU where it is ``cuda``.
        partition: the cluster's default where None.
        minutes: a job may take; a cell that needs more goes on from its checkpoint in another.
        logs: folder for scripts, pickles and output of the jobs.
        cluster: ``slurm``, or submitit's ``local`` that runs jobs on this machine.

    Raises:
        StudyError: submitit is not installed, or there is no Slurm here.
    """

    def __init__(
        self,
        jobs: int,
        *,
        device: str = "auto",
        partition: str | None = None,
        minutes: int = 24 * 60,
        logs: Path = Path("runs/.slurm"),
        cluster: str = "slurm",
    ) -> None:
        try:
            import submitit
        except ImportError as error:
            raise StudyError(None, 'submitit is not installed; pip install "motionsynth[slurm]"') from error
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise StudyError(None, "there is no Slurm here: sbatch is not found; use --engine local")
        self.slots = jobs
        # a cluster may not hand this process's environment on: -P keeps modules of the working folder out by itself
        python = {f"{cluster}_python": f"{shlex.quote(sys.executable)} -P"}
        self._executor = submitit.AutoExecutor(folder=logs, cluster=cluster, slurm_max_num_timeout=_REQUEUES, **python)
        self._executor.update_parameters(name="motionsynth", timeout_min=minutes, cpus_per_task=1)
        if partition is not None:
            self._executor.update_parameters(slurm_partition=partition)
        if device == "cuda":
            self._executor.update_parameters(gpus_per_node=1)
        self._jobs: dict[Future[Any], Any] = {}
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            jobs = tuple(self._jobs.values())  # before those who follow them let go of them
            self._stopping.set()
            for job in jobs:
                job.cancel(check=False)  # SIGTERM first, at which training writes a checkpoint

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Put it into the queue; a thread here asks after it."""
        with safe_children():
            job = self._executor.submit(_Resumed(function, arguments))
        future: Future[T] = Future()
        self._jobs[future] = job
        threading.Thread(target=self._follow, args=(future, job), daemon=True).start()
        return future

    def _follow(self, future: Future[T], job: Any) -> None:
        while not job.done():
            if self._stopping.wait(_POLL_SECONDS):
                break
        self._jobs.pop(future, None)
        if self._stopping.is_set():
            future.set_exception(KeyboardInterrupt())
            return
        try:
            outcome, error = job.result()
        except Exception as lost:
            reason = f"job {job.job_id} ended without a result, see {job.paths.stderr}"
            died = WorkerDiedError(None, reason)
            died.__cause__ = lost
            future.set_exception(died)
        else:
            future.set_exception(error) if error else future.set_result(outcome)


class _Resumed:
    """What a job runs; submitit calls ``checkpoint`` when its time is up, and puts what that returns into the queue."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> tuple[Any, Exception | None]:
        try:
            return self.function(*self.arguments), None
        except Exception as error:
            return None, error

    def checkpoint(self) -> Any:
        """The same again: what it had kept is not done twice."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
