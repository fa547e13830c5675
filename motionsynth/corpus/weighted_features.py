"""Windows whose features are weighted by how far they move joints and feet, for networks that see frames.

With them, what a basis of windows gains by its metric can be separated from what it gains by leaving components out.

Shapes: N windows, T frames, D features, F modes over time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from torch import Tensor

from motionsynth.corpus.motion_metric import MotionMetric
from motionsynth.corpus.windows import WindowSet
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec

__all__ = ["WeightedFeatures"]

_LEAST: Final = 0.1
"""Smallest weight: what moves no joint, such as contacts, is still to be learnt."""


@dataclass(frozen=True, eq=False)
class WeightedFeatures:
    """``y = x w`` for windows x of normalised features, the same w in every frame.

    ``w_d^2`` is the mean over frequencies of the metric's ``w_fd^2``: what an error counts that is as strong at every
    frequency. Its mean over features is 1, before weights are raised to a tenth at least.

    Args:
        weight_D: w.
    """

    weight_D: Tensor

    @classmethod
    def fit(cls, windows: WindowSet, spec: FeatureSpec, normaliser: Normaliser, metric: MotionMetric) -> Self:
        """Find the weights at the poses of a training split.

        Args:
            windows: normalised.
            spec: what a row holds.
            normaliser: of the features.
            metric: what an error counts.

        Raises:
            ValueError: there is no whole window, or the metric weighs nothing.
        """
        whole = windows.subset(windows.whole_N)
        if not len(whole) or not (metric.joints or metric.feet):
            raise ValueError("metric: takes a whole window, and a weight of joints or feet above 0")
        square_D = metric.weights(spec, normaliser, whole).square().mean(0)
        return cls((square_D / square_D.mean()).sqrt().clamp(min=_LEAST))

    @property
    def size(self) -> int:
        """D."""
        return len(self.weight_D)

    def encode(self, motion_NTD: Tensor, mask_NT: Tensor | None = None) -> Tensor:
        """(N, T, D) normalised features -> the same, weighted; padded frames stay what they are."""
        return motion_NTD * self.weight_D.to(motion_NTD)

    def decode(self, weighted_NTD: Tensor) -> Tensor:
        """(N, T, D) weighted features -> normalised ones, for any number of frames."""
        return weighted_NTD / self.weight_D.to(weighted_NTD)

    def account(self, asked: int) -> str:
        """A line of the weights of features."""
        low, high = float(self.weight_D.min()), float(self.weight_D.max())
        return f"metric: features are weighted by {low:.2g} to {high:.2g}, as far as they move joints and feet"

    def project(self, windows: WindowSet) -> WindowSet:
        """The same windows, weighted."""
        return replace(windows, rows_FD=self.encode(windows.rows_FD))

    def tensors(self) -> dict[str, Tensor]:
        """Tensors by name for a safetensors file; :meth:`from_tensors` reads them back."""
        return {"weight_D": self.weight_D}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], size: tuple[int, int] | None = None) -> Self:
        """Rebuild from :meth:`tensors`.

        Args:
            tensors: by name.
            size: T and D of the windows; any where None.

        Raises:
            ValueError: the weights are missing, do not fit, or are not above 0.
        """
        weight_D = tensors.get("weight_D")
        if weight_D is None or weight_D.ndim != 1 or not (weight_D > 0).all():
            raise ValueError("not weights of features")
        if size and len(weight_D) != size[1]:
            raise ValueError(f"weights of {len(weight_D)} features, not {size[1]}")
        return cls(weight_D)
