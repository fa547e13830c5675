"""Range of motion and bone lengths, on rotations whose spread is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from motionsynth.features.geometry import joint_rotations
from motionsynth.metrics.body import MEASURES, bone_length_drift_m, share_outside, spread_degrees
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import walkers


def compute(generated: Descriptors, reference: Descriptors) -> dict[str, float]:
    figures: dict[str, float] = {}
    for measure in MEASURES:
        figures |= measure.compute(Sets(generated, reference), None)
    return figures


def mean_of(rotations: Rotation) -> torch.Tensor:
    return torch.from_numpy(rotations.as_matrix().mean(0))[None]


@pytest.mark.parametrize("angle", [0.5, 30.0, 80.0])
def test_turning_to_and_fro_spreads_by_the_angle(angle):
    around = Rotation.random(random_state=0)
    swings = around * Rotation.from_rotvec(np.array([[0, angle, 0], [0, -angle, 0]]), degrees=True)
    assert float(spread_degrees(mean_of(swings))) == pytest.approx(angle, rel=1e-6)


def test_small_spreads_are_the_root_mean_square_angle():
    turns = Rotation.from_rotvec(np.random.default_rng(0).normal(size=(20_000, 3)) * 0.02)
    away = (turns.mean().inv() * turns).magnitude()
    assert float(spread_degrees(mean_of(turns))) == pytest.approx(math.degrees(np.sqrt((away**2).mean())), rel=1e-3)


def test_the_mean_cosine_is_that_of_the_angles_to_the_chordal_mean():
    turns = Rotation.random(5, random_state=1)
    angles = (turns.mean().inv() * turns).magnitude()  # scipy's mean is the chordal one
    expected = math.degrees(math.acos(np.cos(angles).mean()))
    assert float(spread_degrees(mean_of(turns))) == pytest.approx(expected, rel=1e-6)


def test_equal_rotations_do_not_spread():
    assert float(spread_degrees(torch.eye(3)[None])) == 0.0


def test_one_in_a_hundred_is_outside_the_range():
    reference = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    other = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(1))
    assert share_outside(reference, reference) == pytest.approx(0.01, abs=2e-4)
    assert share_outside(other, reference) == pytest.approx(0.01, abs=2e-3)
    assert share_outside(0.5 + 0.9 * (other - 0.5), reference) == 0.0
    assert share_outside(other + 0.25, reference) == pytest.approx(0.255, abs=0.01)


def test_the_range_is_that_of_numpys_percentiles_but_for_interpolation():
    reference = torch.randn(1001, 4, generator=torch.Generator().manual_seed(0))
    low, high = np.percentile(reference.numpy(), [0.5, 99.5], axis=0)
    outside = (reference.numpy() < low) | (reference.numpy() > high)
    assert share_outside(reference, reference) == pytest.approx(outside.mean(), abs=1e-9)


def test_coordinates_that_stand_still_are_left_out():
    reference = torch.rand(500, 2, generator=torch.Generator().manual_seed(0))
    reference[:, 1] = 0.3
    moved = reference + torch.tensor([0.0, 0.2])
    assert share_outside(moved, reference) == share_outside(reference, reference)
    with pytest.raises(UndefinedError, match="no joint of the reference moves"):
        share_outside(moved, torch.full((500, 2), 0.3))


def test_bones_of_forward_kinematics_keep_their_length():
    drift = compute(walkers(0), walkers(1))["bone_length_drift"]
    assert drift < 1e-5


def test_a_stretched_bone_is_measured():
    rest = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.4, 0.0], [0.0, 0.3, 0.0]])
    positions = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.5, 0.0], [0.3, 1.5, 0.0]]).expand(2, 4, 3, 3)
    torch.testing.assert_close(
        bone_length_drift_m(positions, rest, (-1, 0, 1), [1, 2]), torch.full((2,), 0.05, dtype=torch.float64)
    )


def test_identical_sets_and_halves():
    real = walkers(0)
    same = compute(real, real)
    assert same["range_of_motion"] == pytest.approx(1.0, abs=1e-9)
    assert same["poses_outside_range"] == pytest.approx(0.01, abs=0.002)
    halves = compute(walkers(1), real)
    assert halves["range_of_motion"] == pytest.approx(1.0, abs=0.1)
    assert halves["poses_outside_range"] < 0.04


def test_shrinking_towards_the_mean_pose_narrows_both_by_about_the_factor():
    real = walkers(0)
    mean = real.features_NTD.mean((0, 1))
    shrunk = Descriptors(mean + 0.7 * (real.features_NTD - mean), real.spec, real.take_N)
    found = compute(shrunk, real)
    assert found["range_of_motion"] == pytest.approx(0.7, abs=0.05)
    assert found["poses_outside_range"] < 0.002


def test_a_frozen_model_has_a_ratio_and_a_frozen_reference_none():
    real = walkers(0)
    frozen = Descriptors(real.features_NTD[:1, :1].expand(20, 64, -1).clone(), real.spec, torch.arange(20))
    assert 0 < compute(frozen, real)["range_of_motion"] < 0.05
    for measure in MEASURES[:2]:
        with pytest.raises(UndefinedError, match="no joint of the reference"):
            measure.compute(Sets(real, frozen), None)


def test_spreads_come_from_every_eighth_frame_of_all_rotating_joints():
    real = walkers(0)
    matrices = joint_rotations(real.features_NTD[:, ::8], real.spec).flatten(0, 1)
    both = [spread_degrees(matrices[::2].mean(0)), spread_degrees(matrices[1::2].mean(0))]
    halves = [real.features_NTD[:, k::16] for k in (0, 8)]
    every_sixteenth = [Descriptors(h.repeat_interleave(8, 1), real.spec, real.take_N) for h in halves]
    moves = both[1] > 1
    expected = float((both[0][moves] / both[1][moves]).log().mean().exp())
    found = MEASURES[0].compute(Sets(*every_sixteenth), None)["range_of_motion"]
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_skeleton_of_one_joint_has_no_bones():
    real = walkers(0)
    lone = replace(
        real.spec,
        names=("only",),
        parents=(-1,),
        orders=("XYZ",),
        rest=((0.0, 0.0, 0.0),),
        end_sites=(),
        moving_joint=0,
        contact_groups=(),
    )
    windows = Descriptors(real.features_NTD[:4, :, : lone.width], lone, torch.arange(4))
    with pytest.raises(UndefinedError, match="no bone below"):
        MEASURES[2].compute(Sets(windows, windows), None)
