"""A full disk ends a training in one line, leaves nothing half written, and costs nothing when there is room again."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from motionsynth import files
from motionsynth.errors import RunError, TrainingError
from motionsynth.files import write_bytes
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run, open_run
from motionsynth.training.journal import Journal
from motionsynth.training.trainer import TrainingResult
from tests.training.test_resume import same_end
from tests.training.toy_family import make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")

STEPS = 9
PARTS = "journal|checkpoint|weights|samples|state"


def train(path: Path) -> TrainingResult:
    """Train until step 9 with checkpoints at 4, 8 and 9, and keep samples; go on where there is a run."""
    config = make_config(steps=STEPS, checkpoint_every_steps=4, log_every_steps=2, validate_every_steps=4)
    run = open_run(path) if path.exists() else make_run(path, config)
    return train_run(run, make_windows(), make_windows(11, 1), resume=True, finish=keep_samples)


def keep_samples(run: Run) -> None:
    run.samples_path.mkdir(exist_ok=True)
    write_bytes(run.samples_path / "0000.bvh", b"samples" * 1000)


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, at: int, *, stays: bool) -> Iterator[list[str]]:
    """No room from the ``at``-th wait for the disk or row of the journal on, or for that one alone."""
    seen: list[str] = []

    def refusing(wrapped: Callable[..., object], name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            seen.append(name)
            if len(seen) == at or (stays and len(seen) > at):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return wrapped(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refusing(os.fsync, "fsync"))
        patch.setattr(Journal, "_append", refusing(Journal._append, "append"))
        yield seen


def leftovers(path: Path) -> list[Path]:
    return [found for found in path.rglob(".*") if found.name != ".lock"] + list(path.parent.glob(".*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """An uninterrupted run, and how often it waited for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        from motionsynth.families import FAMILIES

        patch.setitem(FAMILIES, "toy", "tests.training.toy_family:Toy")
        path = tmp_path_factory.mktemp("whole") / "run"
        with full_disk(patch, 0, stays=False) as seen:
            train(path)
        yield path, len(seen)


def check_line(error: TrainingError, path: Path) -> None:
    """One line: path, step, what was written, free space, and the way on; the size too where it is known."""
    line = str(error)
    assert "\n" not in line
    assert re.match(rf"step \d, phase ({PARTS}): {re.escape(str(path))}", line), line
    assert re.search(r"No space left on device: ([\d,]+ bytes to write, )?[\d,]+ free; make room", line), line
    assert line.endswith(f"go on with --run-dir {path} --resume")
    assert error.exit_code == 1


@pytest.mark.parametrize("stays", [False, True], ids=["for a moment", "for good"])
def test_a_disk_that_is_full_anywhere_costs_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    whole: tuple[Path, int],
    stays: bool,
) -> None:
    reference, writes = whole
    named = set()
    for at in range(7, writes + 1, 1 + stays):  # the first six make the directory
        path = tmp_path / f"{at}" / "run"
        caplog.clear()
        with full_disk(monkeypatch, at, stays=stays), pytest.raises(TrainingError) as caught:
            train(path)
        check_line(caught.value, path)
        named.add(caught.value.phase)
        assert not leftovers(path)
        record = open_run(path).record
        if stays:
            assert "for want of room" in caplog.text
        else:
            assert (record.state, record.pid, record.error) == ("failed", None, str(caught.value)), at
        train(path)
        assert open_run(path).record.state == "finished" and same_end(path, reference), at
    assert stays or named == set(PARTS.split("|"))


def test_a_directory_that_finds_no_room_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(1, 7):
        with full_disk(monkeypatch, at, stays=False), pytest.raises((RunError, OSError)) as caught:
            train(tmp_path / "run")
        assert files.full_disk(caught.value)
        assert str(tmp_path / "run") in str(caught.value) and ".tmp" not in str(caught.value)
        if at < 6:  # the last one waits for the name of a directory that is whole
            assert not list(tmp_path.iterdir())


def test_what_a_kill_in_the_finish_left_is_swept_by_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_disk(monkeypatch, 12, stays=False), pytest.raises(TrainingError):
        train(tmp_path / "run")
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "run" / "samples").mkdir()
    for place in ("run/.weights.safetensors", "run/samples/.0000.bvh", "run/checkpoints/.4", ".run"):
        left = tmp_path / f"{place}.{gone.pid}.0123456789abcdef.tmp"
        left.mkdir(parents=True) if place in (".run", "run/checkpoints/.4") else left.write_bytes(b"half")
    assert len(leftovers(tmp_path / "run")) == 4
    train(tmp_path / "run")
    assert not leftovers(tmp_path / "run")


@contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def test_a_real_disk_that_is_full(tmp_path: Path, whole: tuple[Path, int]) -> None:
    reference, failed = whole[0], 0
    with mounted(tmp_path / "disk", 512) as disk:
        for room in range(0, 200, 16):
            path, filler = disk / f"{room}", disk / "filler"
            config = make_config(steps=STEPS, checkpoint_every_steps=4, log_every_steps=2, validate_every_steps=4)
            make_run(path, config)
            status = os.statvfs(disk)
            filler.write_bytes(b"\0" * max(0, status.f_bavail * status.f_frsize - room * 1024))
            try:
                train(path)
            except TrainingError as error:
                failed += 1
                check_line(error, path)
                assert not leftovers(path)
                assert open_run(path).record.state in ("failed", "created", "running")
                filler.unlink()
                train(path)
            assert same_end(path, reference), room
            filler.unlink(missing_ok=True)
            subprocess.run(["rm", "-r", str(path)], check=True)
    assert failed > 3
