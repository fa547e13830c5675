"""Names that every file system keeps apart, and folders of clips that are whole or not there."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from motionsynth import output
from motionsynth.errors import BvhError, MotionSynthError
from motionsynth.files import locked
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.output import MANIFEST, clip_folder, distinct_names, distinct_paths, refuse_filled
from tests.corpus.folders import clip_of

DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}
LONG = "走" * 83
NFC, NFD = "caf\u00e9", "cafe\u0301"


def faults(names: list[str]) -> list[str]:
    """Faults of names in one folder, by the rules of Linux, macOS and Windows; written anew for this test."""
    wrong = [f"{name!r} has {len(name.encode())} bytes" for name in names if not 0 < len(name.encode()) <= 255]
    wrong += [f"{name!r} is a device" for name in names if name.split(".")[0].rstrip(" ").upper() in DEVICES]
    wrong += [f"{name!r} is forbidden" for name in names if set(name) & set('<>:"/\\|?*') or name[-1] in ". "]
    wrong += [f"{name!r} is hidden" for name in names if name.startswith(".")]
    wrong += [f"{name!r} has a control" for name in names if any(ord(letter) < 32 for letter in name)]
    for same in (str.upper, str.lower, str.casefold, lambda name: name):
        for form in ("NFC", "NFD"):
            folded = [unicodedata.normalize(form, same(unicodedata.normalize(form, name))) for name in names]
            wrong += [f"{name!r} is twice" for name in folded if folded.count(name) > 1]
    return wrong


def faults_of_tree(paths: list[str]) -> list[str]:
    folders: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        for depth, part in enumerate(parts):
            folders.setdefault("/".join(parts[:depth]), set()).add(part)
    return [fault for children in folders.values() for fault in faults(sorted(children))]


def test_the_rules_catch_what_is_wrong() -> None:
    for names in (["x" * 256], ["con.bvh"], ["a:b"], ["a."], [".a"], ["a\n"], ["A", "a"], [NFC, NFD], [LONG + LONG]):
        assert faults(names), names
    assert not faults(["walk_001.bvh", "走.bvh"])


def test_names_are_as_they_were_where_nothing_is_wrong() -> None:
    assert distinct_names(["a/walk 1.bvh", "b/Läufer.BVH", "走.bvh", "x" * 251 + ".bvh"]) == [
        "walk 1",
        "Läufer",
        "走",
        "x" * 251,
    ]
    assert distinct_names(["/tmp/a/walk.v2.bvh"]) == ["walk.v2"]
    files = ["run/001.bvh", "walk/001.bvh", "walk/x/1.BVH"]
    assert distinct_paths(files) == files


def test_folders_tell_files_of_one_name_apart() -> None:
    assert distinct_names(["walk/001.bvh", "run/001.bvh", "run/002.bvh"]) == ["walk_001", "run_001", "002"]
    tails = ["_0000", "_0000", "_0064"]
    assert distinct_names(["walk/001.bvh", "run/001.bvh", "run/001.bvh"], tails=tails) == [
        "walk_001_0000",
        "run_001_0000",
        "001_0064",
    ]
    assert distinct_names(["/data/a/s1/x.bvh", "/data/b/s1/x.bvh"]) == ["a_s1_x", "b_s1_x"]
    (short,) = distinct_names(["x" * 251], tails=["_0064"])
    assert len(short) == 251 and short.startswith("x" * 200) and short.endswith("_0064"), "the tail is kept"
    twins = distinct_names(["walk/001.bvh", "run/001.bvh", "walk_001.bvh"])
    assert twins[1] == "run_001" and len(set(twins)) == 3 and all(name.startswith("walk_001-") for name in twins[::2])


@pytest.mark.parametrize(
    "sources",
    [
        [LONG + "a.bvh", LONG + "b.bvh"],
        ["x" * 300 + "1", "x" * 300 + "2"],
        ["CON.bvh", "con.bvh", "aux.x.bvh", "COM1.bvh", "nul"],
        ["a:b.bvh", "a?b.bvh", "a*b.bvh", "a\\b.bvh", "a_b.bvh"],
        ["a..bvh", "a.bvh", "a .bvh", " .bvh", "...bvh", "bvh"],
        ["Walk.bvh", "walk.bvh", "WALK.bvh", "walk.BVH"],
        [f"{NFC}.bvh", f"{NFD}.bvh"],
        ["straße.bvh", "STRASSE.bvh", "ﬁ.bvh", "fi.bvh"],
        ["\x1b[31mred.bvh", "\u202ehvb.exe.bvh", "a\nb.bvh", os.fsdecode(b"caf\xe9.bvh")],
        ["walk/001.bvh", "run/001.bvh", "walk_001.bvh", "walk_001-0123456789.bvh"],
        ["same.bvh", "same.bvh", "same.bvh"],
    ],
)
def test_awkward_names_become_safe_ones(sources: list[str], tmp_path: Path) -> None:
    names = [f"{name}.bvh" for name in distinct_names(sources)]
    assert not faults(names)
    for name in names:
        write_bvh(clip_of(0), tmp_path / name)  # by way of a temporary name
    assert len(list(tmp_path.iterdir())) == len(sources)
    if len(set(sources)) == len(sources):
        paths = distinct_paths([f"A/{source}" for source in sources] + [f"a/{source}" for source in sources])
        assert not faults_of_tree(paths)
        assert len({path.partition("/")[0].lower() for path in paths}) == 2


LETTERS = st.sampled_from(
    ["a", "A", "b", "é", "e\u0301", "走", "ß", "s", ".", " ", ":", "_", "-", "\u200d", "\x1b", "com1"]
)
PART = st.lists(LETTERS, min_size=1, max_size=4).map("".join).filter(lambda part: part not in (".", ".."))
LONGER = st.builds(lambda part, times: part * times, PART, st.sampled_from([1, 1, 1, 90]))
FILES = st.lists(st.lists(LONGER, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8, unique=True)


@given(FILES)
@example(["walk/001", "run/001", "walk_001", "walk_001-2ac5a0d9b5"])
@settings(max_examples=150, deadline=None)
def test_any_files_get_names_of_their_own(files: list[str]) -> None:
    sources = [f"{file}.bvh" for file in files]
    names = [f"{name}.bvh" for name in distinct_names(sources, tails=["_0000"] * len(files))]
    assert not faults(names)
    assert names == [f"{name}.bvh" for name in distinct_names(sources, tails=["_0000"] * len(files))]
    assert not faults_of_tree(distinct_paths(sources))
    assert len(set(distinct_paths(sources))) == len(sources)


def fill(folder: Path, *names: str, overwrite: bool = False) -> None:
    with clip_folder(folder, overwrite=overwrite) as stage:
        for seed, name in enumerate(names):
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            write_bvh(clip_of(seed), stage / name)


def seen(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_filled_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "clips"
    with clip_folder(folder) as stage:
        write_bvh(clip_of(0), stage / "0.bvh")
        assert not list(folder.glob("[!.]*")), "nothing is seen before all is there"
    assert seen(folder) == [MANIFEST, "0.bvh"]
    fill(tmp_path / "again", "0.bvh")
    assert (folder / MANIFEST).read_bytes() == (tmp_path / "again" / MANIFEST).read_bytes()


@pytest.mark.parametrize("error", [BvhError("x.bvh", 1, "bad"), KeyboardInterrupt(), OSError(28, "No space left")])
def test_what_fails_leaves_everything_as_it_was(tmp_path: Path, error: BaseException) -> None:
    def fail(folder: Path, *, overwrite: bool = False) -> None:
        with clip_folder(folder, overwrite=overwrite) as stage:
            write_bvh(clip_of(5), stage / "0.bvh")
            raise error

    with pytest.raises(type(error)):
        fail(tmp_path / "new" / "clips")
    assert not list(tmp_path.iterdir())
    fill(tmp_path / "old", "0.bvh", "1.bvh")
    before = {name: (tmp_path / "old" / name).read_bytes() for name in seen(tmp_path / "old")}
    with pytest.raises(type(error)):
        fail(tmp_path / "old", overwrite=True)
    assert {name: (tmp_path / "old" / name).read_bytes() for name in seen(tmp_path / "old")} == before


def test_older_clips_are_never_mixed_with_new_ones(tmp_path: Path) -> None:
    fill(tmp_path, "0.bvh", "1.bvh", "row/0.bvh")
    with pytest.raises(MotionSynthError, match=r"is not empty \(it holds 0.bvh and 2 more\).*--overwrite"):
        fill(tmp_path, "5.bvh")
    fill(tmp_path, "5.bvh", overwrite=True)
    assert seen(tmp_path) == [MANIFEST, "5.bvh"] and not (tmp_path / "row").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "mine.bvh").write_bytes(b"x"), "holds mine.bvh, which motionsynth did not write"),
        (lambda folder: (folder / "row" / "x.txt").write_bytes(b"x"), "holds row/x.txt, which motionsynth did not"),
        (lambda folder: (folder / "0.bvh").write_bytes(b"x"), "0.bvh was changed since motionsynth wrote it"),
        (lambda folder: (folder / "link.bvh").symlink_to(folder / "0.bvh"), "holds link.bvh, which"),
        (lambda folder: (folder / MANIFEST).unlink(), "holds 0.bvh, which motionsynth did not write"),
        (lambda folder: (folder / MANIFEST).write_bytes(b'{"files": ["0.bvh"]}'), "holds 0.bvh, which"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"[" * 100_000), "holds 0.bvh, which"),
    ],
)
def test_nothing_but_our_own_is_ever_removed(tmp_path: Path, spoil, message: str) -> None:
    fill(tmp_path, "0.bvh", "row/0.bvh")
    spoil(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in seen(tmp_path)}
    with pytest.raises(MotionSynthError, match=message):
        fill(tmp_path, "5.bvh", overwrite=True)
    assert {name: (tmp_path / name).read_bytes() for name in seen(tmp_path)} == before


def test_hidden_files_and_lost_clips_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"x")
    fill(tmp_path, "0.bvh", "1.bvh")
    (tmp_path / "0.bvh").unlink()
    fill(tmp_path, "2.bvh", overwrite=True)
    assert seen(tmp_path) == [".DS_Store", MANIFEST, "2.bvh"]


def test_what_a_kill_left_is_not_seen_and_goes_with_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    if not (child := os.fork()):
        with clip_folder(folder) as stage:
            write_bvh(clip_of(0), stage / "0.bvh")
            os._exit(9)  # as a kill: nothing is tidied up
    os.waitpid(child, 0)
    (left,) = folder.iterdir()
    assert left.name.startswith(".clips.") and left.name.endswith(".tmp") and seen(left)
    busy = folder / ".clips.busy.tmp"
    busy.mkdir()
    with locked(busy / ".lock"):
        fill(folder, "1.bvh")
        assert seen(folder) == [".clips.busy.tmp/.lock", MANIFEST, "1.bvh"], "one that is still written to stays"


def test_a_kill_between_two_names_leaves_whole_clips_that_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, "old.bvh")
    if not (child := os.fork()):
        moved, names = Path.replace, iter(range(4))  # the last of two clips, as the list of both comes before them

        def replace(source: Path, target: Path) -> Path:
            if source.parent.name.startswith(".clips") and target.parent == tmp_path and next(names) == 2:
                os._exit(9)
            return moved(source, target)

        Path.replace = replace  # type: ignore[method-assign]
        try:
            fill(tmp_path, "0.bvh", "1.bvh", overwrite=True)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["0.bvh"]
    read_bvh(tmp_path / "0.bvh")
    assert set(json.loads((tmp_path / MANIFEST).read_text())["files"]) == {"0.bvh", "1.bvh"}
    fill(tmp_path, "2.bvh", overwrite=True)
    assert seen(tmp_path) == [MANIFEST, "2.bvh"]


def test_the_second_of_two_at_once_is_refused(tmp_path: Path) -> None:
    slow = clip_folder(tmp_path)
    write_bvh(clip_of(1), slow.__enter__() / "0.bvh")
    fill(tmp_path, "0.bvh")
    with pytest.raises(MotionSynthError, match="is not empty"):
        slow.__exit__(None, None, None)
    assert seen(tmp_path) == [MANIFEST, "0.bvh"]
    read_bvh(tmp_path / "0.bvh")


def _refusing(mkdir):
    def refuse(path: Path, *args: object, **options: object) -> None:
        if path.name.endswith(".tmp"):
            raise PermissionError(13, "Permission denied", str(path))
        mkdir(path, *args, **options)

    return refuse


def test_errors_name_the_final_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BvhError) as refused, clip_folder(tmp_path / "clips") as stage:
        write_bvh(clip_of(0)[:0], stage / "0.bvh")
    assert str(refused.value).startswith(f"{tmp_path / 'clips' / '0.bvh'}: ")
    with pytest.raises(OSError, match="No such") as missing, clip_folder(tmp_path / "clips") as stage:
        (stage / "absent" / "x").write_bytes(b"")
    assert missing.value.filename == str(tmp_path / "clips" / "absent" / "x")
    with monkeypatch.context() as closed:
        closed.setattr(Path, "mkdir", _refusing(Path.mkdir))
        with pytest.raises(PermissionError) as refused_place:
            fill(tmp_path, "0.bvh")
    assert refused_place.value.filename == str(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MotionSynthError, match="file: is not a folder"):
        refuse_filled(tmp_path / "file")


def test_the_guard_is_what_keeps_folders_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "0.bvh", "1.bvh")
    monkeypatch.setattr(output, "refuse_filled", lambda folder, overwrite: None)
    monkeypatch.setattr(output, "_files_in", lambda folder: ["5.bvh"] if folder.name.startswith(".") else [])
    fill(tmp_path, "5.bvh")
    assert seen(tmp_path) == [MANIFEST, "0.bvh", "1.bvh", "5.bvh"], "without it they are mixed"
