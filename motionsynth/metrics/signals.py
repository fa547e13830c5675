"""The signals that smoothness is measured on: world positions of the joints that move, and their velocities.

Shapes: N windows, T frames, J joints.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Sets

__all__ = ["band_limit", "common_limit_hz", "in_parts", "joint_velocities", "velocity_channels"]

_WINDOWS = 1024
"""Windows worked on at a time: what is held beside the result stays small."""


def joint_velocities(positions_NTJ3: Tensor, rate_hz: float) -> Tensor:
    """Forward differences ``(x[t + 1] - x[t]) * rate``.

    Args:
        positions_NTJ3: (N, T, J, 3) metres.
        rate_hz: frames a second.

    Returns:
        (N, T - 1, J, 3) m/s.
    """
    return positions_NTJ3.diff(dim=1) * rate_hz


def velocity_channels(positions_NTJ3: Tensor, rate_hz: float) -> Tensor:
    """The velocities as signals over time: (N, 3 J, T - 1) m/s, the three coordinates of a joint side by side."""
    return joint_velocities(positions_NTJ3, rate_hz).flatten(2).transpose(1, 2)


def band_limit(positions_NTJ3: Tensor, rate_hz: float, limit_hz: float) -> Tensor:
    """Keep what lies below a frequency: the cosine series of each window (DCT-II) without its terms at or above it.

    Args:
        positions_NTJ3: (N, T, J, 3) metres.
        rate_hz: frames a second.
        limit_hz: lowest frequency taken away; from half the frame rate on nothing is.

    Returns:
        (N, T, J, 3) metres.
    """
    if limit_hz >= rate_hz / 2:
        return positions_NTJ3
    frames = positions_NTJ3.shape[1]
    kept = max(1, math.ceil(limit_hz * 2 * frames / rate_hz))  # term k swings k / 2 times in T frames
    phase = torch.outer(torch.arange(kept).double(), torch.arange(frames) + 0.5) * math.pi / frames
    basis = phase.cos() * math.sqrt(2 / frames)
    basis[0] /= math.sqrt(2)
    return torch.einsum("st,ntjc->nsjc", (basis.T @ basis).to(positions_NTJ3), positions_NTJ3)


def common_limit_hz(sets: Sets) -> float:
    """The frequency below which two sets can be compared: the lower of their Nyquist frequencies.

    Raises:
        ValueError: the sets differ in frame rate, length of windows or joints: they were not encoded by the same path.
    """
    a, b = sets.generated, sets.reference
    kinds = [(s.spec.frame_rate, s.motion_NTD.shape[1], s.moving_joints) for s in (a, b)]
    if kinds[0] != kinds[1]:
        raise ValueError("the sets differ in frame rate, length of windows or joints")
    return min(a.nyquist_hz, b.nyquist_hz, a.spec.frame_rate / 2)


def in_parts(windows: Descriptors, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function to the world positions (n, T, J, 3) of the moving joints, some windows at a time."""
    joints = windows.moving_joints
    return torch.cat([compute(part[:, :, joints]) for part in torch.split(windows.positions_NTJ3, _WINDOWS)])
