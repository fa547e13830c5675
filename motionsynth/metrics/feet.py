"""Foot skating, and feet below or above the floor, in metres and seconds.

Real motion skates too, and its toes rest centimetres above the origin: every figure is to be read beside that of real
motion.

Shapes: N windows, T frames, J joints, F foot joints, G groups of foot joints that share a floor height.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from motionsynth.features.spec import FeatureSpec
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError

__all__ = ["MEASURES", "floor_heights", "foot_skating", "leg_length_m"]

FLOOR_QUANTILE: Final = 0.05
"""Quantile of the heights of a group of foot joints: robust against the odd frame below the floor."""
PLANTED_LEG_LENGTHS: Final = 0.02
"""A foot joint that near to its floor is planted; 1.7 cm for a leg of 0.87 m. At 3 cm, swinging toes count as well."""
SKATING_M_S: Final = 0.2
"""A planted foot joint faster than this skates, rather than rolls."""


def leg_length_m(spec: FeatureSpec) -> float:
    """Metres of bone from the moving joint down to the nearest foot joint.

    Raises:
        UndefinedError: no foot joints are known, or one is the moving joint itself.
    """
    lengths = []
    for joint in spec.contact_joints:
        length = 0.0
        while joint != spec.moving_joint and joint >= 0:
            length += float((spec.rest_array[joint] ** 2).sum() ** 0.5)
            joint = spec.parents[joint]
        lengths.append(length * spec.metres_per_unit)
    if not lengths:
        raise UndefinedError("no foot joints are known of this skeleton")
    if not min(lengths) > 0:
        raise UndefinedError("a foot joint has no leg above it")
    return min(lengths)


def floor_heights(positions_NTJ3: Tensor, groups: tuple[tuple[int, ...], ...]) -> Tensor:
    """Height that the joints of each group rest at in each window: the 5th percentile of all their heights in it.

    Of the window and not of the set, so that a clip that floats or sinks still has planted feet.

    Args:
        positions_NTJ3: (N, T, J, 3) world positions in metres, y up.
        groups: joints that share a floor height, such as both toes.

    Returns:
        (N, G) metres, float32.
    """
    heights = [positions_NTJ3[:, :, list(group), 1].flatten(1) for group in groups]
    levels = [h.kthvalue(1 + int(FLOOR_QUANTILE * (h.shape[1] - 1)), dim=1).values for h in heights]
    return torch.stack(levels, 1)


def foot_skating(
    positions_NTJ3: Tensor, groups: tuple[tuple[int, ...], ...], leg_m: float, frame_rate: float
) -> Tensor:
    """Skating of planted feet, window by window: its speed and its frequency.

    A foot joint is planted over a step from frame t to t + 1 if at both it is less than ``0.02 leg_m`` above the floor
    of its group (:func:`floor_heights`); its speed there is that of its horizontal displacement,
    ``|(x, z)_{t+1} - (x, z)_t| f`` in m/s. It skates if that exceeds 0.2 m/s.

    Published thresholds differ by four times (5 cm and 0.5 m/s, 5 cm and 0.2 m/s in three dimensions, 1 cm a frame) and
    some are per frame; here all are in metres, seconds and leg lengths, so frame rate and size of the skeleton do not
    change what is counted.

    References:
        Zhang et al., Mode-Adaptive Neural Networks for Quadruped Motion Control, 2018, weight speeds by height;
        Karunratanakul et al., Guided Motion Diffusion, 2023, count skating frames.

    Args:
        positions_NTJ3: (N, T, J, 3) world positions in metres, y up, T at least 2.
        groups: foot joints, those that share a floor height together.
        leg_m: leg length in metres.
        frame_rate: frames a second.

    Returns:
        (N, 3) float64: sum of the speeds of planted steps (m/s), number of planted steps, number of skating steps.
    """
    joints = [joint for group in groups for joint in group]
    group_of_F = [number for number, group in enumerate(groups) for _ in group]
    feet_NTF3 = positions_NTJ3[:, :, joints]
    low_NTF = (
        feet_NTF3[..., 1]
        < (floor_heights(positions_NTJ3, groups)[:, group_of_F] + PLANTED_LEG_LENGTHS * leg_m)[:, None]
    )
    planted = (low_NTF[:, 1:] & low_NTF[:, :-1]).double()
    speed = torch.diff(feet_NTF3[..., ::2], dim=1).norm(dim=-1).double() * frame_rate
    sums = [(planted * what).sum((1, 2)) for what in (speed, torch.ones_like(speed), (speed > SKATING_M_S).double())]
    return torch.stack(sums, 1)


def _skating(windows: Descriptors) -> Tensor:
    spec = windows.spec
    return foot_skating(windows.positions_NTJ3, spec.contact_groups, leg_length_m(spec), spec.frame_rate)


def _floors(windows: Descriptors) -> Tensor:
    return floor_heights(windows.positions_NTJ3, windows.spec.contact_groups)


def _foot_heights(windows: Descriptors) -> Tensor:
    return windows.positions_NTJ3[:, :, list(windows.spec.contact_joints), 1]


def _planted(windows: Descriptors, name: str) -> tuple[float, float]:
    """(mean speed of planted steps in m/s, share of them that skate)."""
    leg_length_m(windows.spec)
    speed, steps, skating = windows.per_window(_skating).sum(0).tolist()
    if not steps:
        raise UndefinedError(f"no foot joint of the {name} set stays near its floor for two frames")
    return speed / steps, skating / steps


def _skate(sets: Sets, space: str | None) -> dict[str, float]:
    speed, share = _planted(sets.generated, "generated")
    return {"foot_skate": speed, "foot_skate_share": share}


def _relative_skate(sets: Sets, space: str | None) -> dict[str, float]:
    generated, reference = _planted(sets.generated, "generated")[0], _planted(sets.reference, "reference")[0]
    if not reference > 0:
        raise UndefinedError("planted feet of the reference do not move at all, so nothing is relative to them")
    return {"foot_skate_relative": generated / reference}


def _floor(sets: Sets, space: str | None) -> dict[str, float]:
    """Below and above the level where feet of the reference rest: the 5th percentile of its windows' floors."""
    spec = sets.reference.spec
    leg_length_m(spec)
    levels_NG = sets.reference.per_window(_floors)
    level_G = levels_NG.kthvalue(1 + int(FLOOR_QUANTILE * (len(levels_NG) - 1)), dim=0).values
    level_F = level_G[[number for number, group in enumerate(spec.contact_groups) for _ in group]]
    depth = (level_F - sets.generated.per_window(_foot_heights)).clamp_min(0)
    rise = (sets.generated.per_window(_floors) - level_G).clamp_min(0)
    return {
        "floor_penetration": float(depth.mean(dtype=torch.float64)),
        "floor_floating": float(rise.mean(dtype=torch.float64)),
    }


