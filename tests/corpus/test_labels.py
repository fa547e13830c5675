"""Labels from labels.csv, from file names, and from sub-folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from motionsynth.corpus.finding import find_files
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


WRITTEN = "file,take,style,speed\r\na.bvh,7,calm,1.5\r\nsub/b.bvh,8,mad and loud,2\r\n"


@pytest.mark.parametrize(
    "content",
    [
        WRITTEN.encode(),
        WRITTEN.replace("sub/b", "sub\\b").replace("a.bvh", ".\\a.bvh").encode(),
        WRITTEN.replace("file,take,style", "File,TAKE,Style").encode(),
        WRITTEN.replace(".5", ",5").replace(",", ";").replace("1;5", "1,5").encode("utf-8-sig"),
        WRITTEN.replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + WRITTEN.replace(",", ";")).encode("utf-8-sig"),
        ('"sep=\t"\r\n' + WRITTEN.replace(",", "\t")).encode("utf-16"),
        b"\xfe\xff" + WRITTEN.encode("utf-16-be"),
        WRITTEN.replace("\r\n", "\n").replace(",", " , ").encode() + b"\n  \n,,,\n",
        WRITTEN.replace("\r\n", "\r").encode(),
        ("\r\n" + WRITTEN.replace("\r\n", ",,\r\n")).encode(),
        WRITTEN.replace("mad and loud", ' "mad and loud"').replace("a.bvh", '"a.bvh"').encode(),
    ],
)
@pytest.mark.parametrize("name", ["labels.csv", "Labels.CSV"])
def test_tables_of_other_programs_say_the_same(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    labels = read_labels(tmp_path, FILES)
    assert labels.source == "csv" and not labels.faults
    assert labels.names == ("style",)
    assert [labels.clips[file].classes["style"] for file in FILES] == ["calm", "mad and loud"]
    assert [labels.clips[file].take for file in FILES] == ["7", "8"]
    assert [float(labels.clips[file].details["speed"]) for file in FILES] == [1.5, 2]


def test_a_table_from_windows_is_read() -> None:
    folder = Path(__file__).parents[1] / "fixtures" / "faults" / "labels_backslash"
    assert b"walk\\t1.bvh" in (folder / "labels.csv").read_bytes()
    labels = read_labels(folder, find_files(folder).files)
    assert not labels.faults
    assert labels.cell("walk/t1.bvh") == "walk/normal"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,style\na.bvh,h\u00e4misch\n".encode("cp1252"), r"labels\.csv:2: is not UTF-8 text; save it as UTF-8"),
        ("file,style\n".encode("utf-16-le"), r"labels\.csv:1: is not UTF-8 text: it holds NUL"),
        ("file,style\n".encode("utf-16") + b"\0", r"labels\.csv:2: is not UTF-16 text"),
        (b"sep=;\nname;style\n", r"labels\.csv:2: the header must name a column 'file'; it has name, style"),
        (b"sep=;\nfile;style\n\na.bvh;x;y\n", r"labels\.csv:4: 3 values under 2 column names"),
        (b"File,file\n", r"labels\.csv:1: the header names 'file' twice"),
        (b"file,style\nsub\\b.bvh,x\nsub/b.bvh,y\n", r"labels\.csv:3: sub/b\.bvh is listed twice, first on line 2"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_labels(tmp_path, FILES)


@pytest.mark.parametrize("kind", ["pipe", "folder", "dead link", "device"])
def test_what_is_no_file_is_no_table(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "labels.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    what = "is a link to nothing" if kind == "dead link" else "is a (named pipe|folder|device), not a file"
    with pytest.raises(CorpusError, match=rf"labels\.csv: cannot be read: {what}"):
        read_labels(tmp_path, FILES)


def test_names_that_differ_in_case_or_composition(tmp_path: Path) -> None:
    text = "file,style\nA.bvh,x\nsub/caf\u00e9.bvh,y\nSub/b.bvh,z\n"
    labels = read_labels(table(tmp_path, text), ["a.bvh", "sub/cafe\u0301.bvh", "sub/b.bvh"])
    assert labels.clips["sub/cafe\u0301.bvh"].classes == {"style": "y"}
    assert set(labels.faults) == {"a.bvh", "sub/b.bvh"}, "a row and its file are one fault"
    assert "labels.csv:2: lists A.bvh, but the file is a.bvh: upper and lower case count" in labels.faults["a.bvh"]
    assert "labels.csv:4: lists Sub/b.bvh, but the file is sub/b.bvh" in labels.faults["sub/b.bvh"]


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


def test_a_few_files_in_sub_folders_label_nothing(tmp_path: Path) -> None:
    files = ["a.bvh", "b.bvh", "c.bvh", "extra/d.bvh"]
    labels = read_labels(tmp_path, files)
    assert labels.source == "none" and set(labels.clips) == set(files) and not labels.faults
    assert read_labels(tmp_path, [*files, "more/e.bvh", "more/f.bvh"]).source == "folders"  # negative control: a tie
    with pytest.raises(CorpusError, match="most files lie in no sub-folder"):
        read_labels(tmp_path, files, "folders")


def test_names_without_numbers_have_no_order(tmp_path: Path) -> None:
    for files in (["1.bvh", "x.bvh"], ["a_1.bvh", "b_1.bvh"]):  # not all numbered; one number twice
        labels = read_labels(tmp_path, files)
        assert labels.source == "none"
        assert [labels.clips[file].take for file in files] == [None, None]
        assert labels.cell(files[0]) == ""
    assert read_labels(tmp_path, ["a_1.bvh", "a_2.bvh"]).clips["a_2.bvh"].take == "2"


def test_classes_of_a_label_are_those_of_takes_and_numbers_too(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,content,take,subject\na.bvh,walk,7,1\nb.bvh,run,,2\n")
    labels = read_labels(tmp_path, ["a.bvh", "b.bvh"])
    assert "subject" not in labels.names  # numbers are no classes of the corpus
    assert labels.classes("subject", labels.clips) == {"a.bvh": "1", "b.bvh": "2"}
    assert labels.classes("content", ["b.bvh"]) == {"b.bvh": "run"}
    assert labels.classes("take", ["a.bvh"]) == {"a.bvh": "7"}
    with pytest.raises(ValueError, match=r"b\.bvh has no take"):
        labels.classes("take", labels.clips)
    with pytest.raises(
        ValueError, match=r"unknown label 'subjet', did you mean subject\? known: content, subject, take"
    ):
        labels.classes("subjet", labels.clips)
