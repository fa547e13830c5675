"""Extractors on the disk: whole or not there, never of another corpus, found again."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motionsynth.corpus.corpus import open_corpus
from motionsynth.corpus.motions import split_motions
from motionsynth.errors import ExtractorError
from motionsynth.extractors import store as store_module
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.recipe import STEPS
from motionsynth.extractors.store import extractor_for, load_extractor, save_extractor
from tests.corpus.folders import cell_names, open_folder, write_clips
from tests.extractors.corpora import walkers_corpus, walkers_extractor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_extractor(walkers_extractor(), tmp_path / "extractor")
    return tmp_path / "extractor"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Networks of two steps, and a cache of its own."""
    for name in list(STEPS):
        monkeypatch.setitem(STEPS, name, 2)
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "extractors"


@pytest.mark.parametrize(("labels", "networks"), [("auto", True), ("none", True), ("auto", False)])
def test_a_stored_extractor_tells_the_same(tmp_path: Path, labels: str, networks: bool) -> None:
    extractor = walkers_extractor(labels, networks=networks)
    save_extractor(extractor, tmp_path / "extractor")
    loaded = load_extractor(tmp_path / "extractor")
    motions = split_motions(walkers_corpus(labels), "test")
    first, again = extractor.describe(motions), loaded.describe(motions)
    assert tuple(first.embeddings) == tuple(again.embeddings)
    for space, embedding in first.embeddings.items():
        assert torch.equal(embedding, again.embeddings[space])
    for name in ("cell_N", "realistic_N"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    for name in ("fingerprint", "frames", "spec", "labels", "cell_names", "cell_source", "accuracy", "seed", "version"):
        assert getattr(loaded, name) == getattr(extractor, name)


def test_an_extractor_without_gate_lets_metrics_know(tmp_path: Path) -> None:
    save_extractor(replace(walkers_extractor(), gate=None), tmp_path / "extractor")
    described = load_extractor(tmp_path / "extractor").describe(split_motions(walkers_corpus(), "test"))
    assert described.realistic_N is None and described.cell_N is not None


def test_what_is_stored_says_what_it_is(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"extractor.json", "weights.safetensors"}
    header = json.loads((folder / "extractor.json").read_bytes())
    assert header["corpus_fingerprint"] == walkers_corpus().fingerprint
    assert header["frames"] == 32 and header["seed"] == 0 and header["motionsynth"]
    assert header["accuracy"]["test/cell"] == walkers_extractor().accuracy["test/cell"]
    assert header["gate"]["source"] == "validation"


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    before = (folder / "extractor.json").read_bytes()
    with pytest.raises(ExtractorError, match="there already"):
        save_extractor(walkers_extractor(), folder)
    assert (folder / "extractor.json").read_bytes() == before


def test_nothing_is_left_of_an_extractor_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "write_synced", full)
    with pytest.raises(ExtractorError, match="No space left"):
        save_extractor(walkers_extractor(), tmp_path / "extractor")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["extractor.json", "weights.safetensors"])
def test_damage_is_told(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    place = content.index(b'"seed": ') + 8 if name == "extractor.json" else len(content) // 2
    content[place] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ExtractorError, match=f"{name}: is damaged or was changed"):
        load_extractor(folder)


def test_what_is_no_extractor_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExtractorError, match=r"has no extractor\.json"):
        load_extractor(tmp_path / "nowhere")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ExtractorError, match=r"weights\.safetensors: No such file"):
        load_extractor(folder)
    (folder / "extractor.json").write_text('{"format": 99}')
    with pytest.raises(ExtractorError, match="format 99 is unknown"):
        load_extractor(folder)
    (folder / "extractor.json").write_text("[1, 2")
    with pytest.raises(ExtractorError, match="not the JSON"):
        load_extractor(folder)


