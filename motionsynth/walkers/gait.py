"""Walking, running and side-stepping from planned footsteps: feet first, the body above them after."""

from __future__ import annotations

from typing import Final

import numpy as np

from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.body import TOE_HEIGHT, UPPER, Pose, about
from motionsynth.walkers.cells import WalkerParameters

__all__ = ["bell", "carry_trunk", "gait_pose", "glide", "landings", "upright", "walked_path"]

_AHEAD: Final = 8.0
"""Centimetres from the pelvis forward to the toe joint of the foot it stands on."""
_SPLAY: Final = 6.0
_ROLL: Final = 0.07
"""Part of the stride in which the foot rolls from heel to toe."""
_HEEL: Final = np.array([0.0, 3.0, 18.0])
"""The toe joint seen from the point of the heel on the floor."""
_SIDES: Final = np.array([1.0, -1.0])


def glide(x: FloatArray) -> FloatArray:
    """Go from 0 to 1 with velocity and acceleration zero at both ends, ``6x^5 - 15x^4 + 10x^3``; clamped outside."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10.0 + x * (6.0 * x - 15.0))


def bell(x: FloatArray) -> FloatArray:
    """Go from 0 up to 1 at x = 1/2 and back, ``16 x^2 (1 - x)^2``; zero outside."""
    x = np.clip(x, 0.0, 1.0)
    return 16.0 * (x * (1.0 - x)) ** 2


def walked_path(p: WalkerParameters, time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positions (..., 3) on the floor in cm and headings (...) in degrees, on a circle or a straight line."""
    speed = p.cadence * p.step_length
    half = 0.5 * p.turn_rate * time
    chord = speed * time * np.sinc(half / 180.0)
    towards = np.radians(p.heading + p.travel + half)
    x, z = p.start_x + chord * np.sin(towards), p.start_z + chord * np.cos(towards)
    return np.stack([x, np.zeros_like(x), z], axis=-1), p.heading + p.turn_rate * time


def landings(p: WalkerParameters, duration: float) -> FloatArray:
    """Seconds at which a heel lands, from one stride before the start to the end."""
    first = np.floor(2.0 * p.phase) - 2.0
    steps = np.arange(first, first + 4.0 + p.cadence * duration + 2.0)
    return (steps - 2.0 * p.phase) / p.cadence


def gait_pose(p: WalkerParameters, time: FloatArray) -> tuple[Pose, FloatArray]:
    """The pose (before the pelvis is lowered to where both legs reach), and by how much each foot is free (T, 2)."""
    toe, foot, free = _feet(p, time)
    path, heading = walked_path(p, time)
    stride = 2.0 * np.pi * (p.phase + 0.5 * p.cadence * time)
    left_stands = stride - np.pi * p.duty
    reference = np.zeros((len(time), 3))
    reference[:, 0] = p.sway * np.cos(left_stands)
    reference[:, 2] = 0.012 * p.step_length * np.sin(2.0 * left_stands)
    pelvis = path + np.einsum("tab,tb->ta", about("Y", heading), reference)
    pelvis[:, 1] = upright(p) + p.bounce * np.cos(2.0 * left_stands)
    turn = np.stack(
        [
            heading - p.twist * np.cos(stride),
            p.lean + 0.1 * p.twist * np.cos(2.0 * left_stands),
            0.35 * p.twist * np.cos(left_stands) - 0.04 * p.turn_rate,
        ],
        axis=-1,
    )
    upper = np.zeros((len(time), len(UPPER), 3))
    yaw = 2.0 * p.twist * np.cos(stride)
    carry_trunk(upper, p, pitch=np.full_like(yaw, p.lean), yaw=yaw, roll=-0.5 * p.twist * np.cos(left_stands))
    upper[:, 4, 1] += -0.5 * p.twist * np.cos(stride) + 0.12 * p.turn_rate
    swing = -np.cos(stride[:, None] - np.array([0.35, 0.35 + np.pi]))
    for arm, side in enumerate(_SIDES):
        first, forward = 5 + 4 * arm, swing[:, arm]
        upper[:, first + 1, 0] = p.arm_swing * forward + p.lean + p.stoop - 0.2 * p.elbow
        upper[:, first + 1, 2] = p.abduction + 0.12 * p.arm_swing * forward**2
        upper[:, first + 1, 1] = 0.35 * p.elbow
        upper[:, first + 2, 1] = -side * (p.elbow + 0.45 * p.arm_swing * (1.0 + forward))
        upper[:, first, 1] = -side * 0.15 * p.arm_swing * forward
    return Pose(pelvis, turn, upper, toe, foot), free


def upright(p: WalkerParameters) -> float:
    """Mean height of the pelvis in cm: straight legs, less the crouch, less half of what spread legs cost."""
    return 94.0 - p.crouch - 0.001 * p.step_length**2


