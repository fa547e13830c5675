"""Frechet distance between sets of windows, in the space of principal components.

Shapes: N windows, T frames, D features, K components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

__all__ = ["Moments", "PrincipalComponents", "frechet_distance"]

Array = npt.NDArray[np.float64]


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """``|mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))``: squared 2-Wasserstein between Gaussians.

    The trace of the root is taken as the sum of the roots of the eigenvalues of ``R cov_b R`` with ``R`` the symmetric
    root of ``cov_a``, which are real also where a covariance is singular.

    References:
        Dowson & Landau, The Frechet Distance between Multivariate Normal Distributions, 1982; Heusel et al., GANs
        Trained by a Two Time-Scale Update Rule, 2017.

    Args:
        mean_a: (K,) mean.
        cov_a: (K, K) covariance, symmetric and positive semi-definite.
        mean_b: (K,) mean.
        cov_b: (K, K) covariance, symmetric and positive semi-definite.

    Returns:
        At least 0, in squared units of the features.

    Raises:
        ValueError: the shapes do not fit one another, or a number is not finite.
    """
    mean_a, cov_a, mean_b, cov_b = (np.asarray(a, dtype=np.float64) for a in (mean_a, cov_a, mean_b, cov_b))
    (size,) = mean_a.shape
    if mean_b.shape != (size,) or cov_a.shape != (size, size) or cov_b.shape != (size, size):
        raise ValueError(f"shapes {mean_a.shape}, {cov_a.shape}, {mean_b.shape} and {cov_b.shape} do not fit together")
    if not all(np.isfinite(a).all() for a in (mean_a, cov_a, mean_b, cov_b)):
        raise ValueError("means and covariances must be finite")
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0.0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross
    return max(float(distance), 0.0)


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean (K,) and covariance (K, K) of a set."""

    mean: Array
    covariance: Array

    @classmethod
    def of(cls, features_NK: npt.ArrayLike) -> Self:
        """Unbiased moments of at least two rows.

        Raises:
            ValueError: there are fewer than two rows.
        """
        features = np.asarray(features_NK, dtype=np.float64)
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"moments need (N, K) features with N at least 2, not {features.shape}")
        return cls(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))

    @classmethod
    def at(cls, point_K: npt.ArrayLike) -> Self:
        """Moments of a set that is one point over and over."""
        point = np.asarray(point_K, dtype=np.float64)
        return cls(point, np.zeros((len(point), len(point))))

    def distance(self, other: Moments) -> float:
        """The Frechet distance to another set."""
        return frechet_distance(self.mean, self.covariance, other.mean, other.covariance)


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
    def fit(cls, windows_NTD: npt.ArrayLike, components: int = 64, *, most: int = 4096) -> Self:
        """Fit to windows, flattened to T * D numbers; randomised, with a fixed seed.

        Args:
            windows_NTD: (N, T, D) windows without padded frames.
            components: K.
            most: windows fitted to; of more, evenly spaced ones are taken, as neighbours overlap.

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
