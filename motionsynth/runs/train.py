"""Training as `motionsynth train` does it, from configuration to finished run: one run, or several seeds at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from motionsynth.config import RunConfig
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import MotionSynthError, RunError, TrainingError
from motionsynth.output import refuse_filled
from motionsynth.progress import Announce, Progress
from motionsynth.run_files import BASIS, holds_run, refuse_taken
from motionsynth.runs.begin import begin, begin_once, reopen
from motionsynth.runs.fit import seen_windows, sweep_leftovers, train_run, training_of, way_back
from motionsynth.runs.generation import keep_samples
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sample_score import sample_score
from motionsynth.tracking.feeder import start_feeder
from motionsynth.tracking.sync import sync_run
from motionsynth.training.determinism import torch_threads
from motionsynth.training.device import resolve_device
from motionsynth.training.distributed import Ranks
from motionsynth.training.machine import describe_machine
from motionsynth.training.seeds import train_stacked, unstackable
from motionsynth.training.signals import StopRequest
from motionsynth.training.trainer import ProgressListener, Trainer, take_all

__all__ = ["Outcome", "SeedCase", "fit_run", "resume", "seed_cases", "train", "train_once", "train_seeds"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """End of a training."""

    run: Run
    step: int
    exit_code: int = 0
    """0 where it finished; 130 or 143 where a signal stopped it."""
    warnings: tuple[str, ...] = field(default=())


def train(
    config: RunConfig,
    *,
    run_dir: str | Path | None = None,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Progress | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Train one model, sample it, and deliver the run to MLflow.

    Of several processes that train it, rank 0 alone does all but train, and is alone to be given ``progress``,
    ``reading`` and ``announce``.

    Args:
        config: what to train, on what, for how long.
        run_dir: where the run is kept; ``runs/FAMILY-TIME`` where None.
        device: ``auto``, ``cpu`` or ``cuda``.
        track: whether MLflow is fed while it trains.
        progress: called at every row of the journal.
        reading: called with the number of clips read, of how many.
        announce: takes, a line at a time, what ``auto`` stands for, what the corpus holds, what was left out, and what
            a basis keeps.
        ranks: the processes that train it, of ``joined_ranks``; this one alone where None.
        tags: what the run belongs to, kept in ``run.json`` and shown by MLflow.

    Raises:
        ConfigError, CorpusError, ClipError: the configuration or the clips cannot be used.
        RunError: the run directory is not empty, or in use.
        RanksError: another process of the training has gone.
        TrainingError: a loss or a gradient stopped being finite.
    """
    run, corpus = begin(
        config, run_dir=run_dir, device=device, reading=reading, announce=announce, ranks=ranks, tags=tags
    )
    return fit_run(run, corpus, device=device, track=track, progress=progress, ranks=ranks)


def resume(
    run_dir: str | Path,
    *,
    family: str | None = None,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Progress | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    data: DataConfig | None = None,
) -> Outcome:
    """Go on with a run where it stopped or was killed; a run that has finished is left as it is.

    It may go on with another number of processes: the state is the same. ``data`` says where the clips are now; None
    where they are still where they were. ``announce`` is told how this machine differs from the one before.

    Raises:
        ConfigError: the processes cannot share it.
        RunError: it is no run, is of another ``family``, is being trained, or its corpus has changed.
        RanksError: another process of the training has gone.
    """
    run, corpus = reopen(
        run_dir, family=family, device=device, reading=reading, announce=announce, ranks=ranks, data=data
    )
    if corpus is None:
        return Outcome(run, run.record.step)
    return fit_run(run, corpus, device=device, track=track, progress=progress, ranks=ranks)


