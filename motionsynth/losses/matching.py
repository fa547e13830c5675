"""Distances of codes from the distribution that they are to follow: pure functions, one reference each.

Shapes: B batch, Z latent dimensions, K components.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mmd_to_mixture", "mmd_to_standard_normal"]


def mmd_to_mixture(z_BZ: Tensor, mean_KZ: Tensor, sigma: float) -> Tensor:
    """Unbiased squared maximum mean discrepancy between draws and ``1/K sum_k N(mean_k, sigma^2 I)``.

    Gaussian kernel of variance Z, ``k(a, b) = exp(-|a - b|^2 / (2 Z))``; expectations over the mixture are taken in
    closed form, so nothing is drawn: ``E_y k(x, y) = 1/K sum_k (Z / (Z + sigma^2))^(Z/2) exp(-|x - mean_k|^2 /
    (2 (Z + sigma^2)))``, and likewise with 2 sigma^2 for two draws of the mixture.

    References:
        Gretton et al., A Kernel Two-Sample Test, 2012.

    Args:
        z_BZ: (B, Z) draws, B at least 2.
        mean_KZ: (K, Z) means.
        sigma: standard deviation of every component.

    Returns:
        Scalar; zero in expectation where the draws follow the mixture, so it can be slightly negative.
    """
    z_BZ, mean_KZ = z_BZ.float(), mean_KZ.float()
    count, width = z_BZ.shape

    def smoothed(a: Tensor, b: Tensor, variance: float) -> Tensor:
        scale: float = (width / (width + variance)) ** (width / 2)
        return scale * torch.exp(-torch.cdist(a, b).square() / (2 * (width + variance)))

    within = smoothed(z_BZ, z_BZ, 0.0)
    within_mean = (within.sum() - within.diagonal().sum()) / (count * (count - 1))
    across = smoothed(z_BZ, mean_KZ, sigma**2).mean()
    return within_mean - 2 * across + smoothed(mean_KZ, mean_KZ, 2 * sigma**2).mean()


def mmd_to_standard_normal(z_BZ: Tensor) -> Tensor:
    """``mmd_to_mixture`` of one component at zero with sigma 1.

    Args:
        z_BZ: (B, Z) draws, B at least 2.
    """
    return mmd_to_mixture(z_BZ, z_BZ.new_zeros(1, z_BZ.shape[1]), 1.0)
