"""Variational autoencoder: the evidence lower bound, with a Gaussian likelihood.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import build_decoder, build_encoder
from motionsynth.families.base import AdamConfig, FrozenConfig, Loss, MotionShape, Phase, StepContext
from motionsynth.families.latent import CodedConfig, CodedFamily
from motionsynth.losses.likelihood import (
    gaussian_nll,
    kl_to_standard_normal,
    masked_squared_error,
    mmd_to_standard_normal,
)

__all__ = ["VAE"]


class SigmaConfig(FrozenConfig):
    """Standard deviation of the likelihood, one number for all features."""

    kind: Literal["fixed", "learned"] = "learned"
    """``learned`` takes the optimum in closed form, the root mean squared error of the batch."""
    value: float = Field(0.3, gt=0)
    """The value where it is fixed, the smallest value where it is learned; in normalised units."""


class VAE(CodedFamily):
    """``min E_x[ E_{p(z|x)}[-log q(x|z)] + beta KL(p(z|x) || N(0, I)) ]``, sums over frames, features and latents.

    ``q(x|z) = N(Dec(z), sigma^2 I)`` and ``p(z|x) = N(mean(x), diag(variance(x)))``, drawn by reparameterisation. At
    beta = 1 the total is minus the evidence lower bound, in nats a window.

    References:
        Kingma & Welling, Auto-Encoding Variational Bayes, 2014; Rybkin, Daniilidis & Levine, Simple and Effective VAE
        Training with Calibrated Decoders, 2021, for the learned sigma; Higgins et al., beta-VAE, 2017.
    """

    noise_variance: Tensor

    class Config(CodedConfig):
        """Settings of the variational autoencoder."""

        PHASES: ClassVar[tuple[str, ...]] = ("all",)

        name: Literal["vae"] = "vae"
        sigma: SigmaConfig = SigmaConfig()
        """Spread of the likelihood."""
        beta: float = Field(1.0, ge=0)
        """Weight of the KL term; 1 is the evidence lower bound."""
        kl_warmup: float = Field(0.0, ge=0, le=1)
        """First share of the budget over which the weight of the KL term goes from ``kl_start`` to ``beta``."""
        kl_start: float = Field(0.0, ge=0)
        """Weight of the KL term at the start of a warm-up: linear from 0 up, geometric from above 0 up or down."""
        optimise: dict[str, AdamConfig] = Field(default={"all": AdamConfig()})
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.encoder = build_encoder(config.backbone, shape, 2 * config.latent_dim, side=self.condition.width)
        self.decoder = build_decoder(config.backbone, shape, config.latent_dim, side=self.condition.width)
        start = config.sigma.value**2 if config.sigma.kind == "fixed" else 1.0
        self.register_buffer("noise_variance", torch.tensor(start))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One: both networks raise the evidence lower bound."""
        return (Phase("all", self.elbo_loss, ("encoder", "decoder")),)

    def elbo_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Minus the evidence lower bound, mean over windows; the spectrum of the latents is reported in eval mode."""
        mean_BZ, log_variance_BZ = self.posterior(batch)
        z_BZ = mean_BZ + context.normal(*mean_BZ.shape) * torch.exp(0.5 * log_variance_BZ)
        motion_BTD = self.decode(z_BZ, self.condition.of(batch))
        error_B = masked_squared_error(batch.motion_BTD, motion_BTD, batch.mask_BT)
        count_B = batch.mask_BT.sum(1) * self.shape.features
        mse = context.mean(error_B.sum()) / context.mean(count_B.sum().float())
        nll = gaussian_nll(error_B, count_B, self._variance(mse)).mean()
        kl_BZ = kl_to_standard_normal(mean_BZ, log_variance_BZ)
        kl = kl_BZ.sum(1).mean()
        total = nll + self._kl_weight(context.progress) * kl
        terms = {"elbo": -(nll + kl), "nll": nll, "kl": kl, "mse": mse, "sigma": self.noise_variance.sqrt()}
        if not self.training:
            terms |= _aggregate_posterior(mean_BZ, log_variance_BZ, z_BZ)
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, Z) means and (B, Z) log variances of p(z|x)."""
        mean_BZ, log_variance_BZ = self.encoder(batch.motion_BTD, batch.mask_BT, self.condition.of(batch)).chunk(2, 1)
        return mean_BZ, log_variance_BZ.clamp(-20.0, 10.0)

    def encode(self, batch: Batch) -> Tensor:
        """(B, Z) means of p(z|x)."""
        return self.posterior(batch)[0]

    def codes(self, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """(B, Z) draws from p(z|x); see ``CodedFamily.codes``."""
        mean_BZ, log_variance_BZ = self.posterior(batch)
        noise_BZ = torch.randn(mean_BZ.shape, generator=generator, device=generator.device)
        return mean_BZ + noise_BZ * torch.exp(0.5 * log_variance_BZ)

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) decoded means."""
        return self.decode(self.encode(batch), self.condition.of(batch))

    def _variance(self, mse: Tensor) -> Tensor:
        """The likelihood's variance: optimal for the batch while training, its running value when judged."""
        sigma = self.config.sigma
        if sigma.kind == "fixed" or not self.training:
            return self.noise_variance
        variance = mse.clamp(min=sigma.value**2)
        self.noise_variance.lerp_(variance, 0.01)
        return variance

    def _kl_weight(self, progress: float) -> float:
        """beta, reached after the warm-up."""
        beta, start, warmup = self.config.beta, self.config.kl_start, self.config.kl_warmup
        if progress >= warmup:
            return beta
        share = progress / warmup
        return start ** (1 - share) * beta**share if start and beta else start + (beta - start) * share


def _aggregate_posterior(mean_BZ: Tensor, log_variance_BZ: Tensor, z_BZ: Tensor) -> dict[str, Tensor]:
    """How far E_x[p(z|x)] is from the prior, and how many latents carry anything.

    A latent is active where the variance of its mean over the data exceeds 0.01 (Burda, Grosse & Salakhutdinov,
    Importance Weighted Autoencoders, 2016).
    """
    mean_Z = mean_BZ.mean(0)
    covariance_ZZ = torch.cov(mean_BZ.T, correction=0) + torch.diag(log_variance_BZ.exp().mean(0))
    identity_ZZ = torch.eye(len(mean_Z), device=mean_Z.device)
    return {
        "active_units": (mean_BZ.var(0, correction=0) > 0.01).sum().float(),
        "aggregate_mean_distance": torch.linalg.vector_norm(mean_Z),
        "aggregate_covariance_distance": torch.linalg.matrix_norm(covariance_ZZ - identity_ZZ),
        "aggregate_mmd": mmd_to_standard_normal(z_BZ),
    }
