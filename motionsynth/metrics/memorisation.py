"""Copies of training windows among generated ones: their distance to the training set against the test set.

Shapes: N generated windows, M reference windows (held out), L training windows, E features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.neighbours import nearest, nearest_others
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError

__all__ = ["CLOSE", "FLOOR", "MEASURES", "close_share", "train_test_ratio"]

CLOSE: Final = 0.05
"""Share of held-out windows that lie as close to the training set as what counts as close."""
FLOOR: Final = 1e-3
"""Least distance, as a share of the held-out windows' median distance to the training set: copies have logarithms."""


def train_test_ratio(
    generated_train_N: Tensor, generated_test_N: Tensor, test_train_M: Tensor, test_test_M: Tensor
) -> float:
    r"""Compute how much closer to training than to test windows generated ones lie, beyond what held-out windows do.

    :math:`\exp( E_g \log \frac{d(g, train)}{d(g, test)} - E_r \log \frac{d(r, train)}{d(r, test \setminus r)} )`: 1 for
    held-out windows, towards 0 for copies of training windows. The training set is the larger one, and so lies closer
    to anything; what that adds to the first mean the second, of held-out windows against the same two sets, takes away.
    Blur brings windows closer to both sets alike.

    References:
        Meehan, Chaudhuri & Dasgupta, A Non-Parametric Test to Detect Data-Copying in Generative Models, 2020 (the three
        sets).

    Args:
        generated_train_N: (N,) distance of each generated window to the nearest training window.
        generated_test_N: (N,) to the nearest held-out window.
        test_train_M: (M,) distance of each held-out window to the nearest training window.
        test_test_M: (M,) to the nearest held-out window of another take.

    Returns:
        At least 0. A distance counts as at least ``FLOOR`` times the median of ``test_train_M``.

    Raises:
        UndefinedError: held-out windows are copies of training windows, or of one take.
    """
    floor = FLOOR * float(test_train_M.median())
    if floor == 0:
        raise UndefinedError("half of the held-out windows are copies of training windows")
    if not bool(test_test_M.isfinite().all()):
        raise UndefinedError("all held-out windows are of one take, so that none is held out from the others")
    logs = [d.double().clamp_min(floor).log() for d in (generated_train_N, generated_test_N, test_train_M, test_test_M)]
    return float((logs[0].mean() - logs[1].mean() - logs[2].mean() + logs[3].mean()).exp())


def close_share(generated_train_N: Tensor, test_train_M: Tensor, share: float = CLOSE) -> float:
    r"""Share of generated windows closer to the training set than the ``share``-quantile of held-out windows is.

    :math:`E_g 1[d(g, train) \le Q_{share}(d(r, train))]`: ``share`` for held-out windows, 1 for copies, and more than
    ``share`` for blurred windows too, which lie closer to everything: read it beside the ratio.

    Args:
        generated_train_N: (N,) distance of each generated window to the nearest training window.
        test_train_M: (M,) distance of each held-out window to the nearest training window.
        share: of the quantile, in (0, 1).

    Returns:
        In [0, 1].
    """
    return float((generated_train_N <= test_train_M.double().quantile(share)).double().mean())


@dataclass(frozen=True)
class _NearestIn:
    """Distance of each window to the nearest one of a set that stays; the same for the same set and space."""

    points: Descriptors
    space: str

    def __call__(self, windows: Descriptors) -> Tensor:
        return nearest(windows.embeddings[self.space], self.points.embeddings[self.space]).distance_NK[:, 0]


def _measure(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference, train = sets
    assert train is not None
    if space not in train.embeddings:
        raise UndefinedError(f"the training windows are not described in the feature space {space}")
    to_train = _NearestIn(train, space)
    generated_train_N, test_train_M = generated.per_window(to_train), reference.per_window(to_train)
    embedding_ME = reference.embeddings[space]
    generated_test_N = nearest(generated.embeddings[space], embedding_ME).distance_NK[:, 0]
    test_test_M = nearest_others(embedding_ME, group_N=reference.take_N).distance_NK[:, 0]
    return {
        "train_test_ratio": train_test_ratio(generated_train_N, generated_test_N, test_train_M, test_test_M),
        "close_to_train": close_share(generated_train_N, test_train_M),
    }


MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="train_test_ratio",
                group="memorisation",
                unit="1",
                better="match",
                summary="Geometric mean over generated windows of the distance to the nearest of all training windows "
                "over that to the nearest real one, divided by the same of real windows (their own take left out): 1 "
                "for held-out windows, below 1 for copies.",
                reference="Meehan et al. 2020",
                ideal=1.0,
            ),
            Metric(
                name="close_to_train",
                group="memorisation",
                unit="1",
                better="match",
                summary=f"Share of generated windows as close to a training window as the closest {CLOSE:.0%} of the "
                f"real ones are; blur raises it too.",
                reference="this package",
                ideal=CLOSE,
                bounds=SHARE,
            ),
        ),
        compute=_measure,
        resample="halves",
        least=20,
        spaces=True,
        needs=("train",),
    ),
)
