"""Gestures of a standing walker: raise its hands, kick, bow, squat, or just stand."""

from __future__ import annotations

from typing import Final

import numpy as np

from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.body import ANKLE, HIP_JOINT, LEG_LENGTH, TOE_HEIGHT, UPPER, Pose, about
from motionsynth.walkers.cells import WalkerParameters
from motionsynth.walkers.gait import carry_trunk, glide, hermite, upright

__all__ = ["kick_leg", "kicking", "standing_pose", "stops"]

_SIDES: Final = np.array([1.0, -1.0])
_WIND_UP: Final = 0.28
_RETURN: Final = 0.55


def stops(p: WalkerParameters) -> FloatArray:
    """Seconds at which a gesture ends in a jerk: arms arriving, a leg at full stretch, a foot back on the floor."""
    if p.content == "kick":
        extended = p.onset + _WIND_UP + p.rise
        return np.array([extended, extended + p.hold + _RETURN])
    if p.content == "squat":
        return (np.arange(-1.0, p.recorded / 30.0 * p.cadence + 1.0) + 0.5 - p.phase) / p.cadence
    if p.reach:
        return np.array([p.onset + p.rise, p.onset + 2.2 * p.rise + p.hold])
    return np.array([])


def kicking(p: WalkerParameters, time: FloatArray) -> FloatArray:
    """By how much (T,) the right foot has left its place on the floor: 0 planted, 1 free."""
    if p.content != "kick":
        return np.zeros_like(time)
    end = p.onset + _WIND_UP + p.rise + p.hold + _RETURN
    return np.minimum(glide((time - p.onset) / 0.25), glide((end - time) / 0.3))


def standing_pose(p: WalkerParameters, time: FloatArray) -> tuple[Pose, FloatArray]:
    """The pose of a standing walker before its pelvis is settled, and by how much each foot is free (T, 2)."""
    frames = len(time)
    size = _progress(p, time)
    cycle = 2.0 * np.pi * (p.phase + p.cadence * time)
    frame = about("Y", np.array(p.heading))
    start = np.array([p.start_x, 0.0, p.start_z])
    toe, foot = np.zeros((frames, 2, 3)), np.zeros((frames, 2, 3))
    for s, side in enumerate(_SIDES):
        toe[:, s] = start + frame @ np.array([0.5 * side * p.step_width, TOE_HEIGHT, 8.0])
        foot[:, s, 0] = p.heading + 8.0 * side
    upper = np.zeros((frames, len(UPPER), 3))
    offset, turn = np.zeros((frames, 3)), np.zeros((frames, 3))
    offset[:, 0] = p.sway * np.sin(cycle)
    offset[:, 1] = upright(p)
    offset[:, 2] = 0.3 * p.sway * np.sin(0.73 * cycle + 1.0)
    turn[:] = np.stack([p.heading + 0.8 * np.sin(0.6 * cycle), np.full(frames, p.lean), -0.5 * np.sin(cycle)], -1)
    carry_trunk(upper, p, pitch=turn[:, 1], yaw=0.8 * np.sin(0.6 * cycle), roll=0.9 * p.sway * np.sin(cycle))
    upper[:, 2, 0] += 0.8 * np.sin(2.0 * np.pi * (0.28 * time + p.phase))  # breath
    for arm, side in enumerate(_SIDES):
        first = 5 + 4 * arm
        upper[:, first + 1, 0] = p.lean + p.stoop - 0.3 * p.elbow + 0.4 * p.sway * np.sin(cycle + 0.5)
        upper[:, first + 1, 1] = 0.35 * p.elbow
        upper[:, first + 1, 2] = p.abduction
        upper[:, first + 2, 1] = -side * p.elbow
    _GESTURES[p.content](p, size, offset, turn, upper)
    pelvis = start + offset @ frame.T
    free = np.stack([np.zeros(frames), kicking(p, time)], axis=-1)
    return Pose(pelvis, turn, upper, toe, foot), free


def kick_leg(p: WalkerParameters, time: FloatArray, pose: Pose) -> None:
    """Swing the right leg from the settled hip: back with a bent knee, forward to ``reach`` degrees, and down again."""
    weight = kicking(p, time)
    knots = np.cumsum([p.onset, _WIND_UP, p.rise, p.hold, 0.7 * _RETURN, 0.3 * _RETURN])
    flat = np.zeros(6)
    angle = hermite(time, knots, np.array([0.0, -32.0, p.reach, 0.97 * p.reach, 8.0, 4.0]), flat)
    stretch = hermite(time, knots, np.array([0.95, 0.74, 0.99, 0.98, 0.88, 0.95]), flat)
    hip = pose.pelvis + _turned(pose.turn) @ HIP_JOINT[1]
    lifted = np.radians(angle)
    line = np.stack([np.zeros_like(angle), -np.cos(lifted), np.sin(lifted)], axis=-1) * (stretch * LEG_LENGTH)[:, None]
    ankle = hip + line @ about("Y", np.array(p.heading)).T
    pitch = weight * (25.0 - angle)
    yaw = pose.foot[:, 1, 0]
    toe = ankle - np.einsum("tab,b->ta", about("Y", yaw) @ about("X", pitch), ANKLE)
    pose.toe[:, 1] += weight[:, None] * (toe - pose.toe[:, 1])
    pose.foot[:, 1, 1] = pitch


