"""From motion to motion of another domain, frame by frame, whatever the length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Conv
from motionsynth.nn.encoder import with_side

__all__ = ["Translator"]


class _Dilated(Conv):
    """Convolution over frames that lie ``dilation`` apart, with zero padding, so that their number stays."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__(channels, channels, kernel, gain=math.sqrt(2))
        self.dilation = dilation

    def forward(self, x_BTC: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        image = x_BTC.transpose(1, 2).unsqueeze(2)
        weight = self.weight.transpose(1, 2).unsqueeze(2)
        padding = self.dilation * (self.weight.shape[1] // 2)
        image = F.conv2d(image, weight, self.bias, padding=(0, padding), dilation=(1, self.dilation))
        return image.squeeze(2).transpose(1, 2)


class _Block(nn.Module):
    """Two convolutions with pre-activation beside a straight path, the first of them dilated."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _Dilated(channels, kernel, dilation)
        self.conv2 = Conv(channels, channels, kernel, gain=math.sqrt(0.5))

    def forward(self, x_BTC: Tensor) -> Tensor:
        hidden = self.conv1(F.leaky_relu(x_BTC, 0.2))
        result: Tensor = x_BTC + self.conv2(F.leaky_relu(hidden, 0.2))
        return result


class Translator(nn.Module):
    """``x + change(x)``: residual blocks of dilated convolutions over time, without a step that knows the length.

    So it starts near the identity, keeps what it has no reason to change, and takes clips of any length; a frame is
    told of ``reach`` frames before and behind it.

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
        self.input = Conv(features + 1 + side, width, kernel)
        self.blocks = nn.Sequential(*(_Block(width, kernel, dilation) for dilation in dilations))
        # small, so that the first critics meet motion that is nearly real; not zero, or no block would learn at first
        self.output = Conv(width, features, kernel, gain=0.1)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) normalised features, their (B, T) mask and (B, S) side -> (B, T, D), float32, zero where padded."""
        mask_BT1 = mask_BT.unsqueeze(2)
        clean_BTD = motion_BTD.masked_fill(~mask_BT1, 0.0)
        x_BTC = with_side(torch.cat((clean_BTD, mask_BT1.to(clean_BTD.dtype)), 2), side_BS)
        change_BTD = self.output(F.leaky_relu(self.blocks(self.input(x_BTC)), 0.2))
        translated_BTD: Tensor = (clean_BTD + change_BTD.float()).masked_fill(~mask_BT1, 0.0)
        return translated_BTD
