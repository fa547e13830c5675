"""Parts of autoencoders with a Gaussian p(z|x) and a likelihood q(x|z): the evidence lower bound.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.autoencoding import Autoencoding, Gaussian
from motionsynth.families.latent import CodedConfig
from motionsynth.families.likelihood import Likelihood, LikelihoodKind, SigmaConfig

__all__ = ["GaussianConfig", "GaussianFamily", "WeighedConfig"]


class GaussianConfig(CodedConfig):
    """Settings of such a family."""

    likelihood: LikelihoodKind = "gaussian"
    """Distribution of a window given its latent."""
    sigma: SigmaConfig = SigmaConfig()
    """Spread of the likelihood."""


class WeighedConfig(GaussianConfig):
    """Settings of such a family whose loss weighs the KL term."""

    beta: float = Field(1.0, ge=0)
    """Weight of the KL term; 1 is the evidence lower bound."""
    kl_warmup: float = Field(0.0, ge=0, le=1)
    """First share of the budget over which the weight of the KL term goes from ``kl_start`` to ``beta``."""
    kl_start: float = Field(0.0, ge=0)
    """Weight of the KL term at the start of a warm-up: linear from 0 up, geometric from above 0 up or down."""

    def kl_weight(self, progress: float) -> float:
        """Weight of the KL term once that share of the budget is spent."""
        if progress >= self.kl_warmup:
            return self.beta
        share, start = progress / self.kl_warmup, self.kl_start
        if start and self.beta:
            return float(start ** (1 - share) * self.beta**share)
        return start + (self.beta - start) * share


class GaussianFamily(Autoencoding):
    """``p(z|x) = N(mean(x), diag(variance(x)))``, the ``encoder``, and ``q(x|z)`` around the ``decoder``'s windows.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    SHOWS = ("mean", "sample")

    def __init__(self, config: GaussianConfig, shape: MotionShape) -> None:
        super().__init__(config, shape, "gaussian")
        self.likelihood = Likelihood(config.likelihood, config.sigma, shape.features)
        self.register_load_state_dict_pre_hook(_from_before_likelihoods)  # type: ignore[no-untyped-call]

    def posterior(self, batch: Batch) -> Gaussian:
        """``p(z|x)`` of the windows of a batch."""
        posterior = super().posterior(batch)
        assert isinstance(posterior, Gaussian)
        return posterior

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
        posterior = self.posterior(batch)
        mean_BZ, log_variance_BZ = posterior
        side_BS = self.condition.of(batch)
        total_B = torch.full((len(mean_BZ),), -math.inf, dtype=torch.float64, device=mean_BZ.device)
        for _ in range(samples):  # one at a time, so as to hold one batch of decoded windows
            noise_BZ = torch.randn(mean_BZ.shape, generator=generator, device=generator.device)
            z_BZ = posterior.draw(noise_BZ)
            # log q(z) - log p(z|x); log 2 pi cancels
            ratio_B = 0.5 * (noise_BZ.square() + log_variance_BZ - z_BZ.square()).sum(1)
            weight_B = self.likelihood.log_density(batch, self.decode(z_BZ, side_BS)) + ratio_B
            total_B = torch.logaddexp(total_B, weight_B.double())
        return total_B - math.log(samples)


def _from_before_likelihoods(_: torch.nn.Module, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
    """Runs of early versions keep the variance under another name."""
    if (old := state_dict.pop(f"{prefix}noise_variance", None)) is not None:
        state_dict[f"{prefix}likelihood.noise_variance"] = old
