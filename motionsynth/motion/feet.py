"""Feet that stand: the drift of planted feet is taken out by bending the legs, and nothing else is touched.

Shapes: N clips, T frames, J joints; positions are in the clip's own unit of length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import convolve1d, maximum_filter1d

from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.measure import ankles, up_axis
from motionsynth.motion.skeleton import FloatArray, Skeleton

__all__ = ["NO_LEGS", "Leg", "clean_feet", "find_legs", "hold_feet"]

Mask = npt.NDArray[np.bool_]

NO_LEGS: Final = (
    "no leg is found (no joint with a knee and a hip above it is named ankle or foot): feet stay as they are"
)
"""Note on motion that cannot be cleaned."""

_LOW: Final = (0.015, 0.03)
"""Leg lengths above its floor below which a foot joint may be planted, and up to which it stays so."""
_SLOW: Final = (0.5, 1.0)
"""Leg lengths a second likewise."""
_SHORTEST_S: Final = 0.1
"""A foot that rests for less is passing through."""
_DRIFT: Final = (0.03, 0.06)
"""Leg lengths a second, median over a stance, up to which a foot is left as it is, and from which it is held fast: of
stances in motion capture more than half drift less than the first, and three in four less than the second."""
_STRETCH: Final = 0.999
"""Share of its length to which a leg may be stretched."""
_LOWERING_S: Final = 0.2
"""The pelvis comes down for a leg that is too short, and up again, over as long."""
_NOTHING: Final = 1e-12
"""Least length that is divided by, in a clip's own unit."""


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
    """Hold planted feet that slide; see :func:`hold_feet`.

    Args:
        clip: any clip, y or z up.

    Returns:
        The clip with other angles of hips, knees and ankles, and at most a lower root; the very same clip where no
        leg is found or no planted foot slides.
    """
    given = clip.rotations()[None], clip.translations[None]
    held = hold_feet(*given, clip.skeleton, clip.frame_rate, 1 if up_axis(clip) == "y" else 2)
    if held[1] is given[1]:
        return clip
    return Clip.from_rotations(clip.skeleton, clip.frame_time, held[0][0], held[1][0])


