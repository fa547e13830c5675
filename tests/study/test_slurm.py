"""The engine of Slurm on submitit's executor for one machine, which runs jobs as Slurm would."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from motionsynth.errors import BvhError, WorkerDiedError
from motionsynth.study.engines import Engine, as_ended
from motionsynth.study.on_slurm import SlurmEngine
from tests.hostile import fill_with_modules, modules_run
from tests.study.tasks import die_at_two, square, train_until_stopped, unusable
from tests.tracking.conftest import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # those of submitit are not ours

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Engine]:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # where jobs find the tests' functions
    return lambda jobs: SlurmEngine(jobs, cluster="local", minutes=5, logs=tmp_path / "logs")


def test_jobs_end_as_cells_of_other_engines_do(
    engine: Callable[[int], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill_with_modules(tmp_path)  # none of which a job may import
    with engine(3) as slurm:
        (_, failed), *_ = as_ended(slurm, unusable, [Path("walk.bvh")])
        found = dict(as_ended(slurm, die_at_two, range(1, 4)))
    assert isinstance(failed.exception(), BvhError)
    assert (found[1].result(), found[3].result()) == (square(1), square(3))
    with pytest.raises(WorkerDiedError, match="ended without a result, see "):
        found[2].result()
    assert not modules_run(tmp_path)


def test_leaving_by_an_error_ends_the_jobs(
    engine: Callable[[int], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with suppress(KeyboardInterrupt), engine(1) as slurm:
        stopping = slurm._stopping  # type: ignore[attr-defined]
        stop = stopping.set

        def hear_first() -> None:
            stop()
            time.sleep(1)  # as on a busy machine: those who follow jobs let go of them before they are cancelled

        monkeypatch.setattr(stopping, "set", hear_first)
        future = slurm.submit(train_until_stopped, tmp_path / "a")
        assert wait_for((tmp_path / "a.pid").exists, 30)
        raise KeyboardInterrupt
    assert isinstance(future.exception(timeout=10), KeyboardInterrupt)
    pid = int((tmp_path / "a.pid").read_text())
    assert wait_for(lambda: not Path(f"/proc/{pid}").exists(), 90)
