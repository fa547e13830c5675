"""From vectors to windows of motion: the decoder of one family is the generator of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Conv, Dense, LearnedUpsample, ResidualBlock, Upsample, Upsampling
from motionsynth.nn.encoder import coarse_frames, with_side

__all__ = ["ConvDecoder", "Decoder"]


class Decoder(nn.Module):
    """Vectors and a number of frames to windows; what kind of network does it, the classes below it say."""

    longest: int | None
    """Frames that it can make at most; None where there is no limit."""


class ConvDecoder(Decoder):
    """Vectors to windows: a linear map to the coarsest level, then residual blocks that double the frames.

    Args:
        frames: T, the length of the windows.
        features: D.
        inputs: Z, size of the vectors.
        widths: channels of each level, from the coarsest to the finest.
        kernel: frames of each convolution.
        upsample: how frames are doubled.
        mapping_layers: hidden layers between the vector and the coarsest level.
        mapping_width: numbers in each of them.
        side: S, numbers beside each vector, such as labels.
    """

    def __init__(
        self,
        frames: int,
        features: int,
        inputs: int,
        widths: Sequence[int],
        *,
        kernel: int = 3,
        upsample: Upsampling = "linear",
        mapping_layers: int = 2,
        mapping_width: int = 256,
        side: int = 0,
    ) -> None:
        super().__init__()
        self.frames = self.longest = frames
        self.coarse_frames = coarse_frames(frames, len(widths))
        self.mapping = Dense(inputs + side, *[mapping_width] * mapping_layers, self.coarse_frames * widths[0])
        levels: list[nn.Module] = []
        level_frames = self.coarse_frames
        for before, after in zip([widths[0], *widths[:-1]], widths, strict=True):
            if levels:
                levels.append(LearnedUpsample(before) if upsample == "learned" else Upsample(level_frames, upsample))
                level_frames *= 2
            levels.append(ResidualBlock(before, after, kernel))
        self.levels = nn.Sequential(*levels)
        self.output = Conv(widths[-1], features, kernel)

    def forward(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, Z) and (B, S) -> (B, T, D) normalised features, float32; their first ``frames`` where given."""
        start_BTC = self.mapping(with_side(z_BZ, side_BS)).unflatten(1, (self.coarse_frames, -1))
        motion_BTD: Tensor = self.output(F.leaky_relu(self.levels(start_BTC), 0.2))
        return motion_BTD[:, : frames or self.frames].float()
