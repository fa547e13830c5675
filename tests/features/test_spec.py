"""What the columns mean is known before any data, and survives a trip through JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import Skeleton
from tests.motion.clips import walk


def spec_of(clip: Clip, **options: bool) -> FeatureSpec:
    return FeatureSpec.for_clip(clip, frame_rate=clip.frame_rate, metres_per_unit=0.01, **options)


@pytest.mark.parametrize("velocities", [False, True])
@pytest.mark.parametrize("contacts", [False, True])
def test_columns_follow_one_another_without_gaps(velocities: bool, contacts: bool) -> None:
    spec = spec_of(walk(), velocities=velocities, contacts=contacts)
    columns = [column for part in spec.slices.values() for column in range(spec.width)[part]]
    assert columns == list(range(spec.width))
    below = 18  # all but Reference and Hips
    assert spec.width == 1 + 2 + 1 + 6 + 6 * below + 3 * below * velocities + 2 * contacts
    assert ("joint_velocities_m_s" in spec.slices) is velocities
    assert len(set(spec.columns())) == len(spec.columns()) == spec.width


def test_the_still_root_is_folded_into_the_joint_that_moves() -> None:
    spec = spec_of(walk())
    assert spec.names[spec.moving_joint] == "Hips"
    assert [spec.names[joint] for joint in spec.contact_joints] == ["LeftFoot", "RightFoot"]
    skeleton = spec.skeleton()
    assert not skeleton.offsets[:2].any()
    assert [len(channels) for channels in skeleton.channels] == [6] + [3] * 19
    assert np.array_equal(skeleton.offsets[2:], walk().translations[0, 2:])


def test_a_spec_survives_json() -> None:
    spec = spec_of(walk(), velocities=True)
    assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("change", [{"extra": 1}, {"names": None}])
def test_a_document_of_another_kind_is_refused(change: dict[str, object]) -> None:
    document = spec_of(walk()).to_dict()
    FeatureSpec.from_dict(document)
    with pytest.raises(ValueError, match="not a feature specification"):
        FeatureSpec.from_dict(document | change)


def test_the_reference_clip_can_be_written_and_read(tmp_path) -> None:
    spec = spec_of(walk())
    write_bvh(spec.reference_clip(), tmp_path / "skeleton.bvh")
    back = read_bvh(tmp_path / "skeleton.bvh")
    assert back.skeleton == spec.skeleton()
    assert abs(back.frame_rate - spec.frame_rate) < 1e-9


def test_joints_beside_the_moving_joint_are_refused() -> None:
    skeleton = Skeleton(
        ("Root", "Hips", "Spine", "Prop"),
        (-1, 0, 1, 0),
        np.zeros((4, 3)),
        (("Xposition", "Yposition", "Zposition"),) * 2 + (("Xrotation", "Yrotation", "Zrotation"),) * 2,
    )
    clip = Clip(skeleton, 0.1, np.zeros((3, 4, 3)), np.zeros((3, 4, 3)))
    FeatureSpec.for_clip(clip, frame_rate=10, metres_per_unit=1, moving_joint=0)
    with pytest.raises(ValueError, match="Prop: not below Hips"):
        FeatureSpec.for_clip(clip, frame_rate=10, metres_per_unit=1, moving_joint=1)


def test_a_skeleton_that_differs_is_told_apart() -> None:
    clip = walk()
    spec, rest = spec_of(clip), np.array(clip.translations[0])
    assert spec.mismatch(clip.skeleton, rest) is None
    assert spec.mismatch(spec.skeleton(), spec.rest_array) is None
    rest[0] += 50  # where the still root stands is no bone
    assert spec.mismatch(clip.skeleton, rest) is None
    rest[8, 0] *= 1.1
    assert "LeftForeArm" in str(spec.mismatch(clip.skeleton, rest))
    renamed = replace(clip.skeleton, names=(*clip.skeleton.names[:-1], "Paw"))
    assert f"lacks {clip.skeleton.names[-1]}; it has Paw" in str(spec.mismatch(renamed, clip.translations[0]))
    rehung = replace(clip.skeleton, parents=(*clip.skeleton.parents[:-1], 17))
    names = clip.skeleton.names
    told = f"parents ({names[-1]} on {names[17]}, not {names[clip.skeleton.parents[-1]]})"
    assert told in str(spec.mismatch(rehung, clip.translations[0]))


def test_feet_without_telling_names_are_the_lowest_tips() -> None:
    clip = walk(swing=5)
    names = tuple(f"j{joint}" for joint in range(len(clip.skeleton)))
    spec = spec_of(replace(clip, skeleton=replace(clip.skeleton, names=names)))
    assert [int(spec.names[joint][1:]) for joint in spec.contact_joints] == [16, 19]


def test_of_several_toe_joints_the_first_of_each_foot_counts() -> None:
    clip = walk()
    names = list(clip.skeleton.names)
    names[15], names[16], names[18], names[19] = "LToeBase", "LToeTip", "RToeBase", "RToeTip"
    spec = spec_of(replace(clip, skeleton=replace(clip.skeleton, names=tuple(names))))
    assert [spec.names[joint] for joint in spec.contact_joints] == ["LToeBase", "RToeBase"]
