"""A whole calibration of a small corpus of walkers, by a few figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from motionsynth.calibration.bench import Bench, one_thread, open_bench
from motionsynth.calibration.calibrate import Job, calibrate, measure_doses, open_job, size_notes
from motionsynth.calibration.plan import ZERO, CalibrationConfig, Dose, load_plan, shipped_plan
from motionsynth.calibration.reading import read_figure
from motionsynth.calibration.record import Calibration, load_calibration
from motionsynth.cli.app import app
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import open_corpus
from motionsynth.errors import ConfigError, ExtractorError
from motionsynth.extractors.fitting import train_extractor
from motionsynth.extractors.store import save_extractor
from motionsynth.report.calibration import calibration_sections, write_report
from motionsynth.report.page import Table
from motionsynth.walkers.corpus import make_walkers

FIGURES = (
    "energy_above_3hz_within",
    "label_kl_real_generated",
    "coverage.pca",
    "precision.pca",
    "train_test_ratio.pca",
)
DOSES = {"low_pass": [6, 3, 1.5, 0.8], "jitter": [1, 2, 4], "windows_per_cell": [4, 2, 1], "memoriser": [16]}


def make_config(**changes: int) -> CalibrationConfig:
    plan = load_plan(shipped_plan()).model_dump()
    axes = {name: {**axis, "also": []} for name, axis in plan["axes"].items()}
    return CalibrationConfig.model_validate(
        {**plan, "count": 200, "repeats": 4, "doses": DOSES, "axes": axes, "thresholds": {"resamples": 200}} | changes
    )


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, monkeypatch_module: pytest.MonkeyPatch) -> Job:
    folder = tmp_path_factory.mktemp("calibration")
    monkeypatch_module.setenv("MOTIONSYNTH_CACHE", str(folder / "cache"))
    make_walkers(folder / "walkers", clips=200)
    data = DataConfig(path=folder / "walkers")
    corpus = open_corpus(data, workers=1)
    save_extractor(train_extractor(corpus, networks=False), folder / "extractor")
    return Job(make_config(), data, folder / "extractor", FIGURES)


@pytest.fixture(scope="module")
def bench(job: Job) -> Bench:
    return open_job(job)


@pytest.fixture(scope="module")
def found(job: Job, bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    out = tmp_path_factory.mktemp("out") / "walkers"
    told: list[tuple[int, int]] = []
    calibration = calibrate(job, bench, out, progress=lambda done, total: told.append((done, total)))
    doses = len(bench.doses()[0])
    assert told == [(n, doses) for n in range(doses + 1)]
    return out, calibration


def test_every_figure_has_a_number_in_every_repeat_and_a_verdict_on_every_axis(
    found: tuple[Path, Calibration], bench: Bench
) -> None:
    out, calibration = found
    assert load_calibration(out).verdicts == calibration.verdicts
    assert len(calibration.figures) == len(FIGURES)
    assert len(calibration.verdicts) == len(FIGURES) * 4
    for figures in calibration.doses:
        assert set(figures.values) == set(calibration.figures)
        assert all(len(values) == 4 for values in figures.values.values())
    assert [d.dose for d in calibration.doses] == bench.doses()[0]
    assert [d.value for d in calibration.ladder("low_pass")] == [6, 3, 1.5, 0.8]


def test_known_instruments_are_found_and_precision_is_none_of_collapse(found: tuple[Path, Calibration]) -> None:
    _, calibration = found

    def verdict(name: str, axis: str) -> str:
        (key,) = (key for key in calibration.figures if key.partition("/")[2] == name)
        judged = calibration.verdict(key, axis)
        assert judged is not None
        return judged.kind

    series = calibration.series("smoothness/energy_above_3hz_within")
    means = [series.mean(dose) for dose in (ZERO, *calibration.ladder("low_pass"))]
    assert means == sorted(means, reverse=True) and means[0] == pytest.approx(1.0, abs=0.25) and means[-1] < 0.05
    assert all(series.mean(dose) > 1.05 for dose in calibration.ladder("jitter"))
    assert verdict("energy_above_3hz_within", "blur") == "valid"
    assert verdict("coverage.pca", "collapse") in ("valid", "range", "invalid")
    assert verdict("precision.pca", "collapse") not in ("valid", "range")
    assert calibration.headlines["blur"].key == "smoothness/energy_above_3hz_within"


def test_sets_that_are_smaller_than_asked_for_are_said_to_be(bench: Bench) -> None:
    many = open_bench(bench.corpus, bench.extractor, make_config(count=50_000), bench.chosen)
    held = len(bench.reference_pool)
    assert many.count == held < len(bench.pool)
    assert size_notes(many) == [f"{held} windows a set instead of 50000: as many as the test split holds"]
    few = open_bench(bench.corpus, bench.extractor, make_config(count=held), bench.chosen)
    assert few.count == held and size_notes(few) == []  # negative control


def test_a_memoriser_is_close_to_its_training_set_and_real_motion_is_not(found: tuple[Path, Calibration]) -> None:
    series = found[1].series("memorisation/train_test_ratio.pca")
    assert series.mean(Dose("memoriser", 16)) < 0.1 < series.mean(ZERO)


def test_divergences_of_labels_stand_beside_those_of_the_true_cells(found: tuple[Path, Calibration]) -> None:
    (table,) = next(s.blocks for s in calibration_sections(found[1]) if s.title.startswith("Divergence of labels"))
    assert isinstance(table, Table)
    true = {dose.text: float(cell.text) for dose, _, _, cell in table.cells()}
    cells, collapsed = found[1].ladder("cells"), found[1].ladder("windows_per_cell")
    assert set(true) == {dose.label for dose in (ZERO, *cells, *collapsed)}
    falling = [true[dose.label] for dose in (ZERO, *cells)]
    assert falling == sorted(falling)
    # collapse within a mode leaves the labels as they are
    assert true[Dose("windows_per_cell", 1).label] == true[ZERO.label]


def test_finished_doses_are_kept_and_the_rest_is_made_anew_alike(
    job: Job, bench: Bench, found: tuple[Path, Calibration], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calibration = found
    lost = out / "doses" / "low_pass-3.json"
    before = lost.read_bytes()
    lost.unlink()
    measured: list[Dose] = []
    measure = Bench.measure
    monkeypatch.setattr(Bench, "measure", lambda self, dose: (measured.append(dose), measure(self, dose))[1])
    again = calibrate(job, bench, out)
    assert measured == [Dose("low_pass", 3.0)]
    assert lost.read_bytes() == before and again.verdicts == calibration.verdicts


def test_doses_of_another_calibration_are_not_mixed_in(job: Job, found: tuple[Path, Calibration]) -> None:
    other = Job(make_config(seed=1), job.data, job.extractor, FIGURES)
    with pytest.raises(ConfigError, match="another calibration \\(its seed differs\\); name another --out"):
        calibrate(other, open_job(other), found[0])
    damaged = found[0] / "doses" / "none.json"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100])
    try:
        with pytest.raises(ConfigError, match=r"none\.json: is damaged"):
            calibrate(job, open_job(job), found[0])
    finally:
        damaged.write_bytes(content)


@pytest.mark.slow
def test_figures_do_not_depend_on_the_number_of_processes(job: Job, bench: Bench) -> None:
    doses = [Dose("low_pass", 3.0), Dose("cells", 3.0)]
    alone, shared = (
        {figures.dose: figures for figures in measure_doses(job, bench, doses, jobs=jobs)} for jobs in (1, 2)
    )
    assert alone == shared


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    program = """
import os, signal, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from motionsynth.calibration import calibrate

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), calibrate.follow_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "killed.py").write_text(program)
    killed = subprocess.run([sys.executable, tmp_path / "killed.py"], stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = Path(f"/proc/{int(killed.stdout)}/stat")
    for _ in range(100):
        if not left.exists() or left.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(int(killed.stdout), signal.SIGKILL)
    pytest.fail("the worker outlived the process that started it")


def test_a_hidden_dose_on_takes_that_the_curve_does_not_know_is_recovered(
    job: Job, bench: Bench, found: tuple[Path, Calibration]
) -> None:
    calibration = found[1]
    hidden = open_bench(bench.corpus, bench.extractor, job.config, bench.chosen, pool="validation")
    key = calibration.headlines["blur"].key
    verdict = calibration.verdict(key, "blur")
    assert verdict is not None
    for hz in (4.0, 1.1):
        with one_thread():
            values = hidden.measure(Dose("low_pass", hz)).values[key]
        reading = read_figure(calibration, verdict, float(np.mean([v for v in values if v is not None])))
        assert reading.dose == pytest.approx(hz, rel=0.35)


def test_without_labels_the_cells_of_the_judge_are_dropped(job: Job, tmp_path: Path) -> None:
    data = job.data.model_copy(update={"labels": "none"})
    save_extractor(train_extractor(open_corpus(data, workers=1), networks=False), tmp_path / "extractor")
    bench = open_job(
        Job(make_config(repeats=3), data, tmp_path / "extractor", ("cells_covered", "label_kl_real_generated"))
    )
    assert bench.cells > 3 and not bench.pool.cell_names
    with one_thread():
        few, real = (bench.measure(dose) for dose in (Dose("cells", 1), ZERO))
    assert not few.truth
    for key in few.values:
        kept, all_cells = (np.mean([v for v in found.values[key] if v is not None]) for found in (few, real))
        assert kept < 0.5 * all_cells if key == "modes/cells_covered" else kept > 2 * all_cells


def test_the_report_is_whole_and_holds_no_motion(found: tuple[Path, Calibration], tmp_path: Path) -> None:
    write_report(found[1], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in ("energy_above_3hz_within", "invalid", "<svg", "low-pass of whole clips", found[1].corpus):
        assert words in text
    for foreign in ("http://", "https://", "walk_normal_001"):
        assert foreign not in text.replace("http://www.w3.org", "").replace("https://www.w3.org", "")


def test_the_command_tells_plan_and_verdicts(job: Job, tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(
        json.dumps(
            {
                "doses": {"low_pass": [3, 0.8], "jitter": [2]},
                "axes": {"blur": {"dose": "low_pass", "rival": "drop"}, "drop": {"dose": "cells", "rival": "blur"}},
                "cells": {"counts": [100], "shares": [0.5, 0.1]},
            }
        )
    )
    arguments = ["calibrate", str(job.data.path), "-c", str(config), "--count", "64", "--repeats", "3", "-j", "1"]
    arguments += ["--extractor", str(job.extractor), "--metrics", "energy_above_3hz", "--set", "data.stride_frames=16"]
    arguments += ["--out", str(tmp_path / "out")]
    planned = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert "low_pass: 3, 0.8" in planned.output and "cells: 6, 1" in planned.output
    assert not (tmp_path / "out").exists()
    below = CliRunner().invoke(app, [*arguments, "--extractor", "none", "--out", str(config)])
    assert isinstance(below.exception, NotADirectoryError)  # before it is found that there is no such extractor
    misspelt = CliRunner().invoke(app, [*arguments, "--extractor", str(tmp_path / "none")])
    assert isinstance(misspelt.exception, ExtractorError) and not (tmp_path / "none").exists()
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "energy_above_3hz" in done.output and (tmp_path / "out" / "calibration.json").exists()
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doses": {"low_pas": [3]}}, "unknown kind of dose"),
        ({"doses": {"low_pass": [-3]}}, "doses.low_pass: must be positive frequencies in Hz, not -3"),
        ({"doses": {"neighbours": [2.5]}}, "doses.neighbours: must be whole numbers from 2, not 2.5"),
        ({"axes": {"blur": {"dose": "low_pass", "rival": "drap"}}}, "axes.blur: no axis 'drap'"),
        ({"axes": {"blur": {"dose": "fog", "rival": "blur"}}}, "unknown kind of dose 'fog'"),
        ({"axes": {"blur": {"dose": "noise", "rival": "blur"}}}, "axes.blur: doses has no 'noise'"),
        ({"treshold": 1}, "treshold: unknown key, did you mean thresholds?"),
        ({"repeats": 1}, "repeats: input should be greater than or equal to 3"),
    ],
)
def test_mistakes_in_a_plan_name_file_and_key(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "plan.yaml"
    valid = {"doses": {"low_pass": [3]}, "axes": {"blur": {"dose": "low_pass", "rival": "blur"}}}
    path.write_text(json.dumps(valid | change))
    with pytest.raises(ConfigError) as caught:
        load_plan(path)
    assert str(path) in str(caught.value) and message in str(caught.value)
    path.write_text(json.dumps(valid))
    assert load_plan(path).count == 1024
