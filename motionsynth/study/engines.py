"""Where cells run: in this process, in processes of this machine, on a Ray cluster, or under Slurm; one ``submit``.

    with engine_for("local", jobs=2) as engine:
        for job, future in as_ended(engine, run_cell, jobs):
            ...

What is submitted is a function of a module and arguments that can be pickled. Leaving the block by an exception asks
what still runs to stop as a signal would (training writes a checkpoint then), and waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from motionsynth.errors import ConfigError, unknown_word
from motionsynth.study.on_ray import RayEngine
from motionsynth.study.on_slurm import SlurmEngine
from motionsynth.study.workers import LocalWorkers

__all__ = ["ENGINES", "Engine", "InProcess", "as_ended", "engine_for"]

ENGINES: Final = ("local", "ray", "slurm")

T = TypeVar("T")
A = TypeVar("A")


class Engine(Protocol):
    """Runs functions somewhere, ``slots`` of them at once; a context manager."""

    slots: int

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Run ``function(*arguments)``; the future has its exception, ``WorkerDiedError`` if its process ended."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class InProcess:
    """Runs what is submitted at once, here: no process to start, and errors keep their traceback."""

    slots = 1

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Run it now; the future is done. What is no ``Exception``, such as Ctrl-C, is let through."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def as_ended(engine: Engine, function: Callable[[A], T], arguments: Iterable[A]) -> Iterator[tuple[A, Future[T]]]:
    """Run a function for every argument; yields each with its future, which is done, in the order in which they end.

    No more are submitted than run at once, so that nothing waits in a queue that a stop would have to empty.

    Args:
        engine: an entered one.
        function: of a module.
        arguments: taken one by one as places fall free.
    """
    running: dict[Future[T], A] = {}
    for argument in arguments:
        while len(running) >= engine.slots:
            yield from _ended(running)
        running[engine.submit(function, argument)] = argument
    while running:
        yield from _ended(running)


def _ended(running: dict[Future[T], A]) -> Iterator[tuple[A, Future[T]]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in [future for future in running if future in done]:
        yield running.pop(future), future


def engine_for(
    name: str,
    *,
    jobs: int | None = None,
    device: str = "auto",
    address: str | None = None,
    partition: str | None = None,
    minutes: int = 24 * 60,
    logs: Path = Path("runs/.slurm"),
) -> Engine:
    """The engine of a name, not entered yet.

    Args:
        name: ``local``, ``ray`` or ``slurm``.
        jobs: cells at once. Where None: 1 on ``local``, every processor that Ray has, 32 under Slurm.
        device: ``auto``, ``cpu`` or ``cuda``; cells on a GPU share it under Ray, and have one each under Slurm.
        address: of a Ray cluster, such as ``10.0.0.1:6379``; one is started on this machine where None.
        partition: of Slurm; its default where None.
        minutes: a cell may take under Slurm; one that needs more goes on where it stood.
        logs: folder for what submitit keeps, which every node must see.

    Raises:
        ConfigError: there is no such engine, or an option is of another one.
        StudyError: what it needs is not installed.
    """
    if name not in ENGINES:
        raise ConfigError(None, "--engine", unknown_word(f"engine {name!r}", name, ENGINES))
    for option, value, of in (("--address", address, "ray"), ("--slurm-partition", partition, "slurm")):
        if value is not None and name != of:
            raise ConfigError(None, option, f"is for --engine {of}, not {name}")
    if jobs is not None and jobs < 1:
        raise ConfigError(None, "--jobs", f"must be at least 1 (got {jobs})")
    if name == "ray":
        return RayEngine(jobs, device=device, address=address)
    if name == "slurm":
        return SlurmEngine(jobs or 32, device=device, partition=partition, minutes=minutes, logs=logs)
    if jobs is None or jobs == 1:
        return InProcess()
    return LocalWorkers(jobs)
