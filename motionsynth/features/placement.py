"""Place and heading of a clip: features leave them out, and exports put them back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.rotations import matrices_to_angles, unwrap_angles
from motionsynth.motion.transform import Z_UP_TO_Y_UP

__all__ = ["ORIGIN", "Placement", "place", "placement_of"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Place on the ground and heading of the moving joint, with y up.

    Args:
        x, z: in the clip's unit of length.
        heading: radians about +Y, see ``FeatureSpec``.
    """

    x: float
    z: float
    heading: float


ORIGIN = Placement(0.0, 0.0, 0.0)
"""Start of decoded clips."""


def placement_of(clip: Clip, spec: FeatureSpec) -> Placement:
    """Find where the first frame stands and heads.

    Args:
        clip: T >= 1 frames, y up, with the moving joint of the spec.
        spec: which joint moves, and which of its axes tells the heading.

    Raises:
        ValueError: the clip has no such joint.
    """
    names, first = clip.skeleton.names, clip[:1]
    joint = spec.moving_joint if names == spec.names else names.index(spec.names[spec.moving_joint])
    positions, globals_ = world_transforms(first.rotations(), first.translations, clip.skeleton.parents)
    axis = globals_[0, joint, :, spec.heading_axis]
    x, _, z = positions[0, joint].tolist()
    return Placement(x, z, float(np.arctan2(axis[0], axis[2])))


def place(clip: Clip, spec: FeatureSpec, start: Placement = ORIGIN, up: Literal["y", "z"] = "y") -> Clip:
    """Bring a decoded clip to where another starts, and to an up axis.

    The moving joint takes the turn, so that all other joints keep their angles.

    Args:
        clip: what ``decode`` gives: from the origin, heading zero, y up.
        spec: what it was decoded by.
        start: where its first frame is to stand and head, with y up.
        up: axis that is to point up; z by (x, y, z) -> (x, -z, y).
    """
    if start == ORIGIN and up == "y":
        return clip
    c, s = np.cos(start.heading), np.sin(start.heading)
    turn = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    axes = Z_UP_TO_Y_UP.T if up == "z" else np.eye(3)
    moving = [spec.moving_joint]
    orders = (spec.orders[spec.moving_joint],)
    angles, translations = np.array(clip.angles), np.array(clip.translations)
    rotations = axes @ turn @ clip.rotations()[:, moving]
    angles[:, moving] = unwrap_angles(matrices_to_angles(rotations, orders), orders)
    translations[:, 0] = (translations[:, 0] @ turn.T + (start.x, 0.0, start.z)) @ axes.T
    return replace(clip, angles=angles, translations=translations)