def test_the_extractor_of_a_corpus_is_trained_once(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    first = extractor_for(walkers_corpus(), progress=lambda done, total: told.append(done))
    assert told and len(list(quick.iterdir())) == 1
    told.clear()
    again = extractor_for(walkers_corpus(), progress=lambda done, total: told.append(done))
    assert not told and again.accuracy == first.accuracy
    monkeypatch.setattr(store_module, "RECIPE", 99)
    extractor_for(walkers_corpus(), progress=lambda done, total: told.append(done))
    assert told and len(list(quick.iterdir())) == 2


def test_a_damaged_one_in_the_cache_is_replaced(quick: Path) -> None:
    extractor_for(walkers_corpus())
    (kept,) = quick.iterdir()
    (kept / "weights.safetensors").write_bytes(b"nothing")
    extractor_for(walkers_corpus())
    assert [path.name for path in quick.iterdir()] == [kept.name]
    assert load_extractor(kept).fingerprint == walkers_corpus().fingerprint


def test_a_damaged_one_that_was_named_is_not(quick: Path, folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(ExtractorError, match="is damaged"):
        extractor_for(walkers_corpus(), folder=folder)
    assert (folder / "weights.safetensors").read_bytes() == b"nothing"


def test_a_named_folder_is_used_or_filled(quick: Path, folder: Path, tmp_path: Path) -> None:
    assert extractor_for(walkers_corpus(), folder=folder).accuracy == walkers_extractor().accuracy
    extractor_for(walkers_corpus(), folder=tmp_path / "new")
    assert load_extractor(tmp_path / "new").fingerprint == walkers_corpus().fingerprint
    assert not quick.exists()


def test_an_extractor_of_another_corpus_is_refused(quick: Path, folder: Path, tmp_path: Path) -> None:
    config = walkers_corpus().config
    for changes, reason in (({"stride_frames": 8}, "stride differ"), ({"window_frames": 16}, "16 frames, not 32")):
        other = open_corpus(config.model_copy(update=changes), cache=tmp_path / "features", workers=1)
        with pytest.raises(ExtractorError, match=f"another corpus .*{reason}"):
            extractor_for(other, folder=folder)
    people = open_folder(write_clips(tmp_path / "clips", cell_names(6)), tmp_path / "features")
    with pytest.raises(ExtractorError, match=r"another corpus .*joints differ"):
        extractor_for(people, folder=folder)


def test_two_may_train_the_same_at_once(
    quick: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ready = walkers_extractor()
    monkeypatch.setattr("motionsynth.extractors.store.train_extractor", lambda *_, **__: ready)
    corpus = walkers_corpus()

    def run(_: int) -> Extractor:
        return extractor_for(corpus)

    with ThreadPoolExecutor(4) as pool:
        assert all(extractor.fingerprint == corpus.fingerprint for extractor in pool.map(run, range(4)))
    (kept,) = quick.iterdir()
    assert load_extractor(kept).accuracy == ready.accuracy
    assert not caplog.text


def test_a_cache_that_cannot_be_written_is_told(quick: Path, caplog: pytest.LogCaptureFixture) -> None:
    quick.parent.mkdir(parents=True)
    quick.write_text("a file where the folder should be")
    assert extractor_for(walkers_corpus()).fingerprint == walkers_corpus().fingerprint
    assert "the extractor is not kept" in caplog.text


def test_a_corpus_too_small_is_told_what_it_needs(quick: Path, tmp_path: Path) -> None:
    corpus = open_folder(
        write_clips(tmp_path / "clips", ["walk_calm_001.bvh"]), tmp_path / "features", stride_frames=16
    )
    with pytest.raises(ExtractorError, match=r"has 2 training windows of 16 frames, and an extractor needs 8"):
        extractor_for(corpus)
    assert not quick.exists() or not list(quick.iterdir())
    shutil.rmtree(tmp_path / "clips")


def test_a_small_corpus_has_fewer_components(quick: Path, tmp_path: Path) -> None:
    corpus = open_folder(write_clips(tmp_path / "clips", cell_names(4)), tmp_path / "features")
    extractor = extractor_for(corpus)
    train = split_motions(corpus, "train")
    assert extractor.describe(train).embeddings["pca"].shape == (len(train), len(train) - 1)
