"""Features are read once, never stale, never half-written, and shared by processes that build at once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from motionsynth.config import DataConfig
from motionsynth.corpus.cache import default_cache, open_features
from motionsynth.corpus.plan import EncodeSettings
from motionsynth.corpus.reading import find_files
from motionsynth.corpus.store import FeatureStore
from motionsynth.errors import CorpusError
from tests.corpus.folders import cell_names, write_clips
from tests.corpus.opener import open_when_told


def open_store(folder: Path, cache: Path, **options: object) -> FeatureStore:
    root, files = find_files(folder)
    settings = EncodeSettings.of(DataConfig(path=folder, **options))
    return open_features(root, files, settings, cache=cache, workers=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", cell_names(3))


def entries(cache: Path) -> list[Path]:
    return [path for group in cache.iterdir() for path in group.iterdir()]


def test_the_second_time_nothing_is_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_store(folder, tmp_path / "cache")
    monkeypatch.setattr("motionsynth.corpus.reading.read_bvh", None)
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


@pytest.mark.parametrize("damage", ["truncate", "no index", "half an index", "no features"])
def test_a_damaged_entry_is_built_again(folder: Path, tmp_path: Path, damage: str) -> None:
    good = open_store(folder, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    if damage == "truncate":
        os.truncate(entry / "features.f32", 4000)
    elif damage == "half an index":
        os.truncate(entry / "index.json", 100)
    else:
        (entry / ("index.json" if damage == "no index" else "features.f32")).unlink()
    again = open_store(folder, tmp_path / "cache")
    assert not again.from_cache
    assert again.sha256 == good.sha256
    assert open_store(folder, tmp_path / "cache").from_cache


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
    old, fresh = entry.parent / ".old-1", entry.parent / ".fresh-1"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (time.time() - 1e5,) * 2)
    write_clips(folder, ["new_calm_001.bvh"])
    open_store(folder, tmp_path / "cache")
    assert not old.exists() and not entry.exists()
    assert fresh.exists()


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = open_store(folder, tmp_path / "file" / "cache")
    assert len(store.clips) == 6
    assert "not kept" in store.cache_note
    assert open_store(folder, tmp_path / "cache").cache_note == ""


def test_nothing_half_written_is_left_when_reading_fails(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.bvh").write_text("nonsense")
    with pytest.raises(CorpusError, match=r"none of its 1 BVH files can be used; .*a\.bvh:1"):
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
    root, files = find_files(folder)
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
