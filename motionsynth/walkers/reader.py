"""Reading a walker's parameters off its window: one ridge regression a cell, fitted to fresh windows.

    theta = W [z, s, b, z z'] + w0

z are the slow window's principal components (cosine coefficients below 5.6 Hz, so that neither tremor nor its lack
moves them), s those of each column's deviation in time, b those of its logarithm in three bands; z z' the products of
the first of z. The phase is read as cosine and sine.

Shapes: N windows, T frames, C slow columns, K cosine coefficients, P parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.windows import PHASE

__all__ = ["Basis", "Reader", "determination", "phase_error", "slow_part"]

SLOW_HZ: Final = 5.6
"""Highest frequency that is read: strides and gestures lie below, tremor and landings' shaking have much above."""
_COMPONENTS: Final = (64, 40, 60)
"""Principal components of window, deviations and bands; a tenth of the windows at most."""
_PRODUCTS: Final = 12
_RIDGE: Final = 2e-3
"""Penalty a window, on standardised inputs."""
_LEAST: Final = 0.05
"""Columns that hardly move are not blown up: no scale is below this share of the median."""
_FOLDS: Final = 5


class Basis(NamedTuple):
    """Standardised principal components."""

    mean_C: FloatArray
    axes_CK: FloatArray

    @classmethod
    def fit(cls, values_NC: FloatArray, count: int) -> Self:
        """The first ``count`` components, each of variance one on these rows; by the smaller Gram matrix."""
        mean_C = values_NC.mean(0)
        centred_NC = values_NC - mean_C
        if len(centred_NC) < centred_NC.shape[1]:
            power_K, vectors_NK = np.linalg.eigh(centred_NC @ centred_NC.T)
            axes_CK = centred_NC.T @ vectors_NK[:, ::-1][:, :count]
        else:
            power_K, axes_CK = np.linalg.eigh(centred_NC.T @ centred_NC)
            axes_CK = axes_CK[:, ::-1][:, :count]
        power_K = np.maximum(power_K[::-1][: axes_CK.shape[1]], 1e-9 * power_K.max())
        axes_CK = axes_CK / np.linalg.norm(axes_CK, axis=0)
        return cls(mean_C, axes_CK / np.sqrt(power_K / len(values_NC)))

    def apply(self, values_NC: FloatArray) -> FloatArray:
        """(N, K) components."""
        return (values_NC - self.mean_C) @ self.axes_CK


