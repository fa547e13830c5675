"""The settings of the networks that families share, and how they are built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from motionsynth.families.base import FrozenConfig, MotionShape
from motionsynth.nn.critic import Critic
from motionsynth.nn.decoder import Decoder
from motionsynth.nn.encoder import Encoder

__all__ = ["BackboneConfig", "ConvConfig", "CriticConfig", "build_critic", "build_decoder", "build_encoder"]


Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class ConvConfig(FrozenConfig):
    """Residual convolutions over time, the frames halved from level to level."""

    kind: Literal["conv"] = "conv"
    """Which backbone."""
    widths: Widths = (128, 128, 96, 64)
    """Channels of each level, from the coarsest to the finest."""
    kernel: int = Field(3, ge=1)
    """Frames of each convolution, odd."""
    upsample: Literal["linear", "nearest"] = "linear"
    """How a decoder doubles the frames; ``nearest`` leaves combs in the spectrum."""
    mapping_layers: int = Field(2, ge=0)
    """Hidden layers between a latent and the coarsest level of a decoder."""
    mapping_width: int = Field(256, ge=1)
    """Numbers in each of them."""

    @field_validator("kernel")
    @classmethod
    def _kernel_odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("must be odd, so that a convolution has a middle frame")
        return kernel


class CriticConfig(FrozenConfig):
    """Settings of a critic beside those of the backbone."""

    widths: Widths = (128, 128, 96, 64)
    """Channels of each level, from the coarsest to the finest."""
    minibatch_stddev: int = Field(4, ge=0)
    """Windows that the critic compares with one another, so that it sees a lack of variety; 0 for none."""


BackboneConfig = ConvConfig
"""Settings of any backbone, told apart by ``kind``."""


def build_encoder(config: BackboneConfig, shape: MotionShape, outputs: int, *, side: int = 0) -> Encoder:
    """A new encoder ``(motion_BTD, mask_BT, side_BS) -> (B, outputs)`` of windows of that shape."""
    return Encoder(shape.frames, shape.features, outputs, config.widths, kernel=config.kernel, side=side)


def build_decoder(config: BackboneConfig, shape: MotionShape, inputs: int, *, side: int = 0) -> Decoder:
    """A new decoder, or generator, ``(z_BZ, side_BS, frames) -> (B, T, D)``; its ``longest`` is T at most, or None."""
    return Decoder(
        shape.frames,
        shape.features,
        inputs,
        config.widths,
        kernel=config.kernel,
        upsample=config.upsample,
        mapping_layers=config.mapping_layers,
        mapping_width=config.mapping_width,
        side=side,
    )


def build_critic(config: BackboneConfig, critic: CriticConfig, shape: MotionShape, *, side: int = 0) -> Critic:
    """A new critic ``(motion_BTD, mask_BT, side_BS, parts=1) -> (B,)`` logits of windows of that shape."""
    group = critic.minibatch_stddev
    return Critic(shape.frames, shape.features, critic.widths, kernel=config.kernel, group=group, side=side)
