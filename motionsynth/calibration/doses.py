"""Known damage done to real motion.

Doses that change motion act on whole clips before windows are cut, so that a filter sees no edge of a window; every
dosed window is then brought to the features of its own motion: rotations are rotations, foot contacts and
headings follow from the pose. So it comes by the same path as the windows of a model.

Shapes: N windows, T frames, D features, K principal components.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.calibration.plan import KINDS, Dose
from motionsynth.calibration.pool import Pool
from motionsynth.comparison.motions import as_one_kind
from motionsynth.corpus.motions import MotionSet
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.metrics.components import PrincipalComponents
from motionsynth.motion.rotations import matrices_from_6d, matrices_to_6d

__all__ = [
    "apply_dose",
    "butterworth",
    "drift",
    "jitter",
    "low_pass",
    "nearest_of_other_takes",
    "neighbour_means",
    "slow_down",
    "white_noise",
]

Array = npt.NDArray[np.float64]

ORDER: Final = 4
"""Order of the Butterworth filter; run forwards and backwards its gain falls by 48 dB an octave."""
COMPONENTS: Final = 64
"""Principal components that neighbours are searched in."""
_ROWS: Final = 512
"""Windows whose distances to all others are held at a time."""


def apply_dose(
    pool: Pool, dose: Dose, normaliser: Normaliser, seed: int, wanted_N: npt.NDArray[np.int64] | None = None
) -> MotionSet:
    """Windows of a pool with their motion damaged; undamaged where the dose only chooses among windows.

    Args:
        pool: real windows and their clips.
        dose: what to do, how much.
        normaliser: scales of the features, of the training split.
        seed: fixes noise and directions, clip by clip: they do not depend on what else is dosed.
        wanted_N: which windows are wanted; all where None.
    """
    wanted_N = np.arange(len(pool)) if wanted_N is None else wanted_N
    if dose.kind == "neighbours":
        motions = neighbour_means(pool, int(dose.value), normaliser, wanted_N)
    elif dose.kind == "none" or KINDS[dose.kind].acts == "draw":
        motions = pool.cut(pool.clips_TD, wanted_N)
    else:
        spec = pool.motions.spec
        clips = [
            _dosed(clip_TD.double().numpy(), dose, spec, normaliser, _generator(seed, dose, name))
            for clip_TD, name in zip(pool.clips_TD, pool.clip_names, strict=True)
        ]
        motions = pool.cut(clips, wanted_N, speed=dose.value if dose.kind == "time_warp" else 1.0)
    return as_one_kind(motions)


def _dosed(clip_TD: Array, dose: Dose, spec: FeatureSpec, normaliser: Normaliser, rng: np.random.Generator) -> Array:
    if dose.kind == "low_pass":
        return low_pass(clip_TD, dose.value, spec.frame_rate)
    if dose.kind == "shrinkage":
        mean_D = clip_TD.mean(0)
        return np.asarray(mean_D + dose.value * (clip_TD - mean_D))
    if dose.kind == "jitter":
        return jitter(clip_TD, dose.value, spec, rng)
    if dose.kind == "noise":
        return white_noise(clip_TD, dose.value, normaliser, rng)
    if dose.kind == "time_warp":
        return slow_down(clip_TD, dose.value, spec)
    if dose.kind == "foot_slip":
        return drift(clip_TD, dose.value, spec, rng)
    raise ValueError(f"{dose.kind} does not act on clips")


def butterworth(cutoff_hz: float, frame_rate: float) -> Array:
    """Second-order sections that, run forwards and backwards, have a gain of -3 dB at the cut-off.

    With w = tan(pi f / rate) and n the order, two passes have the gain ``1 / (1 + (w / w_c)^2n)``; -3 dB at f asks for
    ``w_c = w / (sqrt(2) - 1)^(1/2n)``.

    References:
        Winter, Biomechanics and Motor Control of Human Movement, 2009 (the correction for two passes).

    Raises:
        ValueError: the cut-off does not lie between 0 and half the frame rate.
    """
    from scipy.signal import butter

    if not 0 < cutoff_hz < frame_rate / 2:
        raise ValueError(f"a cut-off must lie between 0 and {frame_rate / 2:g} Hz, not at {cutoff_hz:g} Hz")
    warped = math.tan(math.pi * cutoff_hz / frame_rate) / (math.sqrt(2.0) - 1.0) ** (1.0 / (2 * ORDER))
    corrected = frame_rate / math.pi * math.atan(warped)
    sections: Array = butter(ORDER, corrected, fs=frame_rate, output="sos")
    return sections


def low_pass(clip_TD: Array, cutoff_hz: float, frame_rate: float) -> Array:
    """Take the quick out of every column, without delay; see :func:`butterworth` for the frequency response.

    Both ends are extended by their point reflection, by up to three periods of the cut-off.

    Args:
        clip_TD: (T, D), T >= 2.
        cutoff_hz: where a sine keeps 1 / sqrt(2) of its amplitude.
        frame_rate: frames a second.
    """
    from scipy.signal import sosfiltfilt

    reach = min(len(clip_TD) - 1, math.ceil(3 * frame_rate / cutoff_hz))
    # a copy, for the filter gives a view that runs backwards
    return np.array(sosfiltfilt(butterworth(cutoff_hz, frame_rate), clip_TD, axis=0, padlen=reach), order="C")


def jitter(clip_TD: Array, degrees: float, spec: FeatureSpec, rng: np.random.Generator) -> Array:
    """Turn every joint, frame by frame, by a random vector of angles: ``R' = exp(w) R``, w ~ N(0, degrees^2 I)."""
    from pytorch3d.transforms import axis_angle_to_matrix

    # the columns of the root's rotation and of the joints' lie side by side
    columns = slice(spec.slices["root_rotation_6d"].start, spec.slices["root_rotation_6d"].stop)
    if "joint_rotations_6d" in spec.slices:
        columns = slice(columns.start, spec.slices["joint_rotations_6d"].stop)
    rotations = matrices_from_6d(torch.from_numpy(clip_TD[:, columns].reshape(len(clip_TD), -1, 6)))
    turns = np.deg2rad(degrees) * rng.standard_normal((*rotations.shape[:2], 3))
    out = clip_TD.copy()
    turned = axis_angle_to_matrix(torch.from_numpy(turns)) @ rotations
    out[:, columns] = matrices_to_6d(turned).numpy().reshape(len(clip_TD), -1)
    return out


