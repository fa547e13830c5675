"""Change a clip's frame rate without making up motion that was not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.rotations import matrices_to_angles, unwrap_angles
from motionsynth.motion.skeleton import FloatArray

__all__ = ["resample"]

_SAME: Final = 1e-4
"""Rates closer than this are one rate: files write 1/30 s as 0.033333."""
_MOST_NEW: Final = 100
"""New frames to one old: a frame time in milliseconds would fill the memory with what was never recorded."""
_WRITTEN: Final = 2e-6
"""Degrees, or units of length, by which rounding to six decimals moves a frame off where it was interpolated."""
_STOP_DB: Final = 50.0
_PASS: Final = 0.7
"""Share of the new Nyquist frequency that passes untouched; from there the filter falls to ``_STOP_DB`` at Nyquist."""


def resample(clip: Clip, frame_rate: float, *, low_pass: bool = True) -> Clip:
    """Sample a clip anew: rotations by slerp, translations linearly, low-passed first where the rate falls.

    Frame k of the result is the moment ``k / frame_rate`` after the first frame. The last is the last such moment that
    is not after the clip's last frame: nothing is extrapolated, so up to one new frame time may be left out. A clip's
    own rate is the whole number that it is equal to within 1e-4, where it is: 0.033333 s are 1/30 s.

    The low-pass is a symmetric (zero-phase) windowed sinc over translations and over sign-continuous quaternions,
    read at the new moments themselves and renormalised; past either end the motion goes on as its own point
    reflection, which keeps the first and the last pose. It passes what is slower than 0.7 of the new Nyquist frequency
    and takes 50 dB off what is faster than that frequency. A joint without motion stays bit for bit. A clip that was
    interpolated to a whole multiple of the new rate holds nothing faster: it comes back frame for frame as it was.

    Args:
        clip: any clip; one frame, or none, has no rate and only gets the new one.
        frame_rate: new frames a second.
        low_pass: False leaves aliases in; only to show what they do.

    Returns:
        The clip itself where the rates are equal to 1e-4.

    Raises:
        ValueError: the rate is not a positive number, or asks for more than a hundred frames to one of the clip's.

    Example:
        >>> from motionsynth import read_bvh, resample
        >>> clip = read_bvh("walkers/walk_normal_001.bvh")[:61]
        >>> half = resample(clip, 15)
        >>> len(half), round(half.duration - half.frame_time, 6) == round(clip.duration - clip.frame_time, 6)
        (31, True)

    References:
        Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.
    """
    if not (np.isfinite(frame_rate) and frame_rate > 0):
        raise ValueError(f"frame_rate must be a positive number of frames a second, not {frame_rate}")
    if abs(frame_rate * clip.frame_time - 1) < _SAME:
        return clip
    if frame_rate * clip.frame_time > _MOST_NEW and len(clip) > 1:
        raise ValueError(
            f"a frame time of {clip.frame_time:g} s would need more than {_MOST_NEW} frames for each of the clip's "
            f"at {frame_rate:g} frames a second; is it in milliseconds?"
        )
    frame_time = _meant(clip.frame_time)
    count = int(np.floor((len(clip) - 1) * frame_rate * frame_time + 1e-6)) + 1 if len(clip) else 0
    if count < 2:
        return replace(clip[:1], frame_time=1 / frame_rate)
    ratio = 1 / (frame_rate * frame_time)  # old frames in one new
    moments = np.minimum(np.arange(count) * ratio, len(clip) - 1)
    quaternions, translations = _continuous_quaternions(clip), clip.translations
    every = round(ratio)
    if every > 1 and abs(ratio / every - 1) < _SAME and _is_interpolated(quaternions, translations, every):
        kept = slice(0, every * (count - 1) + 1, every)
        return replace(clip, frame_time=1 / frame_rate, angles=clip.angles[kept], translations=translations[kept])
    before = np.minimum(moments.astype(np.intp), len(clip) - 2)
    share = (moments - before)[:, None, None]
    turned = _slerp(quaternions[before], quaternions[before + 1], share)
    moved = translations[before] + share * (translations[before + 1] - translations[before])
    if low_pass and ratio > 1:
        turned = _unit(_filtered(quaternions, moments, ratio), turned)
        moved = _filtered(translations, moments, ratio)
    angles = _angles(clip, turned)
    still = (clip.angles == clip.angles[:1]).all(axis=(0, 2))
    angles[:, still] = clip.angles[0, still]
    return replace(clip, frame_time=1 / frame_rate, angles=angles, translations=moved)


def _meant(frame_time: float) -> float:
    whole = round(min(1 / frame_time, 1e9))
    return 1 / whole if whole and abs(whole * frame_time - 1) < _SAME else frame_time


def _continuous_quaternions(clip: Clip) -> FloatArray:
    """(T, J, 4) local rotations, scalar last, each in the hemisphere of the frame before: of q and -q the nearer."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(clip.rotations().reshape(-1, 3, 3)).as_quat()
    quaternions = np.asarray(flat, dtype=np.float64).reshape(len(clip), -1, 4)
    steps = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    quaternions[1:] *= np.cumprod(steps, axis=0)[..., None]
    return quaternions


