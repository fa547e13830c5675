"""Variance of poses: within a clip over time, and across clips.

Signals are positions of the joints relative to the moving joint and free of heading: where a clip leads or which way it
turns is no variation of pose. The two variances are the parts of the total one: that around each clip's mean pose, and
that of the mean poses.

Shapes: N windows, T frames, J joints, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor

from motionsynth.features.geometry import headings, turn
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.signals import common_limit_hz
from motionsynth.metrics.within import cell_means, mean_difference, shared_cells

__all__ = ["MEASURES", "across_variance", "log_within_variances", "mean_poses", "pose_channels", "within_variance"]

_Compute = Callable[..., dict[str, float]]

FLOOR: Final = 1e-8
"""Added to every variance, in m^2: that of 0.1 mm, so that still and constant sets have a ratio."""


def pose_channels(windows: Descriptors) -> Tensor:
    """Positions of the joints below the moving joint, relative to it, in the heading frame of each frame.

    Returns:
        (N, T, 3 * len(joints_below)) metres.
    """
    spec, positions_NTJ3 = windows.spec, windows.positions_NTJ3
    relative = positions_NTJ3[:, :, list(spec.joints_below)] - positions_NTJ3[:, :, spec.moving_joint, None]
    return turn(relative, -headings(windows.features_NTD, spec)).flatten(2)


def within_variance(pose_NTC: Tensor) -> Tensor:
    """Variance over time ``mean_t |x_t - mean_t x|^2``, mean over channels: (N, T, C) metres -> (N,) m^2."""
    return pose_NTC.var(1, correction=0).mean(-1)


def across_variance(mean_pose_NC: Tensor, cell_N: Tensor, cells_C: Tensor) -> Tensor:
    """Unbiased variance ``(E x^2 - (E x)^2) n / (n - 1)`` over the windows of each cell, mean over channels.

    Args:
        mean_pose_NC: (N, channels) what each window is in the mean, in metres.
        cell_N: (N,) int64 cell of each window.
        cells_C: (C,) int64 cells wanted, rising, each with at least two windows.

    Returns:
        (C,) float64 m^2.
    """
    x = mean_pose_NC.double()
    x = x - x.mean(0)  # lest digits cancel
    counts_C = torch.bincount(cell_N, minlength=int(cells_C.max()) + 1)[cells_C]
    squares_C = cell_means(x.square(), cell_N, cells_C) - cell_means(x, cell_N, cells_C).square()
    return squares_C.clamp_min(0).mean(-1) * counts_C / (counts_C - 1)


def mean_poses(windows: Descriptors) -> Tensor:
    """(N, channels) the mean over time of the pose, in metres."""
    return windows.per_window(_pose_statistics)[:, 1:]


def log_within_variances(windows: Descriptors) -> Tensor:
    """(N,) ``log(variance over time + FLOOR)``."""
    return (windows.per_window(_pose_statistics)[:, 0] + FLOOR).log()


def _pose_statistics(windows: Descriptors) -> Tensor:
    """(N, 1 + channels) the variance over time and the mean pose, of poses that both ask for once."""
    pose_NTC = pose_channels(windows)
    return torch.cat((within_variance(pose_NTC)[:, None], pose_NTC.mean(1)), 1)


def _within_clip(sets: Sets, space: str | None, *, within: bool) -> dict[str, float]:
    _check(sets)
    a, b = (s.per_window(log_within_variances) for s in (sets.generated, sets.reference))
    ratio = mean_difference(sets.generated, sets.reference, a, b, within=within).exp()
    return {_name("variance_within_clip_ratio", within): float(ratio)}


def _across_clips(sets: Sets, space: str | None, *, within: bool) -> dict[str, float]:
    _check(sets)
    cells = shared_cells(sets.generated, sets.reference) if within else None
    variances = []
    for windows in (sets.generated, sets.reference):
        poses_NC = windows.per_window(mean_poses)
        if cells is None:
            one = torch.zeros(len(windows), dtype=torch.int64, device=poses_NC.device)
            variances.append(float(across_variance(poses_NC, one, one[:1])))
        else:
            assert windows.cell_N is not None  # or there would be no shared cells
            variances.append(cells.average(across_variance(poses_NC, windows.cell_N, cells.cells_C)))
    a, b = variances
    return {_name("variance_across_clips_ratio", within): (a + FLOOR) / (b + FLOOR)}


def _check(sets: Sets) -> None:
    common_limit_hz(sets)  # refuses sets that do not belong together
    if not sets.reference.spec.joints_below:
        raise UndefinedError("a skeleton of one joint has no pose that could vary")


def _name(what: str, within: bool) -> str:
    return f"{what}{'_within' if within else ''}"


def _measure(what: str, formula: str, compute: _Compute, *, within: bool) -> Measure:
    summary = f"{formula}{', in each cell' if within else ''}; floor (0.1 mm)^2."
    metric = Metric(_name(what, within), "smoothness", "1", "match", summary, "this package", 1.0, within)
    return Measure((metric,), partial(compute, within=within), "takes", needs=("cells",) if within else ())


MEASURES: Final = tuple(
    _measure(what, formula, compute, within=within)
    for what, formula, compute in (
        (
            "variance_within_clip_ratio",
            "exp(mean log a - mean log b) of a window's variance over time of root-relative, heading-free joint "
            "positions, a of generated, b of reference windows",
            _within_clip,
        ),
        (
            "variance_across_clips_ratio",
            "a / b of the variance across windows of their mean root-relative, heading-free pose, a of generated, b of "
            "reference windows",
            _across_clips,
        ),
    )
    for within in (False, True)
)
