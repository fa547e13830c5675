"""A real MLflow server on this machine: delivery over HTTP, and the UI."""

from __future__ import annotations

import json
import math
import socket
import urllib.request
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from motionsynth.tracking.feeder import start_feeder
from motionsynth.tracking.sync import sync_run
from motionsynth.tracking.ui import start_ui, ui_command

from .conftest import RunMaker, change_record, journal_points, points, wait_for, write_rows


def _get(address: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_over_a_server_end_to_end(sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = make_run(rows=1500)
    write_rows(run_dir, range(1500, 1501), odd="NaN", huge="Infinity")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with start_ui(taken.getsockname()[1]) as ui:
            base, _, page = ui.address.partition("/#/")
            assert base != f"http://127.0.0.1:{taken.getsockname()[1]}"
            assert page.startswith("experiments/") and page.endswith("runs?workflowType=machine_learning")
            assert b"<html" in _get(base)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", base)
            assert ui_command().arguments == () and ui_command().address == ui.address
            feeder = start_feeder(run_dir)
            assert wait_for((run_dir / "tracking.json").exists, 60)
            change_record(run_dir, state="finished")
            report = feeder.close()
            assert report.complete and report.rows == 1501
            (run_dir / "tracking.json").unlink()
            assert sync_run(run_dir).rows == 1501
            run = MlflowClient(base).get_run(str(report.run_id))
            assert run.info.status == "FINISHED" and math.isnan(run.data.metrics["odd"])
            preview = f"{base}/get-artifact?path=samples/preview.gif&run_uuid={report.run_id}"
            assert _get(preview) == (run_dir / "samples" / "preview.gif").read_bytes()
    stored = [point for point in points(sqlite_uri, str(report.run_id)) if point[0] not in ("odd", "huge")]
    assert stored == [point for point in journal_points(run_dir) if point[0] not in ("odd", "huge")]
    assert Path("mlartifacts").is_dir() and not Path("mlruns").exists()


def test_the_list_of_runs_shows_metrics(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(rows=0)
    write_rows(run_dir, range(2), **{"validation/frechet": 0.5, "speed/steps_per_second": 30.0})
    sync_run(run_dir)
    command = ui_command(5000)
    assert command.address.endswith("?workflowType=machine_learning&viewStateShareKey=motionsynth")
    experiment = MlflowClient(sqlite_uri).get_experiment_by_name("motionsynth")
    assert experiment is not None
    view = json.loads(experiment.tags["mlflow.sharedViewState.motionsynth"])
    assert view["selectedColumns"] == [
        *("tags.`family`", "tags.`corpus`", "tags.`seed`"),
        *("metrics.`validation/frechet`", "metrics.`speed/steps_per_second`", "metrics.`train/all/total`"),
    ]
    arguments = " ".join(command.arguments)
    assert "--workers 1" in arguments and "--host 127.0.0.1" in arguments and sqlite_uri in arguments
    assert command.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
