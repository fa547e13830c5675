"""Evenness of the motion's power over frequency, and its distance from the reference's.

Signals are the world velocities of the moving joints in m/s, as in ``spectra``; here each window is transformed whole,
for twice the resolution at the low frequencies that hold most of the power.

Shapes: N windows, C channels, L samples of a signal, F frequencies.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import SIGNED, Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.signals import common_limit_hz, in_parts, velocity_channels
from motionsynth.metrics.within import mean_of, means_within, shared_cells

__all__ = ["MEASURES", "hann_power", "kl_divergence", "power_distribution", "spectral_entropy", "velocity_power"]

SMOOTHING: Final = 1e-8
"""Power added to every channel, in (m/s)^2, evenly over its frequencies: that of 0.1 mm/s."""


def hann_power(signals_NCL: Tensor | npt.NDArray[np.floating], rate_hz: float) -> tuple[Tensor, Tensor]:
    """``|FFT|^2`` of each whole signal, its mean taken off, under a Hann window; scaled to add up to its power.

    The square of the modulus, not of the real part that published code takes: so the phase does not count.

    Args:
        signals_NCL: (N, C, L) signals.
        rate_hz: samples a second.

    Returns:
        (F,) float64 frequencies in Hz and (N, C, F) power in squared units of the signal.
    """
    from scipy import fft, signal

    values = signals_NCL.cpu().numpy() if isinstance(signals_NCL, Tensor) else signals_NCL
    length = fft.next_fast_len(values.shape[-1], real=True)
    frequencies, density = signal.periodogram(values, rate_hz, "hann", nfft=length, detrend="constant")
    device = signals_NCL.device if isinstance(signals_NCL, Tensor) else None
    power = torch.as_tensor(density, device=device) * (rate_hz / length)
    return torch.as_tensor(frequencies, dtype=torch.float64), power


def power_distribution(power_CF: Tensor, *, smoothing: float = SMOOTHING) -> Tensor:
    """``p_f = (S_f + s / F) / sum_f (S_f + s / F)``: power as a distribution over frequency; even in a still channel.

    Args:
        power_CF: (..., C, F) power, summed or averaged over windows, in (m/s)^2.
        smoothing: s in (m/s)^2.

    Returns:
        (..., C, F) that adds up to 1 over F.
    """
    smoothed = power_CF + smoothing / power_CF.shape[-1]
    return smoothed / smoothed.sum(-1, keepdim=True)


def spectral_entropy(p_CF: Tensor) -> Tensor:
    """PSEnt: ``- sum_f p_f log p_f``, mean over channels.

    References:
        Ruiz et al., Human Motion Prediction via Spatio-Temporal Inpainting (STMI-GAN), 2019.

    Args:
        p_CF: (..., C, F) positive distributions over frequency.

    Returns:
        (...) nats.
    """
    return -(p_CF * p_CF.log()).sum(-1).mean(-1)


def kl_divergence(p_CF: Tensor, q_CF: Tensor) -> Tensor:
    """PSKL: ``sum_f p_f log (p_f / q_f)``, mean over channels.

    References:
        Ruiz et al., Human Motion Prediction via Spatio-Temporal Inpainting (STMI-GAN), 2019.

    Args:
        p_CF: (..., C, F) positive distributions over frequency.
        q_CF: (..., C, F) positive distributions over frequency.

    Returns:
        (...) nats.
    """
    return (p_CF * (p_CF.log() - q_CF.log())).sum(-1).mean(-1)


def velocity_power(windows: Descriptors) -> Tensor:
    """Power of the velocities of each window by ``hann_power``: (N, C, F) in (m/s)^2; C is 3 x the moving joints."""
    rate = windows.spec.frame_rate
    return in_parts(windows, lambda x: hann_power(velocity_channels(x, rate), rate)[1])


@lru_cache(maxsize=8)
def _frequencies(frames: int, rate_hz: float) -> Tensor:
    """(F,) frequencies of the power of windows of so many frames."""
    return hann_power(torch.zeros(1, 1, frames - 1), rate_hz)[0]


def _band(sets: Sets) -> Tensor:
    """(F,) bool: the bins above zero and below what both sets can hold."""
    limit_hz, reference = common_limit_hz(sets), sets.reference
    frequencies_F = _frequencies(reference.motion_NTD.shape[1], reference.spec.frame_rate)
    band_F = (frequencies_F > 0) & (frequencies_F < limit_hz)
    if band_F.sum() < 2:
        raise UndefinedError(f"fewer than two bins of the spectrum lie below {limit_hz:g} Hz")
    return band_F.to(reference.motion_NTD.device)


def _figures(sets: Sets, space: str | None, *, within: bool) -> dict[str, float]:
    band_F = _band(sets)
    if within:
        cells = shared_cells(sets.generated, sets.reference)
        power = [means_within(s, velocity_power, cells.cells_C) for s in (sets.generated, sets.reference)]
    else:
        cells, power = None, [mean_of(s, velocity_power) for s in (sets.generated, sets.reference)]
    p, q = (power_distribution(x[..., band_F]) for x in power)
    values = (spectral_entropy(p) - spectral_entropy(q), kl_divergence(q, p), kl_divergence(p, q))
    average = float if cells is None else cells.average
    return dict(zip(_names(within), map(average, values), strict=True))


def _names(within: bool) -> tuple[str, ...]:
    end = "_within" if within else ""
    return f"spectral_entropy{end}", f"spectral_kl_forward{end}", f"spectral_kl_reverse{end}"


def _metrics(*, within: bool) -> tuple[Metric, ...]:
    where, source = ", in each cell" if within else "", "Ruiz et al. 2019"
    of = f"of their power over frequency per channel{where}; smoothing (0.1 mm/s)^2"
    entropy, forward, reverse = _names(within)
    return (
        Metric(
            entropy,
            "smoothness",
            "nats",
            "match",
            f"PSEnt: entropy - sum p log p of generated less that of reference windows, p the distribution {of}.",
            source,
            0.0,
            within,
            SIGNED,
        ),
        Metric(
            forward,
            "smoothness",
            "nats",
            "lower",
            f"PSKL: sum q log (q / p), q of reference and p of generated windows the distributions {of}.",
            source,
            0.0,
            within,
        ),
        Metric(
            reverse,
            "smoothness",
            "nats",
            "lower",
            f"PSKL: sum p log (p / q), p of generated and q of reference windows the distributions {of}.",
            source,
            0.0,
            within,
        ),
    )


MEASURES: Final = (
    Measure(_metrics(within=False), partial(_figures, within=False), "takes"),
    Measure(_metrics(within=True), partial(_figures, within=True), "takes", needs=("cells",)),
)
