"""PSEnt and PSKL against closed forms, scipy and the phase that published code trips over."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from scipy import stats

from motionsynth.metrics.entropy import (
    MEASURES,
    hann_power,
    kl_divergence,
    power_distribution,
    spectral_entropy,
)
from motionsynth.metrics.record import Sets, UndefinedError
from motionsynth.metrics.signals import joint_velocities
from tests.metrics.altered import check_records, figures, jittered, low_passed, of_cells, standing
from tests.metrics.sets import walkers

RATE = 30.0
RNG = np.random.default_rng(0)


def test_entropy_and_divergence_are_scipys():
    p, q = (torch.from_numpy(RNG.dirichlet(np.ones(9), 5)) for _ in range(2))
    assert float(spectral_entropy(p)) == pytest.approx(np.mean([stats.entropy(row) for row in p]))
    assert float(kl_divergence(p, q)) == pytest.approx(
        np.mean([stats.entropy(*rows) for rows in zip(p, q, strict=True)])
    )
    flat = torch.full((3, 8), 1 / 8)
    assert float(spectral_entropy(flat)) == pytest.approx(np.log(8))
    assert float(kl_divergence(p, p)) == 0.0


def test_power_is_that_of_the_signal_and_of_numpy():
    x = torch.from_numpy(RNG.normal(size=(400, 2, 64)))
    frequencies, power = hann_power(x, RATE)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    expected = np.abs(np.fft.rfft((x - x.mean(-1, keepdim=True)).numpy() * window)) ** 2 / (
        64 * np.square(window).sum()
    )
    expected[..., 1:-1] *= 2
    np.testing.assert_allclose(power, expected, rtol=1e-9)
    np.testing.assert_allclose(frequencies, np.fft.rfftfreq(64, 1 / RATE))
    assert float(power.sum(-1).mean()) == pytest.approx(float(x.var(-1, correction=0).mean()), rel=0.05)


@pytest.mark.parametrize("phase", [0.0, 0.4, 1.3])
def test_the_phase_does_not_count(phase):
    """The real part of the transform, taken for the power in published code, would be anything."""
    wave = torch.sin(2 * torch.pi * 6 * torch.arange(60) / RATE + phase)[None, None].double()
    still = torch.sin(2 * torch.pi * 6 * torch.arange(60) / RATE)[None, None].double()
    p, q = (power_distribution(hann_power(x, RATE)[1][0]) for x in (wave, still))
    assert float(kl_divergence(p, q)) < 1e-9


def test_smoothing_makes_a_still_channel_flat_and_leaves_others():
    power = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 2.0]])
    p = power_distribution(power)
    np.testing.assert_allclose(p[0], 0.25)
    np.testing.assert_allclose(p[1], power[1] / 8, rtol=1e-6)


def test_a_set_against_itself_is_ideal_and_halves_are_near():
    check_records(MEASURES)
    whole = walkers()
    ideal = {metric.name: metric.ideal for metric in chain.from_iterable(m.metrics for m in MEASURES)}
    assert figures(MEASURES, whole, whole) == ideal
    for name, value in figures(MEASURES, walkers(0), walkers(1)).items():
        assert abs(value) < 0.1, name


def test_figures_are_those_of_a_loop():
    a, b = walkers(0), walkers(1)

    def distribution(windows):
        v = joint_velocities(windows.positions_NTJ3, RATE).double().flatten(2).numpy()
        total = 0
        for v_TC in v:
            window = np.hanning(64)[:-1]  # periodic
            total = total + np.abs(np.fft.rfft((v_TC - v_TC.mean(0)) * window[:, None], 64, axis=0)) ** 2
        total = 2 * total[1:-1].T / (64 * np.square(window).sum()) / len(v)
        return (total + 1e-8 / 31) / (total + 1e-8 / 31).sum(-1, keepdims=True)

    p, q = distribution(a), distribution(b)
    values = figures(MEASURES, a, b)
    assert values["spectral_kl_forward"] == pytest.approx(stats.entropy(q, p, axis=1).mean(), rel=1e-2)
    assert values["spectral_kl_reverse"] == pytest.approx(stats.entropy(p, q, axis=1).mean(), rel=1e-2)
    expected = (stats.entropy(p, axis=1) - stats.entropy(q, axis=1)).mean()
    assert values["spectral_entropy"] == pytest.approx(expected, rel=1e-2)


def test_blur_lowers_entropy_and_jitter_raises_it():
    real, other = walkers(0), walkers(1)
    same = figures(MEASURES, other, real)
    blurred, rough = figures(MEASURES, low_passed(other, 1.5), real), figures(MEASURES, jittered(other, 0.005), real)
    for end in ("", "_within"):
        assert blurred[f"spectral_entropy{end}"] < same[f"spectral_entropy{end}"] < rough[f"spectral_entropy{end}"]
        for name in (f"spectral_kl_forward{end}", f"spectral_kl_reverse{end}"):
            assert min(blurred[name], rough[name]) > 5 * same[name]
        # what is fast is missed: dear for the reference, cheap for the blurred
        assert blurred[f"spectral_kl_forward{end}"] > blurred[f"spectral_kl_reverse{end}"]


def test_dropped_cells_move_only_what_is_not_compared_within_cells():
    real, other = walkers(0), walkers(1)
    left = of_cells(other, [3, 4, 5])
    whole, some = figures(MEASURES, other, real), figures(MEASURES, left, real)
    for name in ("spectral_kl_forward", "spectral_kl_reverse"):
        assert some[name] > 5 * whole[name]
        assert some[f"{name}_within"] < 3 * whole[f"{name}_within"]


def test_still_sets_have_a_value():
    real, still = walkers(0), standing(walkers(1))
    values = figures(MEASURES, still, real)
    assert values["spectral_entropy"] > 0  # nothing but the smoothing, which is flat
    assert values["spectral_kl_forward"] > 0.5
    assert set(figures(MEASURES, still, still).values()) == {0.0}


def test_sets_are_compared_below_the_lower_nyquist_frequency():
    real, other = walkers(0), walkers(1)
    half = replace(other, nyquist_hz=7.5)
    rough = jittered(other, 0.005)
    assert figures(MEASURES, half, real)["spectral_kl_forward"] < 0.1
    forward = [figures(MEASURES, replace(rough, nyquist_hz=hz), real)["spectral_kl_reverse"] for hz in (3.0, 7.5, 15.0)]
    assert forward == sorted(forward)  # white noise differs the more the more of it counts
    for measure in MEASURES:
        with pytest.raises(UndefinedError, match="fewer than two bins"):
            measure.compute(Sets(replace(other, nyquist_hz=0.5), real), None)
