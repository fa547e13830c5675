"""Run directories from someone else: they hold files and folders, and nothing that leads out of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from motionsynth import run_files
from motionsynth.errors import MotionSynthError, RunError
from motionsynth.families import FAMILIES
from motionsynth.journal_rows import LARGEST_ROW
from motionsynth.run_files import RunFiles, holds_run, sealed
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import open_run
from motionsynth.tracking.artifacts import run_artifacts
from motionsynth.tracking.cursor import Cursor
from motionsynth.tracking.journal import count_rows, last_values, line_digest, read_rows, tail_digest
from motionsynth.tracking.local import list_runs, summarise_run
from motionsynth.tracking.scores import read_scores
from motionsynth.tracking.sync import is_tracked, sync_run
from motionsynth.training import checkpoint, journal
from motionsynth.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from motionsynth.training.journal import Journal, read_journal
from tests.damage import forget_peak, in_time, peak_mib
from tests.training.toy_family import make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")

ENTRIES = (
    "run.json",
    "config.yaml",
    "normaliser.safetensors",
    "weights.safetensors",
    "splits.json",
    "skeleton.bvh",
    "metrics.jsonl",
    "scores.json",
    "tracking.json",
    "report.html",
    ".lock",
    "samples",
    "samples/0000.bvh",
    "samples/real",
    "samples/real/a.bvh",
    "checkpoints",
    "checkpoints/8",
    "checkpoints/8/state.pt",
    "checkpoints/8/manifest.json",
    "notes/mine/deep.txt",
)
DOORS: dict[str, Callable[[Path], Any]] = {
    "open_run": open_run,
    "record": lambda path: RunFiles(path).record(),
    "summarise_run": summarise_run,
    "sync_run": lambda path: sync_run(path, uri="sqlite:////nowhere/mlflow.db"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "toy", "tests.training.toy_family:Toy")
        run = make_run(tmp_path_factory.mktemp("whole") / "run", make_config(steps=8))
        train_run(run, make_windows())
    for name in ENTRIES:
        path = run.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and path.suffix:
            path.write_text("{}" if path.suffix == ".json" else "HIERARCHY\n")
    return run.path


@pytest.fixture
def run_dir(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "runs" / "mine")
    return tmp_path / "runs" / "mine"


def everything_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lead_out(run_dir: Path, name: str) -> Path:
    """Put a symbolic link in the place of an entry, to a copy of it outside; the folder that holds the copy."""
    outside = run_dir.parents[1] / "outside"
    outside.mkdir()
    (run_dir / name).rename(outside / Path(name).name)
    (run_dir / name).symlink_to(outside / Path(name).name)
    return outside


@pytest.mark.parametrize("name", ENTRIES)
def test_a_symbolic_link_inside_is_refused_by_every_door(run_dir: Path, name: str) -> None:
    outside = lead_out(run_dir, name)
    before = everything_below(outside)
    assert holds_run(run_dir)
    for door in DOORS.values():
        with pytest.raises(RunError, match="is a symbolic link, not a file: a run directory holds") as caught:
            door(run_dir)
        assert caught.value.path == run_dir / name and "\n" not in str(caught.value)
    (summary,) = list_runs(run_dir.parent)
    assert summary.state == "damaged" and name in str(summary.reason)
    assert everything_below(outside) == before


@pytest.mark.parametrize("name", [name for name in ENTRIES if "." in name])
def test_a_named_pipe_hangs_nobody(run_dir: Path, name: str) -> None:
    (run_dir / name).unlink()
    os.mkfifo(run_dir / name)
    for door in (*DOORS.values(), lambda path: list_runs(path.parent)[0].reason and _refused(path)):
        with pytest.raises(RunError, match="is a named pipe"), in_time(5):
            door(run_dir)


def _refused(path: Path) -> None:
    raise RunError(path, "is a named pipe")


def test_without_the_look_through_a_door_opens(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the very same links, and nobody who looks."""
    lead_out(run_dir, "checkpoints")
    monkeypatch.setattr(run_files, "_irregular", lambda folder: iter(()))
    assert open_run(run_dir).record.state == "finished"


def test_a_run_may_be_reached_by_a_link(run_dir: Path) -> None:
    (run_dir.parent / "latest").symlink_to("mine")
    (run_dir.parents[1] / "elsewhere").symlink_to("runs")
    for path in (run_dir.parent / "latest", run_dir.parents[1] / "elsewhere" / "latest"):
        assert open_run(path).load_family() and summarise_run(path).state == "finished"


