"""Encoding and decoding are inverses up to where a clip starts and which way it faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth.features.encode import decode, decode_batch, encode
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.measure import skeleton_height
from motionsynth.motion.resample import resample
from motionsynth.motion.transform import to_y_up, turn
from tests.motion.clips import walk


def spec_of(clip: Clip, metres_per_unit: float = 0.01, velocities: bool = False, contacts: bool = True) -> FeatureSpec:
    return FeatureSpec.for_clip(
        clip,
        frame_rate=clip.frame_rate,
        metres_per_unit=metres_per_unit,
        velocities=velocities,
        contacts=contacts,
    )


def yaw(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def canonical_positions(clip: Clip, spec: FeatureSpec) -> np.ndarray:
    """World positions of the moving joint and below, from the origin, with heading zero: by plain definition."""
    positions, globals_ = world_transforms(clip.rotations(), clip.translations, clip.skeleton.parents)
    axis = globals_[0, spec.moving_joint, :, spec.heading_axis]
    start = positions[0, spec.moving_joint] * [1, 0, 1]
    moved = (positions - start) @ yaw(-np.arctan2(axis[0], axis[2])).T
    return moved[:, [spec.moving_joint, *spec.joints_below]]


def assert_inverse(clip: Clip, spec: FeatureSpec) -> None:
    decoded = decode(encode(clip, spec), spec)
    error = np.abs(canonical_positions(decoded, spec) - canonical_positions(clip, spec)).max()
    assert error < 1e-4 * skeleton_height(clip)
    assert len(decoded) == len(clip)
    assert decoded.frame_rate == pytest.approx(clip.frame_rate)


@pytest.mark.parametrize("velocities", [False, True])
@pytest.mark.parametrize(("frames", "frame_rate"), [(2, 30), (300, 30), (600, 60)])
def test_ten_seconds_come_back(frames: int, frame_rate: float, velocities: bool) -> None:
    clip = walk(frames, frame_rate)
    assert_inverse(clip, spec_of(clip, velocities=velocities))


def test_wild_turning_comes_back() -> None:
    clip = walk(300, 30, swing=170)
    angles = np.array(clip.angles)
    angles[:, 1, 2] += np.linspace(0, 3000, 300)
    clip = replace(clip, angles=angles)
    assert_inverse(clip, spec_of(clip))


def test_real_motion_comes_back(shared_mocap: Path) -> None:
    tried = 0
    for path in sorted((shared_mocap / "exporters").glob("[!B]*.bvh")):
        clip = to_y_up(read_bvh(path))
        if len(clip) < 2:
            continue
        clip = replace(clip, translations=_rigid(clip))
        assert_inverse(clip, spec_of(clip))
        tried += 1
    assert tried > 15


def _rigid(clip: Clip) -> np.ndarray:
    """Exporters' rounding shakes bones; features hold rigid ones."""
    translations = np.array(clip.translations)
    below = list(spec_of(clip).joints_below)
    translations[:, below] = translations[0, below]
    return translations


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(-np.pi, np.pi), x=st.floats(-1e3, 1e3), z=st.floats(-1e3, 1e3), velocities=st.booleans())
def test_start_and_heading_do_not_matter(angle: float, x: float, z: float, velocities: bool) -> None:
    clip = walk(40, 30)
    spec = spec_of(clip, velocities=velocities)
    turned = turn(clip, yaw(angle))
    moved = np.array(turned.translations)
    moved[:, 0] += (x, 0, z)
    elsewhere = encode(replace(turned, translations=moved), spec)
    torch.testing.assert_close(elsewhere, encode(clip, spec), rtol=1e-5, atol=1e-5)


def test_height_does_matter() -> None:
    clip = walk(40, 30)
    spec = spec_of(clip)
    raised = np.array(clip.translations)
    raised[:, 0, 1] += 10
    difference = encode(replace(clip, translations=raised), spec) - encode(clip, spec)
    assert torch.allclose(difference[:, spec.slices["root_height_m"]], torch.tensor(0.1), atol=1e-5)


