"""Ranges that joints move in, and lengths that bones keep.

Shapes: N windows, T frames, J joints, R joints that rotate: the moving joint (its heading
taken off) and those below it.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from motionsynth.features.geometry import joint_rotations
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError

__all__ = ["MEASURES", "bone_length_drift_m", "share_outside", "spread_degrees"]

STILL_DEGREES: Final = 1.0
"""A joint that the reference turns by less is not compared: its range is noise."""
LEAST_DEGREES: Final = 0.1
"""A spread counts as that at least, so that a joint frozen by a model has a ratio; float32 knows no smaller ones."""
STILL_RANGE: Final = 0.01
"""The same for a coordinate of the 6-D form: about half a degree."""
OUTSIDE: Final = 0.01
"""Share of the reference outside its own range from the 0.5th to the 99.5th percentile."""
EVERY: Final = 8
"""Frames between the poses that are looked at: neighbours hardly differ."""


def spread_degrees(mean_R33: Tensor) -> Tensor:
    """Spread of rotations around their mean: the angle whose cosine is the mean cosine of their angles to it.

    With M the mean of the matrices and Q the rotation nearest to it (the chordal mean), a rotation's angle to Q has
    ``cos a = (tr(Q^T R) - 1) / 2``, so

        spread = arccos((tr(Q^T M) - 1) / 2),    tr(Q^T M) = s1 + s2 + sign(det M) s3

    with s the singular values of M. For small spreads it is the root mean square angle; it needs no angles of single
    frames, whose logarithms jump.

    References:
        Hartley, Trumpf, Dai & Li, Rotation Averaging, 2013.

    Args:
        mean_R33: (R, 3, 3) mean rotation matrices.

    Returns:
        (R,) degrees from 0 to 180, float64.
    """
    mean_R33 = mean_R33.double()
    values = torch.linalg.svdvals(mean_R33)
    trace = values[:, 0] + values[:, 1] + torch.linalg.det(mean_R33).sign() * values[:, 2]
    return torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).arccos())


def share_outside(generated_MC: Tensor, reference_NC: Tensor) -> float:
    """Share of coordinates outside the range of the reference, from its 0.5th to its 99.5th percentile.

    Args:
        generated_MC: (M, C) poses.
        reference_NC: (N, C) poses.

    Returns:
        About 0.01 for sets of one distribution; less for a narrower one, more for a wider or displaced one.

    Raises:
        UndefinedError: no coordinate of the reference has a range above 0.01.
    """
    columns = reference_NC.T.contiguous()
    beyond = 1 + int(OUTSIDE / 2 * (len(reference_NC) - 1))
    low = columns.topk(beyond, dim=1, largest=False, sorted=False).values.amax(1)
    high = columns.topk(beyond, dim=1, sorted=False).values.amin(1)
    moves = high - low > STILL_RANGE
    if not bool(moves.any()):
        raise UndefinedError("no joint of the reference moves")
    outside = (generated_MC < low) | (generated_MC > high)
    return float(outside[:, moves].double().mean())


def bone_length_drift_m(
    positions_NTJ3: Tensor, rest_m_J3: Tensor, parents: tuple[int, ...], joints: list[int]
) -> Tensor:
    """Mean over frames and bones of ``| |x_j - x_parent(j)| - |rest_j| |``, window by window.

    Args:
        positions_NTJ3: (N, T, J, 3) world positions in metres.
        rest_m_J3: (J, 3) rest positions of joints in their parents' frames, in metres.
        parents: parent of each joint.
        joints: those whose bones are measured, up to their parents.

    Returns:
        (N,) metres, float64; 0 up to rounding for everything that comes out of forward kinematics.
    """
    bones = positions_NTJ3[:, :, joints] - positions_NTJ3[:, :, [parents[joint] for joint in joints]]
    drift: Tensor = (bones.norm(dim=-1) - rest_m_J3[joints].norm(dim=-1)).abs()
    return drift.mean((1, 2), dtype=torch.float64)


def _poses(windows: Descriptors) -> Tensor:
    """(N, T / 8, R, 2, 3) the first two rows of the rotation matrices of every eighth frame: their 6-D form."""
    return joint_rotations(windows.features_NTD[:, ::EVERY], windows.spec)[..., :2, :].clone()


def _mean_rotations(windows: Descriptors) -> Tensor:
    """(N, R, 3, 3)"""
    first, second = windows.per_window(_poses).unbind(-2)
    return torch.stack([row.mean(1) for row in (first, second, torch.linalg.cross(first, second))], -2)


def _drift(windows: Descriptors) -> Tensor:
    spec = windows.spec
    rest_m = torch.as_tensor(spec.rest_array * spec.metres_per_unit).to(windows.positions_NTJ3)
    return bone_length_drift_m(windows.positions_NTJ3, rest_m, spec.parents, list(spec.joints_below))


def _range_of_motion(sets: Sets, space: str | None) -> dict[str, float]:
    generated, reference = (
        spread_degrees(windows.per_window(_mean_rotations).mean(0, dtype=torch.float64))
        for windows in (sets.generated, sets.reference)
    )
    moves = reference > STILL_DEGREES
    if not bool(moves.any()):
        raise UndefinedError(f"no joint of the reference turns by more than {STILL_DEGREES:g} degree")
    ratios = generated[moves].clamp_min(LEAST_DEGREES) / reference[moves]
    return {"range_of_motion": float(ratios.log().mean().exp())}


def _outside(sets: Sets, space: str | None) -> dict[str, float]:
    generated, reference = (
        windows.per_window(_poses).flatten(0, 1).flatten(1) for windows in (sets.generated, sets.reference)
    )
    return {"poses_outside_range": share_outside(generated, reference)}


def _bones(sets: Sets, space: str | None) -> dict[str, float]:
    if not sets.generated.spec.joints_below:
        raise UndefinedError("the skeleton has no bone below the joint that moves")
    return {"bone_length_drift": float(sets.generated.per_window(_drift).mean())}


MEASURES: Final = (
    Measure(
        (
            Metric(
                "range_of_motion",
                "fidelity",
                "1",
                "match",
                "Spread of a joint's rotations about their mean (the angle whose cosine is the mean cosine), generated "
                "over reference; geometric mean over the joints that the reference turns by more than "
                f"{STILL_DEGREES:g} degree.",
                "Hartley et al. 2013 for the mean",
                ideal=1.0,
            ),
        ),
        _range_of_motion,
        resample="takes",
    ),
    Measure(
        (
            Metric(
                "poses_outside_range",
                "fidelity",
                "1",
                "match",
                "Share of coordinates of joint rotations (6-D form) outside the range of the reference from its "
                "0.5th to its 99.5th percentile.",
                "this package",
                ideal=OUTSIDE,
                bounds=SHARE,
            ),
        ),
        _outside,
        resample="takes",
    ),
    Measure(
        (
            Metric(
                "bone_length_drift",
                "fidelity",
                "m",
                "lower",
                "Mean difference of bones from their length at rest; 0 by construction for what comes "
                "out of forward kinematics.",
                "this package",
                ideal=0.0,
            ),
        ),
        _bones,
        resample="takes",
        least=1,
    ),
)
