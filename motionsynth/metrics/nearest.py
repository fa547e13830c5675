"""Which set a window's nearest neighbour is of: the two-sample test of a 1-nearest-neighbour classifier.

Shapes: N generated windows, M reference windows, E features, P windows of both sets, C cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from motionsynth.metrics.neighbours import TIE, Rows, either, other_cells, others, rows_of, search
from motionsynth.metrics.record import Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.within import LEAST_WINDOWS, cell_means, shared_cells

__all__ = ["MEASURES", "equal_counts", "nearest_neighbour_accuracy", "recognised"]


def recognised(
    generated_NE: Tensor,
    reference_ME: Tensor,
    *,
    groups: tuple[Tensor, Tensor] | None = None,
    cells: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Tell whether each window's nearest neighbour among all others is of its own set: 1, of the other: 0, a tie: 1/2.

    Args:
        generated_NE: (N, E) finite features.
        reference_ME: (M, E) finite features, on the same device.
        groups: takes (N,) and (M,): windows of one's own take are no neighbours, for they overlap it.
        cells: cells (N,) and (M,): windows of another cell are no neighbours either.

    Returns:
        (N,) and (M,) float64; nan where a window has no neighbour in either set.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """
    generated, reference = rows_of(generated_NE, reference_ME)
    groups_N, groups_M = groups or (None, None)
    cell_N, cell_M = cells or (None, None)
    return (
        _own_is_nearer(generated, groups_N, reference, cell_N, cell_M),
        _own_is_nearer(reference, groups_M, generated, cell_M, cell_N),
    )


def _own_is_nearer(
    own: Rows, group_N: Tensor | None, other: Rows, cell_N: Tensor | None, cell_M: Tensor | None
) -> Tensor:
    inside = search(own, own, 1, either(others(group_N), other_cells(cell_N, cell_N))).distance_NK[:, 0]
    across = search(own, other, 1, other_cells(cell_N, cell_M)).distance_NK[:, 0]
    tied_N = (inside - across).abs() <= TIE * across
    accuracy_N = (inside < across).double().masked_fill(tied_N, 0.5)
    return accuracy_N.masked_fill(inside.isinf() & across.isinf(), torch.nan)


def nearest_neighbour_accuracy(
    generated_NE: Tensor, reference_ME: Tensor, *, groups: tuple[Tensor, Tensor] | None = None
) -> float:
    r"""Compute the leave-one-out accuracy of telling both sets apart by the nearest neighbour, of equal weight.

    :math:`\frac{1}{2} \left( \frac{1}{N} \sum_g 1[d(g, G \setminus g) < d(g, R)] + \frac{1}{M} \sum_r 1[d(r, R
    \setminus r) < d(r, G)] \right)`, a tie counting a half: 1/2 for two sets of one distribution and of one size, 1 for
    sets apart, 0 for a set and its copy, and 1/2 for two sets of one constant.

    References:
        Lopez-Paz & Oquab, Revisiting Classifier Two-Sample Tests, 2017; Xu et al., An Empirical Study on Evaluation
        Metrics of Generative Adversarial Networks, 2018 (leave-one-out 1-NN).

    Args:
        generated_NE: (N, E) finite features.
        reference_ME: (M, E) finite features, on the same device; sets of other sizes than one another do not have 1/2
            as their ideal.
        groups: takes (N,) and (M,): windows of one's own take are no neighbours, for they overlap it.

    Raises:
        UndefinedError: a window has no neighbour.
        ValueError: the shapes do not fit, or a number is not finite.
    """
    halves = [float(set_P.mean()) for set_P in recognised(generated_NE, reference_ME, groups=groups)]
    if not np.isfinite(halves).all():
        raise UndefinedError("a window has no neighbour")
    return sum(halves) / 2


def equal_counts(cell_N: Tensor, cell_M: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw as many windows of each cell from both sets as the one with fewer has; indices, rising.

    Args:
        cell_N: (N,) int64 cells; all of one for sets without cells.
        cell_M: (M,) int64 cells.
        seed: of the draw, which is without replacement.
    """
    cells = [cell_N.cpu().numpy(), cell_M.cpu().numpy()]
    size = 1 + max(int(cell.max(initial=0)) for cell in cells)
    fewest_C = np.minimum(*(np.bincount(cell, minlength=size) for cell in cells))
    drawn = []
    for cell in cells:
        shuffled = np.random.default_rng(seed).permutation(len(cell))
        order = shuffled[np.argsort(cell[shuffled], kind="stable")]
        count = np.bincount(cell, minlength=size)
        rank = np.arange(len(cell)) - np.repeat(count.cumsum() - count, count)
        drawn.append(torch.from_numpy(np.sort(order[rank < fewest_C[cell[order]]])).to(cell_N.device))
    return drawn[0], drawn[1]


def _accuracy(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    index_N, index_M = equal_counts(torch.zeros_like(generated.take_N), torch.zeros_like(reference.take_N))
    accuracy = nearest_neighbour_accuracy(
        generated.embeddings[space][index_N],
        reference.embeddings[space][index_M],
        groups=(generated.take_N[index_N], reference.take_N[index_M]),
    )
    return {"nearest_neighbour_accuracy": accuracy}


def _within(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    shared = shared_cells(generated, reference)
    assert generated.cell_N is not None
    assert reference.cell_N is not None
    index_N, index_M = (
        index[torch.isin(cells[index], shared.cells_C)]
        for index, cells in zip(
            equal_counts(generated.cell_N, reference.cell_N), (generated.cell_N, reference.cell_N), strict=True
        )
    )
    cells = generated.cell_N[index_N], reference.cell_N[index_M]
    found = recognised(
        generated.embeddings[space][index_N],
        reference.embeddings[space][index_M],
        groups=(generated.take_N[index_N], reference.take_N[index_M]),
        cells=cells,
    )
    means = [cell_means(of_P, cell_P, shared.cells_C) for of_P, cell_P in zip(found, cells, strict=True)]
    return {"nearest_neighbour_accuracy_within": shared.average((means[0] + means[1]) / 2)}


_REFERENCE = "Lopez-Paz & Oquab 2017; Xu et al. 2018"
_RULE = "windows of one's own take not counted, a tie a half, the larger set subsampled (seed 0)"

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="nearest_neighbour_accuracy",
                group="modes",
                unit="1",
                better="match",
                summary=f"Share of windows whose nearest neighbour is of their own set, mean of both sets; {_RULE}; 1 "
                f"where the sets lie apart or one is collapsed, 0 where one copies the other.",
                reference=_REFERENCE,
                ideal=0.5,
            ),
        ),
        compute=_accuracy,
        resample="halves",
        spaces=True,
    ),
    Measure(
        metrics=(
            Metric(
                name="nearest_neighbour_accuracy_within",
                group="modes",
                unit="1",
                better="match",
                summary=f"The nearest-neighbour accuracy among the windows of each cell with at least {LEAST_WINDOWS} "
                f"in both sets, weighted by the harmonic mean of their counts; {_RULE}, cell by cell; below a half "
                f"where cells have few takes, as fewer windows of the own set are counted.",
                reference=_REFERENCE,
                within=True,
            ),
        ),
        compute=_within,
        resample="halves",
        spaces=True,
        needs=("cells",),
    ),
)