def test_velocities_are_metres_and_radians_a_second() -> None:
    clip = walk(30, 30, swing=0)
    angles, translations = np.zeros_like(clip.angles), np.repeat(clip.translations[:1], 30, axis=0)
    angles[:, 1, 2] = 3.0 * np.arange(30)  # SIX ends with Yrotation: 90 degrees a second
    translations[:, 1, 0] += 5.0 * np.arange(30)  # 1.5 m a second
    clip = replace(clip, angles=angles, translations=translations)
    spec = spec_of(clip, velocities=True)
    features = encode(clip, spec)
    assert torch.allclose(features[:, spec.slices["root_yaw_velocity_rad_s"]], torch.tensor(np.pi / 2).float())
    speed = features[:, spec.slices["root_velocity_m_s"]].norm(dim=1)
    assert torch.allclose(speed, torch.tensor(1.5), atol=1e-5)
    chest = features[:, spec.slices["joint_velocities_m_s"]].unflatten(1, (-1, 3))[:, 0]  # above the hips: moves along
    assert torch.allclose(chest.norm(dim=1), torch.tensor(1.5), atol=1e-4)


def test_planted_feet_are_in_contact_and_lifted_feet_are_not() -> None:
    clip = walk(60, 30, swing=0)
    angles = np.zeros_like(clip.angles)
    angles[30:, clip.skeleton.names.index("LeftUpLeg"), 1] = -60.0  # the left leg goes up and stays
    translations = np.repeat(clip.translations[:1], 60, axis=0)
    clip = replace(clip, angles=angles, translations=translations)
    spec = spec_of(clip)
    left, right = encode(clip, spec)[:, spec.slices["foot_contacts"]].T
    assert left[:29].all() and not left[29:].any()
    assert right.all()


def test_a_sliding_foot_is_not_in_contact() -> None:
    clip = walk(30, 30, swing=0)
    translations = np.repeat(clip.translations[:1], 30, axis=0)
    translations[:, 1, 0] += 3.0 * np.arange(30)  # 0.9 m a second, feet on the floor
    clip = replace(clip, angles=np.zeros_like(clip.angles), translations=translations)
    spec = spec_of(clip)
    assert not encode(clip, spec)[:, spec.slices["foot_contacts"]].any()


def test_many_windows_decode_as_each_alone() -> None:
    clip = walk(120, 30)
    spec = spec_of(clip)
    windows = encode(clip, spec).unfold(0, 40, 40).transpose(1, 2)
    for window, decoded in zip(windows, decode_batch(windows, spec), strict=True):
        alone = decode(window, spec)
        assert np.array_equal(decoded.angles, alone.angles)
        assert np.array_equal(decoded.translations, alone.translations)
        assert not alone.translations[0, 0, [0, 2]].any()


def test_rows_that_are_no_rotations_still_decode_to_a_skeleton() -> None:
    clip = walk(20, 30)
    spec = spec_of(clip)
    noise = torch.randn(20, spec.width, generator=torch.Generator().manual_seed(0))
    decoded = decode(noise, spec)
    assert np.isfinite(decoded.angles).all()
    assert np.array_equal(decoded.translations[:, 1:], np.repeat(spec.rest_array[None, 1:], 20, axis=0))


def test_misuse_is_refused() -> None:
    clip = walk(20, 30)
    spec = spec_of(clip)
    features = encode(clip, spec)
    with pytest.raises(ValueError, match="frames a second"):
        encode(resample(clip, 20), spec)
    with pytest.raises(ValueError, match="at least 2"):
        encode(clip[:1], spec)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="root_height_m goes beyond float32"):
        encode(replace(clip, translations=clip.translations * 1e40), spec)
    with pytest.raises(ValueError, match="not those of the features"):
        encode(replace(clip, skeleton=replace(clip.skeleton, names=clip.skeleton.names[::-1])), spec)
    with pytest.raises(ValueError, match="must have shape"):
        decode(features[:, :-1], spec)
    with pytest.raises(ValueError, match=r"window 0 .* not finite"):
        decode(features.index_fill(0, torch.tensor([3]), float("nan")), spec)
