"""Speed, acceleration and jerk of joints, against the reference: blur lies below it, jitter above.

A magnitude is that of one window: the mean over its frames and moving joints of the length of a finite difference of
world positions. Windows are compared by its logarithm, so that a brisk clip does not outweigh a hundred calm ones, and
no less than what a joint does that sways at 10 rad/s with 0.1 mm/s, so that a still clip has a logarithm.

Shapes: N, M windows, T frames, J joints, C cells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Measure, Metric, Sets
from motionsynth.metrics.signals import band_limit, common_limit_hz, in_parts, joint_velocities
from motionsynth.metrics.within import mean_difference, shared_cells

__all__ = ["MEASURES", "motion_magnitudes", "wasserstein_sides"]

MAGNITUDES: Final = ("speed", "acceleration", "jerk", "kinetic_energy")
UNITS: Final = ("m/s", "m/s^2", "m/s^3", "m^2/s^2")
FLOORS: Final = (1e-4, 1e-3, 1e-2, 0.5e-8)
"""Magnitudes count as no less, in their units."""


def motion_magnitudes(positions_NTJ3: Tensor, rate_hz: float) -> Tensor:
    """The mean length of velocity, acceleration and jerk, and the mean kinetic energy ``|v|^2 / 2`` of a unit mass.

    All are forward differences of the positions: of order 1, 2, 3, and 1. A standing clip has zero of each.

    Args:
        positions_NTJ3: (N, T, J, 3) metres, T at least 4.
        rate_hz: frames a second.

    Returns:
        (N, 4): m/s, m/s^2, m/s^3, m^2/s^2; means over frames and joints.

    Raises:
        ValueError: there are fewer than 4 frames.
    """
    if positions_NTJ3.shape[1] < 4:
        raise ValueError(f"jerk needs at least 4 frames, not {positions_NTJ3.shape[1]}")
    velocity = joint_velocities(positions_NTJ3, rate_hz)
    acceleration = velocity.diff(dim=1) * rate_hz
    jerk = acceleration.diff(dim=1) * rate_hz
    lengths = [torch.linalg.vector_norm(x, dim=-1).mean((1, 2)) for x in (velocity, acceleration, jerk)]
    return torch.stack((*lengths, 0.5 * velocity.square().sum(-1).mean((1, 2))), -1)


def wasserstein_sides(
    values_N: Tensor,
    reference_M: Tensor,
    cell_N: Tensor | None = None,
    cell_M: Tensor | None = None,
    cells_C: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Wasserstein-1 distance in two parts: how far mass lies below the reference, and how far above.

    ``int max(F - G, 0) dx`` and ``int max(G - F, 0) dx`` with F, G the distribution functions of values and reference;
    the parts add up to the distance.

    References:
        Vallender, Calculation of the Wasserstein distance between probability distributions on the line, 1974.

    Args:
        values_N: (N,) values.
        reference_M: (M,) values of the reference.
        cell_N: (N,) int64 cells; with the next two, for a distance in each cell.
        cell_M: (M,) int64 cells of the reference.
        cells_C: (C,) int64 cells wanted, rising, with values in both.

    Returns:
        (C,) float64 below and above, in units of the values; C is 1 without cells.
    """
    if cell_N is None or cell_M is None or cells_C is None:
        cell_N, cell_M = (torch.zeros(len(x), dtype=torch.int64, device=x.device) for x in (values_N, reference_M))
        cells_C = cell_N.new_zeros(1)
    x, cell = torch.cat((values_N, reference_M)).double(), torch.cat((cell_N, cell_M))
    size = 1 + int(cell.max())
    n, m = torch.bincount(cell_N, minlength=size), torch.bincount(cell_M, minlength=size)
    # steps of F - G times n * m are whole numbers: what adds up to nothing is nothing
    steps = torch.cat((m[cell_N], -n[cell_M]))
    order = torch.argsort(x, stable=True)
    order = order[torch.argsort(cell[order], stable=True)]
    x, cell = x[order], cell[order]
    gaps = torch.where(cell[1:] == cell[:-1], x.diff(), 0.0)
    areas = steps[order].cumsum(0)[:-1] * gaps
    below, above = (
        torch.zeros(size, dtype=torch.float64, device=x.device).index_add_(0, cell[:-1], area)[cells_C]
        for area in (areas.clamp_min(0), (-areas).clamp_min(0))
    )
    pairs_C = (n * m)[cells_C]
    return below / pairs_C, above / pairs_C