def _is_interpolated(quaternions: FloatArray, translations: FloatArray, every: int) -> bool:
    """Test whether all frames but every ``every``-th lie where slerp puts them, as far as six decimals in a file go."""
    whole = (len(translations) - 1) // every * every
    for stop in (min(whole, 4 * every), whole):  # recorded motion shows at once that it is not
        for step in range(1, every):
            first, between, last = (slice(place, stop - every + place + 1, every) for place in (0, step, every))
            share = step / every
            straight = translations[first] + share * (translations[last] - translations[first])
            if np.abs(translations[between] - straight).max(initial=0.0) > _WRITTEN:
                return False
            turned = _slerp(quaternions[first], quaternions[last], np.array(share))
            off = 1 - np.abs((turned * quaternions[between]).sum(-1))
            if off.max(initial=0.0) > np.deg2rad(_WRITTEN) ** 2:
                return False
    return whole > 0


def _angles(clip: Clip, quaternions: FloatArray) -> FloatArray:
    from scipy.spatial.transform import Rotation

    matrices = Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix().reshape(*quaternions.shape[:2], 3, 3)
    orders = clip.skeleton.orders
    return unwrap_angles(matrices_to_angles(matrices, orders), orders, clip.angles[0])


def _filtered(track: FloatArray, moments: FloatArray, ratio: float) -> FloatArray:
    """Low-pass (T, J, C) below the new Nyquist frequency and read it at (M,) moments, in old frames: (M, J, C).

    Each new frame is a sum of old ones under a Kaiser-windowed sinc centred on its own moment; filtering first and
    interpolating afterwards would blur. Past its ends the track goes on as its own point reflection.
    """
    from scipy.signal import kaiser_beta, kaiserord
    from scipy.sparse import csr_array

    columns = track.reshape(len(track), -1)
    moving = np.flatnonzero((columns != columns[:1]).any(axis=0))
    out = np.repeat(columns[:1], len(moments), axis=0)
    if moving.size:
        nyquist = 1 / ratio  # of the new rate, as a share of the old one's
        reach = kaiserord(_STOP_DB, (1 - _PASS) * nyquist)[0] // 2 + 1
        near = np.floor(moments).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
        away = moments[:, None] - near
        cutoff = (1 + _PASS) / 2 * nyquist
        window = np.i0(kaiser_beta(_STOP_DB) * np.sqrt(np.maximum(1 - (away / reach) ** 2, 0)))
        weights = np.where(np.abs(away) < reach, np.sinc(cutoff * away) * window, 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
        extended = np.pad(columns[:, moving], ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
        starts = np.arange(len(moments) + 1) * near.shape[1]
        kernel = csr_array((weights.ravel(), (near + reach).ravel(), starts), shape=(len(moments), len(extended)))
        out[:, moving] = kernel @ extended
    return out.reshape(len(moments), *track.shape[1:])


def _unit(quaternions: FloatArray, otherwise: FloatArray) -> FloatArray:
    """Renormalise; where a spin too fast for the new rate averages to nothing, its direction is taken unfiltered."""
    norms = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    return np.where(norms > 1e-3, quaternions / np.maximum(norms, 1e-3), otherwise)


def _slerp(first: FloatArray, second: FloatArray, share: FloatArray) -> FloatArray:
    """Go ``share`` of the way from one unit quaternion to another along the shorter great circle."""
    cosine = (first * second).sum(-1, keepdims=True)
    second, cosine = np.where(cosine < 0, -second, second), np.abs(cosine)
    angle = np.arctan2(np.linalg.norm(second - cosine * first, axis=-1, keepdims=True), cosine)
    sine = np.sin(angle)
    small = sine < 1e-8
    sine = np.where(small, 1.0, sine)
    near = np.where(small, 1 - share, np.sin((1 - share) * angle) / sine)
    far = np.where(small, share, np.sin(share * angle) / sine)
    return np.asarray(near * first + far * second)
