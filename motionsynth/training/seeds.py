"""Several trainings that differ in their seed alone, a step of all of them at once.

On a GPU a step of small networks is a matter of how many operations are started, not of what they compute; stacked, S
models start as many as one. On a CPU arithmetic is what takes time, and stacking gains nothing.

Shapes: S seeds, B batch, V values that are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from motionsynth.config import RunConfig
from motionsynth.corpus.windows import Batch
from motionsynth.errors import MotionSynthError
from motionsynth.families.backbone import BasisConfig
from motionsynth.families.base import Family, Loss, Phase, StepContext
from motionsynth.families.capabilities import LearnsByEM
from motionsynth.training.rules import GradientRule, Measurement, new_adam, scheduled_rate
from motionsynth.training.trainer import Trainer

__all__ = ["SeedBatch", "train_stacked", "unstackable"]

_T = TypeVar("_T")


def unstackable(family: Family, config: RunConfig) -> str | None:
    """Reason why trainings of a family cannot take their steps at once; None where they can."""
    if isinstance(family, LearnsByEM):
        return f"{config.family.name} learns in closed form"
    if not isinstance(config.family.basis, BasisConfig):
        return "only networks on coefficients gain by it (family.backbone.kind: basis)"
    if config.train.compile:
        return "train.compile is of one model"
    if config.train.minutes:
        return "seeds would share train.minutes; a budget in steps, samples or passes would be each one's own"
    return family.unstackable


class SeedBatch:
    """A step of S gradient rules as one: one forward and backward pass, and one move of Adam, of stacked weights.

    Weights, buffers, moving averages and Adam's sums of every rule become slices of stacked tensors, so that each rule
    goes on validating, averaging and saving by itself and can later learn alone. Every seed has the batch, the noise
    and the order of operations of its single training; products of stacked matrices and reductions may round
    otherwise. A seed whose numbers stop being finite spoils none but its own slices; its ``check`` tells of it.

    Args:
        rules: of families that are alike, on one device, that have taken as many steps.
    """

    def __init__(self, rules: Sequence[GradientRule]) -> None:
        self.rules, first = rules, rules[0]
        self.family, self.train = first.family, first.train
        self._weights = _stacked([dict(rule.family.named_parameters()) for rule in rules])
        self._buffers = _stacked([dict(rule.family.named_buffers()) for rule in rules])
        self._averages = _stacked([rule.averages for rule in rules])
        names = {weight: name for name, weight in first.family.named_parameters()}
        self._names = {phase: [names[weight] for weight in weights] for phase, weights in first.learners.items()}
        self._optimisers = {phase: self._new_adam(phase) for phase in self._names}
        self._seed_S = torch.arange(len(rules), device=first.device)
        self._loss = _Loss(first)

    def _new_adam(self, phase: str) -> torch.optim.AdamW:
        names, optimisers = self._names[phase], [rule.optimisers[phase] for rule in self.rules]
        adam = new_adam([self._weights[name] for name in names], self.rules[0].optimise[phase])
        for place, name in enumerate(names):
            own = [rule.learners[phase][place] for rule in self.rules]
            states: list[dict[str, Tensor]] = [optimiser.state[w] for optimiser, w in zip(optimisers, own, strict=True)]
            for state, weight in zip(states, own, strict=True):
                if not state:  # as Adam has it before its first move
                    state |= {"step": torch.zeros((), device=weight.device)}
                    state |= {key: torch.zeros_like(weight) for key in ("exp_avg", "exp_avg_sq")}
            for state in states:
                state["step"] = states[0]["step"]  # one clock
            sums = _stacked([{key: value for key, value in state.items() if key != "step"} for state in states])
            adam.state[self._weights[name]] = {"step": states[0]["step"], **sums}
        return adam

    def step(self, batch: Batch, contexts: Sequence[StepContext]) -> None:
        """Run every due phase for all seeds, then move the averages.

        Args:
            batch: each seed's, stacked: (S, B, ...).
            contexts: one a seed, all at the same step and share of the budget.
        """
        context = _Together(*contexts[0])
        context.generators = [one.generator for one in contexts]
        for phase in self.family.phases:
            if context.step % phase.every == 0:
                self._learn(phase, batch, context)
        if decay := self.train.ema_decay:
            decay = min(decay, (1 + context.step) / (10 + context.step))
            with torch.no_grad():
                torch._foreach_lerp_(list(self._averages.values()), list(self._weights.values()), 1 - decay)

    def _learn(self, phase: Phase, batch: Batch, context: _Together) -> None:
        learners, optimiser = [self._weights[name] for name in self._names[phase.name]], self._optimisers[phase.name]
        for name, weight in self._weights.items():
            weight.requires_grad_(name in self._names[phase.name])

        def loss(weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Batch, seed: Tensor) -> Loss:
            context.seed = seed
            state = {f"family.{name}": value for of in (weights, buffers) for name, value in of.items()}
            return cast("Loss", functional_call(self._loss, state, (phase, batch, context)))

        found: Loss = vmap(loss)(self._weights, self._buffers, batch, self._seed_S)
        found.total.sum().backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for weight in learners if weight.grad is not None]
        with torch.no_grad():
            norm_S = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in gradients]).norm(dim=0)
            if most := self.train.clip_norm:
                share_S = (most / (norm_S + 1e-6)).clamp(max=1.0)
                for grad in gradients:
                    grad.mul_(share_S.view(-1, *[1] * (grad.ndim - 1)))
            values_SV = torch.stack([v.detach().float() for v in (found.total, *found.terms.values(), norm_S)], 1)
        names = ("total", *found.terms, "gradient_norm")
        for rule, values_V in zip(self.rules, values_SV.unbind(), strict=True):
            rule.measured.append(Measurement(context.step, phase.name, names, values_V))
        for group in optimiser.param_groups:
            group["lr"] = scheduled_rate(self.rules[0].optimise[phase.name], context.progress)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def _stacked(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """(S, ...) tensors by name, of which every part's own become slices."""
    stacks = {}
    for name in parts[0]:
        stacks[name] = torch.stack([part[name].detach() for part in parts])
        for part, slice_ in zip(parts, stacks[name].unbind(), strict=True):
            part[name].data = slice_
    return stacks


