"""Kernel distance between sets of windows: the unbiased squared maximum mean discrepancy, over all pairs.

Shapes: N and M windows, E size of an embedding.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.record import SIGNED, Measure, Metric, Sets
from motionsynth.metrics.scaling import in_reference_units

__all__ = ["MEASURES", "kernel_distance"]

_BLOCK: Final = 256
"""Rows and columns of the kernel matrix held at a time: what a processor's cache holds."""
_BLOCK_ON_GPU: Final = 4096
_ROWS: Final = 4096
"""Windows that third moments are taken of at a time."""


def kernel_distance(x_NE: Tensor, y_ME: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under ``k(x, y) = (<x, y> / E + 1)^3``, over all pairs of windows.

        mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    The usual protocol averages 100 random subsets of 1,000; every pair once is less work and has no draw in it. Kernels
    are computed in float32 and summed in float64, block by block. Where E is small beside N the sums are taken from
    third moments instead, in float64: ``sum_ij <x_i, y_j>^3 = <sum_i x_i (x) x_i (x) x_i, sum_j y_j (x) y_j (x) y_j>``.

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
    of_x, of_y, cross = _sums_by_moments(x, y) if _moments_are_quicker(x, y) else _sums_by_pairs(x, y)
    within = [(sum_ - _own(z)) / (len(z) * (len(z) - 1)) for sum_, z in ((of_x, x), (of_y, y))]
    return sum(within) - 2.0 * cross / (len(x) * len(y))


def _with_ones(x_NE: Tensor) -> Tensor:
    """(N, E + 1) whose bare cubed products are the kernel."""
    scaled = x_NE.float() / x_NE.shape[1] ** 0.5
    return torch.cat((scaled, scaled.new_ones(len(scaled), 1)), 1)


def _own(x_NE: Tensor) -> float:
    """Sum of the kernels of windows with themselves."""
    return float(x_NE.square().sum(1, dtype=torch.float64).pow(3).sum())


def _moments_are_quicker(x_NE: Tensor, y_ME: Tensor) -> bool:
    """By products in float64 against those in float32; cubing a pair costs about as much as 64 products."""
    windows, size = len(x_NE) + len(y_ME), x_NE.shape[1]
    return 2 * size**3 / 3 < windows / 2 * (size + 64)


def _sums_by_pairs(x_NE: Tensor, y_ME: Tensor) -> tuple[float, float, float]:
    """Sums of kernels of all pairs within x, within y and across."""
    return _pairs(x_NE, x_NE), _pairs(y_ME, y_ME), _pairs(x_NE, y_ME)


def _pairs(x_NE: Tensor, y_ME: Tensor) -> float:
    block = _BLOCK_ON_GPU if x_NE.is_cuda else _BLOCK
    total = x_NE.new_zeros((), dtype=torch.float64)
    for i, rows in enumerate(torch.split(x_NE, block)):
        # a set with itself: blocks above the diagonal stand for those below it
        for j, columns in enumerate(torch.split(y_ME, block)):
            if x_NE is not y_ME or j >= i:
                cubes = _cubes(rows, columns).sum(dtype=torch.float64)
                total += 2 * cubes if x_NE is y_ME and j > i else cubes
    return float(total)


def _cubes(x_NE: Tensor, y_ME: Tensor) -> Tensor:
    products = x_NE @ y_ME.T
    return products.square().mul_(products)


def _sums_by_moments(x_NE: Tensor, y_ME: Tensor) -> tuple[float, float, float]:
    """The same from the sums of products of three features a, b, c, those with b and c not below a."""
    size = x_NE.shape[1]
    totals = x_NE.new_zeros(3, dtype=torch.float64)
    x_EN, y_EM = (features.T.contiguous() for features in (x_NE, y_ME))
    for a in range(size):
        of_x, of_y = _third_moments(x_EN[a:]), _third_moments(y_EM[a:])
        # how many ordered triples of features each product stands for, of those that are counted
        orders = of_x.new_full((size - a, size - a), 3.0)
        orders[0], orders[:, 0], orders[0, 0] = 1.5, 1.5, 1.0
        weighted_x, weighted_y = orders * of_x, orders * of_y
        totals += torch.stack([(weighted_x * of_x).sum(), (weighted_y * of_y).sum(), (weighted_x * of_y).sum()])
    of_x, of_y, cross = totals.tolist()
    return of_x, of_y, cross


def _third_moments(features_EN: Tensor) -> Tensor:
    """(E, E) sums over windows of products with the first feature, float64."""
    total = features_EN.new_zeros(len(features_EN), len(features_EN), dtype=torch.float64)
    for part in torch.split(features_EN, _ROWS, dim=1):
        exact = part.double()
        total.addmm_(exact * exact[:1], exact.T)
    return total


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
                bounds=SIGNED,
            ),
        ),
        _kid,
        resample="halves",
        spaces=True,
    ),
)
