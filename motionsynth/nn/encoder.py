"""From windows of motion to vectors: the trunk of encoders and critics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Conv, Downsample, ResidualBlock, last_held

__all__ = ["ConvTrunk", "Encoder", "Trunk", "coarse_frames", "with_side"]


def coarse_frames(frames: int, levels: int) -> int:
    """Frames at the coarsest of ``levels`` resolutions, the finest of which holds T: ``ceil(T / 2^(levels - 1))``.

    Raises:
        ValueError: there is no level, or less than one coarse frame's worth of motion.
    """
    factor: int = 2 ** (levels - 1)
    if levels < 1 or frames < factor:
        raise ValueError(f"{levels} levels need windows of at least {factor} frames, not {frames}")
    return math.ceil(frames / factor)


def with_side(x: Tensor, side_BS: Tensor | None) -> Tensor:
    """(B, C) or (B, T, C) with ``side_BS``, numbers that hold for the whole window, as further channels."""
    if side_BS is None:
        return x
    side = side_BS.to(x.dtype)
    return torch.cat((x, side if x.ndim == 2 else side[:, None].expand(-1, x.shape[1], -1)), -1)


class Trunk(nn.Module):
    """(B, T, D) features, their (B, T) mask and (B, S) side -> (B, T', C); the classes below it say how."""

    coarse_frames: int
    """T', which is 1 where the windows may have any length."""
    width: int
    """C."""


class ConvTrunk(Trunk):
    """Residual blocks that halve the frames level by level.

    Padded frames hold the last one that is there, and the mask is an input channel of its own.

    Args:
        frames: T, the length of the windows.
        features: D.
        widths: channels of each level, from the coarsest to the finest.
        kernel: frames of each convolution.
        side: S, numbers beside each window, such as labels.
    """

    def __init__(self, frames: int, features: int, widths: Sequence[int], *, kernel: int = 3, side: int = 0) -> None:
        super().__init__()
        self.coarse_frames = coarse_frames(frames, len(widths))
        self.frames = self.coarse_frames * 2 ** (len(widths) - 1)
        self.width = widths[0]
        fine_to_coarse = list(reversed(widths))
        self.input = Conv(features + 1 + side, fine_to_coarse[0], kernel)
        levels: list[nn.Module] = []
        level_frames = self.frames
        for inputs, outputs in zip(fine_to_coarse, [*fine_to_coarse[1:], fine_to_coarse[-1]], strict=True):
            levels.append(ResidualBlock(inputs, outputs, kernel))
            if level_frames > self.coarse_frames:
                levels.append(Downsample(level_frames))
                level_frames //= 2
        self.levels = nn.Sequential(*levels)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) normalised features and their (B, T) mask -> (B, T', C) features at the coarsest level."""
        if short := self.frames - motion_BTD.shape[1]:
            motion_BTD, mask_BT = F.pad(motion_BTD, (0, 0, 0, short)), F.pad(mask_BT, (0, short))
        x_BTC = torch.cat((last_held(motion_BTD, mask_BT), mask_BT[..., None].to(motion_BTD.dtype)), 2)
        return F.leaky_relu(self.levels(self.input(with_side(x_BTC, side_BS))), 0.2)


class Encoder(nn.Module):
    """Windows to vectors.

    Args:
        trunk: what reads the windows.
        outputs: size of the vectors.
    """

    def __init__(self, trunk: Trunk, outputs: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.coarse_frames * trunk.width, outputs)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) normalised features, their (B, T) mask and (B, S) side -> (B, outputs), float32."""
        vector: Tensor = self.head(self.trunk(motion_BTD, mask_BT, side_BS).flatten(1))
        return vector.float()
