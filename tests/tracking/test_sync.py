"""Delivery from a run's files: everything, once, whatever is lost on the way."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from motionsynth.errors import RunError
from motionsynth.tracking import store
from motionsynth.tracking import sync as sync_module
from motionsynth.tracking.record import mlflow_key
from motionsynth.tracking.sync import sync_run

from .conftest import RunMaker, change_record, journal_points, points, run_count, write_rows


def test_a_run_arrives_whole(sqlite_uri: str, make_run: RunMaker, tmp_path: Path) -> None:
    run_dir = make_run(state="finished", pid=None, study="pilot")
    report = sync_run(run_dir)
    assert report.complete and report.warning is None and report.notes == ()
    assert (report.rows, report.artifacts, report.pending_rows, report.pending_artifacts) == (30, 4, 0, 0)
    run = MlflowClient(sqlite_uri).get_run(str(report.run_id))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "vae-0"
    assert run.info.start_time == 1767225600000
    expected = {"family": "vae", "corpus": "walkers", "seed": "7", "study": "pilot", "motionsynth.version": "0.1.0"}
    expected |= {"mlflow.source.git.commit": "0123456789" * 4, "motionsynth.config_hash": "ab" * 32}
    assert {key: run.data.tags.get(key) for key in expected} == expected
    assert run.data.params["family.optimise.all.learning_rate"] == "0.0002"
    assert run.data.params["data.pattern"] == "null"
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.name == "walkers" and json.loads(dataset.profile)["fingerprint"] == "cd" * 32
    assert points(sqlite_uri, run.info.run_id) == journal_points(run_dir)
    root = tmp_path / "mlartifacts" / run.info.run_id / "artifacts"
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert files == {"config.yaml", "splits.json", "samples/preview.gif", "samples/clip_000.bvh"}


def test_the_runs_of_a_study_carry_its_tags(sqlite_uri: str, make_run: RunMaker) -> None:
    tags = {"study": "smoke", "arm": "vae-sigma", "corpus": "small walkers", "mlflow.runName": "vae-sigma/0"}
    run = MlflowClient(sqlite_uri).get_run(str(sync_run(make_run(tags=tags)).run_id))
    assert {key: run.data.tags[key] for key in tags} == tags and run.info.run_name == "vae-sigma/0"
    assert run.data.tags["seed"] == "7" and run.data.tags["family"] == "vae"


def test_a_second_delivery_sends_nothing(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    first, second = sync_run(run_dir), sync_run(run_dir)
    assert (second.rows, second.artifacts, second.run_id) == (0, 0, first.run_id)
    assert points(sqlite_uri, str(first.run_id)) == journal_points(run_dir)


@pytest.mark.parametrize("damage", ["lost", "torn", "stale", "other format"])
def test_a_lost_cursor_doubles_nothing(sqlite_uri: str, make_run: RunMaker, damage: str) -> None:
    run_dir = make_run()
    cursor = run_dir / "tracking.json"
    sync_run(run_dir)
    stale = cursor.read_text()
    write_rows(run_dir, range(30, 40))
    first = sync_run(run_dir)
    if damage == "lost":
        cursor.unlink()
    else:
        cursor.write_text({"torn": stale[:80], "stale": stale, "other format": '{"format": 99, "stores": []}'}[damage])
    again = sync_run(run_dir)
    assert again.run_id == first.run_id and again.complete
    assert again.rows == (10 if damage == "stale" else 40)
    assert run_count(sqlite_uri) == 1
    assert points(sqlite_uri, str(first.run_id)) == journal_points(run_dir)


def test_death_between_batch_and_cursor_doubles_nothing(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run(rows=1200)  # 2,400 points: three batches

    class Killed(BaseException):
        pass

    def save(self: object, run_dir: Path, uri: str) -> None:
        if self.journal_rows:  # type: ignore[attr-defined]
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sync_module.Cursor, "save", save)
        with pytest.raises(Killed):
            sync_run(run_dir)
    report = sync_run(run_dir)
    assert report.rows == 1200 and run_count(sqlite_uri) == 1
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)


def test_rows_that_arrive_later_are_delivered_and_a_torn_one_waits(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(rows=5)
    journal = run_dir / "metrics.jsonl"
    line = '{"step": 5, "time": 1700000009.0, "metrics": {"train/all/total": 0.5}}\n'
    with journal.open("a") as file:
        file.write(line[:40])
    assert sync_run(run_dir).rows == 5
    with journal.open("a") as file:
        file.write(line[40:])
    report = sync_run(run_dir)
    assert report.rows == 1 and report.notes == ()
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)


def test_a_damaged_row_is_named_and_the_rest_arrives(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(rows=3)
    with (run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "ti{"step": 4}\n{"step": 5, "time": 1, "metrics": {"a": null}}\n')
    write_rows(run_dir, range(6, 8))
    report = sync_run(run_dir)
    assert [note.split(":", 2)[:2] for note in report.notes] == [["metrics.jsonl", "4"], ["metrics.jsonl", "5"]]
    assert len(points(sqlite_uri, str(report.run_id))) == 10


def test_values_that_are_not_finite(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(rows=0)
    write_rows(run_dir, range(1), a="NaN", b="Infinity", c="-Infinity")
    report = sync_run(run_dir)
    client = MlflowClient(sqlite_uri)
    assert math.isnan(client.get_metric_history(str(report.run_id), "a")[0].value)
    assert client.get_metric_history(str(report.run_id), "b")[0].value > 1e308
    assert client.get_metric_history(str(report.run_id), "c")[0].value < -1e308
    (run_dir / "tracking.json").unlink()
    assert sync_run(run_dir).rows == 1
    assert len(points(sqlite_uri, str(report.run_id))) == 5


@pytest.mark.parametrize("name", ["loss/ü", "a+b", "../up", "/root", "a//b", "x" * 300, ""])
def test_names_that_mlflow_refuses_stay_apart(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(mlflow_key(name))
    assert mlflow_key(name) not in {mlflow_key(other) for other in ("loss/_", "a_b", "up", "root", "a/b", "x" * 250)}


def test_names_that_mlflow_takes_stay_as_they_are() -> None:
    names = ["train/all/total", "val/kl nats:mean", "a.b-c_d"]
    assert [mlflow_key(name) for name in names] == names


def test_a_row_of_more_metrics_than_a_batch_takes(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run(rows=0)
    write_rows(run_dir, range(2), **{f"m{n}": n for n in range(1500)})
    report = sync_run(run_dir)
    assert len(points(sqlite_uri, str(report.run_id))) == 2 * 1502


def test_a_closed_port_then_sqlite(
    sqlite_uri: str, make_run: RunMaker, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{closed_port}")
    report = sync_run(run_dir)
    assert not report.complete and (report.pending_rows, report.pending_artifacts) == (30, 4)
    warning = str(report.warning)
    assert f"127.0.0.1:{closed_port}" in warning and f"motionsynth runs sync {run_dir}" in warning
    assert "secret" not in warning and "\n" not in warning
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    report = sync_run(run_dir)
    assert report.complete and points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)


def test_each_store_has_its_own_cursor(sqlite_uri: str, make_run: RunMaker, tmp_path: Path) -> None:
    run_dir = make_run()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mlflow.db").write_bytes((tmp_path / "mlflow.db").read_bytes())
    other = store.tracking_uri(tmp_path / "other")
    assert [sync_run(run_dir).rows, sync_run(run_dir, uri=other).rows] == [30, 30]
    assert [sync_run(run_dir).rows, sync_run(run_dir, uri=other).rows] == [0, 0]


def test_an_emptied_store_is_filled_again(sqlite_uri: str, make_run: RunMaker) -> None:
    import sqlite3
    from contextlib import closing

    run_dir = make_run()
    first = sync_run(run_dir)
    with closing(sqlite3.connect(sqlite_uri.removeprefix("sqlite:///"))) as database:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            database.execute(f"delete from {table}")
        database.commit()
    report = sync_run(run_dir)
    assert report.run_id != first.run_id and (report.rows, report.artifacts) == (30, 4)
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)


def test_a_run_deleted_in_mlflow_is_not_made_again(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    client = MlflowClient(sqlite_uri)
    run_id = str(sync_run(run_dir).run_id)
    client.delete_run(run_id)
    (run_dir / "tracking.json").unlink()
    assert "is deleted there" in str(sync_run(run_dir).warning)
    client.restore_run(run_id)
    assert sync_run(run_dir).complete and run_count(sqlite_uri) == 1


def test_a_deleted_experiment_is_named(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    client = MlflowClient(sqlite_uri)
    sync_run(run_dir)
    experiment = client.get_experiment_by_name("motionsynth")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    assert "experiment 'motionsynth' is deleted" in str(sync_run(run_dir).warning)


def test_a_run_is_found_under_another_experiment_name(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    first = sync_run(run_dir)
    (run_dir / "tracking.json").unlink()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    assert sync_run(run_dir).run_id == first.run_id


def test_a_parameter_that_changed_on_resume_is_reported(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    sync_run(run_dir)
    config = run_dir / "config.yaml"
    config.write_text(config.read_text().replace("steps: 4000", "steps: 9000"))
    report = sync_run(run_dir)
    assert report.complete and report.artifacts == 1
    assert report.notes == ("parameter train.steps is now '9000'; MLflow keeps the first value '4000'",)


def test_a_changed_artifact_is_replaced(sqlite_uri: str, make_run: RunMaker, tmp_path: Path) -> None:
    run_dir = make_run()
    report = sync_run(run_dir)
    (run_dir / "samples" / "clip_000.bvh").write_text("HIERARCHY\nROOT")
    (run_dir / "scores.json").write_text("{}")
    assert sync_run(run_dir).artifacts == 2
    copy = tmp_path / "mlartifacts" / str(report.run_id) / "artifacts" / "samples" / "clip_000.bvh"
    assert copy.read_text() == "HIERARCHY\nROOT"


def test_a_lock_that_cannot_be_taken_is_one_warning(sqlite_uri: str, make_run: RunMaker) -> None:
    (run_dir := make_run()).joinpath(".tracking.lock").mkdir()
    assert ".tracking.lock: is a folder, not a file" in str(sync_run(run_dir).warning)


def test_not_a_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json"):
        sync_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        sync_run(tmp_path)


def test_a_record_changed_while_it_trains(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    client = MlflowClient(sqlite_uri)
    run_id = str(sync_run(run_dir).run_id)
    for state, status in (
        ("stopped", "KILLED"),
        ("running", "RUNNING"),
        ("failed", "FAILED"),
        ("finished", "FINISHED"),
    ):
        change_record(run_dir, state=state)
        assert sync_run(run_dir).complete
        assert client.get_run(run_id).info.status == status
    assert run_count(sqlite_uri) == 1


def test_a_damaged_run_makes_no_store(
    make_run: RunMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_uri: str
) -> None:
    run_dir, bomb = make_run("bomb"), Path(__file__).parents[1] / "fixtures/faults/hostile/config_yaml_bomb.yaml"
    asked: list[str] = []
    open_client = sync_module.open_client
    monkeypatch.setattr(sync_module, "open_client", lambda uri: asked.append(uri) or open_client(uri))
    config = (run_dir / "config.yaml").read_bytes()
    (run_dir / "config.yaml").write_bytes(bomb.read_bytes())
    with pytest.raises(RunError, match="anchors and aliases are not read"):
        sync_run(run_dir, uri=sqlite_uri)
    assert not asked
    (run_dir / "config.yaml").write_bytes(config)  # negative control: the same run undamaged asks the store
    assert sync_run(run_dir, uri=sqlite_uri).complete and asked
