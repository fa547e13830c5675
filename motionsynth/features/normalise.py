"""Zero mean and unit scale for every column that varies; the others are remembered and given back.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor

__all__ = ["Normaliser"]

CONSTANT_RANGE: Final = 1e-5
"""A column whose largest and smallest value differ by no more is constant: 0.0006 degrees, 0.01 mm."""
SCALE_FLOOR: Final = 0.02
"""Smallest scale: below about 1 degree, 2 cm or 2 cm/s a column is noise, which dividing by less would blow up."""
_ROWS: Final = 65536
"""Rows that are held in float64 at a time."""


@dataclass(frozen=True, slots=True)
class Normaliser:
    """``normalised = (features - mean) / scale``; constant columns become 0 and come back exactly.

    Args:
        mean_D: float32; the value itself where the column is constant.
        scale_D: float32 standard deviation, at least the floor; 1 where the column is constant.
        constant_D: bool.
    """

    mean_D: Tensor
    scale_D: Tensor
    constant_D: Tensor

    def __post_init__(self) -> None:
        if self.mean_D.ndim != 1 or not self.mean_D.shape == self.scale_D.shape == self.constant_D.shape:
            raise ValueError("mean, scale and constant must be vectors of one length")
        if self.constant_D.dtype != torch.bool or not (self.scale_D > 0).all() or not self.mean_D.isfinite().all():
            raise ValueError("scales must be positive, means finite, and constant must be bool")

    @classmethod
    def fit(cls, features: Iterable[Tensor], *, floor: float = SCALE_FLOOR) -> Self:
        """Measure the columns of the training split.

        Args:
            features: (T_i, D) features of each clip, float; at least one frame in all.
            floor: smallest scale, in the units of the features.

        Raises:
            ValueError: no frame was given, or a number is not finite.
        """
        clips = [clip for clip in features if len(clip)]
        if not clips:
            raise ValueError("a normaliser needs at least one frame")
        rows = torch.cat(clips)
        low, high = rows.amin(0), rows.amax(0)
        if not (low.isfinite() & high.isfinite()).all():
            raise ValueError("the features hold numbers that are not finite")
        mean = rows.mean(0, dtype=torch.float64)
        squares = torch.stack([(part - mean).square_().sum(0) for part in torch.split(rows, _ROWS)]).sum(0)
        constant = high - low <= CONSTANT_RANGE
        value = torch.where(high == low, low.double(), mean)
        scale = (squares / len(rows)).sqrt().clamp_min(floor)
        return cls(value.float(), torch.where(constant, 1.0, scale).float(), constant)

    def normalise(self, features: Tensor) -> Tensor:
        """(..., D) features -> (..., D) normalised, of the same floating type."""
        normalised = (features - self.mean_D.to(features)).div_(self.scale_D.to(features))
        return normalised.masked_fill_(self.constant_D.to(features.device), 0.0)

    def denormalise(self, normalised: Tensor) -> Tensor:
        """(..., D) normalised -> (..., D) features; whatever a constant column holds, its constant comes back."""
        mean, scale = self.mean_D.to(normalised), self.scale_D.to(normalised)
        return torch.where(self.constant_D.to(normalised.device), mean, normalised * scale + mean)

    def to(self, device: torch.device | str) -> Self:
        """The same normaliser on another device."""
        return type(self)(self.mean_D.to(device), self.scale_D.to(device), self.constant_D.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Contents of a safetensors file; :meth:`from_tensors` reads it back."""
        return {"mean_D": self.mean_D, "scale_D": self.scale_D, "constant_D": self.constant_D}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Rebuild from :meth:`tensors`.

        Raises:
            ValueError: a tensor is missing or does not fit.
        """
        missing = {"mean_D", "scale_D", "constant_D"} - set(tensors)
        if missing:
            raise ValueError(f"not a normaliser: lacks {', '.join(sorted(missing))}")
        return cls(tensors["mean_D"], tensors["scale_D"], tensors["constant_D"])
