"""What families share that have a critic: its penalty, and its loss on real and generated windows.

Shapes: B batch, T frames, D features, S numbers beside a window.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.families.base import FrozenConfig, Loss
from motionsynth.losses.adversarial import Objective, r1_penalty
from motionsynth.nn.critic import Critic

__all__ = ["Judged", "R1Config", "critic_loss"]


class R1Config(FrozenConfig):
    """Penalty on the critic's gradient at real windows (Mescheder et al., 2018)."""

    gamma: float = Field(100.0, ge=0)
    """Weight: ``gamma / 2 E[|grad|^2]`` is added to the critic's loss; 0 switches it off."""
    every: int = Field(4, ge=1)
    """Computed at steps that are multiples of it, weighted by it (lazy regularisation, Karras et al., 2020)."""


class Judged(NamedTuple):
    """Windows before a critic."""

    motion_BTD: Tensor
    mask_BT: Tensor
    side_BS: Tensor | None = None


def critic_loss(
    critic: Critic, real: Judged, fake: Judged, objective: Objective, r1: R1Config, *, step: int, penalise: bool
) -> Loss:
    """Tell real from generated; both go through the critic in one pass.

    Args:
        critic: it learns.
        real: windows of the data, or pairs of them and what belongs to them.
        fake: as many generated ones, without gradient.
        objective: the game.
        r1: its penalty.
        step: of the critic, for the lazy penalty.
        penalise: whether the penalty is computed at all; not in validation.
    """
    sides = None if real.side_BS is None or fake.side_BS is None else torch.cat((real.side_BS, fake.side_BS))
    motion, mask = torch.cat((real.motion_BTD, fake.motion_BTD)), torch.cat((real.mask_BT, fake.mask_BT))
    real_B, fake_B = critic(motion, mask, sides, parts=2).chunk(2)
    adversarial = total = objective.critic(real_B, fake_B)
    terms = {"adversarial": adversarial, "real_logit": real_B.mean(), "fake_logit": fake_B.mean()}
    if r1.gamma and penalise and step % r1.every == 0:
        # forward, not call: a compiled network (train.compile) cannot be differentiated twice
        penalty = r1_penalty(lambda real_BTD: critic.forward(real_BTD, real.mask_BT, real.side_BS), real.motion_BTD)
        total = adversarial + 0.5 * r1.gamma * r1.every * penalty
        terms["r1"] = penalty
    return Loss(total, {name: term.detach() for name, term in terms.items()})
