"""The portable layout: positions on the root alone, everyone where they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motionsynth import Clip, EndSite, read_bvh
from motionsynth.motion.portable import to_portable

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bvh"


def with_motion(clip: Clip, joint: int, path: float) -> Clip:
    """The clip with one joint moving along X against its parent."""
    translations = clip.translations.copy()
    translations[:, joint, 0] += np.linspace(0, path, len(clip))
    return replace(clip, translations=translations)


def test_the_root_takes_over_from_a_still_root() -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    portable = to_portable(clip)
    skeleton = portable.skeleton
    assert skeleton.offsets.tolist() == [[0, 0, 0], [0, 0, 0], [15.5, 0, 0]]
    assert skeleton.names == clip.skeleton.names
    assert skeleton.end_sites == clip.skeleton.end_sites
    assert [len(channels) for channels in skeleton.channels] == [6, 3, 3]
    before, after = clip.positions(), portable.positions()
    np.testing.assert_allclose(after[:, 1:], before[:, 1:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(after[:, 0], before[:, 1], rtol=0, atol=1e-12)
    assert np.ptp(after[:, 0], axis=0).min() > 0.9, "the trajectory is the root's now, in each direction"
    assert np.array_equal(portable.rotations(), clip.rotations())
    assert_idempotent(portable)


def assert_idempotent(portable: Clip) -> None:
    again = to_portable(portable)
    assert again.skeleton == portable.skeleton
    assert np.array_equal(again.translations, portable.translations)


def test_orders_stay_and_missing_channels_are_filled() -> None:
    clip = read_bvh(FIXTURES / "figure.bvh")
    portable = to_portable(clip)
    assert portable.skeleton.orders == clip.skeleton.orders
    assert portable.skeleton.channels[2] == ("Xrotation", "Yrotation", "Zrotation")
    assert portable.skeleton.channels[3] == ("Xrotation", "Yrotation", "Zrotation")
    assert portable.skeleton.channels[4] == ("Yrotation", "Xrotation", "Zrotation")
    assert portable.skeleton.offsets[0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(portable.positions(), clip.positions(), rtol=0, atol=1e-12)
    assert_idempotent(portable)


def test_bones_that_change_are_refused_by_name_and_shaken_ones_are_not() -> None:
    clip = read_bvh(FIXTURES / "figure.bvh")
    to_portable(with_motion(clip, 4, 1e-6))
    with pytest.raises(ValueError, match=r"'Kopf 頭' moves 0.5 against its parent"):
        to_portable(with_motion(clip, 4, 0.5))
    still = read_bvh(FIXTURES / "still_root.bvh")
    with pytest.raises(ValueError, match=r"'Hips' moves"):
        to_portable(with_motion(still, 0, 3.0))  # both the root and its child travel
    with pytest.raises(ValueError, match=r"'Spine' moves|'Hips' moves"):
        to_portable(with_motion(still, 2, 3.0))


def test_a_still_root_with_another_child_is_refused() -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    tip = replace(clip.skeleton, end_sites=(EndSite(0, (1.0, 0.0, 0.0)), *clip.skeleton.end_sites))
    with pytest.raises(ValueError, match=r"'Hips' moves below the still root 'joint_Root'.*End Site"):
        to_portable(replace(clip, skeleton=tip))
    fork = replace(clip.skeleton, parents=(-1, 0, 0))
    with pytest.raises(ValueError, match=r"another child .Spine"):
        to_portable(replace(clip, skeleton=fork))


def test_a_turning_root_is_taken_into_account() -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    angles = clip.angles.copy()
    angles[:, 0] = [[10, 20, 30], [40, -50, 60], [-70, 80, 90]]
    turning = replace(clip, angles=angles)
    np.testing.assert_allclose(to_portable(turning).positions()[:, 1:], turning.positions()[:, 1:], rtol=0, atol=1e-9)


def test_the_root_takes_over_where_root_and_hips_both_travel() -> None:
    folder = FIXTURES.parent / "faults" / "root_motion"
    for path in sorted(folder.glob("*.bvh")):
        clip = read_bvh(path)
        portable = to_portable(clip)
        assert [len(channels) for channels in portable.skeleton.channels[:3]] == [6, 3, 3]
        before, after = clip.positions(), portable.positions()
        np.testing.assert_allclose(after[:, 1:], before[:, 1:], rtol=0, atol=1e-9)
        np.testing.assert_allclose(after[:, 0], before[:, 1], rtol=0, atol=1e-9)
        assert np.ptp(clip.translations[:, 1], axis=0).max() > 1, "the hips rise and fall below the root"
        assert_idempotent(portable)


def test_one_joint_alone() -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    root = replace(
        clip.skeleton, names=("a",), parents=(-1,), offsets=np.ones((1, 3)), channels=(("Xrotation",),), end_sites=()
    )
    alone = to_portable(Clip(root, 1.0, clip.angles[:, :1], np.ones((3, 1, 3))))
    assert alone.positions().tolist() == [[[1, 1, 1]]] * 3
