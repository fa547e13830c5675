"""Speed, acceleration and jerk against closed forms and scipy's distance."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from scipy import stats

from motionsynth.metrics.derivatives import MEASURES, motion_magnitudes, wasserstein_sides
from motionsynth.metrics.record import Sets, UndefinedError
from motionsynth.metrics.signals import band_limit
from motionsynth.metrics.within import shared_cells
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


def along(x_T):
    """A joint that moves along a line in space."""
    return x_T[None, :, None, None] * torch.tensor([2.0, 3.0, 6.0]).double() / 7


def test_magnitudes_of_polynomials_are_the_closed_form():
    t = torch.arange(40).double() / RATE
    np.testing.assert_allclose(motion_magnitudes(along(1.5 * t), RATE)[0], [1.5, 0, 0, 1.5**2 / 2], atol=1e-9)
    np.testing.assert_allclose(motion_magnitudes(along(2 * t**2), RATE)[0, 1:3], [4, 0], atol=1e-9)
    np.testing.assert_allclose(motion_magnitudes(along(t**3), RATE)[0, 2], 6, atol=1e-7)


def test_a_standing_clip_has_none_wherever_it_stands():
    positions = torch.tensor([10.0, -4.0, 7.0]).expand(2, 30, 5, 3)
    assert torch.equal(motion_magnitudes(positions, RATE), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="at least 4 frames"):
        motion_magnitudes(positions[:, :3], RATE)


def test_magnitudes_do_not_depend_on_the_frame_rate():
    def swing(rate):
        t = torch.arange(int(4 * rate)).double() / rate
        return motion_magnitudes(along(0.2 * torch.sin(2 * torch.pi * t)), rate)[0]

    np.testing.assert_allclose(swing(60.0), swing(240.0), rtol=0.02)


def test_band_limiting_keeps_what_is_slow_and_takes_what_is_fast():
    t = (torch.arange(60).double() + 0.5) / RATE
    slow, fast = (along(torch.cos(2 * torch.pi * f * t)) for f in (4.0, 6.0))
    torch.testing.assert_close(band_limit(slow + fast, RATE, 5.0), slow)
    torch.testing.assert_close(band_limit(slow, RATE, 4.0), torch.zeros_like(slow))
    assert band_limit(slow, RATE, 15.0) is slow


@pytest.mark.parametrize(("n", "m"), [(50, 50), (31, 70), (1, 9)])
def test_sides_add_up_to_scipys_distance(n, m):
    a, b = RNG.normal(size=n) * 2, RNG.normal(size=m).round(1) + 0.3
    below, above = wasserstein_sides(torch.from_numpy(a), torch.from_numpy(b))
    assert float(below + above) == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-12)
    assert float(above - below) == pytest.approx(a.mean() - b.mean(), rel=1e-9)
    back = wasserstein_sides(torch.from_numpy(b), torch.from_numpy(a))
    assert (float(back[0]), float(back[1])) == pytest.approx((float(above), float(below)))


def test_sides_tell_low_from_high():
    reference = torch.rand(40)
    below, above = wasserstein_sides(reference - 0.25, reference)
    assert (float(below), float(above)) == (pytest.approx(0.25, rel=1e-6), 0.0)
    wide = 3 * (reference - reference.mean()) + reference.mean()
    below, above = wasserstein_sides(wide, reference)
    assert float(below) == pytest.approx(float(above), rel=1e-5)
    assert float(below) > 0.1
    assert [float(side) for side in wasserstein_sides(reference, reference.flip(0).repeat(3))] == [0.0, 0.0]


def test_sides_of_cells_are_those_of_a_loop():
    a, b = torch.randn(300), torch.randn(200)
    cell_a, cell_b = torch.randint(0, 6, (300,)), torch.randint(0, 6, (200,))
    cells = torch.tensor([0, 2, 5])
    below, above = wasserstein_sides(a, b, cell_a, cell_b, cells)
    for row, cell in enumerate(cells):
        expected = wasserstein_sides(a[cell_a == cell], b[cell_b == cell])
        assert float(below[row]) == pytest.approx(float(expected[0]), abs=1e-12)
        assert float(above[row]) == pytest.approx(float(expected[1]), abs=1e-12)


def test_a_set_against_itself_is_ideal_and_halves_are_near():
    check_records(MEASURES)
    whole = walkers()
    ideal = {metric.name: metric.ideal for metric in chain.from_iterable(m.metrics for m in MEASURES)}
    assert figures(MEASURES, whole, whole) == ideal
    for name, value in figures(MEASURES, walkers(0), walkers(1)).items():
        assert value == pytest.approx(ideal[name], abs=0.1), name


def test_ratios_are_those_of_a_loop_also_within_cells():
    a, b = walkers(0), walkers(1)

    def log_jerk(windows):
        x = windows.positions_NTJ3.double().numpy()
        jerk = (x[:, 3:] - 3 * x[:, 2:-1] + 3 * x[:, 1:-2] - x[:, :-3]) * RATE**3
        return np.log(np.maximum(np.linalg.norm(jerk, axis=-1).mean((1, 2)), 1e-2))

    values, logs_a, logs_b = figures(MEASURES, a, b), log_jerk(a), log_jerk(b)
    assert values["jerk_ratio"] == pytest.approx(np.exp(logs_a.mean() - logs_b.mean()), rel=1e-4)
    cells, weights = shared_cells(a, b)
    differences = [logs_a[a.cell_N == c].mean() - logs_b[b.cell_N == c].mean() for c in cells]
    assert values["jerk_ratio_within"] == pytest.approx(np.exp(weights.numpy() @ differences), rel=1e-4)
    total = values["jerk_shortfall"] + values["jerk_excess"]
    assert total == pytest.approx(stats.wasserstein_distance(logs_a, logs_b), rel=1e-3)


def test_blur_falls_short_and_jitter_exceeds():
    real, other = walkers(0), walkers(1)
    ratios = [figures(MEASURES, low_passed(other, hz), real)["jerk_ratio_within"] for hz in (10, 6, 4, 2.5, 1.5, 0.8)]
    assert ratios == sorted(ratios, reverse=True)
    blurred, rough = figures(MEASURES, low_passed(other, 1.5), real), figures(MEASURES, jittered(other, 0.005), real)
    for end in ("", "_within"):
        assert blurred[f"jerk_ratio{end}"] < 0.5
        assert rough[f"jerk_ratio{end}"] > 1.5
        assert blurred[f"jerk_shortfall{end}"] > 0.5 > 0.1 > blurred[f"jerk_excess{end}"]
        assert rough[f"jerk_excess{end}"] > 0.5 > 0.1 > rough[f"jerk_shortfall{end}"]
    less = figures(MEASURES, shrunk(other, 0.5), real)
    assert less["speed_ratio_within"] == pytest.approx(0.5, abs=0.05)
    assert less["jerk_ratio_within"] == pytest.approx(0.5, abs=0.05)
    assert less["kinetic_energy_ratio_within"] == pytest.approx(0.25, abs=0.05)


def test_dropped_cells_move_only_what_is_not_compared_within_cells():
    real, other = walkers(0), walkers(1)
    left = figures(MEASURES, of_cells(other, [0, 1, 2]), real)
    for name in ("speed_ratio", "acceleration_ratio", "jerk_ratio"):
        assert left[f"{name}_within"] == pytest.approx(1.0, abs=0.05)
        assert abs(left[name] - 1.0) > 0.1, name


def test_still_sets_have_a_value():
    real, still = walkers(0), standing(walkers(1))
    values = figures(MEASURES, still, real)
    assert 0 < values["speed_ratio"] < 0.01
    assert values["jerk_excess"] == 0.0
    same = figures(MEASURES, still, still)
    assert {same[name] for name in same if name.endswith(("_ratio", "_ratio_within"))} == {1.0}
    with pytest.raises(UndefinedError, match="no cells"):
        MEASURES[1].compute(Sets(replace(still, cell_N=None), real), None)


def test_sets_are_compared_below_the_lower_nyquist_frequency():
    real, other = walkers(0), walkers(1)
    rough = jittered(other, 0.005)
    low = figures(MEASURES, replace(rough, nyquist_hz=3.0), real)
    assert low["jerk_ratio"] < 0.5 * figures(MEASURES, rough, real)["jerk_ratio"]
    short = with_features(real, real.features_NTD[:, :32])
    with pytest.raises(ValueError, match="length of windows"):
        MEASURES[0].compute(Sets(short, real), None)
