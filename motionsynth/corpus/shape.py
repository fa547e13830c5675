"""Sizes of the windows that a family learns from, and settings of what its networks see in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from motionsynth.corpus.basis import WindowBasis
from motionsynth.corpus.windows import WindowMap, WindowSet
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.settings import FrozenConfig

__all__ = ["MapConfig", "MotionShape"]


class MapConfig(FrozenConfig):
    """Settings of what networks see in place of windows."""

    READ: ClassVar[Callable[..., WindowMap]]
    """Builds the map from its tensors and, where given, T and D; raises ``ValueError`` where they do not fit."""

    def fit(self, windows: WindowSet, spec: FeatureSpec, normaliser: Normaliser) -> WindowMap:
        """Fit the map to a training split.

        Raises:
            ValueError: the windows do not allow it.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class MotionShape:
    """Size of a window: ``frames`` T and ``features`` D, and the class counts of the labels."""

    frames: int
    features: int
    labels: dict[str, int]
    basis: WindowMap | None = None
    """Map between windows and what networks see in their place: coefficients, or weighted features."""
    motion_frames: int | None = None
    """Frames of the motion that a window stands for, where it holds coefficients; T where None."""

    def as_coefficients(self, components: int) -> MotionShape:
        """The shape of the same windows as coefficients: those of the basis, or that many at most without one."""
        size = self.basis.size if isinstance(self.basis, WindowBasis) else min(components, self.frames * self.features)
        return MotionShape(1, size, self.labels, self.basis, self.frames)
