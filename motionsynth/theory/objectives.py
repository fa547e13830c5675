"""The product's adversarial losses, point by point, so that their expectation over a grid is exact.

The losses of ``motionsynth.losses.adversarial`` are means over logits; here each is asked for one logit at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionsynth.losses.adversarial import non_saturating_critic, non_saturating_generator
from motionsynth.theory.density import mean

__all__ = ["critic_loss", "generator_loss", "minimax_loss"]


def critic_loss(real_N: Tensor, fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``-E_real[log D] - E_fake[log(1 - D)]``, what the critic of the product minimises, over two densities.

    Args:
        real_N, fake_N: (N,) log masses.
        logit_N: (N,) the critic's logit at every point.
    """
    sure = torch.full((1,), torch.inf, dtype=logit_N.dtype)  # a critic that is right and sure adds nothing
    on_real_N = torch.vmap(lambda logit: non_saturating_critic(logit.unsqueeze(0), -sure))(logit_N)
    on_fake_N = torch.vmap(lambda logit: non_saturating_critic(sure, logit.unsqueeze(0)))(logit_N)
    return mean(real_N, on_real_N) + mean(fake_N, on_fake_N)


def generator_loss(fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``-E_fake[log D]``, what the non-saturating generator of the product minimises, over a density."""
    return mean(fake_N, torch.vmap(lambda logit: non_saturating_generator(logit.unsqueeze(0)))(logit_N))


def minimax_loss(real_N: Tensor, fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``E_real[log D] + E_fake[log(1 - D)]``, which the minimax generator minimises and the critic maximises."""
    return -critic_loss(real_N, fake_N, logit_N)
