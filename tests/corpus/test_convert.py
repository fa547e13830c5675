"""Converting a folder: all of it or nothing, with its labels, and every file that is left out is listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionsynth.corpus.convert import convert_path
from motionsynth.corpus.finding import BadFiles, find_files
from motionsynth.corpus.labels import read_labels
from motionsynth.errors import CorpusError, MotionSynthError
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.convert import Conversion
from motionsynth.output import MANIFEST
from tests.corpus.folders import clip_of, write_clips

LABELS = b"file,take,style,speed\nwalk/1.bvh,1,calm,0.5\nwalk\\2.BVH,2,mad,1.5\nrun/1.bvh,1,calm,2\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = write_clips(tmp_path / "corpus", ["walk/1.bvh", "walk/2.BVH", "run/1.bvh"])
    (folder / "labels.csv").write_bytes(LABELS)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_keeps_its_shape_and_its_labels(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    converted = convert_path(corpus, out, Conversion(mirror=True))
    assert names(out) == [MANIFEST, "labels.csv", "run/1.bvh", "walk/1.bvh", "walk/2.BVH"]
    assert sorted(converted.paths) == sorted(out / name for name in names(out)[1:]) and not converted.notes
    assert (out / "labels.csv").read_bytes() == LABELS.replace(b"\\", b"/")
    before, after = (read_labels(folder, find_files(folder).files) for folder in (corpus, out))
    assert after == before and not after.faults


@pytest.mark.parametrize("spoil", ["dead link", "malformed", "short"])
def test_one_bad_file_stops_all_or_is_left_out_with_its_row(corpus: Path, tmp_path: Path, spoil: str) -> None:
    bad_file = corpus / "walk" / "2.BVH"
    bad_file.unlink()
    if spoil == "dead link":
        bad_file.symlink_to("nowhere.bvh")
    elif spoil == "short":
        write_bvh(clip_of(1, 4), bad_file)
    else:
        bad_file.write_text("HIERARCHY\n")
    conversion = Conversion(frames=slice(8, None))
    for out in (tmp_path / "deep" / "out", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(CorpusError, match=r"1 of 3 files cannot be used: .*walk/2\.BVH:.*--on-bad-file skip"):
            convert_path(corpus, out, conversion)
    assert not (tmp_path / "deep").exists() and not list((tmp_path / "empty").iterdir()), "nothing is half done"
    bad = BadFiles("skip")
    convert_path(corpus, tmp_path / "out", conversion, bad=bad)
    assert list(bad.reasons) == [str(bad_file)]
    assert names(tmp_path / "out") == [MANIFEST, "labels.csv", "run/1.bvh", "walk/1.bvh"]
    assert (tmp_path / "out" / "labels.csv").read_bytes() == LABELS.replace(b"walk\\2.BVH,2,mad,1.5\n", b"")
    assert len(read_bvh(tmp_path / "out" / "run" / "1.bvh")) == 16


def test_where_every_file_is_bad_there_is_nothing_to_skip_to(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"3 of 3 files cannot be used: .*no frame is left by --slice"):
        convert_path(corpus, tmp_path / "out", Conversion(frames=slice(900, None)), bad=BadFiles("skip"))
    assert not (tmp_path / "out").exists()


def test_rows_without_a_file_are_named(corpus: Path, tmp_path: Path) -> None:
    (corpus / "run" / "1.bvh").unlink()
    (note,) = convert_path(corpus, tmp_path / "out", Conversion()).notes
    assert note == f"{corpus}/labels.csv:4: there is no such file: run/1.bvh; the row is left out"
    assert read_labels(tmp_path / "out", ["walk/1.bvh", "walk/2.BVH"]).faults == {}
    (corpus / "labels.csv").write_text("name,style\n")
    with pytest.raises(CorpusError, match=r"labels\.csv:1: the header must name a column 'file'"):
        convert_path(corpus, tmp_path / "other", Conversion())
    assert not (tmp_path / "other").exists()


def test_names_that_another_system_cannot_keep_are_changed_and_told(tmp_path: Path) -> None:
    source = write_clips(tmp_path / "in", ["a:b/CON.bvh", "walk.bvh", "Walk.bvh"])
    (source / "labels.csv").write_text("file,style\na:b/CON.bvh,x\nwalk.bvh,y\nWalk.bvh,z\n")
    converted = convert_path(source, tmp_path / "out", Conversion())
    files = find_files(tmp_path / "out").files
    assert "a_b/CON_.bvh" in files and len({file.lower() for file in files}) == len(files) == 3
    assert "a:b/CON.bvh is written as a_b/CON_.bvh" in converted.notes and len(converted.notes) == 3
    labels = read_labels(tmp_path / "out", files)
    assert not labels.faults and labels.cell("a_b/CON_.bvh") == "x"
    for file in files:
        original = "Walk.bvh" if labels.cell(file) == "z" else "walk.bvh" if labels.cell(file) == "y" else "a:b/CON.bvh"
        assert abs(read_bvh(tmp_path / "out" / file).angles - read_bvh(source / original).angles).max() < 1e-6


def test_a_folder_is_neither_converted_into_itself_nor_over_others(corpus: Path, tmp_path: Path) -> None:
    before = {name: (corpus / name).read_bytes() for name in names(corpus)}
    for inside in (corpus, corpus / "out"):
        with pytest.raises(MotionSynthError, match="lies inside"):
            convert_path(corpus, inside, Conversion(), overwrite=True)
    other = write_clips(tmp_path / "other", ["9.bvh"])
    for overwrite in (False, True):
        with pytest.raises(MotionSynthError, match=r"9\.bvh"):
            convert_path(corpus, other, Conversion(), overwrite=overwrite)
    assert names(other) == ["9.bvh"] and {name: (corpus / name).read_bytes() for name in names(corpus)} == before
