"""Autoencoder: points to points, with no distribution over the latents.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import ConvConfig, conv_decoder, conv_encoder
from motionsynth.families.base import AdamConfig, Family, FamilyConfig, Loss, MotionShape, Phase, StepContext
from motionsynth.losses import masked_squared_error

__all__ = ["Autoencoder"]


class Autoencoder(Family):
    """``min E_x[|x - Dec(Enc(x))|^2]`` per number (Hinton & Salakhutdinov, 2006).

    It has no generative prior: nothing makes the codes follow any known distribution. ``sample`` decodes N(0, I) all
    the same, because that is the argument: such draws are points never seen, and what they decode to shows it.
    """

    class Config(FamilyConfig):
        """Settings of the autoencoder."""

        PHASES: ClassVar[tuple[str, ...]] = ("all",)

        name: Literal["ae"] = "ae"
        latent_dim: int = Field(16, ge=1)
        """Z, numbers in a code."""
        backbone: ConvConfig = ConvConfig()
        """Networks of encoder and decoder."""
        optimise: dict[str, AdamConfig] = Field(default={"all": AdamConfig()})
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.latent_dim = config.latent_dim
        self.encoder = conv_encoder(config.backbone, shape, config.latent_dim)
        self.decoder = conv_decoder(config.backbone, shape, config.latent_dim)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One: both networks learn to reconstruct."""
        return (Phase("all", self.reconstruction_loss, ("encoder", "decoder")),)

    def reconstruction_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Mean squared error over the frames that are there."""
        error_B = masked_squared_error(batch.motion_BTD, self.reconstruct(batch), batch.mask_BT)
        mse = error_B.sum() / (batch.mask_BT.sum() * self.shape.features)
        return Loss(mse, {"mse": mse.detach()})

    def encode(self, batch: Batch) -> Tensor:
        """(B, Z) codes."""
        code_BZ: Tensor = self.encoder(batch.motion_BTD, batch.mask_BT)
        return code_BZ

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) decoded codes."""
        motion_BTD: Tensor = self.decoder(self.encode(batch))
        return motion_BTD

    def sample_latent(self, count: int, *, generator: torch.Generator) -> Tensor:
        """(N, Z) draws from N(0, I), which the codes need not follow."""
        return torch.randn(count, self.latent_dim, generator=generator, device=generator.device)

    def sample(self, count: int, *, generator: torch.Generator, frames: int | None = None) -> Tensor:
        """(N, T, D) decoded draws from N(0, I); see ``Family.sample``."""
        frames = self.sample_frames(frames)
        motion_NTD: Tensor = self.decoder(self.sample_latent(count, generator=generator))
        return motion_NTD[:, :frames]
