"""The walkers' body: a skeleton of 22 joints, and a pose that is turned into joint rotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import EndSite, FloatArray, Skeleton

__all__ = [
    "ANKLE",
    "FRAME_RATE",
    "HIP_JOINT",
    "LEG_LENGTH",
    "SKELETON",
    "TOE_HEIGHT",
    "UPPER",
    "Pose",
    "about",
    "reachable_height",
    "to_clip",
]

FRAME_RATE: Final = 30.0
TOE_HEIGHT: Final = 3.0
"""Height in centimetres of the toe joint of a foot on the floor, the same at every moment."""
_THIGH, _SHANK = 42.0, 41.0
LEG_LENGTH: Final = _THIGH + _SHANK
HIP_JOINT: Final = np.array([[9.0, -2.0, 0.0], [-9.0, -2.0, 0.0]])
"""(2, 3) left and right hip joint in the pelvis' frame."""
ANKLE: Final = np.array([0.0, 6.0, -13.0])
"""The ankle seen from the toe joint, in the foot's frame."""

_ARM = (("Shoulder", (2.5, 10.0, 1.0)), ("UpperArm", (14.0, 0.0, -1.0)), ("LowerArm", (27.0, 0.0, 0.0)))
_TRUNK = (
    ("Spine", 0, (0.0, 9.0, -1.0)),
    ("Chest", 1, (0.0, 12.0, 0.0)),
    ("UpperChest", 2, (0.0, 12.0, 0.0)),
    ("Neck", 3, (0.0, 14.0, 0.0)),
    ("Head", 4, (0.0, 9.0, 1.5)),
)


def _build_skeleton() -> Skeleton:
    names, parents, offsets, ends = ["Hips"], [-1], [(0.0, 0.0, 0.0)], []

    def add(name: str, parent: int, offset: tuple[float, float, float]) -> int:
        names.append(name)
        parents.append(parent)
        offsets.append(offset)
        return len(names) - 1

    for name, parent, offset in _TRUNK:
        add(name, parent, offset)
    ends.append(EndSite(5, (0.0, 17.0, 1.0)))
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        joint = 3
        for name, (x, y, z) in (*_ARM, ("Hand", (25.0, 0.0, 0.0))):
            joint = add(side + name, joint, (sign * x, y, z))
        ends.append(EndSite(joint, (sign * 16.0, 0.0, 0.0)))
    for side, hip in zip(("Left", "Right"), HIP_JOINT, strict=True):
        joint = add(side + "UpperLeg", 0, (float(hip[0]), float(hip[1]), float(hip[2])))
        joint = add(side + "LowerLeg", joint, (0.0, -_THIGH, 0.0))
        joint = add(side + "Foot", joint, (0.0, -_SHANK, 0.0))
        joint = add(side + "Toes", joint, (0.0, -float(ANKLE[1]), -float(ANKLE[2])))
        ends.append(EndSite(joint, (0.0, -1.5, 6.5)))
    turns = ("Zrotation", "Xrotation", "Yrotation")
    moves = ("Xposition", "Yposition", "Zposition")
    channels = (moves + turns, *(turns for _ in names[1:]))
    return Skeleton(tuple(names), tuple(parents), np.array(offsets), channels, tuple(ends))


SKELETON: Final = _build_skeleton()
"""22 joints in centimetres, y up, T-pose facing +z with the left side at +x, 1.7 m tall."""

UPPER: Final = tuple(
    SKELETON.names.index(name)
    for name in (
        *(name for name, _, _ in _TRUNK),
        *(side + part for side in ("Left", "Right") for part in ("Shoulder", "UpperArm", "LowerArm", "Hand")),
    )
)
"""The thirteen joints that :attr:`Pose.upper` turns, in its order."""
_LEGS = tuple(SKELETON.names.index(side + "UpperLeg") for side in ("Left", "Right"))
_ARMS = [SKELETON.names.index(side + "UpperArm") for side in ("Left", "Right")]


@dataclass
class Pose:
    """A performance in the coordinates that a walker thinks in: T frames, sides left then right.

    Args:
        pelvis: (T, 3) position of the hips in cm.
        turn: (T, 3) yaw, pitch and roll of the hips in degrees; ``R = R_y(yaw) R_x(pitch) R_z(roll)``.
        upper: (T, 13, 3) degrees about x, y, z of the joints in :data:`UPPER`; ``R = R_z R_x R_y``, but for the upper
            arms, where x is the forward swing, y the inward turn about the bone, z the distance from the side.
        toe: (T, 2, 3) position of the toe joints in cm.
        foot: (T, 2, 3) yaw, pitch and toe bend of the feet in degrees.
    """

    pelvis: FloatArray
    turn: FloatArray
    upper: FloatArray
    toe: FloatArray
    foot: FloatArray


def about(axis: str, degrees: FloatArray) -> FloatArray:
    """Rotation matrices (..., 3, 3) about one axis by (...) degrees."""
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*angle.shape, 3, 3))
    first = "XYZ".index(axis)
    second, third = (first + 1) % 3, (first + 2) % 3
    matrix[..., first, first] = 1.0
    matrix[..., second, second] = matrix[..., third, third] = cosine
    matrix[..., third, second] = sine
    matrix[..., second, third] = -sine
    return matrix


