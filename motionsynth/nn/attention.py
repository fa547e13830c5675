"""Transformers over steps of motion.

Shapes: B batch, T frames, L steps, D features, C channels, H heads, Z latent dimensions, S numbers beside each window.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from motionsynth.nn.convolution import Dense, Upsampling
from motionsynth.nn.decoder import Decoder
from motionsynth.nn.encoder import Trunk, with_side
from motionsynth.nn.steps import FrameHead, Patches, clock, needs_second_gradient

__all__ = ["Block", "TransformerDecoder", "TransformerTrunk", "positions"]


def positions(steps: int, width: int, device: torch.device) -> Tensor:
    """(L, C) sines and cosines of the step's number at periods from 2 pi to 2 pi 10,000 steps.

    References:
        Vaswani et al., Attention Is All You Need, 2017.
    """
    rate_K = 10_000.0 ** -torch.linspace(0, 1, math.ceil(width / 2), device=device)
    angle_LK = torch.arange(steps, device=device)[:, None] * rate_K
    return torch.cat((angle_LK.sin(), angle_LK.cos()), 1)[:, :width]


class Block(nn.Module):
    """Self-attention and a small network a step, each normalised before and added to a straight path.

    References:
        Vaswani et al., Attention Is All You Need, 2017; Xiong et al., On Layer Normalization in the Transformer
        Architecture, 2020, for normalising before.

    Args:
        width: C.
        heads: H, a divisor of C.
        hidden: numbers in the hidden layer of the small network.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be shared out to {heads} heads")
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.small = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x_BLC: Tensor, seen: Tensor | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C), looking only where the mask is True: (B, 1, 1, L), or (L, L) from step to step."""
        parts = self.inputs(self.norm1(x_BLC)).unflatten(2, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed_BHLC = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x_BLC = x_BLC + self.output(mixed_BHLC.transpose(1, 2).flatten(2))
        result: Tensor = x_BLC + self.small(self.norm2(x_BLC))
        return result


def _kernels(x: Tensor, *, second: bool) -> AbstractContextManager[None]:
    """Inside, attention is written out where a fused kernel is worse, or has no second derivative and needs one.

    CPU: over the few steps of a window the fused backward pass takes twenty times as long in bfloat16.
    """
    return sdpa_kernel(SDPBackend.MATH) if second or x.device.type == "cpu" else nullcontext()


def _band(steps: int, reach: int, device: torch.device) -> Tensor:
    """(L, L) True between steps less than ``reach`` apart."""
    step_L = torch.arange(steps, device=device)
    return (step_L[:, None] - step_L).abs() < reach


class TransformerTrunk(Trunk):
    """Blocks of self-attention over the steps, whose outcome is read as its Fourier coefficients in time.

    Nobody looks at padded steps: a padded window gives what the window without its padding gives. A learned token that
    reads the window, as ACTOR has it, begins as the mean over time, and learns for long to tell early from late.

    References:
        Vaswani et al., Attention Is All You Need, 2017; Petrovich, Black & Varol, Action-Conditioned 3D Human Motion
        Synthesis with Transformer VAE, 2021 (ACTOR).

    Args:
        frames: T, the length of the windows, the longest period of the coefficients.
        features: D.
        width: C.
        heads: H, a divisor of C.
        layers: blocks.
        hidden: numbers in the hidden layer of each block.
        patch: frames that make one step.
        side: S, numbers beside each window, such as labels.
    """

    def __init__(
        self, frames: int, features: int, width: int, heads: int, layers: int, hidden: int, patch: int, *, side: int = 0
    ) -> None:
        super().__init__()
        self.coarse_frames, self.width = 1, width
        self.window = math.ceil(frames / patch)
        self.patches = Patches(features, width, patch, side=side)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        read = max(width // 2, 1)
        self.reader = Dense(width, read)
        self.summary = Dense(read * self._waves(1, torch.device("cpu")).shape[1], width)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) normalised features and their (B, T) mask -> (B, 1, C), for any T."""
        x_BLC, mask_BL = self.patches(motion_BTD, mask_BT, side_BS)
        x_BLC = x_BLC + positions(x_BLC.shape[1], self.width, x_BLC.device).to(x_BLC.dtype)
        with _kernels(x_BLC, second=needs_second_gradient(motion_BTD, side_BS)):
            for block in self.blocks:
                x_BLC = block(x_BLC, mask_BL[:, None, None])
        x_BLR = self.reader(self.norm(x_BLC))
        wave_BLK = self._waves(x_BLC.shape[1], x_BLC.device) * mask_BL[..., None]
        # not the mean: a sum over the root of the count keeps the size of what differs from step to step
        wave_BLK = wave_BLK / mask_BL.sum(1)[:, None, None].sqrt()
        coefficients_BKR = wave_BLK.to(x_BLR.dtype).transpose(1, 2) @ x_BLR
        return F.leaky_relu(self.summary(coefficients_BKR.flatten(1)), 0.2)[:, None]

    def _waves(self, steps: int, device: torch.device) -> Tensor:
        """(L, K) a constant, and the harmonics of the window."""
        wave_LK = clock(steps, self.window, device)
        return torch.cat((torch.ones_like(wave_LK[:, :1]), math.sqrt(2) * wave_LK), 1)