@lru_cache(maxsize=8)
def _logarithms(limit_hz: float) -> Callable[[Descriptors], Tensor]:
    """The function of windows to (N, 4) logarithms of magnitudes below a frequency: one function for one frequency."""

    def compute(windows: Descriptors) -> Tensor:
        rate = windows.spec.frame_rate
        magnitudes = in_parts(windows, lambda x: motion_magnitudes(band_limit(x, rate, limit_hz), rate))
        return torch.maximum(magnitudes, magnitudes.new_tensor(FLOORS)).log()

    return compute


def _pair(sets: Sets) -> tuple[Tensor, Tensor]:
    compute = _logarithms(common_limit_hz(sets))
    return sets.generated.per_window(compute), sets.reference.per_window(compute)


def _ratios(sets: Sets, space: str | None, *, within: bool) -> dict[str, float]:
    differences = mean_difference(sets.generated, sets.reference, *_pair(sets), within=within)
    end = "_within" if within else ""
    return dict(zip((f"{name}_ratio{end}" for name in MAGNITUDES), differences.exp().tolist(), strict=True))


def _sides(sets: Sets, space: str | None, *, within: bool) -> dict[str, float]:
    logs_N, logs_M = _pair(sets)
    cells = shared_cells(sets.generated, sets.reference) if within else None
    figures: dict[str, float] = {}
    for column, name in enumerate(MAGNITUDES[:3]):
        a, b = logs_N[:, column], logs_M[:, column]
        if cells is None:
            below, above = (float(side) for side in wasserstein_sides(a, b))
        else:
            sides = wasserstein_sides(a, b, sets.generated.cell_N, sets.reference.cell_N, cells.cells_C)
            below, above = map(cells.average, sides)
        end = "_within" if within else ""
        figures |= {f"{name}_shortfall{end}": below, f"{name}_excess{end}": above}
    return figures


def _ratio_metrics(*, within: bool) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            f"{name}_ratio{'_within' if within else ''}",
            "smoothness",
            "1",
            "match",
            f"exp(mean log a - mean log b) of the {name.replace('_', ' ')} of generated (a) and reference (b) windows"
            f"{', in each cell' if within else ''}; no less than {floor:g} {unit}.",
            "this package",
            1.0,
            within,
        )
        for name, unit, floor in zip(MAGNITUDES, UNITS, FLOORS, strict=True)
    )


def _side_metrics(*, within: bool) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            f"{name}_{side}{'_within' if within else ''}",
            "smoothness",
            "1",
            "lower",
            f"How far the natural logarithm of windows' {name} lies {where} the reference's: that part of the "
            f"Wasserstein-1 distance{', in each cell' if within else ''}.",
            "Vallender 1974",
            0.0,
            within,
        )
        for name in MAGNITUDES[:3]
        for side, where in (("shortfall", "below"), ("excess", "above"))
    )


MEASURES: Final = (
    Measure(_ratio_metrics(within=False), partial(_ratios, within=False), "takes"),
    Measure(_ratio_metrics(within=True), partial(_ratios, within=True), "takes", needs=("cells",)),
    Measure(_side_metrics(within=False), partial(_sides, within=False), "takes"),
    Measure(_side_metrics(within=True), partial(_sides, within=True), "takes", needs=("cells",)),
)
