"""Share of fast motion: power spectra of joint velocities, the nearest thing that motion has to blur.

Signals are the world velocities of the moving joints in m/s, three channels a joint; clips start facing +Z, so that x,
y and z mean the same in all. Spectra are compared below the Nyquist frequency of both sets only.

Shapes: N windows, C channels, L samples of a signal, F frequencies.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import SIGNED, Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.signals import common_limit_hz, in_parts, velocity_channels
from motionsynth.metrics.within import mean_difference, mean_of, means_within, shared_cells

__all__ = [
    "MEASURES",
    "LogSpectral",
    "frequencies_hz",
    "log_energy",
    "log_spectral",
    "power_spectra",
    "velocity_spectra",
    "window_energy",
]

THRESHOLDS_HZ: Final = (3.0, 5.0, 8.0)

ENERGY_FLOOR: Final = 1e-10
"""Added to every energy, in (m/s)^2: that of 0.01 mm/s, so that a still clip has a logarithm; below what any recording
holds, so that a blurred clip is not taken for less blurred."""

DENSITY_FLOOR: Final = 1e-8
"""Bins count as no lower, in (m/s)^2 / Hz: what lies below moves nothing that can be seen."""

FLOOR_DB: Final = -30.0
"""Bins count as no lower than this below the peak of the reference's channel: what nobody sees does not decide."""


def power_spectra(
    signals_NCL: Tensor | npt.NDArray[np.floating], rate_hz: float, *, window: str | None = "hann"
) -> tuple[Tensor, Tensor]:
    """One-sided power spectral densities by ``scipy.signal.welch``.

    Segments are half the signal long (``nperseg = L // 2``) and overlap by half, so there are three; the mean of each
    is taken off. Without a window: the periodogram of the whole signal as it is, which no circular shift changes and
    which adds up to the mean square (Parseval).

    References:
        Welch, The use of fast Fourier transform for the estimation of power spectra, 1967.

    Args:
        signals_NCL: (N, C, L) signals.
        rate_hz: samples a second.
        window: that of ``scipy.signal.get_window``; None for none.

    Returns:
        (F,) float64 frequencies in Hz and (N, C, F) densities in squared units of the signal a Hz.

    Raises:
        ValueError: the signals have fewer than 6 samples.
    """
    from scipy import fft, signal

    samples = signals_NCL.shape[-1]
    if samples < 6:
        raise ValueError(f"spectra need signals of at least 6 samples, not {samples}")
    values = signals_NCL.cpu().numpy() if isinstance(signals_NCL, Tensor) else signals_NCL
    if window is None:
        frequencies, density = signal.periodogram(values, rate_hz, "boxcar", detrend=False)
    else:
        length = samples // 2
        frequencies, density = signal.welch(
            values,
            rate_hz,
            window,
            nperseg=length,
            noverlap=length // 2,
            nfft=fft.next_fast_len(length, real=True),
            detrend="constant",
        )
    device = signals_NCL.device if isinstance(signals_NCL, Tensor) else None
    return torch.as_tensor(frequencies, dtype=torch.float64), torch.as_tensor(density, device=device)


class LogSpectral(NamedTuple):
    """Difference of two spectra, in dB."""

    distance_db: Tensor
    bias_db: Tensor
    """Below zero where the spectrum is the weaker one, above where it is the stronger."""


def log_spectral(spectra_CF: Tensor, reference_CF: Tensor, *, floor_db: float = FLOOR_DB) -> LogSpectral:
    """Compare spectra by ``d = 10 log10 (S / R)``: the mean over channels of ``sqrt(mean_F d^2)``, and of ``mean_F d``.

    Both are floored at ``floor_db`` below the highest bin of the reference's channel, and at ``DENSITY_FLOOR``.

    References:
        Gray & Markel, Distance measures for speech processing, 1976.

    Args:
        spectra_CF: (..., C, F) densities in (m/s)^2 / Hz.
        reference_CF: (..., C, F) densities of the reference.
        floor_db: see above; minus infinity for no such floor.

    Returns:
        Two (...) tensors in dB.
    """
    floor = (reference_CF.amax(-1, keepdim=True) * 10 ** (floor_db / 10)).clamp_min(DENSITY_FLOOR)
    ratio = torch.maximum(spectra_CF, floor).log10() - torch.maximum(reference_CF, floor).log10()
    decibel = 10 * ratio
    return LogSpectral(decibel.square().mean(-1).sqrt().mean(-1), decibel.mean((-1, -2)))


def velocity_spectra(windows: Descriptors) -> Tensor:
    """Welch spectra of the velocities of each window: (N, C, F) in (m/s)^2 / Hz; C is three times the moving joints."""
    rate = windows.spec.frame_rate
    return in_parts(windows, lambda x: power_spectra(velocity_channels(x, rate), rate)[1])


def window_energy(windows: Descriptors) -> Tensor:
    """The energy in each bin of the velocities' Welch spectra, mean over channels: (N, F) in (m/s)^2."""
    return windows.per_window(velocity_spectra).mean(1) * float(
        frequencies_hz(windows.motion_NTD.shape[1], windows.spec.frame_rate)[1]
    )


@lru_cache(maxsize=8)
def frequencies_hz(frames: int, rate_hz: float) -> Tensor:
    """(F,) frequencies of the spectra of windows of so many frames."""
    return power_spectra(torch.zeros(1, 1, frames - 1), rate_hz)[0]


def _band(windows: Descriptors, above_hz: float, limit_hz: float) -> Tensor:
    """(F,) bool: the bins above one frequency and below another; none at either."""
    frequencies_F = frequencies_hz(windows.motion_NTD.shape[1], windows.spec.frame_rate)
    return ((frequencies_F > above_hz) & (frequencies_F < limit_hz)).to(windows.motion_NTD.device)


