"""Densities on a grid: the logarithms of masses that sum to one, so that every sum over them is exact.

A density is a vector ``log_N`` over the N points of a grid, whatever the grid's dimension. Every density is
renormalised on the grid: mass pushed off it would otherwise be rewarded. Float64 throughout.

Shapes: N points of the grid, D its dimensions, K components, P parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Density",
    "gradient",
    "jensen_shannon",
    "kl",
    "line",
    "mean",
    "middle",
    "mismatch",
    "mixture",
    "normal",
    "plane",
    "random_mixture",
    "random_parameters",
    "seeded",
    "slope",
]

Density = Callable[[Tensor], Tensor]
"""Parameters (P,) -> log masses (N,)."""


def seeded(seed: int) -> torch.Generator:
    """A source of random numbers of its own."""
    return torch.Generator().manual_seed(seed)


def line(reach: float = 6.0, count: int = 241) -> Tensor:
    """(N, 1) points from -reach to reach."""
    return torch.linspace(-reach, reach, count, dtype=torch.float64).unsqueeze(1)


def plane(reach: float = 5.0, count: int = 41) -> Tensor:
    """(N, 2) points of a square grid, N = count^2."""
    side = torch.linspace(-reach, reach, count, dtype=torch.float64)
    return torch.cartesian_prod(side, side)


def normal(points_ND: Tensor, mean_D: Tensor, scale_D: Tensor) -> Tensor:
    """Log masses of a Gaussian with axes along the grid's, renormalised.

    Args:
        points_ND: (N, D) grid.
        mean_D: (..., D) means.
        scale_D: (..., D) standard deviations.

    Returns:
        (..., N)
    """
    distance = (points_ND - mean_D.unsqueeze(-2)) / scale_D.unsqueeze(-2)
    return F.log_softmax(-0.5 * distance.square().sum(-1), dim=-1)


def mixture(points_ND: Tensor, parameters_P: Tensor) -> Tensor:
    """Log masses of a Gaussian mixture; P = K (1 + 2 D): logits of the weights, means, log standard deviations."""
    dimensions = points_ND.shape[1]
    rows = parameters_P.view(-1, 1 + 2 * dimensions)
    logit_K1, mean_KD, log_scale_KD = rows[:, :1], rows[:, 1 : 1 + dimensions], rows[:, 1 + dimensions :]
    return torch.logsumexp(F.log_softmax(logit_K1, 0) + normal(points_ND, mean_KD, log_scale_KD.exp()), 0)


def random_parameters(components: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """(P,) parameters of a mixture that lies well within the grids of :func:`line` and :func:`plane`."""
    logit = 0.5 * torch.randn(components, 1, dtype=torch.float64, generator=generator)
    means = 1.3 * torch.randn(components, dimensions, dtype=torch.float64, generator=generator)
    scales = 0.25 * torch.randn(components, dimensions, dtype=torch.float64, generator=generator) - 0.2
    return torch.cat([logit, means, scales], 1).flatten()


def random_mixture(points_ND: Tensor, components: int, generator: torch.Generator) -> Tensor:
    """(N,) log masses of a mixture drawn at random."""
    return mixture(points_ND, random_parameters(components, points_ND.shape[1], generator))


def mean(log_N: Tensor, values_N: Tensor) -> Tensor:
    """``E[values]`` under a density."""
    return (log_N.exp() * values_N).sum(-1)


def kl(log_N: Tensor, other_N: Tensor) -> Tensor:
    """``KL(first || second)`` in nats, over the last dimension."""
    return mean(log_N, log_N - other_N)


def middle(log_N: Tensor, other_N: Tensor) -> Tensor:
    """Half of the one and half of the other."""
    return torch.logaddexp(log_N, other_N) - math.log(2)


def jensen_shannon(log_N: Tensor, other_N: Tensor) -> Tensor:
    """``1/2 KL(p || m) + 1/2 KL(q || m)`` with ``m = p/2 + q/2``, in nats."""
    half = middle(log_N, other_N)
    return 0.5 * (kl(log_N, half) + kl(other_N, half))


def gradient(value: Callable[[Tensor], Tensor], parameters_P: Tensor) -> Tensor:
    """(P,) gradient of a scalar by autograd."""
    parameters_P = parameters_P.detach().clone().requires_grad_()
    (slope_P,) = torch.autograd.grad(value(parameters_P), parameters_P)
    return slope_P


def slope(loss: Callable[[Tensor], Tensor], density: Density, parameters_P: Tensor) -> Tensor:
    """(P,) gradient of a loss of a density, through the density's parameters."""
    return gradient(lambda theta_P: loss(density(theta_P)), parameters_P)


def mismatch(found: Tensor | Sequence[float], expected: Tensor | Sequence[float]) -> float:
    """Largest difference, relative to the largest number on either side; 0 where both are zero."""
    first = torch.as_tensor(found, dtype=torch.float64)
    second = torch.as_tensor(expected, dtype=torch.float64)
    size = max(float(first.abs().max()), float(second.abs().max()))
    return float((first - second).abs().max()) / size if size else 0.0
