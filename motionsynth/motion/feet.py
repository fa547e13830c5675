"""Feet that stand: the drift of planted feet is taken out by bending the legs, and nothing else is touched.

Shapes: T frames; positions are in the clip's own unit of length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.measure import ankles, up_axis
from motionsynth.motion.skeleton import FloatArray, Skeleton

__all__ = ["Leg", "clean_feet", "find_legs"]

Mask = npt.NDArray[np.bool_]

_LOW: Final = (0.025, 0.06)
"""Leg lengths above its floor below which a foot joint may be planted, and up to which it stays so."""
_SLOW: Final = (0.5, 1.0)
"""Leg lengths a second likewise."""
_SHORTEST_S: Final = 0.1
"""A foot that rests for less is passing through."""
_DRIFT: Final = (0.06, 0.10)
"""Leg lengths a second, median over a stance, up to which a foot is left as it is, and from which it is held fast: of
motion capture 90 % of stances drift less than the first."""
_STRETCH: Final = 0.999
"""Share of its length to which a leg may be stretched."""
_LOWERING_S: Final = 0.2
"""The pelvis comes down for a leg that is too short, and up again, over as long."""


@dataclass(frozen=True, slots=True)
class Leg:
    """Indices of the joints of a leg."""

    hip: int
    knee: int
    ankle: int
    toe: int | None
    """The first joint below the ankle; None where there is none."""


def find_legs(skeleton: Skeleton) -> tuple[Leg, ...]:
    """Find the legs: an ankle or foot by its name, with a knee and a hip above it."""
    legs = []
    for ankle in ankles(skeleton):
        above, below = skeleton.ancestors(ankle), skeleton.children[ankle]
        if len(above) >= 3:  # the root is no hip
            legs.append(Leg(above[1], above[0], ankle, below[0] if below else None))
    return tuple(legs)


def clean_feet(clip: Clip) -> Clip:
    """Hold planted feet that slide.

    A foot is planted while its toe, or its ankle where it has none, is low and slow, with hysteresis. A stance that
    drifts more than those of motion capture is held at its mean place, and what that takes is eased from stance to
    stance while the foot swings. The ankle is brought to its place by bending knee and hip, the foot keeps its
    direction in the world, and the pelvis comes down where a leg would be too short.

    Args:
        clip: any clip, y or z up.

    Returns:
        The clip with other angles of hips, knees and ankles, and at most a lower root; the very same clip where no
        leg is found or no planted foot slides.
    """
    legs = find_legs(clip.skeleton)
    if len(clip) < 4 or not legs:
        return clip
    up = 1 if up_axis(clip) == "y" else 2
    plane = [axis for axis in range(3) if axis != up]
    rotations = clip.rotations()
    positions, globals_ = world_transforms(rotations, clip.translations, clip.skeleton.parents)
    shifts = [_shift(positions, leg, up, plane, clip.frame_rate) for leg in legs]
    if not any(shift.any() for shift in shifts):
        return clip
    targets = []
    for leg, shift in zip(legs, shifts, strict=True):
        target = positions[:, leg.ankle].copy()
        target[:, plane] += shift
        targets.append(target)
    drop = _lowering(positions, legs, targets, up, clip.frame_rate)
    translations = clip.translations.copy()
    translations[:, 0, up] -= drop
    positions[..., up] -= drop[:, None]
    rotations = rotations.copy()
    for leg, target in zip(legs, targets, strict=True):
        _reach(rotations, positions, globals_, clip.skeleton, leg, target)
    return Clip.from_rotations(clip.skeleton, clip.frame_time, rotations, translations)


def _length(positions: FloatArray, leg: Leg) -> tuple[float, float]:
    """Lengths of thigh and shin."""
    thigh = np.linalg.norm(positions[:, leg.knee] - positions[:, leg.hip], axis=-1)
    shin = np.linalg.norm(positions[:, leg.ankle] - positions[:, leg.knee], axis=-1)
    return float(np.median(thigh)), float(np.median(shin))


def _shift(positions: FloatArray, leg: Leg, up: int, plane: list[int], rate: float) -> FloatArray:
    """(T, 2) how far a foot has to move over the ground so that it stands still while it is planted."""
    length = sum(_length(positions, leg))
    path = positions[:, leg.ankle if leg.toe is None else leg.toe]
    ground = path[:, plane]
    frames: list[npt.NDArray[np.intp]] = []
    shifts: list[FloatArray] = []
    for start, stop in _runs(_planted(path, up, plane, length, rate)):
        if stop - start < max(3, round(_SHORTEST_S * rate)):
            continue
        steps = np.linalg.norm(np.diff(ground[start:stop], axis=0), axis=-1) * rate
        excess = (float(np.median(steps)) / length - _DRIFT[0]) / (_DRIFT[1] - _DRIFT[0])
        frames.append(np.arange(start, stop))
        shifts.append(min(max(excess, 0.0), 1.0) * (ground[start:stop].mean(0) - ground[start:stop]))
    if not any(shift.any() for shift in shifts):
        return np.zeros_like(ground)
    known, values = np.concatenate(frames), np.concatenate(shifts)
    whole = np.clip(np.arange(len(path)), known[0], known[-1])
    return np.asarray(PchipInterpolator(known, values)(whole))


def _planted(path: FloatArray, up: int, plane: list[int], length: float, rate: float) -> Mask:
    """(T,) whether a foot joint rests on its floor: low and slow at some frame, and not high or fast until the ends."""
    height = path[:, up] - np.percentile(path[:, up], 5)
    speed = np.linalg.norm(np.gradient(path[:, plane], axis=0), axis=-1) * rate
    low, slow = (np.array(limits) * length for limits in (_LOW, _SLOW))
    surely = (height < low[0]) & (speed < slow[0])
    perhaps = (height < low[1]) & (speed < slow[1])
    found = np.zeros(len(path), dtype=bool)
    for start, stop in _runs(perhaps):
        found[start:stop] = surely[start:stop].any()
    return found


def _runs(mask_T: Mask) -> list[tuple[int, int]]:
    """First frame and frame after the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask_T, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _lowering(
    positions: FloatArray, legs: tuple[Leg, ...], targets: list[FloatArray], up: int, rate: float
) -> FloatArray:
    """(T,) how far the pelvis comes down so that every ankle reaches its place, smooth in time."""
    need = np.zeros(len(positions))
    for leg, target in zip(legs, targets, strict=True):
        reach = _STRETCH * sum(_length(positions, leg))
        away = target - positions[:, leg.hip]
        own = np.linalg.norm(positions[:, leg.ankle] - positions[:, leg.hip], axis=-1)
        reach_T = np.maximum(reach, own)  # a leg that was straight before may stay so
        flat = np.square(away).sum(1) - np.square(away[:, up])
        height = np.sqrt(np.maximum(np.square(reach_T) - flat, 0.0))
        need = np.maximum(need, -away[:, up] - height)
    if need.max() <= 1e-9:
        return np.zeros(len(positions))
    half = max(1, round(_LOWERING_S * rate))
    padded = np.pad(need, half, mode="edge")
    widest = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1).max(1)
    window = np.hanning(2 * half + 3)[1:-1]
    smooth = np.convolve(np.pad(widest, half, mode="edge"), window / window.sum(), mode="valid")
    return np.asarray(smooth)


