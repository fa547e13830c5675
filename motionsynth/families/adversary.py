"""Parts of families with a critic: its penalties, its loss, its calibration, and a network as it was.

Shapes: B batch, T frames, D features, S numbers beside a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.func import functional_call

from motionsynth.families.base import Loss
from motionsynth.losses.adversarial import Objective, gradient_penalty, r1_penalty
from motionsynth.losses.divergences import capped_share
from motionsynth.nn.critic import Critic
from motionsynth.settings import FrozenConfig

__all__ = [
    "Anchor",
    "Judged",
    "ProximalConfig",
    "R1Config",
    "adversary_terms",
    "calibration_error",
    "calibration_terms",
    "critic_loss",
    "slope_penalty",
]

_BINS = 10
_GAP = "calibration_gap_"


class R1Config(FrozenConfig):
    """Penalty on the critic's gradient at real windows (Mescheder et al., 2018)."""

    gamma: float = Field(100.0, ge=0)
    """Weight: ``gamma / 2 E[|grad|^2]`` is added to the critic's loss; 0 switches it off."""
    every: int = Field(4, ge=1)
    """Computed at steps that are multiples of it, weighted by it (lazy regularisation, Karras et al., 2020)."""

    def due(self, step: int) -> bool:
        """True where the penalty is computed at that step of the critic."""
        return self.gamma > 0 and step % self.every == 0

    @property
    def weight(self) -> float:
        """Weight of the penalty at a step where it is due."""
        return 0.5 * self.gamma * self.every


class ProximalConfig(FrozenConfig):
    """A pull of a network's output towards what the network gave before: ``weight |G(z) - G0(z)|^2``."""

    weight: float = Field(1e-5, ge=0)
    """``1 / (2 sigma^2)`` of the source notes, for a squared error summed over frames and features; 0 is the control:
    the same steps without the pull."""
    refresh: int = Field(4)
    """Steps of the network from one copy of it, G0, to the next; at the first of them the pull is zero."""

    @field_validator("refresh")
    @classmethod
    def _moves(cls, refresh: int) -> int:
        if refresh < 2:
            raise ValueError(
                "must be 2 or more: right after a copy G is G0, so that with one step per copy the gradient of the "
                "proximal term is exactly zero, and the model is the one without it"
            )
        return refresh


class Judged(NamedTuple):
    """Windows before a critic."""

    motion_BTD: Tensor
    mask_BT: Tensor
    side_BS: Tensor | None = None


def critic_loss(
    critic: Critic,
    real: Judged,
    fake: Judged,
    objective: Objective,
    r1: R1Config,
    *,
    step: int,
    penalise: bool,
    calibrate: bool = False,
) -> Loss:
    """Classify real and generated; both go through the critic in one pass.

    Args:
        critic: it learns.
        real: windows of the data, or pairs of them and what belongs to them.
        fake: as many generated ones, without gradient.
        objective: the game.
        r1: its penalty.
        step: of the critic, for the lazy penalty.
        penalise: whether the penalty is computed at all; not in validation.
        calibrate: adds terms for how far the critic's probabilities can be trusted; ``calibration_error`` makes
            one number of their means.
    """
    sides = None if real.side_BS is None or fake.side_BS is None else torch.cat((real.side_BS, fake.side_BS))
    motion, mask = torch.cat((real.motion_BTD, fake.motion_BTD)), torch.cat((real.mask_BT, fake.mask_BT))
    real_B, fake_B = critic(motion, mask, sides, parts=2).chunk(2)
    adversarial = total = objective.critic(real_B, fake_B)
    terms = {"adversarial": adversarial} | adversary_terms(objective, real_B.detach(), fake_B.detach())
    if calibrate:
        terms |= calibration_terms(objective, real_B.detach(), fake_B.detach())
    if penalise and r1.due(step):
        # forward, not call: a compiled network (train.compile) cannot be differentiated twice
        penalty = r1_penalty(lambda real_BTD: critic.forward(real_BTD, real.mask_BT, real.side_BS), real.motion_BTD)
        total = adversarial + r1.weight * penalty
        terms["r1"] = penalty
    return Loss(total, {name: term.detach() for name, term in terms.items()})


def slope_penalty(critic: Critic, real: Judged, fake: Judged, mix_B: Tensor) -> Tensor:
    """``E[(|grad_x v| - 1)^2]`` between real and generated windows under the masks and sides of the real ones.

    Args:
        critic: it learns.
        real: windows of the data.
        fake: as many generated ones.
        mix_B: (B,) shares of the real ones, uniform in [0, 1).
    """
    return gradient_penalty(
        lambda motion_BTD: critic.forward(motion_BTD, real.mask_BT, real.side_BS),
        real.motion_BTD,
        fake.motion_BTD,
        mix_B,
    )


