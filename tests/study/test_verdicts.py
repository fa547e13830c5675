"""From cells to verdicts: who is paired, who is left out and said so, and what the sentences say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from motionsynth.report.study.sentences import verdict_sentence
from motionsynth.study.plan import StudyConfig
from motionsynth.study.results import CellResult, DoseReading, ViewResult
from motionsynth.study.verdicts import Verdict, judge, statements

FIGURE = "smoothness/energy_above_5hz_within"
QUALITY = "fidelity/frechet.pca"
MACHINE = {"device": "CPU", "processor": "Xeon", "cores": 2, "threads": 1, "torch": "2"}
NOISE = np.random.default_rng(7).normal(0, 0.05, size=(3, 10))

PLAN: dict[str, Any] = {
    "name": "test",
    "question": "do they differ?",
    "corpora": {"walkers": {"data": {"path": "data/walkers"}, "title": "Walkers"}},
    "seeds": 5,
    "arms": {
        "vae": {
            "family": "vae",
            "title": "VAE",
            "seeds": 10,
            "views": {"mean": {}, "prior_sample": {"show": "sample"}},
        },
        "gan": {"family": "gan", "title": "GAN", "seeds": 10},
        "ae": {"family": "ae"},
        "mean_clip": {"landmark": "mean_clip", "tier": "landmark", "seeds": 1},
    },
    "useful": {},
    "hypotheses": {
        "smoother": {
            "says": "The VAE is smoother than the GAN.",
            "endpoint": {"dose": "blur"},
            "first": "vae",
            "second": "gan",
            "direction": "greater",
            "margin": 0.1,
        },
    },
}
LEVELS = {"vae": 0.6, "gan": 0.2, "ae": 0.3, "mean_clip": 1.0}


def plan(hypothesis: Mapping[str, Any] | None = None, **changed: Any) -> StudyConfig:
    base = PLAN["hypotheses"]["smoother"]
    return StudyConfig.model_validate({**PLAN, "hypotheses": {"smoother": {**base, **(hypothesis or {})}}, **changed})


def view(level: float, quality: float) -> ViewResult:
    reading = DoseReading(FIGURE, level, "measured", 4.0, "low_pass", "as smooth as")
    return ViewResult({FIGURE: -level, QUALITY: quality}, {"modes/ndb": "too few bins"}, {"blur": reading})


def cells_of(
    study: StudyConfig,
    levels: Mapping[str, float] = LEVELS,
    change: Callable[[CellResult], CellResult | None] = lambda c: c,
) -> dict[str, CellResult]:
    """Every cell of a study, finished; ``change`` may alter one or drop it."""
    found = {}
    for number, arm in enumerate(study.arms):
        for corpus in study.corpora_of(arm):
            for seed in study.seeds_of(arm):
                level = levels[arm] + (NOISE[number % 3, seed] if arm != "mean_clip" else 0.0)
                quality = 100.0 if arm == "mean_clip" else 20.0 + seed
                views = {name: view(level + 0.1 * i, quality) for i, name in enumerate(study.arms[arm].views)}
                cell = change(
                    CellResult(
                        "test", arm, corpus, seed, f"{len(found):016x}", "finished", "", study.hypotheses_sha256,
                        study.measure_sha256(arm), "fingerprint", "judge", "calibration", {}, 100, {}, {}, MACHINE,
                        "2026", {}, (), views,
                    )
                )  # fmt: skip
                if cell is not None:
                    found[cell.key] = cell
    return found


def only(study: StudyConfig, **given: Any) -> Verdict:
    verdicts = judge(study, cells_of(study, **given))
    assert len(verdicts) == 1
    return verdicts[0]


def sentence(verdict: Verdict) -> str:
    return verdict_sentence(plan(), verdict)


def at(arm: str, seed: int, **changed: Any) -> Callable[[CellResult], CellResult]:
    return lambda cell: replace(cell, **changed) if (cell.arm, cell.seed) == (arm, seed) else cell


def test_a_supported_statement_says_all_that_its_row_must_name() -> None:
    found = only(plan())
    difference = 0.4 + NOISE[0] - NOISE[1]
    assert (found.decision.kind, found.evidence.seeds) == ("supported", tuple(range(10)))
    assert found.evidence.reservations == ()
    assert found.evidence.sides == (("vae", "mean"), ("gan", "samples")) and found.hypothesis.endpoint.dose == "blur"
    assert found.mean == pytest.approx(difference.mean())
    assert found.interval == pytest.approx(stats.ttest_1samp(difference, 0).confidence_interval(0.95))
    assert found.decision.p == pytest.approx(stats.ttest_1samp(difference, 0, alternative="greater").pvalue)
    assert found.decision.p_adjusted == pytest.approx(2 * found.decision.p)
    assert found.comparison and found.comparison.effect and found.comparison.effect.g > 2
    assert found.evidence.machines == ("Xeon",)
    assert found.valid == f"{FIGURE}, which speaks for blur by calibration"
    assert sentence(found).startswith(
        "Supported on Walkers: VAE is above GAN in the blur dose by 0.411 of its axis (95%"
    )
    assert "10 seed pairs" in sentence(found)
    assert "more than 0.1, the smallest difference of interest" in sentence(found)


@pytest.mark.parametrize(
    ("direction", "gap", "kind", "says"),
    [
        ("less", 0.4, "refuted", "Refuted on Walkers, the opposite is the case: VAE"),
        ("differ", 0.4, "supported", "VAE is above GAN"),
        ("less", -0.4, "supported", "VAE is below GAN"),
        ("greater", 0.0, "equivalent", "less than 0.1"),
        ("greater", 0.1, "supported", "smallest difference of interest"),
    ],
)
def test_kinds(direction: str, gap: float, kind: str, says: str) -> None:
    found = only(plan({"direction": direction}), levels={**LEVELS, "vae": 0.5 + gap, "gan": 0.5})
    assert found.decision.kind == kind
    assert says in sentence(found)


def test_more_of_a_dose_is_not_told_as_damage_where_both_are_off_real_motion_the_other_way() -> None:
    told = sentence(only(plan(), levels={**LEVELS, "vae": -0.4, "gan": -0.8}))
    assert told.startswith("Supported") and told.endswith("; both are off real motion the other way.")
    assert "other way" not in sentence(only(plan(), levels={**LEVELS, "vae": 0.0, "gan": -0.8}))


def test_a_difference_too_small_to_matter_is_equivalence() -> None:
    found = only(plan({"margin": 0.3}), levels={**LEVELS, "vae": 0.6, "gan": 0.5})
    assert found.decision.p_adjusted < 0.05 and found.decision.kind == "equivalent"
    assert "less than 0.3, the smallest difference of interest, though not 0" in sentence(found)


def test_too_noisy_is_undecided() -> None:
    noisy = {**LEVELS, "vae": 0.2, "gan": 0.2}
    found = only(plan({"margin": 0.001}), levels=noisy)
    assert found.decision.kind == "undecided"
    assert "excludes neither 0 nor 0.001" in sentence(found)


def test_what_is_significant_alone_may_be_one_among_many() -> None:
    one = plan().hypotheses["smoother"]
    gap = {**LEVELS, "vae": 0.258, "gan": 0.2}
    alone = StudyConfig.model_validate({**PLAN, "hypotheses": {"h0": one.model_copy(update={"margin": 0.01})}})
    flat = one.model_copy(update={"margin": 0.01, "second": "vae"})
    others = {f"h{i}": flat for i in range(1, 40)}
    many = StudyConfig.model_validate({**PLAN, "hypotheses": {**alone.hypotheses, **others}})
    first, crowd = judge(alone, cells_of(alone, gap))[0], judge(many, cells_of(many, gap))
    assert first.decision.kind == "supported" and crowd[0].decision.kind == "undecided"
    assert crowd[0].decision.p == first.decision.p and crowd[0].decision.tests == 80
    assert "one among 80 tests" in sentence(crowd[0])


def test_a_metric_is_read_from_figures_of_the_view_that_is_named() -> None:
    hypothesis = {"endpoint": {"metric": FIGURE, "axis": "blur"}, "first": "vae@prior_sample", "second": "vae"}
    found = only(plan(hypothesis))
    assert found.hypothesis.endpoint.metric == FIGURE
    assert found.evidence.sides == (("vae", "prior_sample"), ("vae", "mean"))
    assert found.evidence.pairs[3] == pytest.approx((-0.7 - NOISE[0, 3], -0.6 - NOISE[0, 3]))
    assert found.valid == "valid for blur by calibration"
    assert "VAE (prior sample) is below VAE" in sentence(found)
    # the same difference in every seed: no spread to build an interval from
    assert found.comparison and found.interval is None and found.comparison.effect is None
    assert "judged by its sign alone" in sentence(found)
    assert found.decision.kind == "refuted" and found.decision.p_opposite == pytest.approx(2 * 2**-10)


def test_seeds_without_a_partner_are_said_to_be_unused() -> None:
    found = only(plan({"second": "ae"}))
    assert found.evidence.seeds == (0, 1, 2, 3, 4)
    assert found.evidence.reservations == ("VAE has 10 seeds, ae 5: its seeds 5 to 9 have no partner and are not used",)


def test_a_landmark_with_one_cell_is_held_against_every_seed() -> None:
    found = only(plan({"second": "mean_clip", "direction": "less"}))
    assert len(found.evidence.seeds) == 10 and {second for _, second in found.evidence.pairs} == {1.0}
    assert found.decision.kind == "supported"
    assert any("held against every seed" in text for text in found.evidence.reservations)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"state": "diverged", "error": "step 90: not finite", "views": {}}, "GAN, seed 3 of 10: diverged (step 90"),
        ({"views": {}}, "was not shown as samples"),
        ({"views": {"samples": ViewResult({})}}, "has no dose of blur"),
    ],
)
def test_lost_seeds_are_counted_and_named(changed: dict[str, Any], says: str) -> None:
    found = only(plan(), change=at("gan", 3, **changed))
    assert 3 not in found.evidence.seeds and len(found.evidence.seeds) == 9 == len(found.evidence.pairs)
    assert any(says in text for text in found.evidence.reservations)
    assert found.decision.kind == "supported"


def test_seeds_that_have_not_run_make_a_verdict_provisional() -> None:
    found = only(plan(), change=lambda cell: None if cell.arm == "gan" and cell.seed > 6 else cell)
    assert found.evidence.seeds == tuple(range(7))
    assert found.evidence.reservations == ("GAN, seeds 7 to 9 of 10: has not run; provisional until then",)


def test_an_undefined_figure_says_why() -> None:
    found = only(plan({"endpoint": {"metric": "modes/ndb", "because": "of a test"}}))
    assert found.decision.kind == "none" and found.valid == "of a test"
    assert "no seed pairs" in sentence(found)
    assert (
        "VAE, seeds 0 to 9 of 10: has no modes/ndb (too few bins); not among the pairs" in found.evidence.reservations
    )


def test_nothing_run_is_no_verdict() -> None:
    study = plan(useful=None)
    found = judge(study, {})[0]
    assert (found.decision.kind, found.mean, found.interval, found.comparison) == ("none", None, None, None)
    one = only(study, change=lambda cell: cell if cell.seed == 0 else None)
    assert one.decision.kind == "none" and "1 seed pair, where two" in sentence(one)


def worse(cell: CellResult) -> CellResult:
    return replace(cell, views={"samples": view(0.2, 51.0)}) if cell.arm == "gan" else cell


def test_no_verdict_is_drawn_from_an_arm_that_is_not_trained() -> None:
    found = only(plan(), change=worse)
    assert found.decision.kind == "none" and found.comparison is None
    assert (
        "GAN is not trained to a useful quality: its fidelity/frechet.pca is 51, not below 0.5 of the 100"
        in sentence(found)
    )
    assert only(plan(useful=None), change=worse).decision.kind == "supported"
    assert only(plan(useful={"share": 0.6}), change=worse).decision.kind == "supported"


def test_an_arm_of_unknown_quality_gives_no_verdict() -> None:
    found = only(plan(), change=lambda cell: None if cell.arm == "mean_clip" else cell)
    assert found.decision.kind == "none" and "is not known: no fidelity/frechet.pca of mean_clip" in sentence(found)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"hypotheses_sha256": "other"}, "hypotheses changed after 1 of 20 runs had ended: vae/walkers/2"),
        ({"measure_sha256": "other"}, "1 of 20 cells were measured otherwise than the study now asks: vae/walkers/2"),
        ({"judge": "another"}, "2 feature extractors judged the cells (another, judge)"),
        ({"fingerprint": "another"}, "2 versions of the corpus are behind the cells"),
        ({"calibration": "another"}, "2 calibrations are behind the doses of the cells (another, calibrat)"),
        ({"machine": {"device": "H100"}}, "the two runs of seed 2 were made on different machines (H100, Xeon)"),
    ],
)
def test_what_does_not_belong_together_is_said(changed: dict[str, Any], says: str) -> None:
    found = only(plan(), change=at("vae", 2, **changed))
    assert any(says in text for text in found.evidence.reservations) and len(found.evidence.reservations) == 1
    assert found.decision.kind == "supported"


def test_readings_off_the_curve_are_said() -> None:
    def off(cell: CellResult) -> CellResult:
        share, state = {"vae": (1.3, "beyond"), "gan": (-0.2, "other side")}.get(cell.arm, (0.5, "measured"))
        if cell.seed != 4 or cell.arm not in ("vae", "gan"):
            return cell
        shown = ViewResult({QUALITY: 20.0}, {}, {"blur": DoseReading(FIGURE, share, state, None, "low_pass", "")})
        return replace(cell, views=dict.fromkeys(cell.views, shown))

    found = only(plan(), change=off)
    assert found.evidence.pairs[4] == (1.3, -0.2)
    assert found.evidence.reservations[:2] == (
        "VAE, seed 4: the blur dose lies beyond the strongest dose that was calibrated",
        "GAN, seed 4: the blur dose lies on the other side of real motion",
    )
    assert (
        len(found.evidence.reservations) == 3 and "no dose stands behind the number" in found.evidence.reservations[2]
    )


def ratios(first: Any, second: Any) -> Callable[[CellResult], CellResult]:
    """A figure that is a ratio to real motion: what each seed of the two arms has."""
    of = {"vae": first, "gan": second}

    def change(cell: CellResult) -> CellResult:
        if cell.arm not in of:
            return cell
        figures = {FIGURE: float(np.broadcast_to(of[cell.arm], 10)[cell.seed]), QUALITY: 20.0}
        return replace(cell, views=dict.fromkeys(cell.views, ViewResult(figures)))

    return change


LOG = {"endpoint": {"metric": FIGURE, "axis": "blur", "log": True}, "margin": 0.4}


def test_logarithms_are_compared_where_the_endpoint_says_so() -> None:
    found = only(plan(LOG), change=ratios(2.0, 1.0))
    assert found.mean == pytest.approx(0.693147, abs=1e-6) and found.hypothesis.endpoint.log
    assert found.evidence.pairs == ((pytest.approx(np.log(2)), 0.0),) * 10
    assert found.interval is None and found.decision.kind == "supported"
    assert "VAE has 2 times as much energy above 5 Hz, within cells, as GAN (the same in all 10" in sentence(found)
    assert "more than a factor of 1.49, the smallest difference of interest" in sentence(found)
    assert only(plan({**LOG, "endpoint": {"metric": FIGURE, "axis": "blur"}}), change=ratios(2.0, 1.0)).mean == 1.0

    spread = np.exp(NOISE[0])
    found = only(plan({**LOG, "direction": "less"}), change=ratios(spread, 4 * np.exp(NOISE[1])))
    interval = stats.ttest_1samp(NOISE[0] - NOISE[1] - np.log(4), 0).confidence_interval(0.95)
    assert found.decision.kind == "supported" and found.interval == pytest.approx(interval)
    low, high = np.exp(interval)
    assert f"VAE has {np.exp(found.mean or 0):.3g} times" in sentence(found)
    assert f"(95% interval {low:.3g} to {high:.3g} times, 10 seed pairs)" in sentence(found)
    assert only(plan(LOG), change=ratios(spread, spread * 1.1)).decision.kind == "equivalent"


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_ratios_that_are_kept_rounded_are_the_same_whatever_their_size(size: float) -> None:
    rounded = size * (1 + 3e-7 * np.arange(10) / 10)
    assert only(plan(LOG), change=ratios(2 * rounded, size)).interval is None
    varied = size * (1 + 1e-5 * np.arange(10) / 10)
    assert only(plan(LOG), change=ratios(2 * varied, size)).interval is not None


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_what_has_no_logarithm_loses_its_seed(value: float) -> None:
    second = np.where(np.arange(10) == 3, value, 1.0)
    found = only(plan(LOG), change=ratios(2.0, second))
    assert 3 not in found.evidence.seeds and len(found.evidence.seeds) == 9
    assert found.evidence.reservations == (
        f"GAN, seed 3 of 10: {FIGURE} is {value:.3g}, which has no logarithm; not among the pairs",
    )
    plain = only(plan({**LOG, "endpoint": {"metric": FIGURE, "axis": "blur"}}), change=ratios(2.0, second))
    assert len(plain.evidence.seeds) == 10


def test_an_exploratory_arm_is_said_to_be_one() -> None:
    arms = {**PLAN["arms"], "ae": {"family": "ae", "tier": "B", "seeds": 10}}
    assert only(plan({"second": "ae"}, arms=arms)).evidence.reservations == ("ae is an exploratory arm",)


def calibration(kind: str) -> Any:
    verdict = SimpleNamespace(kind=kind, reason="from 4 to 1 Hz")
    return SimpleNamespace(verdict=lambda key, axis: verdict, headlines={"blur": SimpleNamespace(key=FIGURE)})


def test_a_figure_that_calibration_does_not_call_valid_gives_no_verdict() -> None:
    study = plan({"endpoint": {"metric": FIGURE, "axis": "blur"}, "direction": "less"})
    cells = cells_of(study)
    blind = judge(study, cells, {"walkers": cast("Any", calibration("blind"))})[0]
    assert blind.decision.kind == "none" and f"{FIGURE} is blind for blur on walkers" in sentence(blind)
    limited = judge(study, cells, {"walkers": cast("Any", calibration("range"))})[0]
    assert limited.decision.kind == "supported" and limited.valid == "valid for blur by calibration (from 4 to 1 Hz)"


def test_results_of_an_older_plan_are_refused() -> None:
    study = plan()
    cells = cells_of(study)
    some = next(iter(cells.values()))
    with pytest.raises(ValueError, match="both vae/walkers/0"):
        judge(study, {**cells, "f" * 16: replace(some, key="f" * 16)})
    strangers = {
        "e" * 16: replace(some, key="e" * 16, seed=77),
        "d" * 16: replace(some, key="d" * 16, arm="gone"),
    }
    assert judge(study, {**cells, **strangers}) == judge(study, cells)


def test_every_corpus_that_both_arms_run_on_is_a_statement() -> None:
    corpora = {**PLAN["corpora"], "real": {"data": {"path": "data/real"}}, "line": {"density": "line"}}
    study = plan(corpora=corpora)
    assert [corpus for _, _, corpus in statements(study)] == ["walkers", "real"]
    arms = {**PLAN["arms"], "gan": {"family": "gan", "corpora": ["real"], "seeds": 10}}
    assert [corpus for _, _, corpus in statements(plan(corpora=corpora, arms=arms))] == ["real"]
    assert [corpus for _, _, corpus in statements(plan({"corpora": ["real"]}, corpora=corpora))] == ["real"]
    found = judge(study, cells_of(study))
    assert [one.decision.tests for one in found] == [4, 4]
