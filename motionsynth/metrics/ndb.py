"""Number of statistically different bins: whether regions of the reference hold as many generated windows.

Shapes: N generated windows, M reference windows, E features, K bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.neighbours import nearest
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets

__all__ = ["BINS", "LEVEL", "MEASURES", "WINDOWS_PER_BIN", "bin_centres", "different_bins", "jensen_shannon"]

BINS: Final = 50
"""Most bins there are."""
WINDOWS_PER_BIN: Final = 16
"""Reference windows per bin, on average, at least: with fewer the test of a bin finds nothing."""
LEVEL: Final = 0.05

_MOST = 10_000
"""Windows that bins are fitted to; of more, evenly spaced ones."""


def bin_centres(reference_ME: Tensor, bins: int) -> Tensor:
    """The centres of ``bins`` k-means clusters, by scikit-learn with a fixed seed, on one thread.

    Args:
        reference_ME: (M, E) finite features, at least ``bins`` rows.
        bins: K.

    Returns:
        (K, E) float32; fewer rows where the features have fewer distinct rows.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    step = -(-len(reference_ME) // _MOST)
    rows = reference_ME[::step].float()
    distinct = len(torch.unique(rows, dim=0))
    # threads add up in the order they finish, and other roundings are other bins
    with threadpool_limits(limits=1, user_api="openmp"):
        centres = KMeans(min(bins, distinct), n_init=1, random_state=0).fit(rows.cpu().numpy()).cluster_centers_
    return torch.from_numpy(centres).to(reference_ME)


def different_bins(count_gen_K: Tensor, count_ref_K: Tensor, level: float = LEVEL) -> float:
    r"""Share of bins whose proportions differ by a two-sided two-proportion z-test: NDB / K.

    With :math:`p = a/N`, :math:`q = b/M` and the pooled :math:`s = (a + b)/(N + M)`: a bin differs where
    :math:`|p - q| > z \sqrt{s (1 - s) (1/N + 1/M)}`, z the normal quantile of 1 - level/2. An empty bin does not.

    References:
        Richardson & Weiss, On GANs and GMMs, 2018.

    Args:
        count_gen_K: (K,) generated windows in each bin.
        count_ref_K: (K,) reference windows in each bin.
        level: of the test.

    Returns:
        In [0, 1]; ``level`` for two sets of independent windows of one distribution.
    """
    a_K, b_K = count_gen_K.double(), count_ref_K.double()
    n, m = a_K.sum(), b_K.sum()
    pooled_K = (a_K + b_K) / (n + m)
    z = torch.special.ndtri(torch.tensor(1 - level / 2, dtype=torch.float64))
    error_K = (pooled_K * (1 - pooled_K) * (1 / n + 1 / m)).sqrt()
    return float(((a_K / n - b_K / m).abs() > z.to(error_K) * error_K).double().mean())


def jensen_shannon(count_a_K: Tensor, count_b_K: Tensor) -> float:
    r"""Jensen-Shannon divergence of two histograms.

    :math:`\frac{1}{2} KL(p || m) + \frac{1}{2} KL(q || m)`, m the mean of both: finite without smoothing.

    References:
        Lin, Divergence Measures Based on the Shannon Entropy, 1991.

    Returns:
        In nats, from 0 to log 2; some (K - 1) / (4 N) for two histograms of N draws of one distribution.
    """
    p_K, q_K = (count_K.double() / count_K.sum() for count_K in (count_a_K, count_b_K))
    m_K = (p_K + q_K) / 2
    return float(sum((torch.special.xlogy(r_K, r_K) - torch.special.xlogy(r_K, m_K)).sum() for r_K in (p_K, q_K)) / 2)


_CENTRES: WeakKeyDictionary[Descriptors, dict[str, Tensor]] = WeakKeyDictionary()
"""Bins of a whole reference, as long as it lives: all its resamples are counted in them."""


@dataclass(frozen=True)
class _Bin:
    """The bin of each window; the same for the same reference and space, so that it is asked for once."""

    reference: Descriptors
    space: str

    def __call__(self, windows: Descriptors) -> Tensor:
        return nearest(windows.embeddings[self.space], self.centres).index_NK[:, 0]

    @property
    def centres(self) -> Tensor:
        known = _CENTRES.setdefault(self.reference, {})
        if self.space not in known:
            embedding_ME = self.reference.embeddings[self.space]
            known[self.space] = bin_centres(embedding_ME, max(2, min(BINS, len(embedding_ME) // WINDOWS_PER_BIN)))
        return known[self.space]


def _measure(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    bin_of = _Bin(sets.reference.whole, space)
    bins = len(bin_of.centres)
    a_K, b_K = (torch.bincount(s.per_window(bin_of), minlength=bins) for s in (sets.generated, sets.reference))
    return {"different_bins": different_bins(a_K, b_K), "bins_jensen_shannon": jensen_shannon(a_K, b_K)}


_RULE = (
    f"k-means bins of the reference (seed 0), {BINS} or as many as leave {WINDOWS_PER_BIN} reference windows to a bin"
)

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="different_bins",
                group="modes",
                unit="1",
                better="lower",
                summary=f"NDB / K: share of bins whose shares of both sets differ by a two-proportion z-test at "
                f"{LEVEL:.0%}; {_RULE}; above {LEVEL} for real against real, as windows of one take lie together.",
                reference="Richardson & Weiss 2018",
                bounds=SHARE,
            ),
            Metric(
                name="bins_jensen_shannon",
                group="modes",
                unit="nats",
                better="lower",
                summary=f"Jensen-Shannon divergence of the shares of both sets in the bins; {_RULE}.",
                reference="Richardson & Weiss 2018; Lin 1991",
            ),
        ),
        compute=_measure,
        resample="takes",
        least=2 * WINDOWS_PER_BIN,
        spaces=True,
    ),
)
