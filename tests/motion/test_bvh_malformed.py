"""What is refused: each malformed file is one BvhError with file, line and reason, and never anything else."""

from __future__ import annotations

import os
import random
import socket
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionsynth import BvhError, read_bvh

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bvh"
BASE = (FIXTURES / "figure.bvh").read_bytes()
STILL = (FIXTURES / "still_root.bvh").read_bytes()
ROWS = BASE[BASE.find(b"Frame Time") :].splitlines(keepends=True)[1:]


def swap(old: bytes, new: bytes) -> Callable[[], bytes]:
    """The figure with the first occurrence of some text replaced."""
    assert old in BASE, old
    return lambda: BASE.replace(old, new, 1)


def row(number: int, text: bytes) -> Callable[[], bytes]:
    """The figure with one row (from 0) replaced."""
    return lambda: BASE.replace(ROWS[number], text)


def value(text: bytes) -> Callable[[], bytes]:
    """The figure with the second row's tenth value replaced."""
    changed = b" ".join([*ROWS[1].split()[:9], text, *ROWS[1].split()[10:]]) + b"\n"
    return row(1, changed)


CHANNELS_0, CHANNELS_3 = b"CHANNELS 3 Xrotation Zrotation Yrotation", b"CHANNELS 6 Xposition"
ROW_1, ROW_2, ROW_3, LAST = 38, 39, 40, 40

