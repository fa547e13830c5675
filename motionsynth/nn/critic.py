"""Judges of windows of motion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.encoder import Trunk

__all__ = ["Critic", "minibatch_stddev"]


def minibatch_stddev(x_BTC: Tensor, group: int) -> Tensor:
    """How much neighbours in the batch differ: the standard deviation within groups, averaged over all else.

    References:
        Karras et al., Progressive Growing of GANs, 2018.

    Args:
        x_BTC: (B, T, C) features; B a multiple of ``group``.
        group: windows compared with one another.

    Returns:
        (B, T, 1), one value a group.
    """
    batch, frames, channels = x_BTC.shape
    grouped = x_BTC.float().reshape(-1, group, frames * channels)
    # not Tensor.var, which takes ten times as long over a middle dimension on CPUs
    variance = (grouped - grouped.mean(1, keepdim=True)).square().mean(1)
    spread = (variance + 1e-8).sqrt().mean(1)
    return spread.repeat_interleave(group).view(batch, 1, 1).expand(-1, frames, 1).to(x_BTC.dtype)


class Critic(nn.Module):
    """Windows to logits, high where the window looks real.

    Args:
        frames: T, the length of the windows.
        features: D.
        widths: channels of each level, from the coarsest to the finest.
        kernel: frames of each convolution.
        group: windows that the minibatch standard deviation compares; 0 switches it off.
        side: S, numbers beside each window, such as labels, or the latent of a pair.
    """

    def __init__(
        self, frames: int, features: int, widths: Sequence[int], *, kernel: int = 3, group: int = 4, side: int = 0
    ) -> None:
        super().__init__()
        self.group = group
        self.trunk = Trunk(frames, features, widths, kernel=kernel, side=side)
        width = self.trunk.width
        self.hidden = nn.Linear(self.trunk.coarse_frames * (width + bool(group)), width)
        self.head = nn.Linear(width, 1)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None, *, parts: int = 1) -> Tensor:
        """Judge windows.

        Args:
            motion_BTD: (B, T, D) normalised features.
            mask_BT: (B, T) False on padded frames.
            side_BS: (B, S) numbers beside each window.
            parts: the batch is that many equal parts, one after the other, whose windows are not compared with one
                another; ``2`` for real windows followed by generated ones.

        Returns:
            (B,) logits, float32.
        """
        logits: Tensor = self.head(self.describe(motion_BTD, mask_BT, side_BS, parts=parts)).squeeze(1)
        return logits.float()

    def describe(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None, *, parts: int = 1) -> Tensor:
        """(B, H) features that the logits are a linear map of; arguments as of ``forward``."""
        x_BTC = self.trunk(motion_BTD, mask_BT, side_BS)
        if self.group:
            group = math.gcd(len(x_BTC) // parts, self.group)
            x_BTC = torch.cat((x_BTC, minibatch_stddev(x_BTC, group)), 2)
        return F.leaky_relu(self.hidden(x_BTC.flatten(1)), 0.2)
