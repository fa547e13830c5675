"""A velocity field over vectors and time: residual dense layers that time and labels scale and shift.

Shapes: B batch, P numbers of a vector, C channels, S side numbers.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Dense
from motionsynth.nn.encoder import with_side

__all__ = ["VelocityField"]

_FREQUENCIES = 32


class _Block(nn.Module):
    """``x + W2 silu(W1 ((1 + scale) norm(x) + shift))`` with scale and shift made of the time and the labels."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition, 2 * width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x_BC: Tensor, condition_BM: Tensor, gain_BC: Tensor | None) -> Tensor:
        scale_BC, shift_BC = self.modulation(condition_BM).chunk(2, 1)
        hidden_BC = F.silu(self.first(self.norm(x_BC) * (1 + scale_BC) + shift_BC))
        result: Tensor = x_BC + self.second(hidden_BC if gain_BC is None else hidden_BC * gain_BC)
        return result


class VelocityField(nn.Module):
    """``v(x, t, labels)``; starts near zero everywhere.

    References:
        Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, 2018, for scale and shift.

    Args:
        size: P.
        width: C.
        layers: residual blocks.
        side: S, numbers beside each vector, such as labels.
    """

    rate_K: Tensor

    def __init__(self, size: int, width: int, layers: int, *, side: int = 0) -> None:
        super().__init__()
        condition = max(32, width // 4)
        self.register_buffer("rate_K", math.pi * torch.logspace(0, math.log10(256), _FREQUENCIES), persistent=False)
        self.clock = Dense(2 * _FREQUENCIES + side, condition, condition)
        self.input = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width, condition) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, size)
        nn.init.normal_(self.output.weight, std=0.01 / math.sqrt(width))
        nn.init.zeros_(self.output.bias)

    def forward(
        self, x_BP: Tensor, time_B: Tensor, side_BS: Tensor | None = None, gain_LBC: Tensor | None = None
    ) -> Tensor:
        """Compute velocities.

        Args:
            x_BP: places.
            time_B: times in [0, 1].
            side_BS: numbers beside each place.
            gain_LBC: what the hidden numbers of each block are multiplied by, such as by dropout; None for 1.

        Returns:
            (B, P) float32.
        """
        angle_BK = time_B[:, None] * self.rate_K
        condition_BM = F.silu(self.clock(with_side(torch.cat((angle_BK.sin(), angle_BK.cos()), 1), side_BS)))
        hidden_BC = self.input(x_BP)
        for number, block in enumerate(self.blocks):
            hidden_BC = block(hidden_BC, condition_BM, None if gain_LBC is None else gain_LBC[number])
        velocity_BP: Tensor = self.output(self.norm(hidden_BC))
        return velocity_BP.float()
