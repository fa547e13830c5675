"""Density of latent codes, fitted once training is over: a mixture of Gaussians by expectation maximisation.

Shapes: M codes, N samples, Z latent dimensions, K components, L combinations of labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from motionsynth.families.kmeans import kmeans

__all__ = ["LatentDensity"]

_ROUNDS = 200
_GAIN = 1e-3
"""Expectation maximisation stops where a round adds less to the mean log-density of a code, in nats."""


class _Mixture(NamedTuple):
    weight_K: Tensor
    mean_KZ: Tensor
    root_KZZ: Tensor
    """Lower Cholesky factors of the covariances."""


class LatentDensity(nn.Module):
    """``q(z, c) = sum_k w_k N(z | mu_k, S_k) s_k(c)``, full covariances, learnt from codes and their labels.

    It is part of a family's state, in buffers, so that a run directory holds all that it takes to draw from it. Labels
    enter after the fit, by the share of each combination ``c`` among the codes that a component answers for: given
    labels, components are drawn in proportion to ``w_k s_k(c)``.

    No eigenvalue of ``S_k`` falls below ``floor`` squared times the mean variance of the codes, measured after each
    axis was brought to unit variance: without a bound the likelihood of a component on a few codes has none. The M
    step is the maximum under it.

    References:
        Dempster, Laird & Rubin, Maximum Likelihood from Incomplete Data via the EM Algorithm, 1977; Ghosh et al., From
        Variational to Deterministic Autoencoders, 2020, for a mixture fitted on the codes after training.

    Args:
        latent_dim: Z.
        components: K at most; there is at most one for every ``2 (Z + 1)`` codes.
        floor: smallest standard deviation along any axis, as a share of that of all codes.
        combinations: L, of labels of the condition; 1 where none.
    """

    weight_K: Tensor
    mean_KZ: Tensor
    root_KZZ: Tensor
    share_KL: Tensor

    def __init__(self, latent_dim: int, components: int, *, floor: float = 0.1, combinations: int = 1) -> None:
        super().__init__()
        self.floor = floor
        for name, shape in (
            ("weight_K", (components,)),
            ("mean_KZ", (components, latent_dim)),
            ("root_KZZ", (components, latent_dim, latent_dim)),
            ("share_KL", (components, combinations)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    @property
    def fitted(self) -> bool:
        """True after ``fit`` was called on this or on what it was loaded from."""
        return bool(self.weight_K.any())

    @torch.no_grad()
    def fit(self, code_MZ: Tensor, label_M: Tensor | None = None, *, generator: torch.Generator) -> dict[str, float]:
        """Learn from codes.

        Args:
            code_MZ: codes, on the device of the buffers.
            label_M: int64 combination of labels of each; None where there are none.
            generator: on the CPU, for the start by k-means.

        Returns:
            Components in use, and the mean log-density of a code in nats, by name.

        Raises:
            ValueError: no codes, or they are not finite.
        """
        if not len(code_MZ) or not code_MZ.isfinite().all():
            raise ValueError("a density of latents needs codes, all of them finite")
        x_MZ = code_MZ.double()
        centre_Z = x_MZ.mean(0)
        # an axis that carries nothing keeps a scale, so that the mixture has a density
        scale_Z = x_MZ.std(0, correction=0).clamp(min=1e-6 * max(1.0, float(x_MZ.abs().max())))
        count = max(1, min(len(self.weight_K), len(x_MZ) // (2 * (x_MZ.shape[1] + 1))))
        mixture, share_MK, density = _learn((x_MZ - centre_Z) / scale_Z, count, self.floor, generator)
        for buffer in self.buffers():
            buffer.zero_()
        self.weight_K[:count] = mixture.weight_K
        self.mean_KZ[:count] = centre_Z + scale_Z * mixture.mean_KZ
        self.root_KZZ[:count] = scale_Z[:, None] * mixture.root_KZZ
        label_M = torch.zeros(len(x_MZ), dtype=torch.int64, device=x_MZ.device) if label_M is None else label_M
        mass_LK = share_MK.new_zeros(self.share_KL.shape[1], count).index_add_(0, label_M, share_MK)
        self.share_KL[:count] = mass_LK.T / mass_LK.sum(0).clamp(min=1e-300)[:, None]
        return {
            "components": float(count),
            "log_density": density - float(scale_Z.log().sum()),
        }

    def sample(self, count: int, label_N: Tensor | None = None, *, generator: torch.Generator) -> Tensor:
        """(N, Z) float32 draws; given (N,) combinations of labels, from codes that have those.

        Codes of all labels are drawn where no code had a combination.

        Raises:
            ValueError: nothing was fitted.
        """
        self._refuse_unfitted()
        if label_N is None:
            component_N = torch.multinomial(self.weight_K, count, replacement=True, generator=generator)
        else:
            weight_NK = (self.weight_K[:, None] * self.share_KL).T[label_N]
            weight_NK = torch.where(weight_NK.any(1, keepdim=True), weight_NK, self.weight_K)
            component_N = torch.multinomial(weight_NK, 1, generator=generator).squeeze(1)
        shape = (count, self.mean_KZ.shape[1])
        noise_NZ = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        # by every component's root and then one's own would hold K times as much
        z_NZ = self.mean_KZ[component_N] + torch.einsum("nij,nj->ni", self.root_KZZ[component_N], noise_NZ)
        return z_NZ.float()

    def log_density(self, z_NZ: Tensor) -> Tensor:
        """(N,) float64 log q(z), in nats.

        Raises:
            ValueError: nothing was fitted.
        """
        self._refuse_unfitted()
        used = self.weight_K > 0
        mixture = _Mixture(self.weight_K[used], self.mean_KZ[used], self.root_KZZ[used])
        return _joint(z_NZ.double(), mixture).logsumexp(1)

    def _refuse_unfitted(self) -> None:
        if not self.fitted:
            raise ValueError(
                "prior: no density was fitted on the latents of this model, as that happens when training finishes; "
                "draw from another prior, such as 'normal', or train anew"
            )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Load weights; those of before there was a density are those of a model without one."""
        if not any(prefix + name in state_dict for name, _ in self.named_buffers()):
            for buffer in self.buffers():
                buffer.zero_()
            return
        super()._load_from_state_dict(state_dict, prefix, *args)


