"""Runs whose process is gone do not stay RUNNING; runs whose process lives do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from motionsynth.tracking.liveness import process_alive, process_started, sweep_dead_runs
from motionsynth.tracking.sync import sync_run

from .conftest import RunMaker, change_record

HOST = socket.gethostname()


def _status(uri: str, run_id: str | None) -> str:
    return str(MlflowClient(uri).get_run(str(run_id)).info.status)


def test_process_alive() -> None:
    assert process_alive(os.getpid(), HOST) is True
    assert process_alive(os.getpid(), HOST, time.time()) is True
    assert process_alive(os.getpid(), HOST, time.time() - 1e7) is False  # a younger process reuses the number
    assert process_alive(os.getpid(), "another machine") is None
    assert process_alive(None, HOST) is None
    assert process_started(os.getpid()) == pytest.approx(time.time(), abs=3600)
    child = subprocess.Popen([sys.executable, "-c", ""])
    while child.returncode is None and process_started(child.pid) is not None:
        time.sleep(0.02)
    assert process_alive(child.pid, HOST) is False  # a zombie, not collected yet
    child.wait()
    assert process_alive(child.pid, HOST) is False


@pytest.fixture
def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_dead_are_swept_and_the_living_are_not(sqlite_uri: str, make_run: RunMaker, dead_pid: int) -> None:
    names = ("dead", "living", "elsewhere", "moved", "moved-living", "finished")
    runs = {name: make_run(name, rows=2) for name in names}
    ids = {name: sync_run(run_dir).run_id for name, run_dir in runs.items()}
    assert sweep_dead_runs() == []
    change_record(runs["dead"], pid=dead_pid)
    change_record(runs["elsewhere"], pid=dead_pid, host="another machine")
    change_record(runs["finished"], state="finished", pid=None)  # while the store was down
    for name in ("moved", "moved-living"):
        shutil.rmtree(runs[name])
    MlflowClient(sqlite_uri).set_tag(str(ids["moved"]), "motionsynth.pid", str(dead_pid))
    assert set(sweep_dead_runs()) == {ids["dead"], ids["moved"], ids["finished"]}
    expected = {"dead": "KILLED", "moved": "KILLED", "finished": "FINISHED"}
    assert {n: _status(sqlite_uri, ids[n]) for n in names} == {n: expected.get(n, "RUNNING") for n in names}


def test_the_next_run_sweeps_and_a_resumed_one_runs_again(sqlite_uri: str, make_run: RunMaker, dead_pid: int) -> None:
    first = make_run("first")
    first_id = sync_run(first).run_id
    change_record(first, pid=dead_pid)
    sync_run(make_run("second"))
    assert _status(sqlite_uri, first_id) == "KILLED"
    change_record(first, pid=os.getpid())
    assert sync_run(first).run_id == first_id
    assert _status(sqlite_uri, first_id) == "RUNNING"


def test_a_store_without_runs(sqlite_uri: str, tmp_path: Path) -> None:
    assert sweep_dead_runs() == []
