"""Mirroring: world positions are reflected, twice is the identity, names are paired or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionsynth.errors import BvhError
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import skeleton_height
from motionsynth.motion.mirror import mirror, mirror_frames
from motionsynth.motion.sides import left_right_pairs
from tests.motion.clips import walk

UNPAIRED = ("biovision-3-joints", "hand-written-4-joints", "planner-spider-62-joints")


def twisted(clip: Clip, seed: int, *, aligned: bool) -> Clip:
    """The same world motion on a skeleton whose joints below the root have other local axes, left and right apart."""
    generator = np.random.default_rng(seed)
    count = len(clip.skeleton)
    if aligned:
        grid = list(Rotation.create_group("O").as_matrix())
        B = np.array([grid[generator.integers(24)] for _ in range(count)])
    else:
        B = Rotation.random(count, random_state=seed).as_matrix()
    B[0] = np.eye(3)
    above = np.array([np.eye(3) if p < 0 else B[p] for p in clip.skeleton.parents])
    offsets = np.einsum("jba,jb->ja", above, clip.skeleton.offsets)
    ends = tuple(
        replace(end, offset=tuple((B[end.parent].T @ np.array(end.offset)).tolist())) for end in clip.skeleton.end_sites
    )
    skeleton = replace(clip.skeleton, offsets=offsets, end_sites=ends)
    translations = np.einsum("jba,tjb->tja", above, clip.translations)
    rotations = np.swapaxes(above, 1, 2) @ clip.rotations() @ B
    return Clip.from_rotations(skeleton, clip.frame_time, rotations, translations)


def reflected(clip: Clip) -> np.ndarray:
    """What the mirrored clip's world positions must be."""
    return clip.positions()[:, list(left_right_pairs(clip.skeleton.names))] * (-1.0, 1.0, 1.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("axes", ["world", "aligned", "any"])
def test_world_positions_are_reflected_whatever_the_local_axes(seed: int, axes: str) -> None:
    clip = walk(40, seed=seed)
    if axes != "world":
        clip = twisted(clip, seed, aligned=axes == "aligned")
        np.testing.assert_allclose(clip.positions(), walk(40, seed=seed).positions(), atol=1e-9)
    mirrored = mirror(clip)
    np.testing.assert_allclose(mirrored.positions(), reflected(clip), atol=1e-9)
    assert mirrored.skeleton == clip.skeleton
    frames = mirror_frames(clip)
    np.testing.assert_allclose(mirror(mirror(clip, frames), frames).rotations(), clip.rotations(), atol=1e-12)


def test_swapping_the_channels_only_would_be_wrong() -> None:
    """The negative control: where the arms' frames are opposite, exchanging the rotations reflects nothing."""
    clip = twisted(walk(20), 1, aligned=True)
    swapped = clip.rotations()[:, list(left_right_pairs(clip.skeleton.names))]
    naive = Clip.from_rotations(clip.skeleton, clip.frame_time, swapped, clip.translations)
    assert np.abs(naive.positions() - reflected(clip)).max() > 10.0


def test_a_walk_to_the_left_becomes_a_walk_to_the_right() -> None:
    clip = walk(60)
    assert mirror(clip).translations[-1, 1] == pytest.approx(clip.translations[-1, 1] * (-1, 1, 1))
    assert (mirror(clip).translations[:, 8] == clip.translations[:, 8]).all()


def test_bones_keep_their_own_length_and_pass_on_their_stretching() -> None:
    clip = walk(30)
    translations = np.array(clip.translations)
    translations[:, 8] = (30.0, 0.0, 0.0)
    translations[:, 9, 0] += np.linspace(-1, 1, 30)
    clip = replace(clip, translations=translations)
    mirrored = mirror(clip)
    assert (mirrored.translations[:, 8] == clip.translations[:, 8]).all()
    np.testing.assert_allclose(mirrored.translations[:, 13, 0], -25.0 - np.linspace(-1, 1, 30))
    np.testing.assert_allclose(mirrored.translations[:, 9, 0], 25.0)
    np.testing.assert_allclose(mirror(mirrored).translations, clip.translations, atol=1e-12)


def test_a_bone_shaken_by_rounding_stays_where_its_counterpart_has_no_position_channels(tmp_path: Path) -> None:
    clip = walk(30)
    translations, channels = np.array(clip.translations), list(clip.skeleton.channels)
    translations[:, 9] += 1e-5 * np.random.default_rng(0).uniform(-1, 1, (30, 3))
    channels[9] = ("Xposition", "Yposition", "Zposition", *channels[9])
    skeleton = replace(clip.skeleton, channels=tuple(channels))
    mirrored = mirror(replace(clip, skeleton=skeleton, translations=translations))
    write_bvh(mirrored, tmp_path / "mirrored.bvh")
    assert (mirrored.translations[:, 13] == clip.translations[:, 13]).all()
    translations[:, 9, 0] += np.linspace(-1, 1, 30)
    stretching = mirror(replace(clip, skeleton=skeleton, translations=translations))
    with pytest.raises(BvhError, match=r"'RightHand' moves along X"):
        write_bvh(stretching, tmp_path / "stretching.bvh")


def test_one_axis_joints_stay_on_their_axis_or_are_refused() -> None:
    clip = walk(10)
    angles, channels = np.array(clip.angles), list(clip.skeleton.channels)
    for knee in (15, 18):
        channels[knee] = ("Xrotation",)
        angles[:, knee, 1:] = 0
    hinged = replace(clip, skeleton=replace(clip.skeleton, channels=tuple(channels)), angles=angles)
    np.testing.assert_allclose(mirror(hinged).positions(), reflected(hinged), atol=1e-9)
    channels[18] = ("Zrotation",)
    crooked = replace(clip, skeleton=replace(clip.skeleton, channels=tuple(channels)), angles=angles)
    with pytest.raises(ValueError, match=r"'LeftLeg'.*do not hold"):
        mirror(crooked)


@pytest.mark.parametrize("frames", [0, 1])
def test_short_clips_are_mirrored(frames: int) -> None:
    clip = walk(5)[:frames]
    np.testing.assert_allclose(mirror(clip).positions(), reflected(clip), atol=1e-9)


def test_a_lopsided_skeleton_is_refused_by_name() -> None:
    clip = walk(5)
    translations = np.array(clip.translations)
    translations[:, 15] = (0.0, -10.0, 0.0)
    with pytest.raises(ValueError, match=r"no mirror image of itself.*LeftUpLeg"):
        mirror(replace(clip, translations=translations))


def test_sides_hung_differently_are_refused() -> None:
    clip = walk(5)
    parents = list(clip.skeleton.parents)
    parents[17] = 2
    with pytest.raises(ValueError, match="no pair: LeftUpLeg, RightUpLeg"):
        mirror(replace(clip, skeleton=replace(clip.skeleton, parents=tuple(parents))))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("LeftArm", "RightArm"),
        ("mixamorig:LeftArm", "mixamorig:RightArm"),
        ("Hand_L", "Hand_R"),
        ("hand.l", "hand.r"),
        ("Upperarm.L", "Upperarm.R"),
        ("Hand.L 1", "Hand.R 1"),
        ("lShldr", "rShldr"),
        ("LHipJoint", "RHipJoint"),
        ("lfemur", "rfemur"),
        ("leftarm", "rightarm"),
        ("LEFT_ARM", "RIGHT_ARM"),
        ("arm_left", "arm_right"),
        ("Left-Hip", "Right-Hip"),
        ("jLeftHip", "jRightHip"),
        ("Bip01 L Thigh", "Bip01 R Thigh"),
        ("thumb_01_l", "thumb_01_r"),
        ("Arm_L_001", "Arm_R_001"),
        ("handL", "handR"),
        ("左腕", "右腕"),
    ],
)
def test_pairs_are_found_in_every_spelling(left: str, right: str) -> None:
    middle = ("root", "Hips", "lowerback", "Neck1", "L5", "Clavicle", "Bright", "relative", "Lumbar", "ROOT", "roll")
    assert left_right_pairs((*middle, left, right)) == (*range(11), 12, 11)


