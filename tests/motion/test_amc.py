"""Acclaim's ASF and AMC files: what is read from them, against the definition done by hand, and what is refused."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from motionsynth import AmcError, Clip, read_amc, read_bvh, read_clip, write_bvh
from motionsynth.motion.amc import find_asf
from motionsynth.motion.formats import is_clip, skeleton_files
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.measure import detect_units
from tests.damage import damaged_bytes, in_time
from tests.motion import acclaim

FIXTURES = Path(__file__).parents[1] / "fixtures" / "amc"
ASF = (FIXTURES / "figure.asf").read_bytes()
AMC = (FIXTURES / "figure.amc").read_bytes()


def read_pair(folder: Path, asf: bytes = ASF, amc: bytes = AMC) -> Clip:
    (folder / "figure.asf").write_bytes(asf)
    (folder / "figure.amc").write_bytes(amc)
    return read_amc(folder / "figure.amc")


def tips(clip: Clip) -> dict[str, np.ndarray]:
    """Name of a joint without children -> (T, 3) where its bone ends."""
    positions, globals_ = world_transforms(clip.rotations(), clip.translations, clip.skeleton.parents)
    names = clip.skeleton.names
    ends = clip.skeleton.end_sites
    return {names[e.parent]: positions[:, e.parent] + globals_[:, e.parent] @ np.array(e.offset) for e in ends}


def test_a_figure_is_read_as_it_stands() -> None:
    clip = read_amc(FIXTURES / "figure.amc")
    skeleton = clip.skeleton
    assert skeleton.names == ("root", "trunk", "arm", "hand", "hip", "leg")
    assert skeleton.parents == (-1, 0, 1, 2, 0, 4)
    assert skeleton.offsets.tolist() == [[0, 2, 0], [0, 0, 0], [0, 6, 0], [4, 0, 0], [0, 0, 0], [-1.2, -1.6, 0]]
    assert [(end.parent, end.offset) for end in skeleton.end_sites] == [(3, (1, 0, 0)), (5, (0, -8, 0))]
    assert set(skeleton.orders) == {"ZYX"}
    assert [len(channels) for channels in skeleton.channels] == [6, 3, 3, 6, 3, 6]
    assert (len(clip), clip.frame_rate) == (3, 120)
    positions = clip.positions()
    assert np.allclose(positions[0], [[0, 2, 0], [0, 2, 0], [0, 8, 0], [4, 8, 0], [0, 2, 0], [-1.2, 0.4, 0]])
    # the arm's own x is the world's y: rx swings it from x to -z, before the root's quarter turn brings that to -x
    assert np.allclose(positions[1, 2:4], [[2, 12, 6], [-2, 12, 6]])
    # the leg, about its own x, which is the world's: from -y to -z, and with the root to -x
    assert np.allclose(tips(clip)["leg"][1], [2 - 8, 6 - 1.6, 6 + 1.2])
    assert np.allclose(clip.translations[2, 3], [6, 0, 0]), "the arm stretches along itself"
    assert np.allclose(clip.translations[2, 5], [-0.7, -1.6, 0]), "the leg moves along its own x"


@pytest.mark.parametrize("seed", range(24))
def test_bones_are_where_the_definition_puts_them(seed: int, tmp_path: Path) -> None:
    figure = acclaim.random_figure(seed)
    clip = read_pair(tmp_path, acclaim.asf_text(figure).encode(), acclaim.amc_text(figure).encode())
    positions, ends = clip.positions(), tips(clip)
    expected = [acclaim.spans(figure, frame) for frame in range(len(figure.frames))]
    size = max(np.ptp(positions.reshape(-1, 3), axis=0).max(), 1.0)
    for joint, name in enumerate(clip.skeleton.names):
        assert np.abs(positions[:, joint] - [spans[name][0] for spans in expected]).max() < 1e-12 * size
        if name in ends:
            assert np.abs(ends[name] - [spans[name][1] for spans in expected]).max() < 1e-12 * size
    write_bvh(clip, tmp_path / "figure.bvh", decimals=12)
    assert np.abs(read_bvh(tmp_path / "figure.bvh").positions() - positions).max() < 1e-9 * size


def test_the_definition_by_hand_tells_orders_apart() -> None:
    """The control of the test above: it would not pass with the turns, or the axes, in the other order."""
    figure = acclaim.random_figure(0)
    before = acclaim.spans(figure, 0)
    assert len(figure.bones) > 1
    figure.bones[0].order = figure.bones[0].order[::-1]
    assert acclaim.spans(figure, 0) != before


GOOD: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "CR": lambda data: data.replace(b"\n", b"\r"),
    "BOM": lambda data: b"\xef\xbb\xbf" + data,
    "blank lines": lambda data: data.replace(b"\n", b"\n\n  \n"),
    "tabs and trailing blanks": lambda data: data.replace(b" ", b"\t ").replace(b"\n", b" \t\n"),
    "no last line end": lambda data: data.rstrip(),
    "comments": lambda data: data.replace(b"\n", b" # (1, 2) :units\n"),
    "Latin-1 in a comment": lambda data: b"# f\xfcr Bonn\n" + data,
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_how_it_is_typed_says_nothing(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    plain, other = read_amc(FIXTURES / "figure.amc"), read_pair(tmp_path, change(ASF), change(AMC))
    assert other.skeleton == plain.skeleton
    assert other.angles.tobytes() == plain.angles.tobytes()
    assert other.translations.tobytes() == plain.translations.tobytes()


def test_keywords_in_any_case_and_units_left_out(tmp_path: Path) -> None:
    plain = read_amc(FIXTURES / "figure.amc")
    asf = ASF.replace(b"dof", b"DOF").replace(b"begin", b"Begin").replace(b":bonedata", b":BONEDATA")
    amc = AMC.replace(b":DEGREES", b":Degrees").replace(b":FULLY-SPECIFIED\n", b"")
    assert read_pair(tmp_path, asf, amc).angles.tobytes() == plain.angles.tobytes()
    bare = ASF.replace(b":units\n  mass 1.0\n  length 2.0\n  angle deg\n", b"")
    assert np.allclose(read_pair(tmp_path, bare, AMC.replace(b":DEGREES\n", b"")).positions(), plain.positions() / 2)


def test_radians_where_either_file_says_so(tmp_path: Path) -> None:
    plain = read_amc(FIXTURES / "figure.amc")
    amc = AMC.replace(b" 90", b" 1.5707963267948966").replace(
        b"1e1 -20 30.5", b"0.17453292519943295 -0.3490658503988659 0.5323254218582705"
    )
    turned = ASF.replace(b"angle deg", b"angle rad").replace(b" 90", b" 1.5707963267948966")
    for asf, text in ((ASF, amc.replace(b"DEGREES", b"RADIANS")), (turned, amc.replace(b":DEGREES\n", b""))):
        assert np.allclose(read_pair(tmp_path, asf, text).positions(), plain.positions(), atol=1e-9)


def test_the_frame_rate_is_120_unless_someone_says(tmp_path: Path) -> None:
    amc = AMC.replace(b":DEGREES", b":DEGREES\n:SAMPLES-PER-SECOND 60")
    assert read_pair(tmp_path, amc=amc).frame_rate == 60
    assert read_amc(tmp_path / "figure.amc", frame_rate=30).frame_rate == 30


@pytest.mark.parametrize(("length", "height", "unit"), [("0.45", 28.0, "cmu"), ("2.54", 160.0, "cm"), ("1", 1.6, "m")])
def test_lengths_are_told_in_the_unit_of_the_file(length: str, height: float, unit: str, tmp_path: Path) -> None:
    written = height / (1 if length == "0.45" else float(length))
    asf = f":units\nlength {length}\n:root\norder TX TY TZ\n:bonedata\n" + "".join(
        f"begin\nname {name}\ndirection 0 {way} 0\nlength {written / 2}\naxis 0 0 0 XYZ\nend\n"
        for name, way in (("neck", 1), ("head", 1), ("shin", -1), ("foot", -1))
    )
    asf += ":hierarchy\nbegin\nroot neck shin\nneck head\nshin foot\nend\n"
    units = detect_units(read_pair(tmp_path, asf.encode(), b"1\nroot 0 0 0\n2\nroot 0 0 1\n"))
    assert (units.name, units.certain, units.height) == (unit, True, pytest.approx(height))


BAD_AMC: dict[str, tuple[bytes, bytes, int | None, str]] = {
    "an unknown bone": (b"leg 0 90", b"tail 0 90", 11, "there is no bone 'tail' in figure.asf"),
    "too few values": (b"leg 0 90", b"leg 90", 11, "bone 'leg' has 1 values, not 2: tx rx"),
    "too many values": (b"arm 0 90 0", b"arm 0 90 0 0", 12, "bone 'arm' has 4 values, not 3: rz rx l"),
    "a bone without freedom": (b"leg 0 0\n", b"hip 1\nleg 0 0\n", 6, "bone 'hip' has 1 values, not 0"),
    "a bone left out": (b"trunk 1e1 -20 30.5\n", b"", 14, "frame 3 lacks trunk"),
    "bones left out throughout": (b"leg ", b"#leg ", 4, "frame 1 lacks leg"),
    "a bone twice": (b"leg 0.25 0", b"leg 0 0\nleg 0 0", 17, "bone 'leg' stands twice in frame 3"),
    "another order": (b"leg 0 90\narm 0 90 0", b"arm 0 90 0\nleg 0 90", 11, "bone 'arm' has another place in frame 2"),
    "a frame left out": (b"\n2\n", b"\n4\n", 9, "frame '4' follows frame 1"),
    "a frame twice": (b"\n3\n", b"\n2\n", 14, "frame '2' follows frame 2"),
    "not a number": (b"leg 0 90", b"leg 0 nan", 11, "bone 'leg': 'nan' is not a number up to 1e+15"),
    "beyond float64": (b"leg 0 90", b"leg 0 1e999", 11, "bone 'leg': '1e999' is not a number up to 1e+15"),
    "an underscore": (b"leg 0 0\n", b"leg 0 1_0\n", 6, "bone 'leg': '1_0' is not a number up to 1e+15"),
    "Microsoft's indefinite": (b"leg 0 90", b"leg 0 -1.#IND", 11, "bone 'leg': '-1.#IND' is not"),
    "cut short": (b" -20 30.5\n", b"", 18, "bone 'trunk' has 1 values, not 3: rx ry rz"),
    "no frame": (AMC[AMC.index(b"1\nroot") :], b"", 3, "the file holds no frame"),
    "an unknown keyword": (b":DEGREES", b":GRADES", 3, "':GRADES' is neither a known keyword nor"),
    "text above": (b":DEGREES", b"once upon", 3, "'once upon' is neither a known keyword nor"),
    "no rate": (b":DEGREES", b":samples-per-second 0", 3, "the frame rate is '0', not a positive number"),
}


@pytest.mark.parametrize(("old", "new", "line", "reason"), BAD_AMC.values(), ids=BAD_AMC.keys())
def test_motion_that_is_not_the_skeletons_is_refused(
    old: bytes, new: bytes, line: int | None, reason: str, tmp_path: Path
) -> None:
    assert old in AMC
    with pytest.raises(AmcError) as refused:
        read_pair(tmp_path, amc=AMC.replace(old, new))
    assert refused.value.path == tmp_path / "figure.amc"
    assert (refused.value.line, reason in refused.value.reason) == (line, True), refused.value.reason


BAD_ASF: dict[str, tuple[bytes, bytes, int | None, str]] = {
    "no bones": (b":bonedata", b":documentation2", 15, "unknown section ':documentation2'"),
    "no hierarchy": (ASF[ASF.index(b":hierarchy") :], b"", None, "the section :hierarchy is missing"),
    "a second root": (b":bonedata", b":root\n:bonedata", 15, "a second :root"),
    "not an ASF file": (ASF, b"HIERARCHY\nROOT a\n", 1, "expected a section such as :units, not 'HIERARCHY'"),
    "no order": (b"   order TX TY TZ RX RY RZ\n", b"", 11, "the root has no order"),
    "an order twice": (b"RX RY RZ", b"RX RY RX", 11, "order: 'rx' is listed twice"),
    "an unknown freedom": (b"dof rz rx l", b"dof rz rx s", 33, "dof: 's' is none of rx, ry, rz, tx, ty, tz, l"),
    "an order of axes": (b"axis 0 0 90 XYZ", b"axis 0 0 90 XYX", 32, "axis must end in an order of rotations"),
    "no order of axes": (b"axis 0 0 90 XYZ", b"axis 0 0 90", 32, "axis has 3 values, not 4"),
    "a direction too short": (
        b"direction 1 0 0\n     length 2",
        b"direction 1 0\n     length 2",
        30,
        "direction has 2 values, not 3",
    ),
    "a length that is none": (b"length 0.5", b"length nan", 40, "length: 'nan' is not a number up to 1e+15"),
    "no length": (b"     length 0.5\n", b"", 36, "the bone that begins here has no length"),
    "an unknown key": (b"bodymass", b"mass", 56, "unknown key 'mass'"),
    "no end": (b"  end\n:hierarchy", b":hierarchy", 50, "the bone that begins here has no 'end'"),
    "no begin": (b"  begin\n     id 1\n", b"  id 1\n", 16, "expected 'begin'"),
    "a bone in a bone": (b"     id 2\n", b"  begin\n", 28, "a bone begins before the last one ends"),
    "two of one name": (b"name arm", b"name trunk", 27, "a second bone 'trunk'"),
    "a name of two words": (b"name arm", b"name left arm", 29, "a bone's name is one word"),
    "an unknown child": (b"arm hand\n    hip", b"arm tail\n    hip", 66, "there is no bone 'tail'"),
    "a second parent": (b"hip leg\n", b"hip leg arm\n", 67, "'arm' has a second parent"),
    "a bone that hangs in the air": (b"    hip leg\n", b"", 50, "bone 'leg' does not hang on the root"),
    "a circle": (b"trunk arm\n    arm hand", b"hand arm\n    arm hand", 27, "bone 'arm' does not hang on the root"),
    "a unit of zero": (b"length 2.0", b"length 0", 6, "the unit of length is '0', not a positive number"),
    "a unit of angle": (b"angle deg", b"angle grad", 7, "angle must be one of deg"),
    "a tip that stretches": (b"length 0.5\n", b"length 0.5\ndof l\n", 36, "bone 'hand' stretches, and no bone follows"),
}


@pytest.mark.parametrize(("old", "new", "line", "reason"), BAD_ASF.values(), ids=BAD_ASF.keys())
def test_what_is_no_skeleton_is_refused(old: bytes, new: bytes, line: int | None, reason: str, tmp_path: Path) -> None:
    assert old in ASF
    with pytest.raises(AmcError) as refused:
        read_pair(tmp_path, asf=ASF.replace(old, new, 1))
    assert refused.value.path == tmp_path / "figure.asf"
    assert (refused.value.line, reason in refused.value.reason) == (line, True), refused.value.reason


def test_more_bones_than_a_clip_holds_are_refused(tmp_path: Path) -> None:
    bones = "".join(f"begin\nname b{k}\ndirection 0 1 0\nlength 1\naxis 0 0 0 XYZ\nend\n" for k in range(1000))
    asf = f":root\norder TX\n:bonedata\n{bones}:hierarchy\nroot " + " ".join(f"b{k}" for k in range(1000))
    with pytest.raises(AmcError, match="1000 bones; a clip has at most 999"):
        read_pair(tmp_path, asf.encode(), b"1\nroot 0\n")


def names(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(ASF if file.lower().endswith("asf") else AMC)


@pytest.mark.parametrize(
    ("files", "motion", "skeleton"),
    [
        (["a.asf", "a.amc"], "a.amc", "a.asf"),
        (["A.ASF", "a.AMC"], "a.AMC", "A.ASF"),
        (["07.asf", "08.asf"], "07_01.amc", "07.asf"),
        (["1.asf", "10.asf"], "10_01.amc", "10.asf"),
        (["HDM.asf", "HDM_bd.asf", "HDM_bk.asf"], "HDM_bd_01-01_01_120.amc", "HDM_bd.asf"),
        (["a.asf", "a_b.asf"], "a.amc", "a.asf"),
        (["person.asf", "._x.asf"], "walk.amc", "person.asf"),
        (["HDM_bd.asf", "HDM_bk.asf"], "kick/HDM_bk_kick_001_120.amc", "HDM_bk.asf"),
        (["HDM_bd.asf", "kick/HDM_bk.asf"], "kick/HDM_bk_kick_001_120.amc", "kick/HDM_bk.asf"),
    ],
)
def test_the_skeleton_is_found(files: list[str], motion: str, skeleton: str, tmp_path: Path) -> None:
    names(tmp_path, *files, motion)
    assert find_asf(tmp_path / motion).resolve() == tmp_path / skeleton
    assert tmp_path / skeleton in skeleton_files([tmp_path / motion])


@pytest.mark.parametrize(
    ("files", "motion", "reason"),
    [
        (["b.asf", "c.asf"], "walk.amc", "may be any of b.asf, c.asf; give one the name walk.asf"),
        (["1.asf", "2.asf"], "10_01.amc", "may be any of 1.asf, 2.asf"),
        (["07.asf", "07.ASF"], "07_01.amc", "may be any of 07.ASF, 07.asf"),
        ([], "walk.amc", "its skeleton is missing"),
        (["person.asf"], "kick/walk.amc", "its skeleton is missing"),
    ],
)
def test_a_skeleton_that_is_not_certain_is_no_skeleton(
    files: list[str], motion: str, reason: str, tmp_path: Path
) -> None:
    names(tmp_path, *files, motion)
    with pytest.raises(AmcError, match=reason):
        read_amc(tmp_path / motion)
    if files:
        assert len(read_amc(tmp_path / motion, asf=tmp_path / files[0])) == 3


def test_what_is_no_file_of_text_is_refused_at_once(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "figure.asf", tmp_path)
    os.mkfifo(tmp_path / "pipe.amc")
    with pytest.raises(AmcError, match="is a named pipe"), in_time(5):
        read_amc(tmp_path / "pipe.amc")
    for content, reason in ((b"", "the file is empty"), (b"1\0", "a binary file, not AMC"), (b"\xff\xfe1", "UTF-16")):
        with pytest.raises(AmcError, match=reason):
            read_pair(tmp_path, amc=content)
    with pytest.raises(AmcError, match="cannot be read: No such file"):
        read_amc(tmp_path / "absent.amc")


def test_the_ending_of_a_name_tells_the_format(tmp_path: Path) -> None:
    clip = read_pair(tmp_path)
    (tmp_path / "figure.amc").rename(tmp_path / "figure.AMC")
    assert read_clip(tmp_path / "figure.AMC").positions().tobytes() == clip.positions().tobytes()
    write_bvh(clip, tmp_path / "figure.txt")
    assert read_clip(tmp_path / "figure.txt").skeleton.names == clip.skeleton.names
    assert [is_clip(name) for name in ("a.bvh", "a.AMC", "a.asf", "amc")] == [True, True, False, False]


def refusal(folder: Path, asf: bytes, amc: bytes) -> str:
    try:
        with in_time():
            read_pair(folder, asf, amc)
    except AmcError as error:
        return str(error)
    return ""


def test_damage_is_told_in_one_line_or_does_no_harm(tmp_path: Path) -> None:
    chance = random.Random(0)
    reasons = [refusal(tmp_path, damaged_bytes(ASF, chance), AMC) for _ in range(60)]
    reasons += [refusal(tmp_path, ASF, damaged_bytes(AMC, chance)) for _ in range(60)]
    assert len(list(filter(None, reasons))) > 60
    assert all("\n" not in reason and len(reason) < 500 for reason in reasons)
