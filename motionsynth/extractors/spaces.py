"""Feature spaces without networks: principal components of normalised windows, and kinetic features.

Shapes: N windows, T frames, D features, P = T D numbers in a window, K components, J joints, E kinetic features.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import torch
from torch import Tensor

from motionsynth.corpus.windows import WindowSet
from motionsynth.features.spec import FeatureSpec
from motionsynth.metrics.components import FITTED, PrincipalComponents
from motionsynth.metrics.kinetic import kinetic_features

__all__ = ["Axes", "Standard", "kinetics"]

KINETIC_FLOOR: Final = 0.05
"""Smallest scale of a kinetic feature, which is a logarithm: 5 % of a speed."""


class Axes(NamedTuple):
    """Principal components of normalised windows: root, trajectory and joints alike."""

    mean_P: Tensor
    """Float32 mean window."""
    axes_KP: Tensor
    """Float32 orthonormal rows, by falling variance."""

    @classmethod
    def fit(cls, windows: WindowSet, components: int) -> Self:
        """Fit to normalised windows on the CPU, or to as many components as there can be of them.

        Args:
            windows: at least two.
            components: K.
        """
        sample_NTD = windows.even(FITTED).as_batch().motion_BTD
        most = min(len(sample_NTD) - 1, sample_NTD[0].numel(), components)
        fitted = PrincipalComponents.fit(sample_NTD.numpy(), most)
        return cls(torch.from_numpy(fitted.mean).float(), torch.from_numpy(fitted.axes).float())

    def project(self, windows_NTD: Tensor) -> tuple[Tensor, Tensor]:
        """Find the coordinates along the axes, and how much of a window they do not span.

        Args:
            windows_NTD: normalised windows, on the device of the axes.

        Returns:
            (N, K) coordinates and (N,) length of the remainder.
        """
        off_NP = windows_NTD.flatten(1) - self.mean_P
        coordinates_NK = off_NP @ self.axes_KP.T
        rest_N = off_NP.square().sum(1) - coordinates_NK.square().sum(1)
        return coordinates_NK, rest_N.clamp_min(0.0).sqrt()

    def to(self, device: torch.device | str) -> Self:
        """The same axes on another device."""
        return type(self)(self.mean_P.to(device), self.axes_KP.to(device))


class Standard(NamedTuple):
    """Zero mean and unit scale, by training statistics."""

    mean_E: Tensor
    scale_E: Tensor

    @classmethod
    def fit(cls, features_NE: Tensor, floor: float = KINETIC_FLOOR) -> Self:
        """Mean and standard deviation, at least the floor."""
        values = features_NE.double()
        return cls(values.mean(0).float(), values.std(0, correction=0).clamp_min(floor).float())

    def apply(self, features_NE: Tensor) -> Tensor:
        """(N, E) standardised."""
        return (features_NE - self.mean_E.to(features_NE)) / self.scale_E.to(features_NE)


def kinetics(positions_NTJ3: Tensor, spec: FeatureSpec) -> Tensor:
    """(N, E) kinetic features of the joints that move, from (N, T, J, 3) positions of all joints in metres."""
    moving = [spec.moving_joint, *spec.joints_below]
    return kinetic_features(positions_NTJ3[:, :, moving], spec.frame_rate)
