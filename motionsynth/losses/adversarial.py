"""What a critic and a generator minimise: pure functions of logits, one reference each.

Shapes: B batch, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["OBJECTIVES", "Objective", "non_saturating_critic", "non_saturating_generator", "r1_penalty"]


@dataclass(frozen=True, slots=True)
class Objective:
    """A game of two: what the critic minimises, and what the generator does."""

    critic: Callable[[Tensor, Tensor], Tensor]
    """(B,) logits of real windows and (B,) logits of generated ones -> scalar."""
    generator: Callable[[Tensor], Tensor]
    """(B,) logits of generated windows -> scalar, small where they pass for real."""


def non_saturating_critic(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """``-E_real[log D] - E_fake[log(1 - D)]`` with ``D = sigmoid(logit)``; 2 log 2 where the critic cannot tell.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014.

    Args:
        real_B: (B,) logits of real windows.
        fake_B: (B,) logits of generated windows.
    """
    return F.softplus(-real_B).mean() + F.softplus(fake_B).mean()


def non_saturating_generator(fake_B: Tensor) -> Tensor:
    """``-E_fake[log D]`` with ``D = sigmoid(logit)``; log 2 where the critic cannot tell.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014, section 3.

    Args:
        fake_B: (B,) logits of generated windows.
    """
    return F.softplus(-fake_B).mean()


def r1_penalty(critic: Callable[[Tensor], Tensor], motion_BTD: Tensor) -> Tensor:
    """``E_real[|grad_x logit(x)|^2]``, the mean squared norm of the critic's gradient on real windows.

    Computed in float32 also under autocast: a gradient of a gradient loses too much in bfloat16.

    References:
        Mescheder, Geiger & Nowozin, Which Training Methods for GANs do actually Converge?, 2018.

    Args:
        critic: (B, T, D) -> (B,) logits.
        motion_BTD: (B, T, D) real windows.
    """
    motion_BTD = motion_BTD.detach().requires_grad_()
    with torch.enable_grad(), torch.autocast(motion_BTD.device.type, enabled=False):
        (gradient_BTD,) = torch.autograd.grad(critic(motion_BTD).sum(), motion_BTD, create_graph=True)
    return gradient_BTD.square().sum((1, 2)).mean()


OBJECTIVES: Final[dict[str, Objective]] = {
    "nonsaturating": Objective(non_saturating_critic, non_saturating_generator),
}
"""Name in a configuration -> the game."""
