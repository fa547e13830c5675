"""Kinetic features: how fast and how jerkily each joint of a window moves, and nothing of where it is.

Shapes: N windows, T frames, J joints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ACCELERATION_M_S2", "SPEED_M_S", "joint_kinetics", "kinetic_features"]

SPEED_M_S: Final = 0.1
"""Speed at which :func:`kinetic_features` turns logarithmic: about that of a planted foot."""
ACCELERATION_M_S2: Final = 1.0
"""The same for accelerations."""

_WINDOWS: Final = 1024
"""Windows differentiated at a time: what is held beside the result stays small."""


def joint_kinetics(positions_NTJ3: Tensor, frame_rate: float) -> Tensor:
    """Mean squared horizontal speed, mean squared vertical speed and mean size of the acceleration, by joint.

    With f the frame rate and central differences over the T - 2 inner frames:

        v_t = (x_{t+1} - x_{t-1}) f / 2,    a_t = (x_{t+1} - 2 x_t + x_{t-1}) f^2
        features of a joint: mean_t(v_x^2 + v_z^2), mean_t(v_y^2), mean_t |a|

    All three are of differences, so they know nothing of where the motion is, nor of its heading; those published as
    "kinetic features" of AIST++ divide only one of the two positions by the time step, so a joint that stands still far
    from the origin has an acceleration there.

    References:
        Onuma, Faloutsos & Hodgins, FMDistance: A Fast and Effective Distance Function for Motion Capture Data, 2008.

    Args:
        positions_NTJ3: (N, T, J, 3) world positions in metres, y up, T at least 3.
        frame_rate: frames a second.

    Returns:
        (N, J, 3) of the type of the positions: (m/s)^2, (m/s)^2 and m/s^2; exactly 0 where a joint stands still.

    Raises:
        ValueError: the shape is not (N, T, J, 3) with T at least 3, or the frame rate is not positive.
    """
    import torch

    if positions_NTJ3.ndim != 4 or positions_NTJ3.shape[-1] != 3 or positions_NTJ3.shape[1] < 3:
        raise ValueError(f"positions must be (N, T, J, 3) with T at least 3, not {tuple(positions_NTJ3.shape)}")
    if not frame_rate > 0:
        raise ValueError(f"a frame rate of {frame_rate} is not positive")
    parts = []
    for x in torch.split(positions_NTJ3, _WINDOWS):
        v = (x[:, 2:] - x[:, :-2]) * (frame_rate / 2)
        a = torch.diff(x, n=2, dim=1) * frame_rate**2
        squared = v.square().mean(1)
        parts.append(torch.stack((squared[..., 0] + squared[..., 2], squared[..., 1], a.norm(dim=-1).mean(1)), -1))
    return torch.cat(parts)


def kinetic_features(positions_NTJ3: Tensor, frame_rate: float) -> Tensor:
    """Compress :func:`joint_kinetics` to a feature space where slow and fast windows are comparably far apart.

        log(1 + sqrt(mean_t(v_x^2 + v_z^2)) / 0.1 m/s), the same of v_y, log(1 + mean_t |a| / 1 m/s^2)

    Speeds and accelerations of real motion span three decades with a long tail: uncompressed, a few running windows are
    all that a covariance sees. Above its unit each number is a logarithm, so halving every speed moves every window
    equally far; below it is linear, so a joint that stands still is at 0 and not at minus infinity.

    Args:
        positions_NTJ3: (N, T, J, 3) world positions in metres, y up, T at least 3; give the joints that move.
        frame_rate: frames a second.

    Returns:
        (N, 3 J), joint by joint; exactly 0 for a window that stands still, wherever it stands.

    Raises:
        ValueError: as :func:`joint_kinetics`.
    """
    import torch

    kinetics_NJ3 = joint_kinetics(positions_NTJ3, frame_rate)
    speeds = kinetics_NJ3[..., :2].sqrt() / SPEED_M_S
    return torch.cat((speeds, kinetics_NJ3[..., 2:] / ACCELERATION_M_S2), -1).log1p().flatten(1)
