"""From a clip to feature rows and back.

With h_t the heading, W_t and p_t the world rotation and position of the moving joint, f the frame rate and Y(a) a turn
about +Y:

    root_rotation_t = Y(-h_t) W_t
    root_velocity_t = planar(Y(-h_t) (p_{t+1} - p_t)) f
    root_yaw_velocity_t = wrap(h_{t+1} - h_t) f

The last frame repeats the velocities of the one before. Decoding sums them up again, so the two are inverses but for
where the clip starts and which way it faces.

Shapes: N clips, T frames, J joints, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.rotations import matrices_from_6d, matrices_to_angles, unwrap_angles
from motionsynth.motion.skeleton import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FEATURES_VERSION", "decode", "decode_batch", "encode", "encode_array", "local_transforms"]

FEATURES_VERSION: Final = 1
"""Raised whenever the same clip would give other features, beyond rounding."""
CONTACT_HEIGHT_M: Final = 0.02
"""A foot joint this much above the floor still rests on it: motion capture locks toes to a plateau, not to zero."""
CONTACT_SPEED_M_S: Final = 0.4
"""A foot joint faster than this is swinging; planted feet of real data drift at 0.06-0.08 m/s."""
FLOOR_PERCENTILE: Final = 5.0
"""Percentile of a foot joint's heights in a clip: robust against the odd frame below the floor."""
_RATE_TOLERANCE: Final = 1e-4


def encode(clip: Clip, spec: FeatureSpec) -> Tensor:
    """Turn a clip into feature rows; invariant to where the clip starts and which way it faces.

    Args:
        clip: T >= 2 frames at the spec's frame rate, y up, the spec's joints.
        spec: what a row holds.

    Returns:
        (T, D) float32, computed in float64; metres, seconds, radians.

    Raises:
        ValueError: the clip's joints or frame rate are not the spec's, it has fewer than two frames, or its numbers go
            beyond float32.
    """
    import torch

    return torch.from_numpy(encode_array(clip, spec))


