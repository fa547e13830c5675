"""Whole-clip changes of scale and of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import UNITS, up_axis
from motionsynth.motion.rotations import matrices_to_angles, unwrap_angles
from motionsynth.motion.skeleton import EndSite, FloatArray, Skeleton

__all__ = [
    "Z_UP_TO_Y_UP",
    "order_joints",
    "rotation_channel_counts",
    "scale_lengths",
    "to_y_up",
    "turn",
    "unit_metres",
]

Z_UP_TO_Y_UP: FloatArray = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Turns (x, y, z) with z up into (x, z, -y), the same with y up."""


def scale_lengths(clip: Clip, factor: float) -> Clip:
    """Multiply every length by a factor: offsets, translations and end sites; 0.01 turns centimetres into metres."""
    if not (np.isfinite(factor) and factor > 0):
        raise ValueError(f"the factor must be positive and finite, not {factor}")
    skeleton = clip.skeleton
    ends = tuple(_moved(end, factor * np.array(end.offset)) for end in skeleton.end_sites)
    scaled = replace(skeleton, offsets=skeleton.offsets * factor, end_sites=ends)
    return replace(clip, skeleton=scaled, translations=clip.translations * factor)


def unit_metres(unit: str) -> float:
    """Metres in a unit of length; ``ValueError`` where it is unknown."""
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
    return UNITS[unit]


def to_y_up(clip: Clip, up: Literal["y", "z"] | None = None) -> Clip:
    """Turn a clip so that y points up: (x, y, z) -> (x, z, -y) where z did.

    Args:
        clip: any clip.
        up: the axis that points up now; detected where None.

    Raises:
        ValueError: the channels of the root cannot hold the turn.
    """
    up = up_axis(clip) if up is None else up
    if up not in ("y", "z"):
        raise ValueError(f"up must be 'y' or 'z', not {up!r}")
    return clip if up == "y" else turn(clip, Z_UP_TO_Y_UP)


def turn(clip: Clip, rotation: FloatArray) -> Clip:
    """Turn the whole clip about the world's origin: every world position x becomes ``rotation @ x``.

    The root takes the turn; where it has no rotation channels its children do, and so on down.

    Args:
        clip: any clip.
        rotation: (3, 3) rotation matrix.

    Raises:
        ValueError: a joint that must take the turn has one or two rotation channels, or one or two position channels.
    """
    skeleton = clip.skeleton
    counts = rotation_channel_counts(skeleton)
    rotations, translations = clip.rotations(), np.array(clip.translations)
    offsets, ends = np.array(skeleton.offsets), list(skeleton.end_sites)
    passing = {-1}  # joints whose frame keeps the world's axes: what hangs on them is turned itself
    for joint, parent in enumerate(skeleton.parents):
        if parent not in passing:
            continue
        if counts[joint] in (1, 2) or len(skeleton.channels[joint]) - counts[joint] in (1, 2):
            raise ValueError(
                f"joint {skeleton.names[joint]!r} must turn, which its channels {skeleton.channels[joint]} cannot hold"
            )
        translations[:, joint] = translations[:, joint] @ rotation.T
        offsets[joint] = rotation @ offsets[joint]
        if counts[joint] == 3:
            rotations[:, joint] = rotation @ rotations[:, joint]
        else:
            passing.add(joint)
    for number, end in enumerate(ends):
        if end.parent in passing:
            ends[number] = _moved(end, rotation @ np.array(end.offset))
    turned: Skeleton = replace(skeleton, offsets=offsets, end_sites=tuple(ends))
    angles = unwrap_angles(matrices_to_angles(rotations, skeleton.orders), skeleton.orders)
    kept = [joint for joint, parent in enumerate(skeleton.parents) if parent not in passing or joint in passing]
    angles[:, kept] = clip.angles[:, kept]
    return replace(clip, skeleton=turned, angles=angles, translations=translations)


def order_joints(clip: Clip, names: Sequence[str]) -> Clip:
    """List a clip's joints in another order; the clip itself where they have it, or are others, or not all distinct.

    Args:
        clip: any clip.
        names: its joints in the order wanted.
    """
    skeleton = clip.skeleton
    if skeleton.names == tuple(names) or len(set(names)) < len(names) or sorted(names) != sorted(skeleton.names):
        return clip
    order = [skeleton.names.index(name) for name in names]
    parents = tuple(order.index(skeleton.parents[j]) if skeleton.parents[j] >= 0 else -1 for j in order)
    if any(parent >= joint for joint, parent in enumerate(parents)):
        return clip  # another tree of the same joints
    ends = sorted(
        (replace(end, parent=order.index(end.parent)) for end in skeleton.end_sites), key=lambda end: end.parent
    )
    channels = tuple(skeleton.channels[joint] for joint in order)
    ordered = Skeleton(tuple(names), parents, skeleton.offsets[order], channels, tuple(ends))
    return replace(clip, skeleton=ordered, angles=clip.angles[:, order], translations=clip.translations[:, order])


def _moved(end: EndSite, offset: FloatArray) -> EndSite:
    x, y, z = offset.tolist()
    return replace(end, offset=(x, y, z))


def rotation_channel_counts(skeleton: Skeleton) -> tuple[int, ...]:
    """Count each joint's rotation channels."""
    return tuple(sum(channel.endswith("rotation") for channel in channels) for channels in skeleton.channels)
