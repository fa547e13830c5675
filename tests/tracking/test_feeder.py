"""The feeder beside a training: never in its way, ends with it, and loses nothing when it is killed."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from motionsynth.tracking.feeder import patience_seconds, start_feeder
from motionsynth.tracking.liveness import process_alive
from motionsynth.tracking.sync import sync_run
from tests.hostile import fill_with_modules, modules_run

from .conftest import RunMaker, change_record, journal_points, points, run_count, wait_for, write_rows


def test_it_follows_a_run_to_its_end(sqlite_uri: str, make_run: RunMaker) -> None:
    fill_with_modules(Path.cwd())  # none of which it may import
    run_dir = make_run(rows=3)
    feeder = start_feeder(run_dir)
    assert os.getpgid(feeder.pid) != os.getpgid(0)  # Ctrl-C in a terminal goes to the trainer's group
    assert os.getsid(feeder.pid) == os.getsid(0)  # where niceness still counts
    assert wait_for((run_dir / "tracking.json").exists, 180)
    assert os.getpriority(os.PRIO_PROCESS, feeder.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    os.kill(feeder.pid, signal.SIGTERM)  # as a batch system does to all of a job: the last rows are still to come
    write_rows(run_dir, range(3, 50))
    change_record(run_dir, state="finished")
    report = feeder.close()
    assert report.complete and report.rows == 50 and feeder.close() is report
    assert process_alive(feeder.pid, socket.gethostname()) is False
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)
    assert MlflowClient(sqlite_uri).get_run(str(report.run_id)).info.status == "FINISHED"
    assert not modules_run(Path.cwd())
    subprocess.run([sys.executable, "-m", "motionsynth.tracking.feed", str(run_dir)], capture_output=True, check=False)
    assert modules_run(Path.cwd()), "as it would where it is started without care"


def test_killed_at_any_moment_then_sync(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(rows=4000)  # eight batches
    left = []
    for moment in (0.0, 0.05, 0.4):
        feeder = start_feeder(run_dir)
        before = (run_dir / "tracking.json").stat().st_mtime_ns if (run_dir / "tracking.json").exists() else 0
        assert wait_for(
            lambda before=before: (
                (run_dir / "tracking.json").exists() and (run_dir / "tracking.json").stat().st_mtime_ns > before
            ),
            60,
        )
        time.sleep(moment)
        os.kill(feeder.pid, signal.SIGKILL)
        report = feeder.close()
        assert "ended with -9" in str(report.warning)
        left.append(report.pending_rows)
    assert left[0] > 0  # the first one did die in the middle
    report = sync_run(run_dir)
    assert report.complete and run_count(sqlite_uri) == 1
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)


def test_a_closed_port_costs_nothing(
    sqlite_uri: str, make_run: RunMaker, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    start = time.monotonic()
    feeder = start_feeder(run_dir)
    started = time.monotonic() - start
    time.sleep(1.0)
    start = time.monotonic()
    report = feeder.close()
    closed = time.monotonic() - start
    assert started < 1.0 and closed < 8.0, (started, closed)  # measured 0.01 s and 0.05 s on an idle machine
    assert "motionsynth runs sync" in str(report.warning) and report.pending_rows == 30


def test_a_server_that_never_answers_is_left_in_time(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mute.getsockname()[1]}")
        feeder = start_feeder(run_dir)
        start = time.monotonic()
        report = feeder.close(timeout=1.0)
        assert time.monotonic() - start < 8.0
    assert "no end after 1 s" in str(report.warning) and report.pending_rows == 30


def test_the_end_waits_no_longer_for_a_server_that_never_answers(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    monkeypatch.setenv("MOTIONSYNTH_TRACKING_WAIT", "1")  # 10 where nobody says so
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{mute.getsockname()[1]}")
        feeder = start_feeder(run_dir)
        mute.settimeout(60)
        probe, _ = mute.accept()  # asks whether anybody listens
        asked, _ = mute.accept()  # the first request, which would be waited for 15 s, and then once more
        start = time.monotonic()
        report = feeder.close()
        assert 1.0 <= time.monotonic() - start < 6.0
        probe.close()
        asked.close()
    assert "(no answer for 1 s)" in str(report.warning) and report.pending_rows == 30
    assert f"motionsynth runs sync {run_dir}" in str(report.warning)


@pytest.mark.parametrize("given", ["", "soon", "-1", "nan"])
def test_patience_is_ten_seconds_where_nothing_else_is_said(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONSYNTH_TRACKING_WAIT", given)
    assert patience_seconds() == 10.0


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.EAGAIN, "Resource temporarily unavailable"), OSError(errno.ENOMEM, "Cannot allocate memory")],
)
def test_a_feeder_that_cannot_be_started_is_one_warning(
    fault: OSError, sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise fault

    run_dir = make_run()
    monkeypatch.setattr(subprocess, "Popen", refuse)
    report = start_feeder(run_dir).close()
    assert f"its feeder cannot be started: {fault.strerror}" in str(report.warning) and report.pending_rows == 30
    assert f"motionsynth runs sync {run_dir}" in str(report.warning)
    monkeypatch.undo()


@pytest.mark.parametrize("interpreter", ["/nowhere/python", "", None])
def test_nor_does_a_missing_interpreter_end_the_training(
    interpreter: str | None, sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    assert "its feeder cannot be started: " in str(start_feeder(make_run()).close().warning)


def test_a_store_that_a_person_must_put_right_is_named_while_training_goes_on(
    sqlite_uri: str, make_run: RunMaker, caplog: pytest.LogCaptureFixture
) -> None:
    Path("mlflow.db").write_bytes(b"this is no database" * 100)
    feeder = start_feeder(make_run())
    assert wait_for(lambda: "file is not a database" in caplog.text, 60)
    assert "training goes on" in caplog.text
    start = time.monotonic()
    assert "file is not a database" in str(feeder.close().warning)
    assert time.monotonic() - start < 6.0


def test_a_store_that_comes_back_is_fed_while_training_goes_on(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    database = Path("mlflow.db")
    content = database.read_bytes()
    database.write_bytes(b"this is no database" * 100)
    feeder = start_feeder(run_dir)
    time.sleep(3.0)
    assert not (run_dir / "tracking.json").exists()
    database.write_bytes(content)
    assert wait_for((run_dir / "tracking.json").exists, 180)
    assert feeder.close().complete


TRAINER = """
import sys, time
from motionsynth.tracking.feeder import start_feeder
feeder = start_feeder(sys.argv[1])
print(feeder.pid, flush=True)
time.sleep(600)
"""


def test_it_outlives_a_killed_trainer_only_to_say_so(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    with subprocess.Popen([sys.executable, "-c", TRAINER, str(run_dir)], stdout=subprocess.PIPE, text=True) as trainer:
        try:
            change_record(run_dir, pid=trainer.pid)
            assert trainer.stdout is not None
            feeder_pid = int(trainer.stdout.readline())
            assert wait_for((run_dir / "tracking.json").exists, 180)
            write_rows(run_dir, range(30, 35))
        finally:
            trainer.kill()
    assert wait_for(lambda: not process_alive(feeder_pid, socket.gethostname()), 180)
    report = sync_run(run_dir)
    assert report.rows == 0  # it had delivered the last rows by itself
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)
    assert MlflowClient(sqlite_uri).get_run(str(report.run_id)).info.status == "KILLED"


def test_sync_beside_a_delivery_waits_its_turn(sqlite_uri: str, make_run: RunMaker) -> None:
    from motionsynth.tracking.sync import Delivery

    run_dir = make_run()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with Delivery(run_dir, sqlite_uri).lock(0.0):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    assert "another process is delivering" in str(sync_run(run_dir, wait_seconds=0.2).warning)
    done.set()
    holder.join()
    assert sync_run(run_dir).complete
