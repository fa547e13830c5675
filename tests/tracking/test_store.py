"""The store: in its folder whatever that is called, made by one process at a time, refused at once if unusable."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import event

from motionsynth.errors import StoreError
from motionsynth.files import locked
from motionsynth.tracking import database, store
from motionsynth.tracking.database import database_path, prepare_database
from motionsynth.tracking.sync import sync_run

from .conftest import RunMaker, change_record

ODD_NAMES = ("plain", "sp ace", "50% off", "hash#1", "what?", "a%20b", "步态", 'it\'s "so"', "a&b;c=+@x:y", "sqlite:")


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working folder, where no store is named and none is yet."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_store_stays_in_a_folder_of_any_name(
    name: str, no_store: Path, store_template: Path, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run(state="finished")
    folder = no_store / "top" / name
    folder.mkdir(parents=True)
    shutil.copy(store_template, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    assert database_path(store.tracking_uri()) == folder / "mlflow.db"
    report = sync_run(run_dir)
    assert report.complete, report
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        assert connection.execute("SELECT run_uuid FROM runs").fetchall() == [(report.run_id,)]
    preview = folder / "mlartifacts" / str(report.run_id) / "artifacts" / "samples" / "preview.gif"
    assert preview.read_bytes() == (run_dir / "samples" / "preview.gif").read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == [name], "something was put beside the folder"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri())
    assert store.tracking_uri() == report.uri, "and its address means the same where it is given"
    assert [file.path for file in MlflowClient(report.uri).list_artifacts(str(report.run_id), "samples")]


@pytest.mark.parametrize("name", ["what?", "what?uri=true"])
def test_a_glued_address_would_not_stay_there(name: str, no_store: Path) -> None:
    assert database_path(f"sqlite:///{no_store / name / 'mlflow.db'}") != no_store / name / "mlflow.db"


def _meet(runs: list[Path], uri: str) -> list[str]:
    """Bring each run to the same store from a process of its own, all at once; why each was left, else nothing."""
    context = multiprocessing.get_context("fork")  # MLflow is loaded: they meet where the store is made
    barrier, reasons = context.Barrier(len(runs)), context.Queue()

    def one(run_dir: Path) -> None:
        barrier.wait()
        reasons.put(sync_run(run_dir, uri=uri).reason or "")

    processes = [context.Process(target=one, args=(run_dir,)) for run_dir in runs]
    for process in processes:
        process.start()
    found = [reasons.get(timeout=240) for _ in processes]
    for process in processes:
        process.join()
    return found


def test_four_processes_that_meet_on_a_new_store_are_all_tracked(no_store: Path, make_run: RunMaker) -> None:
    (folder := no_store / "new? #1").mkdir()
    runs = [make_run(f"vae-{seed}", rows=1, state="finished") for seed in range(4)]
    assert _meet(runs, store.tracking_uri(folder)) == [""] * 4
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (4,)
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", ".mlflow.db.lock", "mlartifacts"}


def test_runs_that_add_the_same_dataset_at_once_are_all_tracked(no_store: Path, make_run: RunMaker) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlDataset

    first, *runs = (make_run(f"vae-{seed}", rows=1, state="finished") for seed in range(4))
    assert sync_run(first).complete, "the store and its experiment are there"
    with closing(sqlite3.connect(no_store / "mlflow.db")) as connection, connection:
        connection.execute("DELETE FROM datasets")
    all_looked = multiprocessing.get_context("fork").Barrier(len(runs))

    def wait(*_: object) -> None:
        all_looked.wait(timeout=60)  # between the look for a dataset and its addition

    event.listen(SqlDataset, "init", wait)
    try:
        assert _meet(runs, store.tracking_uri()) == [""] * len(runs)
    finally:
        event.remove(SqlDataset, "init", wait)
    with closing(sqlite3.connect(no_store / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM datasets").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM inputs").fetchone() == (4,)


@pytest.mark.slow
def test_without_the_lock_one_of_two_is_not(
    no_store: Path, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "prepare_database", lambda path: None)
    reasons = _meet([make_run(f"vae-{seed}", rows=1, state="finished") for seed in range(2)], store.tracking_uri())
    assert any("OperationalError" in reason for reason in reasons)


def test_a_store_that_never_gets_made_is_not_waited_for_for_ever(
    no_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.2)
    with locked(no_store / ".mlflow.db.lock"), pytest.raises(Exception, match="another process has been making it"):
        prepare_database(no_store / "mlflow.db")


def test_half_a_store_is_never_seen(no_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.tracking import sqlalchemy_store

    def die(uri: str, root: str) -> None:
        path = database_path(uri)
        assert path is not None
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", die)
    with pytest.raises(StoreError, match=r"mlflow\.db: No space left on device"):
        prepare_database(no_store / "mlflow.db")
    assert [path.name for path in no_store.iterdir()] == [".mlflow.db.lock"]


@pytest.mark.parametrize("name", ["mlflow.db", ".mlflow.db.lock", ".mlflow.db.tmp", ".mlflow.db.tmp-journal"])
def test_links_that_lie_in_wait_for_a_new_store_are_not_followed(
    name: str, no_store: Path, store_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking import sqlalchemy_store

    class Copied:
        """A store made in no time."""

        def __init__(self, uri: str, root: str) -> None:
            path = database_path(uri)
            assert path is not None and path.is_file() and not path.is_symlink()
            shutil.copy(store_template, path)
            self.engine = SimpleNamespace(dispose=lambda: None)

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", Copied)
    (other := no_store / "precious").write_text("" if name == "mlflow.db" else "mine")
    (no_store / "corpus").mkdir()
    (no_store / "corpus" / name).symlink_to(other)
    path = no_store / "corpus" / "mlflow.db"
    if ".tmp" in name:
        prepare_database(path)  # they are in the way, and nothing more
        assert path.stat().st_size
    else:
        with pytest.raises(StoreError, match="is a symbolic link, not a file"):
            prepare_database(path)
    assert other.read_text() == ("" if name == "mlflow.db" else "mine")


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE shopping (item TEXT)")
        connection.commit()


def _older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        connection.execute("DROP TABLE trace_tags")  # which is what has MLflow migrate without a word
        connection.commit()


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:8192] = b"\xff" * 8092
    path.write_bytes(content)


UNUSABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder, not a file"),
    "zeros": (lambda path: path.write_bytes(bytes(400_000)), "file is not a database"),
    "text": (lambda path: path.write_bytes(b"this is no database" * 100), "file is not a database"),
    "damaged": (_damaged, "malformed"),
    "another program's": (lambda path: (path.unlink(), _foreign(path)), "holds the tables of another program"),
    "an older MLflow's": (_older, r"mlflow\.db\.before-upgrade && mlflow db upgrade sqlite:"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_store_is_named_at_once_and_left_as_it_is(kind: str, sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir, path = make_run(rows=1), Path("mlflow.db").absolute()
    spoil, reason = UNUSABLE[kind]
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    began = time.monotonic()
    with pytest.raises(StoreError, match=reason):
        prepare_database(path)
    warning = str(sync_run(run_dir).warning)
    assert time.monotonic() - began < 8, "MLflow itself tries for 100 s"
    assert str(path) in warning and f"motionsynth runs sync {run_dir}" in warning and "\n" not in warning
    assert (path.read_bytes() if path.is_file() else None) == before


def test_mlflow_itself_migrates_an_older_store_without_a_word(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above can fail: this is what the check keeps away."""
    path = Path("mlflow.db")
    _older(path)
    before = path.read_bytes()
    monkeypatch.setattr(store, "prepare_database", lambda path: None)
    sync_run(make_run(rows=1))
    assert path.read_bytes() != before


