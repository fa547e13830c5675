"""Learning by gradient, for families of networks, and the choice of the rule that a family learns by.

Shapes: B batch, T frames, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from motionsynth.config import TrainConfig
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import AdamConfig, Family, FamilyConfig, Loss, Phase, StepContext
from motionsynth.families.capabilities import LearnsByEM
from motionsynth.training.distributed import Ranks
from motionsynth.training.em import EMRule
from motionsynth.training.rule import LearningRule, NonFiniteError

__all__ = [
    "GradientRule",
    "Measurement",
    "new_adam",
    "rule_for",
    "scheduled_rate",
]


def rule_for(family: Family, config: FamilyConfig, train: TrainConfig, ranks: Ranks | None = None) -> LearningRule:
    """The rule that a family learns by, on one process or several; the only place that asks."""
    if isinstance(family, LearnsByEM):
        return EMRule(family, config, train, ranks)
    return GradientRule(family, config.optimise, train, ranks=ranks)


class Measurement(NamedTuple):
    """One phase of one step, as it is kept until the next row of the journal."""

    step: int
    phase: str
    names: tuple[str, ...]
    values: Tensor | list[float]


class GradientRule:
    """Each due phase in turn: freeze all but what it trains, loss, backward, clip, check, Adam step; then the average.

    Where several processes train one model, gradients, losses and terms are averaged over them after each backward, in
    one round. All that follows is computed from those means, so that every process makes the same move, or none.

    Losses and gradient norms are checked before the optimiser moves a weight. On a CPU that is immediate. On a GPU
    waiting for the answer would stall every step, so a flag on the device makes the optimiser skip from the first bad
    phase on, weights stay as they were, and ``check`` tells the step, phase and terms when it is next called.

    The average of weights (Polyak & Juditsky, 1992) is ``a <- d a + (1 - d) w`` with
    ``d = min(ema_decay, (1 + step) / (10 + step))``, so that initial weights do not linger in short runs.

    Args:
        family: its parameters are on the device to train on.
        optimise: phase name -> Adam's settings.
        train: precision, clipping, averaging, compilation.
        deferred: whether checks wait for ``check``; None decides by device.
        ranks: the processes that train the family; this one alone where None.
    """

    def __init__(
        self,
        family: Family,
        optimise: Mapping[str, AdamConfig],
        train: TrainConfig,
        *,
        deferred: bool | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.family, self.train, self.ranks = family, train, ranks or Ranks()
        self.device = next(family.parameters()).device
        self.deferred = self.device.type != "cpu" if deferred is None else deferred
        self.optimise = dict(optimise)
        self.learners = {phase.name: _learners(family, phase) for phase in family.phases}
        self.optimisers = {name: new_adam(learners, optimise[name]) for name, learners in self.learners.items()}
        self._broken = torch.zeros((), device=self.device)
        self.measured: list[Measurement] = []
        self._thawed: str | None = ""  # no phase: what is frozen at first is not known
        self._weights = dict(family.named_parameters())
        self.averages = (
            {name: weight.detach().clone() for name, weight in self._weights.items()} if train.ema_decay else {}
        )
        if train.compile:
            for network in family.children():
                network.compile()

    def step(self, batch: Batch, context: StepContext) -> None:
        """Run every due phase, then move the average."""
        for phase in self.family.phases:
            if context.step % phase.every == 0:
                self._learn(phase, batch, context)
        if self.train.ema_decay:
            decay = min(self.train.ema_decay, (1 + context.step) / (10 + context.step))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.averages.values()), list(self._weights.values()), 1 - decay)

    def _learn(self, phase: Phase, batch: Batch, context: StepContext) -> None:
        learners, optimiser = self.learners[phase.name], self.optimisers[phase.name]
        self._thaw(phase.name)
        loss = self.loss(phase, batch, context)
        loss.total.backward()  # type: ignore[no-untyped-call]
        names = ("total", *loss.terms)
        values = torch.stack([v.detach().float() for v in (loss.total, *loss.terms.values())])
        values = self.ranks.mean_gradients(learners, values)
        norm = get_total_norm([weight.grad for weight in learners if weight.grad is not None])
        if self.train.clip_norm:
            clip_grads_with_norm_(learners, self.train.clip_norm, norm)
        self._measure(phase, (*names, "gradient_norm"), torch.cat((values, norm.detach().float()[None])), context)
        for group in optimiser.param_groups:
            group["lr"] = scheduled_rate(self.optimise[phase.name], context.progress)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def _thaw(self, phase: str | None) -> None:
        """Freeze all weights but those that a phase trains."""
        if phase == self._thawed:
            return
        self.family.requires_grad_(False)
        for weight in self.learners[phase] if phase else ():
            weight.requires_grad_(True)
        self._thawed = phase

    def loss(self, phase: Phase, batch: Batch, context: StepContext) -> Loss:
        """Loss of a phase on a batch, in the precision of the run."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.train.precision == "bf16"):
            return phase.loss(batch, context)

    def _measure(self, phase: Phase, names: tuple[str, ...], values: Tensor, context: StepContext) -> None:
        """Note loss, terms and norm, and let nothing through to the optimiser that is not finite."""
        if len(set(names)) < len(names):
            raise ValueError(f"phase {phase.name}: a term may not be called total or gradient_norm")
        if self.deferred:
            torch.maximum(self._broken, (~(values[0] + values[-1]).isfinite()).float(), out=self._broken)
            self.optimisers[phase.name].found_inf = self._broken  # type: ignore[attr-defined]
            self.measured.append(Measurement(context.step, phase.name, names, values))
        else:
            self.measured.append(Measurement(context.step, phase.name, names, values.tolist()))
            _check(self.measured[-1])

    def check(self) -> None:
        """Fetch what was measured since the last call, in one copy for each phase, and raise for the first bad one."""
        waiting: dict[tuple[str, ...], list[int]] = {}
        for place, measured in enumerate(self.measured):
            if isinstance(measured.values, Tensor):
                waiting.setdefault(measured.names, []).append(place)
        for places in waiting.values():
            rows = torch.stack([torch.as_tensor(self.measured[place].values) for place in places]).tolist()
            for place, values in zip(places, rows, strict=True):
                self.measured[place] = self.measured[place]._replace(values=values)
        for measured in self.measured:
            _check(measured)

    def collect(self, progress: float) -> dict[str, float]:
        """Means since the last call of each phase's total, terms and gradient norm, and the learning rates now."""
        self.check()
        seen: dict[str, list[float]] = {}
        for measured in self.measured:
            for name, value in zip(measured.names, measured.values, strict=True):
                seen.setdefault(f"{measured.phase}/{name}", []).append(float(value))
        self.measured = []
        rates = {f"{name}/learning_rate": scheduled_rate(adam, progress) for name, adam in self.optimise.items()}
        return {name: math.fsum(values) / len(values) for name, values in seen.items()} | rates

    def validate(self, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """Every phase's total and terms with the raw weights, due or not.

        All weights are frozen, so a graph is only built where a loss itself asks for one, as gradient penalties do.
        """
        self._thaw(None)
        losses = {phase.name: self.loss(phase, batch, context) for phase in self.family.phases}
        return {
            f"{phase}/{name}": value.detach()
            for phase, loss in losses.items()
            for name, value in (("total", loss.total), *loss.terms.items())
        }

    @property
    def whole_passes(self) -> bool:
        """False: batches of one size make gradients of one spread."""
        return False

    @property
    def converged(self) -> bool:
        """Never: a gradient's budget ends it."""
        return False

    def end_pass(self) -> None:
        """Nothing: each step is complete in itself."""

    def finish(self) -> None:
        """Nothing: any number of steps leaves a model."""

    def averaged_weights(self) -> dict[str, Tensor]:
        """The moving average of every parameter, with the buffers as they are; empty without ``ema_decay``."""
        return self.family.state_dict() | self.averages if self.averages else {}

    def load_averaged_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Put back a moving average."""
        for name, average in self.averages.items():
            average.copy_(weights[name])

    def state_dict(self) -> dict[str, Any]:
        """Optimisers by phase, and what was measured since the last row of the journal."""
        self.check()
        return {
            "optimisers": {name: _own_sums(optimiser.state_dict()) for name, optimiser in self.optimisers.items()},
            "measured": [tuple(measured) for measured in self.measured],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back optimisers and measurements; ``ValueError`` where they are of other weights."""
        for name, optimiser in self.optimisers.items():
            saved, own = state["optimisers"][name], optimiser.state_dict()
            # what Adam has summed up and its last rate; all other settings are the configuration's
            groups = [
                {**group, "lr": float(there["lr"])}
                for group, there in zip(own["param_groups"], saved["param_groups"], strict=True)
            ]
            optimiser.load_state_dict({"state": saved["state"], "param_groups": groups})
            for weight, sums in optimiser.state.items():
                shapes = {key: tuple(sums[key].shape) for key in ("exp_avg", "exp_avg_sq")}
                if set(shapes.values()) != {tuple(weight.shape)} or sums["step"].numel() != 1:
                    raise ValueError(f"the optimiser of phase {name} is one of other weights")
        measured = [Measurement(*entry) for entry in state["measured"]]
        for entry in measured:
            if len(entry.names) != len(entry.values) or entry.phase not in self.optimise:
                raise ValueError(f"a measurement of phase {entry.phase!r} is not one of this family")
            _check(entry)
        self.measured = measured


def new_adam(weights: Sequence[Tensor], adam: AdamConfig) -> torch.optim.AdamW:
    """Adam with a phase's settings, as one kernel for all weights."""
    return torch.optim.AdamW(
        weights, lr=adam.lr, betas=adam.betas, eps=adam.eps, weight_decay=adam.weight_decay, fused=True
    )


def scheduled_rate(adam: AdamConfig, progress: float) -> float:
    """The step size at a share of the budget: constant, then linear to zero over the last ``decay_share``."""
    if progress <= 1 - adam.decay_share:
        return adam.lr
    return adam.lr * max(0.0, 1 - progress) / adam.decay_share


def _own_sums(state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state without the storage around its tensors, where these are slices of larger ones."""
    sums = {index: {name: value.clone() for name, value in of.items()} for index, of in state["state"].items()}
    return {**state, "state": sums}


def _learners(family: Family, phase: Phase) -> list[nn.Parameter]:
    def of(name: str) -> Iterator[nn.Parameter]:
        network = getattr(family, name)
        return iter((network,)) if isinstance(network, nn.Parameter) else network.parameters()

    learners = list(dict.fromkeys(weight for name in phase.trains for weight in of(name)))
    if not learners:
        raise ValueError(f"phase {phase.name} trains {', '.join(phase.trains) or 'nothing'}: no weights there")
    return learners


def _check(measured: Measurement) -> None:
    values = dict(zip(measured.names, map(float, measured.values), strict=True))
    total, norm = values.pop("total"), values.pop("gradient_norm")
    if math.isfinite(total) and math.isfinite(norm):
        return
    bad = [f"loss term {name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if not math.isfinite(total):
        bad.append(f"the total loss is {total}")
    if not math.isfinite(norm):
        bad.append(f"the gradient norm is {norm}")
    raise NonFiniteError(measured.step, measured.phase, ", ".join(bad))
