"""Figures of an evaluation in MLflow: all of them, under their names, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from motionsynth.tracking import sync as sync_module
from motionsynth.tracking.scores import read_scores
from motionsynth.tracking.sync import is_tracked, sync_run
from tests.tracking.conftest import RunMaker, journal_points, points, run_count

CREATED = "2026-01-02T03:04:05+00:00"


def write_scores(run_dir: Path, values: dict[str, float | None], *, created: str = CREATED) -> None:
    figures: dict[str, Any] = {key: {"value": value, "note": None, "unit": "1"} for key, value in values.items()}
    document = {"format": 1, "created": created, "generated": {"step": 4000}, "figures": figures}
    (run_dir / "scores.json").write_text(json.dumps(document))
    (run_dir / "report.html").write_text("<html>")


def scored(uri: str, run_id: str | None) -> list[tuple[str, int, int, float]]:
    return [point for point in points(uri, str(run_id)) if point[0].startswith("scores/")]


FIGURES = {"modes/recall.pca": 0.5, "smoothness/speed_ratio": 1.25, "modes/coverage.pca": None}


def test_figures_become_metrics_and_the_report_an_artifact(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    write_scores(run_dir, FIGURES)
    report = sync_run(run_dir)
    assert report.complete and report.notes == ()
    assert scored(sqlite_uri, report.run_id) == [
        ("scores/modes/recall.pca", 4000, 1767323045000, 0.5),
        ("scores/smoothness/speed_ratio", 4000, 1767323045000, 1.25),
    ]
    artifacts = {item.path for item in MlflowClient(sqlite_uri).list_artifacts(str(report.run_id))}
    assert {"scores.json", "report.html"} <= artifacts
    others = [p for p in points(sqlite_uri, str(report.run_id)) if p not in scored(sqlite_uri, report.run_id)]
    assert others == journal_points(run_dir)


def test_every_key_of_the_suite_is_a_name_that_mlflow_takes() -> None:
    from mlflow.utils.validation import _validate_metric_name

    from motionsynth.metrics.registry import choose, figure_keys
    from motionsynth.tracking.record import mlflow_key

    for key in figure_keys(choose(None, None, ("pca", "kinetic"))):
        _validate_metric_name(f"scores/{key}")
        assert mlflow_key(f"scores/{key}") == f"scores/{key}"


@pytest.mark.parametrize("lost", [False, True])
def test_nothing_is_delivered_twice(sqlite_uri: str, make_run: RunMaker, lost: bool) -> None:
    run_dir = make_run()
    write_scores(run_dir, FIGURES)
    first = sync_run(run_dir)
    if lost:
        (run_dir / "tracking.json").unlink()
    again = sync_run(run_dir)
    assert again.run_id == first.run_id and run_count(sqlite_uri) == 1
    assert len(scored(sqlite_uri, first.run_id)) == 2


def test_a_second_evaluation_stands_beside_the_first(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    write_scores(run_dir, FIGURES)
    sync_run(run_dir)
    write_scores(run_dir, {"modes/recall.pca": 0.75}, created="2026-01-03T00:00:00+00:00")
    report = sync_run(run_dir)
    assert report.artifacts == 1  # the page is the same
    recall = [value for key, _, _, value in scored(sqlite_uri, report.run_id) if key.endswith("recall.pca")]
    assert recall == [0.5, 0.75]


def test_death_before_the_cursor_doubles_nothing(
    sqlite_uri: str, make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run()
    sync_run(run_dir)
    write_scores(run_dir, FIGURES)

    class Killed(BaseException):
        pass

    def save(self: Any, run_dir: Path, uri: str) -> None:
        if self.scores:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sync_module.Cursor, "save", save)
        with pytest.raises(Killed):
            sync_run(run_dir)
    report = sync_run(run_dir)
    assert report.complete and len(scored(sqlite_uri, report.run_id)) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"created": "yesterday", "generated": {}, "figures": {}}'])
def test_a_damaged_file_is_told_and_the_rest_arrives(sqlite_uri: str, make_run: RunMaker, content: str) -> None:
    run_dir = make_run()
    (run_dir / "scores.json").write_text(content)
    report = sync_run(run_dir)
    assert report.complete and len(report.notes) == 1 and report.notes[0].startswith("scores.json: not the scores")
    assert points(sqlite_uri, str(report.run_id)) == journal_points(run_dir)
    with pytest.raises(ValueError, match=r"scores\.json"):
        read_scores(run_dir)


def test_a_dead_server_is_one_warning(
    make_run: RunMaker, closed_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from motionsynth.evaluation.evaluate import _deliver
    from motionsynth.run_files import RunFiles
    from motionsynth.runs.run import Run, RunRecord

    run_dir = make_run()
    record = RunRecord.model_construct(tracking_id="x")
    run = Run(RunFiles(run_dir), record, None)  # type: ignore[arg-type]
    write_scores(run_dir, FIGURES)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    assert _deliver(run, run_dir, None) == ()  # that store has no entry of the run
    (warning,) = _deliver(run, run_dir, True)
    assert "did not take everything" in warning and "runs sync" in warning
    assert _deliver(run, run_dir, False) == ()
    assert _deliver(run, tmp_path, True) == ()  # its figures lie elsewhere


def test_only_a_run_with_an_entry_counts_as_tracked(sqlite_uri: str, make_run: RunMaker) -> None:
    run_dir = make_run()
    assert not is_tracked(run_dir)
    sync_run(run_dir)
    assert is_tracked(run_dir)
    assert not is_tracked(run_dir, uri="sqlite:////elsewhere/mlflow.db")


def test_an_evaluation_of_a_tracked_run_arrives(sqlite_uri: str, tmp_path: Path) -> None:
    import shutil

    from motionsynth import evaluate
    from tests.evaluation import worlds

    run_dir = tmp_path / "vae"
    shutil.copytree(worlds.run_dir(), run_dir)
    options: dict[str, Any] = {"metrics": ["speed_ratio"], "extractor": worlds.extractor(), "count": 8, "resamples": 0}
    assert evaluate(run_dir, reference=worlds.data_yaml(), **options).warnings == ()
    assert run_count(sqlite_uri) == 0  # it was trained untracked
    run_id = sync_run(run_dir).run_id
    again = evaluate(run_dir, reference=worlds.data_yaml(), seed=1, **options)
    assert scored(sqlite_uri, run_id)[-1][3] == again.values["smoothness/speed_ratio"]
