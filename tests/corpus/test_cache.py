"""Features are read once, never stale, never half-written, and shared by processes that build at once."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from motionsynth.corpus import cache as cache_module
from motionsynth.corpus.cache import default_cache, open_features
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.finding import find_files
from motionsynth.corpus.plan import EncodeSettings
from motionsynth.corpus.store import DamagedEntryError, FeatureStore
from motionsynth.errors import CorpusError
from motionsynth.motion.bvh import write_bvh
from tests.corpus.folders import cell_names, clip_of, open_folder, write_clips
from tests.corpus.opener import open_when_told


def open_store(folder: Path, cache: Path, **options: object) -> FeatureStore:
    root, files, _ = find_files(folder)
    settings = EncodeSettings.of(DataConfig(path=folder, **options))
    return open_features(root, files, settings, cache=cache, workers=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", cell_names(3))


def entries(cache: Path) -> list[Path]:
    return [path for group in cache.iterdir() for path in group.iterdir()]


def test_the_second_time_nothing_is_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_store(folder, tmp_path / "cache")
    monkeypatch.setattr("motionsynth.corpus.reading.read_clip", None)
    second = open_store(folder, tmp_path / "cache")
    assert (first.from_cache, second.from_cache) == (False, True)
    assert np.array_equal(first.rows, second.rows)
    assert isinstance(second.rows, np.memmap)
    assert (first.clips, first.spec, first.sha256, first.shared) == (
        second.clips,
        second.spec,
        second.sha256,
        second.shared,
    )


def test_a_changed_source_is_read_again(folder: Path, tmp_path: Path) -> None:
    before = open_store(folder, tmp_path / "cache")
    victim = folder / "walk_calm_002.bvh"
    times = victim.stat()
    text = victim.read_bytes()
    last = text.rstrip()[-1:]
    victim.write_bytes(text.rstrip()[:-1] + (b"5" if last != b"5" else b"6") + b"\n")
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time of change: still another file
    after = open_store(folder, tmp_path / "cache")
    assert not after.from_cache
    assert after.sha256 != before.sha256
    assert np.isfinite(before.rows).all()  # what is mapped stays readable though the entry has been replaced
    assert len(entries(tmp_path / "cache")) == 1


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_another_list_of_files_is_another_entry(folder: Path, tmp_path: Path, change: str) -> None:
    open_store(folder, tmp_path / "cache")
    if change == "added":
        write_clips(folder, ["new_calm_001.bvh"])
    elif change == "removed":
        (folder / "run_calm_001.bvh").unlink()
    else:
        (folder / "run_calm_001.bvh").rename(folder / "run_calm_009.bvh")
    assert not open_store(folder, tmp_path / "cache").from_cache


@pytest.mark.parametrize(
    "option", [{"frame_rate": 20.0}, {"contacts": False}, {"velocities": True}, {"units": "m"}, {"mirror": True}]
)
def test_other_settings_are_another_entry_beside(folder: Path, tmp_path: Path, option: dict[str, object]) -> None:
    open_store(folder, tmp_path / "cache")
    assert not open_store(folder, tmp_path / "cache", **option).from_cache
    assert open_store(folder, tmp_path / "cache").from_cache
    assert len(entries(tmp_path / "cache")) == 2


def flip(path: Path, share: float) -> None:
    """Turn one bit over, so far into a file."""
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def zeros(path: Path) -> None:
    """The middle half of a file, as of pages that were never written."""
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(size // 4)
        stream.write(bytes(size // 2))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "features cut short": lambda entry: os.truncate(entry / "features.f32", 4000),
    "features too long": lambda entry: os.truncate(entry / "features.f32", 10_000_000),
    "no features": lambda entry: (entry / "features.f32").unlink(),
    "zeros in the features": lambda entry: zeros(entry / "features.f32"),
    "no index": lambda entry: (entry / "index.json").unlink(),
    "half an index": lambda entry: os.truncate(entry / "index.json", 100),
    "zeros in the index": lambda entry: zeros(entry / "index.json"),
    "a pipe for the index": lambda entry: ((entry / "index.json").unlink(), os.mkfifo(entry / "index.json"))[0],
    "a file for the entry": lambda entry: (shutil.rmtree(entry), entry.write_bytes(b"x"))[0],
}
for _file in ("features.f32", "index.json"):
    for _share in (0.0, 0.37, 0.5, 0.81, 1.0):
        DAMAGE[f"a bit of {_file} at {_share}"] = partial(
            lambda entry, file, share: flip(entry / file, share), file=_file, share=_share
        )


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_built_again_and_said_so(folder: Path, tmp_path: Path, damage: str) -> None:
    good = open_store(folder, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    rows = np.array(good.rows)
    DAMAGE[damage](entry)
    again = open_store(folder, tmp_path / "cache")
    assert not again.from_cache
    assert again.sha256 == good.sha256
    assert np.array_equal(again.rows, rows)
    assert str(entry) in again.cache_note and "damaged" in again.cache_note and "made again" in again.cache_note
    third = open_store(folder, tmp_path / "cache")
    assert (third.from_cache, third.cache_note) == (True, "")
    assert np.array_equal(third.rows, rows)


@pytest.mark.parametrize("swapped", ["features.f32", "index.json", "both"])
def test_files_of_another_entry_are_not_taken_for_its_own(tmp_path: Path, swapped: str) -> None:
    """Two folders whose features have the same size."""
    folders = [write_clips(tmp_path / "a", cell_names(2)), tmp_path / "b"]
    write_clips(folders[1], [f"other_{k}.bvh" for k in range(4)])
    for seed, path in enumerate(sorted(folders[1].iterdir())):
        write_bvh(clip_of(seed + 20), path)
    stores = [open_store(folder, tmp_path / "cache") for folder in folders]
    rows = [np.array(store.rows) for store in stores]
    assert rows[0].shape == rows[1].shape and not np.array_equal(*rows)
    first, second = (tmp_path / "cache" / entry_of(folder) for folder in folders)
    for name in ("features.f32", "index.json") if swapped == "both" else (swapped,):
        (first / name).rename(tmp_path / "aside")
        (second / name).rename(first / name)
        (tmp_path / "aside").rename(second / name)
    for folder, wanted in zip(folders, rows, strict=True):
        store = open_store(folder, tmp_path / "cache")
        assert np.array_equal(store.rows, wanted)
        assert "damaged" in store.cache_note


def entry_of(folder: Path) -> str:
    """The name of the entry that holds a folder with the settings by default."""
    root, files, _ = find_files(folder)
    return "/".join(cache_module._keys(root, files, EncodeSettings(), []))


def test_without_the_check_other_features_would_be_learnt_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = np.array(open_store(folder, tmp_path / "cache").rows)
    (entry,) = entries(tmp_path / "cache")
    zeros(entry / "features.f32")

    with monkeypatch.context() as patched:
        patched.setattr("motionsynth.corpus.store.refuse_changed", lambda rows, sha256: None)
        rotten = FeatureStore.load(entry, f"{entry.parent.name}/{entry.name}")
    assert rotten is not None and rotten.rows.shape == good.shape
    assert not np.array_equal(rotten.rows, good)
    with pytest.raises(DamagedEntryError, match=r"features\.f32 is not what was written"):
        FeatureStore.load(entry, f"{entry.parent.name}/{entry.name}")


def test_the_summary_says_that_the_cache_was_damaged(folder: Path, tmp_path: Path) -> None:
    first = open_folder(folder, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    zeros(entry / "features.f32")
    again = open_folder(folder, tmp_path / "cache")
    assert any("damaged" in line and "made again" in line for line in again.report.lines())
    assert not any("damaged" in line for line in first.report.lines())


def test_two_processes_may_build_at_once(folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate, results = context.Event(), context.Queue()
    settings = EncodeSettings.of(DataConfig(path=folder))
    workers = [
        context.Process(target=open_when_told, args=(folder, settings, tmp_path / "cache", gate, results))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    gate.set()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(found) == 1
    assert len(entries(tmp_path / "cache")) == 1


def test_two_processes_may_mend_an_entry_at_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = open_store(folder, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    whole = shutil.copytree(entry, tmp_path / "whole")
    os.truncate(entry / "index.json", 100)
    remove = shutil.rmtree

    def overtaken(path: Path, **options: bool) -> None:
        remove(path, **options)
        if Path(path) == entry:
            shutil.copytree(whole, entry)

    monkeypatch.setattr(shutil, "rmtree", overtaken)
    again = open_store(folder, tmp_path / "cache")
    assert (again.from_cache, again.sha256) == (False, good.sha256)
    assert np.array_equal(again.rows, good.rows)
    assert open_store(folder, tmp_path / "cache").from_cache


def test_a_folder_that_vanishes_while_clearing_away_does_not_matter(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_folder = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: iter([*list_folder(path), path / ".gone"]))
    assert len(open_store(folder, tmp_path / "cache").rows)


def test_abandoned_work_is_cleared_away_and_fresh_work_is_not(folder: Path, tmp_path: Path) -> None:
    open_store(folder, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    elsewhere = tmp_path / "cache" / ("0" * 20)
    old, fresh, foreign = entry.parent / ".old-1", entry.parent / ".fresh-1", elsewhere / f".{'1' * 20}-x.tmp"
    busy = entry.parent / ".busy-1"
    others = tmp_path / "cache" / "extractors" / ".other.tmp"
    for place in (old, fresh, foreign, busy, others):
        place.mkdir(parents=True)
        (place / "features.f32").write_bytes(b"half")
    for path in (old / "features.f32", old, foreign / "features.f32", foreign, busy, others):
        os.utime(path, (time.time() - 1e5,) * 2)  # what is still written to in a folder made long ago is not abandoned
    write_clips(folder, ["new_calm_001.bvh"])
    open_store(folder, tmp_path / "cache")
    assert not old.exists() and not entry.exists() and not foreign.exists()
    assert fresh.exists() and busy.exists() and others.exists()


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = open_store(folder, tmp_path / "file" / "cache")
    assert len(store.clips) == 6
    assert "not kept" in store.cache_note
    assert open_store(folder, tmp_path / "cache").cache_note == ""


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.mkdir", "pathlib.Path.rename"])
def test_a_full_disk_under_the_cache_stops_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    good = np.array(open_store(folder, tmp_path / "cache").rows)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(call, full)
        store = open_store(folder, tmp_path / "other")
    assert np.array_equal(store.rows, good)
    store.rows[0, 0] = 1.0  # as writable as what is mapped
    assert "No space left on device" in store.cache_note and "features are not kept" in store.cache_note
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]
    assert not open_store(folder, tmp_path / "other").from_cache


FULL_DISK = """
import hashlib, resource, signal, sys
from pathlib import Path
from motionsynth.corpus.cache import open_features
from motionsynth.corpus.plan import EncodeSettings
from motionsynth.corpus.finding import find_files

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
store = open_features(*find_files(Path(sys.argv[1]))[:2], EncodeSettings(), cache=Path(sys.argv[2]), workers=1)
print(hashlib.sha256(store.rows.data).hexdigest())
print(store.cache_note)
"""


def test_features_that_do_not_fit_on_the_disk_are_the_same(folder: Path, tmp_path: Path) -> None:
    """A real write that fails half-way: files may not grow beyond a limit."""
    good = open_store(folder, tmp_path / "cache")
    assert good.rows.nbytes > 30_000
    command = [sys.executable, "-c", FULL_DISK, str(folder), str(tmp_path / "full")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found[0] == hashlib.sha256(good.rows.data).hexdigest()
    assert "File too large; features are not kept" in found[1]
    assert not [path for path in (tmp_path / "full").rglob("*") if path.is_file()]


def test_nothing_half_written_is_left_when_reading_fails(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.bvh").write_text("nonsense")
    with pytest.raises(CorpusError, match=r"none of its 1 clips can be used; .*a\.bvh:1"):
        open_store(tmp_path / "clips", tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MOTIONSYNTH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "motionsynth"
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"


def test_many_processes_read_what_one_reads(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = open_store(folder, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr("motionsynth.corpus.reading._SERIAL_BYTES", 0)
    monkeypatch.setattr("motionsynth.corpus.reading._CHUNK", 1)
    root, files, _ = find_files(folder)
    told: list[tuple[int, int]] = []
    many = open_features(
        root,
        files,
        EncodeSettings.of(DataConfig(path=folder)),
        cache=tmp_path / "cache",
        workers=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert many.sha256 == one.sha256
    assert told == [(done, 6) for done in range(1, 7)]


def test_readers_start_without_torch() -> None:
    code = (
        "import motionsynth.corpus.cache, sys; print([m for m in ('torch', 'pydantic', 'mlflow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
