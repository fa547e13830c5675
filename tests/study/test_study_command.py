"""`motionsynth study` from YAML to report: killed, resumed, diverging, refused, and from results alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from motionsynth.cli.app import run as run_app
from motionsynth.errors import RunError
from motionsynth.runs.run import open_run
from motionsynth.runs.train import train_once
from motionsynth.tracking.journal import JOURNAL, last_values
from motionsynth.training.journal import read_journal
from tests.cli.conftest import invoke
from tests.cli.invocation import Invoke, Result
from tests.study.small import make_small
from tests.tracking.conftest import wait_for

__all__ = ["invoke"]  # the fixture


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the study, which is the working folder, calibrated, with nothing done yet."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONSYNTH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        make_small(folder)
        yield folder


@pytest.fixture(scope="module")
def killed(study: Path) -> dict[str, Any]:
    """Run the study as a person does, and kill it in the middle of its second training; what was there then."""
    command = [sys.executable, "-m", "motionsynth", "study", "run", "small.yaml", "--no-track"]
    with (study / "killed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            assert wait_for(lambda: process.poll() is not None or second_training(study) >= 10, 120)
            assert process.poll() is None, (study / "killed.log").read_text()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return {
        "results": {path.name: path.read_bytes() for path in (study / "results").glob("*.json")},
        "weights": {
            path: path.stat().st_mtime_ns for path in (study / "runs" / "study-small").glob("*/weights.safetensors")
        },
        "runs": {path.parent.name: json.loads(path.read_text()) for path in (study / "runs").rglob("run.json")},
    }


@pytest.fixture(scope="module")
def done(study: Path, killed: dict[str, Any]) -> Result:
    """The same command after that."""
    return command("study", "run", "small.yaml", "--no-track")


def command(*arguments: object) -> Result:
    """Run ``motionsynth ARGUMENTS`` in this process; for fixtures, which outlive those of a test."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["motionsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run_app()
    return Result(int(left.value.code or 0), out.getvalue(), err.getvalue())


def second_training(folder: Path) -> int:
    """Steps of the training of vae/walkers/1; 0 where it has not begun."""
    for path in (folder / "runs" / "study-small").glob("[!.]*/run.json"):
        tags = json.loads(path.read_text())["tags"]
        if (tags["arm"], tags["seed"]) == ("vae", "1"):
            return last_values(path.parent / JOURNAL)[0] or 0
    return 0