def test_names_without_a_counterpart_are_listed() -> None:
    with pytest.raises(ValueError, match=r"for: Hand_L, LeftArm$"):
        left_right_pairs(("Hips", "LeftArm", "Hand_L", "LeftLeg", "RightLeg"))
    with pytest.raises(ValueError, match=r"for: LeftArm, RightArm$"):
        left_right_pairs(("Hips", "LeftArm", "LeftArm", "RightArm"))
    with pytest.raises(ValueError, match="no joint's name tells left from right"):
        mirror(replace(walk(2), skeleton=replace(walk(2).skeleton, names=tuple(map(str, range(20))))))


def test_files_of_many_writers_are_mirrored_to_within_their_own_asymmetry(shared_mocap: Path, tmp_path: Path) -> None:
    found = 0
    for path in sorted((shared_mocap / "exporters").glob("*.bvh")):
        if path.name.startswith("BAD-") or path.stem in UNPAIRED:
            continue
        clip = read_bvh(path)
        mirrored, size = mirror(clip), skeleton_height(clip)
        write_bvh(mirrored, tmp_path / path.name)
        # ACCAD's and CMU's people are up to 2 % lopsided, the VR recorder's hands are where they are held
        assert np.abs(mirrored.positions() - reflected(clip)).max() < 0.05 * size, path.name
        assert np.abs(mirror(mirrored).positions() - clip.positions()).max() < 1e-6 * size, path.name
        found += 1
    assert found == 21


def test_bandai_namco_mirrors_its_opposite_frames_closely(shared_mocap: Path) -> None:
    clip = read_bvh(shared_mocap / "exporters" / "bandai-namco-2.bvh")
    mirrored = mirror(clip)
    assert np.abs(mirrored.positions() - reflected(clip)).max() < 1e-3 * skeleton_height(clip)
    np.testing.assert_allclose(mirror(mirrored).rotations(), clip.rotations(), atol=1e-12)