def _progress(p: WalkerParameters, time: FloatArray) -> FloatArray:
    """Progress (T,) of the gesture: 0 at rest, 1 at its peak."""
    if p.content == "squat":
        return 0.5 - 0.5 * np.cos(2.0 * np.pi * (p.phase + p.cadence * time))
    if not p.reach:
        return np.zeros_like(time)
    if p.content == "kick":
        return kicking(p, time)
    back = p.onset + p.rise + p.hold
    return glide((time - p.onset) / p.rise) - glide((time - back) / (1.2 * p.rise))


def _idle(p: WalkerParameters, size: FloatArray, offset: FloatArray, turn: FloatArray, upper: FloatArray) -> None:
    """Standing and swaying is all there is."""


def _raise(p: WalkerParameters, size: FloatArray, offset: FloatArray, turn: FloatArray, upper: FloatArray) -> None:
    offset[:, 1] += 0.5 * p.crouch * size
    upper[:, 0:3, 0] -= 2.0 * size[:, None]
    upper[:, 4, 0] -= 6.0 * size
    for arm, side in enumerate(_SIDES):
        first = 5 + 4 * arm
        upper[:, first, 2] += side * 0.1 * p.reach * size
        upper[:, first + 1, 0] *= 1.0 - size
        upper[:, first + 1, 2] += 0.9 * p.reach * size - p.abduction * size
        upper[:, first + 2, 1] += -side * 20.0 * size * (1.0 - 0.6 * size)


def _kick(p: WalkerParameters, size: FloatArray, offset: FloatArray, turn: FloatArray, upper: FloatArray) -> None:
    time = np.arange(len(size)) / 30.0
    over = np.minimum(glide(time / (p.onset + 0.15)), glide((p.onset + _WIND_UP + p.rise + p.hold + 1.3 - time) / 0.9))
    offset[:, 0] += (0.42 * p.step_width - p.sway) * over
    forward = glide((time - p.onset - _WIND_UP) / p.rise) * size
    offset[:, 2] += 4.0 * forward - 3.0 * size
    turn[:, 0] += (-10.0 * (size - forward) + 14.0 * forward) * 0.8
    turn[:, 1] += 8.0 * (size - forward) - 0.2 * p.reach * forward
    upper[:, 0:3, 0] += (0.08 * p.reach * forward)[:, None]
    upper[:, 0:3, 1] -= (5.0 * forward - 4.0 * (size - forward))[:, None]
    for arm, side in enumerate(_SIDES):
        first = 5 + 4 * arm
        upper[:, first + 1, 0] += 35.0 * side * (forward - 0.6 * (size - forward))
        upper[:, first + 1, 2] += 24.0 * size


def _bow(p: WalkerParameters, size: FloatArray, offset: FloatArray, turn: FloatArray, upper: FloatArray) -> None:
    offset[:, 2] -= 0.17 * p.reach * size
    turn[:, 1] += 0.5 * p.reach * size
    upper[:, 0:3, 0] += (p.reach / 6.0 * size)[:, None]
    upper[:, 4, 0] += 0.1 * p.reach * size
    upper[:, (6, 10), 0] += (0.7 * p.reach * size)[:, None]


def _squat(p: WalkerParameters, size: FloatArray, offset: FloatArray, turn: FloatArray, upper: FloatArray) -> None:
    offset[:, 1] -= p.reach * size
    offset[:, 2] -= 0.12 * p.reach * size
    turn[:, 1] += 0.9 * p.reach * size
    upper[:, 0:3, 0] += (0.12 * p.reach * size)[:, None]
    upper[:, 4, 0] -= 0.6 * p.reach * size
    upper[:, (6, 10), 0] += (2.9 * p.reach * size)[:, None]


_GESTURES: Final = {"idle": _idle, "raise": _raise, "kick": _kick, "bow": _bow, "squat": _squat}


def _turned(turn: FloatArray) -> FloatArray:
    return about("Y", turn[:, 0]) @ about("X", turn[:, 1]) @ about("Z", turn[:, 2])
