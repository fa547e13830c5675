"""Parts of families that encode windows, to points or to Gaussians, and decode the codes again.

Shapes: B batch, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import build_decoder, build_encoder
from motionsynth.families.base import StepContext
from motionsynth.families.latent import CodedConfig, CodedFamily
from motionsynth.losses.likelihood import masked_squared_error

__all__ = ["Autoencoding", "Gaussian", "Point", "PosteriorKind", "reconstruction_error"]

PosteriorKind = Literal["point", "gaussian"]


class Point(NamedTuple):
    """``p(z|x)`` that is certain."""

    mean_BZ: Tensor

    def draw(self, noise_BZ: Tensor) -> Tensor:
        """(B, Z) the points, whatever the noise."""
        return self.mean_BZ


class Gaussian(NamedTuple):
    """``p(z|x) = N(mean, diag(variance))``."""

    mean_BZ: Tensor
    log_variance_BZ: Tensor
    """Kept in [-20, 10]."""

    def draw(self, noise_BZ: Tensor) -> Tensor:
        """(B, Z) draws by reparameterisation: ``mean + noise * sqrt(variance)``, standard normal noise."""
        return self.mean_BZ + noise_BZ * torch.exp(0.5 * self.log_variance_BZ)


class Autoencoding(CodedFamily):
    """A family with the networks ``encoder``, which gives ``p(z|x)``, and ``decoder``.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
        posterior: what p(z|x) is.
    """

    def __init__(self, config: CodedConfig, shape: MotionShape, posterior: PosteriorKind) -> None:
        super().__init__(config, shape)
        self.posterior_kind = posterior
        outputs, side = config.latent_dim * (1 if posterior == "point" else 2), self.condition.width
        self.encoder = build_encoder(config.backbone, shape, outputs, side=side)
        self.decoder = build_decoder(config.backbone, shape, config.latent_dim, side=side)

    def posterior(self, batch: Batch) -> Point | Gaussian:
        """``p(z|x)`` of the windows of a batch."""
        output: Tensor = self.encoder(batch.motion_BTD, batch.mask_BT, self.condition.of(batch))
        if self.posterior_kind == "point":
            return Point(output)
        mean_BZ, log_variance_BZ = output.chunk(2, 1)
        return Gaussian(mean_BZ, log_variance_BZ.clamp(-20.0, 10.0))

    def draw_code(self, batch: Batch, context: StepContext) -> Tensor:
        """(B, Z) draws from p(z|x) for a loss."""
        return self.posterior(batch).draw(context.normal(len(batch.motion_BTD), self.latent_dim))

    def encode(self, batch: Batch) -> Tensor:
        """(B, Z) codes: means of p(z|x)."""
        return self.posterior(batch).mean_BZ

    def codes(self, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """(B, Z) draws from p(z|x); see ``CodedFamily.codes``."""
        size = (len(batch.motion_BTD), self.latent_dim)
        return self.posterior(batch).draw(torch.randn(*size, generator=generator, device=generator.device))

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) decoded codes."""
        return self.decode(self.encode(batch), self.condition.of(batch))


def reconstruction_error(batch: Batch, motion_BTD: Tensor, context: StepContext) -> Tensor:
    """Mean squared error of a number over the frames that are there: ``sum |x - y|^2 / (D sum_bt m_bt)``.

    The count is that of all processes, so that the mean of their gradients is the joined batch's.

    Args:
        batch: what was given.
        motion_BTD: (B, T, D) what came back, normalised features.
        context: of the step.
    """
    error_B = masked_squared_error(batch.motion_BTD, motion_BTD, batch.mask_BT)
    return error_B.sum() / (context.mean(batch.mask_BT.sum().float()) * motion_BTD.shape[2])