def _reach(
    rotations: FloatArray, positions: FloatArray, globals_: FloatArray, skeleton: Skeleton, leg: Leg, target: FloatArray
) -> None:
    """Bend a leg so that its ankle is at the target and the foot turned as before; changes ``rotations``."""
    hip, knee, ankle = (positions[:, joint] for joint in (leg.hip, leg.knee, leg.ankle))
    thigh, shin = np.linalg.norm(knee - hip, axis=-1), np.linalg.norm(ankle - knee, axis=-1)
    away = np.linalg.norm(target - hip, axis=-1)
    own = np.linalg.norm(ankle - hip, axis=-1)
    longest = np.maximum(_STRETCH * (thigh + shin), own)
    wanted = np.clip(away, np.abs(thigh - shin) * 1.001, np.minimum(longest, thigh + shin))
    bent = _angle(thigh, shin, wanted) - _angle(thigh, shin, own)
    bend = _about(_hinge(hip, knee, ankle), bent)
    bent_ankle = knee + np.einsum("tij,tj->ti", bend, ankle - knee)
    swing = _between(bent_ankle - hip, target - hip)
    new_thigh = swing @ globals_[:, leg.hip]
    new_shin = swing @ bend @ globals_[:, leg.knee]
    above = globals_[:, skeleton.parents[leg.hip]]
    rotations[:, leg.hip] = above.transpose(0, 2, 1) @ new_thigh
    rotations[:, leg.knee] = new_thigh.transpose(0, 2, 1) @ new_shin
    rotations[:, leg.ankle] = new_shin.transpose(0, 2, 1) @ globals_[:, leg.ankle]


def _angle(a: FloatArray, b: FloatArray, opposite: FloatArray) -> FloatArray:
    """The angle between sides a and b of a triangle, by the law of cosines."""
    cosine = (a**2 + b**2 - opposite**2) / np.maximum(2 * a * b, 1e-12)
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _hinge(hip: FloatArray, knee: FloatArray, ankle: FloatArray) -> FloatArray:
    """(T, 3) unit axes about which a positive turn opens the knee; of a straight leg that of the frame most bent."""
    normal = np.cross(hip - knee, ankle - knee)
    size = np.linalg.norm(normal, axis=-1, keepdims=True)
    scale = np.linalg.norm(hip - knee, axis=-1, keepdims=True) * np.linalg.norm(ankle - knee, axis=-1, keepdims=True)
    bent = size > 1e-3 * scale
    best = int((size / np.maximum(scale, 1e-12)).argmax())
    unit: FloatArray = np.where(bent, normal, normal[best]) / np.maximum(np.where(bent, size, size[best]), 1e-12)
    return unit


def _about(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """(T, 3, 3) turns about unit axes (Rodrigues' formula)."""
    x, y, z = axis.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + s * cross + (1 - c) * (cross @ cross))


def _between(start: FloatArray, end: FloatArray) -> FloatArray:
    """(T, 3, 3) smallest turns of one direction onto another."""
    a = start / np.maximum(np.linalg.norm(start, axis=-1, keepdims=True), 1e-12)
    b = end / np.maximum(np.linalg.norm(end, axis=-1, keepdims=True), 1e-12)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, (a * b).sum(-1))
    return _about(axis / np.maximum(sine, 1e-12)[:, None], angle)
