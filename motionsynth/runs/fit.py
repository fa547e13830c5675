"""Train in a run directory: the lock, the state in ``run.json``, journal, checkpoints and final weights."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import ConfigError, MotionSynthError, RanksError, RunError, TrainingError
from motionsynth.families.capabilities import FitsPrior
from motionsynth.files import full_disk, sweep_temporaries
from motionsynth.runs.run import Run
from motionsynth.training.determinism import stream_seed, torch_threads
from motionsynth.training.distributed import Ranks
from motionsynth.training.journal import Journal
from motionsynth.training.signals import StopRequest
from motionsynth.training.trainer import ProgressListener, Score, Trainer, TrainingResult, take_all

__all__ = ["seen_windows", "sweep_leftovers", "train_run", "training_of", "way_back"]

_log = logging.getLogger(__name__)
_PARTS = {
    "checkpoints": "checkpoint",
    "metrics.jsonl": "journal",
    "run.json": "state",
    "weights.safetensors": "weights",
}
"""Names of a run directory's files in errors; others go by their own."""


def train_run(
    run: Run,
    windows: WindowSet,
    validation: WindowSet | None = None,
    *,
    resume: bool = False,
    device: torch.device | str = "cpu",
    listener: ProgressListener | None = None,
    score: Score | None = None,
    finish: Callable[[Run], None] | None = None,
    ranks: Ranks | None = None,
) -> TrainingResult:
    """Train a run until its budget is spent or a signal stops it; a finished one has its weights in the directory.

    Of several processes that train one run, rank 0 alone touches the directory.

    Args:
        run: new, or with ``resume`` one that was stopped, killed or failed; a finished one is left as it is.
        windows: normalised windows of the training split.
        validation: those of the validation split.
        resume: whether to go on from the newest intact checkpoint.
        device: where to train.
        listener: called at every row of the journal.
        score: judges the family where the validation losses are computed.
        finish: what belongs to a finished run besides its weights, such as samples; called when they are written and
            before the state says so.
        ranks: the processes that train it; this one alone where None.

    Raises:
        RunError: another process trains in it; it has been trained and ``resume`` was not asked for; no checkpoint is
            intact, or they are of other windows.
        RanksError: another process of the training has gone, or holds other numbers; the state is then ``failed``.
        TrainingError: a loss or a gradient is not finite, or the disk is full; the run's state is then ``failed``.
    """
    ranks = ranks or Ranks()
    windows, validation = seen_windows(run, windows, validation)
    if not ranks.first:
        return _assist(run, windows, device, ranks)
    return take_all(
        training_of(
            run,
            windows,
            validation,
            resume=resume,
            device=device,
            listener=listener,
            score=score,
            finish=finish,
            ranks=ranks,
        )
    )


def seen_windows(run: Run, windows: WindowSet, validation: WindowSet | None) -> tuple[WindowSet, WindowSet | None]:
    """Both splits as a run's networks see them: coefficients, weighted features, or the windows themselves."""
    if (basis := run.basis()) is None:
        return windows, validation
    with torch_threads(run.config.train.threads):  # a resumed training must find the very same numbers
        return basis.project(windows), basis.project(validation) if validation else None


def training_of(
    run: Run,
    windows: WindowSet,
    validation: WindowSet | None = None,
    *,
    resume: bool = False,
    device: torch.device | str = "cpu",
    listener: ProgressListener | None = None,
    score: Score | None = None,
    finish: Callable[[Run], None] | None = None,
    ranks: Ranks | None = None,
    stop: StopRequest | None = None,
) -> Generator[Trainer, bool, TrainingResult]:
    """Train as ``train_run`` does, step by step as ``Trainer.moves``; arguments and errors are those there and here.

    Args:
        windows, validation: as ``seen_windows`` gives them.
        stop: what asks it to stop; None to take all steps without stopping before any, and to heed signals by itself.
    """
    ranks = ranks or Ranks()
    with run.lock(), way_back(run):
        run.reload()  # what another process did to it before the lock was ours
        if run.record.state != "created" and not resume:
            raise RunError(run.path, f"is {run.record.state} already: go on with --resume, or name another --run-dir")
        if ranks.share(run.record.state == "finished"):
            return _finished(run)
        sweep_leftovers(run)
        trainer: Trainer | None = None

        def reached() -> int:
            return max(trainer.step if trainer else 0, run.record.step)

        with _failure_kept(run, reached), way_back(run, reached), Journal(run.journal_path) as journal:
            trainer = Trainer(
                run.build_family(),
                run.config.family,
                run.config.train,
                windows,
                validation,
                device=device,
                journal=journal,
                checkpoints=run.checkpoints_path,
                listener=listener,
                score=score,
                ranks=ranks,
            )
            step = trainer.resume()
            host = socket.gethostname()
            run.update(state="running", pid=os.getpid(), host=host, ranks=ranks.size, step=step, error=None)
            result = (yield from trainer.moves(stop)) if stop else trainer.fit()
            if result.outcome == "stopped":
                run.update(state="stopped", step=result.step, pid=None, host=None)
                return result
            result = _with_prior(run, result, windows, device)
            run.save_weights(result.weights, result.averages, step=result.step)
            if finish:
                finish(run)
            run.update(state="finished", outcome=result.outcome, pid=None, host=None)
        return result


