"""Power spectra against closed forms and scipy, and what the figures react to."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from scipy import signal

from motionsynth.metrics.record import Sets, UndefinedError
from motionsynth.metrics.signals import joint_velocities
from motionsynth.metrics.spectra import (
    MEASURES,
    log_spectral,
    power_spectra,
    velocity_spectra,
    window_energy,
)
from tests.metrics.altered import (
    check_records,
    figures,
    jittered,
    low_passed,
    of_cells,
    shrunk,
    standing,
    with_features,
)
from tests.metrics.sets import walkers

RATE = 30.0
RNG = np.random.default_rng(0)
NOISE = torch.from_numpy(RNG.normal(size=(5, 4, 64)))


def named(name):
    (measure,) = (m for m in MEASURES if any(metric.name == name for metric in m.metrics))
    return lambda a, b: measure.compute(Sets(a, b), None)[name]


def velocities(windows):
    return joint_velocities(windows.positions_NTJ3, RATE).flatten(2).transpose(1, 2)


@pytest.mark.parametrize("frequency", [3.0, 6.0, 9.3])
def test_the_energy_of_a_sinusoid_is_where_it_swings(frequency):
    """0.3^2 / 2 (m/s)^2, in bins no further off than the Hann window is wide."""
    wave = torch.sin(2 * torch.pi * frequency * torch.arange(64) / RATE + 0.7)[None, None] * 0.3
    frequencies, density = power_spectra(wave, RATE)
    energy = density[0, 0] * frequencies[1]
    near = (frequencies - frequency).abs() < 2 * RATE / 32
    assert float(energy.sum()) == pytest.approx(0.3**2 / 2, rel=0.05)
    assert float(energy[near].sum()) > 0.99 * float(energy.sum())


def test_without_a_window_energies_add_up_to_the_mean_square():
    frequencies, density = power_spectra(NOISE, RATE, window=None)
    energy = (density * frequencies[1]).sum(-1)
    np.testing.assert_allclose(energy, NOISE.square().mean(-1), rtol=1e-12)


@pytest.mark.parametrize(("samples", "segments"), [(63, 3), (64, 3), (127, 3)])
def test_welch_is_the_mean_of_hann_windowed_segments(samples, segments):
    """By numpy alone."""
    x = RNG.normal(size=samples)
    length = samples // 2
    step = length - length // 2
    window = signal.get_window("hann", length)
    parts = [x[i : i + length] for i in range(0, samples - length + 1, step)]
    assert len(parts) == segments
    size = 2 * (len(power_spectra(x[None, None], RATE)[0]) - 1)
    powers = [np.abs(np.fft.rfft((part - part.mean()) * window, size)) ** 2 for part in parts]
    expected = np.mean(powers, 0) / (RATE * np.square(window).sum())
    expected[1:-1] *= 2
    frequencies, density = power_spectra(x[None, None], RATE)
    np.testing.assert_allclose(density[0, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(frequencies, np.fft.rfftfreq(size, 1 / RATE))


def test_a_low_passed_signal_lacks_exactly_the_bins_above():
    spectrum = np.fft.rfft(NOISE.numpy())
    spectrum[..., 20:] = 0
    frequencies, density = power_spectra(np.fft.irfft(spectrum), RATE, window=None)
    _, before = power_spectra(NOISE, RATE, window=None)
    np.testing.assert_allclose(density[..., :20], before[..., :20], rtol=1e-9)
    assert float(density[..., 20:].max()) < 1e-25
    assert float(frequencies[20]) == pytest.approx(20 * RATE / 64)


def test_log_spectral_distance_of_scaled_spectra_is_their_ratio_in_decibel():
    reference = torch.rand(4, 9) + 0.5
    up, down = log_spectral(100 * reference, reference), log_spectral(reference / 10, reference)
    assert float(up.distance_db) == pytest.approx(20, rel=1e-5)
    assert float(up.bias_db) == pytest.approx(20, rel=1e-5)
    assert float(down.distance_db) == pytest.approx(10, rel=1e-5)
    assert float(down.bias_db) == pytest.approx(-10, rel=1e-5)
    assert log_spectral(reference, reference) == (0.0, 0.0)


def test_bins_far_below_the_peak_do_not_count():
    reference = torch.tensor([[1.0, 1.0, 1e-4, 1e-5]])
    weaker = reference * torch.tensor([1.0, 1.0, 1e-3, 1e-3])
    assert log_spectral(weaker, reference) == (0.0, 0.0)
    assert float(log_spectral(weaker, reference, floor_db=-float("inf")).distance_db) > 10
    louder = reference * torch.tensor([1.0, 1.0, 1e3, 1.0])
    assert float(log_spectral(louder, reference).bias_db) == pytest.approx(20 / 4, rel=1e-5)


def shifted(signals_NCL):
    shifts = np.random.default_rng(0).integers(1, signals_NCL.shape[-1], len(signals_NCL))
    return torch.stack([x.roll(int(shift), -1) for x, shift in zip(signals_NCL, shifts, strict=True)])


def distance(a, b, window):
    return float(log_spectral(*(power_spectra(x, RATE, window=window)[1].mean(0) for x in (a, b))).distance_db)


def test_shifted_copies_are_at_no_distance():
    a, b = velocities(walkers(0)).double(), velocities(walkers(1)).double()
    assert distance(shifted(a), a, None) < 1e-6
    assert distance(b, a, None) > 0.1  # the same would not hold of any two sets


def closed(signals_NCL, frames=16):
    """Loops: the last frames fade into the first."""
    length = signals_NCL.shape[-1] - frames
    rise = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(frames) + 0.5) / frames)
    loop = signals_NCL[..., :length].clone()
    loop[..., :frames] = rise * loop[..., :frames] + (1 - rise) * signals_NCL[..., length:]
    return loop


def test_with_welch_shifted_copies_are_nearer_than_real_from_real():
    """Of clips that are loops: of others the ends meet in a jump, which is jitter and counts as such."""
    a, b = velocities(walkers(0)), velocities(walkers(1))
    assert distance(shifted(closed(a)), closed(a), "hann") < distance(closed(b), closed(a), "hann")
    assert distance(a.roll(2, -1), a, "hann") < distance(b, a, "hann")  # the window hides the ends
    assert distance(shifted(a), a, "hann") > distance(b, a, "hann")


def test_a_set_against_itself_is_ideal_and_halves_are_near():
    check_records(MEASURES)
    whole = walkers()
    ideal = {metric.name: metric.ideal for metric in chain.from_iterable(m.metrics for m in MEASURES)}
    assert figures(MEASURES, whole, whole) == ideal
    halves = figures(MEASURES, walkers(0), walkers(1))
    for name, value in halves.items():
        if name.startswith(("energy", "share")):
            assert value == pytest.approx(1.0, abs=0.1), name
        else:
            assert abs(value) < 1.0, name


def test_energies_are_those_of_a_loop_over_windows():
    a, b = walkers(0), walkers(1)

    def logs(windows):
        out = []
        for positions_TJ3 in windows.positions_NTJ3.numpy().astype(np.float64):
            v = np.diff(positions_TJ3, axis=0).reshape(63, -1).T * RATE
            f, p = signal.welch(v, RATE, nperseg=31, noverlap=15, nfft=32)
            out.append(np.log(p[:, (f > 5) & (f < 15)].mean(0).sum() * f[1] + 1e-10))
        return np.array(out)

    expected = np.exp(logs(a).mean() - logs(b).mean())
    assert named("energy_above_5hz")(a, b) == pytest.approx(expected, rel=1e-4)


def test_energy_falls_with_the_cut_off_and_rises_with_jitter():
    real, other = walkers(0), walkers(1)
    doses = [figures(MEASURES, low_passed(other, hz), real) for hz in (10, 6, 4, 2.5, 1.5, 0.8)]
    for name in ("energy_above_3hz", "energy_above_5hz", "energy_above_8hz", "log_spectral_bias"):
        for end in ("", "_within"):
            values = [dose[name + end] for dose in doses]
            assert values == sorted(values, reverse=True), name
            assert values[-1] < 0.5 * abs(values[0])
            assert named(name + end)(jittered(other, 0.005), real) > named(name + end)(other, real) * 1.1
    values = [dose["log_spectral_distance_within"] for dose in doses[1:]]
    assert values == sorted(values)


def test_share_tells_shrinkage_from_low_pass():
    real, other = walkers(0), walkers(1)
    less, blurred = shrunk(other, 0.5), low_passed(other, 2.5)
    assert named("energy_above_5hz")(less, real) < 0.5
    assert named("energy_above_5hz")(blurred, real) < 0.5
    assert named("share_above_5hz")(less, real) == pytest.approx(1.0, abs=0.15)
    assert named("share_above_5hz")(blurred, real) < 0.5


def test_dropped_cells_move_only_what_is_not_compared_within_cells():
    real, other = walkers(0), walkers(1)
    left = of_cells(other, [0, 1, 2])
    for name in ("energy_above_5hz", "share_above_5hz", "log_spectral_bias"):
        whole, cell_by_cell = (figures(MEASURES, other, real)[name + end] for end in ("", "_within"))
        assert abs(named(f"{name}_within")(left, real) - cell_by_cell) < 0.15
        assert abs(named(name)(left, real) - whole) > 0.15, name


def test_sets_are_compared_below_the_lower_nyquist_frequency():
    real, other = walkers(0), replace(walkers(1).to("cpu"), nyquist_hz=6.0)
    for name in ("energy_above_8hz", "share_above_8hz_within"):
        with pytest.raises(UndefinedError, match="below 6 Hz: nothing is left above 8 Hz"):
            named(name)(real, other)
    assert named("energy_above_5hz")(other, real) == pytest.approx(1, abs=0.1)
    noisy = jittered(other, 0.002)  # white: most of it lies above 6 Hz
    assert named("share_above_3hz")(noisy, real) < 0.8 * named("share_above_3hz")(replace(noisy, nyquist_hz=15.0), real)
    with pytest.raises(UndefinedError, match=r"too short for a bin of the spectrum between 8 and 8\.2 Hz"):
        named("energy_above_8hz")(real, replace(other, nyquist_hz=8.2))


def test_still_sets_have_a_value_or_say_why_not():
    real, still = walkers(0), standing(walkers(1))
    assert float(window_energy(still).abs().max()) < 1e-9
    for name in ("energy_above_3hz", "energy_above_8hz_within"):
        assert 0 < named(name)(still, real) < 0.01
        assert named(name)(still, still) == 1.0
    assert named("log_spectral_distance")(still, still) == 0.0
    assert named("log_spectral_distance")(real, still) > 20
    for a, b, who in ((still, real, "generated"), (real, still, "reference")):
        with pytest.raises(UndefinedError, match=f"the {who} windows stand still"):
            named("share_above_3hz")(a, b)


def test_what_does_not_belong_together_is_refused():
    real = walkers(0)
    short = with_features(real, real.features_NTD[:, :32])
    with pytest.raises(ValueError, match="length of windows"):
        named("energy_above_3hz")(short, real)
    with pytest.raises(UndefinedError, match="no cells"):
        named("energy_above_3hz_within")(replace(real, cell_N=None), real)
    with pytest.raises(ValueError, match="at least 6 samples"):
        power_spectra(torch.zeros(1, 1, 5), RATE)


def test_subsets_take_their_rows():
    index = torch.tensor([3, 3, 50, 7] * 5)
    windows = walkers(0)
    torch.testing.assert_close(
        windows.subset(index).per_window(velocity_spectra),
        velocity_spectra(with_features(windows, windows.features_NTD).to("cpu"))[index],
    )
