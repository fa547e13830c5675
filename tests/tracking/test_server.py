"""A real MLflow server on this machine: delivery over HTTP, and the UI."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from motionsynth.cli.app import app
from motionsynth.errors import TrackingError
from motionsynth.tracking.feeder import start_feeder
from motionsynth.tracking.sync import sync_run
from motionsynth.tracking.ui import UiCommand, UiServer, start_ui, ui_command
from tests.hostile import fill_with_modules, modules_run

from .conftest import RunMaker, change_record, journal_points, points, wait_for, write_rows


def _get(address: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_over_a_server_end_to_end(sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_with_modules(Path.cwd())  # none of which the server or its worker may import
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
    assert not modules_run(Path.cwd())


@pytest.mark.parametrize("care", [True, False])
def test_the_worker_of_the_server_would_look_into_the_working_folder(care: bool, sqlite_uri: str) -> None:
    """Shows that the test above can fail: -P alone does not keep uvicorn from it."""
    fill_with_modules(Path.cwd())
    command = ui_command(5300)
    options = command.arguments[command.arguments.index("--uvicorn-opts") + 1].split() if care else []
    worker = [*command.arguments[:2], "-m", "uvicorn", *options, "mlflow:nothing"]
    subprocess.run(worker, env=command.environment, capture_output=True, check=False, timeout=120)
    assert bool(modules_run(Path.cwd())) is not care


@pytest.mark.parametrize(
    ("host", "shown", "warned"),
    [("127.0.0.1", "127.0.0.1", False), ("localhost", "localhost", False), ("0.0.0.0", "127.0.0.1", True)],
)
def test_the_ui_listens_where_it_is_asked_to_and_warns_of_others(
    host: str, shown: str, warned: bool, sqlite_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ui_command(5400, host=host)
    assert command.arguments[command.arguments.index("--host") + 1] == host
    assert command.address.startswith(f"http://{shown}:54")
    monkeypatch.setattr("motionsynth.tracking.ui.start_ui", lambda port, host: UiServer(UiCommand((), {}, "http://x/")))
    done = CliRunner().invoke(app, ["ui", "--host", host])
    assert done.exit_code == 0 and ("change and delete the runs" in done.stderr) is warned


def test_an_address_of_another_machine_is_refused(sqlite_uri: str) -> None:
    with pytest.raises(TrackingError, match=r"--host 192\.0\.2\.200: is no address of this machine"):
        ui_command(5400, host="192.0.2.200")


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
