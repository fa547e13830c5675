"""Precision, recall, density and coverage: how the balls around real windows hold the generated ones, and vice versa.

Shapes: N generated windows, M reference windows, E features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor

from motionsynth.metrics.neighbours import kth_distance, rows_of
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError

__all__ = ["MEASURES", "NEIGHBOURS", "Manifold", "manifold"]

NEIGHBOURS: Final = 5


class Manifold(NamedTuple):
    """Shares of windows in balls, in [0, 1]; density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(
    generated_NE: Tensor,
    reference_ME: Tensor,
    k: int = NEIGHBOURS,
    *,
    groups: tuple[Tensor, Tensor] | None = None,
) -> Manifold:
    r"""Compute precision, recall, density and coverage in one pass over the distances.

    With :math:`r_k(x)` the distance of x to its k-th nearest neighbour in its own set, itself not counted:

    * precision: share of generated g with :math:`|g - x| \le r_k(x)` for some reference x
    * recall: share of reference x with :math:`|x - g| \le r_k(g)` for some generated g
    * density: :math:`\frac{1}{kN} \sum_{g, x} 1[|g - x| \le r_k(x)]`
    * coverage: share of reference x with :math:`|x - g| \le r_k(x)` for some generated g

    A ball holds its boundary (``<=``), as in Kynkaanniemi's paper. Naeem's code has ``<``, which makes all four 0
    between two sets of one and the same constant, though each holds all of the other; with ``<=`` precision, recall and
    coverage are 1 there. Where no distance is met twice both agree. Between a set and itself density is 1 + 1/k.

    References:
        Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019; Naeem et al.,
        Reliable Fidelity and Diversity Metrics for Generative Models, 2020.

    Args:
        generated_NE: (N, E) finite features.
        reference_ME: (M, E) finite features, on the same device.
        k: neighbours that a ball reaches to.
        groups: takes (N,) and (M,) of the windows: those of one's own take, which overlap it, are no neighbours of it,
            or balls around windows of long takes would be smaller.

    Raises:
        UndefinedError: a window has fewer than k neighbours.
        ValueError: the shapes do not fit, or a number is not finite.
    """
    generated, reference = rows_of(generated_NE, reference_ME)
    groups_G, groups_R = groups or (None, None)
    radius_N = kth_distance(generated, k, groups_G)
    radius_M = kth_distance(reference, k, groups_R)
    if not bool(radius_N.isfinite().all() and radius_M.isfinite().all()):
        raise UndefinedError(f"some windows have fewer than {k} others (of other takes) in their set")
    limit_N, limit_M = radius_N.square(), radius_M.square()
    held_N = torch.zeros(len(generated), dtype=torch.bool, device=generated_NE.device)
    covered_M = torch.zeros(len(reference), dtype=torch.bool, device=generated_NE.device)
    recalled = pairs = 0
    for block in reference.blocks(generated):
        row_P, column_P = block.pairs_within(limit_M[block.row_B])
        recalled += int(block.any_within(limit_N).sum())  # last, for it overwrites the block
        covered_M[row_P] = True
        held_N[column_P] = True
        pairs += len(row_P)
    return Manifold(
        float(held_N.double().mean()),
        recalled / len(reference),
        pairs / (k * len(generated)),
        float(covered_M.double().mean()),
    )


def _measure(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    return manifold(
        generated.embeddings[space], reference.embeddings[space], groups=(generated.take_N, reference.take_N)
    )._asdict()


_BALLS = f"k = {NEIGHBOURS}, windows of one's own take not counted"

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="precision",
                group="modes",
                unit="1",
                better="match",
                summary=f"Share of generated windows within the distance of a real one to its k-th nearest real one, "
                f"{_BALLS}; blur and memorising raise it.",
                reference="Kynkaanniemi et al. 2019",
                bounds=SHARE,
            ),
            Metric(
                name="recall",
                group="modes",
                unit="1",
                better="higher",
                summary=f"Share of real windows within the distance of a generated one to its k-th nearest "
                f"generated one, {_BALLS}.",
                reference="Kynkaanniemi et al. 2019",
                bounds=SHARE,
            ),
            Metric(
                name="density",
                group="modes",
                unit="1",
                better="match",
                summary=f"Mean number of real windows' k-nearest-neighbour balls that hold a generated window, over k, "
                f"{_BALLS}; blur and memorising raise it.",
                reference="Naeem et al. 2020",
                ideal=1.0,
            ),
            Metric(
                name="coverage",
                group="modes",
                unit="1",
                better="higher",
                summary=f"Share of real windows with a generated one within the distance to their k-th nearest real "
                f"one, {_BALLS}; 1 - 2^-k for two large sets of one distribution.",
                reference="Naeem et al. 2020",
                ideal=1 - 2**-NEIGHBOURS,
                bounds=SHARE,
            ),
        ),
        compute=_measure,
        resample="halves",
        least=NEIGHBOURS + 1,
        spaces=True,
    ),
)
