"""Gaussian posteriors of latents: an encoder's output, its draws, and the bound by importance that they give.

Shapes: B batch, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.condition import Condition
from motionsynth.families.likelihood import Likelihood
from motionsynth.losses.likelihood import gaussian_nll

__all__ = ["GaussianEncoder", "draw_posterior", "importance_weighted_bound", "split_posterior"]


class GaussianEncoder(Protocol):
    """A family with a Gaussian encoder, a decoder, and N(0, I) as the prior of its latents."""

    condition: Condition

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, Z) means and (B, Z) log variances."""
        ...

    def decode(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, T, D) normalised features."""
        ...


def split_posterior(output_B2Z: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 2 Z) outputs of an encoder -> (B, Z) means and (B, Z) log variances, the latter kept in [-20, 10]."""
    mean_BZ, log_variance_BZ = output_B2Z.chunk(2, 1)
    return mean_BZ, log_variance_BZ.clamp(-20.0, 10.0)


def draw_posterior(mean_BZ: Tensor, log_variance_BZ: Tensor, noise_BZ: Tensor) -> Tensor:
    """(B, Z) ``mean + noise * sqrt(variance)``."""
    return mean_BZ + noise_BZ * torch.exp(0.5 * log_variance_BZ)


@torch.no_grad()
def importance_weighted_bound(
    family: GaussianEncoder, likelihood: Likelihood, batch: Batch, samples: int, *, generator: torch.Generator
) -> Tensor:
    """``log 1/K sum_k q(x|z_k) q(z_k) / p(z_k|x)``, ``z_k ~ p(z|x)``: at most log q(x) in expectation, which it nears.

    One sample is the evidence lower bound by one draw; the expectation never falls with more.

    References:
        Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2016.

    Args:
        family: encoder and decoder.
        likelihood: q(x|z), with its running spread.
        batch: windows.
        samples: K.
        generator: source of randomness, on the device.

    Returns:
        (B,) float64, in nats a window.

    Raises:
        ValueError: fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"a bound takes 1 sample or more, not {samples}")
    mean_BZ, log_variance_BZ = family.posterior(batch)
    side_BS = family.condition.of(batch)
    one = torch.ones((), device=mean_BZ.device)
    total_B = torch.full((len(mean_BZ),), -math.inf, dtype=torch.float64, device=mean_BZ.device)
    for _ in range(samples):  # a whole batch each, so as to hold one batch of decoded windows at a time
        noise_BZ = torch.randn(mean_BZ.shape, generator=generator, device=generator.device)
        z_BZ = draw_posterior(mean_BZ, log_variance_BZ, noise_BZ)
        # log q(z) - log p(z|x), the constants of both densities cancelling
        ratio_B = gaussian_nll(noise_BZ.square(), one, one).sum(1) - gaussian_nll(z_BZ.square(), one, one).sum(1)
        ratio_B = ratio_B + 0.5 * log_variance_BZ.sum(1)
        weight_B = likelihood.log_density(batch, family.decode(z_BZ, side_BS)) + ratio_B
        total_B = torch.logaddexp(total_B, weight_B.double())
    return total_B - math.log(samples)
