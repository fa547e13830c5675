"""Tests, intervals and corrections against closed forms, and what they promise against simulated truth."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from motionsynth.study.simulate import Row, draw_differences, simulate, table, verdicts_of
from motionsynth.study.statistics import (
    Comparison,
    Direction,
    PValues,
    adjust,
    compare,
    decide,
    hedges_g,
    holm,
    paired_tests,
    t_interval,
)

FIRST = np.array([0.61, 0.72, 0.55, 0.83, 0.67, 0.70, 0.59])
SECOND = np.array([0.42, 0.66, 0.57, 0.60, 0.41, 0.63, 0.50])


@pytest.fixture(scope="module")
def rows() -> tuple[Row, ...]:
    return simulate(draws=4000, seed=0)


def test_p_values_are_those_of_scipys_paired_test() -> None:
    found = compare(FIRST - SECOND, margin=0.1)
    assert found.greater == pytest.approx(stats.ttest_rel(FIRST, SECOND, alternative="greater").pvalue, rel=1e-9)
    assert found.less == pytest.approx(stats.ttest_rel(FIRST, SECOND, alternative="less").pvalue, rel=1e-9)
    two_sided = decide([found], ["differ"])[0].p
    assert two_sided == pytest.approx(stats.ttest_rel(FIRST, SECOND).pvalue, rel=1e-9)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_is_scipys(confidence: float) -> None:
    found = compare(FIRST - SECOND, margin=0.1, confidence=confidence)
    assert (found.low, found.high) == pytest.approx(
        stats.ttest_1samp(FIRST - SECOND, 0).confidence_interval(confidence), rel=1e-9
    )


@pytest.mark.parametrize("margin", [0.05, 0.2, 0.4])
def test_equivalence_is_two_one_sided_tests(margin: float) -> None:
    difference = FIRST - SECOND
    above = stats.ttest_1samp(difference, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(difference, margin, alternative="less").pvalue
    assert compare(difference, margin=margin).equivalent == pytest.approx(max(above, below), rel=1e-9)


def test_equivalence_is_a_narrower_interval_within_the_margin() -> None:
    low, high = t_interval(FIRST - SECOND, 0.90)
    wide = float(max(-low, high))
    assert compare(FIRST - SECOND, margin=wide * 1.001).equivalent < 0.05
    assert compare(FIRST - SECOND, margin=wide * 0.999).equivalent > 0.05


def test_rows_are_tested_as_if_alone() -> None:
    difference = np.random.default_rng(0).normal(size=(3, 4, 6))
    together = paired_tests(difference, 0.5)
    alone = compare(difference[1, 2], margin=0.5)
    assert [float(p[1, 2]) for p in together] == pytest.approx([alone.greater, alone.less, alone.equivalent])


def test_holm_by_hand() -> None:
    # 4 x .005 = .02; 3 x .011 = .033; 2 x .02 = .04; 1 x .04 = .04; in the order given, with a tie
    assert holm([0.04, 0.005, 0.02, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])
    assert holm([0.03, 0.02, 0.02]) == pytest.approx([0.06, 0.06, 0.06])  # a larger p never gets a smaller one
    assert holm([0.6, 0.9]) == pytest.approx([1, 1])
    assert holm(np.empty((3, 0))).shape == (3, 0)


def test_holm_rejects_what_step_by_step_rejects() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.beta(0.2, 1, size=8)
        rejected: set[int] = set()
        for k, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (8 - k):
                break
            rejected.add(int(index))
        assert {int(i) for i in np.flatnonzero(holm(p) <= 0.05)} == rejected


def test_both_directions_of_every_statement_are_in_one_family() -> None:
    tests = PValues(np.array([0.01, 0.9]), np.array([0.99, 0.1]), np.array([0.02, 0.5]))
    adjusted = adjust(tests)
    assert adjusted.greater == pytest.approx([0.04, 1])  # of four
    assert adjusted.less == pytest.approx([1, 0.3])
    assert adjusted.equivalent == pytest.approx([0.04, 0.5])  # of two


def test_the_effect_size_is_unbiased_and_its_interval_inverts_the_noncentral_t() -> None:
    # J(4) = Gamma(2) / (sqrt 2 Gamma(1.5)) = 0.7979
    found = hedges_g(1.0, 1.0, 5, 0.95)
    assert found.g == pytest.approx(0.797885, rel=1e-5)
    t, scale = np.sqrt(5), np.sqrt(5) / 0.797885
    assert stats.nct.cdf(t, 4, found.low * scale) == pytest.approx(0.975, abs=1e-4)
    assert stats.nct.cdf(t, 4, found.high * scale) == pytest.approx(0.025, abs=1e-4)
    sample = np.random.default_rng(0).normal(1.5, 1, size=(20_000, 5))
    deviation = sample.std(-1, ddof=1)
    assert (0.797885 * sample.mean(-1) / deviation).mean() == pytest.approx(1.5, abs=0.03)
    assert (sample.mean(-1) / deviation).mean() > 1.8  # not corrected


@pytest.mark.parametrize("count", [3, 5, 10])
def test_effect_sizes_keep_their_order_and_sign_whatever_their_size(count: int) -> None:
    found = [hedges_g(mean, 1.0, count, 0.95) for mean in (-1e6, -200, -1, 0, 0.01, 1, 50, 100, 200, 1e6)]
    assert all(one.low < one.g < one.high for one in found)
    for one, two in itertools.pairwise(found):
        assert one.low < two.low and one.high < two.high
    assert found[0].low == pytest.approx(-found[-1].high)
    assert found[1].low == pytest.approx(-found[-2].high)


def test_the_effect_sizes_interval_covers() -> None:
    sample = np.random.default_rng(0).normal(1.0, 1, size=(1000, 5))
    found = [hedges_g(float(row.mean()), float(row.std(ddof=1)), 5, 0.95) for row in sample]
    # of the noncentrality: J scales estimate and ends alike, so the truth is scaled too
    assert 0.93 <= np.mean([one.low <= 0.797885 <= one.high for one in found]) <= 0.97


def test_identical_differences_are_told_by_their_signs() -> None:
    found = compare([1.0] * 10, margin=0.5)
    assert found.method == "sign" and found.effect is None and found.low is None
    assert (found.greater, found.less, found.equivalent) == (2**-10, 1, 1)
    assert decide([found], ["greater"])[0].kind == "supported"
    assert decide([compare([1.0] * 4, margin=0.5)], ["greater"])[0].kind == "undecided"
    zero = compare([0.0] * 10, margin=0.5)
    assert (zero.greater, zero.less, zero.equivalent) == (1, 1, 2**-10)
    assert decide([zero], ["differ"])[0].kind == "equivalent"


def test_rounding_is_no_spread_and_no_sign() -> None:
    rounded = [0.3 + 1e-8, 0.3, 0.3 - 1e-8, 0.3, 0.3]
    assert compare(rounded, margin=0.1, resolution=1e-6).method == "sign"
    assert compare(rounded, margin=0.1).method == "t"
    assert compare([1e-8] * 5, margin=0.1, resolution=1e-6).greater == 1


@pytest.mark.parametrize("values", [[], [0.4]])
def test_too_few_differences_give_no_verdict(values: list[float]) -> None:
    found = compare(values, margin=0.1)
    assert found.method == "none" and found.low is None and found.greater == 1
    assert decide([found], ["greater"])[0].kind == "none"
    assert found.mean == (values[0] if values else None)


def test_two_differences_have_an_interval_but_no_effect_size() -> None:
    found = compare([0.4, 0.5], margin=0.1)
    assert found.effect is None and found.low is not None and found.low < 0.4


@pytest.mark.parametrize(
    ("mean", "direction", "kind"),
    [
        (3.0, "greater", "supported"),
        (-3.0, "greater", "refuted"),
        (-3.0, "less", "supported"),
        (3.0, "less", "refuted"),
        (3.0, "differ", "supported"),
        (-3.0, "differ", "supported"),
        (0.0, "greater", "equivalent"),
        (0.0, "differ", "equivalent"),
        (0.5, "greater", "equivalent"),  # though significant: too small to be of interest
        (1.0, "greater", "supported"),  # smaller than the margin on average, but not shown to be
    ],
)
def test_verdicts(mean: float, direction: Direction, kind: str) -> None:
    difference = mean + np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    found = decide([compare(difference, margin=1.01)], [direction])[0]
    assert found.kind == kind
    loose = decide([compare(difference * 1e-3 + np.array([-1, 1, -1, 1, 0]), margin=0.5)], [direction])[0]
    assert loose.kind == "undecided"


def test_a_statement_that_cannot_be_tested_still_counts() -> None:
    one = compare([0.5, 0.9, 0.6, 0.8, 0.55], margin=0.1)
    alone, among = decide([one], ["greater"])[0], decide([one, None, None], ["greater", "differ", "less"])[0]
    assert alone.p_adjusted == pytest.approx(2 * one.greater)
    assert among.p_adjusted == pytest.approx(6 * one.greater)
    assert among.p == alone.p == one.greater
    assert among.tests == 6


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        compare([0.1, float("nan")], margin=0.1)
    with pytest.raises(ValueError, match="positive"):
        compare([0.1, 0.2], margin=0)
    with pytest.raises(ValueError, match="two differences"):
        paired_tests([[0.1]], 1)
    with pytest.raises(ValueError, match="directions"):
        decide([None], [])
    with pytest.raises(ValueError, match="three differences"):
        hedges_g(1, 1, 2, 0.95)
    with pytest.raises(ValueError, match="100 draws"):
        simulate(draws=5)
    assert decide([], []) == ()


def test_simulated_studies_keep_every_promise(rows: tuple[Row, ...]) -> None:
    promised = [row for row in rows if row.holds is not None]
    assert len(promised) == 22
    assert [row for row in promised if not row.holds] == []
    assert {row.seeds for row in promised} == {5, 10}
    assert all(row.draws >= 4000 for row in promised)


def share(rows: tuple[Row, ...], what: str, case: str, seeds: int) -> float:
    found = [row.share for row in rows if row.what.startswith(what) and row.case == case and row.seeds == seeds]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("seeds", "bootstrap"), [(5, 0.84), (10, 0.895)])
def test_coverage(rows: tuple[Row, ...], seeds: int, bootstrap: float) -> None:
    assert 0.93 <= share(rows, "95 % t", "normal", seeds) <= 0.97
    assert share(rows, "95 % percentile", "normal", seeds) == pytest.approx(bootstrap, abs=0.02)


def test_without_correction_the_bounds_would_break(rows: tuple[Row, ...]) -> None:
    for seeds in (5, 10):
        case = "normal, independent, no effects"
        # 1 - 0.9^6, two directions of six statements; and twice 1 - (1 - .05 / 6)^6
        assert share(rows, "the same, nothing", case, seeds) == pytest.approx(0.469, abs=0.03)
        assert share(rows, "the same, Holm over each", case, seeds) == pytest.approx(0.098, abs=0.02)


def test_power_is_that_of_the_noncentral_t(rows: tuple[Row, ...]) -> None:
    for seeds, effect in ((5, 1), (5, 2), (10, 1)):
        # one statement: both directions are in its family, so each has half of alpha
        exact = stats.nct.sf(stats.t.ppf(0.975, seeds - 1), seeds - 1, effect * np.sqrt(seeds))
        assert share(rows, "power: supported", f"effect {effect} sd, 1 statement", seeds) == pytest.approx(
            exact, abs=0.03
        )


def test_the_table_tells_a_broken_promise(rows: tuple[Row, ...]) -> None:
    text = table(rows)
    assert len(text.splitlines()) == len(rows) + 1
    assert "holds" in text and "FAILS" not in text
    broken = dataclasses.replace(rows[0], share=0.5)
    assert broken.holds is False and "FAILS" in table([broken])


def test_simulation_repeats() -> None:
    assert simulate(200, 3) == simulate(200, 3) != simulate(200, 4)


@pytest.mark.parametrize("shape", ["normal", "heavy", "skewed"])
@pytest.mark.parametrize("shared", [False, True])
def test_simulated_differences_are_what_they_claim(shape: str, shared: bool) -> None:
    found = draw_differences(shape, 20_000, 2, 5, np.random.default_rng(0), shared=shared)  # type: ignore[arg-type]
    assert found.shape == (20_000, 2, 5)
    assert found.mean() == pytest.approx(0, abs=0.02) and found.std() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(found[:, 0].ravel(), found[:, 1].ravel())[0, 1] == pytest.approx(0.5 * shared, abs=0.02)
    skew = 1 / np.sqrt(2) if shared else 1.0
    assert stats.skew(found.ravel()) == pytest.approx(skew if shape == "skewed" else 0, abs=0.15)


def test_simulated_verdicts_are_those_of_a_study() -> None:
    rng = np.random.default_rng(2)
    difference, effect = rng.normal(size=(20, 4, 5)), [0.0, 2.0, 5.0, -5.0]
    found = verdicts_of(difference, effect, 1.5)
    for study, kinds in zip(difference, found, strict=True):
        made: list[Comparison | None] = [compare(row + e, margin=1.5) for row, e in zip(study, effect, strict=True)]
        assert [one.kind for one in decide(made, ["greater"] * 4)] == list(kinds)
    assert len({str(kind) for kind in found.ravel()}) > 2
