"""Number of distinct windows of a set, judged by how often two of them collide: the birthday paradox.

Shapes: N windows, E features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.neighbours import others, rows_of
from motionsynth.metrics.record import Measure, Metric, Sets, UndefinedError

__all__ = ["COLLIDING", "MEASURES", "birthday_support", "collision_distance"]

COLLIDING: Final = 1e-3
"""Share of the pairs of real windows of different takes that count as colliding."""

_MOST = 2048
"""Reference windows whose pairs are ranked; of more, evenly spaced ones."""


def collision_distance(reference_ME: Tensor, group_M: Tensor | None = None, share: float = COLLIDING) -> float:
    """Find the distance that a ``share`` of the pairs of reference windows, not of one take, is within.

    Arora & Zhang let people look for duplicates; this is what people are replaced by. A share of *pairs* does not
    change with the number of windows, as the distance to the nearest does.

    Args:
        reference_ME: (M, E) finite features.
        group_M: takes of the windows; each its own where left out.
        share: in (0, 1].

    Returns:
        In units of the features.

    Raises:
        UndefinedError: there are fewer than 1 / ``share`` pairs, or that share of them coincides.
        ValueError: the shape does not fit, or a number is not finite.
    """
    spaced = torch.linspace(0, len(reference_ME) - 1, min(len(reference_ME), _MOST), device=reference_ME.device)
    index = spaced.round().long()
    (rows,) = rows_of(reference_ME[index])
    exclude = others(None if group_M is None else group_M[index])
    kept, pairs, error = [], 0, 0.0
    most = max(1, int(share * len(rows) ** 2))  # each pair is met twice
    for block in rows.blocks(rows):
        exclude(block.row_B, block.squared_BM)
        pairs, error = pairs + int(torch.count_nonzero(block.squared_BM < torch.inf)), max(error, block.error)
        squared_P = block.squared_BM.flatten()
        kept.append(squared_P.topk(min(most, len(squared_P)), largest=False).values)
    wanted = int(share * pairs)
    if wanted < 2:
        raise UndefinedError(f"needs {1 / share:.0f} pairs of reference windows of different takes, has {pairs // 2}")
    threshold = float(torch.cat(kept).kthvalue(wanted).values)
    if threshold <= error:
        raise UndefinedError(f"more than {share:.1%} of the pairs of reference windows coincide")
    return math.sqrt(threshold)


def birthday_support(windows_NE: Tensor, distance: float, group_N: Tensor | None = None) -> float:
    r"""Estimate how many distinct windows a set is drawn from.

    Of S equally likely windows two draws collide with probability 1/S. With c of n pairs within ``distance``:
    :math:`\hat S = n / (c + 1)`, which is finite without collisions (a lower bound then) and has the expectation
    :math:`S (1 - e^{-n/S})`. Where windows are not equally likely it is the number of equally likely ones that would
    collide as often, and the densest regions decide.

    References:
        Arora & Zhang, Do GANs actually learn the distribution? An empirical study, 2018.

    Args:
        windows_NE: (N, E) finite features.
        distance: at which two windows count as the same; see :func:`collision_distance`.
        group_N: takes of the windows, whose pairs are left out; each its own where left out.

    Raises:
        UndefinedError: all windows are of one take.
        ValueError: the shape does not fit, or a number is not finite.
    """
    (rows,) = rows_of(windows_NE)
    exclude = others(group_N)
    pairs = collisions = 0
    for block in rows.blocks(rows):
        exclude(block.row_B, block.squared_BM)
        pairs += int(torch.count_nonzero(block.squared_BM < torch.inf))
        collisions += int(torch.count_nonzero(block.squared_BM <= distance**2))
    if not pairs:
        raise UndefinedError("all windows are of one take, so that no two can be compared")
    return (pairs / 2) / (collisions / 2 + 1)


def _measure(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    distance = collision_distance(sets.reference.embeddings[space], sets.reference.take_N)
    return {"birthday_support": birthday_support(sets.generated.embeddings[space], distance, sets.generated.take_N)}


MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="birthday_support",
                group="modes",
                unit="windows",
                better="match",
                summary=f"Distinct windows that would collide as often: pairs / (colliding pairs + 1), pairs of "
                f"different takes; two collide that are as close as the closest {COLLIDING:.1%} of the pairs of real "
                f"windows, so that real windows have {1 / COLLIDING:.0f}.",
                reference="Arora & Zhang 2018",
                ideal=1 / COLLIDING,
            ),
        ),
        compute=_measure,
        resample="halves",
        least=64,
        spaces=True,
    ),
)