def carry_trunk(
    upper: FloatArray, p: WalkerParameters, *, pitch: FloatArray, yaw: FloatArray, roll: FloatArray
) -> None:
    """Share a bend of the back among its three joints; the head keeps looking forward."""
    upper[:, 0:3, 0] += np.array([0.3, 0.35, 0.35]) * p.stoop
    upper[:, 0:3, 1] += yaw[:, None] / 3.0
    upper[:, 0:3, 2] += roll[:, None] / 3.0
    level = 0.75 * p.stoop + 0.6 * pitch
    upper[:, 3, 0] -= 0.3 * level
    upper[:, 4, 0] -= 0.7 * level


def _plant(p: WalkerParameters, stride: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Place (T, 2, 3) of each side's toe joint in stride number (T, 2), and the foot's yaw (T, 2)."""
    middle = (stride + 0.5 * p.duty - p.phase - np.array([0.0, 0.5])) / (0.5 * p.cadence)
    path, heading = walked_path(p, middle)
    beside = np.zeros((2, 3))
    beside[:, 0] = 0.5 * p.step_width * _SIDES
    beside[:, 1] = TOE_HEIGHT
    beside[:, 2] = _AHEAD
    at = path + np.einsum("tsab,sb->tsa", about("Y", heading), beside)
    return at, heading + _SPLAY * _SIDES


def _feet(p: WalkerParameters, time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Toe joints (T, 2, 3), foot yaw, pitch and toe bend (T, 2, 3), and how free each foot is (T, 2), 0 when planted.

    A stride: the heel lands and stays while the foot rolls flat; the toe joint stays while the heel rises; the toe
    travels to the next plant.
    """
    stride = 0.5 * p.cadence * time[:, None] + p.phase + np.array([0.0, 0.5])
    number = np.floor(stride)
    part = stride - number
    here, yaw_here = _plant(p, number)
    there, yaw_there = _plant(p, number + 1.0)
    swung = np.clip((part - p.duty) / (1.0 - p.duty), 0.0, 1.0)
    pitch = _pitch(p, part)
    # A little of the travel ends at full speed: the floor stops the foot, and the stop is heard in every frequency.
    along = swung**2 * (0.93 * (3.0 - 2.0 * swung) + 0.07)
    yaw = yaw_here + (yaw_there - yaw_here) * glide(swung)
    rolling = part < _ROLL
    landing = np.where(rolling, pitch, -p.strike)
    rolled = (about("X", landing) @ _HEEL) - _HEEL
    rolled = np.einsum("tsab,tsb->tsa", about("Y", np.where(rolling, yaw_here, yaw_there)), rolled)
    toe = np.where(rolling[..., None], here + rolled, here + along[..., None] * (there + rolled - here))
    # A foot that points up is held as high as keeps its heel above the floor.
    raised = (about("X", np.minimum(pitch, 0.0)) @ _HEEL)[..., 1] - _HEEL[1]
    toe[..., 1] = TOE_HEIGHT + raised + p.lift * bell(swung**0.8)
    toe = np.where((rolling | (swung > 0.0))[..., None], toe, here)
    pressed = 1.0 - 0.75 * glide(swung / 0.6)
    bend = -np.maximum(pitch, 0.0) * pressed
    return toe, np.stack([yaw, pitch, bend], axis=-1), bell(swung)


def _pitch(p: WalkerParameters, part: FloatArray) -> FloatArray:
    """Pitch of the foot in degrees (positive: heel up) over the stride, a cubic Hermite curve through six knots."""
    rises, off = 0.55 * p.duty, p.duty
    peak = off + 0.22 * (1.0 - off)
    speed = 1.6 * p.push / (off - rises)
    knots = np.array([0.0, _ROLL, rises, off, peak, 0.93, 1.0])
    values = np.array([-p.strike, 0.0, 0.0, p.push, 1.2 * p.push, -p.strike, -p.strike])
    slopes = np.array([1.8 * p.strike / _ROLL, 0.0, 0.0, speed, 0.0, 0.0, 0.0])
    return hermite(part, knots, values, slopes)


def hermite(x: FloatArray, knots: FloatArray, values: FloatArray, slopes: FloatArray) -> FloatArray:
    """Piecewise cubic through the knots with the given slopes; constant outside."""
    x = np.clip(x, knots[0], knots[-1])
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    width = knots[k + 1] - knots[k]
    u = (x - knots[k]) / width
    rest = 1.0 - u
    bent = u * rest * width * (rest * slopes[k] - u * slopes[k + 1])
    return values[k] + (values[k + 1] - values[k]) * u * u * (3.0 - 2.0 * u) + bent
