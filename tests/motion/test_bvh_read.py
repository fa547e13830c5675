"""What a BVH file may look like, and what is read from it."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth import BvhError, Clip, read_bvh
from motionsynth.motion import bvh_header, bvh_motion

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bvh"
BASE = (FIXTURES / "figure.bvh").read_bytes()


def read_bytes(folder: Path, data: bytes) -> Clip:
    path = folder / "clip.bvh"
    path.write_bytes(data)
    return read_bvh(path)


def assert_same(one: Clip, other: Clip) -> None:
    """Equal to the bit, the sign of zero included."""
    assert one.skeleton == other.skeleton
    assert one.frame_time == other.frame_time
    assert one.angles.tobytes() == other.angles.tobytes()
    assert one.translations.tobytes() == other.translations.tobytes()


def test_a_figure_is_read_as_it_stands() -> None:
    clip = read_bvh(FIXTURES / "figure.bvh")
    skeleton = clip.skeleton
    assert skeleton.names == ("Hips", "Left Leg.001", "rig:LeftKnee", "Brustkorb-größe", "Kopf 頭")
    assert skeleton.parents == (-1, 0, 1, 0, 3)
    assert skeleton.orders == ("ZXY", "XZY", "XYZ", "XYZ", "YXZ")
    assert [len(channels) for channels in skeleton.channels] == [6, 3, 1, 0, 6]
    assert skeleton.offsets.tolist()[1] == [1, -4.5, 0]
    assert [(end.parent, end.offset, end.name) for end in skeleton.end_sites] == [
        (2, (0, -4, 0.1), ""),
        (4, (0, 0, 0), "Nase"),
    ]
    assert (len(clip), clip.frame_time) == (3, 1 / 24)
    assert clip.angles[0].tolist() == [[10, -20, 30.5], [1, 2, 3], [45, 0, 0], [0, 0, 0], [5, 15, -15]]
    assert clip.translations[2].tolist() == [[0.2, 9, 1e-3], [1, -4.5, 0], [0, -5, 0], [0, 6, 0], [0.5, 3, 0.25]]
    assert np.signbit(clip.translations[1, 0, 2]), "an integer -0 keeps its sign, as strtod has it"


def lines_of(data: bytes) -> list[bytes]:
    return data.split(b"\n")


def one_line_header(data: bytes) -> bytes:
    """Statements share lines as far as a name, which ends with its line or brace, lets them."""
    header, motion = data.split(b"MOTION")
    return header.replace(b"\n\t", b" ").replace(b"\t", b" ").replace(b"\n{", b" {") + b"MOTION" + motion


GOOD = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "CR": lambda data: data.replace(b"\n", b"\r"),
    "BOM": lambda data: b"\xef\xbb\xbf" + data,
    "BOM and CRLF": lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
    "no last line end": lambda data: data.rstrip(),
    "blank lines at the end": lambda data: data + b"\n \n\t\n",
    "blank lines everywhere": lambda data: data.replace(b"\n", b"\n\n \n"),
    "blank lines at the start": lambda data: b"\n\n \n" + data,
    "trailing blanks": lambda data: data.replace(b"\n", b"  \t \n"),
    "tabs in rows": lambda data: data[: data.find(b"MOTION")] + data[data.find(b"MOTION") :].replace(b" ", b"\t"),
    "two blanks between values": lambda data: data.replace(b" 9 ", b"  9\t "),
    "leading blanks": lambda data: data.replace(b"\n0", b"\n  0"),
    "no indentation": lambda data: data.replace(b"\t", b""),
    "lower case": lambda data: (
        b"\n".join(
            line.lower()
            if line.split()[:1] and line.split()[0] in (b"OFFSET", b"CHANNELS", b"MOTION", b"HIERARCHY")
            else line
            for line in lines_of(data)
        )
        .replace(b"JOINT", b"joint")
        .replace(b"ROOT", b"root")
        .replace(b"End Site", b"end site")
    ),
    "upper case": lambda data: (
        data.replace(b"End Site", b"END SITE")
        .replace(b"rotation", b"ROTATION")
        .replace(b"position", b"POSITION")
        .replace(b"Frame", b"FRAME")
    ),
    "brace on the line of its keyword": lambda data: data.replace(b"\n{", b" {").replace(b"Nase\n\t\t\t{", b"Nase {"),
    "brace touching the name": lambda data: data.replace(b"ROOT Hips\n{", b"ROOT Hips{"),
    "closing braces on one line": lambda data: data.replace(b"\n\t}\n}\n", b" } }\n"),
    "MOTION after a brace": lambda data: data.replace(b"}\nMOTION", b"} MOTION"),
    "statements share lines": one_line_header,
    "numbers over lines": lambda data: data.replace(b"OFFSET 1 -4.5 0", b"OFFSET\n1\n-4.5 0"),
    "Frames :": lambda data: data.replace(b"Frames: 3", b"Frames :\t3 "),
    "Frames without colon": lambda data: data.replace(b"Frames: 3", b"FRAMES 3"),
    "Frames:3": lambda data: data.replace(b"Frames: 3", b"Frames:3"),
    "FrameTime:": lambda data: data.replace(b"Frame Time: ", b"FrameTime:"),
    "Frame Time without colon": lambda data: data.replace(b"Frame Time:", b"frame  time"),
    "leading point": lambda data: data.replace(b"Frame Time: 0.", b"Frame Time: ."),
    "plus signs": lambda data: data.replace(b" 9 ", b" +9 ").replace(b"1e-3", b"+1.0E-003"),
    "points without digits": lambda data: data.replace(b" 9 ", b" 9. ").replace(b" 0.5 ", b" .5 "),
    "leading zeros": lambda data: data.replace(b" 9 ", b" 0009.000 "),
    "scientific": lambda data: data.replace(b"30.5", b"3.05e+01").replace(b"31.5", b"3150E-2"),
    "scientific OFFSET": lambda data: data.replace(b"OFFSET 0 6 0", b"OFFSET 0e0 +.6E1 0."),
    "spaces after names": lambda data: data.replace(b"ROOT Hips\n", b"ROOT \tHips \t \n"),
    "CHANNELS before OFFSET": lambda data: data.replace(
        b"OFFSET 0 6 0\n\t\tCHANNELS 0\n", b"CHANNELS 0\n\t\tOFFSET 0 6 0\n"
    ),
}


@pytest.mark.parametrize("kind", GOOD)
def test_spellings_read_the_same(kind: str, tmp_path: Path) -> None:
    changed = GOOD[kind](BASE)
    assert changed != BASE, "the variant must be one"
    assert_same(read_bytes(tmp_path, changed), read_bvh(FIXTURES / "figure.bvh"))


def test_names_are_all_that_follows_the_keyword(tmp_path: Path) -> None:
    for name in ("MOTION", "OFFSET 1 2 3", "JOINT", "End Site", "a  b", "CHANNELS 3", "a\tb", "ROOT", "Frames: 9"):
        clip = read_bytes(tmp_path, BASE.replace(b"rig:LeftKnee", name.encode()))
        assert clip.skeleton.names[2] == name
        assert len(clip) == 3


def test_names_that_are_not_utf8_are_latin1(tmp_path: Path) -> None:
    data = BASE.replace("größe".encode(), "größe".encode("latin-1")).replace(" 頭".encode(), b"")
    assert read_bytes(tmp_path, data).skeleton.names[3] == "Brustkorb-größe"


def test_a_joint_without_end_site_and_with_two(tmp_path: Path) -> None:
    site = b"\t\t\tEnd Site\n\t\t\t{\n\t\t\t\tOFFSET 0 -4 1e-1\n\t\t\t}\n"
    assert site in BASE
    assert len(read_bytes(tmp_path, BASE.replace(site, b"")).skeleton.end_sites) == 1
    assert [end.parent for end in read_bytes(tmp_path, BASE.replace(site, site * 2)).skeleton.end_sites] == [2, 2, 4]


def chain(joints: int) -> bytes:
    """A chain of joints, one channel each, two frames."""
    lines = ["HIERARCHY"]
    for joint in range(joints):
        lines += [f"{'JOINT' if joint else 'ROOT'} {joint}", "{", "OFFSET 0 1 0", "CHANNELS 1 Xrotation"]
    lines += ["}"] * joints + ["MOTION", "Frames: 2", "Frame Time: 1"]
    return "\n".join([*lines, *[" ".join(["1"] * joints)] * 2]).encode()


def test_a_thousand_joints_deep_and_no_more(tmp_path: Path) -> None:
    assert len(read_bytes(tmp_path, chain(1000)).skeleton) == 1000
    with pytest.raises(BvhError, match="more than 1000 joints"):
        read_bytes(tmp_path, chain(1001))


def test_nesting_of_100000_is_one_error_and_quick(tmp_path: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(BvhError, match="more than 1000 joints"):
        read_bytes(tmp_path, chain(100_000))
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("size", [64, 1 << 16])
def test_numbers_have_the_bits_of_strtod(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bvh_motion, "_BLOCK", size)
    draw = random.Random(3)
    texts = ["0", "-0", "-0.0", "1e308", "-1e308", "5e-324", "1e-400", "-1e-400", "9007199254740993", "0.1"]
    texts += ["18446744073709551616", "2.2250738585072011e-308", "1.7976931348623157e308", "123456789012345678"]
    texts += [repr(struct.unpack("d", draw.randbytes(8))[0]) for _ in range(400)]
    texts += [f"{draw.uniform(-200, 200):.{draw.randrange(1, 20)}f}" for _ in range(800)]
    texts = [text for text in texts if text.lstrip("-") not in ("nan", "inf")]
    for group in (texts, [*texts, ".5", "+1", "-.5", "1.", "-00.1E+2"]):
        group = group[: len(group) // 3 * 3]
        rows = [" ".join(group[start : start + 3]) for start in range(0, len(group), 3)]
        header = b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Xrotation Yrotation Zrotation\n}\nMOTION\n"
        motion = f"Frames: {len(rows)}\nFrame Time: 1\n" + "\n".join(rows)
        clip = read_bytes(tmp_path, header + motion.encode())
        assert clip.angles.tobytes() == np.array([float(text) for text in group]).tobytes()


def test_the_fast_path_is_taken_and_agrees_with_the_slow_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read_bvh(FIXTURES / "still_root.bvh")
    with monkeypatch.context() as patch:
        patch.setattr(bvh_motion, "_parse_as_floats", None)
        assert_same(read_bvh(FIXTURES / "still_root.bvh"), fast)
    monkeypatch.setattr(bvh_motion, "_parse_as_json", lambda *_: None)
    assert_same(read_bvh(FIXTURES / "still_root.bvh"), fast)


def test_the_bvh_package_reads_the_hierarchy_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = BASE.replace(b"Hips", b"Never Seen Before")
    ask = bvh_header._ask_bvh
    monkeypatch.setattr(bvh_header, "_ask_bvh", lambda nodes: ask(nodes)[:-1])
    with pytest.raises(BvhError, match="reads another hierarchy"):
        read_bytes(tmp_path, data)
    monkeypatch.undo()
    assert read_bytes(tmp_path, data).skeleton.names[0] == "Never Seen Before"


def test_files_that_share_a_hierarchy_keep_their_own_offsets(tmp_path: Path) -> None:
    first = read_bytes(tmp_path, BASE)
    second = read_bytes(tmp_path, BASE.replace(b"OFFSET 0 6 0", b"OFFSET 0 7 0"))
    assert (first.skeleton.offsets[3, 1], second.skeleton.offsets[3, 1]) == (6, 7)
    assert first.skeleton != second.skeleton


@settings(max_examples=500, deadline=None)
@given(
    tokens=st.lists(
        st.sampled_from(
            ["1", "-0", "0.5", "-1e-3", "2E5", "1e308", "-", ".5", "[", "]", "[1]", "1,2", "true", "\t", '"', "+1"]
        )
        | st.floats(allow_nan=False, allow_infinity=False).map(repr),
        min_size=1,
        max_size=12,
    ),
    gaps=st.lists(st.sampled_from([" ", " ", " ", "\n", "  ", "\t", ",", ""]), min_size=12, max_size=12),
    channels=st.integers(1, 4),
)
def test_the_fast_path_accepts_nothing_that_the_strict_one_does_not(
    tokens: list[str], gaps: list[str], channels: int
) -> None:
    text = "".join(token + gap for token, gap in zip(tokens, gaps, strict=False)).encode()
    fast = bvh_motion._parse_as_json(text, channels)
    if fast is not None:
        strict = bvh_motion._parse_as_floats(bvh_motion.tidy(text), channels)
        assert strict is not None
        assert strict.tobytes() == np.ascontiguousarray(fast[:, :channels]).tobytes()