def encode_array(clip: Clip, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    """:func:`encode` in numpy, so that processes that only read files need no torch."""
    if clip.skeleton.names != spec.names or clip.skeleton.parents != spec.parents:
        raise ValueError("the clip's joints are not those of the features")
    if abs(clip.frame_rate / spec.frame_rate - 1.0) > _RATE_TOLERANCE:
        raise ValueError(f"the clip has {clip.frame_rate:.6g} frames a second, the features {spec.frame_rate:.6g}")
    if len(clip) < 2:
        raise ValueError(f"{len(clip)} frame(s): at least 2 are needed for velocities")
    rotations = clip.rotations()
    positions, globals_ = world_transforms(rotations, clip.translations, spec.parents)
    positions *= spec.metres_per_unit
    world = globals_[:, spec.moving_joint]
    heading = np.arctan2(world[:, 0, spec.heading_axis], world[:, 2, spec.heading_axis])
    moved = _forward_difference(positions) * spec.frame_rate
    turned = _forward_difference(np.unwrap(heading)) * spec.frame_rate
    below = list(spec.joints_below)
    parts = {
        "root_height_m": positions[:, spec.moving_joint, 1:2],
        "root_velocity_m_s": _turn(moved[:, spec.moving_joint], -heading)[:, ::2],
        "root_yaw_velocity_rad_s": turned[:, None],
        "root_rotation_6d": _six(_turn(world, -heading)),
        "joint_rotations_6d": _six(rotations[:, below]),
        "joint_velocities_m_s": _turn(moved[:, below].swapaxes(1, 2), -heading).swapaxes(1, 2),
        "foot_contacts": _contacts(positions, moved, spec),
    }
    exact_TD = np.empty((len(clip), spec.width))
    for name, columns in spec.slices.items():
        exact_TD[:, columns] = parts[name].reshape(len(clip), -1)
    fits_D = (np.abs(exact_TD) <= np.finfo(np.float32).max).all(axis=0)
    if not fits_D.all():
        raise ValueError(f"its numbers are too large: {spec.columns()[int(np.argmin(fits_D))]} goes beyond float32")
    return exact_TD.astype(np.float32)


def decode(features_TD: Tensor, spec: FeatureSpec) -> Clip:
    """Turn feature rows into a clip that starts at the origin with heading zero.

    Args:
        features_TD: (T, D) features, denormalised, T >= 1; any floating type, computed in float64.
        spec: what a row holds.

    Returns:
        A clip on ``spec.skeleton()`` in the file's unit of length.

    Raises:
        ValueError: the shape is not (T, D), or a number is not finite.
    """
    return decode_batch(features_TD[None], spec)[0]


def decode_batch(features_NTD: Tensor, spec: FeatureSpec) -> list[Clip]:
    """Decode N windows of one length at once; see :func:`decode`."""
    rotations, translations = local_transforms(features_NTD, spec)
    angles = unwrap_angles(matrices_to_angles(rotations, spec.orders), spec.orders)
    skeleton = spec.skeleton()
    return [Clip(skeleton, 1.0 / spec.frame_rate, *arrays) for arrays in zip(angles, translations, strict=True)]


def local_transforms(features_NTD: Tensor, spec: FeatureSpec) -> tuple[FloatArray, FloatArray]:
    """Local rotation matrices and positions of the joints of :func:`decode_batch`'s clips, without Euler angles.

    Args:
        features_NTD: (N, T, D) features, denormalised, T >= 1; any floating type, computed in float64.
        spec: what a row holds.

    Returns:
        (N, T, J, 3, 3) and (N, T, J, 3) in the file's unit of length.

    Raises:
        ValueError: the shape is not (N, T, D), or a number is not finite.
    """
    import torch

    if features_NTD.ndim != 3 or features_NTD.shape[-1] != spec.width or not features_NTD.shape[1]:
        raise ValueError(f"features must have shape (N, T, {spec.width}), not {tuple(features_NTD.shape)}")
    features = features_NTD.detach().to("cpu", torch.float64)
    if not torch.isfinite(features).all():
        bad = int((~torch.isfinite(features)).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"window {bad} holds numbers that are not finite")
    windows, frames, _ = features.shape
    part = {name: features[..., columns] for name, columns in spec.slices.items()}
    yaw, planar = part["root_yaw_velocity_rad_s"][..., 0].numpy(), part["root_velocity_m_s"].numpy()
    heading = _sum_up(yaw / spec.frame_rate)
    velocity = _turn(np.stack([planar[..., 0], np.zeros_like(yaw), planar[..., 1]], -1), heading)
    root_m = _sum_up(velocity / spec.frame_rate)
    root_m[..., 1] = part["root_height_m"][..., 0].numpy()
    below = list(spec.joints_below)
    rotations = np.broadcast_to(np.eye(3), (windows, frames, len(spec.names), 3, 3)).copy()
    rotations[:, :, spec.moving_joint] = _turn(matrices_from_6d(part["root_rotation_6d"]).numpy(), heading)
    if below:
        joints_6d = part["joint_rotations_6d"].reshape(windows, frames, len(below), 6)
        rotations[:, :, below] = matrices_from_6d(joints_6d).numpy()
    translations = np.broadcast_to(spec.rest_array, (windows, frames, len(spec.names), 3)).copy()
    translations[:, :, 0] = root_m / spec.metres_per_unit
    return rotations, translations


def _six(matrices: FloatArray) -> FloatArray:
    """The first two rows of each matrix: the form of ``motion.rotations.matrices_to_6d``."""
    return matrices[..., :2, :].reshape(*matrices.shape[:-2], 6)


def _turn(vectors: FloatArray, angle: FloatArray) -> FloatArray:
    """Apply Y(angle) to (..., 3) vectors or from the left to (..., 3, C) matrices, one angle for each."""
    axis = angle.ndim
    shape = (*angle.shape, *[1] * (vectors.ndim - axis - 1))
    c, s = np.cos(angle).reshape(shape), np.sin(angle).reshape(shape)
    x, y, z = np.moveaxis(vectors, axis, 0)
    return np.stack([c * x + s * z, y, c * z - s * x], axis)


def _forward_difference(values: FloatArray) -> FloatArray:
    """Next minus this along the first axis; the last repeats the one before."""
    out = np.empty_like(values)
    np.subtract(values[1:], values[:-1], out=out[:-1])
    out[-1] = out[-2]
    return out


def _sum_up(steps: FloatArray) -> FloatArray:
    """Sum of (N, T, ...) forward differences, from zero; the last step is not taken."""
    out = np.zeros_like(steps)
    np.cumsum(steps[:, :-1], axis=1, out=out[:, 1:])
    return out


def _contacts(positions_m: FloatArray, velocities_m_s: FloatArray, spec: FeatureSpec) -> FloatArray:
    """(T, C) 1 where a foot joint is slow and near the lowest height that its group keeps to, else 0."""
    columns = []
    for group in spec.contact_groups:
        heights = positions_m[:, list(group), 1]
        floor = np.percentile(heights, FLOOR_PERCENTILE, axis=0).min()
        speeds = np.linalg.norm(velocities_m_s[:, list(group)], axis=-1)
        columns.append((heights < floor + CONTACT_HEIGHT_M) & (speeds < CONTACT_SPEED_M_S))
    return np.concatenate([*columns, np.zeros((len(positions_m), 0), dtype=bool)], axis=1).astype(np.float64)