# kind: (the file, the line that the message must name, what it must say)
MALFORMED: dict[str, tuple[Callable[[], bytes], int | None, str]] = {
    # whole files
    "empty": (lambda: b"", 1, "empty"),
    "white space only": (lambda: b" \n\t\n", 1, "empty"),
    "binary": (lambda: random.Random(1).randbytes(5000), 1, "binary|not a BVH file"),
    "zeros": (lambda: bytes(5000), 1, "binary"),
    "UTF-16": (lambda: BASE.decode().encode("utf-16"), 1, "UTF-16"),
    "gzip": (lambda: b"\x1f\x8b\x08" + BASE, 1, "not a BVH file"),
    "another format": (lambda: b"<html>\n<body>", 1, "HIERARCHY"),
    "no HIERARCHY": (swap(b"HIERARCHY\n", b""), 1, "HIERARCHY"),
    "HIERARCHY twice": (swap(b"ROOT", b"HIERARCHY\nROOT"), 2, "second HIERARCHY"),
    "a byte of a control character": (swap(b"OFFSET 1 -4.5 0", b"OFFSET \x01"), 8, "control character"),
    "cut in a name": (lambda: BASE[: BASE.find(b"Knee")], 10, "expected '{'"),
    # the tree
    "no ROOT": (lambda: b"HIERARCHY\nMOTION\nFrames: 1\nFrame Time: 1\n1\n", 2, "ROOT"),
    "JOINT for ROOT": (swap(b"ROOT", b"JOINT"), 2, "outside"),
    "two ROOTs": (swap(b"}\nMOTION", b"}\nROOT b\n{\nOFFSET 0 0 0\nCHANNELS 0\n}\nMOTION"), 35, "second ROOT"),
    "ROOT inside": (swap(b"JOINT Brust", b"ROOT Brust"), 20, "second ROOT"),
    "End Site outside": (swap(b"MOTION", b"End Site\n{\nOFFSET 0 0 0\n}\nMOTION"), 35, "outside"),
    "joint after the ROOT": (swap(b"MOTION", b"JOINT b\n{\nOFFSET 0 0 0\nCHANNELS 0\n}\nMOTION"), 35, "outside"),
    "no name": (swap(b"ROOT Hips", b"ROOT"), 2, "name is missing"),
    "a name with a closing brace": (swap(b"rig:LeftKnee", b"rig}"), 10, "brace"),
    "a name with a control character": (swap(b"rig:LeftKnee", b"rig\x07"), 10, "control"),
    "no opening brace": (swap(b"ROOT Hips\n{", b"ROOT Hips"), 3, "expected '{'"),
    "a name with a line separator, and no brace": (swap(b"Hips\n{", "Hi\u2028ps\n".encode()), 4, r"Hi\\u2028ps"),
    "two opening braces": (swap(b"ROOT Hips\n{", b"ROOT Hips\n{ {"), 3, "found '{'"),
    "unclosed brace": (swap(b"\t}\n}\nMOTION", b"\t}\nMOTION"), 34, "unclosed"),
    "no closing brace at all": (lambda: BASE.replace(b"}", b""), 20, "no children"),
    "a closing brace too many": (swap(b"}\nMOTION", b"}\n}\nMOTION"), 35, "closes nothing"),
    "a word in the tree": (swap(b"\tCHANNELS 0", b"\tSCALE 1 1 1\n\tCHANNELS 0"), 23, "SCALE"),
    "a comment": (swap(b"\tCHANNELS 0", b"\t# fixed\n\tCHANNELS 0"), 23, "#"),
    "a joint in an End Site": (
        swap(b"OFFSET 0 0 0\n", b"OFFSET 0 0 0\nJOINT a\n{\nOFFSET 0 0 0\nCHANNELS 0\n}\n"),
        31,
        "no children",
    ),
    # OFFSET
    "no OFFSET": (swap(b"OFFSET 1 -4.5 0\n", b""), 9, "has no OFFSET"),
    "no OFFSET in an End Site": (swap(b"\t\t\t\tOFFSET 0 0 0\n", b""), 30, "End Site has no OFFSET"),
    "OFFSET of two numbers": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 -4.5"), 8, "three"),
    "OFFSET of four numbers": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 -4.5 0 2"), 8, "found '2'"),
    "OFFSET of a word": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 x 0"), 8, "three"),
    "OFFSET with a comma": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 -4,5 0"), 8, "three"),
    "OFFSET nan": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 nan 0"), 8, "three"),
    "OFFSET overflows": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 1e999 0"), 8, "overflows"),
    "OFFSET overflows beside a brace": (swap(b"OFFSET 0 0 0\n\t\t\t}", b"OFFSET 0 -1e999 0 }"), 30, "overflows"),
    "OFFSET twice": (swap(b"OFFSET 1 -4.5 0", b"OFFSET 1 -4.5 0\nOFFSET 1 2 3"), 9, "second OFFSET"),
    "OFFSET outside": (swap(b"MOTION", b"OFFSET 1 2 3\nMOTION"), 35, "outside"),
    "OFFSET with other digits": (swap(b"OFFSET 1 -4.5 0", "OFFSET ١ -4.5 0".encode()), 8, "three"),
    # CHANNELS
    "no CHANNELS": (swap(b"\t\tCHANNELS 0\n", b""), 23, "no CHANNELS"),
    "two channels": (swap(CHANNELS_0, b"CHANNELS 2 Xrotation Zrotation"), 9, "0, 1, 3 or 6"),
    "four channels": (swap(CHANNELS_0, CHANNELS_0.replace(b"3", b"4") + b" Xposition"), 9, "0, 1, 3 or 6"),
    "five channels": (swap(CHANNELS_0, CHANNELS_0.replace(b"3", b"5") + b" Xposition Yposition"), 9, "0, 1, 3 or 6"),
    "nine channels": (swap(CHANNELS_0, CHANNELS_0.replace(b"3", b"9") + b" Xrotation" * 6), 9, "0, 1, 3 or 6"),
    "a repeated channel": (swap(b"Xrotation Zrotation Yrotation", b"Xrotation Zrotation Xrotation"), 9, "twice"),
    "fewer channels than declared": (swap(b"Xrotation Zrotation Yrotation", b"Xrotation Zrotation"), 9, "declares 3"),
    "more channels than declared": (swap(CHANNELS_0, CHANNELS_0 + b" Xposition"), 9, "declares 3"),
    "an unknown channel": (swap(b"Xrotation Zrotation Yrotation", b"Xrotation Wrotation Yrotation"), 9, "Wrotation"),
    "no number of channels": (swap(CHANNELS_0, CHANNELS_0.replace(b"3 ", b"")), 9, "needs a number"),
    "a negative number of channels": (swap(b"CHANNELS 0", b"CHANNELS -1"), 23, "needs a number"),
    "10^12 channels": (swap(b"CHANNELS 0", b"CHANNELS 1000000000000"), 23, "needs a number"),
    "CHANNELS twice": (swap(CHANNELS_0, CHANNELS_0 + b"\n" + CHANNELS_0), 10, "second CHANNELS"),
    "CHANNELS in an End Site": (swap(b"OFFSET 0 0 0\n", b"OFFSET 0 0 0\nCHANNELS 0\n"), 31, "no CHANNELS"),
    "no channel anywhere": (
        lambda: b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 0\n}\nMOTION\nFrames: 1\nFrame Time: 1\n\n",
        None,
        "no joint has a channel",
    ),
    # MOTION
    "no MOTION": (lambda: BASE[: BASE.find(b"MOTION")], 34, "MOTION is missing"),
    "no MOTION line": (swap(b"MOTION\n", b""), 35, "Frames"),
    "MOTION twice": (swap(b"MOTION\n", b"MOTION\nMOTION\n"), 36, "Frames"),
    "MOTION again after the rows": (lambda: BASE + BASE[BASE.find(b"MOTION") :], LAST + 1, "second MOTION"),
    "MOTION inside a row's place": (row(1, b"MOTION\n"), ROW_2, "second MOTION"),
    "a second file behind": (lambda: BASE + BASE, LAST + 1, "HIERARCHY"),
    "nothing after MOTION": (lambda: BASE[: BASE.find(b"Frames")], 35, "Frames"),
    "no Frames": (swap(b"Frames: 3\n", b""), 36, "Frames"),
    "Frames without number": (swap(b"Frames: 3", b"Frames:"), 36, "whole number"),
    "Frames of a word": (swap(b"Frames: 3", b"Frames: three"), 36, "whole number"),
    "Frames of a fraction": (swap(b"Frames: 3", b"Frames: 3.5"), 36, "whole number"),
    "negative Frames": (swap(b"Frames: 3", b"Frames: -3"), 36, "whole number"),
    "no frame": (lambda: BASE[: BASE.find(ROWS[0])].replace(b"Frames: 3", b"Frames: 0"), 36, "no frame"),
    "Frames with other digits": (swap(b"Frames: 3", "Frames: ٣".encode()), 36, "whole number"),
    "Frames of ten thousand digits": (swap(b"Frames: 3", b"Frames: " + b"9" * 10_000), 36, "whole number"),
    "10^12 frames": (swap(b"Frames: 3", b"Frames: 1000000000000"), 36, "1000000000000 frames are declared, 3 rows"),
    "one frame too few declared": (swap(b"Frames: 3", b"Frames: 2"), ROW_3, "beyond the 2 frames"),
    "one frame too many declared": (swap(b"Frames: 3", b"Frames: 4"), 36, "4 frames are declared, 3 rows"),
    "no rows": (lambda: BASE[: BASE.find(ROWS[0])], 36, "0 rows"),
    "no Frame Time": (swap(b"Frame Time: 0.041666666666666664\n", b""), 37, "Frame Time"),
    "Frame Time without number": (swap(b"Time: 0.041666666666666664", b"Time:"), 37, "positive number"),
    "Frame Time zero": (swap(b"Time: 0.041666666666666664", b"Time: 0.0"), 37, "positive number"),
    "negative Frame Time": (swap(b"Time: 0.04", b"Time: -0.04"), 37, "positive number"),
    "Frame Time nan": (swap(b"Time: 0.041666666666666664", b"Time: nan"), 37, "positive number"),
    "Frame Time infinite": (swap(b"Time: 0.041666666666666664", b"Time: inf"), 37, "positive number"),
    "Frame Time overflows": (swap(b"Time: 0.041666666666666664", b"Time: 1e999"), 37, "positive number"),
    "Frame Time underflows": (swap(b"Time: 0.041666666666666664", b"Time: 1e-999"), 37, "positive number"),
    "Frame Time with a comma": (swap(b"Time: 0.04", b"Time: 0,04"), 37, "positive number"),
    "Frame Time of two numbers": (swap(b"Time: 0.04", b"Time: 1 0.04"), 37, "positive number"),
    # rows
    "a value too few": (row(1, ROWS[1].replace(b"0.1 9", b"0.1")), ROW_2, "15 values"),
    "a value too many": (row(1, b"1 " + ROWS[1]), ROW_2, "17 values"),
    "a value moved to the next row": (
        lambda: BASE.replace(b"-15 3\n0.1", b"-15\n3 0.1"),
        ROW_1,
        "15 values",
    ),
    "rows of half the length": (lambda: BASE.replace(b" 30.5 1", b" 30.5\n1"), ROW_1, "6 values"),
    "a row over two lines": (row(1, ROWS[1].replace(b" 2 3 4", b"\n2 3 4")), ROW_2, "6 values"),
    "two rows on a line": (lambda: BASE.replace(b"-15 3\n0.1", b"-15 3 0.1"), ROW_1, "32 values"),
    "cut in the last row": (lambda: BASE[:-8], LAST, "15 values|14 values"),
    "nan": (value(b"nan"), ROW_2, "'nan', not a finite number"),
    "NaN of Windows": (value(b"-1.#IND"), ROW_2, "value 10 of the row .rig:LeftKnee, Xrotation."),
    "inf": (value(b"inf"), ROW_2, "'inf'"),
    "-Infinity": (value(b"-Infinity"), ROW_2, "'-Infinity'"),
    "overflow": (value(b"1e999"), ROW_2, "beyond float64"),
    "negative overflow": (value(b"-1.8e308"), ROW_2, "beyond float64"),
    "a word": (value(b"abc"), ROW_2, "'abc'"),
    "null": (value(b"null"), ROW_2, "'null'"),
    "true": (value(b"true"), ROW_2, "'true'"),
    "hexadecimal": (value(b"0x1p3"), ROW_2, "'0x1p3'"),
    "an underscore": (value(b"1_000"), ROW_2, "'1_000'"),
    "other digits": (value("١٢".encode()), ROW_2, "not a finite number"),
    "full-width digits": (value("１".encode()), ROW_2, "not a finite number"),
    "a decimal comma": (value(b"1,5"), ROW_2, "'1,5'"),
    "commas between values": (lambda: BASE.replace(b"-20 30.5", b"-20,30.5"), ROW_1, "'-20,30.5'"),
    "a JSON array": (value(b"[1]"), ROW_2, "'\\[1\\]'"),
    "quotes": (value(b'"1"'), ROW_2, "not a finite number"),
    "two points": (value(b"1.2.3"), ROW_2, "'1.2.3'"),
    "two signs": (value(b"--1"), ROW_2, "'--1'"),
    "a sign alone": (value(b"-"), ROW_2, "'-'"),
    "a point alone": (value(b"."), ROW_2, "'.'"),
    "an exponent alone": (value(b"e5"), ROW_2, "'e5'"),
    "no exponent": (value(b"1e"), ROW_2, "'1e'"),
    "two numbers run together": (value(b"1-2"), ROW_2, "'1-2'"),
    "a signed exponent's two signs": (value(b"1e+-5"), ROW_2, "'1e"),
    "a zero byte": (value(b"1\x002"), ROW_2, "binary"),
    "text after the rows": (lambda: BASE + b"# the end\n", LAST + 1, "'#'"),
    "a number after the rows": (lambda: BASE + b"1\n", LAST + 1, "1 values|beyond"),
    "a closing brace after the rows": (lambda: BASE + b"}\n", LAST + 1, "'}'"),
    "end of file of DOS": (lambda: BASE + b"\x1a", LAST + 1, "not a finite number"),
    "a row beyond, after blank lines": (lambda: BASE + b"\n\n" + ROWS[2], LAST + 3, "beyond the 3 frames"),
}