def _limit_hz(sets: Sets, above_hz: float) -> float:
    """The frequency below which two sets are compared.

    Raises:
        UndefinedError: between it and ``above_hz`` there is no bin.
    """
    limit_hz = common_limit_hz(sets)
    if above_hz >= limit_hz:
        raise UndefinedError(f"the sets are compared below {limit_hz:g} Hz: nothing is left above {above_hz:g} Hz")
    if not _band(sets.reference, above_hz, limit_hz).any():
        between = f"between {above_hz:g} and {limit_hz:g} Hz"
        raise UndefinedError(f"windows are too short for a bin of the spectrum {between}")
    return limit_hz


@lru_cache(maxsize=32)
def log_energy(above_hz: float, limit_hz: float) -> Callable[[Descriptors], Tensor]:
    """The function of windows to (N,) logarithms of their energies in a band: one function for one band.

    Args:
        above_hz: lower end of the band.
        limit_hz: upper end, the highest frequency that both sets hold.
    """

    def compute(windows: Descriptors) -> Tensor:
        energy_NF = windows.per_window(window_energy)[:, _band(windows, above_hz, limit_hz)]
        return (energy_NF.sum(1, dtype=torch.float64) + ENERGY_FLOOR).log()

    return compute


def _log_energies(sets: Sets, above_hz: float, limit_hz: float) -> tuple[Tensor, Tensor]:
    compute = log_energy(above_hz, limit_hz)
    return sets.generated.per_window(compute), sets.reference.per_window(compute)


def _energy(sets: Sets, space: str | None, *, above_hz: float, within: bool) -> dict[str, float]:
    logs = _log_energies(sets, above_hz, _limit_hz(sets, above_hz))
    ratio = mean_difference(sets.generated, sets.reference, *logs, within=within).exp()
    return {_name("energy", above_hz, within): float(ratio)}


def _share(sets: Sets, space: str | None, *, above_hz: float, within: bool) -> dict[str, float]:
    limit_hz = _limit_hz(sets, above_hz)
    high, whole = (_log_energies(sets, hz, limit_hz) for hz in (above_hz, 0.0))
    for what, logs in zip(("generated", "reference"), whole, strict=True):
        if float(logs.mean().exp()) < 2 * ENERGY_FLOOR:
            raise UndefinedError(f"the {what} windows stand still: there is no energy to have a share of")
    shares = [a - b for a, b in zip(high, whole, strict=True)]
    ratio = mean_difference(sets.generated, sets.reference, *shares, within=within).exp()
    return {_name("share", above_hz, within): float(ratio)}


def _distance(sets: Sets, space: str | None, *, within: bool) -> dict[str, float]:
    band_F = _band(sets.reference, 0.0, _limit_hz(sets, 0.0))
    if within:
        cells = shared_cells(sets.generated, sets.reference)
        a, b = (means_within(s, velocity_spectra, cells.cells_C) for s in (sets.generated, sets.reference))
        distance, bias = map(cells.average, log_spectral(a[..., band_F], b[..., band_F]))
    else:
        a, b = (mean_of(s, velocity_spectra) for s in (sets.generated, sets.reference))
        distance, bias = map(float, log_spectral(a[..., band_F], b[..., band_F]))
    end = "_within" if within else ""
    return {f"log_spectral_distance{end}": distance, f"log_spectral_bias{end}": bias}


def _name(what: str, above_hz: float, within: bool) -> str:
    return f"{what}_above_{above_hz:g}hz{'_within' if within else ''}"


def _metric(what: str, above_hz: float, within: bool) -> Metric:
    formula = {
        "energy": f"exp(mean log a - mean log b) of the energy of joint velocities above {above_hz:g} Hz",
        "share": f"exp(mean log a - mean log b) of the share of that energy that lies above {above_hz:g} Hz",
    }[what]
    summary = (
        f"{formula}, a of generated, b of reference windows{', in each cell' if within else ''}; floor (0.01 mm/s)^2."
    )
    return Metric(_name(what, above_hz, within), "smoothness", "1", "match", summary, "Welch 1967", 1.0, within)


def _distance_metrics(*, within: bool) -> tuple[Metric, Metric]:
    end, where = ("_within", ", in each cell") if within else ("", "")
    floors = f"floored at {FLOOR_DB:g} dB of the reference's peak and {DENSITY_FLOOR:g} (m/s)^2/Hz"
    of = f"d = 10 log10 of the mean spectra's ratio, {floors}{where}"
    source = "Gray & Markel 1976"
    distance = f"Mean over channels of sqrt(mean_f d^2), {of}."
    bias = f"Mean over channels and frequencies of {of}: below zero blur, above it jitter."
    return (
        Metric(f"log_spectral_distance{end}", "smoothness", "dB", "lower", distance, source, 0.0, within),
        Metric(f"log_spectral_bias{end}", "smoothness", "dB", "match", bias, source, 0.0, within, SIGNED),
    )


MEASURES: Final = (
    *(
        Measure(
            (_metric(what, above_hz, within),),
            partial(compute, above_hz=above_hz, within=within),
            "takes",
            needs=("cells",) if within else (),
        )
        for what, compute in (("energy", _energy), ("share", _share))
        for within in (False, True)
        for above_hz in THRESHOLDS_HZ
    ),
    Measure(_distance_metrics(within=False), partial(_distance, within=False), "takes"),
    Measure(_distance_metrics(within=True), partial(_distance, within=True), "takes", needs=("cells",)),
)