def hold_feet(
    rotations_NTJ33: FloatArray, translations_NTJ3: FloatArray, skeleton: Skeleton, frame_rate: float, up: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Hold planted feet that slide.

    A foot is planted while its toe, or its ankle where it has none, is low and slow, with hysteresis. A stance that
    drifts more than those of motion capture is held at its mean place, and what that takes is eased from stance to
    stance while the foot swings. The ankle is brought to its place by bending knee and hip, the foot keeps its
    direction in the world, and the pelvis comes down where a leg would be too short.

    Args:
        rotations_NTJ33: (N, T, J, 3, 3) local rotation matrices of N clips.
        translations_NTJ3: (N, T, J, 3) local positions, in any unit.
        skeleton: whose joints they are.
        frame_rate: frames a second.
        up: number of the axis that points up.

    Returns:
        The same with other rotations of hips, knees and ankles, and at most a lower root; the very arrays given where
        no leg is found or no planted foot slides, and the very numbers in each clip of which that is true.
    """
    legs = find_legs(skeleton)
    if not legs or rotations_NTJ33.shape[1] < 4:
        return rotations_NTJ33, translations_NTJ3
    plane = [axis for axis in range(3) if axis != up]
    positions, globals_ = _world(rotations_NTJ33, translations_NTJ3, skeleton.parents)
    shifts = [_shift(positions, leg, up, plane, frame_rate) for leg in legs]
    slides = np.any([shift.any((1, 2)) for shift in shifts], axis=0)
    if not slides.any():
        return rotations_NTJ33, translations_NTJ3
    positions, globals_ = positions[slides], globals_[slides]
    targets = []
    for leg, shift in zip(legs, shifts, strict=True):
        target = positions[:, :, leg.ankle].copy()
        target[..., plane] += shift[slides]
        targets.append(target)
    drop = _lowering(positions, legs, targets, up, frame_rate)
    positions[..., up] -= drop[..., None]
    turned = rotations_NTJ33[slides]
    for leg, target in zip(legs, targets, strict=True):
        _reach(turned, positions, globals_, skeleton, leg, target)
    rotations, translations = rotations_NTJ33.copy(), translations_NTJ3.copy()
    rotations[slides] = turned
    translations[slides, :, 0, up] -= drop
    return rotations, translations


def _world(rotations: FloatArray, translations: FloatArray, parents: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """World positions and global rotations of N clips."""
    found = world_transforms(
        rotations.reshape(-1, *rotations.shape[2:]), translations.reshape(-1, *translations.shape[2:]), parents
    )
    return found[0].reshape(translations.shape), found[1].reshape(rotations.shape)


def _length(positions: FloatArray, leg: Leg) -> FloatArray:
    """(N, 2) lengths of thigh and shin."""
    bones = positions[:, :, [leg.knee, leg.ankle]] - positions[:, :, [leg.hip, leg.knee]]
    return np.asarray(np.median(np.linalg.norm(bones, axis=-1), axis=1))


def _shift(positions: FloatArray, leg: Leg, up: int, plane: list[int], rate: float) -> FloatArray:
    """(N, T, 2) how far a foot has to move over the ground so that it stands still while it is planted."""
    lengths = np.maximum(_length(positions, leg).sum(1), _NOTHING)
    path = positions[:, :, leg.ankle if leg.toe is None else leg.toe] / lengths[:, None, None]
    ground = path[..., plane]
    shifts, known = np.zeros_like(ground), np.zeros(ground.shape[:2], dtype=bool)
    for clip, start, stop in _stances(path[..., up], ground, rate):
        stance = ground[clip, start:stop]
        drift = float(np.median(np.linalg.norm(stance[1:] - stance[:-1], axis=-1))) * rate
        share = min(max((drift - _DRIFT[0]) / (_DRIFT[1] - _DRIFT[0]), 0.0), 1.0)
        shifts[clip, start:stop] = share * (stance.mean(0) - stance)
        known[clip, start:stop] = True
    eased: FloatArray = _eased(shifts, known) * lengths[:, None, None]
    return eased


def _stances(height: FloatArray, ground: FloatArray, rate: float) -> Iterator[tuple[int, int, int]]:
    """Clip, first frame and frame after the last of each stance: low and slow somewhere, not high or fast anywhere."""
    height = height - np.percentile(height, 5, axis=1, keepdims=True)
    speed = np.linalg.norm(np.gradient(ground, axis=1), axis=-1) * rate
    surely, perhaps = ((height < low) & (speed < slow) for low, slow in zip(_LOW, _SLOW, strict=True))
    edges = np.diff(np.pad(perhaps, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    clips, starts = np.nonzero(edges == 1)
    for clip, start, stop in zip(clips, starts, np.nonzero(edges == -1)[1], strict=True):
        if stop - start >= max(3, round(_SHORTEST_S * rate)) and surely[clip, start:stop].any():
            yield int(clip), int(start), int(stop)


def _eased(shifts: FloatArray, known: Mask) -> FloatArray:
    """(N, T, 2) shifts in all frames: from stance to stance without overshoot, and constant beyond the outer ones."""
    clips, frames = known.shape
    if not shifts.any():
        return shifts
    rows = np.arange(clips)
    for end, nearest in ((0, known.argmax(1)), (frames - 1, frames - 1 - known[:, ::-1].argmax(1))):
        shifts[rows, end] = shifts[rows, nearest]
        known[:, end] = True
    # one curve for all clips: no value between the last frame of one and the first of the next is asked for
    curve = PchipInterpolator(np.flatnonzero(known), shifts[known])
    return np.asarray(curve(np.arange(known.size))).reshape(shifts.shape)


def _lowering(
    positions: FloatArray, legs: tuple[Leg, ...], targets: list[FloatArray], up: int, rate: float
) -> FloatArray:
    """(N, T) how far the pelvis comes down so that every ankle reaches its place, smooth in time."""
    need = np.zeros(positions.shape[:2])
    for leg, target in zip(legs, targets, strict=True):
        away = target - positions[:, :, leg.hip]
        own = np.linalg.norm(positions[:, :, leg.ankle] - positions[:, :, leg.hip], axis=-1)
        # a leg that was straight before may stay so
        reach = np.maximum(_STRETCH * _length(positions, leg).sum(1)[:, None], own)
        flat = np.square(away).sum(-1) - np.square(away[..., up])
        height = np.sqrt(np.maximum(np.square(reach) - flat, 0.0))
        need = np.maximum(need, -away[..., up] - height)
    half = max(1, round(_LOWERING_S * rate))
    widest = maximum_filter1d(np.where(need > 1e-9, need, 0.0), 2 * half + 1, axis=1, mode="nearest")
    window = np.hanning(2 * half + 3)[1:-1]
    return np.asarray(convolve1d(widest, window / window.sum(), axis=1, mode="nearest"))


def _reach(
    rotations: FloatArray, positions: FloatArray, globals_: FloatArray, skeleton: Skeleton, leg: Leg, target: FloatArray
) -> None:
    """Bend a leg so that its ankle is at the target and the foot turned as before; changes ``rotations``."""
    hip, knee, ankle = (positions[:, :, joint] for joint in (leg.hip, leg.knee, leg.ankle))
    thigh, shin = np.linalg.norm(knee - hip, axis=-1), np.linalg.norm(ankle - knee, axis=-1)
    away = np.linalg.norm(target - hip, axis=-1)
    own = np.linalg.norm(ankle - hip, axis=-1)
    longest = np.maximum(_STRETCH * (thigh + shin), own)
    wanted = np.clip(away, np.abs(thigh - shin) * 1.001, np.minimum(longest, thigh + shin))
    bent = _angle(thigh, shin, wanted) - _angle(thigh, shin, own)
    bend = _about(_hinge(hip, knee, ankle), bent)
    bent_ankle = knee + (bend @ (ankle - knee)[..., None])[..., 0]
    swing = _between(bent_ankle - hip, target - hip)
    new_thigh = swing @ globals_[:, :, leg.hip]
    new_shin = swing @ bend @ globals_[:, :, leg.knee]
    above = globals_[:, :, skeleton.parents[leg.hip]]
    rotations[:, :, leg.hip] = above.swapaxes(-1, -2) @ new_thigh
    rotations[:, :, leg.knee] = new_thigh.swapaxes(-1, -2) @ new_shin
    rotations[:, :, leg.ankle] = new_shin.swapaxes(-1, -2) @ globals_[:, :, leg.ankle]


def _angle(a: FloatArray, b: FloatArray, opposite: FloatArray) -> FloatArray:
    """The angle between sides a and b of a triangle, by the law of cosines."""
    cosine = (a**2 + b**2 - opposite**2) / np.maximum(2 * a * b, _NOTHING)
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _hinge(hip: FloatArray, knee: FloatArray, ankle: FloatArray) -> FloatArray:
    """(N, T, 3) unit axes about which a positive turn opens the knee; of a straight leg that of the frame most bent."""
    normal = np.cross(hip - knee, ankle - knee)
    size = np.linalg.norm(normal, axis=-1, keepdims=True)
    scale = np.linalg.norm(hip - knee, axis=-1, keepdims=True) * np.linalg.norm(ankle - knee, axis=-1, keepdims=True)
    bent = size > 1e-3 * scale
    best = (size / np.maximum(scale, _NOTHING)).argmax(axis=1)[:, None]
    normal, size = (np.where(bent, own, np.take_along_axis(own, best, 1)) for own in (normal, size))
    return np.asarray(normal / np.maximum(size, _NOTHING))


def _about(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """(N, T, 3, 3) turns about unit axes (Rodrigues' formula)."""
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axis.shape, 3)
    s, c = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.asarray(np.eye(3) + s * cross + (1 - c) * (cross @ cross))


def _between(start: FloatArray, end: FloatArray) -> FloatArray:
    """(N, T, 3, 3) smallest turns of one direction onto another."""
    a = start / np.maximum(np.linalg.norm(start, axis=-1, keepdims=True), _NOTHING)
    b = end / np.maximum(np.linalg.norm(end, axis=-1, keepdims=True), _NOTHING)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, (a * b).sum(-1))
    return _about(axis / np.maximum(sine, _NOTHING)[..., None], angle)