def test_files_that_come_and_go_disturb_no_look(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer beside it writes under temporary names."""
    scandir, vanished = os.scandir, run_dir / "samples"

    def vanish(path: Any) -> Any:
        if path == vanished:
            monkeypatch.undo()
            shutil.rmtree(vanished)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanish)
    RunFiles(run_dir)
    assert not vanished.exists()


def test_a_delivery_leaves_out_what_is_linked(run_dir: Path) -> None:
    """Also where a link appears after the look through."""
    lead_out(run_dir, "samples/0000.bvh")
    (run_dir / "samples" / "folder").symlink_to(run_dir.parents[1] / "outside")
    assert run_artifacts(run_dir) == [
        "config.yaml",
        "splits.json",
        "scores.json",
        "report.html",
        "samples/real/a.bvh",
    ]


def test_checkpoints_behind_a_link_are_neither_read_nor_cleared_away(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = lead_out(run_dir, "checkpoints") / "checkpoints"
    (outside / "20260101").mkdir()
    newest = Checkpoint(9, {"w": torch.ones(1)}, {}, {})
    for touch in (
        lambda: load_newest(run_dir / "checkpoints"),
        lambda: save_checkpoint(run_dir / "checkpoints", newest),
    ):
        before = sorted(outside.rglob("*"))
        with pytest.raises(RunError, match="is a symbolic link"):
            touch()
        assert sorted(outside.rglob("*")) == before and (outside / "20260101").is_dir()
    monkeypatch.setattr(Path, "is_symlink", lambda self: False)  # the control
    save_checkpoint(run_dir / "checkpoints", newest)
    assert not (outside / "20260101").exists()


def test_a_checkpoint_that_is_a_link_is_refused(run_dir: Path) -> None:
    lead_out(run_dir, "checkpoints/8")
    with pytest.raises(RunError, match="is a symbolic link, not a checkpoint"):
        load_newest(run_dir / "checkpoints")


def test_a_journal_behind_a_link_keeps_its_last_line(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precious = lead_out(run_dir, "metrics.jsonl") / "metrics.jsonl"
    torn = precious.read_text() + "a line that is not whole"
    precious.write_text(torn)
    for touch in (Journal, read_journal):
        with pytest.raises(RunError, match="is a symbolic link"):
            touch(run_dir / "metrics.jsonl")
    with pytest.raises(RunError, match="is a symbolic link"):
        list(read_rows(run_dir / "metrics.jsonl"))
    assert precious.read_text() == torn
    monkeypatch.setattr(journal, "refuse_irregular", lambda path: None)  # the control
    Journal(run_dir / "metrics.jsonl").close()
    assert precious.read_text() != torn


def test_small_files_are_read_through_no_link(run_dir: Path) -> None:
    """Readers without the look through, because they are called again and again."""
    (run_dir / "tracking.json").write_text(json.dumps({"format": 1, "stores": {"x": {"run_id": "a"}}}))
    assert Cursor.load(run_dir, "x").run_id == "a"
    outside = lead_out(run_dir, "tracking.json")
    assert Cursor.load(run_dir, "x").run_id is None and not is_tracked(run_dir, uri="x")
    shutil.rmtree(outside)
    lead_out(run_dir, "scores.json")
    with pytest.raises(OSError, match="is a symbolic link"):
        read_scores(run_dir)


@pytest.mark.parametrize(
    "entry",
    [
        {"journal_rows": "many"},
        {"journal_bytes": -1},
        {"journal_bytes": 10**30},
        {"artifacts": ["a"]},
        {"journal_tail": 5},
        {"journal_bytes": 5, "journal_tail": f"{10**12}:00"},
        {"journal_bytes": 5, "journal_tail": "x:00"},
        [],
        "x",
        None,
    ],
)
def test_a_cursor_that_says_nonsense_is_a_fresh_one(run_dir: Path, entry: Any) -> None:
    (run_dir / "tracking.json").write_text(json.dumps({"format": 1, "stores": {"x": entry}}))
    found = Cursor.load(run_dir, "x")
    assert (found.journal_bytes, found.journal_rows, found.artifacts) == (0, 0, {})


def test_a_journal_of_one_endless_line_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    good = b'{"step": 1, "time": 1.0, "metrics": {"a": 1.0}}\n'
    with path.open("wb") as file:
        file.write(good)
        file.write(b'{"step": 2, "time": 2.0, "metrics": {"a": "')
        file.truncate(1 << 28)  # a quarter of a gigabyte of zeros, which takes no disk
        file.seek(0, os.SEEK_END)
    forget_peak()
    before = peak_mib()
    assert [line.parse().step for line in read_rows(path)] == [1]
    assert last_values(path) == (None, {})
    with pytest.raises(RunError, match="its last row has more than"):
        Journal(path)
    with path.open("ab") as file:
        file.write(b"\n" + good)
    rows = list(read_rows(path))
    assert [line.too_long for line in rows] == [False, True, False]
    with pytest.raises(ValueError, match=r"^longer than the 1,048,576 bytes"):
        rows[1].parse()
    assert count_rows(path) == 3 and last_values(path) == (1, {"a": 1.0})
    for row in rows:
        assert len(row.content) <= LARGEST_ROW
        assert tail_digest(path, row.end, len(row.content)) == line_digest(row.content)
    with pytest.raises(RunError, match="is not a row of a journal"):
        read_journal(path)
    assert peak_mib() - before < 50


@pytest.mark.parametrize(
    "row",
    [
        '{"step": 1e400, "time": 1, "metrics": {}}',
        '{"step": 99999999999999999999, "time": 1, "metrics": {}}',
        '{"step": -1, "time": 1, "metrics": {}}',
        '{"step": 1, "time": 1e300, "metrics": {}}',
        '{"step": 1, "time": NaN, "metrics": {}}',
        '{"step": 1, "time": 1, "metrics": {"\\ud800": 1}}',
        '{"step": 1, "time": 1, "metrics": {"a": [1]}}',
        '{"step": 1, "time": 1, "metrics": []}',
        '{"step": 1, "time": 1, "metrics": {"a": ' + "9" * 400 + "}}",
        "[" * 100_000,
        "[]",
    ],
)
def test_rows_that_no_store_would_take_are_damaged(tmp_path: Path, row: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(row + "\n")
    (found,) = read_rows(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match=r"."):
        found.parse()
    with pytest.raises(RunError, match="is not a row of a journal"):
        read_journal(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"created": 1e999}', "{}", '{"figures": NaN}', "\udcff"])
def test_scores_that_say_nonsense_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "scores.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"scores\.json: not the scores of an evaluation"):
        read_scores(tmp_path)


def test_a_record_is_sealed(run_dir: Path) -> None:
    record = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps(record))
    assert open_run(run_dir).record.state == "finished", "another layout is the same record"
    for change, said in (
        ({**record, "step": 9}, "its SHA-256 is not the one that it holds"),
        ({**record, "sha256": {}}, "holds no checksum of itself"),
    ):
        (run_dir / "run.json").write_text(json.dumps(change))
        for door in DOORS.values():
            with pytest.raises(RunError, match=said):
                door(run_dir)
    (run_dir / "run.json").write_bytes(sealed({**record, "step": 9}))
    assert open_run(run_dir).record.step == 9


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pid", 10**30),
        ("tracking_id", "' or 1=1"),
        ("frames", 9),
        ("family", "vae"),
        ("labels", {"a": 1}),
        ("state", 1),
    ],
)
def test_a_record_that_says_nonsense_is_refused_though_it_is_sealed(run_dir: Path, key: str, value: Any) -> None:
    record = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_bytes(sealed({**record, key: value}))
    with pytest.raises(MotionSynthError, match=key):
        open_run(run_dir)


def test_an_error_that_is_no_unicode_still_ends_the_run(run_dir: Path) -> None:
    run = open_run(run_dir)
    run.update(state="failed", error="cannot read \udcff.bvh")
    assert open_run(run_dir).record.error == "cannot read ?.bvh"


def test_only_weights_of_the_right_size_are_read(run_dir: Path) -> None:
    """A file may say that it is larger than any disk, with holes for numbers."""
    tensor = {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}
    header = json.dumps({"generator.weight": tensor}).encode()
    with (run_dir / "weights.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + (1 << 40))
    forget_peak()
    before = peak_mib()
    # a system that maps it goes on to compare sizes, another cannot even map it
    with pytest.raises(RunError, match=r"bytes, more than the|unable to mmap"), in_time(5):
        open_run(run_dir).load_family()
    assert peak_mib() - before < 50


def test_a_damaged_checkpoint_keeps_no_older_one_from_being_taken(run_dir: Path) -> None:
    (run_dir / "weights.safetensors").unlink()
    assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == ["7", "8"]
    for step, found in (("8", 7), ("7", None)):
        weights = run_dir / "checkpoints" / step / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:20])
        assert open_run(run_dir).build_family()  # small: what a bound is for is not
        if found:
            assert (older := load_newest(run_dir / "checkpoints")) and older.step == found
    with pytest.raises(RunError, match="no checkpoint is intact"):
        load_newest(run_dir / "checkpoints")


def test_a_checkpoint_that_unpacks_to_more_is_refused(run_dir: Path) -> None:
    import zipfile

    place = run_dir / "checkpoints" / "8"
    for path in (run_dir / "checkpoints").iterdir():
        if path != place:
            shutil.rmtree(path)
    with zipfile.ZipFile(place / "state.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1 << 26))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["sha256"]["state.pt"] = checkpoint.hash_bytes((place / "state.pt").read_bytes())
    (place / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="its parts are larger than the file"):
        load_newest(run_dir / "checkpoints")
