"""Networks of whole windows as vectors, such as the coefficients of a basis: layers without a notion of time.

Shapes: B batch, T frames, D features, P = T D numbers of a window, C channels, Z latent dimensions, S side numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.nn.convolution import Dense
from motionsynth.nn.decoder import Decoder
from motionsynth.nn.encoder import Trunk, with_side

__all__ = ["DenseDecoder", "DenseTranslator", "DenseTrunk"]


class DenseTrunk(Trunk):
    """Windows to vectors by dense layers; padded frames are zeroed.

    Args:
        frames: T.
        features: D.
        width: C, numbers in each layer.
        layers: how many.
        side: S, numbers beside each window, such as labels.
    """

    coarse_frames = 1

    def __init__(self, frames: int, features: int, width: int, layers: int, *, side: int = 0) -> None:
        super().__init__()
        self.width = width
        self.layers = Dense(frames * features + side, *[width] * layers)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) features and their (B, T) mask -> (B, 1, C)."""
        x_BP = motion_BTD.masked_fill(~mask_BT.unsqueeze(2), 0.0).flatten(1)
        return F.leaky_relu(self.layers(with_side(x_BP, side_BS)), 0.2)[:, None]


class DenseDecoder(Decoder):
    """Vectors to windows by dense layers.

    Args:
        frames: T.
        features: D.
        inputs: Z, size of the vectors.
        width: numbers in each hidden layer.
        layers: how many hidden layers.
        longest: frames of the motion that a window stands for.
        side: S, numbers beside each vector, such as labels.
    """

    def __init__(
        self, frames: int, features: int, inputs: int, width: int, layers: int, *, longest: int, side: int = 0
    ) -> None:
        super().__init__()
        self.frames, self.longest = frames, longest
        self.layers = Dense(inputs + side, *[width] * layers, frames * features)

    def forward(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, Z) and (B, S) -> (B, T, D), float32: the first ``frames`` of motion; coefficients are those of all."""
        motion_BTD: Tensor = self.layers(with_side(z_BZ, side_BS)).unflatten(1, (self.frames, -1))
        return (motion_BTD[:, :frames] if self.longest == self.frames else motion_BTD).float()


class DenseTranslator(nn.Module):
    """Windows to windows, ``x + change(x)``, by dense layers; padded frames are zeroed, and stay zero.

    Args:
        frames: T.
        features: D.
        width: numbers in each hidden layer.
        layers: how many hidden layers.
        side: S, numbers beside each window, such as labels.
    """

    def __init__(self, frames: int, features: int, width: int, layers: int, *, side: int = 0) -> None:
        super().__init__()
        size = frames * features
        self.layers = Dense(size + side, *[width] * layers, size)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # near the identity, but not at it, or no other layer would learn at first
            last.weight.mul_(0.1)

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        """(B, T, D) features, their (B, T) mask and (B, S) side -> (B, T, D), float32."""
        clean_BTD = motion_BTD.masked_fill(~mask_BT.unsqueeze(2), 0.0)
        change_BP: Tensor = self.layers(with_side(clean_BTD.flatten(1), side_BS))
        translated_BTD: Tensor = clean_BTD + change_BP.float().view_as(clean_BTD)
        return translated_BTD.masked_fill(~mask_BT.unsqueeze(2), 0.0)
