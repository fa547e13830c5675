"""Labels from labels.csv, from file names, and from sub-folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionsynth.corpus.labels import read_labels
from motionsynth.errors import CorpusError

FILES = ["a.bvh", "sub/b.bvh"]


def table(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_bytes(text.encode())
    return folder


def test_a_table_names_files_takes_and_classes(tmp_path: Path) -> None:
    text = "\ufeffspeed,style,file,take,content,actor\r\n1.5,calm,a.bvh,7,walk,Ann\r\n2,mad,./sub/b.bvh,8,run,Bob\r\n"
    labels = read_labels(table(tmp_path, text), FILES)
    assert labels.source == "csv"
    assert labels.names == ("content", "style", "actor")  # speed is a number: it describes, it does not classify
    assert labels.clips["a.bvh"].classes == {"content": "walk", "style": "calm", "actor": "Ann"}
    assert labels.clips["a.bvh"].details == {"speed": "1.5"}
    assert [labels.clips[file].take for file in FILES] == ["7", "8"]
    assert labels.cell("sub/b.bvh") == "run/mad"
    assert not labels.faults


def test_numbered_styles_are_classes_all_the_same(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "file,style\na.bvh,1\nsub/b.bvh,2\n"), FILES)
    assert labels.clips["sub/b.bvh"].classes == {"style": "2"}
    assert labels.clips["sub/b.bvh"].take is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels\.csv:1: the header must name a column 'file'"),
        ("name,style\n", r"labels\.csv:1: .*'file'; it has name, style"),
        ("file,style,style\n", r"labels\.csv:1: the header names 'style' twice"),
        ("file,,style\n", r"labels\.csv:1: the header has a column without a name"),
        ("file,style\na.bvh,x,y\n", r"labels\.csv:2: 3 values under 2 column names"),
        ("file,style\na.bvh,x\n\na.bvh,y\n", r"labels\.csv:4: a\.bvh is listed twice, first on line 2"),
        ('file,style\na.bvh,"x\n', r"labels\.csv:\d: unexpected end of data"),
    ],
)
def test_a_malformed_table_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_labels(table(tmp_path, text), FILES)


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"file\n\xff\xfe.bvh\n")
    with pytest.raises(CorpusError, match="not UTF-8"):
        read_labels(tmp_path, FILES)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_labels(tmp_path / "nowhere", FILES, "csv")


def test_rows_and_files_that_do_not_meet_are_faults(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "file,style\na.bvh,\nc.bvh,x\n"), FILES)
    assert "labels.csv:2: its style is empty" in labels.faults["a.bvh"]
    assert "labels.csv does not list sub/b.bvh" in labels.faults["sub/b.bvh"]
    assert "labels.csv:3: there is no such file" in labels.faults["c.bvh"]
    assert not labels.clips


def test_names_are_read_by_a_pattern(tmp_path: Path) -> None:
    pattern = r"dataset-2_(?P<content>.+)_(?P<style>[a-z]+)_(?P<take>\d+)\.bvh"
    files = ["dataset-2_walk-turn-left_normal_028.bvh", "x/dataset-2_raise_up_old_1.bvh", "readme_1.bvh"]
    labels = read_labels(tmp_path, files, "auto", pattern)
    assert labels.source == "pattern"
    assert labels.clips[files[0]].classes == {"content": "walk-turn-left", "style": "normal"}
    assert labels.clips[files[0]].take == "028"
    assert labels.clips[files[1]].classes["content"] == "raise_up"
    assert "does not match" in labels.faults[files[2]]


def test_a_pattern_with_a_slash_sees_the_folders(tmp_path: Path) -> None:
    labels = read_labels(tmp_path, ["ann/walk.bvh"], "pattern", r"(?P<actor>\w+)/(?P<content>\w+)")
    assert labels.names == ("content", "actor")
    assert labels.clips["ann/walk.bvh"].classes == {"content": "walk", "actor": "ann"}


@pytest.mark.parametrize(("pattern", "message"), [(None, "need data.pattern"), ("(", "not a reg"), (".+", "no named")])
def test_an_unusable_pattern_is_refused(tmp_path: Path, pattern: str | None, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_labels(tmp_path, FILES, "pattern", pattern)


def test_folders_are_content_then_style(tmp_path: Path) -> None:
    files = ["run/mad/take_2.bvh", "walk/calm/take_10.bvh", "walk/calm/take_9.bvh", "stray.bvh"]
    labels = read_labels(tmp_path, files)
    assert labels.source == "folders"
    assert labels.cell(files[0]) == "run/mad"
    assert [labels.clips[file].take for file in files[:3]] == ["2", "10", "9"]
    assert "0 folder(s) deep where most lie 2" in labels.faults["stray.bvh"]
    with pytest.raises(CorpusError, match="no sub-folder"):
        read_labels(tmp_path, ["a.bvh"], "folders")


def test_names_without_numbers_have_no_order(tmp_path: Path) -> None:
    for files in (["1.bvh", "x.bvh"], ["a_1.bvh", "b_1.bvh"]):  # not all numbered; one number twice
        labels = read_labels(tmp_path, files)
        assert labels.source == "none"
        assert [labels.clips[file].take for file in files] == [None, None]
        assert labels.cell(files[0]) == ""
    assert read_labels(tmp_path, ["a_1.bvh", "a_2.bvh"]).clips["a_2.bvh"].take == "2"
