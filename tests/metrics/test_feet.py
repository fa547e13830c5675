"""Foot skating and the floor, on feet whose speed and height are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.feet import MEASURES, floor_heights, foot_skating, leg_length_m
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import walkers

GROUPS = ((0, 1),)


def compute(generated: Descriptors, reference: Descriptors | None = None) -> dict[str, float]:
    figures: dict[str, float] = {}
    for measure in MEASURES:
        figures |= measure.compute(Sets(generated, reference or walkers(0)), None)
    return figures


def standing(*, velocity: tuple[float, float] = (0.0, 0.0), lift: float = 0.0, count: int = 3) -> Descriptors:
    """The first pose of walkers for 64 frames, carried along at a velocity in m/s."""
    real = walkers()
    features = real.motion_NTD[:count, :1].expand(-1, 64, -1).clone()
    slices = real.spec.slices
    features[..., slices["root_yaw_velocity_rad_s"]] = 0.0
    features[..., slices["root_velocity_m_s"]] = torch.tensor(velocity)
    features[..., slices["root_height_m"]] += lift
    return Descriptors(features, real.spec, torch.arange(count))


def feet(height: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """(1, T, 2, 3) two foot joints at these (T, 2) heights and places, in metres."""
    return torch.stack((along, height, torch.zeros_like(height)), -1)[None]


def test_a_foot_that_slides_at_a_known_speed():
    """One foot slides at 0.6 m/s, the other stands: 0.3 m/s on average, half of the steps skate."""
    along = torch.stack((0.6 * torch.arange(31) / 30.0, torch.zeros(31)), 1)
    speed, steps, skating = foot_skating(feet(torch.zeros(31, 2), along), GROUPS, 0.9, 30.0)[0].tolist()
    assert steps == 60 and skating == 30
    assert speed / steps == pytest.approx(0.3, rel=1e-5)


def test_a_swinging_foot_is_not_planted_however_fast():
    along = torch.stack((5.0 * torch.arange(31) / 30.0, torch.zeros(31)), 1)
    high = torch.tensor([0.0181, 0.0]).expand(31, 2)
    assert foot_skating(feet(high, along), GROUPS, 0.9, 30.0)[0].tolist() == [0.0, 30.0, 0.0]
    low = torch.tensor([0.0179, 0.0]).expand(31, 2)
    assert foot_skating(feet(low, along), GROUPS, 0.9, 30.0)[0, 1:].tolist() == [60.0, 30.0]


def test_frame_rate_and_size_do_not_change_what_is_counted():
    along = torch.stack((0.6 * torch.arange(61) / 60.0, torch.zeros(61)), 1)
    speed, steps, _ = foot_skating(feet(torch.full((61, 2), 7.0), along), GROUPS, 0.9, 60.0)[0].tolist()
    assert speed / steps == pytest.approx(0.3, rel=1e-5)


def test_the_floor_is_the_fifth_percentile_of_the_group():
    heights = torch.arange(40, dtype=torch.float32).reshape(20, 2)
    assert floor_heights(feet(heights, heights), GROUPS).tolist() == [[1.0]]
    assert floor_heights(feet(heights, heights), ((0,), (1,))).tolist() == [[0.0, 1.0]]


def test_the_leg_is_measured_along_the_bones():
    spec = walkers().spec
    foot = min(spec.contact_groups[-1])
    chain = [foot]
    while spec.parents[chain[-1]] != spec.moving_joint:
        chain.append(spec.parents[chain[-1]])
    expected = sum(float((spec.rest_array[j] ** 2).sum() ** 0.5) for j in chain) * 0.01
    assert leg_length_m(spec) == pytest.approx(expected) and 0.5 < expected < 1.2


def test_a_standing_clip_does_not_skate_and_a_carried_one_does_at_its_speed():
    still = compute(standing())
    assert still["foot_skate"] == 0.0 and still["foot_skate_share"] == 0.0
    carried = compute(standing(velocity=(0.3, 0.4)))
    assert carried["foot_skate"] == pytest.approx(0.5, rel=1e-4) and carried["foot_skate_share"] == 1.0
    rolling = compute(standing(velocity=(0.1, 0.0)))
    assert rolling["foot_skate"] == pytest.approx(0.1, rel=1e-4) and rolling["foot_skate_share"] == 0.0


def test_depth_below_and_height_above_the_floor_of_the_reference():
    at_rest = standing(count=1)
    sunk, level, raised = (
        MEASURES[2].compute(Sets(standing(lift=lift, count=1), at_rest), None) for lift in (-0.05, 0.0, 0.05)
    )
    groups = at_rest.spec.contact_groups
    heights = at_rest.positions_NTJ3[:, :, list(at_rest.spec.contact_joints), 1]
    floor = floor_heights(at_rest.positions_NTJ3, groups)[0, [g for g, group in enumerate(groups) for _ in group]]
    assert level == {"floor_penetration": 0.0, "floor_floating": 0.0}
    assert sunk["floor_penetration"] == pytest.approx(float((floor - heights + 0.05).clamp_min(0).mean()), rel=1e-4)
    assert sunk["floor_penetration"] > 0.02 and sunk["floor_floating"] == 0.0
    assert raised["floor_floating"] == pytest.approx(0.05, abs=1e-6) and raised["floor_penetration"] == 0.0


def test_a_raised_clip_skates_as_the_same_one_on_the_floor():
    carried = {lift: compute(standing(velocity=(0.3, 0.4), lift=lift))["foot_skate"] for lift in (0.0, 0.2, -0.1)}
    assert carried[0.2] == carried[-0.1] == pytest.approx(carried[0.0]) == pytest.approx(0.5, rel=1e-4)


def test_halves_of_real_motion_are_alike_and_identical_sets_are_at_one():
    real = walkers(0)
    assert compute(real, real)["foot_skate_relative"] == 1.0
    halves = compute(walkers(1), real)
    assert halves["foot_skate_relative"] == pytest.approx(1.0, abs=0.3)
    assert halves["floor_penetration"] < 0.002


def test_slip_is_told_from_real_motion():
    real = walkers(1)
    slipping = real.features_NTD.clone()
    slipping[..., real.spec.slices["root_velocity_m_s"]] += 0.25
    found = compute(Descriptors(slipping, real.spec, real.take_N))
    assert found["foot_skate"] > compute(real)["foot_skate"] + 0.1
    assert found["foot_skate_relative"] > 1.5


def test_subsets_are_rows_of_the_whole():
    real = walkers()
    rows = torch.tensor([3, 3, 40, 7])
    alone = Descriptors(real.motion_NTD[rows], real.spec, torch.arange(4))
    assert compute(real.subset(rows)) == pytest.approx(compute(alone))


def test_what_has_no_value_says_why():
    real = walkers(0)
    footless = replace(real.spec, contact_groups=())
    bare = Descriptors(real.features_NTD[..., : footless.width], footless, real.take_N)
    for measure in MEASURES:
        assert measure.needs == ("feet",)
        with pytest.raises(UndefinedError, match="no foot joints are known"):
            measure.compute(Sets(bare, bare), None)
    with pytest.raises(UndefinedError, match="do not move at all"):
        compute(real, standing())
    one_frame = Descriptors(real.features_NTD[:, :1], real.spec, real.take_N)
    with pytest.raises(UndefinedError, match="generated set stays near its floor"):
        compute(one_frame, real)
    rootless = replace(real.spec, contact_groups=((real.spec.moving_joint,),))
    with pytest.raises(UndefinedError, match="no leg above"):
        leg_length_m(rootless)