def adversary_terms(objective: Objective, real_B: Tensor, fake_B: Tensor) -> dict[str, Tensor]:
    """Means of a critic's outputs, how often it is right, and how often an exponential was capped.

    Args:
        objective: the game.
        real_B: (B,) outputs on real windows.
        fake_B: (B,) outputs on generated windows.
    """
    terms = {"real_logit": real_B.mean(), "fake_logit": fake_B.mean()}
    if objective.log_ratio:
        terms["real_accuracy"] = (objective.log_ratio(real_B) > 0).float().mean()
        terms["fake_accuracy"] = (objective.log_ratio(fake_B) < 0).float().mean()
    if objective.critic_exponents:
        terms["capped"] = capped_share(objective.critic_exponents(real_B, fake_B))
    return terms


def calibration_terms(objective: Objective, real_B: Tensor, fake_B: Tensor) -> dict[str, Tensor]:
    """Calibration of ``D = sigmoid(log p/q)`` as a probability: means over windows, so that batches add up.

    ``log_likelihood`` is that of real and generated, ``1/2 E_p[log D] + 1/2 E_q[log(1 - D)] + log 2``, in nats above
    chance: at most the Jensen-Shannon divergence, which the optimal critic attains. ``calibration_gap_k`` is the sum of
    ``D - [real]`` over windows with D in the k-th tenth, over all windows.

    Args:
        objective: the game; without a log-ratio there is no calibration.
        real_B: (B,) outputs on real windows.
        fake_B: (B,) outputs on generated windows.
    """
    if objective.log_ratio is None or objective.estimate is None:
        return {}
    logit_B = torch.cat((objective.log_ratio(real_B), objective.log_ratio(fake_B)))
    is_real_B = torch.cat((torch.ones_like(real_B), torch.zeros_like(fake_B)))
    surprise = nn.functional.binary_cross_entropy_with_logits(logit_B, is_real_B)
    d_B = logit_B.sigmoid()
    bin_B = (d_B * _BINS).long().clamp(max=_BINS - 1)
    gap_K = torch.zeros(_BINS, device=d_B.device).index_add(0, bin_B, d_B - is_real_B) / len(d_B)
    terms = {f"{_GAP}{k}": gap for k, gap in enumerate(gap_K.unbind())}
    chance = torch.tensor(2.0, device=d_B.device).log()
    return terms | {"log_likelihood": chance - surprise, "divergence": objective.estimate(real_B, fake_B)}


def calibration_error(means: Mapping[str, float], phase: str = "critic") -> dict[str, float]:
    """The means with ``calibration_error`` in place of the gaps: the expected calibration error of ten bins.

    References:
        Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.

    Args:
        means: of a validation, by ``PHASE/TERM``.
        phase: that ``calibration_terms`` are of.
    """
    prefix = f"{phase}/{_GAP}"
    kept = {name: value for name, value in means.items() if not name.startswith(prefix)}
    gaps = [abs(value) for name, value in means.items() if name.startswith(prefix)]
    return kept | ({f"{phase}/calibration_error": sum(gaps)} if gaps else {})


class Anchor(nn.Module):
    """An exact copy of a network's weights, G0, in buffers: no optimiser sees it and checkpoints hold it.

    Args:
        network: what is copied; it may not be stochastic, or G0(z) would differ from G(z) by more than the weights.

    Raises:
        ValueError: it has a dropout layer.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name, part in network.named_modules():
            if isinstance(part, nn.modules.dropout._DropoutNd) and part.p:
                raise ValueError(f"the proximal term needs a network without chance, but {name} is a dropout layer")
        for name, tensor in _state(network).items():
            self.register_buffer(_key(name), tensor.detach().clone())

    @torch.no_grad()
    def refresh(self, network: nn.Module) -> None:
        """Copy the weights that it has now."""
        for name, tensor in _state(network).items():
            self.get_buffer(_key(name)).copy_(tensor)

    @torch.no_grad()
    def recall(self, network: nn.Module, *inputs: Any) -> Tensor:
        """Output of the network for these inputs at the last refresh, without gradient."""
        state = {name: self.get_buffer(_key(name)) for name in _state(network)}
        recalled: Tensor = functional_call(network, state, inputs)
        return recalled


def _state(network: nn.Module) -> dict[str, Tensor]:
    return dict(chain(network.named_parameters(), network.named_buffers()))


def _key(name: str) -> str:
    return name.replace(".", "/")  # a buffer's name may hold no point
