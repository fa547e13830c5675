"""A folder of AMC files is a corpus as one of BVH files is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from motionsynth.corpus.convert import convert_path
from motionsynth.corpus.corpus import prepare_clip
from motionsynth.corpus.finding import BadFiles
from motionsynth.corpus.inspect import inspect_path
from motionsynth.errors import CorpusError, MotionSynthError
from motionsynth.motion.convert import Conversion
from motionsynth.output import MANIFEST
from tests.corpus.folders import open_folder
from tests.motion import acclaim

PATTERN = r"(?P<content>[a-z]+)_(?P<style>[a-z]+)_(?P<take>\d+)\.(amc|bvh)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six takes below the one skeleton of a person, as the cut takes of HDM05 lie."""
    folder = tmp_path_factory.mktemp("acclaim") / "corpus"
    (folder / "takes").mkdir(parents=True)
    (folder / "walk.asf").write_text(acclaim.asf_text(acclaim.person(0)))
    for take in range(1, 7):
        (folder / "takes" / f"walk_calm_{take:03d}.amc").write_text(acclaim.amc_text(acclaim.person(take)))
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "corpus")


def test_its_features_are_those_of_the_bvh_it_is_converted_to(corpus: Path, tmp_path: Path) -> None:
    convert_path(corpus, tmp_path / "bvh", Conversion())
    amc = open_folder(corpus, tmp_path / "cache", pattern=PATTERN)
    bvh = open_folder(tmp_path / "bvh", tmp_path / "cache", pattern=PATTERN)
    assert [clip.file for clip in amc.store.clips] == [f"takes/walk_calm_{take:03d}.amc" for take in range(1, 7)]
    assert (amc.spec.names, amc.store.units) == (bvh.spec.names, "cmu")
    assert amc.spec.metres_per_unit == bvh.spec.metres_per_unit == pytest.approx(0.0254 / 0.45)
    assert np.abs(amc.store.rows - bvh.store.rows).max() < 1e-4
    own = prepare_clip(corpus / "takes" / "walk_calm_001.amc", amc.config, amc.spec)
    assert own.frame_rate == amc.spec.frame_rate == 30


def test_another_skeleton_is_another_corpus(corpus: Path, tmp_path: Path) -> None:
    before = open_folder(corpus, tmp_path / "cache", pattern=PATTERN)
    assert open_folder(corpus, tmp_path / "cache", pattern=PATTERN).store.from_cache
    asf = corpus / "walk.asf"
    asf.write_text(asf.read_text().replace("length 7.4", "length 7.8"))
    after = open_folder(corpus, tmp_path / "cache", pattern=PATTERN)
    assert not after.store.from_cache and after.fingerprint != before.fingerprint


def test_it_is_described(corpus: Path, tmp_path: Path) -> None:
    (corpus / "takes" / "walk_calm_001.amc").write_text(":FULLY-SPECIFIED\n1\nroot 0 0 0\n")
    found = inspect_path(corpus, pattern=PATTERN)
    assert (len(found.loaded), len(found.refused)) == (5, 1)
    assert found.refused[0].reason.endswith("walk_calm_001.amc:3: bone 'root' has 3 values, not 6: tx ty tz rx ry rz")
    common = found.skeletons[0]
    assert (common.moving_joint, common.up, common.units, common.unit_candidates) == ("root", "y", "cmu", ("cmu",))
    assert found.frame_rates == {120.0: 5}
    (corpus / "walk.asf").unlink()
    assert len(inspect_path(corpus, pattern=PATTERN).refused) == 6


def test_a_folder_becomes_bvh_with_its_labels(corpus: Path, tmp_path: Path) -> None:
    takes = corpus / "takes"
    (corpus / "labels.csv").write_text("file,style\ntakes/walk_calm_001.amc,calm\ntakes/walk_calm_002.bvh,mad\n")
    convert_path(takes / "walk_calm_003.amc", takes / "walk_calm_003.bvh", Conversion())
    for name in ("walk_calm_004.amc", "walk_calm_005.amc", "walk_calm_006.amc"):
        (takes / name).unlink()
    convert_path(takes / "walk_calm_002.amc", takes / "walk_calm_002.bvh", Conversion())
    (takes / "walk_calm_002.amc").unlink()
    done = convert_path(corpus, tmp_path / "out", Conversion(), bad=BadFiles())
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in done.paths)
    assert [name[:19] for name in names] == ["labels.csv", *(f"takes/walk_calm_00{k}" for k in (1, 2, 3, 3))]
    assert all(name.endswith(".bvh") for name in names[1:]) and len(set(names)) == 5
    rows = (tmp_path / "out" / "labels.csv").read_text()
    assert len(done.notes) == 2 and all("walk_calm_003" in note for note in done.notes)
    assert rows == "file,style\ntakes/walk_calm_001.bvh,calm\ntakes/walk_calm_002.bvh,mad\n"
    assert "takes/walk_calm_001.bvh" in json.loads((tmp_path / "out" / MANIFEST).read_bytes())["files"]


def test_a_folder_without_its_skeleton_is_refused(corpus: Path, tmp_path: Path) -> None:
    (corpus / "walk.asf").unlink()
    with pytest.raises(CorpusError, match=r"none of its 6 clips can be used; .*001\.amc: its skeleton is missing"):
        open_folder(corpus, tmp_path / "cache", pattern=PATTERN)
    with pytest.raises(MotionSynthError, match="its skeleton is missing"):
        convert_path(corpus, tmp_path / "out", Conversion())
