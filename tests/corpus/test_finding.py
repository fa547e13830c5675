"""One rule for which files a folder holds, and for those that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from motionsynth.corpus import finding
from motionsynth.corpus.finding import BadFiles, find_clips, find_files
from motionsynth.corpus.inspect import inspect_path
from motionsynth.errors import BvhError, ConfigError, CorpusError, MotionSynthError
from motionsynth.motion.bvh import read_bvh
from tests.corpus.folders import open_folder, write_clips

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with all that should be a clip and is none, all that is none and looks like one, and links."""
    folder = write_clips(tmp_path / "hostile", ["walk_calm_001.bvh", "walk_calm_002.BVH", "b/run_calm_001.Bvh"])
    for name in ("._walk_calm_001.bvh", ".hidden/x.bvh", "b/.x.bvh", "__MACOSX/walk_calm_003.bvh"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\0\5\26\7")
    (folder / "dead.bvh").symlink_to("nowhere.bvh")
    (folder / "self.bvh").symlink_to("self.bvh")
    os.mkfifo(folder / "pipe.bvh")
    (folder / "unmounted").symlink_to("/nowhere/mocap")
    (folder / "b" / "again").symlink_to(folder)
    (folder / "a_link").symlink_to(folder / "b")
    (folder / "notes.txt").symlink_to("nowhere.txt")
    return folder


GOOD = ["b/run_calm_001.Bvh", "walk_calm_001.bvh", "walk_calm_002.BVH"]
BAD = {
    "dead.bvh": "cannot be read: is a link to nothing",
    "self.bvh": "cannot be read: Too many levels of symbolic links",
    "pipe.bvh": "cannot be read: is a named pipe, not a file",
    "unmounted": "is a link to nothing",
    "b/again": "is a link to a folder above it",
}


def test_files_are_found_once_in_order_and_what_may_hold_some_is_a_fault(hostile: Path) -> None:
    root, files, faults = find_files(hostile)
    assert root == hostile
    assert files == sorted([*GOOD, "dead.bvh", "self.bvh", "pipe.bvh"])
    assert faults == {"unmounted": BAD["unmounted"], "b/again": BAD["b/again"]}


def test_every_reader_of_folders_finds_the_same(hostile: Path, tmp_path: Path) -> None:
    inspection = inspect_path(hostile)
    assert [file.file for file in inspection.loaded] == GOOD
    assert {file.file: file.reason for file in inspection.refused} == {f: f"{hostile / f}: {r}" for f, r in BAD.items()}
    with pytest.raises(CorpusError, match="5 of 8 files cannot be used"):
        open_folder(hostile, tmp_path / "cache", on_bad_file="stop", labels="none")
    corpus = open_folder(hostile, tmp_path / "cache", on_bad_file="skip", labels="none")
    assert {file.file: file.reason for file in corpus.skipped} == {f: f"{hostile / f}: {r}" for f, r in BAD.items()}
    bad = BadFiles("skip")
    used = []
    for path in find_clips([hostile, hostile / "walk_calm_001.bvh"], bad):
        with bad.collecting(path):
            read_bvh(path)
            used.append(path.relative_to(hostile).as_posix())
    bad.settle(len(used))
    assert used == GOOD, "a file that is named twice is used once"
    assert set(bad.reasons) == {str(hostile / file) for file in BAD}


def test_hidden_files_are_what_the_rule_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FAULTS / "apple_double"
    assert find_files(folder).files == ["take_0.bvh", "take_1.bvh"]
    monkeypatch.setattr(finding, "is_litter", lambda name: False)
    assert "._take_0.bvh" in find_files(folder).files, "the fixture would be found"
    with pytest.raises(BvhError):
        read_bvh(folder / "._take_0.bvh")


def test_a_folder_is_listed_by_its_own_path_wherever_its_links_sort(tmp_path: Path) -> None:
    write_clips(tmp_path / "data", ["z/one.bvh"])
    (tmp_path / "data" / "a").symlink_to(tmp_path / "data" / "z")
    assert find_files(tmp_path / "data") == (tmp_path / "data", ["z/one.bvh"], {})
    write_clips(tmp_path / "elsewhere", ["two.bvh"])
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    assert find_files(tmp_path / "data").files == ["linked/two.bvh", "z/one.bvh"]


def test_a_folder_that_cannot_be_looked_into_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_clips(tmp_path / "data", ["a/one.bvh", "b/two.bvh"])
    look = os.scandir

    def scandir(path: Path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_files(folder) == (folder, ["a/one.bvh"], {"b": "cannot be looked into: Permission denied"})
    (folder / "a" / "one.bvh").unlink()
    with pytest.raises(CorpusError, match=r"holds no BVH or AMC file; .*b cannot be looked into: Permission denied"):
        find_files(folder)


@pytest.mark.parametrize(
    ("name", "message"), [("x", "no such folder; 'motionsynth data make"), ("x.bvh", "no such file")]
)
def test_a_path_that_is_not_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        find_files(tmp_path / name)


def test_the_policy_decides_when_all_have_been_tried(tmp_path: Path) -> None:
    for policy in ("stop", "skip"):
        bad = BadFiles(policy)
        for name in "abcde":
            with bad.collecting(tmp_path / name):
                raise MotionSynthError(f"{tmp_path / name}: wrong")
        assert len(bad.reasons) == 5
        with pytest.raises(CorpusError, match=r"5 of 5 files cannot be used: .*a: wrong; .*c: wrong \(and 2 more\)$"):
            bad.settle(0)
    bad.settle(1)  # one is left, and the others may be skipped
    with pytest.raises(CorpusError, match=r"5 of 6 files .*; --on-bad-file skip leaves such files out and lists them$"):
        BadFiles("stop", bad.reasons).settle(1)
    with pytest.raises(ConfigError), BadFiles("skip").collecting(tmp_path):
        raise ConfigError(None, "--label", "is a mistake of the user, whatever the files")
