"""Claims that no verdict may make: dose units off the axis, collapse of unreal windows, chance where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from motionsynth.report.numbers import number_text
from motionsynth.report.page import Table
from motionsynth.report.study.gather import Gathered
from motionsynth.report.study.method import changed_hypotheses
from motionsynth.report.study.pictures import spectra_pictures
from motionsynth.report.study.sentences import verdict_sentence
from motionsynth.report.study.statements import cut_blocks, verdict_blocks, verdicts_of
from motionsynth.study.outcomes import SPREAD, covers_next_to_nothing
from motionsynth.study.plan import StudyConfig
from motionsynth.study.results import CellResult, DoseReading, ViewResult
from motionsynth.study.statistics import compare, detectable, paired_tests
from motionsynth.study.verdicts import Verdict, judge, judge_cut
from tests.study.made_up import planned, results, study

ENERGY = "smoothness/energy_above_5hz_within"


def doses(
    axis: str, found: Callable[[CellResult], tuple[float, str, float, float]]
) -> Callable[[CellResult], CellResult]:
    """Give every cell of VAE and GAN a reading: share, state, figure and spread within cells."""

    def change(result: CellResult) -> CellResult:
        if result.arm not in ("vae", "gan"):
            return result
        share, state, figure, spread = found(result)
        reading = DoseReading(ENERGY, share, state, None, "low_pass", "far off")
        views = {
            name: dataclasses.replace(
                view, doses={**view.doses, axis: reading}, figures={**view.figures, ENERGY: figure, SPREAD: spread}
            )
            for name, view in result.views.items()
        }
        return dataclasses.replace(result, views=views)

    return change


def verdict_of(axis: str, change: Callable[[CellResult], CellResult]) -> tuple[StudyConfig, Verdict]:
    hypothesis = {"says": "So it is.", "endpoint": {"dose": axis}, "first": "vae", "second": "gan",
                  "direction": "greater", "margin": 0.1, "corpora": ["walkers"]}  # fmt: skip
    of = study(hypotheses={"so": hypothesis})
    (verdict,) = judge(of, {key: change(result) for key, result in results(of).items()})
    return of, verdict


def test_doses_off_the_axis_are_told_as_the_ratio_that_was_measured() -> None:
    figures = {"vae": [2.0, 2.2, 1.9, 2.1, 2.0], "gan": [8.0, 9.0, 8.5, 7.0, 8.0]}
    place = {"vae": -0.5, "gan": -1.4}

    def off(result: CellResult) -> tuple[float, str, float, float]:
        return place[result.arm] - 0.01 * result.seed**2, "other side", figures[result.arm][result.seed], 1.0

    of, verdict = verdict_of("blur", doses("blur", off))
    assert verdict.evidence.off_axis is not None and verdict.evidence.off_axis.key == ENERGY
    logs = np.log(figures["vae"]) - np.log(figures["gan"])
    low, high = np.exp(stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs)))
    told = verdict_sentence(of, verdict)
    assert f"VAE has {np.exp(logs.mean()):.3g} times as much energy above 5 Hz, within cells, as GAN" in told
    assert f"(95% interval {low:.3g} to {high:.3g} times)" in told and "off the calibrated axis" in told
    assert "0.9" in told and "both are off real motion the other way" in told


@pytest.mark.parametrize("state", ["measured", "none"])
def test_doses_on_the_axis_are_told_as_doses(state: str) -> None:
    of, verdict = verdict_of("blur", doses("blur", lambda r: (0.6 if r.arm == "vae" else 0.2, state, 1.0, 1.0)))
    assert verdict.evidence.off_axis is None and "times as much" not in verdict_sentence(of, verdict)
    half = doses("blur", lambda r: (0.6, "beyond" if r.arm == "vae" else state, 1.0, 1.0))
    assert verdict_of("blur", half)[1].evidence.off_axis is None, "one of the two was measured"


@pytest.mark.parametrize(
    ("axis", "spread", "state", "barred"),
    [
        ("collapse", 1.6, "beyond", True),
        ("drop", 1.6, "beyond", True),
        ("collapse", 0.6, "beyond", False),
        ("collapse", 1.6, "measured", False),
        ("blur", 1.6, "beyond", False),
    ],
)
def test_no_verdict_calls_unreal_windows_few(axis: str, spread: float, state: str, barred: bool) -> None:
    def read(result: CellResult) -> tuple[float, str, float, float]:
        vae = result.arm == "vae"
        return (1.2, state, 0.2, spread) if vae else (0.5 + 0.01 * result.seed, "measured", 0.4, 0.8)

    of, verdict = verdict_of(axis, doses(axis, read))
    assert (verdict.decision.kind == "none") == barred
    told = verdict_sentence(of, verdict)
    assert ("5 of 5 runs of VAE are off real motion" in told) == barred


def test_what_a_ledger_calls_a_run_is_what_bars_a_verdict() -> None:
    beyond = {"collapse": DoseReading("k", 1.1, "beyond", None, "cells", "")}
    assert covers_next_to_nothing(ViewResult({SPREAD: 1.2}, doses=beyond)) == "off real motion"
    assert covers_next_to_nothing(ViewResult({SPREAD: 0.9}, doses=beyond)) == "collapsed"
    assert covers_next_to_nothing(ViewResult({}, doses=beyond)) == "collapsed"
    assert covers_next_to_nothing(ViewResult({SPREAD: 1.2}, doses=beyond), ("drop",)) == ""
    assert covers_next_to_nothing(ViewResult({SPREAD: 1.2})) == ""


@pytest.mark.parametrize(("value", "holds"), [(6.0, (0, 1, 1)), (-6.0, (1, 0, 1)), (0.0, (1, 1, 0)), (0.5, (0, 1, 0))])
def test_what_is_computed_has_no_chance_in_it(value: float, holds: tuple[int, int, int]) -> None:
    exact = compare([value] * 3, margin=1.0, computed=True)
    assert (exact.method, exact.low, exact.effect) == ("exact", None, None)
    assert (exact.greater, exact.less, exact.equivalent) == holds
    assert compare([value] * 3, margin=1.0).method == "sign"
    assert compare([value, value, value + 0.1], margin=1.0, computed=True).method == "t", "the starts do not agree"


def grid(modes: dict[str, list[float]], **hypothesis: Any) -> tuple[StudyConfig, Verdict, str]:
    plain = {
        "name": "grid", "question": "?", "seeds": 3,
        "corpora": {"line": {"density": "line", "title": "a line"}},
        "arms": {name: {"objective": name, "set": {"components": 2}, "title": name} for name in modes},
        "hypotheses": {"covers": {
            "says": "It covers.", "endpoint": {"metric": "known/modes", "because": "exact"}, "first": "forward",
            "second": "reverse", "direction": "greater", "margin": 1, **hypothesis,
        }},
    }  # fmt: skip
    of = StudyConfig.model_validate(plain)
    found = {}
    for cell in planned(of):
        made = next(iter(results(study()).values()))
        views = {"samples": ViewResult({"known/modes": modes[cell.arm][cell.seed]})}
        same = {"arm": cell.arm, "corpus": "line", "seed": cell.seed, "key": cell.key, "calibration": ""}
        found[cell.key] = dataclasses.replace(made, **same, hypotheses_sha256=of.hypotheses_sha256,
                                              measure_sha256=of.measure_sha256(cell.arm), views=views)  # fmt: skip
    (verdict,) = judge(of, found)
    return of, verdict, verdict_sentence(of, verdict)


@pytest.mark.parametrize(
    ("reverse", "kind", "says"),
    [
        ([2.0] * 3, "supported", "more than 1,"),
        ([8.0] * 3, "equivalent", "less than 1,"),
        ([9.0] * 3, "refuted", "reaches 1,"),
    ],
)
def test_a_theorem_on_a_grid_carries_no_p(reverse: list[float], kind: str, says: str) -> None:
    _, verdict, told = grid({"forward": [8.0] * 3, "reverse": reverse})
    assert verdict.decision.kind == kind and says in told
    assert "the same from all 3 starts: exact" in told and "p =" not in told and "p <" not in told


def test_starts_that_differ_are_tested() -> None:
    _, verdict, told = grid({"forward": [8.0, 8.0, 8.0], "reverse": [2.0, 2.0, 3.0]})
    assert verdict.comparison is not None and verdict.comparison.method == "t" and "exact" not in told


@pytest.mark.parametrize(("count", "level"), [(5, 0.05 / 14), (10, 0.05 / 44), (3, 0.025)])
def test_what_could_be_seen_is_seen_in_four_studies_of_five(count: int, level: float) -> None:
    least = detectable(0.137, count, level)
    critical = stats.t.ppf(1 - level, count - 1)
    assert stats.nct.sf(critical, count - 1, least / 0.137 * np.sqrt(count)) == pytest.approx(0.8, abs=1e-4)
    drawn = np.random.default_rng(0).normal(least, 0.137, (20_000, count))
    assert np.mean(paired_tests(drawn, 0.05).greater <= level) == pytest.approx(0.8, abs=0.015)


def test_five_seeds_had_little_power_for_the_direction() -> None:
    """A difference of 15 points, with the spread that the study ``direction`` found, is seen one time in eight."""
    level, count = 0.05 / 14, 5
    power = [
        stats.nct.sf(stats.t.ppf(1 - level, count - 1), count - 1, 0.15 / s * np.sqrt(count)) for s in (0.137, 0.147)
    ]
    assert power == pytest.approx([0.12, 0.10], abs=0.01)
    assert detectable(0.137, count, level) > 0.35


CUT = {
    "gan-drops": {"says": "GAN covers less.", "endpoint": {"metric": "modes/cells_covered", "axis": "drop"},
                  "first": "gan", "second": "vae", "direction": "less", "margin": 0.05, "why": "Cut before training."},
    "vae-blurs": {"says": "VAE is less blurred.", "endpoint": {"metric": ENERGY, "axis": "blur", "log": True},
                  "first": "vae", "second": "gan", "direction": "greater", "margin": 0.2, "why": "Said twice."},
}  # fmt: skip


def test_what_was_cut_is_told_with_its_numbers_and_counts_in_no_family() -> None:
    whole, without = study(cut=CUT), study(cut={})
    found = results(whole)
    assert judge(whole, found) == judge(without, found), "verdicts are what they were"
    cut = {(verdict.name, verdict.corpus): verdict for verdict in judge_cut(whole, found)}
    drops = cut["gan-drops", "walkers"]
    gan, vae = ([r.views[whole.arms[arm].main_view].figures["modes/cells_covered"] for r in found.values()
                 if (r.arm, r.corpus) == (arm, "walkers")] for arm in ("gan", "vae"))  # fmt: skip
    assert drops.mean == pytest.approx(np.mean(np.subtract(gan, vae)))
    notes, table = cut_blocks(Gathered(whole, found, planned(whole)))
    assert isinstance(notes, str) and isinstance(table, Table)
    assert [item.rpartition(": ")[2] for item in notes.splitlines()] == ["Cut before training.", "Said twice."]
    rows = {(row[0].note, row[1].text): row for row in table.cells()}
    row = rows["gan-drops", "walkers (procedural)"]
    p = stats.ttest_rel(gan, vae).pvalue
    assert (row[3].text, row[4].text) == ("< 0.001" if p < 0.001 else number_text(p, 2), "as it says")
    assert rows["vae-blurs", "walkers (procedural)"][4].text == "the other way"
    assert not cut_blocks(Gathered(without, found, planned(without)))


def test_a_changed_hypothesis_says_how_it_stood() -> None:
    of = study(cut={})
    hypotheses = {name: h.model_dump() for name, h in of.hypotheses.items()}
    hypotheses["vae-blurs"] |= {"was": "The margin was 0.5.", "margin": 0.1}
    hypotheses["gan-drops"] |= {"margin": 0.06}
    changed = study(hypotheses=hypotheses, cut={})
    for plan, says in ((changed, True), (of, False)):
        gathered = Gathered(plan, results(of), planned(plan))
        assert ("What was changed and what was cut is told below" in changed_hypotheses(gathered)) == says
        verdicts = verdicts_of(gathered)
        texts = verdict_blocks(gathered, verdicts)
        assert ("Changed after results had been seen. The margin was 0.5." in texts) == says
        doubts = {sentence for verdict in verdicts for sentence in verdict.evidence.reservations}
        assert ("hypotheses of the study changed after all runs had ended" in doubts) == says


EACH = (("", " on walkers (procedural)"), (" of VAE", ""))


def test_spectra_are_drawn_by_power_and_by_logarithms() -> None:
    of = study()

    def both(result: CellResult) -> CellResult:
        views = {}
        for name, view in result.views.items():
            logs = [value - 3 for value in view.spectrum["decibels"]]
            views[name] = dataclasses.replace(view, spectrum={**view.spectrum, "decibels_log": logs})
        return dataclasses.replace(result, views=views)

    for change, ways in ((both, ("power", "logarithms")), (lambda result: result, ("power",))):
        gathered = Gathered(of, {key: change(result) for key, result in results(of).items()}, planned(of))
        shown = [entry for entry in gathered.entries("walkers", "A") if entry.arm == "vae"]
        titles = [picture.title for picture in spectra_pictures(gathered, "walkers", shown)]
        assert titles == [f"Spectra{arm} by {way}{on}" for arm, on in EACH for way in ways]
