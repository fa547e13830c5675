"""Height, unit, up axis, moving joint and stretching bones, on made clips and on files of many writers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import (
    UNITS,
    detect_units,
    find_mover,
    moving_joint,
    skeleton_height,
    stretching_bones,
    trunk,
    up_axis,
)
from motionsynth.motion.skeleton import Skeleton
from motionsynth.motion.transform import scale_lengths, to_y_up, turn
from tests.motion.clips import SIX, THREE, walk

HUMAN_HEIGHT = 12 + 20 + 22 + 10 + np.hypot(9, 4) + 42 + 40

# name: height in file units, unit, up, moving joint; heights read off the files' OFFSETs, axes off their pictures
EXPECTED = {
    "accad": (180.2, "cm", "y", "Hips"),
    "acclaim-converted": (155.7, "cm", "y", "hip"),
    "bandai-namco-2": (134.5, "cm", "y", "Hips"),
    "biovision-18-joints": (68.9, "in", "y", "Hips"),
    "biovision-example": (68.9, "in", "y", "Hips"),
    "blender-reexport-scientific": (173.4, "cm", "y", "Hips"),
    "cmu-31-crlf": (24.7, "cmu", "y", "hip"),
    "lafan1-subclip": (166.5, "cm", "y", "Hips"),
    "mixamo-blender-6ch": (155.8, "cm", "y", "mixamorig:Hips"),
    "mixamo-colon-names": (155.0, "cm", "y", "mixamorig:Hips"),
    "mixamo-mixed-3-6ch": (155.8, "cm", "y", "Hips"),
    "mixed-orders-fingers": (60.8, "in", "z", "Hips"),
    "mmd-unity": (1.26, "m", "y", "Hips"),
    "names-with-spaces": (0.57, "unknown", "z", "Body Controller"),
    "optical-single-frame": (160.9, "cm", "y", "Hips"),
    "pfnn-crlf": (1.41, "m", "y", "Hips"),
    "slimevr": (171.2, "cm", "y", "HMD"),
    "studio-18-joints": (68.9, "in", "y", "Hips"),
    "xia-style": (24.9, "cmu", "y", "Hips"),
}


def with_translations(clip: Clip, joint: int, values: np.ndarray) -> Clip:
    translations = np.array(clip.translations)
    translations[:, joint] = values
    return replace(clip, translations=translations)


def standing(frames: int = 30) -> Clip:
    """The person of the walk, held at one place and in one pose."""
    clip = walk(frames, swing=0.0)
    return with_translations(clip, 1, clip.skeleton.offsets[1])


@pytest.mark.parametrize("stem", sorted(EXPECTED))
def test_files_of_many_writers_are_measured(shared_mocap: Path, stem: str) -> None:
    clip = read_bvh(shared_mocap / "exporters" / f"{stem}.bvh")
    height, unit, up, mover = EXPECTED[stem]
    units = detect_units(clip)
    assert units.height == skeleton_height(clip) == pytest.approx(height, rel=0.005)
    assert units.name == unit
    assert units.certain == (unit != "unknown")
    assert up_axis(clip) == up
    assert clip.skeleton.names[moving_joint(clip)] == mover
    assert stretching_bones(clip) == []


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_units_follow_the_scale(unit: str) -> None:
    clip = scale_lengths(walk(5), 0.01 / UNITS[unit])
    units = detect_units(clip)
    assert units.name == unit
    assert units.certain
    assert units.height * units.metres == pytest.approx(HUMAN_HEIGHT / 100)


def test_a_height_that_fits_two_units_or_none_says_so() -> None:
    child_or_adult = detect_units(scale_lengths(walk(5), 85.0 / HUMAN_HEIGHT))
    assert child_or_adult.candidates == ("in", "cm")
    assert not child_or_adult.certain
    none = detect_units(scale_lengths(walk(5), 7.0 / HUMAN_HEIGHT))
    assert (none.name, none.candidates, none.certain) == ("unknown", (), False)
    assert none.height * none.metres == pytest.approx(1.6)


def test_height_is_the_chain_of_bones_in_any_pose() -> None:
    assert skeleton_height(walk(30, swing=5.0)) == pytest.approx(HUMAN_HEIGHT)
    assert skeleton_height(walk(30, swing=90.0, seed=3)) == pytest.approx(HUMAN_HEIGHT)


def test_height_without_names_is_the_box() -> None:
    clip = walk(30, swing=0.0)
    nameless = replace(clip, skeleton=replace(clip.skeleton, names=tuple(f"j{j}" for j in range(20))))
    positions = clip.positions()[0]
    # wider than high: the arms are stretched out
    assert skeleton_height(nameless) == pytest.approx(max(np.ptp(positions[1:], axis=0)))


def test_the_moving_joint_is_the_child_of_a_root_that_stands_still() -> None:
    clip = walk(30)
    assert trunk(clip.skeleton) == (0, 1)
    assert moving_joint(clip) == 1


ROOTED = {"still": np.zeros((30, 3)), "over the ground": np.linspace((0, 0, 0), (50, 0, 90), 30)}
LIFTED = {"still": np.zeros((30, 3)), "up and down": (0, 1, 0) * np.sin(np.arange(30))[:, None] * 3}


@pytest.mark.parametrize(
    ("root", "hips", "expected"),
    [
        ("still", "up and down", "Hips"),
        ("over the ground", "still", "Reference"),
        ("over the ground", "up and down", "Hips"),
    ],
)
def test_the_trajectory_is_that_of_the_last_joint_on_the_trunk_that_moves(root: str, hips: str, expected: str) -> None:
    clip = with_translations(standing(), 0, ROOTED[root])
    clip = with_translations(clip, 1, clip.skeleton.offsets[1] + LIFTED[hips])
    assert find_mover(clip) == (clip.skeleton.names.index(expected), True)
    assert stretching_bones(clip) == []
    assert stretching_bones(clip, mover=0) == (["Hips"] if hips == "up and down" else [])


def test_hips_that_shake_less_than_a_bone_may_hang_on_the_root_that_moves() -> None:
    clip = with_translations(standing(), 0, ROOTED["over the ground"])
    shaken = clip.skeleton.offsets[1] + np.linspace(0, 0.05, 30)[:, None]
    assert clip.skeleton.names[moving_joint(with_translations(clip, 1, shaken))] == "Reference"


def test_a_spine_without_legs_that_stretches_is_no_trajectory() -> None:
    clip = with_translations(standing(), 0, ROOTED["over the ground"])
    skeleton = clip.skeleton
    bust = replace(
        clip,
        skeleton=Skeleton(skeleton.names[:14], skeleton.parents[:14], skeleton.offsets[:14], skeleton.channels[:14]),
        angles=clip.angles[:, :14],
        translations=clip.translations[:, :14],
    )
    stretched = with_translations(bust, 2, skeleton.offsets[2] + LIFTED["up and down"])
    assert trunk(bust.skeleton) == (0, 1, 2, 3)
    assert moving_joint(stretched) == 0
    assert stretching_bones(stretched) == ["Spine"]


def test_a_stretching_bone_is_not_taken_for_the_trajectory() -> None:
    clip = standing()
    stretch = clip.skeleton.offsets[8] + np.linspace(0, 3, 30)[:, None] * (1, 0, 0)
    clip = with_translations(clip, 8, stretch)
    assert moving_joint(clip) == 0
    assert stretching_bones(clip) == ["LeftForeArm"]
    walking = with_translations(walk(30), 8, stretch)
    assert moving_joint(walking) == 1
    assert stretching_bones(walking) == ["LeftForeArm"]
    assert stretching_bones(walking, tolerance=0.1) == []
    assert stretching_bones(walk(30)) == []


def test_a_moving_spine_is_below_the_branching() -> None:
    clip = standing()
    clip = with_translations(clip, 2, clip.skeleton.offsets[2] + np.linspace(0, 5, 30)[:, None])
    assert moving_joint(clip) == 0
    assert stretching_bones(clip) == ["Spine"]


def test_rounding_in_the_file_is_no_motion() -> None:
    clip = standing()
    noise = np.random.default_rng(0).uniform(-1e-4, 1e-4, (30, 20, 3))
    noisy = replace(clip, translations=clip.translations + noise)
    assert moving_joint(noisy) == 0
    assert stretching_bones(noisy) == []


def test_where_nothing_moves_the_first_with_position_channels_counts() -> None:
    clip = standing()
    channels = (THREE, SIX, *clip.skeleton.channels[2:])
    assert moving_joint(replace(clip, skeleton=replace(clip.skeleton, channels=channels))) == 1
    assert moving_joint(replace(clip, skeleton=replace(clip.skeleton, channels=(THREE,) * 20))) == 0


@pytest.mark.parametrize("frames", [0, 1])
def test_short_clips_are_measured(frames: int) -> None:
    clip = walk(3)[:frames]
    assert moving_joint(clip) == 0
    assert stretching_bones(clip) == []
    assert up_axis(clip) == "y"
    assert detect_units(clip).certain == (frames == 1)


def test_one_joint_alone_is_measured() -> None:
    clip = Clip(Skeleton(("only",), (-1,), np.zeros((1, 3)), (SIX,)), 0.1, np.zeros((4, 1, 3)), np.zeros((4, 1, 3)))
    assert (skeleton_height(clip), moving_joint(clip), up_axis(clip)) == (0.0, 0, "y")
    assert not detect_units(clip).certain


def test_scaling_scales_positions_and_end_sites() -> None:
    clip = walk(10)
    metres = scale_lengths(clip, 0.01)
    np.testing.assert_allclose(metres.positions(), clip.positions() / 100, atol=1e-12)
    assert metres.skeleton.end_sites[0].offset == pytest.approx((0.0, 0.18, 0.0))
    np.testing.assert_allclose(metres.skeleton.offsets, clip.skeleton.offsets / 100)
    with pytest.raises(ValueError, match="positive"):
        scale_lengths(clip, 0.0)


def test_z_up_becomes_y_up() -> None:
    clip = walk(10)
    z_up = turn(clip, Rotation.from_euler("x", 90, degrees=True).as_matrix())
    assert (up_axis(clip), up_axis(z_up)) == ("y", "z")
    np.testing.assert_allclose(z_up.positions(), clip.positions()[..., [0, 2, 1]] * (1, -1, 1), atol=1e-9)
    np.testing.assert_allclose(to_y_up(z_up).positions(), clip.positions(), atol=1e-9)
    assert to_y_up(clip) is clip
    np.testing.assert_allclose(to_y_up(clip, "z").positions(), clip.positions()[..., [0, 2, 1]] * (1, 1, -1), atol=1e-9)


@pytest.mark.parametrize("first", [(), SIX[:3]])
def test_a_root_without_rotation_channels_hands_the_turn_to_its_children(first: tuple[str, ...]) -> None:
    clip = walk(10)
    skeleton = replace(clip.skeleton, channels=(first, *clip.skeleton.channels[1:]))
    clip = with_translations(replace(clip, skeleton=skeleton), 0, np.array([1.0, 2.0, 3.0]))
    rotation = Rotation.random(random_state=1).as_matrix()
    turned = turn(clip, rotation)
    np.testing.assert_allclose(turned.positions(), clip.positions() @ rotation.T, atol=1e-9)
    assert (turned.angles[:, 0] == 0).all()
    assert (turned.angles[:, 2:] == clip.angles[:, 2:]).all()


def test_a_root_with_one_rotation_channel_cannot_turn() -> None:
    clip = walk(3)
    skeleton = replace(clip.skeleton, channels=((*SIX[:3], "Yrotation"), *clip.skeleton.channels[1:]))
    with pytest.raises(ValueError, match="'Reference' must turn"):
        turn(replace(clip, skeleton=skeleton), np.eye(3))
