"""Engines run the same functions to the same results; what dies or is stopped takes nothing else with it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from motionsynth.errors import BvhError, ConfigError, StudyError, TrainingError, WorkerDiedError
from motionsynth.study.cells import CellJob
from motionsynth.study.engines import Engine, InProcess, as_ended, engine_for
from motionsynth.study.plan import Cell
from motionsynth.study.runner import batched
from motionsynth.study.workers import LocalWorkers
from tests.study.tasks import die_at_two, pid_of, square, unusable
from tests.tracking.conftest import wait_for

REPOSITORY = Path(__file__).resolve().parents[2]


def all_of(engine: Engine, function: Callable[[Any], Any], arguments: range) -> dict[Any, Future[Any]]:
    with engine:
        return dict(as_ended(engine, function, arguments))


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_do_not_depend_on_the_number_of_processes(jobs: int) -> None:
    found = all_of(engine_for("local", jobs=jobs), square, range(6))
    assert {value: future.result() for value, future in found.items()} == {value: value * value for value in range(6)}


def test_one_job_runs_here_and_two_run_in_processes_that_are_used_again() -> None:
    assert {future.result() for future in all_of(engine_for("local"), pid_of, range(2)).values()} == {os.getpid()}
    pids = [future.result() for future in all_of(engine_for("local", jobs=2), pid_of, range(8)).values()]
    assert os.getpid() not in pids and len(set(pids)) == 2


def test_no_more_is_submitted_than_runs_at_once() -> None:
    taken: list[int] = []

    def arguments() -> Iterator[int]:
        for value in range(4):
            taken.append(value)
            yield value

    with InProcess() as engine:
        next(as_ended(engine, square, arguments()))
    assert taken == [0, 1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_arrive_as_they_were(jobs: int) -> None:
    with engine_for("local", jobs=jobs) as engine:
        ((_, future),) = as_ended(engine, unusable, [Path("walk.bvh")])
    error = future.exception()
    assert isinstance(error, BvhError) and (error.line, str(error)) == (7, "walk.bvh:7: has no frames")


@pytest.mark.parametrize(
    "error",
    [TrainingError(3, "critic", "is nan"), ConfigError("a.yaml", "key", "is wrong"), WorkerDiedError(None, "x")],
)
def test_every_error_can_be_sent(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def test_a_process_that_dies_takes_only_its_own_cell_with_it() -> None:
    found = all_of(LocalWorkers(2), die_at_two, range(6))
    assert {value for value, future in found.items() if future.exception()} == {2}
    with pytest.raises(WorkerDiedError, match="was killed while it ran this"):
        found[2].result()


SCRIPT = """
import sys
from pathlib import Path
from motionsynth.study.engines import as_ended, engine_for
from tests.study import tasks
if __name__ == "__main__":
    folder, task = Path(sys.argv[1]), getattr(tasks, sys.argv[2])
    try:
        with engine_for("local", jobs=2) as engine:
            for _ in as_ended(engine, task, [folder / "a", folder / "b", folder / "never"]):
                pass
    except KeyboardInterrupt:
        print("stopped", flush=True)
        raise SystemExit(130)
"""


@contextmanager
def study(folder: Path, task: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with two workers, both at work; and the numbers of those."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(script), str(folder), task]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        files = [folder / f"{name}.pid" for name in "ab"]
        assert wait_for(lambda: all(file.exists() and file.read_text() for file in files), 90)
        yield process, [int(file.read_text()) for file in files]
    finally:
        process.kill()
        process.communicate()


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_ctrl_c_lets_trainings_write_their_checkpoints_and_starts_nothing_new(tmp_path: Path) -> None:
    with study(tmp_path, "train_until_stopped") as (process, pids):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group, of which workers are no part
        out, err = process.communicate(timeout=90)
        assert (process.returncode, out.strip(), err) == (130, "stopped", "")
        assert [(tmp_path / f"{name}.saved").read_text() for name in "ab"] == ["SIGTERM", "SIGTERM"]
        assert not (tmp_path / "never.pid").exists() and all(map(gone, pids))


def test_ctrl_c_gives_up_what_has_no_checkpoint_to_write(tmp_path: Path) -> None:
    with study(tmp_path, "measure_for_ever") as (process, pids):
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=90)
        assert (process.returncode, out.strip()) == (130, "stopped") and all(map(gone, pids))


def test_no_worker_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    with study(tmp_path, "measure_for_ever") as (process, pids):
        process.kill()
        process.wait()
        assert wait_for(lambda: all(map(gone, pids)), 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "rya"}, "did you mean ray"),
        ({"name": "local", "jobs": 0}, "--jobs: must be at least 1"),
        ({"name": "local", "address": "10.0.0.1:6379"}, "--address: is for --engine ray"),
        ({"name": "ray", "partition": "gpu"}, "--slurm-partition: is for --engine slurm"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        engine_for(**options)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_absent_packages_say_how_to_install_them(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StudyError, match=rf'pip install "motionsynth\[{name}\]"') as refused:
        engine_for(name)
    assert refused.value.exit_code == 2


def test_slurm_is_looked_for_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StudyError, match="sbatch is not found"):
        engine_for("slurm")


def test_seeds_of_an_arm_are_batched_and_nothing_else(tmp_path: Path) -> None:
    def job(name: str) -> CellJob:
        arm, corpus, seed = name.split("/")
        config: Any = None if arm == "real" else "a run"
        cell = Cell("made-up", arm, corpus, int(seed), config, name, None)
        study: Any = None
        return CellJob(study, cell, tmp_path, tmp_path, None)

    names = [f"{arm}/{corpus}/{seed}" for seed in range(3) for corpus in ("a", "b") for arm in ("vae", "gan", "real")]
    jobs = [job(name) for name in names]
    assert [[job.cell.name for job in batch] for batch in batched(jobs, 1)] == [[name] for name in names]
    found = [[job.cell.name for job in batch] for batch in batched(jobs, 2)]
    assert sorted(name for batch in found for name in batch) == sorted(names)
    assert found[:3] == [["vae/a/0", "vae/a/1"], ["gan/a/0", "gan/a/1"], ["real/a/0"]]
    assert ["vae/b/2"] in found and ["real/b/1"] in found
