"""One walker clip from its parameters: the planned motion, shaken by landings and tremor, on legs that reach."""

from __future__ import annotations

from typing import Final

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.body import FRAME_RATE, UPPER, Pose, reachable_height, to_clip
from motionsynth.walkers.cells import WalkerParameters
from motionsynth.walkers.gait import gait_pose, landings
from motionsynth.walkers.gestures import kick_leg, kicking, standing_pose, stops

__all__ = ["TREMOR_SLOPE", "walker_clip"]

TREMOR_SLOPE: Final = 3.0
"""Exponent k of the tremor's power, ``1 / (1 + (f / 1.5 Hz)^k)``."""
_KNEE_HZ: Final = 1.5
_LINES: Final = 59
_SOFT_CM: Final = 1.0
# Tremor of the thirteen upper joints and of the hips' rotation in units of `jitter`, and cm a degree for positions.
_UPPER_TREMOR: Final = np.array([0.4, 0.4, 0.5, 0.6, 0.9, 0.4, 1.0, 1.5, 2.5, 0.4, 1.0, 1.5, 2.5])
_TURN_TREMOR, _PELVIS_TREMOR, _TOE_TREMOR, _PITCH_TREMOR = 0.5, 0.3, 0.4, 1.2
# What a landing shakes: frequency in Hz, decay in seconds.
_MODES: Final = np.array([[6.0, 0.09], [7.5, 0.08], [9.0, 0.07], [5.5, 0.11]])


def walker_clip(parameters: WalkerParameters) -> Clip:
    """Make the clip that the parameters describe; the same parameters give the same bits.

    Args:
        parameters: see :class:`WalkerParameters`.

    Returns:
        ``parameters.frames`` frames at 30 a second, in centimetres, y up, rounded to six decimals.

    Raises:
        ValueError: the frames asked for are not within the performance, or the pose is beyond the body.
    """
    p = parameters
    if not 0 <= p.skip <= p.skip + p.frames <= p.recorded or p.frames < 1:
        raise ValueError(f"frames {p.skip} to {p.skip + p.frames} are not within the {p.recorded} recorded")
    time = np.arange(p.recorded) / FRAME_RATE
    if p.step_length:
        pose, free = gait_pose(p, time)
        events = landings(p, p.recorded / FRAME_RATE)
    else:
        pose, free = standing_pose(p, time)
        events = stops(p)
    _tremble(p, time, pose, free)
    _shake(p, time, pose, events)
    _settle(pose, kicking(p, time))
    if p.content == "kick":
        kick_leg(p, time, pose)
    return to_clip(pose)[p.skip : p.skip + p.frames]


def _tremble(p: WalkerParameters, time: FloatArray, pose: Pose, free: FloatArray) -> None:
    """Add coloured noise to all that no floor holds: a sum of lines a quarter of a hertz apart, Gaussian amplitudes."""
    joints = len(UPPER)
    noise = p.jitter * _coloured(p.noise_seed, time, 3 * joints + 14)
    upper, rest = noise[:, : 3 * joints].reshape(-1, joints, 3), noise[:, 3 * joints :]
    pose.upper += _UPPER_TREMOR[:, None] * upper
    pose.turn += _TURN_TREMOR * rest[:, 0:3]
    pose.pelvis += _PELVIS_TREMOR * rest[:, 3:6]
    if p.step_length:
        pose.toe += _TOE_TREMOR * free[..., None] * rest[:, 6:12].reshape(-1, 2, 3)
        pose.foot[..., 1] += _PITCH_TREMOR * free * rest[:, 12:14]


def _coloured(seed: int, time: FloatArray, channels: int) -> FloatArray:
    """Noise (T, channels) of variance one whose power falls as ``f^-TREMOR_SLOPE`` above 1.5 Hz."""
    generator = np.random.Generator(np.random.PCG64(seed))
    lines = (np.arange(_LINES) + generator.uniform(0.5, 1.5, _LINES)) * 0.25
    power = 1.0 / (1.0 + (lines / _KNEE_HZ) ** TREMOR_SLOPE)
    scale = np.sqrt(power / power.sum())[:, None]
    turns = 2.0 * np.pi * time[:, None] * lines
    amplitudes = generator.standard_normal((2, _LINES, channels)) * scale
    return np.asarray(np.cos(turns) @ amplitudes[0] + np.sin(turns) @ amplitudes[1])


def _shake(p: WalkerParameters, time: FloatArray, pose: Pose, events: FloatArray) -> None:
    """Let every event excite damped transients, ``exp(-t / tau) sin(2 pi f t)``, in pelvis, trunk, head and arms."""
    since = time[:, None] - events
    since = np.where(since > 0.0, since, 0.0)[..., None]
    ring = (np.exp(-since / _MODES[:, 1]) * np.sin(2.0 * np.pi * _MODES[:, 0] * since)).sum(axis=1) * p.impact
    pose.pelvis[:, 1] -= 0.35 * ring[:, 0]
    pose.turn[:, 1] += 0.3 * ring[:, 1]
    pose.upper[:, 0:3, 0] += 0.4 * ring[:, 1:2]
    pose.upper[:, 4, 0] += 0.8 * ring[:, 2]
    pose.upper[:, (6, 10), 0] -= 1.2 * ring[:, 3:4]
    pose.upper[:, (6, 10), 2] -= 1.5 * ring[:, 3:4]
    pose.upper[:, (8, 12), 2] += 2.0 * ring[:, 1:2]


def _settle(pose: Pose, lifted: FloatArray) -> None:
    """Lower the pelvis to where both legs reach: a soft minimum, ``-s log sum exp(-h / s)``, so that nothing pops.

    A kicking foot that has left the floor follows the hip, so its old place may be out of reach.
    """
    limits, _ = reachable_height(pose.pelvis, pose.turn, pose.toe, pose.foot)
    limits[:, 1] += 5.0 * lifted
    heights = np.concatenate([pose.pelvis[:, 1:2], limits], axis=1)
    lowest = heights.min(axis=1, keepdims=True)
    total = np.exp((lowest - heights) / _SOFT_CM).sum(axis=1)
    pose.pelvis[:, 1] = lowest[:, 0] - _SOFT_CM * np.log(total)
