"""What is told of runs from their directories alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from motionsynth.cli.app import app
from motionsynth.tracking.journal import read_rows
from motionsynth.tracking.local import find_run_dirs, list_runs, summarise_run
from motionsynth.tracking.store import artifact_location, prepare_environment, shown_uri, tracking_uri

from .conftest import RunMaker, change_record, write_rows


def test_runs_are_listed_newest_first(make_run: RunMaker, tmp_path: Path) -> None:
    make_run("old", state="finished", created="2026-01-01T00:00:00+00:00", pid=None)
    new = make_run("new", created="2026-02-01T00:00:00+00:00")
    damaged = make_run("damaged")
    (damaged / "run.json").write_text("{")
    (tmp_path / "runs" / ".half.tmp").mkdir()
    (tmp_path / "runs" / ".half.tmp" / "run.json").write_text("{}")
    write_rows(new, range(30, 31), other="NaN")
    summaries = list_runs(tmp_path / "runs")
    assert [(s.name, s.state) for s in summaries] == [("new", "running"), ("old", "finished"), ("damaged", "damaged")]
    assert (summaries[0].family, summaries[0].corpus, summaries[0].seed, summaries[0].step) == (
        "vae",
        "walkers",
        "7",
        30,
    )
    assert summaries[0].metrics["train/all/kl"] == 15.0
    assert "run.json" in str(summaries[2].reason)
    assert json.loads(json.dumps([s.to_dict() for s in summaries], allow_nan=False))[0]["metrics"]["other"] == "NaN"


def test_a_run_whose_process_is_gone_is_shown_as_killed(make_run: RunMaker) -> None:
    run_dir = make_run()
    assert summarise_run(run_dir).state == "running"
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    change_record(run_dir, pid=child.pid)
    assert summarise_run(run_dir).state == "killed"


def test_why_a_run_failed_is_shown(make_run: RunMaker) -> None:
    failed = make_run("failed", state="failed", error="step 7, phase all: loss is nan", pid=None)
    assert summarise_run(failed).reason == "step 7, phase all: loss is nan"
    shown = CliRunner().invoke(app, ["runs", "show", str(failed)])
    assert shown.exit_code == 0 and "reason  step 7, phase all: loss is nan" in shown.stdout
    assert "reason" not in CliRunner().invoke(app, ["runs", "show", str(make_run("well"))]).stdout


def test_the_newest_values_of_a_long_journal(make_run: RunMaker) -> None:
    run_dir = make_run(rows=0)
    write_rows(run_dir, range(5000))
    summary = summarise_run(run_dir)
    assert summary.step == 4999 and summary.metrics["train/all/kl"] == 2499.5


def test_run_directories_are_found_in_themselves_and_below(make_run: RunMaker, tmp_path: Path) -> None:
    run_dir = make_run("study/one")
    assert list(find_run_dirs(run_dir)) == [run_dir]
    assert list(find_run_dirs(tmp_path / "runs")) == [run_dir]
    assert list(find_run_dirs(tmp_path / "nothing")) == []


def test_offsets_go_on_where_the_last_row_ended(make_run: RunMaker) -> None:
    journal = make_run(rows=6) / "metrics.jsonl"
    rows = list(read_rows(journal))
    assert [row for start in rows[:-1] for row in [next(read_rows(journal, start.end))]] == rows[1:]
    assert [row.parse().step for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[-1].end == journal.stat().st_size


def test_the_store_in_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == f"sqlite:///{folder}/mlflow.db"
    assert artifact_location(tracking_uri()) == (folder / "mlartifacts").as_uri()
    assert artifact_location("sqlite:///relative.db") == (folder / "mlartifacts").as_uri()
    assert artifact_location("https://host/path") is None
    assert shown_uri("postgresql://me:secret@host:5432/db") == "postgresql://host:5432/db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert tracking_uri() == "http://host:5000"


def test_nothing_phones_home_and_a_persons_settings_stand() -> None:
    environment = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "99", "DO_NOT_TRACK": "false"}
    prepare_environment(environment)
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == environment["DO_NOT_TRACK"] == "true"
    assert environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"


def test_the_trainer_imports_no_mlflow() -> None:
    code = "import sys; import motionsynth.tracking.feeder, motionsynth.tracking.local; print('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
