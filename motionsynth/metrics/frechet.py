"""Frechet distance between sets of windows in a feature space.

Shapes: N windows, K features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from motionsynth.metrics.record import Measure, Metric, Sets, UndefinedError

__all__ = ["MEASURES", "Moments", "frechet_distance"]

Array = npt.NDArray[np.float64]

_SINGULAR: Final = 1e-10
"""Share of the largest eigenvalue of ``cov_a cov_b`` under which the root of an eigenvalue has lost its digits."""


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """``|mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))``: squared 2-Wasserstein between Gaussians.

    The trace of the root is the sum of the roots of the eigenvalues of ``L^T cov_b L`` with ``L L^T = cov_a``, so no
    matrix root is taken. Where a covariance is singular, or nearly so, it is the sum of the singular values of
    ``L^T M`` with ``M M^T = cov_b``: the same number, without the rounding that roots of zeros blow up.

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
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2.0 * _trace_of_root(cov_a, cov_b)
    return max(float(distance), 0.0)


def _trace_of_root(cov_a: Array, cov_b: Array) -> float:
    from scipy.linalg import eigh

    try:
        # "gv", the implicit QR algorithm, is the quickest of LAPACK's where no vectors are asked for
        values = eigh(cov_b, cov_a, type=2, driver="gv", eigvals_only=True, check_finite=False)
    except np.linalg.LinAlgError:
        values = np.zeros(1)
    if values[0] > _SINGULAR * values[-1]:
        return float(np.sqrt(values).sum())
    return float(np.linalg.svd(_factor(cov_a).T @ _factor(cov_b), compute_uv=False).sum())


def _factor(covariance: Array) -> Array:
    """(K, R) ``F`` with ``F F^T`` the covariance, and R its rank."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    factor: Array = vectors[:, kept] * np.sqrt(values[kept])
    return factor


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
        """The Frechet distance to another set.

        Example:
            >>> still, moved = Moments.at([0.0, 0.0]), Moments.at([3.0, 4.0])
            >>> still.distance(moved)
            25.0
        """
        return frechet_distance(self.mean, self.covariance, other.mean, other.covariance)


def _frechet(sets: Sets, space: str | None) -> dict[str, float]:
    moments = []
    for name, windows in (("generated", sets.generated), ("reference", sets.reference)):
        features_NK = windows.embeddings[space or ""].cpu().numpy()
        windows_needed = features_NK.shape[1] + 1
        if len(features_NK) < windows_needed:
            raise UndefinedError(
                f"a covariance in {features_NK.shape[1]} dimensions needs {windows_needed} windows a side, "
                f"the {name} set has {len(features_NK)}"
            )
        moments.append(Moments.of(features_NK))
    return {"frechet": moments[0].distance(moments[1])}


MEASURES: Final = (
    Measure(
        (
            Metric(
                "frechet",
                "fidelity",
                "1",
                "lower",
                "Squared 2-Wasserstein distance between Gaussians with the moments of the sets, |m - m'|^2 + tr(S + S' "
                "- 2 (S S')^(1/2)), in squared units of the space; biased upwards by about 1/N, so it is comparable "
                "only at equal N and in one space.",
                "Heusel et al. 2017; Dowson & Landau 1982",
            ),
        ),
        _frechet,
        resample="takes",
        spaces=True,
    ),
)
