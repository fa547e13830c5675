"""Inspecting tells what is there, and loses nothing of what is not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from motionsynth.corpus.inspect import inspect_path
from motionsynth.errors import CorpusError
from motionsynth.motion.bvh import write_bvh
from tests.corpus.folders import (
    PATTERN,
    PEOPLE,
    WHO,
    cell_names,
    clip_of,
    longer_arm,
    of_size,
    turned_at_rest,
    write_clips,
    write_people,
)
from tests.motion.clips import HUMAN


def test_a_folder_is_described(tmp_path: Path) -> None:
    folder = write_clips(tmp_path, cell_names(3))
    write_bvh(longer_arm(clip_of(7)), folder / "jump_calm_001.bvh")
    (folder / "broken.bvh").write_text("HIERARCHY\nROOT a\n{\n")
    found = inspect_path(folder, pattern=PATTERN)
    assert [len(found.loaded), len(found.refused), len(found.skeletons)] == [7, 1, 2]
    assert re.search(r"broken\.bvh:\d+: ", found.refused[0].reason)
    common = found.skeletons[0]
    assert len(common.files) == 6
    assert common.joints == tuple(name for name, _, _ in HUMAN)
    assert (common.moving_joint, common.up, common.units) == ("Hips", "y", "cm")
    assert common.tree()[:3] == ["Reference", "  Hips", "    Spine"]
    assert found.classes == {"content": {"jump": 1, "run": 3, "walk": 3}, "style": {"calm": 7}}
    assert found.frames == 7 * 24
    assert found.frame_rates == {30.0: 7}
    assert found.duration_s == pytest.approx(7 * 24 / 30)
    assert "broken.bvh" in found.unlabelled
    assert {file.skeleton for file in found.loaded if file.file.startswith("jump")} == {1}


def test_it_is_json(tmp_path: Path) -> None:
    found = inspect_path(write_clips(tmp_path, ["a.bvh"]) / "a.bvh")
    document = json.loads(json.dumps(found.to_dict()))
    assert document["loaded"][0]["frames"] == document["frames"] == 24
    assert document["frame_rates"] == [{"frame_rate": 30.0, "files": 1}]
    assert document["skeletons"][0]["files"] == ["a.bvh"]


def test_a_label_table_that_cannot_be_read_does_not_hide_the_files(tmp_path: Path) -> None:
    write_clips(tmp_path, ["a.bvh"])
    (tmp_path / "labels.csv").write_text("name\n")
    found = inspect_path(tmp_path)
    assert len(found.loaded) == 1
    assert "labels.csv:1" in found.label_error


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no BVH or AMC file"):
        inspect_path(tmp_path)


def test_files_of_thirty_writers(shared_mocap: Path) -> None:
    found = inspect_path(shared_mocap / "exporters")
    assert len(found.loaded) == 24
    assert len(found.refused) == 6
    assert all(re.match(r".*BAD-[\w-]+\.bvh:\d+: \w", refused.reason) for refused in found.refused)
    expected = json.loads((shared_mocap / "exporters" / "expected.json").read_text())
    assert {file.file: file.frames for file in found.loaded if file.file in expected} == {
        name: entry["frames"] for name, entry in expected.items() if isinstance(entry, dict) and "frames" in entry
    }


def _column(offset: str, *rows: str) -> str:
    """A BVH file of three joints above one another."""
    joint = "{{\nOFFSET 0 {0} 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    return (
        "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\n"
        "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
        f"JOINT Spine\n{joint.format(offset)}JOINT Head\n{joint.format(offset)}End Site\n{{\nOFFSET 0 {offset} 0\n}}\n"
        f"}}\n}}\n}}\nMOTION\nFrames: {len(rows)}\nFrame Time: 0.0333\n"
        + "".join(f"{row} 0 0 0 0 0 0 0 0 0\n" for row in rows)
    )


@pytest.mark.parametrize(
    ("offset", "rows"),
    [
        ("10", ["0 90 0"]),
        ("10", ["0 0 0"] * 5),
        ("0", ["0 0 0"] * 5),
        ("1e-200", ["1e-200 0 0", "0 0 0"]),
        ("1e-320", ["1e-310 0 0", "0 0 0"]),
        ("1e14", ["-1e15 0 0", "1e15 0 0"]),
    ],
    ids=["one frame", "still", "no size", "tiny", "subnormal", "large"],
)
def test_odd_numbers_are_measured_without_warnings(tmp_path: Path, offset: str, rows: list[str]) -> None:
    (tmp_path / "a.bvh").write_text(_column(offset, *rows))
    found = inspect_path(tmp_path)
    assert not found.refused and found.frames == len(rows)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("offset", "rows", "joint", "frame"),
    [("1e200", ["0 0 0"] * 2, "Spine", 0), ("10", ["0 0 0", "1e300 0 0"], "Hips", 1), ("1e308", ["0 0 0"], "Spine", 0)],
)
def test_what_no_body_can_be_is_refused(tmp_path: Path, offset: str, rows: list[str], joint: str, frame: int) -> None:
    (tmp_path / "a.bvh").write_text(_column(offset, *rows))
    refused = inspect_path(tmp_path).refused[0].reason
    assert refused.startswith(f"{tmp_path / 'a.bvh'}: joint '{joint}' lies 1e+") and f"in frame {frame}" in refused


def test_without_the_refusal_they_would_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionsynth.corpus.inspect.refuse_vast", lambda clip: None)
    (tmp_path / "a.bvh").write_text(_column("1e200", "0 0 0"))
    with pytest.raises(RuntimeWarning, match="overflow"):
        inspect_path(tmp_path)


def test_bones_of_people_stand_side_by_side(tmp_path: Path) -> None:
    folder = write_people(tmp_path)
    write_bvh(longer_arm(of_size(clip_of(90), 1.1)), folder / "walk_eve_1.bvh")
    found = inspect_path(folder, pattern=WHO)
    people = found.people
    assert people is not None
    sizes = {**PEOPLE, "eve": 1.1}
    assert (people.label, people.names) == ("actor", tuple(sizes))
    leg = people.legs[people.names.index("bob")]
    assert people.legs == pytest.approx([leg * size for size in sizes.values()])
    assert people.joints[0] != "LeftForeArm" and len(people.joints) == len(HUMAN) - 2
    arm = people.lengths[people.joints.index("LeftForeArm")]
    assert arm == pytest.approx([27 * size for size in PEOPLE.values()] + [27 * 1.1 + 3])
    assert people.strangers == () and min(people.cosines) > 0.999
    json.dumps(found.to_dict())


def test_who_has_another_rest_pose_or_other_joints_is_told_apart(tmp_path: Path) -> None:
    folder = write_people(tmp_path)
    write_bvh(of_size(turned_at_rest(clip_of(90), 50.0), 1.1), folder / "walk_eve_1.bvh")
    clip = clip_of(0)
    names = ("Root", *clip.skeleton.names[1:])
    write_bvh(replace(clip, skeleton=replace(clip.skeleton, names=names)), folder / "walk_fay_1.bvh")
    people = inspect_path(folder, pattern=WHO).people
    assert people is not None and people.names == (*PEOPLE, "eve")
    assert people.strangers == ("eve",)
    assert people.odd[-1] == "LeftForeArm" and people.cosines[-1] == pytest.approx(0.643, abs=1e-3)


def test_without_a_label_for_them_people_are_numbered(tmp_path: Path) -> None:
    people = inspect_path(write_people(tmp_path), pattern=r"(?P<content>[a-z]+)_").people
    assert people is not None and (people.label, people.names) == ("person", ("1", "2", "3", "4"))


def test_people_with_the_same_bones_are_not_compared(tmp_path: Path) -> None:
    assert inspect_path(write_people(tmp_path, {"ann": 1.0, "bob": 1.0}), pattern=WHO).people is None