def results_of(folder: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {f"{result['arm']}/{result['seed']}": result for result in found}


def test_a_study_that_was_killed_does_nothing_twice_and_counts_nothing_half_done(
    study: Path, killed: dict[str, Any], done: Result
) -> None:
    assert {json.loads(text)["arm"] for text in killed["results"].values()} == {"vae", "wild", "real"}
    assert len(killed["results"]) == 3 and len(killed["weights"]) == 1
    assert done.code == 0 and done.out.split() == ["results/report.html", "results/report.md"], done.err
    assert set(results_of(study / "results")) == {"vae/0", "vae/1", "wild/0", "real/0", "real/1"}
    assert {name: (study / "results" / name).read_bytes() for name in killed["results"]} == killed["results"]
    assert {path: path.stat().st_mtime_ns for path in killed["weights"]} == killed["weights"]
    for name, before in killed["runs"].items():
        folder = study / "runs" / "study-small" / name
        assert json.loads((folder / "run.json").read_text())["tracking_id"] == before["tracking_id"]
        steps = [row.step for row in read_journal(folder / "metrics.jsonl") if row.step]
        assert len(steps) == len(set(steps)), "no step is in the journal twice"
    assert "calibrate" not in done.err, "the calibration is kept"


def test_a_run_that_diverges_is_a_result_and_stops_nothing(study: Path, done: Result) -> None:
    assert "diverged: wild/walkers/0: step" in done.err
    result = results_of(study / "results")["wild/0"]
    assert result["state"] == "diverged" and "nan" in result["error"] and result["views"] == {}
    assert "diverged" in (study / "results" / "report.md").read_text()


def test_runs_carry_what_a_tracker_groups_them_by(study: Path, done: Result) -> None:
    result = results_of(study / "results")["vae/1"]
    record = json.loads((study / "runs" / "study-small" / result["key"] / "run.json").read_text())
    expected = {"study": "small", "arm": "vae", "corpus": "walkers", "seed": "1", "mlflow.runName": "vae/walkers/1"}
    assert record["tags"] == expected


def test_results_alone_are_enough_to_skip_and_to_report(
    done: Result, study: Path, tmp_path: Path, invoke: Invoke
) -> None:
    shutil.copytree(study / "results", tmp_path / "results")
    for name in ("report.html", "report.md"):
        (tmp_path / "results" / name).unlink()
    places = ("--results", tmp_path / "results", "--runs", tmp_path / "runs")
    assert invoke("study", "report", "small.yaml", *places).code == 0
    assert (tmp_path / "results" / "report.md").stat().st_size > 1000
    again = invoke("study", "run", "small.yaml", "--no-track", *places)
    assert again.code == 0 and not (tmp_path / "runs").exists(), "nothing is trained, and nothing calibrated"
    nowhere = invoke("study", "report", "small.yaml", "--results", tmp_path / "empty")
    assert nowhere.code == 2 and "study run small.yaml" in nowhere.err


def test_the_plan_says_what_is_done_and_how_long_the_rest_takes(
    done: Result, study: Path, tmp_path: Path, invoke: Invoke
) -> None:
    results = results_of(study / "results")
    for kept in ("vae/0", "wild/0"):
        (tmp_path / f"{results[kept]['key']}.json").write_text(json.dumps(results[kept]))
    told = invoke("study", "run", "small.yaml", "--dry-run", "--results", tmp_path, "--runs", tmp_path / "runs").out
    assert "2 of 5 cells are done" in told and "left and 2 cells of unknown length with 1 at once" in told
    assert "diverged: wild/walkers/0: step" in told and not (tmp_path / "runs").exists()
    cells = json.loads(invoke("study", "status", "small.yaml", "--json").out)
    assert [cell["state"] for cell in cells].count("finished") == 4 and len(cells) == 5
    only = invoke("study", "status", "small.yaml", "--only", "vae").out
    assert "2 of 2 cells are done" in only and "wild" not in only


@pytest.mark.slow
def test_two_processes_reach_what_one_reaches(done: Result, study: Path, tmp_path: Path, invoke: Invoke) -> None:
    shutil.copytree(study / "runs" / "study-small" / "calibration", tmp_path / "runs" / "calibration")
    places = ("--results", tmp_path / "results", "--runs", tmp_path / "runs", "--only", "vae", "--no-track")
    assert invoke("study", "run", "small.yaml", "--jobs", 2, *places).code == 0
    one, two = results_of(study / "results"), results_of(tmp_path / "results")
    assert set(two) == {"vae/0", "vae/1"}
    assert all(two[name]["views"] == one[name]["views"] for name in two)
    assert two["vae/0"]["views"] != two["vae/1"]["views"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Ray are not ours
def test_ray_reaches_what_one_process_reaches(done: Result, study: Path, tmp_path: Path, invoke: Invoke) -> None:
    pytest.importorskip("ray")
    shutil.copytree(study / "runs" / "study-small" / "calibration", tmp_path / "runs" / "calibration")
    places = ("--results", tmp_path / "results", "--runs", tmp_path / "runs", "--no-track")
    assert invoke("study", "run", "small.yaml", "--jobs", 2, "--engine", "ray", *places).code == 0
    one, two = results_of(study / "results"), results_of(tmp_path / "results")
    assert set(one) == set(two) and all(two[name]["views"] == one[name]["views"] for name in two)


WRONG = {
    "an option that the family has not": ("family.latent_dim: 4", "family.latent_dmi: 4", "did you mean latent_dim"),
    "a figure that there is not": ("metrics: [smoothness/", "metrics: [smoothnes/", "metrics"),
    "a figure that is blind": ("axis: blur", "axis: drop", "smoothness/energy_above_3hz is"),
    "clips that are not there": ("path: walkers,", "path: walkars,", "`motionsynth data make walkers --out walkars`"),
    "a plan that is not there": ("plan: calibration.yaml", "plan: calibratoin.yaml", "No such file"),
    "an arm that there is not": ("first: vae", "first: vea", "did you mean vae"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_refused_with_its_line_before_anything_trains(
    what: str, done: Result, study: Path, tmp_path: Path, invoke: Invoke
) -> None:
    right, wrong, message = WRONG[what]
    text = (study / "small.yaml").read_text()
    assert text.count(right) == 1
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(right, wrong))
    shutil.copytree(study / "runs" / "study-small" / "calibration", tmp_path / "runs" / "calibration")
    told = invoke("study", "run", path, "--no-track", "--runs", tmp_path / "runs", "--results", tmp_path / "results")
    line = next(number for number, of in enumerate(path.read_text().splitlines(), 1) if wrong in of)
    assert told.code == 2 and message in told.err
    near = [f"{path}:{number}:" for number in range(line - 2, line + 1)]
    assert any(place in told.err for place in near), told.err
    assert [found.name for found in (tmp_path / "runs").iterdir()] == ["calibration"]
    assert not list((tmp_path / "results").glob("*.json"))


def test_options_that_fit_nothing_are_refused(study: Path, invoke: Invoke) -> None:
    assert "unknown arm" in (told := invoke("study", "run", "small.yaml", "--only", "vea")).err and told.code == 2
    assert "unknown corpus" in invoke("study", "run", "small.yaml", "--data", "walker=walkers").err
    assert "must look like" in invoke("study", "run", "small.yaml", "--data", "walkers").err
    assert invoke("study", "run", "nothing.yaml").code == 2


def test_a_signal_stops_a_study_which_says_how_to_go_on(
    done: Result, study: Path, tmp_path: Path, invoke: Invoke
) -> None:
    runs = tmp_path / "runs" / "study-small"
    shutil.copytree(study / "runs" / "study-small" / "calibration", runs / "calibration")

    def terminate() -> None:
        assert wait_for(lambda: second_training(tmp_path) >= 10, 60)
        os.kill(os.getpid(), signal.SIGTERM)

    watch = threading.Thread(target=terminate)
    watch.start()
    told = invoke("study", "run", "small.yaml", "--no-track", "--runs", runs, "--results", tmp_path / "results")
    watch.join()
    assert told.code == 143 and "stopped: 3 of 5 cells are done; the same command goes on" in told.err
    states = [cell["state"] for cell in json.loads(status_of(runs, tmp_path / "results", invoke))]
    assert states == ["finished", "diverged", "finished", "stopped", "waiting"]
    moved = tmp_path / "moved"
    shutil.copytree(study / "walkers", moved)
    refuse_others(next(path.parent for path in runs.glob("*/run.json") if '"stopped"' in path.read_text()), moved)
    places = ("--runs", runs, "--results", tmp_path / "results", "--data", f"walkers={moved}")
    told = invoke("study", "run", "small.yaml", "--no-track", "--only", "vae", *places)
    assert told.code == 0, told.err
    found, there = results_of(tmp_path / "results")["vae/1"], results_of(study / "results")["vae/1"]
    assert found["key"] == there["key"] and found["views"] == there["views"]
    record = json.loads((runs / found["key"] / "run.json").read_text())
    assert record["corpus_path"] == str(moved)
    rows = [row.step for row in read_journal(runs / found["key"] / "metrics.jsonl") if row.step]
    assert len(rows) == len(set(rows)), "it went on, and did not begin anew"


def refuse_others(run_dir: Path, moved: Path) -> None:
    """Other clips are not those that the run began with, wherever they lie; nor is another configuration its own."""
    config = open_run(run_dir).config
    fewer = moved.with_name("fewer")
    shutil.copytree(moved, fewer)
    labels = (fewer / "labels.csv").read_text().splitlines(keepends=True)
    (fewer / "labels.csv").write_text("".join(labels[:-1]))
    (fewer / labels[-1].partition(",")[0]).unlink()
    elsewhere = config.model_copy(update={"data": config.data.model_copy(update={"path": fewer})})
    with pytest.raises(RunError, match="fewer are not those that the run began with"):
        train_once(elsewhere, run_dir=run_dir, track=False)
    longer = config.model_copy(update={"train": config.train.model_copy(update={"steps": 41})})
    with pytest.raises(RunError, match="another configuration"):
        train_once(longer, run_dir=run_dir, track=False)
    assert open_run(run_dir).record.corpus_path != str(fewer)


def status_of(runs: Path, results: Path, invoke: Invoke) -> str:
    return invoke("study", "status", "small.yaml", "--json", "--runs", runs, "--results", results).out


def test_the_simulations_of_the_statistics_are_one_command(invoke: Invoke) -> None:
    told = invoke("study", "statistics", "--draws", 400)
    assert told.code in (0, 1) and "power: equivalent" in told.out and "promised" in told.out


def test_a_calibration_that_does_not_fit_is_told(done: Result, study: Path, tmp_path: Path, invoke: Invoke) -> None:
    kept = study / "runs" / "study-small" / "calibration"
    shutil.copytree(kept, tmp_path / "runs" / "calibration")
    other = json.loads((kept / "walkers" / "calibration.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(other | {"extractor": "0" * 64}))
    text = (study / "small.yaml").read_text()
    named = text.replace("stride_frames: 16}\n", f"stride_frames: 16}}\n    calibration: {tmp_path / 'other.json'}\n")
    (tmp_path / "named.yaml").write_text(named)
    places = ("--runs", tmp_path / "runs", "--results", tmp_path / "results", "--only", "real")
    told = invoke("study", "run", tmp_path / "named.yaml", "--no-track", *places)
    assert told.code == 0
    assert f"{tmp_path / 'other.json'} does not fit: it was made with another extractor (000000000000" in told.err
    assert f"{tmp_path / 'runs' / 'calibration' / 'walkers' / 'calibration.json'} is read instead" in told.err
    assert "does not fit" not in done.err


def test_hypotheses_are_checked_where_nothing_is_left_to_do(
    done: Result, study: Path, tmp_path: Path, invoke: Invoke
) -> None:
    (tmp_path / "blind.yaml").write_text((study / "small.yaml").read_text().replace("axis: blur", "axis: drop"))
    shutil.copytree(study / "results", tmp_path / "results")
    places = ("--runs", study / "runs" / "study-small", "--results", tmp_path / "results")
    told = invoke("study", "run", tmp_path / "blind.yaml", "--no-track", *places)
    assert told.code == 2 and "smoothness/energy_above_3hz is" in told.err and "for drop" in told.err
    assert invoke("study", "run", "small.yaml", "--no-track", *places).code == 0