def _assist(run: Run, windows: WindowSet, device: torch.device | str, ranks: Ranks) -> TrainingResult:
    """Train as another rank than the first: from what that has, and without the directory."""
    with way_back(run):
        if ranks.share(False):
            return _finished(run)
        config = run.config
        trainer = Trainer(run.build_family(), config.family, config.train, windows, device=device, ranks=ranks)
        trainer.resume()
        return trainer.fit()


def sweep_leftovers(run: Run) -> None:
    """Remove what a kill left half written in a run directory, and of the directory itself beside it."""
    sweep_temporaries(run.path)
    sweep_temporaries(run.path.absolute().parent, of=run.path.absolute().name)


@contextmanager
def way_back(run: Run, reached: Callable[[], int] | None = None) -> Iterator[None]:
    """Name the command that goes on with a run in errors that are no fault of its own, and the step on a full disk.

    Args:
        run: what is trained.
        reached: steps taken so far; as ``run.json`` has it where None.

    Raises:
        RanksError: another process of the training has gone.
        TrainingError: the disk is full.
    """
    onward = f"go on with --run-dir {run.path} --resume"
    try:
        yield
    except RanksError as error:
        raise RanksError(str(error) if onward in str(error) else f"{error}; {onward}") from error
    except (MotionSynthError, OSError) as error:
        full = full_disk(error)
        if full is None or isinstance(error, TrainingError):
            raise
        path = Path(full.filename or run.path)
        part = path.relative_to(run.path).parts[0] if run.path in path.parents else path.name
        step = reached() if reached else run.record.step
        reason = f"{path}: {full.strerror}; make room, then {onward}"
        raise TrainingError(step, _PARTS.get(part, part), reason) from error


@contextmanager
def _failure_kept(run: Run, reached: Callable[[], int]) -> Iterator[None]:
    """Note in ``run.json`` why a training ended; one whose settings were refused is left as it was made."""
    try:
        yield
    except BaseException as error:
        if run.record.state == "created" and isinstance(error, ConfigError):
            raise
        state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            # what was being written is gone by now, which leaves room for this but where others have taken it
            run.update(state=state, step=reached(), pid=None, host=None, error=str(error) or repr(error))
        except OSError as again:
            if full_disk(again) is None:
                raise
            _log.warning("%s still says %r, for want of room: %s", run.path, run.record.state, again.strerror)
        raise


def _with_prior(run: Run, result: TrainingResult, windows: WindowSet, device: torch.device | str) -> TrainingResult:
    """The result with a density fitted on the latents, for families that fit one: of the average's own codes too."""
    config = run.config.train
    family = run.build_family().to(device)
    if not isinstance(family, FitsPrior):
        return result
    windows = windows.to(device)

    def fitted(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not weights:
            return {}
        family.load_state_dict(weights)
        family.fit_prior(windows, generator=torch.Generator(device).manual_seed(stream_seed(config.seed, "prior")))
        return {name: value.detach().cpu().clone() for name, value in family.state_dict().items()}

    with torch_threads(config.threads):
        return result._replace(weights=fitted(result.weights), averages=fitted(result.averages))


def _finished(run: Run) -> TrainingResult:
    weights, averages = run.load_weights()
    return TrainingResult(run.record.outcome or "finished", run.record.step, None, weights, averages)
