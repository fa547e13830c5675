"""Mixture of probabilistic principal component analysers: densities of windows.

Shapes: B batch, N samples, R rows of a batch, T frames, D features, X = T * D numbers of a window, E axes, K
components, Z latent dimensions of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import Family
from motionsynth.families.gaussians import fixed

__all__ = ["PPCAMixture", "Posterior"]


class Posterior(NamedTuple):
    """Posterior of a mixture for some windows, given the numbers of each that are there."""

    x_BX: Tensor
    inside_BE: Tensor
    """Their places in the span of the axes."""
    joint_BK: Tensor
    """Log of weight times density."""
    whitened_BKZ: Tensor
    root_KZZ: Tensor
    """Lower Cholesky factor of ``M_k``: ``root^-T whitened`` is the mean of the latent."""


class PPCAMixture(Family):
    """``q(x) = sum_k w_k N(x | mu_k, P^T A_k A_k^T P + sigma_k^2 I)``, ``A_k = U_k (L_k - sigma_k^2 I)^(1/2)``.

    Before it has learnt it is N(0, I).

    References:
        Tipping & Bishop, Mixtures of Probabilistic Principal Component Analysers, 1999.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
        components: K.
        latents: Z, principal axes of each component.
        axes: E, orthonormal rows of P; X where that is fewer.

    Raises:
        ValueError: there are more latents than axes, or as many as numbers in a window.
    """

    def __init__(self, config: Any, shape: MotionShape, components: int, latents: int, axes: int) -> None:
        super().__init__(config, shape)
        self.size = shape.frames * shape.features
        axes = min(axes, self.size)
        if latents > axes or latents >= self.size:
            raise ValueError(f"latent_dim {latents} does not fit {axes} axes in windows of {self.size} numbers")
        # variances are those of the noise, so the axes, random yet, have no part
        self.axes_EX = fixed(torch.randn(axes, self.size, dtype=torch.float64))
        self.weight_K = fixed(torch.full((components,), 1 / components, dtype=torch.float64))
        self.mean_KX = fixed(torch.zeros(components, self.size, dtype=torch.float64))
        self.direction_KEZ = fixed(torch.eye(axes, latents, dtype=torch.float64).repeat(components, 1, 1))
        self.variance_KZ = fixed(torch.ones(components, latents, dtype=torch.float64))
        self.noise_K = fixed(torch.ones(components, dtype=torch.float64))

    def log_density(self, batch: Batch) -> Tensor:
        """(B,) float64 log q of the frames that are there, in nats; see ``Scores``."""
        density_B = torch.empty(len(batch.motion_BTD), dtype=torch.float64, device=batch.motion_BTD.device)
        for row_R, there_T in _by_mask(batch.mask_BT):
            density_B = density_B.index_put((row_R,), self.posterior(batch, row_R, there_T).joint_BK.logsumexp(1))
        return density_B

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) means of the window without noise given the frames that are there; other frames are filled in."""
        back_BX = torch.empty(batch.motion_BTD.flatten(1).shape, dtype=torch.float64, device=batch.motion_BTD.device)
        for row_R, there_T in _by_mask(batch.mask_BT):
            posterior = self.posterior(batch, row_R, there_T)
            share_RK = posterior.joint_BK.softmax(1)
            root_KZZ, whitened_KZR = posterior.root_KZZ, posterior.whitened_BKZ.permute(1, 2, 0)
            latent_KZR = torch.linalg.solve_triangular(root_KZZ.mT, whitened_KZR, upper=True)
            inside_RE = torch.einsum("rk,kzr,kez->re", share_RK, latent_KZR, self.loadings())
            back_BX = back_BX.index_put((row_R,), share_RK @ self.mean_KX + inside_RE @ self.axes_EX)
        return back_BX.reshape(batch.motion_BTD.shape).float()

    def loadings(self) -> Tensor:
        """A_k."""
        return self.direction_KEZ * (self.variance_KZ - self.noise_K[:, None]).clamp(min=0).sqrt()[:, None]

    def posterior(self, batch: Batch, row_R: Tensor, there_T: Tensor) -> Posterior:
        """Posterior of the windows at those rows, given their frames ``there``, which all of them have.

        With P_o, mu_o the columns of those frames, ``W = P_o^T A_k`` and ``M = W^T W + sigma^2 I``:
        ``log N = -1/2 (X_o log 2 pi + (X_o - Z) log sigma^2 + log |M| + (|e|^2 - e^T W M^-1 W^T e) / sigma^2)``.
        """
        whole = bool(there_T.all())
        column_X = slice(None) if whole else there_T.repeat_interleave(self.shape.features).nonzero().flatten()
        x_BX = batch.motion_BTD[row_R].flatten(1)[:, column_X].double()
        axes_EX, mean_KX = self.axes_EX[:, column_X], self.mean_KX[:, column_X]
        root_KZZ, white_KZE = self._whitening(None if whole else axes_EX @ axes_EX.T)
        shift_KZ = torch.einsum("kze,ke->kz", white_KZE, mean_KX @ axes_EX.T)
        inside_BE = x_BX @ axes_EX.T
        whitened_BKZ = torch.einsum("be,kze->bkz", inside_BE, white_KZE) - shift_KZ
        distance_BK = x_BX.square().sum(1)[:, None] - 2 * x_BX @ mean_KX.T + mean_KX.square().sum(1)
        size, latents = x_BX.shape[1], self.variance_KZ.shape[1]
        log_det_K = 2 * root_KZZ.diagonal(dim1=1, dim2=2).log().sum(1) + (size - latents) * self.noise_K.log()
        quadratic_BK = (distance_BK - whitened_BKZ.square().sum(2)) / self.noise_K
        density_BK = -0.5 * (size * math.log(2 * math.pi) + log_det_K + quadratic_BK)
        return Posterior(x_BX, inside_BE, self.weight_K.log() + density_BK, whitened_BKZ, root_KZZ)

    def _whitening(self, overlap_EE: Tensor | None) -> tuple[Tensor, Tensor]:
        """(K, Z, Z) lower Cholesky factors of ``M_k`` and (K, Z, E) ``root^-1 A_k^T``.

        ``overlap`` is ``P_o P_o^T``; None for whole windows, where it is I and ``M_k = L_k``, or the noise if larger.
        """
        loading_KEZ = self.loadings()
        if overlap_EE is None:
            root_KZ = self.variance_KZ.sqrt()
            return torch.diag_embed(root_KZ), loading_KEZ.mT / root_KZ[:, :, None]
        noise_KZZ = torch.diag_embed(self.noise_K[:, None].expand_as(self.variance_KZ))
        root_KZZ = torch.linalg.cholesky(loading_KEZ.mT @ (overlap_EE @ loading_KEZ) + noise_KZZ)
        return root_KZZ, torch.linalg.solve_triangular(root_KZZ, loading_KEZ.mT, upper=False)

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, 1 + Z) draws from the prior: the number of a component, then its latent from N(0, I)."""
        component_N = torch.multinomial(self.weight_K, count, replacement=True, generator=generator)
        shape = (count, self.variance_KZ.shape[1])
        latent_NZ = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.cat((component_N[:, None].double(), latent_NZ), 1)


def _by_mask(mask_BT: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows that have the same frames, and (T,) those frames."""
    there_GT, group_B = torch.unique(mask_BT, dim=0, return_inverse=True)
    for g, there_T in enumerate(there_GT):
        yield (group_B == g).nonzero().flatten(), there_T