@pytest.mark.parametrize("refused", ["mlflow.db", "."])
def test_a_store_that_cannot_be_written_is_named_at_once(
    refused: str, sqlite_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("mlflow.db").absolute()
    access, denied = database.os.access, (path.parent / refused).resolve()
    # root, as whom tests may run, is kept out by read-only file systems alone
    monkeypatch.setattr(database.os, "access", lambda path, mode: Path(path) != denied and access(path, mode))
    with pytest.raises(StoreError, match="cannot be written; name another store by MLFLOW_TRACKING_URI"):
        prepare_database(path)


@pytest.mark.parametrize("uri", ["sqlite:foo", "sqlite:////proc/none/mlflow.db", "sqlite:////dev/null/mlflow.db"])
def test_an_address_where_no_store_can_be_is_told(
    uri: str, no_store: Path, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    report = sync_run(make_run(rows=1))
    assert not report.complete and report.pending_rows == 1 and time.monotonic() - began < 8


def test_the_experiment_of_an_id_is_used(sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(sqlite_uri)
    chosen = client.create_experiment("walks", artifact_location=store.artifact_location(sqlite_uri))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", chosen)
    report = sync_run(make_run())
    assert report.complete and client.get_run(str(report.run_id)).info.experiment_id == chosen
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "runs")
    with pytest.raises(StoreError, match="is 'walks', not 'runs'; set one of the two"):
        store.ensure_experiment(client, sqlite_uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    with pytest.raises(StoreError, match="no experiment '4711' there, which MLFLOW_EXPERIMENT_ID names"):
        store.ensure_experiment(client, sqlite_uri)


def test_a_run_id_of_mlflow_is_said_to_be_unused(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    report = sync_run(make_run())
    assert report.complete and report.run_id != "0" * 32 and "MLFLOW_RUN_ID is not used" in str(report)


def test_why_a_run_failed_is_a_tag_until_it_goes_on(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(state="failed", error="step 7, phase all: loss is nan")
    client, run_id = MlflowClient(sqlite_uri), str(sync_run(run_dir).run_id)
    assert client.get_run(run_id).data.tags["motionsynth.error"] == "step 7, phase all: loss is nan"
    change_record(run_dir, state="finished", error=None)
    assert sync_run(run_dir).complete and "motionsynth.error" not in client.get_run(run_id).data.tags