Compute = Callable[[Sets, str | None], Mapping[str, float]]
_PLANTED: Final = f"joints within {PLANTED_LEG_LENGTHS:g} leg lengths of the window's floor for two frames"


def _measure(compute: Compute, *metrics: Metric) -> Measure:
    return Measure(metrics, compute, resample="takes", needs=("feet",))


MEASURES: Final = (
    _measure(
        _skate,
        Metric(
            "foot_skate",
            "fidelity",
            "m/s",
            "lower",
            f"Mean horizontal speed of planted foot joints of the generated set: {_PLANTED}. Real motion skates too.",
            "Zhang et al. 2018; Karunratanakul et al. 2023",
        ),
        Metric(
            "foot_skate_share",
            "fidelity",
            "1",
            "lower",
            f"Share of the steps of planted foot joints that are faster than {SKATING_M_S:g} m/s.",
            "Karunratanakul et al. 2023",
            bounds=SHARE,
        ),
    ),
    _measure(
        _relative_skate,
        Metric(
            "foot_skate_relative",
            "fidelity",
            "1",
            "match",
            "Mean horizontal speed of planted foot joints, generated over reference.",
            "this package",
            ideal=1.0,
        ),
    ),
    _measure(
        _floor,
        Metric(
            "floor_penetration",
            "fidelity",
            "m",
            "lower",
            "Mean over frames and foot joints of the depth below the height where such joints of the reference rest "
            "(5th percentile over its windows of the 5th percentile in a window).",
            "this package",
        ),
        Metric(
            "floor_floating",
            "fidelity",
            "m",
            "lower",
            "Mean over windows of the height of their own floor (5th percentile of foot joints' heights) above the one "
            "of the reference.",
            "this package",
        ),
    ),
)
