"""The settings of the networks that families share, and how they are built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from motionsynth.families.base import FrozenConfig, MotionShape
from motionsynth.nn.critic import Critic
from motionsynth.nn.decoder import Decoder
from motionsynth.nn.encoder import Encoder

__all__ = ["ConvConfig", "CriticConfig", "conv_critic", "conv_decoder", "conv_encoder"]


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


def conv_encoder(config: ConvConfig, shape: MotionShape, outputs: int) -> Encoder:
    """A new encoder of windows of that shape to (B, outputs)."""
    return Encoder(shape.frames, shape.features, outputs, config.widths, kernel=config.kernel)


def conv_decoder(config: ConvConfig, shape: MotionShape, inputs: int) -> Decoder:
    """A new decoder, or generator, of (B, inputs) to windows of that shape."""
    return Decoder(
        shape.frames,
        shape.features,
        inputs,
        config.widths,
        kernel=config.kernel,
        upsample=config.upsample,
        mapping_layers=config.mapping_layers,
        mapping_width=config.mapping_width,
    )


def conv_critic(config: ConvConfig, critic: CriticConfig, shape: MotionShape) -> Critic:
    """A new critic of windows of that shape."""
    return Critic(shape.frames, shape.features, critic.widths, kernel=config.kernel, group=critic.minibatch_stddev)
