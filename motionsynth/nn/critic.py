"""Judges of windows of motion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Dense
from motionsynth.nn.encoder import Trunk, with_side

__all__ = ["Critic", "LatentCritic", "minibatch_stddev"]


def minibatch_stddev(x_BTC: Tensor, group: int) -> Tensor:
    """Difference of neighbours in the batch: the standard deviation within groups, averaged over all else.

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
        trunk: what reads the windows, and the numbers beside them, such as labels, or the latent of a pair.
        group: windows that the minibatch standard deviation compares; 0 switches it off.
    """

    def __init__(self, trunk: Trunk, *, group: int = 4) -> None:
        super().__init__()
        self.group, self.trunk = group, trunk
        width = trunk.width
        self.hidden = nn.Linear(trunk.coarse_frames * (width + bool(group)), width)
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


class LatentCritic(nn.Module):
    """Latents to logits, high where the latent looks drawn from the prior.

    Args:
        inputs: Z.
        widths: numbers in each hidden layer.
        side: S, numbers beside each latent, such as labels.
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, side: int = 0) -> None:
        super().__init__()
        self.layers = Dense(inputs + side, *widths, 1)

    def forward(self, z_BZ: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, Z) latents and (B, S) numbers beside them -> (B,) logits, float32."""
        logits: Tensor = self.layers(with_side(z_BZ, side_BS)).squeeze(1)
        return logits.float()
