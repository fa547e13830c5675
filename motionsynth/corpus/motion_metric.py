"""Weights of errors in a window, by how far they move joints and feet, and how fast.

Shapes: N windows, T frames, D features, F = T modes over time (``basis.free_modes``), J joints, P poses.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.windows import WindowSet
from motionsynth.features.geometry import joint_positions_m
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec

__all__ = ["MotionMetric", "bin_hz"]

_POSES: Final = 512
"""Training poses that the metric is averaged over."""
_FLOOR: Final = 1e-3
"""Smallest weight of a feature, as a share of the largest: what moves no joint is not worth a component."""


class MotionMetric(NamedTuple):
    """Squared error of a window, in square metres: ``joints |dp|^2 + feet |dp_feet|^2``, and as much of velocities.

    ``p`` are positions of joints relative to where the root should be; each term is a mean over joints.
    """

    joints: float = 1.0
    """Weight of the mean over all joints."""
    feet: float = 3.0
    """Weight of the mean over the foot joints."""
    velocities: float = 0.08
    """Seconds that a velocity is multiplied by to count as a distance: positions count more below 2 Hz."""

    def weights(self, spec: FeatureSpec, normaliser: Normaliser, windows: WindowSet) -> Tensor:
        """Find how much one unit of each feature at each frequency counts.

        With ``a`` the root mean square over joints and poses of ``|dp / dx|``, found by differentiating the forward
        kinematics, and f the frequency of the bin:

            w^2 = (joints a_joints^2 + feet a_feet^2) (1 + (2 pi f velocities)^2)

        The root's velocities move joints by what they add up to: by ``1 / (2 pi f)`` of themselves.

        Args:
            spec: what a row holds.
            normaliser: of the features.
            windows: of training, whole and normalised.

        Returns:
            (F, D) float32, in metres.
        """
        frames = windows.frames
        rate = 2 * math.pi * bin_hz(frames, spec.frame_rate).clamp(min=spec.frame_rate / (4 * frames))
        count = len(windows) * frames
        pose_P = torch.arange(0, count, max(1, count // _POSES))
        poses_PD = windows.rows_FD.cpu()[windows.row_N.cpu()[pose_P // frames] + pose_P % frames]
        effect_2D, radius_2 = _effects(spec, normaliser, poses_PD)
        effect_2FD = effect_2D[:, None].repeat(1, frames, 1)
        planar, yaw = spec.slices["root_velocity_m_s"], spec.slices["root_yaw_velocity_rad_s"]
        effect_2FD[:, :, planar] = normaliser.scale_D[planar] / rate[:, None]
        effect_2FD[:, :, yaw] = radius_2[:, None, None] * normaliser.scale_D[yaw] / rate[:, None]
        squared_FD = self.joints * effect_2FD[0].square() + self.feet * effect_2FD[1].square()
        weight_FD = (squared_FD * (1 + (rate[:, None] * self.velocities).square())).sqrt()
        weight_FD[:, normaliser.constant_D] = 0.0
        return weight_FD.clamp(min=float(weight_FD.max()) * _FLOOR)


def bin_hz(frames: int, frame_rate: float) -> Tensor:
    """(F,) frequencies of the modes over time: k half waves in T frames, ``k rate / (2 T)``."""
    return torch.arange(frames) * (frame_rate / (2 * frames))


def _effects(spec: FeatureSpec, normaliser: Normaliser, poses_PD: Tensor) -> tuple[Tensor, Tensor]:
    """Find how far one unit of each normalised feature moves joints, and how far from the root these are.

    Args:
        spec: what a row holds.
        normaliser: of the features.
        poses_PD: normalised poses.

    Returns:
        (2, D) metres and (2,) metres: root mean squares over poses and over all joints, and over the foot joints.
    """
    poses_P1D = poses_PD[:, None].clone().requires_grad_()
    positions_PJ3 = joint_positions_m(normaliser.denormalise(poses_P1D), spec)[:, 0]
    moving = [spec.moving_joint, *spec.joints_below]
    groups = (moving, list(spec.contact_joints) or moving)
    squared_JD = torch.zeros(len(spec.names), poses_PD.shape[1])
    for joint in moving:
        for axis in range(3):
            (slope_P1D,) = torch.autograd.grad(positions_PJ3[:, joint, axis].sum(), poses_P1D, retain_graph=True)
            squared_JD[joint] += slope_P1D[:, 0].square().mean(0)
    away_PJ3 = (positions_PJ3 - positions_PJ3[:, [spec.moving_joint]]).detach()
    away_J = away_PJ3[..., ::2].square().sum(2).mean(0)
    effect_2D = torch.stack([squared_JD[joints].mean(0).sqrt() for joints in groups])
    return effect_2D, torch.stack([away_J[joints].mean().sqrt() for joints in groups])
