"""Kinetic features against motion whose speeds and accelerations are known."""

from __future__ import annotations

import math

import pytest
import torch

from motionsynth.metrics.kinetic import joint_kinetics, kinetic_features
from tests.metrics.sets import walkers

RATE = 30.0
TIME = torch.arange(64, dtype=torch.float64) / RATE


def test_constant_velocity_is_told_by_direction():
    travel = torch.stack((3.0 * TIME, 0.5 * TIME, 4.0 * TIME), -1)[None, :, None]
    kinetics = joint_kinetics(travel, RATE)
    torch.testing.assert_close(kinetics, torch.tensor([[[25.0, 0.25, 0.0]]]).double(), atol=1e-9, rtol=1e-9)
    expected = [math.log1p(50.0), math.log1p(5.0), 0.0]
    torch.testing.assert_close(
        kinetic_features(travel, RATE), torch.tensor([expected], dtype=torch.float64), atol=1e-9, rtol=1e-9
    )


def test_a_fall_has_the_acceleration_of_gravity():
    fall = torch.stack((torch.zeros(64).double(), -4.905 * TIME**2, torch.zeros(64).double()), -1)[None, :, None]
    horizontal, vertical, acceleration = joint_kinetics(fall, RATE)[0, 0].tolist()
    assert horizontal == 0.0
    assert vertical == pytest.approx(float((9.81 * TIME[1:-1]).square().mean()))
    assert acceleration == pytest.approx(9.81)


def test_circling_at_another_frame_rate_is_the_same_motion():
    """Radius 0.5 m at 1 turn/s: speed pi m/s, acceleration 2 pi^2 m/s^2, in seconds whatever the frame rate."""
    figures = []
    for rate in (60.0, 240.0):
        angle = 2 * math.pi * torch.arange(int(2 * rate) + 2, dtype=torch.float64) / rate
        circle = 0.5 * torch.stack((angle.cos(), 0 * angle, angle.sin()), -1)[None, :, None]
        figures.append(joint_kinetics(circle, rate)[0, 0])
    for found in figures:
        torch.testing.assert_close(
            found, torch.tensor([math.pi**2, 0.0, 2 * math.pi**2]).double(), rtol=5e-3, atol=1e-9
        )


def test_a_standing_clip_is_exactly_zero_anywhere_in_space():
    standing = torch.tensor([123.456, 0.9, -78.9]).expand(2, 10, 5, 3)
    assert (kinetic_features(standing, RATE) == 0).all()
    moved = standing.clone()
    moved[0, 4, 3] += 0.01
    features = kinetic_features(moved, RATE).reshape(2, 5, 3)
    assert (features[0, 3] > 0).all() and (features[1] == 0).all() and (features[0, :3] == 0).all()


def test_features_do_not_see_where_the_motion_is_or_heads():
    positions = walkers().positions_NTJ3[:20].double()
    turn = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]).double()
    moved = positions @ turn.T + torch.tensor([3.0, 1.0, -8.0]).double()
    torch.testing.assert_close(kinetic_features(moved, RATE), kinetic_features(positions, RATE))


def test_more_windows_than_a_block_are_those_of_each_alone(monkeypatch):
    positions = walkers().positions_NTJ3[:30]
    expected = kinetic_features(positions, RATE)
    monkeypatch.setattr("motionsynth.metrics.kinetic._WINDOWS", 7)
    torch.testing.assert_close(kinetic_features(positions, RATE), expected)
    assert expected.shape == (30, 3 * positions.shape[2]) and expected.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 2, 3, 3), (2, 5, 3), (2, 5, 3, 2)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="T at least 3"):
        kinetic_features(torch.zeros(shape), RATE)


def test_a_frame_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="not positive"):
        kinetic_features(torch.zeros(1, 5, 1, 3), 0.0)
