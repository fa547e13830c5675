"""Intervals hold the truth as often as they say, where takes are clustered."""

from __future__ import annotations

import numpy as np
import pytest

from motionsynth.metrics.record import Resample
from motionsynth.metrics.resampling import Takes, interval

REPEATS, RESAMPLES, TAKES, WINDOWS = 600, 100, 60, 6


def coverage(how: Resample, *, by_window: bool = False) -> float:
    """How often the interval of a mean holds the true mean, 0: windows of a take share most of their value."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(REPEATS):
        value_N = np.repeat(rng.normal(size=TAKES), WINDOWS) + 0.3 * rng.normal(size=TAKES * WINDOWS)
        takes = Takes.of(np.arange(TAKES * WINDOWS) // (1 if by_window else WINDOWS))
        resampled = [float(value_N[takes.draw(how, rng)].mean()) for _ in range(RESAMPLES)]
        found = interval(float(value_N.mean()), resampled)
        held += found.low <= 0.0 <= found.high
    return held / REPEATS


@pytest.mark.parametrize("how", ["takes", "halves"])
def test_intervals_by_take_cover_the_mean(how: Resample) -> None:
    assert 0.90 <= coverage(how) <= 0.98


@pytest.mark.parametrize("how", ["takes", "halves"])
def test_intervals_by_window_would_not(how: Resample) -> None:
    assert coverage(how, by_window=True) < 0.75


def test_halves_spread_a_mean_as_much_as_new_takes_would() -> None:
    rng = np.random.default_rng(0)
    value_N = rng.normal(size=400)
    takes = Takes.of(np.arange(400))
    means = [value_N[takes.draw("halves", rng)].mean() for _ in range(4000)]
    assert np.std(means) == pytest.approx(value_N.std(ddof=1) / np.sqrt(400), rel=0.04)


def test_an_interval_moves_back_to_the_figure_where_resampling_is_biased() -> None:
    found = interval(1.0, list(np.linspace(4.0, 6.0, 100_001)))
    assert (found.low, found.high) == pytest.approx((0.05, 1.95), abs=1e-3)


def test_an_interval_ends_where_the_figure_does() -> None:
    wide = list(np.linspace(-1.0, 1.0, 1001))
    found = interval(0.3, wide, (0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)
    assert interval(0.3, wide).low < -0.6  # negative control


@pytest.mark.parametrize("how", ["takes", "halves"])
def test_takes_are_drawn_whole(how: Resample) -> None:
    take_N = np.array([7, 3, 7, 3, 9, 7, 1])
    takes = Takes.of(take_N)
    rng = np.random.default_rng(1)
    for _ in range(20):
        drawn = take_N[takes.draw(how, rng)]
        for take in set(drawn.tolist()):
            times, left = divmod(int((drawn == take).sum()), int((take_N == take).sum()))
            assert left == 0 and (how == "takes" or times == 1)
    assert len(set(take_N[takes.draw("halves", rng)].tolist())) == 2


def test_one_take_gives_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two takes"):
        Takes.of([4, 4, 4]).draw("takes", np.random.default_rng(0))