def test_there_are_many_kinds_and_the_base_files_load() -> None:
    assert len(MALFORMED) >= 60
    assert len({make() for make, _, _ in MALFORMED.values()}) == len(MALFORMED), "each kind is its own"
    assert len(read_bvh(FIXTURES / "figure.bvh")) == len(read_bvh(FIXTURES / "still_root.bvh")) == 3


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_files_are_refused(kind: str, line_end: bytes, tmp_path: Path) -> None:
    make, line, reason = MALFORMED[kind]
    path = tmp_path / "clip.bvh"
    path.write_bytes(make() if kind == "binary" else make().replace(b"\n", line_end))
    with pytest.raises(BvhError, match=reason) as caught:
        read_bvh(path)
    assert caught.value.path == path
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_lines_are_right_far_into_a_file(tmp_path: Path) -> None:
    rows = STILL.splitlines()[-3:]
    many = [rows[number % 3] for number in range(5000)]
    head = STILL[: STILL.find(rows[0])].replace(b"Frames:\t3", b"Frames: 5000")
    path = tmp_path / "long.bvh"
    path.write_bytes(head + b"\n".join(many))
    assert len(read_bvh(path)) == 5000
    for number in (0, 1234, 4999):
        path.write_bytes(head + b"\n".join([*many[:number], many[number] + b" 1", *many[number + 1 :]]))
        with pytest.raises(BvhError, match="19 values") as caught:
            read_bvh(path)
        assert caught.value.line == head.count(b"\n") + number + 1


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.bvh")
    (tmp_path / "folder.bvh").mkdir()
    (tmp_path / "loop.bvh").symlink_to(tmp_path / "loop.bvh")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.bvh"))
    start = time.perf_counter()
    for name in ("fifo.bvh", "folder.bvh", "loop.bvh", "socket.bvh", "absent.bvh", "x" * 300):
        with pytest.raises(BvhError, match=r"not a file|cannot be read"):
            read_bvh(tmp_path / name)
    with pytest.raises(BvhError, match="not a file"):
        read_bvh("/dev/zero")
    server.close()
    assert time.perf_counter() - start < 2


