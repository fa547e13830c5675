"""Joint names that every reader keeps apart, against what three.js does with names, and against three.js itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth import read_bvh, to_portable, write_bvh
from motionsynth.motion.convert import Conversion
from motionsynth.motion.names import portable_names, rename_joints, restore_names
from motionsynth.motion.sides import CENTRE, LEFT, RIGHT, joint_sides, left_right_pairs
from tests.motion.clips import walk
from tests.motion.three_names import loaded_name, sanitized, three_faults

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"
PARTS = walk(2).skeleton.names

KINDS = {
    "mixamo": [f"mixamorig:{part}" for part in PARTS],
    "biped": [f"Bip01 {'LR'[i % 2]} {part}" for i, part in enumerate(PARTS)],
    "bracket": [f"Hips[{i}]" for i in range(len(PARTS))],
    "dotted": [f"{part}.bones" for part in PARTS],
    "path": [f"rig/{part}/x" for part in PARTS],
    "same": [("Hips", "Hips", "Leg L", "Leg_L", "Leg.L")[i % 5] for i in range(len(PARTS))],
    "end site": ["ENDSITE" for _ in PARTS],
    "chinese": [f"左 腿:{i // 2}" for i in range(len(PARTS))],
    "keywords": [("HIP_ROOT", "JOINT 1", "LOCOMOTION", "HIERARCHY")[i % 4] for i in range(len(PARTS))],
    "long": ["骨" * 40 + str(i) for i in range(len(PARTS))],
    "nothing": [":" for _ in PARTS],
    "odd spaces": [f"a{space}b" for space in "\u00a0\u3000\u2028\ufeff\x85\x1f\t  \u2003" * 2],
}


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_all_kinds_play_in_three(kind: str) -> None:
    awkward = rename_joints(walk(2), KINDS[kind])
    portable = to_portable(awkward)
    assert not three_faults(portable.skeleton)
    assert_apart(portable.skeleton.names)
    assert three_faults(to_portable(awkward, keep_names=True).skeleton) or kind in ("keywords", "long")  # the control
    assert to_portable(portable).skeleton.names == portable.skeleton.names


def assert_apart(names: tuple[str, ...]) -> None:
    """By all rules that are known of readers."""
    assert len(set(names)) == len(names)
    for name in names:
        assert name == sanitized(name) == loaded_name(name) == "".join(name.split())
        assert len(name.encode()) <= 63, "Blender"
        assert not any(word in name for word in ("ROOT", "JOINT", "MOTION", "HIERARCHY")), "bvhsdk, upc-pymotion"
        assert name != "ENDSITE" and name.isprintable()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("aA _.:/[]12\t\u3000左骨ROT") | st.characters()), min_size=1, max_size=12))
def test_any_names_are_kept_apart_and_good_ones_stay(names: list[str]) -> None:
    found = portable_names(names)
    assert len(set(found)) == len(found) == len(names)
    for name in found:
        assert name == sanitized(name) == loaded_name(name) and name not in ("", "ENDSITE")
        assert len(name.encode("utf-8", "surrogatepass")) <= 63
    assert portable_names(found) == found
    good = [name for name in PARTS if name not in names]
    assert portable_names([*names, *good])[len(names) :] == tuple(good)


def test_names_stay_near_their_own() -> None:
    assert portable_names(["mixamorig:Hips", "Bip01 L Thigh", "Hips[1]", "[Hips]", "Leg.L", "左腿", "_a-b(c)_"]) == (
        "mixamorig_Hips",
        "Bip01_L_Thigh",
        "Hips_1",
        "Hips",
        "Leg_L",
        "左腿",
        "_a-b(c)_",
    )
    assert portable_names(["a b", "a:b", "a_b", "a_b"]) == ("a_b_2", "a_b_3", "a_b", "a_b_4")
    sides = left_right_pairs(
        portable_names(["mixamorig:LeftArm", "mixamorig:RightArm", "Leg.L", "Leg.R", "a L b", "a R b"])
    )
    assert sides == (1, 0, 3, 2, 5, 4)


SIDES = {
    "mixamo": (("mixamorig:LeftArm", "mixamorig:RightArm"), "mixamorig:Spine"),
    "biped": (("Bip01 L Thigh", "Bip01 R Thigh"), "Bip01 Spine"),
    "poser": (("lShldr", "rShldr"), "chest"),
    "acclaim": (("lfemur", "rfemur"), "lowerback"),
    "a namespace before acclaim": (("rig:lfemur", "rig:rfemur"), "rig:root"),
    "blender": (("hand.L.001", "hand.R.001"), "spine.001"),
    "behind a word": (("thumbL1", "thumbR1"), "neck1"),
    "behind a mark, numbered": (("Finger_L1", "Finger_R1"), "L5"),
    "behind a number": (("finger1L", "finger1R"), "finger1"),
    "capitals": (("LARM", "RARM"), "ROOT"),
    "small letters": (("leftarm", "rightarm"), "upright"),
    "chinese": (("左腿", "右腿"), "腰"),
}


@pytest.mark.parametrize("scheme", SIDES)
def test_what_is_mirrored_as_a_pair_is_left_and_right(scheme: str) -> None:
    (left, right), middle = SIDES[scheme]
    assert joint_sides((middle, right, left)) == (CENTRE, RIGHT, LEFT)
    assert left_right_pairs((middle, right, left)) == (0, 2, 1)


def test_a_side_without_its_counterpart_counts_only_where_the_name_is_sure() -> None:
    assert joint_sides(("LeftArm", "Hand_R", "rightful", "lowerback", "L5", "finger1R")) == (LEFT, RIGHT, *[CENTRE] * 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_knows_its_joints_by_their_portable_names(kind: str) -> None:
    clip = rename_joints(walk(2), KINDS[kind])
    portable = to_portable(clip)
    assert restore_names(portable, clip.skeleton.names).skeleton.names == clip.skeleton.names
    assert restore_names(clip, portable.skeleton.names).skeleton.names == portable.skeleton.names
    assert restore_names(walk(2), clip.skeleton.names).skeleton.names == PARTS, "another skeleton keeps its names"


def test_a_conversion_lists_what_it_renamed() -> None:
    clip = read_bvh(FAULTS / "names_bracket.bvh")
    table, kept = Conversion(portable=True), Conversion(portable=True, keep_names=True)
    assert table.apply(clip).skeleton.names == ("Hips", "LeftUpLeg_1", "RightUpLeg_1")
    table.apply(clip)
    assert table.renamed == [("LeftUpLeg[1]", "LeftUpLeg_1"), ("RightUpLeg[1]", "RightUpLeg_1")]
    assert kept.apply(clip).skeleton.names == clip.skeleton.names and not kept.renamed
    plain = Conversion()
    assert plain.apply(clip).skeleton.names == clip.skeleton.names and not plain.renamed


@pytest.mark.parametrize("name", ["names_colon", "names_space", "names_bracket"])
def test_fixtures_fail_as_they_are_and_play_as_portable(name: str) -> None:
    clip = read_bvh(FAULTS / f"{name}.bvh")
    assert three_faults(clip.skeleton)
    portable = to_portable(clip)
    assert not three_faults(portable.skeleton)
    np.testing.assert_array_equal(portable.positions(), clip.positions())


def three_folder() -> Path | None:
    """Folder of three.js: ``$THREE_JS`` (one with node_modules), or what ``tools/accept/interop`` installed."""
    places = [Path(os.environ.get("THREE_JS", "/nowhere")), Path(__file__).parents[2] / "build" / "interop" / "three"]
    return next((place for place in places if (place / "node_modules" / "three").is_dir()), None)


@pytest.mark.skipif(shutil.which("node") is None or three_folder() is None, reason="node or three.js is not here")
def test_three_itself_moves_every_bone(tmp_path: Path) -> None:
    folder = three_folder()
    assert folder is not None
    (tmp_path / "node_modules").symlink_to((folder / "node_modules").resolve())
    script = tmp_path / "check.mjs"
    script.write_bytes((FAULTS / "three_check.mjs").read_bytes())
    clips = {name: read_bvh(FAULTS / f"{name}.bvh") for name in ("names_colon", "names_space", "names_bracket")}
    clips |= {kind: rename_joints(clips["names_colon"], names[:3]) for kind, names in KINDS.items()}
    for kind, clip in clips.items():
        write_bvh(to_portable(clip), tmp_path / f"{kind}.bvh")
    control = tmp_path / "kept.bvh"
    write_bvh(clips["names_colon"], control)
    files = [tmp_path / f"{kind}.bvh" for kind in clips]
    done = subprocess.run(["node", script, *files, control], capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if ".bvh" in line]
    assert len(lines) == len(files) + 1
    assert "bones that move: 0 of 5" in lines[-1]
    for line in lines[:-1]:
        assert line.endswith("names: 3 distinct of 3 ; bones that move: 5 of 5")
