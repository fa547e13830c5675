"""Run directories as a trainer leaves them, and MLflow stores that are ready in milliseconds."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motionsynth.tracking import store
from tests.records import change_record

__all__ = ["change_record"]

GIF = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")

RunMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sqlite store whose tables exist: making them takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    store.open_client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def sqlite_uri(tmp_path: Path, store_template: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh store in the working folder, which is the one that ``tracking_uri()`` answers."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(store_template, tmp_path / "mlflow.db")
    return store.tracking_uri()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses connections: bound, so that nobody else takes it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def write_rows(run_dir: Path, steps: range, **extra: Any) -> None:
    """Append one row a step to the journal."""
    with (run_dir / "metrics.jsonl").open("a") as journal:
        for step in steps:
            metrics = {"train/all/total": 1.0 / (step + 1), "train/all/kl": step * 0.5, **extra}
            journal.write(json.dumps({"step": step, "time": 1.7e9 + step * 0.25, "metrics": metrics}) + "\n")


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    """Make a run directory; by default one whose trainer is this test process."""

    def make(name: str = "vae-0", *, rows: int = 30, **record: Any) -> Path:
        run_dir = tmp_path / "runs" / name
        (run_dir / "samples").mkdir(parents=True)
        (run_dir / "config.yaml").write_text(
            "data: {path: data/walkers, window_frames: 64, pattern: null}\n"
            "family: {name: vae, latent_dim: 32, optimise: {all: {learning_rate: 0.0002}}}\n"
            "train: {steps: 4000, seed: 7}\n"
        )
        (run_dir / "splits.json").write_text('{"train": ["a.bvh"]}')
        (run_dir / "samples" / "preview.gif").write_bytes(GIF)
        (run_dir / "samples" / "clip_000.bvh").write_text("HIERARCHY\n")
        (run_dir / "samples" / ".clip_001.bvh.1.tmp").write_text("half")
        defaults = {"tracking_id": uuid.uuid4().hex, "pid": os.getpid(), "host": socket.gethostname()}
        change_record(run_dir, **{**defaults, **record})
        write_rows(run_dir, range(rows))
        return run_dir

    return make


def points(uri: str, run_id: str) -> list[tuple[str, int, int, float]]:
    """Every metric point that an sqlite store holds for a run, read past MLflow: key, step, time, value."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        query = "select key, step, timestamp, value from metrics where run_uuid = ? order by key, step, timestamp"
        return database.execute(query, (run_id,)).fetchall()


def run_count(uri: str) -> int:
    """How many runs the store holds."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def journal_points(run_dir: Path) -> list[tuple[str, int, int, float]]:
    """The points that the journal says there must be, in the same order."""
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return sorted((k, r["step"], round(r["time"] * 1000), v) for r in rows for k, v in r["metrics"].items())


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether ``condition`` came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow's own use of what its dependencies deprecate is not ours to fix."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"))
