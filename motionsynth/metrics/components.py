"""The space of principal components: where windows are compared without a network.

Shapes: N windows, T frames, D features, K components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from motionsynth.metrics.frechet import Array, Moments

__all__ = ["FITTED", "PrincipalComponents"]

FITTED: Final = 4096
"""Windows that axes are fitted to at most; of more, evenly spaced ones are taken, as neighbours overlap."""


@dataclass(frozen=True, slots=True)
class PrincipalComponents:
    """Orthogonal axes along which windows vary most, of unit length and unscaled.

    Distances between projections are those between the windows, as far as the axes span them.
    """

    mean: Array
    """(T * D,) mean window."""
    axes: Array
    """(K, T * D) orthonormal rows, by falling variance."""
    explained: float
    """Share of the variance that the axes hold."""

    @classmethod
    def fit(cls, windows_NTD: npt.ArrayLike, components: int = 64, *, most: int = FITTED) -> Self:
        """Fit to windows, flattened to T * D numbers; randomised, with a fixed seed.

        Args:
            windows_NTD: (N, T, D) windows without padded frames.
            components: K.
            most: windows fitted to.

        Raises:
            ValueError: there are not more windows than components.
        """
        from sklearn.decomposition import PCA

        flat = _flat(windows_NTD)
        flat = flat[:: math.ceil(len(flat) / most) or 1]
        if not 1 <= components <= min(len(flat) - 1, flat.shape[1]):
            raise ValueError(f"{components} components do not fit {len(flat)} windows of {flat.shape[1]} numbers")
        pca = PCA(components, svd_solver="randomized", random_state=0).fit(flat)
        return cls(
            pca.mean_.astype(np.float64),
            pca.components_.astype(np.float64),
            float(pca.explained_variance_ratio_.sum()),
        )

    def project(self, windows_NTD: npt.ArrayLike) -> Array:
        """(N, T, D) windows -> (N, K) coordinates.

        Raises:
            ValueError: the windows are not of the size fitted to.
        """
        flat = _flat(windows_NTD)
        if flat.shape[1] != len(self.mean):
            raise ValueError(f"windows of {flat.shape[1]} numbers do not fit axes of {len(self.mean)}")
        coordinates: Array = (flat - self.mean) @ self.axes.T
        return coordinates

    def moments(self, windows_NTD: npt.ArrayLike) -> Moments:
        """Moments of the projected windows."""
        return Moments.of(self.project(windows_NTD))


def _flat(windows_NTD: npt.ArrayLike) -> npt.NDArray[np.floating]:
    windows = np.asarray(windows_NTD)
    if windows.ndim != 3:
        raise ValueError(f"windows must have shape (N, T, D), not {windows.shape}")
    return windows.reshape(len(windows), -1)