class TransformerDecoder(Decoder):
    """Blocks of self-attention over the readings of a clock, which the vector scales and shifts before each block.

    ``x * (1 + a(z)) + b(z)``, a and b of the block's own. Cross-attention to a single memory, the vector, is the shift
    alone, and without the scale vector and time meet late: an autoencoder then stays long at what all clips share.

    It makes as many frames as it is asked for: ``longest`` is None. Sinusoids of ever longer periods would show it
    numbers beyond the window that it never learnt from, and motion would freeze; the slowest hand of the clock goes
    half round in a window, and so comes back without a jump: clips repeat after two windows. A step looks no further
    than a window's length.

    References:
        Petrovich, Black & Varol, Action-Conditioned 3D Human Motion Synthesis with Transformer VAE, 2021; Perez et al.,
        FiLM: Visual Reasoning with a General Conditioning Layer, 2018.

    Args:
        frames: T, the length of the windows; fewer are cut from so many.
        features: D.
        inputs: Z, size of the vectors.
        width: C.
        heads: H, a divisor of C.
        layers: blocks.
        hidden: numbers in the hidden layer of each block.
        patch: frames that a step becomes, a power of two.
        upsample: how frames are doubled.
        mapping_layers: hidden layers between the vector and scales and shifts.
        mapping_width: numbers in each of them.
        side: S, numbers beside each vector, such as labels.
    """

    def __init__(
        self,
        frames: int,
        features: int,
        inputs: int,
        width: int,
        heads: int,
        layers: int,
        hidden: int,
        patch: int,
        *,
        upsample: Upsampling = "linear",
        mapping_layers: int = 2,
        mapping_width: int = 256,
        side: int = 0,
    ) -> None:
        super().__init__()
        self.frames, self.longest = frames, None
        self.patch, self.width = patch, width
        self.window = math.ceil(frames / patch)
        self.mapping = Dense(inputs + side, *[mapping_width] * mapping_layers, 2 * layers * width)
        self.time = nn.Linear(clock(1, 2 * self.window, torch.device("cpu")).shape[1], width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = FrameHead(width, features, patch, upsample=upsample)

    def forward(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, Z) and (B, S) -> (B, ``frames``, D) normalised features, float32; T frames where None."""
        frames = frames or self.frames
        steps = math.ceil(max(frames, self.frames) / self.patch)
        film_BN2C = self.mapping(with_side(z_BZ, side_BS)).unflatten(1, (len(self.blocks), 2, 1, self.width))
        x_BLC = self.time(clock(steps, 2 * self.window, z_BZ.device))
        near_LL = _band(steps, self.window, z_BZ.device) if steps > self.window else None
        with _kernels(film_BN2C, second=False):
            for block, film_B2C in zip(self.blocks, film_BN2C.unbind(1), strict=True):
                scale_B1C, shift_B1C = film_B2C.unbind(1)
                x_BLC = block(x_BLC * (1 + scale_B1C) + shift_B1C, near_LL)
        motion_BTD: Tensor = self.head(self.norm(x_BLC))
        return motion_BTD[:, :frames]
