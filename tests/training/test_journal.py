"""The journal survives a crash at any byte and holds each step once."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from motionsynth.errors import RunError
from motionsynth.training.journal import Journal, read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_rows_come_back_and_are_plain_json(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.last_step == -1
        assert journal.write(1, {"train/all/total": 0.1, "speed/steps_per_second": 3})
        assert [row.step for row in read_journal(path)] == [1], "a row is readable as soon as it is written"
        assert journal.write(2, {"a": math.nan, "b": math.inf, "c": -math.inf})
    lines = path.read_text().splitlines()
    refuse = pytest.fail
    assert json.loads(lines[1], parse_constant=refuse)["metrics"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity"}
    first, second = read_journal(path)
    assert first.metrics == {"train/all/total": 0.1, "speed/steps_per_second": 3.0} and first.time > 1.7e9
    assert math.isnan(second.metrics["a"]) and second.metrics["b"] == math.inf and second.metrics["c"] == -math.inf


def test_steps_that_are_there_are_not_written_again(path: Path) -> None:
    with Journal(path) as journal:
        journal.write(10, {"a": 1})
        journal.write(20, {"a": 2})
        assert not journal.write(20, {"a": 9})
    with Journal(path) as journal:
        assert journal.last_step == 20
        assert not journal.write(10, {"a": 9})
        assert journal.write(30, {"a": 3})
    assert [(row.step, row.metrics["a"]) for row in read_journal(path)] == [(10, 1), (20, 2), (30, 3)]


def test_a_torn_last_line_is_cut_at_every_byte(path: Path) -> None:
    with Journal(path) as journal:
        journal.write(1, {"a": 1})
        first = path.stat().st_size
        journal.write(2, {"a": 2})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert len(read_journal(path)) == (size >= first)
        with Journal(path) as journal:
            assert journal.last_step == (1 if size >= first else -1)
            assert path.stat().st_size == (first if size >= first else 0)
            journal.write(7, {"b": 7})
        assert [row.step for row in read_journal(path)] == [1, 7][size < first :]


def test_rows_longer_than_a_block_are_repaired_too(path: Path) -> None:
    with Journal(path) as journal:
        journal.write(1, {f"metric {i}": i for i in range(9000)})
        first = path.stat().st_size
        journal.write(2, {f"metric {i}": i for i in range(9000)})
    path.write_bytes(path.read_bytes()[:-3])
    with Journal(path) as journal:
        assert journal.last_step == 1 and path.stat().st_size == first


@pytest.mark.parametrize("line", [b"garbage", b"[]", b'{"step": 1}', b'{"step": 1, "time": 1, "metrics": {"a": "x"}}'])
def test_a_line_that_is_no_row_is_an_error(path: Path, line: bytes) -> None:
    path.write_bytes(line + b"\n")
    with pytest.raises(RunError, match="is not a row"):
        Journal(path)
    with pytest.raises(RunError, match="is not a row"):
        read_journal(path)
    assert path.read_bytes() == line + b"\n", "damage is reported, not repaired"


def test_names_that_trackers_refuse_are_refused(path: Path) -> None:
    with Journal(path) as journal:
        for name in ("a,b", "ü", "", "a\nb"):
            with pytest.raises(ValueError, match="metric name"):
                journal.write(1, {name: 0.0})
        assert journal.write(1, {"Az09_-. :/x": 0.0})


def test_a_missing_journal_is_an_error(path: Path) -> None:
    with pytest.raises(RunError, match="No such file"):
        read_journal(path)