def white_noise(clip_TD: Array, deviations: float, normaliser: Normaliser, rng: np.random.Generator) -> Array:
    """Add noise of so many standard deviations to every column that varies."""
    scale_D = normaliser.scale_D.double().numpy() * ~normaliser.constant_D.numpy()
    return np.asarray(clip_TD + deviations * scale_D * rng.standard_normal(clip_TD.shape))


def slow_down(clip_TD: Array, speed: float, spec: FeatureSpec) -> Array:
    """Play a clip at ``speed`` times its speed, by cubic splines; velocities shrink by that factor.

    Returns:
        (T', D), ``T' = ceil(T / speed)``: the last pose is held where the clip ends between two frames.
    """
    from scipy.interpolate import CubicSpline

    last = len(clip_TD) - 1
    times = np.minimum(np.arange(math.ceil(len(clip_TD) / speed)) * speed, last)
    out = np.asarray(CubicSpline(np.arange(last + 1), clip_TD, axis=0)(times), dtype=np.float64)
    for name in ("root_velocity_m_s", "root_yaw_velocity_rad_s"):
        out[:, spec.slices[name]] *= speed
    return out


def drift(clip_TD: Array, metres_per_second: float, spec: FeatureSpec, rng: np.random.Generator) -> Array:
    """Move the root at a constant velocity beside its own, in a random direction of the heading frame."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    out = clip_TD.copy()
    out[:, spec.slices["root_velocity_m_s"]] += metres_per_second * np.array([np.sin(angle), np.cos(angle)])
    return out


def neighbour_means(pool: Pool, count: int, normaliser: Normaliser, wanted_N: npt.NDArray[np.int64]) -> MotionSet:
    """Windows averaged with their ``count - 1`` nearest windows of other takes: what a blurring mixture gives.

    Neighbours are those in the first 64 principal components of normalised windows.

    Raises:
        ValueError: there are fewer takes than ``count``.
    """
    from dataclasses import replace

    if len(pool.clip_names) < count:
        raise ValueError(f"the mean of {count} windows of different takes needs as many takes")
    features_NTD = pool.motions.features_NTD
    flat_NTD = normaliser.normalise(features_NTD).numpy()
    components = min(COMPONENTS, len(flat_NTD) - 1, flat_NTD[0].size)
    points_NK = torch.from_numpy(PrincipalComponents.fit(flat_NTD, components).project(flat_NTD)).float()
    wanted = torch.from_numpy(wanted_N)
    nearest_NM = nearest_of_other_takes(points_NK, torch.from_numpy(pool.clip_N), count - 1, wanted)
    drawn = pool.motions.subset(wanted)
    mean_NTD = drawn.features_NTD.clone()
    for column in nearest_NM.T:
        mean_NTD += features_NTD[column]
    return replace(drawn, features_NTD=mean_NTD / count)


def nearest_of_other_takes(points_NK: Tensor, take_N: Tensor, count: int, wanted_N: Tensor) -> Tensor:
    """(len(wanted_N), count) indices of the nearest points of other takes, one of each take, nearest first."""
    # windows of one take in one row: the nearest of each take is then a minimum along rows. Overlapping windows of
    # one take are no mixture, hence one of each.
    take_N = torch.unique(take_N, return_inverse=True)[1]
    counts = torch.bincount(take_N)
    order_N = torch.argsort(take_N, stable=True)
    place_N = torch.arange(len(take_N)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    table_CW = torch.full((len(counts), int(counts.max())), -1)
    table_CW[take_N[order_N], place_N] = order_N
    absent_CW = table_CW < 0
    found = []
    for rows_n in torch.split(wanted_N, _ROWS):
        distance_nN = torch.cdist(points_NK[rows_n], points_NK)
        distance_nCW = distance_nN[:, table_CW.clamp_min(0)].masked_fill_(absent_CW, math.inf)
        best_nC, which_nC = distance_nCW.min(-1)
        best_nC.scatter_(1, take_N[rows_n, None], math.inf)
        takes_nM = best_nC.topk(count, dim=1, largest=False).indices
        found.append(table_CW[takes_nM, which_nC.gather(1, takes_nM)])
    return torch.cat(found)


def _generator(seed: int, dose: Dose, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}|{dose.key}|{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
