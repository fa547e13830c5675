"""Verdicts on figures whose worth is known, because they are made so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from motionsynth.calibration.plan import ZERO, Dose, Thresholds
from motionsynth.calibration.verdict import Series, judge, moved, rank_correlation

BLUR = [Dose("low_pass", hz) for hz in (10.0, 6.0, 4.0, 2.5, 1.5, 0.8)]
DROP = [Dose("cells", cells) for cells in (35.0, 14.0, 7.0, 3.0, 1.0)]
REPEATS = 10
T = Thresholds(resamples=300)


def series(blur, drop=(0,) * 5, *, noise=1.0, better="lower", within=False, drop_noise=0.0, seed=0) -> Series:
    """Levels in spreads: of real motion 0, then of the doses; repeats scatter by ``noise`` spreads."""
    rng = np.random.default_rng(seed)

    def around(level: float, wide: float = 0.0) -> np.ndarray:
        return level + rng.normal(0, np.hypot(noise, wide), REPEATS)

    values = {ZERO: around(0.0)}
    values |= {dose: around(level) for dose, level in zip(BLUR, blur, strict=True)}
    values |= {dose: around(level, drop_noise) for dose, level in zip(DROP, drop, strict=True)}
    apart = rng.normal(0, 1, REPEATS)
    values[ZERO] = (values[ZERO] - values[ZERO].mean()) / max(values[ZERO].std(ddof=1), 1.0)
    return Series("group/name", better, within, values, (apart - apart.mean()) / apart.std(ddof=1))


MONOTONE = (5, 10, 20, 30, 40, 50)


def test_a_figure_that_orders_its_dose_and_nothing_else_is_valid() -> None:
    verdict = judge(series(MONOTONE), "blur", BLUR, DROP, T)
    assert verdict.kind == "valid"
    assert verdict.doses == (ZERO, *BLUR)
    assert verdict.rho_low is not None and verdict.rho_low >= 0.9
    assert verdict.rival_moved is not None and verdict.rival_moved < 2


def test_direction_counts_where_a_figure_has_one() -> None:
    falling = tuple(-level for level in MONOTONE)
    assert judge(series(falling, better="higher"), "blur", BLUR, DROP, T).kind == "valid"
    assert judge(series(falling, better="match"), "blur", BLUR, DROP, T).kind == "valid"
    wrong = judge(series(falling, better="lower"), "blur", BLUR, DROP, T)
    assert wrong.kind == "invalid" and "improves" in wrong.reason
    wrong = judge(series(MONOTONE, better="higher"), "blur", BLUR, DROP, T)
    assert wrong.kind == "invalid" and "improves" in wrong.reason


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_blind(seed: int) -> None:
    verdict = judge(series((0,) * 6, noise=0.9, seed=seed), "blur", BLUR, DROP, T)
    assert verdict.kind == "blind" and "no dose moves it" in verdict.reason


def test_a_figure_drowned_in_noise_is_not_valid_though_its_mean_rises() -> None:
    verdict = judge(series((1, 2, 3, 4, 5, 6), noise=4.0), "blur", BLUR, DROP, T)
    assert (verdict.kind, verdict.cause) == ("invalid", "not monotone")


def test_a_figure_that_turns_back_is_not_valid_throughout() -> None:
    verdict = judge(series((20, 40, 20, 0, -20, -40), better="match"), "blur", BLUR, DROP, T)
    assert verdict.kind in ("range", "invalid") and verdict.kind != "valid"
    zigzag = judge(series((40, 0, 40, 0, 40, 20), better="match"), "blur", BLUR, DROP, T)
    assert (zigzag.kind, zigzag.cause) == ("invalid", "not monotone")


def test_a_figure_that_wakes_late_is_valid_in_the_range_where_it_is_awake() -> None:
    verdict = judge(series((0, 0, 0, 10, 30, 60)), "blur", BLUR, DROP, T)
    assert verdict.kind == "range"
    # a rank correlation of 0.9 has room for one dose at which it still sleeps
    assert verdict.doses in (tuple(BLUR[1:]), tuple(BLUR[2:]))
    assert verdict.reason == f"from {verdict.doses[0].label} to low_pass 0.8 Hz"


def test_one_dose_of_the_rival_is_enough_to_fail() -> None:
    confounded = judge(series(MONOTONE, (0, 0, 6, 6, 6)), "blur", BLUR, DROP, T)
    assert confounded.kind == "invalid"
    assert confounded.reason.startswith("cells ")
    assert confounded.rival in DROP[2:]
    always = judge(series(MONOTONE, (5, 6, 7, 8, 9)), "blur", BLUR, DROP, T)
    assert always.kind == "invalid" and always.cause == "rival"
    assert judge(series(MONOTONE, (0, 0, 0, 0, 0.5)), "blur", BLUR, DROP, T).kind == "valid"


def test_a_figure_that_only_strong_rivals_move_is_valid_up_to_them() -> None:
    ranged = judge(series(MONOTONE, (0, 0, 0, 0, 6)), "blur", BLUR, DROP, T)
    assert (ranged.kind, ranged.rival_up_to, ranged.reason) == ("range", (DROP[3],), f"up to {DROP[3].label}")
    assert ranged.doses == (ZERO, *BLUR)
    late = judge(series((0, 0, 0, 10, 20, 30), (0, 0, 0, 0, 6)), "blur", BLUR, DROP, T)
    assert late.kind == "range" and late.reason.startswith("from ") and late.reason.endswith(f"up to {DROP[3].label}")
    assert judge(series(MONOTONE), "blur", BLUR, DROP, T).rival_up_to == ()


def test_a_rival_that_sends_it_up_and_down_confounds_it_though_its_mean_stays() -> None:
    """Smoothness of few cells: sometimes they are brisk ones, sometimes calm ones."""
    torn = series(MONOTONE, drop_noise=8.0, seed=3)
    assert judge(torn, "blur", BLUR, DROP, T).kind == "invalid"
    # the same figure, compared cell by cell, is only noisier where there are fewer cells
    within = series(MONOTONE, drop_noise=8.0, within=True, seed=3)
    assert judge(within, "blur", BLUR, DROP, T).kind == "valid"
    # but a shift of its mean is still one
    shifted = series(MONOTONE, (0, 0, 0, 0, 40), drop_noise=8.0, within=True, seed=3)
    assert judge(shifted, "blur", BLUR, DROP, T).rival_up_to == (DROP[3],)


def test_undefined_doses_are_left_out_and_end_the_range() -> None:
    lacking = series(MONOTONE)
    lacking.values[BLUR[-1]][:] = np.nan
    verdict = judge(lacking, "blur", BLUR, DROP, T)
    assert verdict.kind == "range" and verdict.doses[-1] == BLUR[-2]
    lacking.values[ZERO][:] = np.nan
    assert judge(lacking, "blur", BLUR, DROP, T).kind == "undefined"


def test_constant_figures_are_blind_and_not_an_error() -> None:
    values = {dose: np.ones(REPEATS) for dose in (ZERO, *BLUR, *DROP)}
    assert judge(Series("a", "lower", False, values, np.ones(REPEATS)), "blur", BLUR, DROP, T).kind == "blind"


def test_movement_is_the_root_mean_square_in_spreads() -> None:
    one = series(MONOTONE)
    assert one.spread == pytest.approx(1.0)
    expected = np.sqrt(np.mean((one.values[BLUR[0]] - one.values[ZERO].mean()) ** 2))
    assert moved(one, BLUR[0]) == pytest.approx(expected)
    assert moved(one, ZERO) < 1.5


def test_rank_correlation_is_scipys_over_all_repeats() -> None:
    noisy = series((1, 2, 3, 4, 5, 6), noise=2.0)
    doses = [ZERO, *BLUR]
    noisy.values[BLUR[2]][4] = np.nan
    rho, low = rank_correlation(noisy, doses, T)
    places = np.repeat(np.arange(7), REPEATS)
    flat = np.concatenate([noisy.values[dose] for dose in doses])
    assert rho == pytest.approx(spearmanr(places, flat, nan_policy="omit").statistic)
    assert 0 < low < rho
    down, low_down = rank_correlation(
        Series("a", "match", False, {d: -noisy.values[d] for d in doses}, noisy.apart), doses, T
    )
    assert (down, low_down) == (pytest.approx(-rho), pytest.approx(low))
