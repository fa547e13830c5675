"""Distance between the windows of a set, overall and within cells, against real ones.

Shapes: N windows, E features, B windows of a block, C cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.neighbours import rows_of
from motionsynth.metrics.record import Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.within import LEAST_WINDOWS, shared_cells

__all__ = ["MEASURES", "mean_pairwise_distance", "pairwise_distances_within"]


def mean_pairwise_distance(windows_NE: Tensor, group_N: Tensor | None = None) -> float:
    r"""Mean distance of two windows: :math:`\frac{1}{n} \sum_{i < j} |x_i - x_j|` over all n pairs of other takes.

    All pairs, block by block, where published code draws some hundred: there is no draw to scatter. The square root of
    the mean *squared* distance, which two passes over the set would give, is another figure: outliers rule it.

    References:
        Guo et al., Action2Motion, 2020 (diversity, from 200 pairs).

    Args:
        windows_NE: (N, E) finite features.
        group_N: takes of the windows, whose pairs are left out; each its own where left out.

    Returns:
        In units of the features, to some 1e-3 of their spread where windows coincide.

    Raises:
        UndefinedError: there are no two windows of different takes.
        ValueError: the shape does not fit, or a number is not finite.
    """
    group_N = torch.arange(len(windows_NE), device=windows_NE.device) if group_N is None else group_N
    sums_N, pairs_N = _row_sums(windows_NE, group_N, None)
    if not float(pairs_N.sum()):
        raise UndefinedError("there are no two windows of different takes")
    return float(sums_N.sum() / pairs_N.sum())


def pairwise_distances_within(windows_NE: Tensor, group_N: Tensor, cell_N: Tensor, cells_C: Tensor) -> Tensor:
    """(C,) float64 mean distance of two windows of one cell and of different takes; nan where there are no two.

    Args:
        windows_NE: (N, E) finite features.
        group_N: takes of the windows.
        cell_N: cells of the windows.
        cells_C: cells wanted.

    Raises:
        ValueError: the shape does not fit, or a number is not finite.
    """
    wanted_N = torch.isin(cell_N, cells_C)
    cell_N = cell_N[wanted_N]
    sums_N, pairs_N = _row_sums(windows_NE[wanted_N], group_N[wanted_N], cell_N)
    size = 1 + int(cells_C.max())
    sums_C, pairs_C = (torch.bincount(cell_N, of_N, minlength=size)[cells_C] for of_N in (sums_N, pairs_N))
    return sums_C / pairs_C


def _row_sums(windows_NE: Tensor, group_N: Tensor, cell_N: Tensor | None) -> tuple[Tensor, Tensor]:
    """(N,) float64: sum of the distances of each window to those it makes a pair with, and their number."""
    (rows,) = rows_of(windows_NE)
    sums, pairs = [], []
    for block in rows.blocks(rows):
        apart_BM = group_N[block.row_B][:, None] != group_N
        if cell_N is not None:
            apart_BM &= cell_N[block.row_B][:, None] == cell_N
        distance_BM = block.squared_BM.clamp_min_(0).sqrt_()
        sums.append(distance_BM.mul_(apart_BM).sum(1, dtype=torch.float64))
        pairs.append(apart_BM.sum(1, dtype=torch.float64))
    return torch.cat(sums), torch.cat(pairs)


def _ratio(generated: float, reference: float) -> float:
    if reference == 0:
        raise UndefinedError("all reference windows coincide, so that nothing can be compared with their distances")
    return generated / reference


def _diversity(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    means = [mean_pairwise_distance(s.embeddings[space], s.take_N) for s in (sets.generated, sets.reference)]
    return {"diversity": _ratio(*means)}


def _multimodality(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    shared = shared_cells(sets.generated, sets.reference)
    means = []
    for s in (sets.generated, sets.reference):
        assert s.cell_N is not None
        means.append(pairwise_distances_within(s.embeddings[space], s.take_N, s.cell_N, shared.cells_C))
    # a cell of which either set has one take only has no pairs to speak of
    known_C = means[0].isfinite() & means[1].isfinite()
    if not bool(known_C.any()):
        raise UndefinedError(f"no cell with {LEAST_WINDOWS} windows in both sets has two takes in both")
    weights_C = shared.weights_C * known_C
    return {"multimodality_within": _ratio(*(float(weights_C @ mean_C.nan_to_num()) for mean_C in means))}


_PAIRS = "all pairs of different takes"

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="diversity",
                group="modes",
                unit="1",
                better="match",
                summary=f"Mean distance of two generated windows over that of two real ones, {_PAIRS}; blind to modes "
                f"that are dropped without changing the spread.",
                reference="Guo et al. 2020",
                ideal=1.0,
            ),
        ),
        compute=_diversity,
        resample="takes",
        spaces=True,
    ),
    Measure(
        metrics=(
            Metric(
                name="multimodality_within",
                group="modes",
                unit="1",
                better="match",
                summary=f"Mean distance of two generated windows of one cell over that of two real ones, {_PAIRS}, "
                f"mean over the cells with at least {LEAST_WINDOWS} windows in both sets, weighted by the harmonic "
                f"mean of both counts.",
                reference="Guo et al. 2020",
                ideal=1.0,
                within=True,
            ),
        ),
        compute=_multimodality,
        resample="takes",
        spaces=True,
        needs=("cells",),
    ),
)