def reachable_height(
    pelvis: FloatArray, turn: FloatArray, toe: FloatArray, foot: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The greatest pelvis height (T, 2) in cm at which each leg still reaches its foot, and the ankles (T, 2, 3)."""
    ankle = toe + (about("Y", foot[..., 0]) @ about("X", foot[..., 1]) @ ANKLE)
    hip = np.einsum("tab,sb->tsa", _pelvis_matrix(turn), HIP_JOINT)
    apart = ankle[..., ::2] - pelvis[:, None, ::2] - hip[..., ::2]
    room = (0.998 * LEG_LENGTH) ** 2 - np.sum(apart**2, axis=-1)
    return ankle[..., 1] + np.sqrt(np.maximum(room, 0.0)) - hip[..., 1], ankle


def to_clip(pose: Pose) -> Clip:
    """Turn a pose into joint rotations, the legs by two-bone inverse kinematics, rounded to a BVH file's six decimals.

    The knee's angle follows from the cosine rule; both bones share the hinge, which is the walker's sideways axis made
    orthogonal to the line from hip to ankle.
    """
    frames = len(pose.pelvis)
    local = np.zeros((frames, len(SKELETON), 3, 3))
    pelvis = _pelvis_matrix(pose.turn)
    local[:, 0] = pelvis
    x, y, z = (pose.upper[..., k] for k in range(3))
    local[:, UPPER] = about("Z", z) @ about("X", x) @ about("Y", y)
    arms = [UPPER.index(joint) for joint in _ARMS]
    side = np.array([1.0, -1.0])
    local[:, _ARMS] = about("X", -x[:, arms]) @ about("Z", side * (z[:, arms] - 90.0)) @ about("X", y[:, arms])
    yaw, foot = about("Y", pose.foot[..., 0]), about("X", pose.foot[..., 1])
    foot = yaw @ foot
    ankle = pose.toe + foot @ ANKLE
    thigh, shank = _leg(pose.pelvis, pelvis, ankle, yaw)
    for s, first in enumerate(_LEGS):
        local[:, first] = _relative(pelvis, thigh[:, s])
        local[:, first + 1] = _relative(thigh[:, s], shank[:, s])
        local[:, first + 2] = _relative(shank[:, s], foot[:, s])
        local[:, first + 3] = about("X", pose.foot[:, s, 2])
    translations = np.repeat(SKELETON.offsets[None], frames, axis=0)
    translations[:, 0] = pose.pelvis
    clip = Clip.from_rotations(SKELETON, 1.0 / FRAME_RATE, local, translations)
    angles = _without_jumps(clip.angles).round(6) + 0.0
    return Clip(SKELETON, 1.0 / FRAME_RATE, angles, translations.round(6) + 0.0)


def _without_jumps(angles: FloatArray) -> FloatArray:
    """The same rotations with Euler angles (T, J, 3) that change little from frame to frame.

    Every rotation has two triples, ``(a, b, c)`` and ``(a + 180, 180 - b, c + 180)``, and turns to spare: each frame
    takes the triple nearer to its predecessor's, for programs that interpolate angles or show their curves.
    """
    other = np.stack([angles[..., 0] + 180.0, 180.0 - angles[..., 1], angles[..., 2] + 180.0], axis=-1)

    def apart(a: FloatArray, b: FloatArray) -> FloatArray:
        turned: FloatArray = np.mod(a - b + 180.0, 360.0) - 180.0
        return np.asarray(np.abs(turned).sum(axis=-1))

    changes = apart(angles[1:], angles[:-1]) > apart(other[1:], angles[:-1])
    swapped = np.zeros(angles.shape[:2], dtype=bool)
    swapped[1:] = np.logical_xor.accumulate(changes, axis=0)
    return np.asarray(np.unwrap(np.where(swapped[..., None], other, angles), axis=0, period=360.0))


def _pelvis_matrix(turn: FloatArray) -> FloatArray:
    yaw, pitch, roll = (turn[..., k] for k in range(3))
    return about("Y", yaw) @ about("X", pitch) @ about("Z", roll)


def _relative(parent: FloatArray, child: FloatArray) -> FloatArray:
    return np.swapaxes(parent, -1, -2) @ child


def _leg(root: FloatArray, pelvis: FloatArray, ankle: FloatArray, yaw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """World rotations (T, 2, 3, 3) of thighs and shanks whose feet are at ``ankle`` (T, 2, 3)."""
    hip = root[:, None] + np.einsum("tab,sb->tsa", pelvis, HIP_JOINT)
    line = ankle - hip
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    if float(distance.max()) >= LEG_LENGTH:
        raise ValueError("the pose asks a leg to reach farther than it is long")
    down = line / distance
    sideways = pelvis[:, None, :, 0] + yaw[..., 0]
    hinge = _unit(sideways - np.sum(sideways * down, axis=-1, keepdims=True) * down)
    front = np.cross(hinge, -down)
    cosine = (_THIGH**2 + distance**2 - _SHANK**2) / (2.0 * _THIGH * distance)
    knee = _THIGH * (cosine * down + np.sqrt(1.0 - np.minimum(cosine, 1.0) ** 2) * front)
    return _bone(knee, hinge), _bone(line - knee, hinge)


def _bone(along: FloatArray, hinge: FloatArray) -> FloatArray:
    up = -_unit(along)
    return np.stack([hinge, up, np.cross(hinge, up)], axis=-1)


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))
