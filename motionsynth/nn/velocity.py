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

    def __init__(self, width: int, condition: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition, 2 * width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, x_BC: Tensor, condition_BM: Tensor) -> Tensor:
        scale_BC, shift_BC = self.modulation(condition_BM).chunk(2, 1)
        hidden_BC = F.silu(self.first(self.norm(x_BC) * (1 + scale_BC) + shift_BC))
        result: Tensor = x_BC + self.second(F.dropout(hidden_BC, self.dropout, self.training))
        return result


class VelocityField(nn.Module):
    """``v(x, t, labels)``; starts at zero everywhere.

    References:
        Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, 2018, for scale and shift.

    Args:
        size: P.
        width: C.
        layers: residual blocks.
        side: S, numbers beside each vector, such as labels.
        dropout: share of the hidden numbers that are dropped in training.
    """

    rate_K: Tensor

    def __init__(self, size: int, width: int, layers: int, *, side: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        condition = max(32, width // 4)
        self.register_buffer("rate_K", math.pi * torch.logspace(0, math.log10(256), _FREQUENCIES), persistent=False)
        self.clock = Dense(2 * _FREQUENCIES + side, condition, condition)
        self.input = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width, condition, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, size)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x_BP: Tensor, time_B: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, P) places and (B,) times in [0, 1] -> (B, P) velocities, float32."""
        angle_BK = time_B[:, None] * self.rate_K
        condition_BM = F.silu(self.clock(with_side(torch.cat((angle_BK.sin(), angle_BK.cos()), 1), side_BS)))
        hidden_BC = self.input(x_BP)
        for block in self.blocks:
            hidden_BC = block(hidden_BC, condition_BM)
        velocity_BP: Tensor = self.output(self.norm(hidden_BC))
        return velocity_BP.float()