def train_once(
    config: RunConfig,
    *,
    run_dir: str | Path,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Progress | None = None,
    announce: Announce | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """``train``, or ``resume`` where ``run_dir`` already holds this very configuration.

    Where the clips lie may have changed: they are then read from where ``config`` has them. ``auto`` is what it was
    when the run began.

    Raises:
        RunError: the directory holds another configuration, or as ``train`` and ``resume``.
    """
    run, corpus = begin_once(config, run_dir=run_dir, device=device, reading=reading, announce=announce, tags=tags)
    if corpus is None:
        return Outcome(run, run.record.step)
    return fit_run(run, corpus, device=device, track=track, progress=progress)


class SeedCase(NamedTuple):
    """One of several trainings that differ in their seed alone."""

    config: RunConfig
    run_dir: Path
    tags: Mapping[str, str] | None = None
    """Tags of the run, such as its study and arm."""


def seed_cases(family: str, seeds: Sequence[int], *, config: RunConfig | None, run_dir: Path | None) -> list[SeedCase]:
    """A run for each seed, ``RUN_DIR-seed-N`` beside one another.

    Args:
        family: of all of them.
        seeds: numbers.
        config: what they are but for the seed; that of the runs that are there where None.
        run_dir: ``runs/FAMILY-TIME`` where None.

    Raises:
        RunError: a new run's place is taken, or there is none to go on with.
    """
    base = run_dir or Path("runs") / f"{family}-{datetime.now():%Y%m%d-%H%M%S}"
    places = [base.with_name(f"{base.name}-seed-{seed}") for seed in seeds]
    if config:
        for place in places:
            refuse_taken(place)
    else:
        there = next((place for place in places if holds_run(place)), places[0])
        run = open_run(there)
        if run.record.family != family:
            raise RunError(there, f"is a run of {run.record.family}, but {family} was asked for")
        config = run.config.model_copy(update={"data": run.data})
    return [
        SeedCase(config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})}), place)
        for seed, place in zip(seeds, places, strict=True)
    ]


def fit_run(
    run: Run,
    corpus: Corpus,
    *,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    ranks: Ranks | None = None,
) -> Outcome:
    """Train in an open run directory, from its newest checkpoint where it has one; arguments of ``train``."""
    ranks = ranks or Ranks()
    where = ranks.device(device)
    if not ranks.first:
        result = train_run(run, corpus.windows("train"), device=where, ranks=ranks)
        return Outcome(run, result.step, result.exit_code)
    return take_all(_training(run, corpus, where, track=track, progress=progress, ranks=ranks))


def _training(
    run: Run,
    corpus: Corpus,
    device: str,
    *,
    track: bool,
    progress: ProgressListener | None,
    ranks: Ranks | None = None,
    seen: tuple[WindowSet, WindowSet | None] | None = None,
    stop: StopRequest | None = None,
) -> Generator[Trainer, bool, Outcome]:
    """Train as ``fit_run`` does, step by step as ``Trainer.moves`` where there is a ``stop``.

    One of several at once has no feeder beside it, which would be a process each: what it has is delivered at its end.
    """
    with run.lock():
        sweep_leftovers(run)  # before the feeder writes there
        refuse_filled(run.samples_path, overwrite=True)  # else it would be refused after the last step
        with way_back(run):
            # said before the feeder looks, which would take a run that goes on for one that has stopped
            world = {"up": corpus.up, "source_rate": corpus.source_rate, "machine": describe_machine(device)}
            run.update(state="running", pid=os.getpid(), host=socket.gethostname(), error=None, **world)
        feeder = start_feeder(run.path) if track and stop is None else None
        try:
            score = sample_score(run, corpus)
            result = yield from training_of(
                run,
                *(seen or seen_windows(run, corpus.windows("train"), corpus.windows("validation"))),
                resume=True,
                device=device,
                listener=progress,
                score=score,
                finish=lambda trained: keep_samples(trained, corpus),
                ranks=ranks,
                stop=stop,
            )
        finally:
            warnings = [feeder.close().warning if feeder else sync_run(run.path).warning if track else None]
    most = run.config.train.stop_when_copying
    if result.outcome == "copying":
        why = f"more than {most:.0%} of draws lay as close to training windows as copies do"
        warnings.append(f"training ended at step {result.step:,}, before its budget: {why} (train.stop_when_copying)")
    elif most and not score:
        warnings.append("copies were not watched for (train.stop_when_copying): there are too few windows")
    return Outcome(run, result.step, result.exit_code, tuple(filter(None, warnings)))


