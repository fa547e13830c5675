"""Kernel distance between sets of windows: the unbiased squared maximum mean discrepancy, over all pairs.

Shapes: N and M windows, E size of an embedding.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.record import Measure, Metric, Sets
from motionsynth.metrics.scaling import in_reference_units

__all__ = ["MEASURES", "kernel_distance"]

_BLOCK: Final = 2048
"""Rows and columns of the kernel matrix held at a time: 16 MB, and as much again for what is computed from it."""


def kernel_distance(x_NE: Tensor, y_ME: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under ``k(x, y) = (<x, y> / E + 1)^3``, over all pairs of windows.

        mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    The usual protocol averages 100 random subsets of 1,000; every pair once is less work and has no draw in it. Kernels
    are computed in float32 and summed in float64, block by block. Where E is small beside N the sum is taken from third
    moments instead, in float64: ``sum_ij <x_i, y_j>^3 = <sum_i x_i (x) x_i (x) x_i, the same of y>``.

    References:
        Binkowski, Sutherland, Arbel & Gretton, Demystifying MMD GANs, 2018.

    Args:
        x_NE: (N, E) features, N at least 2.
        y_ME: (M, E) features, M at least 2; M need not be N.

    Returns:
        0 on average for two sets drawn from one distribution, so it is below 0 about as often as above.

    Raises:
        ValueError: the shapes are not (N, E) and (M, E), or a set has fewer than two windows.
    """
    if x_NE.ndim != 2 or y_ME.ndim != 2 or x_NE.shape[1] != y_ME.shape[1] or not x_NE.shape[1]:
        raise ValueError(f"features of shapes {tuple(x_NE.shape)} and {tuple(y_ME.shape)} do not fit together")
    if min(len(x_NE), len(y_ME)) < 2:
        raise ValueError("each set must have at least 2 windows")
    x, y = _with_ones(x_NE), _with_ones(y_ME)
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2.0 * _kernel_sum(x, y) / (len(x) * len(y))


def _with_ones(x_NE: Tensor) -> Tensor:
    """(N, E + 1) whose bare cubed products are the kernel."""
    scaled = x_NE.float() / x_NE.shape[1] ** 0.5
    return torch.cat((scaled, scaled.new_ones(len(scaled), 1)), 1)


def _mean_of_pairs(x_NE: Tensor) -> float:
    """Mean kernel over pairs of two different windows."""
    own = float(x_NE.double().square().sum(1).pow(3).sum())
    return (_kernel_sum(x_NE, x_NE) - own) / (len(x_NE) * (len(x_NE) - 1))


def _kernel_sum(x_NE: Tensor, y_ME: Tensor) -> float:
    """Sum of ``<x_i, y_j>^3`` over all pairs, the quicker way."""
    size = x_NE.shape[1]
    pairwise = len(x_NE) * len(y_ME) / (2 if x_NE is y_ME else 1)
    by_moments = (len(x_NE) + (0 if x_NE is y_ME else len(y_ME))) * size * (size + 1) // 2
    if by_moments < pairwise:
        third = _third_moments(x_NE)
        return float((third * (third if x_NE is y_ME else _third_moments(y_ME))).sum())
    total = 0.0
    for i in range(0, len(x_NE), _BLOCK):
        for j in range(i if x_NE is y_ME else 0, len(y_ME), _BLOCK):
            block = float(_cubes(x_NE[i : i + _BLOCK], y_ME[j : j + _BLOCK]).sum(dtype=torch.float64))
            total += 2 * block if x_NE is y_ME and j > i else block
    return total


def _cubes(x_NE: Tensor, y_ME: Tensor) -> Tensor:
    products = x_NE @ y_ME.T
    return products.square().mul_(products)


def _third_moments(x_NE: Tensor) -> Tensor:
    """(E (E + 1) / 2, E) sums of products of three features, off-diagonal pairs weighted by the root of two."""
    size = x_NE.shape[1]
    first, second = torch.triu_indices(size, size, device=x_NE.device)
    total = x_NE.new_zeros(len(first), size, dtype=torch.float64)
    rows = max(1, _BLOCK**2 // (2 * len(first)))
    for part in torch.split(x_NE, rows):
        exact = part.double()
        total.addmm_((exact[:, first] * exact[:, second]).T, exact)
    # each unordered pair stands for both orders in the sum over all triples
    orders = 1 + (first != second).to(total)
    return total.mul_(orders.sqrt()[:, None])


def _kid(sets: Sets, space: str | None) -> dict[str, float]:
    return {"kid": kernel_distance(*in_reference_units(sets, space or ""))}


MEASURES: Final = (
    Measure(
        (
            Metric(
                "kid",
                "fidelity",
                "1",
                "lower",
                "Unbiased squared maximum mean discrepancy with the kernel (<x, y>/E + 1)^3, over all pairs; "
                "both sets centred on the reference and divided by its root mean square spread, so that spaces are "
                "comparable. Does not depend on N; below 0 by chance.",
                "Binkowski et al. 2018",
                ideal=0.0,
            ),
        ),
        _kid,
        resample="halves",
        spaces=True,
    ),
)
