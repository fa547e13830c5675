"""Closed forms of probabilistic principal component analysis.

Shapes: K components, Z latent dimensions, X numbers of a window.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["noise_variance"]


def noise_variance(value_KZ: Tensor, trace_K: Tensor, size: int, mass_K: Tensor | None = None) -> Tensor:
    """``sigma^2`` that maximises a PPCA likelihood: the mean of all eigenvalues but the leading ones above it.

    Where a leading eigenvalue is below that mean, as where a component has few windows, it belongs to the rest. The
    root is found from above by Newton's rounds on a convex piecewise linear function, so exactly and in few.

    Args:
        value_KZ: leading eigenvalues of each component's covariance, in any order.
        trace_K: its trace.
        size: X, the number of its eigenvalues; more than Z.
        mass_K: weights of the components for one variance that all share; None for a variance each.

    Returns:
        (K,) variances.
    """
    noise_K, kept_KZ = trace_K.new_full(trace_K.shape, math.inf), torch.zeros_like(value_KZ, dtype=torch.bool)
    while True:
        rest_K, count_K = trace_K - (value_KZ * kept_KZ).sum(1), size - kept_KZ.sum(1)
        if mass_K is None:
            noise_K = rest_K / count_K
        else:
            noise_K = ((mass_K * rest_K).sum() / (mass_K * count_K).sum()).expand_as(trace_K)
        before, kept_KZ = kept_KZ, kept_KZ | (value_KZ > noise_K[:, None])
        if torch.equal(before, kept_KZ):
            return noise_K.clamp(min=0)
