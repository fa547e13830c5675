"""Curves read backwards, on curves whose inverse is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motionsynth.calibration.conclude import conclude
from motionsynth.calibration.curve import Curve, Ground, amount_text, held_out_error
from motionsynth.calibration.plan import ZERO, Dose, load_plan, shipped_plan
from motionsynth.calibration.reading import Reading, agreement, read_doses, read_figure, refuse_unfit
from motionsynth.calibration.record import (
    Calibration,
    DoseFigures,
    FigureRecord,
    load_calibration,
    save_calibration,
)
from motionsynth.calibration.verdict import Series
from motionsynth.errors import ConfigError
from motionsynth.metrics.record import Metric
from motionsynth.metrics.suite import Figure

GROUND = Ground(nyquist_hz=15.0, cells=67, windows=10_000, windows_a_cell=16.0)
REPEATS = 10


def energy(hz: float) -> float:
    """A share of energy that is left below a cut-off: 1 for real motion."""
    return hz / 15.0


def level(name: str, dose: Dose) -> float:
    """Figures that each react to one thing: sharp to blur and jitter, cover to drop, few to collapse."""
    if name == "sharp" and dose.kind == "low_pass":
        return energy(dose.value)
    if name == "sharp" and dose.kind == "jitter":
        return 1.0 + dose.value
    if name == "sharp":
        return 1.0
    if name == "cover":
        return dose.value / 67 if dose.kind == "cells" else 1.0
    if name == "few":
        return dose.value / 16 if dose.kind == "windows_per_cell" else 1.0
    return 0.0  # noise


def make_calibration(noise: float = 0.003) -> Calibration:
    config = load_plan(shipped_plan())
    rng = np.random.default_rng(0)
    doses = [ZERO] + [dose for axis in config.axes.values() for dose in config.ladder(axis.dose, 67)]
    names = {"sharp": "match", "cover": "higher", "few": "higher", "nothing": "match"}

    def draws(name: str, dose: Dose) -> list[float | None]:
        return [level(name, dose) + float(e) for e in rng.normal(0, noise, REPEATS)]

    found = tuple(
        DoseFigures(
            dose,
            {f"modes/{name}": draws(name, dose) for name in names},
            apart={f"modes/{name}": draws(name, ZERO) for name in names} if dose == ZERO else {},
        )
        for dose in doses
    )
    figures = {f"modes/{name}": FigureRecord(f"modes/{name}", "1", better, False, "") for name, better in names.items()}
    return conclude(Calibration(config, "c" * 64, "e" * 64, "made up", 1024, GROUND, found, figures))


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return make_calibration()


def read(calibration: Calibration, name: str, axis: str, value: float, *interval: float) -> Reading:
    verdict = calibration.verdict(f"modes/{name}", axis)
    assert verdict is not None and verdict.kind == "valid"
    return read_figure(calibration, verdict, value, *interval)


@pytest.mark.parametrize("hz", [8.0, 5.0, 3.2, 2.0, 1.1])
def test_a_cut_off_between_the_doses_is_recovered(calibration: Calibration, hz: float) -> None:
    reading = read(calibration, "sharp", "blur", energy(hz))
    assert reading.state == "measured" and reading.dose is not None
    assert reading.dose == pytest.approx(hz, rel=0.02)
    assert reading.low is not None and reading.high is not None and reading.low < reading.dose < reading.high


def test_at_a_dose_the_inverse_is_exact(calibration: Calibration) -> None:
    exact = make_calibration(noise=1e-9)
    verdict = replace(calibration.verdict("modes/sharp", "blur"), rho=-1.0)  # type: ignore[type-var]
    assert read_figure(exact, verdict, energy(2.5)).dose == pytest.approx(2.5, rel=1e-5)


def test_the_interval_holds_that_of_the_figure(calibration: Calibration) -> None:
    narrow = read(calibration, "sharp", "blur", energy(4.0), energy(3.9), energy(4.1))
    wide = read(calibration, "sharp", "blur", energy(4.0), energy(3.0), energy(5.0))
    assert narrow.low and narrow.high and wide.low and wide.high
    assert wide.low < narrow.low < 4.0 < narrow.high < wide.high
    assert (wide.low, wide.high) == (pytest.approx(3.0, rel=0.08), pytest.approx(5.0, rel=0.08))
    assert wide.sentence.startswith("as smooth as real motion low-passed at 4 Hz (")


def test_shares_of_cells_are_told_in_percent(calibration: Calibration) -> None:
    reading = read(calibration, "cover", "drop", 0.29, 0.26, 0.32)
    assert reading.dose == pytest.approx(0.71, abs=0.005)
    assert reading.sentence.startswith("covers as much as real data with 71 % of its cells dropped (68-74)")


def test_real_motion_is_no_dose(calibration: Calibration) -> None:
    assert read(calibration, "sharp", "blur", 1.0).sentence == "no blur beyond real motion"
    assert read(calibration, "cover", "drop", 0.999, 0.98, 1.01).state == "none"
    # an interval that is so wide reaches real motion
    assert read(calibration, "cover", "drop", 0.9, 0.7, 1.1).state == "none"


def test_the_other_side_of_real_motion_is_named_by_the_axis_that_leads_there(calibration: Calibration) -> None:
    reading = read(calibration, "sharp", "blur", 1.5)
    assert (reading.state, reading.sentence, reading.dose) == ("other side", "outside the range: jitter", None)
    beyond = read(calibration, "cover", "drop", 1.2)
    assert beyond.sentence == "outside the range: off real motion, away from drop"


def test_beyond_the_strongest_dose_nothing_is_extrapolated(calibration: Calibration) -> None:
    reading = read(calibration, "sharp", "blur", 0.01)
    assert reading.state == "beyond" and reading.dose is None
    assert reading.sentence == "as smooth as real motion low-passed at less than 0.8 Hz (outside the range)"
    assert "more than 99 % of its cells dropped" in read(calibration, "cover", "drop", -0.1).sentence


def test_below_a_range_the_figure_says_so(calibration: Calibration) -> None:
    verdict = calibration.verdict("modes/sharp", "blur")
    assert verdict is not None
    ranged = replace(verdict, kind="range", doses=verdict.doses[3:], reason="from low_pass 4 Hz to low_pass 0.8 Hz")
    reading = read_figure(calibration, ranged, energy(8.0))
    assert reading.state == "weaker"
    assert reading.sentence == "as smooth as real motion low-passed at more than 4 Hz (weaker than it is valid for)"
    assert read_figure(calibration, ranged, energy(2.0)).limited == ranged.reason


def test_headlines_are_the_valid_figures_and_come_first(calibration: Calibration) -> None:
    assert {axis: headline.key for axis, headline in calibration.headlines.items()} == {
        "blur": "modes/sharp",
        "drop": "modes/cover",
        "collapse": "modes/few",
        "jitter": "modes/sharp",
    }
    assert calibration.verdict("modes/nothing", "blur").kind == "blind"  # type: ignore[union-attr]
    metric = Metric("sharp", "modes", "1", "match", "", "")
    figures = {
        key: Figure(key, metric, None, value)
        for key, value in (("modes/sharp", 0.3), ("modes/cover", 0.5), ("modes/nothing", 0.0), ("modes/unknown", 1.0))
    }
    figures["modes/few"] = Figure("modes/few", metric, None, None, note="undefined")
    readings = read_doses(figures, calibration)
    assert [(r.key, r.axis, r.headline) for r in readings] == [
        ("modes/sharp", "blur", True),
        ("modes/cover", "drop", True),
        ("modes/sharp", "jitter", True),
    ]


def test_a_preferred_figure_speaks_where_it_is_valid(calibration: Calibration) -> None:
    def with_twin(figures: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
        return {**figures, "modes/twin": figures["modes/sharp"]} if figures else {}

    for wish, speaks in (
        ("modes/twin", "modes/twin"),
        ("modes/nothing", "modes/sharp"),
        ("modes/sharp", "modes/sharp"),
    ):
        axes = dict(calibration.config.axes)
        axes["blur"] = axes["blur"].model_copy(update={"prefer": (wish,)})
        wished = replace(
            calibration,
            config=calibration.config.model_copy(update={"axes": axes}),
            figures={**calibration.figures, "modes/twin": calibration.figures["modes/sharp"]},
            doses=tuple(replace(d, values=with_twin(d.values), apart=with_twin(d.apart)) for d in calibration.doses),
        )
        assert conclude(wished).headlines["blur"].key == speaks


def test_figures_that_disagree_are_told(calibration: Calibration) -> None:
    readings = [read(calibration, "sharp", "blur", energy(hz)) for hz in (4.0, 6.0, 8.0)]
    readings += [read(calibration, "sharp", "blur", value) for value in (1.0, 1.5)]
    assert agreement(readings, "blur") == (
        "of 5 figures 3 say 4 to 8 Hz (median 6), 1 no blur beyond real motion, 1 outside the range"
    )
    assert agreement(readings, "drop") is None and agreement(readings[:1], "blur") is None


def test_calibrations_survive_a_trip_through_a_file(calibration: Calibration, tmp_path: Path) -> None:
    save_calibration(calibration, tmp_path / "calibration.json")
    again = load_calibration(tmp_path)
    assert again.verdicts == calibration.verdicts and again.config == calibration.config
    assert again.doses == calibration.doses and again.headlines == calibration.headlines
    assert read(again, "sharp", "blur", 0.3) == read(calibration, "sharp", "blur", 0.3)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', '{"format": "motionsynth-calibration-1"}'])
def test_files_that_are_no_calibration_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"calibration\.json"):
        load_calibration(path)
    with pytest.raises(ConfigError, match="No such file"):
        load_calibration(tmp_path / "absent.json")


def test_curves_of_another_corpus_or_judge_are_refused(calibration: Calibration) -> None:
    fits = {"corpus": "c" * 64, "extractor": "e" * 64, "count": 1024}
    assert refuse_unfit(calibration, **fits) is None
    for what in ("corpus", "extractor"):
        with pytest.raises(ConfigError, match=f"{what}: was made with another"):
            refuse_unfit(calibration, **{**fits, what: "f" * 64})
    assert "1024 windows a set, here are 500" in (refuse_unfit(calibration, **{**fits, "count": 500}) or "")


def test_curves_are_made_monotone_and_invert_flat_parts_by_their_middle() -> None:
    values = np.array([[0.0, 0.0], [2.0, 2.0], [1.0, 1.0], [4.0, 4.0]])
    curve = Curve.through(values, [0.0, 1.0, 2.0, 3.0], 1.0)
    assert curve.level_D.tolist() == [0.0, 1.5, 1.5, 4.0]
    assert curve.invert(1.5, "left") == 1.0 and curve.invert(1.5, "right") == 2.0 and curve.invert(1.5) == 1.5
    assert curve.invert(-1.0) == 0.0 and curve.invert(9.0) == 3.0
    falling = Curve.through(-values, [0.0, 1.0, 2.0, 3.0], -1.0)
    assert falling.invert(-0.75) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["low_pass", "cells", "jitter", "windows_per_cell", "shrinkage", "neighbours"])
def test_severity_starts_at_real_motion_and_comes_back_as_amounts(kind: str) -> None:
    assert GROUND.severity(kind, ZERO) == 0
    doses = load_plan(shipped_plan()).ladder(kind, 67)
    severities = [GROUND.severity(kind, dose) for dose in doses]
    assert severities == sorted(severities)
    for dose, severity in zip(doses, severities, strict=True):
        expected = 1 - dose.value / 67 if kind == "cells" else dose.value
        assert GROUND.shown(kind, severity) == pytest.approx(expected)


def test_curves_are_straight_in_the_logarithm_where_that_tells_hidden_doses_better() -> None:
    severity = np.arange(5.0)

    def twice(figures: np.ndarray) -> Series:
        values = {Dose("jitter", s): np.array([f, f]) for s, f in zip(severity, figures, strict=True)}
        return Series("a", "match", False, values, np.ones(2))

    falling, straight = twice(10.0**-severity), twice(5.0 - severity)
    doses = [Dose("jitter", s) for s in severity]
    decades, plain = (Curve.fit(series, "jitter", doses, -1.0, GROUND) for series in (falling, straight))
    assert decades.logarithmic and not plain.logarithmic
    assert decades.invert(10**-2.5) == pytest.approx(2.5) and plain.invert(2.5) == pytest.approx(2.5)
    assert decades.invert(-1.0) == 4.0 and decades.invert(0.0) == 4.0


def test_a_noisier_figure_tells_held_out_doses_worse() -> None:
    doses = [ZERO, *load_plan(shipped_plan()).ladder("low_pass", 67)]
    precise, noisy = (
        held_out_error(make_calibration(noise).series("modes/sharp"), "low_pass", doses, -1.0, GROUND)
        for noise in (0.001, 0.02)
    )
    assert 0 < precise < 0.02 < noisy < 0.2
    assert math.isfinite(noisy)


def test_amounts_are_rounded_to_two_digits() -> None:
    assert amount_text("low_pass", 4.08) == "4.1 Hz"
    assert amount_text("low_pass", 12.3) == "12 Hz"
    assert amount_text("cells", 0.712) == "71 %"
    assert amount_text("jitter", 0.456, unit=False) == "0.46"