def test_declared_sizes_allocate_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    path.write_bytes(BASE.replace(b"Frames: 3", b"Frames: 900000000000"))
    tracemalloc.start()
    with pytest.raises(BvhError, match="3 rows"):
        read_bvh(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_hostile_lengths_are_quick(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    long = 300_000
    for data in (
        BASE.replace(b"OFFSET 1 -4.5 0", b"OFFSET " + b"1" * long + b"x 0 0"),
        BASE.replace(b"OFFSET 1 -4.5 0", b"OFFSET" + b" " * long + b"x"),
        BASE.replace(b"Hips", b"H " * long + b"}"),
        BASE.replace(b"ROOT", b"\n" * long + b"JOINT"),
        BASE.replace(b"}", b"} " * long, 1),
        BASE.replace(b"Frames: 3", b"Frames: 3" + b" " * long + b"x"),
        BASE.replace(b" 9 ", b" " + b"1" * long + b"x "),
        BASE.replace(b" 9 ", b" " * long + b"x "),
        b"HIERARCHY\n" + b"{" * long,
        b"HIERARCHY\nROOT " + b"a" * long,
    ):
        path.write_bytes(data)
        start = time.perf_counter()
        with pytest.raises(BvhError) as caught:
            read_bvh(path)
        assert time.perf_counter() - start < 5
        assert len(caught.value.reason) < 300


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=st.sampled_from([BASE, STILL]), data=st.data())
def test_mutated_bytes_load_or_raise_bvh_errors(base: bytes, data: st.DataObject, tmp_path: Path) -> None:
    text = bytearray(base)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 20))
        piece = data.draw(
            st.binary(max_size=6)
            | st.sampled_from([b"{", b"}", b"\n", b" ", b"-", b"1e999", b"MOTION", b"\r", b"JOINT a", b"[", b"\x01"])
        )
        text[start : start + cut] = piece
    path = tmp_path / "mutated.bvh"
    path.write_bytes(bytes(text))
    begin = time.perf_counter()
    try:
        clip = read_bvh(path)
        assert len(clip.angles) == len(clip) > 0
    except BvhError as error:
        last = text.count(b"\n") + text.count(b"\r") + 1
        assert error.path == path and (error.line is None or 1 <= error.line <= last)  # noqa: PT017
    assert time.perf_counter() - begin < 2
