"""Likelihood of windows around what a decoder gives.

Shapes: B batch, N samples, T frames, D features.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from motionsynth.corpus.windows import Batch
from motionsynth.families.base import StepContext
from motionsynth.losses.likelihood import gaussian_nll, laplace_nll, masked_errors
from motionsynth.settings import FrozenConfig

__all__ = ["Likelihood", "LikelihoodKind", "LikelihoodTerms", "SigmaConfig"]

LikelihoodKind = Literal["gaussian", "laplace"]


class SigmaConfig(FrozenConfig):
    """Standard deviation of the likelihood."""

    kind: Literal["fixed", "learned", "per_feature"] = "learned"
    """``learned`` takes the optimum of one number for all features in closed form, from the errors of the batch, and
    ``per_feature`` that of one number for each."""
    value: float = Field(0.3, gt=0)
    """The value where it is fixed, the running one at the start where it is learned; in normalised units."""
    floor: float = Field(0.05, gt=0)
    """The smallest value where it is learned."""


class LikelihoodTerms(NamedTuple):
    """Terms of a likelihood for a batch."""

    nll_B: Tensor
    """``-log q(x|z)`` of each window, in nats."""
    mse: Tensor
    """Mean squared error of a number, over the joined batch; no gradient."""


class Likelihood(nn.Module):
    """``q(x|z) = N(Dec(z), diag(sigma^2))``, or Laplace's ``1/(2b) exp(-|x - Dec(z)| / b)`` with ``sigma^2 = 2 b^2``.

    A learned spread is the batch's maximum of the likelihood, in closed form: ``sigma^2`` the mean squared error, ``b``
    the mean absolute error, over all numbers or those of each feature. A running value is kept for windows that are
    judged, and for noise.

    References:
        Rybkin, Daniilidis & Levine, Simple and Effective VAE Training with Calibrated Decoders, 2021.

    Args:
        kind: which distribution.
        sigma: its spread.
        features: D.
    """

    noise_variance: Tensor

    def __init__(self, kind: LikelihoodKind, sigma: SigmaConfig, features: int) -> None:
        super().__init__()
        self.kind, self.config = kind, sigma
        shape = (features,) if sigma.kind == "per_feature" else ()
        self.register_buffer("noise_variance", torch.full(shape, sigma.value**2))

    @property
    def sigma(self) -> Tensor:
        """The running standard deviation; the root mean square of all features' where each has its own."""
        return self.noise_variance.mean().sqrt()

    def loss(self, batch: Batch, motion_BTD: Tensor, context: StepContext) -> LikelihoodTerms:
        """Loss of ``motion`` decoded from latents of the batch; a learned spread is fitted in training mode."""
        squared_BD = masked_errors(batch.motion_BTD, motion_BTD, batch.mask_BT)
        error_BD = squared_BD
        if self.kind == "laplace":
            error_BD = masked_errors(batch.motion_BTD, motion_BTD, batch.mask_BT, power=1)
        frames_B = batch.mask_BT.sum(1)
        frames = context.mean(frames_B.sum().float())
        mse = context.mean(squared_BD.sum()) / (frames * squared_BD.shape[1])
        variance = self.noise_variance
        if self.training and self.config.kind != "fixed":
            mean_D = context.mean(error_BD.sum(0)) / frames
            error = mean_D if self.config.kind == "per_feature" else mean_D.mean()
            variance = (error if self.kind == "gaussian" else 2 * error.square()).clamp(min=self.config.floor**2)
            self.noise_variance.copy_(torch.lerp(self.noise_variance, variance, 0.01))
        return LikelihoodTerms(self._nll(error_BD, frames_B, variance), mse)

    def log_density(self, batch: Batch, motion_BTD: Tensor) -> Tensor:
        """(B,) log q(x|z) of the frames that are there, in nats, under the running spread."""
        power: Literal[1, 2] = 2 if self.kind == "gaussian" else 1
        error_BD = masked_errors(batch.motion_BTD, motion_BTD, batch.mask_BT, power=power)
        return -self._nll(error_BD, batch.mask_BT.sum(1), self.noise_variance)

    def add_noise(self, motion: Tensor, uniform: Tensor) -> Tensor:
        """Draws around decoded means, by the inverse of the distribution function.

        Args:
            motion: (N, T, D) means.
            uniform: (N, T, D) numbers from [0, 1).
        """
        half = (uniform - 0.5).clamp(-0.5 + 2**-24, 0.5 - 2**-24)
        if self.kind == "gaussian":
            return motion + self.noise_variance.sqrt() * math.sqrt(2) * torch.erfinv(2 * half)
        scale = (self.noise_variance / 2).sqrt()
        return motion - scale * half.sign() * torch.log1p(-2 * half.abs())

    def _nll(self, error_BD: Tensor, frames_B: Tensor, variance: Tensor) -> Tensor:
        frames_B1, variance_D = frames_B[:, None], variance.expand(error_BD.shape[1])
        if self.kind == "gaussian":
            return gaussian_nll(error_BD, frames_B1, variance_D).sum(1)
        return laplace_nll(error_BD, frames_B1, (variance_D / 2).sqrt()).sum(1)
