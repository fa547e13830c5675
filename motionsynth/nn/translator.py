"""From motion to motion of another domain, frame by frame, whatever the length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Conv, last_held
from motionsynth.nn.encoder import with_side

__all__ = ["Translator"]


class _Block(nn.Module):
    """Two convolutions with pre-activation beside a straight path, the first of them dilated."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, kernel, gain=math.sqrt(2), dilation=dilation)
        self.conv2 = Conv(channels, channels, kernel, gain=math.sqrt(0.5))

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
        hidden = self.conv1(last_held(F.leaky_relu(x_BTC, 0.2), mask_BT))
        result: Tensor = x_BTC + self.conv2(last_held(F.leaky_relu(hidden, 0.2), mask_BT))
        return result


class Translator(nn.Module):
    """``x + change(x)``: residual blocks of dilated convolutions over time, without a step that knows the length.

    So it starts near the identity, keeps what it has no reason to change, and takes clips of any length; a frame is
    told of ``reach`` frames before and behind it. Every convolution holds the last frame that is there: a padded window
    gives what the window without its padding gives.

    Args:
        features: D.
        width: channels.
        dilations: of each block, frames between the frames that its first convolution sees.
        kernel: frames of each convolution, odd.
        side: S, numbers beside each window, such as labels.
    """

    def __init__(
        self,
        features: int,
        width: int = 128,
        dilations: Sequence[int] = (1, 2, 4, 8),
        *,
        kernel: int = 3,
        side: int = 0,
    ) -> None:
        super().__init__()
        self.reach = (kernel // 2) * (2 + sum(dilations) + len(dilations))
        self.input = Conv(features + side, width, kernel)
        self.blocks = nn.ModuleList(_Block(width, kernel, dilation) for dilation in dilations)
        # small, so that the first critics meet motion that is nearly real; not zero, or no block would learn at first
        self.output = Conv(width, features, kernel, gain=0.1)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) normalised features, their (B, T) mask and (B, S) side -> (B, T, D), float32, zero where padded."""
        x_BTC = self.input(with_side(last_held(motion_BTD, mask_BT), side_BS))
        for block in self.blocks:
            x_BTC = block(x_BTC, mask_BT)
        change_BTD = self.output(last_held(F.leaky_relu(x_BTC, 0.2), mask_BT))
        translated_BTD: Tensor = (motion_BTD + change_BTD.float()).masked_fill(~mask_BT.unsqueeze(2), 0.0)
        return translated_BTD
