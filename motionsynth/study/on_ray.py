"""Cells on a Ray cluster, or on a Ray of this machine.

Nodes of a cluster must see the same folders under the same names: clips, runs, results and the MLflow store.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import chdir, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from motionsynth.errors import ConfigError, StudyError, WorkerDiedError
from motionsynth.processes import safe_children

__all__ = ["RayEngine"]

T = TypeVar("T")


class RayEngine:
    """One Ray task a cell, one processor a task.

    Args:
        jobs: cells at once; as many as Ray has processors where None.
        device: where cells train; tasks share the GPUs there are unless it is ``cpu``.
        address: of a cluster; one is started on this machine, and ended, where None.

    Raises:
        StudyError: Ray is not installed.
    """

    def __init__(self, jobs: int | None, *, device: str = "auto", address: str | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise StudyError(None, 'Ray is not installed; pip install "motionsynth[ray]"') from error
        self._ray: Any = ray
        self._jobs, self._device, self._address = jobs, device, address
        self._running: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self.slots = jobs or 1

    def __enter__(self) -> Self:
        ray, local = self._ray, self._address is None
        _refuse_silent(self._address)
        try:
            # workers look for modules in the folder that Ray is called in, which may be a corpus from anywhere
            with _signals_kept(), safe_children(), chdir(os.sep):
                ray.init(
                    address="local" if local else self._address,
                    num_cpus=self._jobs if local else None,
                    include_dashboard=False if local else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise StudyError(self._address, f"no Ray answers there: {error}") from error
        resources = ray.cluster_resources()
        self.slots = self._jobs or max(1, int(resources.get("CPU", 1)))
        gpus = 0.0 if self._device == "cpu" else min(1.0, resources.get("GPU", 0.0) / self.slots)
        # a cell that is tried again by the study goes on from its checkpoint: Ray need not try, and hides what broke
        self._task = ray.remote(num_cpus=1, num_gpus=int(gpus * 1000) / 1000, max_retries=0)(_there)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._stop()
        finally:
            self._ray.shutdown()

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Run it where the cluster has a processor free, in the folder of this process."""
        reference = self._task.remote(Path.cwd(), function, arguments)
        future: Future[T] = Future()
        with self._lock:
            self._running[future] = reference
        reference.future().add_done_callback(lambda done: self._settle(future, done))
        return future

    def _settle(self, future: Future[T], done: Future[Any]) -> None:
        with self._lock:
            self._running.pop(future, None)
        try:
            outcome, error = done.result()
        except (CancelledError, self._ray.exceptions.TaskCancelledError):
            future.set_exception(KeyboardInterrupt())
        except self._ray.exceptions.RayError as lost:
            reason = str(lost).strip().partition("\n")[0]
            future.set_exception(WorkerDiedError(None, f"Ray lost the process that ran this: {reason}"))
        except Exception as broken:
            future.set_exception(broken)
        else:
            future.set_exception(error) if error else future.set_result(outcome)

    def _stop(self) -> None:
        """Interrupt what runs; training writes a checkpoint at that, and is waited for."""
        with self._lock:
            running = list(self._running.values())
        for reference in running:
            self._ray.cancel(reference)
        if running:
            self._ray.wait(running, num_returns=len(running))


def _there(
    folder: Path, function: Callable[..., T], arguments: tuple[object, ...]
) -> tuple[T | None, Exception | None]:
    """In a worker: the result or the error, as Ray would wrap errors in classes of its own."""
    os.chdir(folder)
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def _refuse_silent(address: str | None) -> None:
    """Ask whether anything listens at an address: Ray itself would try for minutes."""
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(None, "--address", f"must be HOST:PORT, as `ray start --head` prints it (got {address!r})")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise StudyError(address, f"no Ray answers there: {error}; `ray start --head` starts one") from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own handler of SIGTERM in place of the one that stops a study."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
