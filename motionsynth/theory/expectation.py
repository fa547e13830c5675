"""The product's adversarial losses, point by point, so that their expectation over a grid is exact.

The losses of ``motionsynth.losses.adversarial`` are means over a batch; here each is asked for one output at a time.

Shapes: N points of the grid.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.theory.density import mean

__all__ = ["critic_loss", "expected_critic", "expected_generator", "generator_loss", "minimax_loss"]


def expected_critic(
    critic: Callable[[Tensor, Tensor], Tensor], real_N: Tensor, fake_N: Tensor, output_N: Tensor
) -> Tensor:
    """A critic's loss over two densities; it must be a sum of one part over real and one over generated outputs.

    Args:
        critic: (B,) outputs on real and (B,) on generated windows -> scalar.
        real_N, fake_N: (N,) log masses.
        output_N: (N,) the critic's output at every point.
    """
    zero = torch.zeros(1, dtype=output_N.dtype)
    on_real_N = torch.vmap(lambda output: critic(output.unsqueeze(0), zero))(output_N)
    on_fake_N = torch.vmap(lambda output: critic(zero, output.unsqueeze(0)))(output_N)
    return mean(real_N, on_real_N) + mean(fake_N, on_fake_N) - critic(zero, zero)


def expected_generator(generator: Callable[[Tensor], Tensor], fake_N: Tensor, output_N: Tensor) -> Tensor:
    """A generator's loss over a density; see :func:`expected_critic`."""
    return mean(fake_N, torch.vmap(lambda output: generator(output.unsqueeze(0)))(output_N))


def critic_loss(real_N: Tensor, fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``-E_real[log D] - E_fake[log(1 - D)]``, what the critic of the non-saturating and minimax GAN minimises."""
    return expected_critic(OBJECTIVES["nonsaturating"].critic, real_N, fake_N, logit_N)


def generator_loss(fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``-E_fake[log D]``, what the non-saturating generator minimises."""
    return expected_generator(OBJECTIVES["nonsaturating"].generator, fake_N, logit_N)


def minimax_loss(fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``E_fake[log(1 - D)]``, what the minimax generator minimises."""
    return expected_generator(OBJECTIVES["minimax"].generator, fake_N, logit_N)
