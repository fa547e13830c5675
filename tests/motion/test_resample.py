"""Resampling: what is slow enough stays, what is not leaves no alias, and nothing moves in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from motionsynth.motion.clip import Clip
from motionsynth.motion.resample import resample
from tests.motion.clips import walk


def swinging(frequency: float, *, frame_rate: float = 120.0, seconds: float = 4.0, degrees: float = 20.0) -> Clip:
    """The left forearm swings about a slanting axis at one frequency, the hips sway by 5 cm; all else stands still."""
    still = walk(round(seconds * frame_rate), frame_rate, swing=0.0)
    wave = np.sin(2 * np.pi * frequency * np.arange(len(still)) / frame_rate + 0.4)
    angles, translations = np.zeros_like(still.angles), np.repeat(still.skeleton.offsets[None], len(still), axis=0)
    slant = np.deg2rad(degrees) * wave[:, None] * np.array([0.6, 0.0, 0.8])
    angles[:, 8] = Rotation.from_rotvec(slant).as_euler("ZXY", degrees=True)
    translations[:, 1, 0] += 5 * wave
    return replace(still, angles=angles, translations=translations)


def energy(clip: Clip) -> tuple[float, float]:
    """Mean square of the forearm's turn from rest, in square degrees, and of the hips' sway; the ends left out."""
    inner = clip[len(clip) // 10 : -len(clip) // 10]
    turn = Rotation.from_matrix(inner.rotations()[:, 8]).magnitude()
    sway = inner.translations[:, 1, 0] - inner.skeleton.offsets[1, 0]
    return float(np.rad2deg(turn).__pow__(2).mean()), float((sway**2).mean())


@pytest.mark.parametrize("frame_rate", [30.0, 25.0, 47.5])
@pytest.mark.parametrize("above", [1.05, 1.3, 1.9])
def test_what_swings_above_the_new_nyquist_frequency_is_gone(frame_rate: float, above: float) -> None:
    clip = swinging(above * frame_rate / 2)
    for before, after in zip(energy(clip), energy(resample(clip, frame_rate)), strict=True):
        assert after < 0.01 * before
    for before, after in zip(energy(clip), energy(resample(clip, frame_rate, low_pass=False)), strict=True):
        assert after > 0.3 * before  # the negative control: an alias, slower than the swing and nearly as strong


@pytest.mark.parametrize("frame_rate", [30.0, 25.0, 47.5])
@pytest.mark.parametrize("below", [0.05, 0.3, 0.65])
def test_what_swings_below_it_stays(frame_rate: float, below: float) -> None:
    clip = swinging(below * frame_rate / 2)
    for before, after in zip(energy(clip), energy(resample(clip, frame_rate)), strict=True):
        assert after == pytest.approx(before, rel=0.03)


def test_slow_motion_is_not_shifted_in_time() -> None:
    clip = swinging(1.0, frame_rate=240.0)
    slower = resample(clip, 30.0)
    exact = np.sin(2 * np.pi * np.arange(len(slower)) / 30.0 + 0.4)
    inner = slice(12, -12)
    np.testing.assert_allclose(slower.translations[inner, 1, 0], 5 * exact[inner], atol=0.01)


def test_the_same_rate_gives_the_clip_itself() -> None:
    clip = walk(30, 30.0)
    assert resample(clip, 30.0) is clip
    written = replace(clip, frame_time=0.033333)
    assert resample(written, 30.0) is written


def test_raising_the_rate_is_slerp_and_keeps_the_old_frames() -> None:
    clip = walk(20, 30.0, swing=80.0)
    faster = resample(clip, 90.0)
    assert len(faster) == 58
    assert faster.frame_time == 1 / 90.0
    np.testing.assert_allclose(faster.positions()[::3], clip.positions(), atol=1e-9)
    for joint in (2, 8, 15):
        slerp = Slerp(np.arange(20) / 30.0, Rotation.from_matrix(clip.rotations()[:, joint]))
        expected = slerp(np.minimum(np.arange(58) / 90.0, 19 / 30.0)).as_matrix()
        np.testing.assert_allclose(faster.rotations()[:, joint], expected, atol=1e-7)


def test_euler_interpolation_would_not_be_slerp() -> None:
    """The negative control: averaging angles across the +-180 seam turns a joint the wrong way round."""
    clip = walk(2, 30.0, swing=0.0)
    angles = np.array(clip.angles)
    angles[:, 8, 0] = [179.0, -179.0]
    halfway = resample(replace(clip, angles=angles), 60.0).rotations()[1, 8]
    half_turn = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(halfway, half_turn, atol=1e-12)
    assert angles[:, 8, 0].mean() == 0.0


@pytest.mark.parametrize("frame_rate", [7.0, 24.0, 59.0, 1000.0])
@pytest.mark.parametrize("frames", [2, 3, 5, 61])
def test_the_last_frame_is_the_last_moment_within_the_clip(frames: int, frame_rate: float) -> None:
    clip = walk(frames, 60.0)
    out = resample(clip, frame_rate)
    end = (frames - 1) / 60.0
    assert (len(out) - 1) / frame_rate <= end + 1e-9 < len(out) / frame_rate + 1e-9
    assert np.isfinite(out.angles).all()
    np.testing.assert_allclose(out.positions()[0], clip.positions()[0], atol=1e-6)


@pytest.mark.parametrize(("written", "rate"), [(0.033333, 60), (0.008333, 30), (0.016667, 24), (0.04, 100)])
def test_a_frame_time_with_few_digits_means_its_whole_rate(written: float, rate: float) -> None:
    exact = walk(121, round(1 / written), seed=3)
    out, expected = (resample(clip, rate) for clip in (replace(exact, frame_time=written), exact))
    np.testing.assert_allclose(out.positions(), expected.positions(), rtol=0, atol=1e-9)
    ntsc = resample(replace(exact, frame_time=1001 / 30000), 15)
    assert len(ntsc) == 61 and not np.allclose(ntsc.positions()[-1], exact.positions()[-1], atol=1e-6)


def test_halving_keeps_every_second_frames_moment() -> None:
    assert len(resample(walk(61, 60.0), 30.0)) == 31
    assert len(resample(walk(60, 60.0), 30.0)) == 30


@pytest.mark.parametrize("frames", [0, 1])
def test_clips_without_duration_only_take_the_rate(frames: int) -> None:
    clip = walk(10, 60.0)[:frames]
    out = resample(clip, 30.0)
    assert len(out) == frames
    assert out.frame_time == 1 / 30.0
    np.testing.assert_array_equal(out.angles, clip.angles)


def test_what_stands_still_stays_bit_for_bit() -> None:
    clip = swinging(3.0)
    angles = np.array(clip.angles)
    angles[:, 3] = (12.3, -4.5, 170.25)
    out = resample(replace(clip, angles=angles), 31.0)
    assert (out.angles[:, 3] == (12.3, -4.5, 170.25)).all()
    assert (out.translations[:, 8] == clip.skeleton.offsets[8]).all()


def test_a_full_spin_is_followed_through_the_seams() -> None:
    clip = walk(120, 120.0, swing=0.0)
    angles = np.array(clip.angles)
    angles[:, 8, 0] = np.linspace(0, 1440, 120)  # four turns a second
    out = resample(replace(clip, angles=angles), 30.0)
    expected = np.interp(np.arange(len(out)) / 30.0, np.arange(120) / 120.0, angles[:, 8, 0])
    wrong = np.abs((out.angles[:, 8, 0] - expected + 180) % 360 - 180)
    assert wrong[4:-4].max() < 0.2  # the reflection at the ends is not a spin
    assert wrong.max() < 3.0


def test_frame_times_far_from_any_recording_cost_nothing() -> None:
    clip = walk(30, 30.0)
    assert len(resample(replace(clip, frame_time=1.0), 100.0)) == 2901
    for frame_time in (33.333, 1e300):
        with pytest.raises(ValueError, match="is it in milliseconds"):
            resample(replace(clip, frame_time=frame_time), 30.0)
    for frame_time in (1e-9, 5e-324):
        out = resample(replace(clip, frame_time=frame_time), 30.0)
        np.testing.assert_array_equal(out.angles, clip.angles[:1])
        assert out.frame_time == 1 / 30.0


@pytest.mark.parametrize("rate", [0.0, -30.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="frames a second"):
        resample(walk(3), rate)