def _learn(x_MZ: Tensor, count: int, floor: float, generator: torch.Generator) -> tuple[_Mixture, Tensor, float]:
    """Expectation maximisation from the partition of k-means; the last (M, K) shares and mean log-density."""
    index_M = kmeans(x_MZ, count, generator=generator).index_M
    share_MK = torch.nn.functional.one_hot(index_M, count).double()
    mixture, before = _maximise(x_MZ, share_MK, floor), -math.inf
    for _ in range(_ROUNDS):
        joint_MK = _joint(x_MZ, mixture)
        density_M = joint_MK.logsumexp(1)
        share_MK, density = (joint_MK - density_M[:, None]).exp(), float(density_M.mean())
        if density - before < _GAIN:
            break
        mixture, before = _maximise(x_MZ, share_MK, floor), density
    return mixture, share_MK, density


def _joint(x_MZ: Tensor, mixture: _Mixture) -> Tensor:
    """(M, K) log of weight times density."""
    size = x_MZ.shape[1]
    inverse_KZZ = torch.linalg.inv(mixture.root_KZZ)
    shift_KZ = torch.einsum("kij,kj->ki", inverse_KZZ, mixture.mean_KZ)
    # one product for all components: (M, Z) x (Z, K Z)
    white_MKZ = (x_MZ @ inverse_KZZ.flatten(0, 1).T).unflatten(1, shift_KZ.shape) - shift_KZ
    log_det_K = mixture.root_KZZ.diagonal(dim1=1, dim2=2).log().sum(1)
    log_norm_K = mixture.weight_K.log() - log_det_K - 0.5 * size * math.log(2 * math.pi)
    joint_MK: Tensor = log_norm_K - 0.5 * white_MKZ.square().sum(2)
    return joint_MK


def _maximise(x_MZ: Tensor, share_MK: Tensor, floor: float) -> _Mixture:
    """The maximum of the expected log-likelihood over mixtures without an eigenvalue below ``floor^2``."""
    mass_K = share_MK.sum(0)
    share_MK, held_K = share_MK / mass_K.clamp(min=1e-300), mass_K > 1e-9
    mean_KZ = share_MK.T @ x_MZ
    covariance_KZZ = torch.stack([(x_MZ * share_M[:, None]).T @ x_MZ for share_M in share_MK.unbind(1)])
    covariance_KZZ -= mean_KZ[:, :, None] * mean_KZ[:, None]
    value_KZ, vector_KZZ = torch.linalg.eigh(0.5 * (covariance_KZZ + covariance_KZZ.mT))
    bounded_KZZ = (vector_KZZ * value_KZ.clamp(min=floor**2)[:, None]) @ vector_KZZ.mT
    # a component without codes has weight zero, and keeps no one from its density
    weight_K = torch.where(held_K, mass_K, 0.0) / mass_K.sum()
    return _Mixture(weight_K, mean_KZ, torch.linalg.cholesky(bounded_KZZ))