class _Loss(nn.Module):
    """A rule's loss as a module's ``forward``, so that other weights can take the place of its family's."""

    def __init__(self, rule: GradientRule) -> None:
        super().__init__()
        self.family, self._loss = rule.family, rule.loss

    def forward(self, phase: Phase, batch: Batch, context: StepContext) -> Loss:
        return self._loss(phase, batch, context)


class _Together(StepContext):
    """The context of a step of several seeds, inside ``vmap``: each gets the numbers that its own generator gives."""

    generators: Sequence[torch.Generator]
    seed: Tensor
    """The seed's number, as ``vmap`` sees it."""

    def drawn(self, sampler: Callable[..., Tensor], count: int, *sizes: int) -> Tensor:
        """(count, *sizes) numbers of one of torch's samplers."""

        def draw(generator: torch.Generator) -> Tensor:
            return sampler((count, *sizes), generator=generator, device=generator.device)

        drawn: Tensor = _OfEachSeed.apply(self.seed, draw, self.generators)  # type: ignore[no-untyped-call]
        return drawn


class _OfEachSeed(torch.autograd.Function):
    """S draws by S generators, for which ``vmap`` has no rule of its own."""

    @staticmethod
    def forward(seed: Tensor, draw: Callable[..., Tensor], generators: Sequence[torch.Generator]) -> Tensor:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: Any, dims: Any, seed_S: Tensor, draw: Callable[..., Tensor], generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, int]:
        return torch.stack([draw(generator) for generator in generators]), 0


def train_stacked(trainings: Sequence[Generator[Trainer, bool, _T]]) -> list[_T | MotionSynthError]:
    """Train several at once to their ends; one that fails leaves the others alone.

    Those that have taken the fewest steps go on first, so that trainings that were stopped at different steps meet.

    Args:
        trainings: each stops before a step, with the trainer that is to take it, as ``Trainer.moves`` does.

    Returns:
        What each gave in the end, or the error that ended it.
    """
    ends: dict[int, _T | MotionSynthError] = {}
    due: dict[int, Trainer] = {}

    def go_on(place: int, taken: bool | None) -> None:
        due.pop(place, None)
        try:
            # the first move of a generator takes nothing
            due[place] = next(trainings[place]) if taken is None else trainings[place].send(taken)
        except StopIteration as end:
            ends[place] = end.value
        except MotionSynthError as error:
            ends[place] = error

    for place in range(len(trainings)):
        go_on(place, None)
    batch: SeedBatch | None = None
    while due:
        step = min(trainer.step for trainer in due.values())
        together = {place: trainer for place, trainer in due.items() if trainer.step == step}
        rules = [cast("GradientRule", trainer.rule) for trainer in together.values()]
        if batch is None or batch.rules != rules:
            batch = SeedBatch(rules)
        try:
            _take_step(batch, list(together.values()))
        except BaseException as error:
            for place in due:
                with suppress(type(error)):
                    trainings[place].throw(error)  # each notes why it ends
            raise
        for place in together:
            go_on(place, True)
    return [ends[place] for place in range(len(trainings))]


def _take_step(batch: SeedBatch, trainers: Sequence[Trainer]) -> None:
    index_SB = torch.stack([trainer.due_B for trainer in trainers])
    motion, mask, labels = trainers[0].windows.batch(index_SB.flatten())

    def by_seed(rows: Tensor) -> Tensor:
        return rows.view(*index_SB.shape, *rows.shape[1:])

    windows = Batch(by_seed(motion), by_seed(mask), {name: by_seed(value) for name, value in labels.items()})
    batch.step(windows, [trainer.context() for trainer in trainers])