def train_seeds(
    cases: Sequence[SeedCase],
    *,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Progress | None = None,
    announce: Announce | None = None,
    stacked: bool | None = None,
) -> list[Outcome | MotionSynthError]:
    """Train runs that differ in their seed alone, or go on with those that are there.

    On a GPU all take each step at once (``training.seeds``). On a CPU, where that gains nothing, and for families that
    cannot, one is trained after the other: bit for bit as by itself.

    Args:
        cases: what to train, and where it is kept; as ``train_once`` takes them.
        device, track, progress, reading, announce: of ``train``.
        stacked: whether steps are taken at once; None for what suits the device.

    Returns:
        For each case that was begun how it ended, or the error that ended it and left the others alone. A signal leaves
        out what had not begun.
    """
    where = resolve_device(device)
    if stacked is None:
        stacked = where != "cpu"
    if stacked and len(cases) > 1:
        return _at_once(cases, where, track=track, progress=progress, reading=reading, announce=announce)
    ends: list[Outcome | MotionSynthError] = []
    for case in cases:
        try:
            end = train_once(
                case.config,
                run_dir=case.run_dir,
                device=device,
                track=track,
                progress=progress,
                reading=reading,
                announce=announce if not ends else None,
                tags=case.tags,
            )
        except TrainingError as error:
            ends.append(error)
            continue
        ends.append(end)
        if end.exit_code:
            break
    return ends


def _at_once(
    cases: Sequence[SeedCase],
    device: str,
    *,
    track: bool,
    progress: ProgressListener | None,
    reading: Progress | None,
    announce: Announce | None,
) -> list[Outcome | MotionSynthError]:
    """Take each step of all trainings at once; one after the other where the family cannot, which is announced."""
    runs: list[Run] = []
    corpus: Corpus | None = None
    for case in cases:
        run, opened = begin_once(
            case.config,
            run_dir=case.run_dir,
            device=device,
            reading=reading,
            announce=announce if corpus is None else None,  # the first tells of the corpus for all
            tags=case.tags,
            corpus=corpus,
        )
        runs.append(run)
        corpus = corpus or opened
    going = [run for run in runs if run.record.state != "finished"]
    ends: dict[Path, Outcome | MotionSynthError] = {run.path: Outcome(run, run.record.step) for run in runs}
    if not going or corpus is None:
        return list(ends.values())
    if reason := unstackable(going[0].build_family(), going[0].config):
        if announce:
            announce(f"seeds are trained one after the other: {reason}")
        return train_seeds(cases, device=device, track=track, progress=progress, reading=reading, stacked=False)
    _refuse_unlike(going)
    train, validation = seen_windows(going[0], corpus.windows("train"), corpus.windows("validation"))
    seen = train.to(device), validation.to(device) if validation else None  # one copy for all
    with torch_threads(going[0].config.train.threads), StopRequest() as stop:
        trainings = [
            _training(run, corpus, device, track=track, progress=None if place else progress, seen=seen, stop=stop)
            for place, run in enumerate(going)
        ]
        ends |= zip((run.path for run in going), train_stacked(trainings), strict=True)
    return list(ends.values())


def _refuse_unlike(runs: Sequence[Run]) -> None:
    """Raise ``RunError`` for runs that differ in more than their seed, as those that began elsewhere may."""
    first, *others = runs
    for run in others:
        seed = {"seed": first.config.train.seed}
        if run.config.family != first.config.family or run.config.train.model_copy(update=seed) != first.config.train:
            raise RunError(run.path, f"differs from {first.path} in more than its seed")
        if run.record.sha256.get(BASIS) != first.record.sha256.get(BASIS):
            raise RunError(run.path, f"has another basis than {first.path}; train it by itself")
