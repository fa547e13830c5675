r"""Intervals of figures: how far they would move with other takes of the same people.

Windows of one take overlap and resemble one another, so takes are drawn, never windows. Two ways:

*takes*: the bootstrap. Of K takes K - 1 are drawn with replacement, in both sets: with takes of variance s^2 the mean
of n draws has, given the takes, the variance (K - 1) / K s^2 / n, which for n = K - 1 is s^2 / K, that of the mean over
K new takes. With n = K it is too small, and intervals from few takes are too narrow.

*halves*: K/2 takes are drawn without replacement, in both sets; for figures that a duplicated window would change, as
those of nearest neighbours, whose distance to a twin is 0. The spread needs no rescaling: the mean of n out of K takes
of variance s^2 has, given the takes, the variance

    (1 - n / K) s^2 / n,     which for n = K / 2 is     (1/2) s^2 / (K/2) = s^2 / K,

that of the mean of all K over new takes. What a smaller n adds, having less left out takes away.

Resampling biases distances upward: a resample lies as far from the set as the set from the truth. So the interval is
that of the resampled figures moved to the full figure v, with m their mean: from v + (q_2.5 - m) to v + (q_97.5 - m).
Its shape is kept, and v need not lie in its middle; what cannot be, such as a negative distance, is cut off.

References:
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993; Rao & Wu, Resampling Inference with Complex Survey Data,
    1988 (K - 1 draws of clusters); Politis, Romano & Wolf, Subsampling, 1999 (halves); Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 3.8 (clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import SIGNED, Resample, Sets

__all__ = ["LEVEL", "Interval", "Takes", "interval", "resample_sets"]

LEVEL = 0.95
"""Share of repeats of an experiment whose interval would hold the true figure."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """Range of a figure with other takes."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Takes:
    """Windows of each take.

    Args:
        order_N: windows, those of one take side by side.
        start_K: where each take's windows begin in ``order_N``.
        count_K: how many they are.
    """

    order_N: Indices
    start_K: Indices
    count_K: Indices

    @classmethod
    def of(cls, take_N: npt.ArrayLike) -> Self:
        """From the number of each window's take."""
        take = np.asarray(take_N)
        order = np.argsort(take, kind="stable")
        _, start, count = np.unique(take[order], return_index=True, return_counts=True)
        return cls(order.astype(np.int64), start.astype(np.int64), count.astype(np.int64))

    def __len__(self) -> int:
        return len(self.start_K)

    def draw(self, how: Resample, rng: np.random.Generator) -> Indices:
        """Windows of takes drawn anew; see the module's text.

        Raises:
            ValueError: there is one take only, so that nothing can be said of others.
        """
        takes = len(self)
        if takes < 2:
            raise ValueError("an interval needs at least two takes")
        drawn = rng.integers(0, takes, takes - 1) if how == "takes" else rng.choice(takes, takes // 2, replace=False)
        count = self.count_K[drawn]
        # ranges one after another: each place counts on from the start of its take
        within = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
        windows: Indices = self.order_N[np.repeat(self.start_K[drawn], count) + within]
        return windows


def resample_sets(sets: Sets, takes: tuple[Takes, Takes], how: Resample, rng: np.random.Generator) -> Sets:
    """Both sets with their takes drawn anew; the training set stays, for it is no sample of anything here."""
    generated, reference = takes
    return sets._replace(
        generated=_subset(sets.generated, generated.draw(how, rng)),
        reference=_subset(sets.reference, reference.draw(how, rng)),
    )


def interval(value: float, resampled: Sequence[float], bounds: tuple[float, float] = SIGNED) -> Interval:
    """The 95 % percentile interval of resampled figures, moved to the full figure; it ends at the figure's bounds."""
    figures = np.asarray(resampled, dtype=np.float64)
    tail = (1 - LEVEL) / 2
    # the quantiles that a hundred draws have on average: numpy's own lie inside them
    low, high = np.quantile(figures, [tail, 1 - tail], method="weibull") - figures.mean()
    least, most = min(bounds[0], value), max(bounds[1], value)
    return Interval(float(max(value + low, least)), float(min(value + high, most)))


def _subset(windows: Descriptors, index_N: Indices) -> Descriptors:
    return windows.subset(torch.from_numpy(index_N).to(windows.take_N.device))
