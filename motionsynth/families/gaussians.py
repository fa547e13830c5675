"""Gaussians side by side, one a state, with full or diagonal covariances.

Shapes: M points, D features, E coordinates, S states. A covariance is (S, E, E), or (S, E) where it is diagonal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = [
    "PrincipalAxes",
    "coloured",
    "fixed",
    "floored",
    "log_densities",
    "principal_axes",
    "second_moments",
    "variances",
]


class PrincipalAxes(NamedTuple):
    """The axes along which points vary most."""

    axes_ED: Tensor
    """Orthonormal rows, the leading one first."""
    inside: float
    """Variance along them, summed."""
    total: float
    """Variance along all axes, summed."""


def fixed(value: Tensor) -> nn.Parameter:
    """A float64 parameter that no gradient moves."""
    return nn.Parameter(value.double(), requires_grad=False)


def principal_axes(covariance_DD: Tensor, count: int) -> PrincipalAxes:
    """Principal components: the ``count`` leading eigenvectors of a covariance."""
    value_D, vector_DD = torch.linalg.eigh(covariance_DD)
    return PrincipalAxes(vector_DD[:, -count:].T.flip(0), float(value_D[-count:].sum()), float(value_D.sum()))


def log_densities(point_ME: Tensor, mean_SE: Tensor, covariance: Tensor) -> Tensor:
    """(M, S) ``log N(x | mean_s, covariance_s)``, in nats."""
    if covariance.ndim == 2:
        white_SEE = torch.diag_embed(covariance.rsqrt())
    else:
        root_SEE = torch.linalg.cholesky(covariance)
        white_SEE = torch.linalg.solve_triangular(root_SEE, torch.eye(len(root_SEE[0])).to(root_SEE), upper=False)
    log_det_S = -2 * white_SEE.diagonal(dim1=1, dim2=2).log().sum(1)
    # state by state: all at once would be as many numbers as points times states times coordinates
    pairs = zip(mean_SE, white_SEE, strict=True)
    distance_SM = torch.stack([((point_ME - mean_E) @ white_EE.T).square().sum(1) for mean_E, white_EE in pairs])
    return -0.5 * (distance_SM.T + log_det_S + mean_SE.shape[1] * math.log(2 * math.pi))


def second_moments(point_ME: Tensor, share_MS: Tensor, like: Tensor) -> Tensor:
    """Sums over points of ``share_s x x^T``, or of its diagonal, in the shape of the covariance ``like``."""
    if like.ndim == 2:
        return share_MS.T @ point_ME.square()
    sums = torch.zeros_like(like)
    for state, share_M in enumerate(share_MS.unbind(1)):
        mine = share_M.nonzero().flatten()  # most shares are zero to the last bit
        sums[state] = (share_M[mine, None] * point_ME[mine]).T @ point_ME[mine]
    return sums


def floored(covariance: Tensor, least: float) -> Tensor:
    """The covariance of highest likelihood among those with no variance below ``least`` in any direction.

    Its eigenvectors stay, as do its eigenvalues but for those that are too small.
    """
    if covariance.ndim == 2:
        return covariance.clamp(min=least)
    value_SE, vector_SEE = torch.linalg.eigh(covariance)
    bounded_SEE = (vector_SEE * value_SE.clamp(min=least)[:, None]) @ vector_SEE.mT
    # what needs no bound stays as it is, to the bit
    return torch.where((value_SE < least).any(1)[:, None, None], bounded_SEE, covariance)


def variances(covariance: Tensor) -> Tensor:
    """(S, E) variances of the coordinates."""
    return covariance if covariance.ndim == 2 else covariance.diagonal(dim1=1, dim2=2)


def coloured(noise_NTE: Tensor, covariance: Tensor, state_NT: Tensor) -> Tensor:
    """(N, T, E) standard normal numbers made to vary as those states do."""
    if covariance.ndim == 2:
        return covariance.sqrt()[state_NT] * noise_NTE
    return torch.einsum("ntef,ntf->nte", torch.linalg.cholesky(covariance)[state_NT], noise_NTE)
