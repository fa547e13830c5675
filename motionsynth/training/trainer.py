"""One trainer for every family: batches in, a journal, checkpoints and weights out.

Shapes: N windows, B batch, T frames, D features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from motionsynth.config import TrainConfig
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import RunError, TrainingError
from motionsynth.families.base import Family, FamilyConfig, StepContext
from motionsynth.training.budget import refuse_hopeless, refuse_shares
from motionsynth.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from motionsynth.training.copying import CopyWatch
from motionsynth.training.determinism import stream_seed, torch_threads
from motionsynth.training.distributed import Pulse, Ranks
from motionsynth.training.journal import Journal
from motionsynth.training.machine import settled
from motionsynth.training.naming import named_error
from motionsynth.training.order import BatchOrder
from motionsynth.training.rule import LearningError
from motionsynth.training.rules import rule_for
from motionsynth.training.signals import StopRequest

__all__ = ["ProgressListener", "Score", "Trainer", "TrainingResult", "take_all"]

_T = TypeVar("_T")
_MISFITS = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, LearningError)
"""Raised where a state is put back that is not what this training wrote."""


class ProgressListener(Protocol):
    """Listener to the progress of training, called at every row of the journal."""

    def on_log(
        self, step: int, total: int, metrics: Mapping[str, float], steps_per_second: float, seconds_left: float
    ) -> None:
        """``total`` is the budget in steps, estimated for a budget in minutes."""


Score = Callable[[Family, Mapping[str, Tensor]], Mapping[str, float]]
"""Judges a family and the moving average of its weights, empty where none is kept; leaves both as they are."""


class TrainingResult(NamedTuple):
    """End of a training, and its weights."""

    outcome: Literal["finished", "converged", "copying", "stopped"]
    step: int
    """Optimiser steps taken in all."""
    signal: int | None
    """The signal that stopped it, such as 15; None where it ran to its end."""
    weights: dict[str, Tensor]
    averages: dict[str, Tensor]
    """The moving average by the same names; empty where none is kept."""

    @property
    def exit_code(self) -> int:
        """0, or what a shell expects of a process that a signal ended: 143 for SIGTERM, 130 for SIGINT."""
        return 128 + self.signal if self.signal else 0


def take_all(moves: Generator[Trainer, bool, _T]) -> _T:
    """Have a training take all its steps by itself; what it gives in the end."""
    try:
        while True:
            next(moves)
    except StopIteration as end:
        result: _T = end.value
        return result


class Trainer:
    """Train a family on windows.

    All randomness comes from ``train.seed`` by generators of its own: one on the CPU for the order of windows, one on
    the device for the losses. With a budget in steps or samples, the same configuration and windows give the same
    weights on the same machine, and a resumed run the weights of an uninterrupted one, bit for bit on a CPU. Torch's
    CPU threads are ``train.threads`` while it runs and as before afterwards.

    Several processes can train one model, a trainer in each, with the same arguments but for what is rank 0's alone:
    validation, journal, checkpoints, listener and score. Each holds all windows and takes its rows of each batch; that
    they hold the same weights is checked at the start, at every checkpoint and at the end.

    Args:
        family: its weights are trained in place; moved to ``device``.
        config: the family's configuration, for its optimisers.
        train: budget and bookkeeping.
        windows: what is learnt from; their frames are moved to ``device`` as a whole.
        validation: what the losses are also computed on, with the raw weights.
        device: such as ``cpu`` or ``cuda``.
        journal: where rows go; None for nowhere.
        checkpoints: folder of checkpoints; None for none.
        listener: called at every row.
        score: called where the validation losses are computed; what it returns is journalled beside them.
        ranks: the processes that train this family; this one alone where None.

    Raises:
        ValueError: no windows, or windows of another size than the family's.
        ConfigError: no model can come of so small a budget, or of so few windows; or the processes cannot share it.
    """

    def __init__(
        self,
        family: Family,
        config: FamilyConfig,
        train: TrainConfig,
        windows: WindowSet,
        validation: WindowSet | None = None,
        *,
        device: torch.device | str = "cpu",
        journal: Journal | None = None,
        checkpoints: Path | None = None,
        listener: ProgressListener | None = None,
        score: Score | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.train, self.device, self.ranks = settled(train, config, device), torch.device(device), ranks or Ranks()
        self.journal, self.checkpoints, self.listener, self.score = journal, checkpoints, listener, score
        size = (family.shape.frames, family.shape.features)
        for split in filter(None, (windows, validation)):
            if split.size != size:
                raise ValueError(f"windows of {split.size}, but the family is built for {size}")
        refuse_hopeless(config, self.train, windows)
        self.family, self.config = family.to(self.device), config
        self.rule = rule_for(family, config, self.train, self.ranks)
        seed, whole = stream_seed(train.seed, "order"), self.rule.whole_passes
        self.order = BatchOrder(len(windows), train.batch_size, seed, self.device, whole=whole)
        refuse_shares(family, self.order.batch_size, self.ranks.size, whole=whole)
        self._identity = windows.identity
        self.windows = windows.to(self.device)
        self.due_B = torch.empty(0, dtype=torch.int64)
        """Windows of the step that is due."""
        self.validation = validation.to(self.device) if validation is not None and len(validation) else None
        self.generator = torch.Generator(self.device).manual_seed(stream_seed(train.seed, "noise"))
        self.step = 0
        self._elapsed, self._started = 0.0, time.monotonic()
        self._saved = -1
        self.copies = CopyWatch(train.stop_when_copying, self.ranks)
        self._since_log: list[tuple[int, Tensor]] = []
        self._logged = self._began = (self._started, 0)
        self.ranks.listen(lambda: Pulse(self.elapsed))

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._elapsed + time.monotonic() - self._started

    @property
    def samples(self) -> int:
        """Windows seen."""
        return self.order.seen(self.step)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        if self.train.minutes:
            return min(1.0, self.ranks.pulse.elapsed / (60 * self.train.minutes))
        return min(1.0, self.step / self._budget_steps)

    @property
    def _budget_steps(self) -> int:
        if self.train.passes:
            return self.train.passes * self.order.steps_per_pass
        assert self.train.steps or self.train.samples
        return self.train.steps or self.order.steps_until(self.train.samples or 0)

    def resume(self) -> int:
        """Go on from the newest intact checkpoint, or from the start where there is none; the step that it is at.

        Raises:
            RunError: no checkpoint is intact, or they are of a training on other windows or of another family.
        """
        checkpoint = self.ranks.share(load_newest(self.checkpoints) if self.checkpoints else None)
        if checkpoint is None:
            return 0
        where, state = (self.checkpoints or Path()) / str(checkpoint.step), checkpoint.state
        if state.get("windows") != self._identity:
            raise RunError(where, "was trained on other windows; resume needs the corpus that the run began with")
        try:
            self.family.load_state_dict(checkpoint.weights)
            self.rule.load_averaged_weights(checkpoint.averages)
            self.rule.load_state_dict(state["rule"])
            self.order.load_state_dict(state["order"])
            self.generator.set_state(state["generator"])
            self._elapsed = _seconds(state["elapsed"])
            self.copies.load(state.get("copying", 0))
        except _MISFITS as error:
            reason = " ".join(str(error).split())
            raise RunError(where, f"does not fit this run: {reason[:300]}") from error
        self.step = self._saved = checkpoint.step
        return self.step

    def fit(self) -> TrainingResult:
        """Train until the budget is spent, the rule has converged, draws are copies, or SIGTERM or SIGINT asks to stop.

        A signal lets the step finish and a checkpoint be written; a second one ends the process at once. With several
        processes a signal to any stops all, after the step in which they agree on it.

        Raises:
            TrainingError: a loss or a gradient is not finite; names step, phase, loss term, and the batch's clips. Or
                a rule cannot go on, such as where a likelihood falls that must not.
            RanksError: another process of the training has gone, or holds other numbers.
        """
        with torch_threads(self.train.threads), StopRequest() as stop:
            return take_all(self.moves(stop))

    def moves(self, stop: StopRequest) -> Generator[Trainer, bool, TrainingResult]:
        """Train as ``fit`` does, step by step: stop before each, and take it unless sent that it has been taken."""
        if self.step == 0:
            self.family.begin(self.windows)
        self._check_equal("at the start")
        self._started = time.monotonic()
        self._logged = self._began = (self._started, self.step)
        self.ranks.listen(lambda: Pulse(self.elapsed, stop.signal))
        self.ranks.beat()
        self.family.train()
        done = self._done()
        while not done and self.ranks.pulse.signal is None:
            self._draw_batch()
            self._learn(taken=(yield self))
            self.ranks.beat()
            done = self._done()
            self._write_row(last=done)
            done = done or self.copies.ends
            if self.step % self.train.checkpoint_every_steps == 0:
                self._save()
        asked = self.ranks.pulse.signal
        self._check()
        self._save()
        if done:
            self._finish_rule()
        outcome: Literal["finished", "converged", "copying", "stopped"] = "finished"
        if not done:
            outcome = "stopped"
        elif self.rule.converged:
            outcome = "converged"
        elif self.copies.ends:
            outcome = "copying"
        weights = {name: value.detach().cpu() for name, value in self.family.state_dict().items()}
        averages = {name: value.detach().cpu() for name, value in self.rule.averaged_weights().items()}
        return TrainingResult(outcome, self.step, None if done else asked, weights, averages)

    def _done(self) -> bool:
        return self.progress >= 1 or self.rule.converged or self.copies.ends

    def _draw_batch(self) -> None:
        self.due_B, index_cpu_B = self.order.next()
        self._since_log.append((self.step, index_cpu_B))

    def _learn(self, *, taken: bool) -> None:
        try:
            if not taken:
                self.rule.step(self.windows.batch(self.ranks.cut(self.due_B)), self.context())
            if self.order.ends_pass:
                self.rule.end_pass()
        except LearningError as error:
            raise self._named(error) from error
        self.step += 1

    def _finish_rule(self) -> None:
        try:
            self.rule.finish()
        except LearningError as error:
            raise self._named(error) from error

    def context(self) -> StepContext:
        """Context of the loss of the next step."""
        ranks = self.ranks
        return StepContext(self.step, self.progress, self.generator, ranks.rank, ranks.size, ranks.mean)

    def _write_row(self, *, last: bool) -> None:
        """One row for all that is due at this step, so that a journal holds a step whole or not at all."""
        logs = last or self.step % self.train.log_every_steps == 0
        validates = last or self.step % self.train.validate_every_steps == 0
        if logs or validates:
            self._check()  # on all ranks at the same step, though only the first has windows to validate on
        found = self._validate() if validates and self.validation is not None else {}
        if validates and not last:
            self.copies.see(found)
        logs = logs or self.copies.ends
        if not logs and not found:
            return
        metrics = (self._measure() if logs else {}) | {f"validation/{name}": value for name, value in found.items()}
        if self.journal:
            self.journal.write(self.step, metrics)
        if self.listener and logs:
            self._notify_listener(metrics)

    def _measure(self) -> dict[str, float]:
        metrics = {f"train/{name}": value for name, value in self.rule.collect(self.progress).items()}
        now, (then, step) = time.monotonic(), self._logged
        self._logged = (now, self.step)
        metrics["speed/steps_per_second"] = (self.step - step) / max(now - then, 1e-9)
        metrics["budget/samples"] = self.samples
        metrics["budget/minutes"] = self.elapsed / 60
        return metrics

    def _notify_listener(self, metrics: Mapping[str, float]) -> None:
        assert self.listener
        rate = (self.step - self._began[1]) / max(time.monotonic() - self._began[0], 1e-9)
        total = max(self.step, round(self.step / self.progress)) if self.train.minutes else self._budget_steps
        left = max(0.0, 60 * self.train.minutes - self.elapsed) if self.train.minutes else (total - self.step) / rate
        self.listener.on_log(self.step, total, metrics, rate, left)

    def _validate(self) -> dict[str, float]:
        """Means over all validation windows, of raw weights, with the same noise each time and none of training's."""
        assert self.validation is not None
        count, seed = len(self.validation), stream_seed(self.train.seed, "validation")
        generator = torch.Generator(self.device).manual_seed(seed)
        context = StepContext(self.step, self.progress, generator)
        sums: dict[str, Tensor] = {}
        self.family.eval()
        # batches of equal size but for one window, and mixed: a tail of one would upset statistics across a batch, and
        # neighbours of one clip look to these as draws of a model that has collapsed
        order_N = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).to(self.device)
        for index_B in order_N.tensor_split(math.ceil(count / self.order.batch_size)):
            for name, value in self.rule.validate(self.validation.batch(index_B), context).items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.float() * len(index_B)
        self.family.train()
        means = self.family.conclude({name: float(value) / count for name, value in sums.items()})
        return means | dict(self.score(self.family, self.rule.averaged_weights()) if self.score else {})

    def _check(self) -> None:
        try:
            self.rule.check()
        except LearningError as error:
            raise self._named(error) from error
        self._since_log.clear()

    def _save(self) -> None:
        if self.step == self._saved or (self.checkpoints is None and self.ranks.size == 1):
            return
        self._check()
        self._check_equal(f"at step {self.step}")
        if self.journal:
            self.journal.sync()
        state: dict[str, Any] = {
            "rule": self.rule.state_dict(),
            "order": self.order.state_dict(),
            "generator": self.generator.get_state(),
            "elapsed": self.elapsed,
            "copying": self.copies.count,
            "windows": self._identity,
        }
        if self.checkpoints:
            weights = self.family.state_dict()
            save_checkpoint(self.checkpoints, Checkpoint(self.step, weights, self.rule.averaged_weights(), state))
        self._saved = self.step

    def _check_equal(self, when: str) -> None:
        """Raise ``RanksError`` where processes that train one model have parted: in weights, or in what comes next."""
        if self.ranks.size == 1:
            return
        order = self.order.state_dict()
        others = {
            "the set of windows": torch.tensor(list(self._identity.encode())),
            "the step": torch.tensor(self.step),
            "the order of windows": torch.cat((order["order"], torch.tensor([order["position"]]))),
            "the state of the noise generator": self.generator.get_state(),
        }
        self.ranks.check_equal(others | self.family.state_dict(), when)

    def _named(self, error: LearningError) -> TrainingError:
        return named_error(error, self.windows, self._since_log)


def _seconds(value: float) -> float:
    if not 0 <= float(value) < math.inf:
        raise ValueError(f"it took {value!r} seconds")
    return float(value)
