"""Time left of a study, from what its cells took and how far those are that run."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from motionsynth.cli.study_tables import StudyBar
from motionsynth.study.load import load_study
from motionsynth.study.runner import Places, Plan, make_plan
from motionsynth.study.status import CellStatus, cell_statuses, time_left
from tests.records import change_record
from tests.study.small import STUDY


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "small.yaml").write_text(STUDY)
    return Places(tmp_path / "small.yaml", tmp_path / "runs", tmp_path / "results")


@pytest.fixture
def plan(places: Places) -> Plan:
    return make_plan(load_study(places.yaml), places)


def train(places: Places, plan: Plan, name: str, step: int, **record: Any) -> None:
    """A run directory as a training leaves it that is at ``step`` after a minute."""
    (cell,) = (cell for cell in plan.cells if cell.name == name)
    folder = places.runs / cell.key
    folder.mkdir(parents=True)
    change_record(folder, **{"pid": os.getpid(), "host": socket.gethostname(), **record})
    row = {"step": step, "time": 1.7e9, "metrics": {"budget/minutes": 1.0}}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")


def by_name(plan: Plan, places: Places) -> dict[str, CellStatus]:
    return {status.cell.name: status for status in cell_statuses(plan, places)}


def test_nothing_is_known_before_anything_has_run(plan: Plan, places: Places) -> None:
    statuses = cell_statuses(plan, places)
    assert {status.state for status in statuses} == {"waiting"}
    assert time_left(statuses, 2).unknown == 5 and time_left(statuses, 2).seconds == 0


def test_a_training_tells_its_pace_and_that_of_other_seeds(plan: Plan, places: Places) -> None:
    train(places, plan, "vae/walkers/0", 10)  # of 40, in a minute
    status = by_name(plan, places)["vae/walkers/0"]
    assert (status.state, status.share, status.expected_s) == ("running", 0.25, 240.0)
    assert status.left_s == pytest.approx(180.0)
    found = by_name(plan, places)
    assert found["vae/walkers/1"].left_s == 240.0 and found["wild/walkers/0"].left_s is None


@pytest.mark.parametrize(
    ("record", "state"),
    [
        ({"state": "running", "pid": 2**22 + 1}, "stopped"),
        ({"state": "stopped"}, "stopped"),
        ({"state": "created"}, "stopped"),
        ({"state": "failed", "error": "disk full"}, "failed"),
        ({"state": "finished"}, "trained"),
    ],
)
def test_a_run_without_a_result_is_not_done(plan: Plan, places: Places, record: dict[str, Any], state: str) -> None:
    train(places, plan, "vae/walkers/0", 10, **record)
    status = by_name(plan, places)["vae/walkers/0"]
    assert status.state == state and not status.done and status.error == record.get("error", "")


def test_a_damaged_run_waits(plan: Plan, places: Places) -> None:
    train(places, plan, "vae/walkers/0", 10)
    (cell,) = (cell for cell in plan.cells if cell.name == "vae/walkers/0")
    (places.runs / cell.key / "run.json").write_text("{")
    assert by_name(plan, places)["vae/walkers/0"].state == "waiting"


def test_time_is_shared_out_but_no_less_than_the_longest(plan: Plan) -> None:
    lefts = [600.0, 60.0, 60.0]
    statuses = [CellStatus(cell, "waiting", expected_s=left) for cell, left in zip(plan.cells, lefts, strict=False)]
    assert [time_left(statuses, slots).seconds for slots in (1, 2)] == [720.0, 600.0]
    finished = CellStatus(plan.cells[0], "finished", 1.0, 5.0, 5.0)
    assert time_left([finished], 1).seconds == 0 and time_left([finished], 1).unknown == 0


def test_the_bar_names_what_runs(plan: Plan, places: Places) -> None:
    train(places, plan, "vae/walkers/0", 10)
    text = io.StringIO()
    with StudyBar(places, 1, Console(file=text, width=200)) as bar:
        bar.told(plan, ["real/walkers/0: no memory"])
    assert text.getvalue().strip() == (
        "study 0/5 7:00 left and 3 cells of unknown length  vae/walkers/0 25 %  1 failed"
    )