class Reader(NamedTuple):
    """Reads the parameters of one cell."""

    scale_C: FloatArray
    window: Basis
    deviation: Basis
    bands: Basis
    weights_FP: FloatArray
    """The last row is the constant; the first two columns are cosine and sine of the phase."""

    @classmethod
    def fit(cls, slow_NKC: FloatArray, truth_NP: FloatArray) -> tuple[Self, FloatArray]:
        """Fit to windows of known parameters.

        Args:
            slow_NKC: see :func:`slow_part`.
            truth_NP: parameters, the phase in turns first.

        Returns:
            The reader, and (N, P) the parameters of the same windows as read by fits to other windows: each fifth by
            the other four (the components are of all, as they know no parameter).
        """
        scale_C = slow_NKC[:, 1:].std((0, 1))
        scale_C = np.maximum(scale_C, _LEAST * np.median(scale_C))
        sizes = [min(size, len(slow_NKC) // 10) for size in _COMPONENTS]
        plain = _plain(slow_NKC, scale_C)
        bases = [Basis.fit(values, size) for values, size in zip(plain, sizes, strict=True)]
        inputs_NF = _inputs(plain, bases)
        targets_NP = _unwound(truth_NP)
        held_out_NP = np.empty_like(targets_NP)
        fold_N = np.arange(len(truth_NP)) % _FOLDS
        for fold in range(_FOLDS):
            out = fold_N == fold
            held_out_NP[out] = inputs_NF[out] @ _ridge(inputs_NF[~out], targets_NP[~out])
        window, deviation, bands = bases
        reader = cls(scale_C, window, deviation, bands, _ridge(inputs_NF, targets_NP))
        return reader, _wound(held_out_NP)

    def read(self, slow_NKC: FloatArray) -> FloatArray:
        """(N, P) parameters, the phase in turns first."""
        inputs_NF = _inputs(_plain(slow_NKC, self.scale_C), (self.window, self.deviation, self.bands))
        return _wound(inputs_NF @ self.weights_FP)


def slow_part(features_NTD: npt.NDArray[np.floating], spec: FeatureSpec) -> FloatArray:
    """(N, K, C) cosine coefficients below 5.6 Hz of all columns but contacts and joint velocities, which follow."""
    from scipy.fft import dct

    frames = features_NTD.shape[1]
    count = min(frames, max(4, 1 + int(2 * frames * SLOW_HZ / spec.frame_rate)))
    own = [name for name in spec.slices if name not in ("joint_velocities_m_s", "foot_contacts")]
    columns = np.concatenate([np.arange(spec.width)[spec.slices[name]] for name in own])
    values_NTC = np.asarray(features_NTD, dtype=np.float64)[..., columns]
    return np.asarray(dct(values_NTC, axis=1, norm="ortho")[:, :count] / np.sqrt(frames))


def phase_error(found_N: FloatArray, true_N: FloatArray) -> FloatArray:
    """Turns between two phases, -1/2 to 1/2."""
    return np.asarray(np.mod(found_N - true_N + 0.5, 1.0) - 0.5)


def _plain(slow_NKC: FloatArray, scale_C: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    scaled_NKC = slow_NKC / scale_C
    power_NKC = scaled_NKC[:, 1:] ** 2
    # of 24 coefficients: below 1 Hz, below 2.1 Hz, above
    edges = [0, power_NKC.shape[1] // 8 + 1, power_NKC.shape[1] // 3 + 1, power_NKC.shape[1]]
    bands = [power_NKC[:, low:high].sum(1) for low, high in pairwise(edges)]
    logs = np.log(np.sqrt(np.concatenate(bands, 1)) + 0.15)
    flat_NC = scaled_NKC.reshape(len(scaled_NKC), math.prod(scaled_NKC.shape[1:]))
    return flat_NC, np.sqrt(power_NKC.sum(1)), logs


def _inputs(plain: Sequence[FloatArray], bases: Sequence[Basis]) -> FloatArray:
    parts = [basis.apply(values) for values, basis in zip(plain, bases, strict=True)]
    first = parts[0][:, :_PRODUCTS]
    rows, columns = np.triu_indices(first.shape[1])
    return np.concatenate([*parts, first[:, rows] * first[:, columns], np.ones((len(first), 1))], 1)


def _ridge(inputs_NF: FloatArray, targets_NP: FloatArray) -> FloatArray:
    # targets are centred and scaled so that one penalty suits them all; the constant is not shrunk
    penalty_F = np.full(inputs_NF.shape[1], _RIDGE * len(inputs_NF))
    penalty_F[-1] = 0.0
    gram_FF = inputs_NF.T @ inputs_NF + np.diag(penalty_F)
    return np.asarray(np.linalg.solve(gram_FF, inputs_NF.T @ targets_NP))


def _unwound(truth_NP: FloatArray) -> FloatArray:
    turn = 2 * np.pi * truth_NP[:, :1]
    return np.concatenate([np.cos(turn), np.sin(turn), truth_NP[:, 1:]], 1)


def _wound(read_NP: FloatArray) -> FloatArray:
    turns = np.mod(np.arctan2(read_NP[:, 1:2], read_NP[:, :1]) / (2 * np.pi), 1.0)
    return np.concatenate([turns, read_NP[:, 2:]], 1)


def determination(names: Sequence[str], found_NP: FloatArray, truth_NP: FloatArray) -> FloatArray:
    """(P,) share of each parameter's variance that is read right, R^2; of the phase against 1/12 of a turn squared."""
    error_NP = found_NP - truth_NP
    spread_P = truth_NP.var(0)
    if names[0] == PHASE:
        error_NP[:, 0] = phase_error(found_NP[:, 0], truth_NP[:, 0])
        spread_P[0] = 1 / 12
    return np.asarray(1.0 - (error_NP**2).mean(0) / np.maximum(spread_P, 1e-12))
