"""Both KL divergences between what is expected and a sample, for cells and for parameters, with their bias taken off.

Of cells: counts plus one half in each. Inside a cell, with u the parameters through the expected distribution functions
(each uniform on [0, 1] where the sample is right):

    KL(p || q) = sum_i KL(p_i || q_i) + KL(N(0, R_p) || N(0, R_q))

marginals by eight bins of equal expected weight, counts plus one half, and the dependence as that of Gaussian copulas
with rank correlations R, shrunk towards none. It is exact for independent parameters up to the bins, and for Gaussian
copulas where the marginals agree; it does not see dependence without correlation. What each sum would be in the mean
for a right sample of that size is subtracted, so that zero means right, and an empty cell is as expected inside: the
cells' term carries what it lacks.

Neighbours' distances (Wang, Kulkarni & Verdu 2009) need no such form, but in ten and more dimensions a few hundred
windows do not tell: see ``docs/known-density.md``.

Shapes: C cells, N windows, M expected windows, P parameters, B bins.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from motionsynth.motion.skeleton import FloatArray

__all__ = ["BINS", "Expected", "Pair", "cell_divergences", "inside_divergences"]

BINS: Final = 8
_HALF: Final = 0.5
_DRAWS: Final = 64
"""Right samples by which the copulas' bias is found."""


class Pair(NamedTuple):
    """Two divergences in nats."""

    forward: float
    """KL(p || q), p what is expected."""
    reverse: float
    """KL(q || p)."""


class Expected(NamedTuple):
    """Distribution that the parameters of a cell's windows should have."""

    values_MP: FloatArray
    weights_M: FloatArray
    """Sums to one."""

    @property
    def size(self) -> float:
        """Windows of equal weight that would tell as much, ``1 / sum w^2``."""
        return 1.0 / float((self.weights_M**2).sum())


def cell_divergences(expected_C: FloatArray, count_C: FloatArray) -> tuple[Pair, FloatArray]:
    """Divergences of cell weights, and the weights that the counts stand for.

    Args:
        expected_C: p, sums to one.
        count_C: windows in each cell; one half is added to each. A cell of expected weight zero is left out, as the
            judge never names it.
    """
    weights_C = np.where(expected_C > 0, count_C + _HALF, 0.0)
    weights_C = weights_C / weights_C.sum()
    held = expected_C > 0
    p, q = expected_C[held], weights_C[held]
    return Pair(float((p * np.log(p / q)).sum()), float((q * np.log(q / p)).sum())), weights_C


def inside_divergences(expected: Expected, values_NP: FloatArray) -> Pair:
    """Divergences of the parameters inside one cell, near zero in the mean for a right sample of any size.

    Args:
        expected: the parameters as they should be, read as the sample's are.
        values_NP: (N, P) the sample's; N may be zero.
    """
    count = len(values_NP)
    if not count:
        return Pair(0.0, 0.0)
    right = _marginal_bias(count)
    forward = reverse = 0.0
    # the expected ones are a sample too, whose bins are not quite of equal weight
    own = (BINS - 1) / (2 * expected.size)
    for column in range(values_NP.shape[1]):
        share_B = _bins(expected.values_MP[:, column], expected.weights_M, values_NP[:, column])
        forward += float(-np.log(BINS * share_B).mean()) - right.forward - own
        reverse += float((share_B * np.log(BINS * share_B)).sum()) - right.reverse - own
    dependence = _dependence(expected, values_NP)
    return Pair(forward + dependence.forward, reverse + dependence.reverse)


def _bins(expected_M: FloatArray, weights_M: FloatArray, values_N: FloatArray) -> FloatArray:
    """(B,) share of the values in each bin of equal expected weight, one half added to each count."""
    order = np.argsort(expected_M, kind="stable")
    summed = np.cumsum(weights_M[order]) - 0.5 * weights_M[order]
    edges = np.interp(np.arange(1, BINS) / BINS, summed, expected_M[order])
    count_B = np.bincount(np.searchsorted(edges, values_N), minlength=BINS) + _HALF
    return np.asarray(count_B / count_B.sum())


@cache
def _marginal_bias(count: int) -> Pair:
    """Mean divergences of one marginal where the sample is right: exact, by the binomial law."""
    from scipy.stats import binom

    k = np.arange(count + 1)
    law = binom.pmf(k, count, 1 / BINS)
    share = BINS * (k + _HALF) / (count + _HALF * BINS)
    return Pair(float(-(law * np.log(share)).sum()), float((law * share * np.log(share)).sum()))


def _dependence(expected: Expected, values_NP: FloatArray) -> Pair:
    count, width = values_NP.shape
    if width < 2:
        return Pair(0.0, 0.0)
    expected_PP = _correlation(_scores(expected.values_MP, expected.weights_M), expected.weights_M, expected.size)
    found_PP = _correlation(_scores(values_NP), np.full(count, 1 / count), count)
    found, right = _gaussian(expected_PP, found_PP), _copula_bias(expected_PP, count)
    return Pair(found.forward - right.forward, found.reverse - right.reverse)


def _scores(values_NP: FloatArray, weights_N: FloatArray | None = None) -> FloatArray:
    """Normal scores of ranks, ``Phi^-1(F(x))``."""
    from scipy.special import ndtri

    count = len(values_NP)
    weights_N = np.full(count, 1 / count) if weights_N is None else weights_N
    order = np.argsort(values_NP, axis=0, kind="stable")
    sorted_NP = weights_N[order]
    level = np.empty_like(values_NP)
    np.put_along_axis(level, order, np.cumsum(sorted_NP, 0) - 0.5 * sorted_NP, 0)
    return np.asarray(ndtri(level))


def _correlation(scores_NP: FloatArray, weights_N: FloatArray, size: float) -> FloatArray:
    """Correlations shrunk towards none, ``(n R + P I) / (n + P)``."""
    width = scores_NP.shape[1]
    covariance_PP = scores_NP.T @ (weights_N[:, None] * scores_NP)
    scale_P = np.sqrt(np.maximum(np.diag(covariance_PP), 1e-12))
    shrunk = size * covariance_PP / np.outer(scale_P, scale_P) + width * np.eye(width)
    return np.asarray(shrunk / np.diag(shrunk).max())


def _gaussian(first_PP: FloatArray, second_PP: FloatArray) -> Pair:
    """Both divergences of two centred Gaussians, ``(tr(B^-1 A) - P + log det B - log det A) / 2`` and back."""
    width = len(first_PP)
    ratio = float(np.linalg.slogdet(second_PP)[1] - np.linalg.slogdet(first_PP)[1])
    there = float(np.trace(np.linalg.solve(second_PP, first_PP)))
    back = float(np.trace(np.linalg.solve(first_PP, second_PP)))
    return Pair(0.5 * (there - width + ratio), 0.5 * (back - width - ratio))


def _copula_bias(correlation_PP: FloatArray, count: int) -> Pair:
    """Mean divergences of the copulas where the sample is right, over a fixed set of draws."""
    width = len(correlation_PP)
    root_PP = np.linalg.cholesky(correlation_PP)
    generator = np.random.default_rng(count)
    weights_N = np.full(count, 1 / count)
    drawn = (_scores(generator.standard_normal((count, width)) @ root_PP.T) for _ in range(_DRAWS))
    found = [_gaussian(correlation_PP, _correlation(scores_NP, weights_N, count)) for scores_NP in drawn]
    return Pair(*(float(np.mean(one)) for one in zip(*found, strict=True)))
