"""k-means on a device, for starts: Lloyd's rounds from k-means++ seeds.

Shapes: M points, E coordinates, K centres.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Clusters", "kmeans"]


class Clusters(NamedTuple):
    """A partition of points."""

    centre_KE: Tensor
    index_M: Tensor
    """int64 centre nearest to each point."""
    inertia: float
    """Sum of squared distances to the nearest centre."""


def kmeans(point_ME: Tensor, count: int, *, generator: torch.Generator, rounds: int = 100) -> Clusters:
    """``min sum_m |x_m - c_index(m)|^2`` by alternation, until no point changes its centre.

    A centre that loses all its points goes to the point farthest from its own centre.

    References:
        Lloyd, Least Squares Quantization in PCM, 1982; Arthur & Vassilvitskii, k-means++, 2007.

    Args:
        point_ME: float64 points.
        count: K.
        generator: on the CPU, whatever the device of the points.
        rounds: Lloyd's rounds at most.

    Raises:
        ValueError: there are fewer points than centres.
    """
    if not 1 <= count <= len(point_ME):
        raise ValueError(f"{count} clusters need at least as many points, not {len(point_ME)}")
    centre_KE = _seeds(point_ME, count, generator)
    distance_M, index_M = _nearest(point_ME, centre_KE)
    for _ in range(rounds):
        size_K = torch.bincount(index_M, minlength=count)
        total_KE = torch.zeros_like(centre_KE).index_add_(0, index_M, point_ME)
        centre_KE = total_KE / size_K.clamp(min=1)[:, None]
        empty = (size_K == 0).nonzero().flatten()
        centre_KE[empty] = point_ME[distance_M.topk(len(empty)).indices]
        before = index_M
        distance_M, index_M = _nearest(point_ME, centre_KE)
        if torch.equal(index_M, before):
            break
    return Clusters(centre_KE, index_M, float(distance_M.sum()))


def _seeds(point_ME: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Each next seed is a point drawn in proportion to its squared distance to the nearest one."""
    first = int(torch.randint(len(point_ME), (), generator=generator))
    seeds, distance_M = [first], _squared(point_ME, point_ME[first])
    for _ in range(count - 1):
        weight_M = distance_M.cpu()
        if not weight_M.any():  # all points lie on seeds
            weight_M = torch.ones_like(weight_M)
        # inverse of the cumulative distribution: multinomial takes no more than 2^24 points
        mark = weight_M.sum() * torch.rand((), generator=generator, dtype=weight_M.dtype)
        chosen = int(torch.searchsorted(weight_M.cumsum(0), mark, right=True).clamp(max=len(weight_M) - 1))
        seeds.append(chosen)
        distance_M = torch.minimum(distance_M, _squared(point_ME, point_ME[chosen]))
    return point_ME[torch.tensor(seeds, device=point_ME.device)]


def _squared(point_ME: Tensor, centre_E: Tensor) -> Tensor:
    return (point_ME - centre_E).square().sum(1)


def _nearest(point_ME: Tensor, centre_KE: Tensor) -> tuple[Tensor, Tensor]:
    distance_MK = point_ME.square().sum(1)[:, None] - 2 * point_ME @ centre_KE.T + centre_KE.square().sum(1)
    distance_M, index_M = distance_MK.min(1)
    return distance_M.clamp(min=0), index_M
