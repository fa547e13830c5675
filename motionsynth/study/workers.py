"""Processes of this machine that run cells: each may die alone, and none outlives the one that started it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from motionsynth.errors import WorkerDiedError
from motionsynth.processes import follow_parent, safe_children

__all__ = ["LocalWorkers"]

T = TypeVar("T")

ASKS: Final = (signal.SIGTERM, signal.SIGINT)


class LocalWorkers:
    """Spawned processes, each with a thread here that hands it one thing after the other.

    Each process is a pool of its own: one that is killed takes what it ran with it and nothing else, where one pool of
    several would end them all.

    Args:
        jobs: processes.
    """

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._threads = ThreadPoolExecutor(jobs, "cells")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._pools: dict[ProcessPoolExecutor, int] = {}
        """Pool of one process -> that process."""
        self._stopping = False
        self._guard = ExitStack()

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Run it in a process that has nothing to do, as soon as there is one."""
        return self._threads.submit(self._run, function, arguments)

    def __enter__(self) -> Self:
        self._guard.enter_context(safe_children())  # not where a process starts: threads do that, all at once
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._signal(signal.SIGTERM)
            self._threads.shutdown(cancel_futures=error is not None)
        except BaseException:  # asked again while a checkpoint is being written: then without it
            self._signal(signal.SIGKILL)
            raise
        finally:
            for pool in tuple(self._pools):
                pool.shutdown()
            self._guard.close()

    def _run(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        pool = getattr(self._own, "pool", None) or self._start()
        try:
            return pool.submit(_work, function, arguments).result()
        except BrokenProcessPool as error:
            self._own.pool = None
            with self._lock:
                process = self._pools.pop(pool, None)
            if self._stopping:
                raise KeyboardInterrupt from error
            reason = f"process {process} was killed while it ran this: by hand, or because memory ran out"
            raise WorkerDiedError(None, reason) from error

    def _start(self) -> ProcessPoolExecutor:
        """A process for this thread; it answers with its number, which a stop needs, before it is given any work."""
        pool = ProcessPoolExecutor(1, get_context("spawn"), _prepare)
        process = pool.submit(os.getpid).result()
        with self._lock:
            if self._stopping:
                pool.shutdown()
                raise KeyboardInterrupt
            self._pools[pool] = process
        self._own.pool = pool
        return pool

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            self._stopping = True
            for process in self._pools.values():
                with suppress(ProcessLookupError):
                    os.kill(process, number)


_worker: dict[str, Any] = {"busy": False, "asked": False}
"""In a worker: whether it runs something, and whether it was asked to stop."""


def _prepare() -> None:
    follow_parent()
    # Ctrl-C reaches a whole group of processes: these are told by the one that started them, and once
    os.setpgid(0, 0)
    for number in ASKS:
        signal.signal(number, _asked)


def _asked(number: int, frame: FrameType | None) -> None:
    """Outside training, which notes the signal itself, what runs is given up where it stands."""
    _worker["asked"] = True
    if _worker["busy"]:
        raise KeyboardInterrupt


def _work(function: Callable[..., T], arguments: tuple[object, ...]) -> T:
    _worker["busy"] = True
    try:
        if _worker["asked"]:
            raise KeyboardInterrupt
        return function(*arguments)
    finally:
        _worker["busy"] = False
