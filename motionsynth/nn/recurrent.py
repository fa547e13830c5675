"""Gated recurrent networks over steps of motion.

cuDNN's GRU has no second derivative; where a gradient penalty may ask for one, PyTorch's own CUDA cells run instead.

Shapes: B batch, T frames, L steps, D features, C channels, Z latent dimensions, S numbers beside each window.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Dense, Upsampling
from motionsynth.nn.decoder import Decoder
from motionsynth.nn.encoder import Trunk, with_side
from motionsynth.nn.steps import FrameHead, Patches, clock, needs_second_gradient

__all__ = ["GRUDecoder", "GRUTrunk"]


class GRUTrunk(Trunk):
    """Two stacks of gated recurrent units, one forward in time and one backward, read at their ends and on average.

    The backward stack reads each window from its last real step, so that padded steps come last in both directions and
    reach nothing: a padded window gives what the window without its padding gives.

    References:
        Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014; Schuster & Paliwal, Bidirectional
        Recurrent Neural Networks, 1997.

    Args:
        features: D.
        width: C, channels of each stack.
        layers: in each stack.
        patch: frames that make one step.
        side: S, numbers beside each window, such as labels.
    """

    def __init__(self, features: int, width: int, layers: int, patch: int, *, side: int = 0) -> None:
        super().__init__()
        self.coarse_frames, self.width = 1, width
        self.patches = Patches(features, width, patch, side=side)
        self.forwards = nn.GRU(width, width, layers, batch_first=True)
        self.backwards = nn.GRU(width, width, layers, batch_first=True)
        self.summary = Dense(4 * width, width)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) normalised features and their (B, T) mask -> (B, 1, C), for any T; padding only after motion."""
        x_BLC, mask_BL = self.patches(motion_BTD, mask_BT, side_BS)
        count_B = mask_BL.sum(1)
        step_L = torch.arange(x_BLC.shape[1], device=x_BLC.device)
        turned_BL = torch.where(mask_BL, count_B[:, None] - 1 - step_L, step_L)
        turned_BLC = x_BLC.gather(1, turned_BL[..., None].expand_as(x_BLC))
        second = x_BLC.is_cuda and needs_second_gradient(motion_BTD, side_BS)
        with torch.backends.cudnn.flags(enabled=False) if second else nullcontext():
            both = [self.forwards(x_BLC)[0], self.backwards(turned_BLC)[0]]
        both_BLC = torch.cat(both, 2)
        last_B1C = both_BLC.gather(1, (count_B - 1)[:, None, None].expand(-1, 1, both_BLC.shape[2]))
        mean_B1C = (both_BLC * mask_BL[..., None]).sum(1, keepdim=True) / count_B[:, None, None]
        return F.leaky_relu(self.summary(torch.cat((last_B1C, mean_B1C.to(last_B1C.dtype)), 2)), 0.2)


class GRUDecoder(Decoder):
    """Gated recurrent units that begin in a state made of the vector, and are fed it and a clock at each step.

    It runs on for as long as it is asked to: ``longest`` is None.

    References:
        Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.

    Args:
        frames: T, the length of the windows; fewer are cut from so many.
        features: D.
        inputs: Z, size of the vectors.
        width: C.
        layers: of units.
        patch: frames that a step becomes, a power of two.
        upsample: how frames are doubled.
        mapping_layers: hidden layers between the vector and the first state.
        mapping_width: numbers in each of them.
        side: S, numbers beside each vector, such as labels.
    """

    def __init__(
        self,
        frames: int,
        features: int,
        inputs: int,
        width: int,
        layers: int,
        patch: int,
        *,
        upsample: Upsampling = "linear",
        mapping_layers: int = 2,
        mapping_width: int = 256,
        side: int = 0,
    ) -> None:
        super().__init__()
        self.frames, self.longest = frames, None
        self.patch, self.layers = patch, layers
        self.period = math.ceil(frames / patch)
        self.mapping = Dense(inputs + side, *[mapping_width] * mapping_layers, (layers + 1) * width)
        self.time = nn.Linear(clock(1, self.period, torch.device("cpu")).shape[1], width)
        self.units = nn.GRU(width, width, layers, batch_first=True)
        self.head = FrameHead(width, features, patch, upsample=upsample)

    def forward(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, Z) and (B, S) -> (B, ``frames``, D) normalised features, float32; T frames where None."""
        frames = frames or self.frames
        steps = math.ceil(max(frames, self.frames) / self.patch)
        first_BLC = self.mapping(with_side(z_BZ, side_BS)).unflatten(1, (self.layers + 1, -1))
        drive_B1C, state_LBC = first_BLC[:, :1], first_BLC[:, 1:].transpose(0, 1).tanh().contiguous()
        x_BLC, _ = self.units(drive_B1C + self.time(clock(steps, self.period, z_BZ.device)), state_LBC)
        motion_BTD: Tensor = self.head(x_BLC)
        return motion_BTD[:, :frames]
