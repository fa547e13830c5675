"""Positions of the joints, straight from feature rows: batched, on any device, without files or Euler angles.

Shapes: N windows, T frames, J joints, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.kinematics import joint_positions
from motionsynth.motion.rotations import matrices_from_6d

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["headings", "joint_positions_m", "joint_rotations", "turn"]

_WINDOWS = 2048
"""Windows decoded at a time: what is held beside the result stays small."""


def joint_positions_m(features_NTD: Tensor, spec: FeatureSpec) -> Tensor:
    """Find the world positions of all joints: of a clip that starts at the origin and faces +Z, as ``decode`` has it.

    Args:
        features_NTD: (N, T, D) features in physical units, float32 or float64, finite.
        spec: what a row holds.

    Returns:
        (N, T, J, 3) metres, y up.

    Raises:
        ValueError: the shape is not (N, T, D).
    """
    import torch

    if features_NTD.ndim != 3 or features_NTD.shape[-1] != spec.width or not features_NTD.shape[1]:
        raise ValueError(f"features must have shape (N, T, {spec.width}), not {tuple(features_NTD.shape)}")
    parts = [_positions(part, spec) for part in torch.split(features_NTD, _WINDOWS)]
    return torch.cat(parts) if parts else features_NTD.new_zeros(0, features_NTD.shape[1], len(spec.names), 3)


def joint_rotations(features_NTD: Tensor, spec: FeatureSpec) -> Tensor:
    """Local rotation matrices of the moving joint, its heading taken off, and of the joints below it.

    Args:
        features_NTD: (N, T, D) features in physical units.
        spec: what a row holds.

    Returns:
        (N, T, 1 + len(spec.joints_below), 3, 3) in the order ``(moving_joint, *joints_below)``.
    """
    import torch

    parts = [features_NTD[..., spec.slices["root_rotation_6d"]]]
    if spec.joints_below:
        parts.append(features_NTD[..., spec.slices["joint_rotations_6d"]])
    return matrices_from_6d(torch.cat(parts, -1).reshape(*features_NTD.shape[:-1], -1, 6))


def _positions(features_NTD: Tensor, spec: FeatureSpec) -> Tensor:
    """Kinematics in the heading frame of each frame with the moving joint at the origin; then turn and travel."""
    import torch

    windows, frames, _ = features_NTD.shape
    rotations = torch.eye(3).to(features_NTD).expand(windows, frames, len(spec.names), 3, 3).clone()
    rotations[:, :, [spec.moving_joint, *spec.joints_below]] = joint_rotations(features_NTD, spec)
    rest_m = torch.as_tensor(spec.rest_array * spec.metres_per_unit).to(features_NTD)
    local = joint_positions(rotations, rest_m, spec.parents)
    planar = features_NTD[..., spec.slices["root_velocity_m_s"]]
    velocity = torch.stack((planar[..., 0], torch.zeros_like(planar[..., 0]), planar[..., 1]), -1)[..., None, :]
    heading_NT = headings(features_NTD, spec)
    root = _sum_up(turn(velocity, heading_NT) * (1.0 / spec.frame_rate))
    root[..., 0, 1] = features_NTD[..., spec.slices["root_height_m"]][..., 0]
    return turn(local, heading_NT) + root


def headings(features_NTD: Tensor, spec: FeatureSpec) -> Tensor:
    """(N, T) radians from the first frame's heading: what the yaw velocities add up to."""
    return _sum_up(features_NTD[..., spec.slices["root_yaw_velocity_rad_s"]] * (1.0 / spec.frame_rate))[..., 0]


def turn(vectors_NTC3: Tensor, angle_NT: Tensor) -> Tensor:
    """Turn (N, T, C, 3) vectors about +Y by (N, T) radians."""
    import torch

    cosine, sine = angle_NT.cos()[..., None], angle_NT.sin()[..., None]
    x, y, z = vectors_NTC3.unbind(-1)
    return torch.stack((cosine * x + sine * z, y, cosine * z - sine * x), -1)


def _sum_up(steps_NTC: Tensor) -> Tensor:
    """Sum forward differences from zero; the last step is not taken. Differentiable."""
    import torch

    return torch.cat((torch.zeros_like(steps_NTC[:, :1]), steps_NTC[:, :-1].cumsum(1)), 1)
