"""Variational autoencoder: the evidence lower bound, with a Gaussian or Laplace likelihood.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.autoencoding import Gaussian
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.variational import GaussianFamily, WeighedConfig
from motionsynth.losses.likelihood import free_bits, kl_to_standard_normal
from motionsynth.losses.matching import mmd_to_standard_normal

__all__ = ["VAE"]


class VAE(GaussianFamily):
    """``min E_x[ E_{p(z|x)}[-log q(x|z)] + beta KL(p(z|x) || N(0, I)) ]``, sums over frames, features and latents.

    ``q(x|z)`` is ``Likelihood``'s, such as ``N(Dec(z), sigma^2 I)``, and ``p(z|x) = N(mean(x), diag(variance(x)))``,
    drawn by reparameterisation. At beta = 1 without free bits the total is minus the evidence lower bound, in nats a
    window. The term ``elbo`` is the bound whatever the weights.

    References:
        Kingma & Welling, Auto-Encoding Variational Bayes, 2014; Rybkin, Daniilidis & Levine, Simple and Effective VAE
        Training with Calibrated Decoders, 2021, for the learned sigma; Higgins et al., beta-VAE, 2017; Kingma et al.,
        Improved Variational Inference with Inverse Autoregressive Flow, 2016, for free bits; Burda, Grosse &
        Salakhutdinov, Importance Weighted Autoencoders, 2016, for the tighter bound.
    """

    PRIORS = ("fitted", "normal")

    class Config(WeighedConfig):
        """Settings of the variational autoencoder."""

        PHASES: ClassVar[tuple[str, ...]] = ("all",)

        name: Literal["vae"] = "vae"
        free_bits: float = Field(0.0, ge=0)
        """Nats of each latent dimension, mean over the batch, that cost nothing."""
        optimise: dict[str, AdamConfig] = Field(default={"all": AdamConfig()})
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One: both networks raise the evidence lower bound."""
        return (Phase("all", self.elbo_loss, ("encoder", "decoder")),)

    def elbo_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Minus the evidence lower bound, mean over windows; the spectrum of the latents is reported in eval mode."""
        posterior = self.posterior(batch)
        z_BZ = posterior.draw(context.normal(*posterior.mean_BZ.shape))
        nll_B, mse = self.likelihood.loss(batch, self.decode(z_BZ, self.condition.of(batch)), context)
        kl_Z = kl_to_standard_normal(*posterior).mean(0)
        config, nll, kl = self.config, nll_B.mean(), kl_Z.sum()
        cost = free_bits(kl_Z, context.mean(kl_Z), config.free_bits) if config.free_bits else kl
        total = nll + config.kl_weight(context.progress) * cost
        terms = {"elbo": -(nll + kl), "nll": nll, "kl": kl, "mse": mse, "sigma": self.likelihood.sigma}
        if not self.training:
            terms |= _aggregate_posterior(posterior, z_BZ)
        return Loss(total, {name: term.detach() for name, term in terms.items()})


def _aggregate_posterior(posterior: Gaussian, z_BZ: Tensor) -> dict[str, Tensor]:
    """Distances of E_x[p(z|x)] from the prior, and the number of latents that carry anything.

    A latent is active where the variance of its mean over the data exceeds 0.01 (Burda, Grosse & Salakhutdinov,
    Importance Weighted Autoencoders, 2016).
    """
    mean_BZ, log_variance_BZ = posterior
    mean_Z = mean_BZ.mean(0)
    covariance_ZZ = torch.cov(mean_BZ.T, correction=0) + torch.diag(log_variance_BZ.exp().mean(0))
    identity_ZZ = torch.eye(len(mean_Z), device=mean_Z.device)
    return {
        "active_units": (mean_BZ.var(0, correction=0) > 0.01).sum().float(),
        "aggregate_mean_distance": torch.linalg.vector_norm(mean_Z),
        "aggregate_covariance_distance": torch.linalg.matrix_norm(covariance_ZZ - identity_ZZ),
        "aggregate_mmd": mmd_to_standard_normal(z_BZ),
    }
