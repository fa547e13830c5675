"""Distance of generated windows from the middle between real ones: what averaging over a mixture leaves.

Shapes: N generated windows, M reference windows, E features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.neighbours import either, other_cells, rows_of, same_group, search
from motionsynth.metrics.record import Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.within import LEAST_WINDOWS, cell_means, shared_cells

__all__ = ["FLOOR", "MEASURES", "midpoint_ratios"]

FLOOR: Final = 0.01
"""Least ratio, so that an exact mean has a logarithm."""


def midpoint_ratios(
    generated_NE: Tensor,
    reference_ME: Tensor,
    take_M: Tensor,
    *,
    cells: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    r"""Compute the distance of each generated window from the middle of the two real ones it lies between.

    :math:`\rho = 2 |g - (a + b)/2| / |a - b|`, a the nearest reference window, b the nearest one of another take: 0
    where g is their mean, 1 for a copy of a, some :math:`\sqrt 3` for independent points of many dimensions, and large
    for what lies beside both.

    Args:
        generated_NE: (N, E) finite features.
        reference_ME: (M, E) finite features, on the same device.
        take_M: takes of the reference windows.
        cells: cells (N,) and (M,): a and b are of the cell of g.

    Returns:
        (N,) float64; nan where there is no b, or where a and b coincide, which have no middle.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """
    generated, reference = rows_of(generated_NE, reference_ME)
    elsewhere = other_cells(*cells) if cells else None
    first_N = search(generated, reference, 1, elsewhere).index_NK[:, 0]
    apart = same_group(take_M[first_N], take_M)
    second_N = search(generated, reference, 1, either(elsewhere, apart)).index_NK[:, 0]
    g, a, b = (x.double() for x in (generated_NE, reference_ME[first_N], reference_ME[second_N]))
    apart_N = (a - b).norm(dim=1)
    return torch.where((second_N >= 0) & (apart_N > 0), (2 * g - a - b).norm(dim=1) / apart_N, torch.nan)


def _measure(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    ratios_N = midpoint_ratios(generated.embeddings[space], reference.embeddings[space], reference.take_N)
    logs_N = ratios_N[ratios_N.isfinite()].clamp_min(FLOOR).log()
    if not len(logs_N):
        raise UndefinedError("the nearest real windows are of one take or coincide, and have no middle")
    return {"interpolation_index": float(logs_N.mean().exp())}


def _within(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    shared = shared_cells(generated, reference)
    assert generated.cell_N is not None
    assert reference.cell_N is not None
    ratios_N = midpoint_ratios(
        generated.embeddings[space],
        reference.embeddings[space],
        reference.take_N,
        cells=(generated.cell_N, reference.cell_N),
    )
    known_N = ratios_N.isfinite()
    known_C = torch.isin(shared.cells_C, generated.cell_N[known_N])
    if not bool(known_C.any()):
        raise UndefinedError(f"no cell with {LEAST_WINDOWS} windows in both sets has two real takes to lie between")
    logs_N = ratios_N[known_N].clamp_min(FLOOR).log()
    means_C = cell_means(logs_N, generated.cell_N[known_N], shared.cells_C[known_C])
    weights_C = shared.weights_C[known_C]
    return {"interpolation_index_within": float((weights_C @ means_C / weights_C.sum()).exp())}


_RULE = (
    f"each ratio at least {FLOOR}: 0 for means of two real windows, 1 for copies, some sqrt(3) for independent points"
)

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="interpolation_index",
                group="smoothness",
                unit="1",
                better="match",
                summary=f"exp(mean log(2 |g - (a + b)/2| / |a - b|)), a and b the real windows of different takes "
                f"nearest to g, {_RULE}.",
                reference="this package",
            ),
        ),
        compute=_measure,
        resample="halves",
        spaces=True,
    ),
    Measure(
        metrics=(
            Metric(
                name="interpolation_index_within",
                group="smoothness",
                unit="1",
                better="match",
                summary=f"The interpolation index with a and b of the cell of g, over the cells with at least "
                f"{LEAST_WINDOWS} windows in both sets, weighted by the harmonic mean of both counts; {_RULE}.",
                reference="this package",
                within=True,
            ),
        ),
        compute=_within,
        resample="halves",
        spaces=True,
        needs=("cells",),
    ),
)
