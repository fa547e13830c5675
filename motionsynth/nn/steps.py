"""Between frames and the steps of a sequence network: each step is a patch of frames.

A step of four frames is a quarter of the work of a step a frame, and as fine as the coarse levels of the convolutions.
Nothing here knows how long the windows are.

Shapes: B batch, T frames, L steps, D features, C channels, S numbers beside each window.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Conv, Dense, LearnedUpsample, ResidualBlock, Upsampling, edges_held
from motionsynth.nn.encoder import with_side

__all__ = ["Double", "FrameHead", "Patches", "clock", "needs_second_gradient"]


def needs_second_gradient(*inputs: Tensor | None) -> bool:
    """True where a gradient with respect to inputs may be differentiated again, as gradient penalties do.

    Only inputs that themselves carry gradient can be asked for one; then kernels without a second derivative are out.
    """
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)


def clock(steps: int, period: int, device: torch.device) -> Tensor:
    """(L, 2 K) sine and cosine of periods ``period / 2^k`` steps, two steps at least.

    All are harmonics of the first, so what comes after a period shows a network no number that it has not seen.
    """
    count = max(1, int(math.log2(period)))
    rate_K = 2.0 ** torch.arange(count, device=device) / period
    angle_LK = 2 * torch.pi * torch.arange(steps, device=device)[:, None] * rate_K
    return torch.cat((angle_LK.sin(), angle_LK.cos()), 1)


class Patches(nn.Module):
    """Windows to steps: a linear map of ``patch`` frames, their mask, and the numbers beside the window.

    Padded frames are zeroed, so what stands in them changes nothing; a step without a real frame is masked.

    Args:
        features: D.
        width: C.
        patch: frames that make one step.
        side: S, numbers beside each window, such as labels.
    """

    def __init__(self, features: int, width: int, patch: int, *, side: int = 0) -> None:
        super().__init__()
        self.patch = patch
        self.linear = Dense(patch * (features + 1) + side, width)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, D) features and their (B, T) mask -> (B, L, C) and (B, L), with ``L = ceil(T / patch)``."""
        mask_BT1 = mask_BT.unsqueeze(2)
        x_BTC = torch.cat((motion_BTD, mask_BT1.to(motion_BTD.dtype)), 2).masked_fill_(~mask_BT1, 0.0)
        short = -mask_BT.shape[1] % self.patch
        x_BLC = F.pad(x_BTC, (0, 0, 0, short)).reshape(len(x_BTC), -1, self.patch * x_BTC.shape[2])
        mask_BL = F.pad(mask_BT, (0, short)).reshape(len(x_BTC), -1, self.patch).any(2)
        return self.linear(with_side(x_BLC, side_BS)), mask_BL


class Double(nn.Module):
    """Twice the frames for any number of them, by slices: deterministic on every device, differentiable twice.

    Args:
        mode: ``linear`` or ``nearest``.
    """

    def __init__(self, mode: Literal["linear", "nearest"]) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x_BTC: Tensor) -> Tensor:
        """(B, T, C) -> (B, 2 T, C)."""
        if self.mode == "nearest":
            return x_BTC.repeat_interleave(2, 1)
        held = edges_held(x_BTC)
        before, after = held[:, :-2], held[:, 2:]
        return torch.stack((torch.lerp(x_BTC, before, 0.25), torch.lerp(x_BTC, after, 0.25)), 2).flatten(1, 2)


class FrameHead(nn.Module):
    """Steps to frames: doubled until a step is ``patch`` frames, each time followed by a residual block.

    Args:
        width: C.
        features: D.
        patch: frames that a step becomes, a power of two.
        upsample: how frames are doubled.
        kernel: frames of each convolution.
    """

    def __init__(
        self, width: int, features: int, patch: int, *, upsample: Upsampling = "linear", kernel: int = 3
    ) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        inputs = width
        for _ in range(patch.bit_length() - 1):
            levels.append(LearnedUpsample(inputs) if upsample == "learned" else Double(upsample))
            levels.append(ResidualBlock(inputs, max(width // 2, 1), kernel))
            inputs = max(width // 2, 1)
        self.levels = nn.Sequential(*levels)
        self.output = Conv(inputs, features, kernel)

    def forward(self, x_BLC: Tensor) -> Tensor:
        """(B, L, C) -> (B, L * patch, D), float32."""
        motion_BTD: Tensor = self.output(F.leaky_relu(self.levels(x_BLC), 0.2))
        return motion_BTD.float()
