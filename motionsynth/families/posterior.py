"""What families share that have a Gaussian encoder p(z|x) and a decoder with a likelihood q(x|z).

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import build_decoder, build_encoder
from motionsynth.families.base import MotionShape
from motionsynth.families.latent import CodedConfig, CodedFamily
from motionsynth.families.likelihood import Likelihood, LikelihoodKind, SigmaConfig

__all__ = ["GaussianConfig", "GaussianFamily", "draw_posterior", "warmed_weight"]


class GaussianConfig(CodedConfig):
    """What the ``Config`` of such a family has."""

    likelihood: LikelihoodKind = "gaussian"
    """Distribution of a window given its latent."""
    sigma: SigmaConfig = SigmaConfig()
    """Spread of the likelihood."""


class GaussianFamily(CodedFamily):
    """``p(z|x) = N(mean(x), diag(variance(x)))``, the ``encoder``, and ``q(x|z)`` around the ``decoder``'s windows.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    SHOWS = ("mean", "sample")

    def __init__(self, config: GaussianConfig, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.encoder = build_encoder(config.backbone, shape, 2 * config.latent_dim, side=self.condition.width)
        self.decoder = build_decoder(config.backbone, shape, config.latent_dim, side=self.condition.width)
        self.likelihood = Likelihood(config.likelihood, config.sigma, shape.features)
        self.register_load_state_dict_pre_hook(_from_before_likelihoods)  # type: ignore[no-untyped-call]

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, Z) means and (B, Z) log variances of p(z|x), the latter kept in [-20, 10]."""
        mean_BZ, log_variance_BZ = self.encoder(batch.motion_BTD, batch.mask_BT, self.condition.of(batch)).chunk(2, 1)
        return mean_BZ, log_variance_BZ.clamp(-20.0, 10.0)

    def encode(self, batch: Batch) -> Tensor:
        """(B, Z) means of p(z|x)."""
        return self.posterior(batch)[0]

    def codes(self, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """(B, Z) draws from p(z|x); see ``CodedFamily.codes``."""
        mean_BZ, log_variance_BZ = self.posterior(batch)
        noise_BZ = torch.randn(mean_BZ.shape, generator=generator, device=generator.device)
        return draw_posterior(mean_BZ, log_variance_BZ, noise_BZ)

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) decoded means."""
        return self.decode(self.encode(batch), self.condition.of(batch))

    def add_noise(self, motion_NTD: Tensor, *, generator: torch.Generator) -> Tensor:
        """(N, T, D) draws of q(x|z) around decoded means."""
        uniform_NTD = torch.rand(motion_NTD.shape, generator=generator, device=generator.device)
        return self.likelihood.add_noise(motion_NTD, uniform_NTD)

    @torch.no_grad()
    def log_likelihood_bound(self, batch: Batch, samples: int, *, generator: torch.Generator) -> Tensor:
        """``log 1/K sum_k q(x|z_k) q(z_k) / p(z_k|x)``, ``z_k ~ p(z|x)``: at most log q(x) on average, which it nears.

        The prior q(z) is N(0, I), the spread of the likelihood the running one. One sample is the evidence lower bound
        by one draw; the expectation never falls with more.

        References:
            Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2016.

        Args:
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
        mean_BZ, log_variance_BZ = self.posterior(batch)
        side_BS = self.condition.of(batch)
        total_B = torch.full((len(mean_BZ),), -math.inf, dtype=torch.float64, device=mean_BZ.device)
        for _ in range(samples):  # one at a time, so as to hold one batch of decoded windows
            noise_BZ = torch.randn(mean_BZ.shape, generator=generator, device=generator.device)
            z_BZ = draw_posterior(mean_BZ, log_variance_BZ, noise_BZ)
            # log q(z) - log p(z|x); log 2 pi cancels
            ratio_B = 0.5 * (noise_BZ.square() + log_variance_BZ - z_BZ.square()).sum(1)
            weight_B = self.likelihood.log_density(batch, self.decode(z_BZ, side_BS)) + ratio_B
            total_B = torch.logaddexp(total_B, weight_B.double())
        return total_B - math.log(samples)


def draw_posterior(mean_BZ: Tensor, log_variance_BZ: Tensor, noise_BZ: Tensor) -> Tensor:
    """(B, Z) ``mean + noise * sqrt(variance)``."""
    return mean_BZ + noise_BZ * torch.exp(0.5 * log_variance_BZ)


def warmed_weight(progress: float, weight: float, *, start: float, warmup: float) -> float:
    """A weight that is reached after a warm-up: linear from a start of 0, geometric from one above 0.

    Args:
        progress: share of the budget that is spent.
        weight: what it comes to.
        start: what it begins with.
        warmup: share of the budget that it takes.
    """
    if progress >= warmup:
        return weight
    share = progress / warmup
    return float(start ** (1 - share) * weight**share if start and weight else start + (weight - start) * share)


def _from_before_likelihoods(_: torch.nn.Module, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
    """Runs of early versions keep the variance under another name."""
    if (old := state_dict.pop(f"{prefix}noise_variance", None)) is not None:
        state_dict[f"{prefix}likelihood.noise_variance"] = old
