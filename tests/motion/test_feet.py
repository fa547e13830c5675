"""Planted feet stand still afterwards; motion whose feet stand already passes through as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from motionsynth.motion.clip import Clip
from motionsynth.motion.convert import Conversion
from motionsynth.motion.feet import clean_feet, find_legs, hold_feet
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.skeleton import Skeleton
from motionsynth.motion.transform import turn
from motionsynth.walkers.corpus import plan_walkers, walker_clip
from tests.motion.clips import human, walk


@pytest.fixture(scope="module")
def walker() -> Clip:
    """A walk of the procedural corpus, whose planted feet stand."""
    return walker_clip(plan_walkers(12, 0)[0][0].parameters)


def sliding(clip: Clip, speed: float) -> Clip:
    """The same motion carried over the ground sideways, by so many units of length a second."""
    translations = clip.translations.copy()
    translations[:, 0, 0] += speed * np.arange(len(clip)) * clip.frame_time
    return replace(clip, translations=translations)


def planted_speed(clip: Clip) -> float:
    """Mean horizontal speed of toes within 2 cm of their floor, in units of length a second."""
    positions, speeds = clip.positions(), []
    for leg in find_legs(clip.skeleton):
        path = positions[:, leg.toe]
        low = path[:, 1] < np.percentile(path[:, 1], 5) + 2.0
        moves = np.linalg.norm(np.diff(path[:, ::2], axis=0), axis=1) * clip.frame_rate
        speeds.append(moves[low[1:] & low[:-1]])
    return float(np.concatenate(speeds).mean())


def bones(clip: Clip) -> np.ndarray:
    positions = clip.positions()
    parents = np.array(clip.skeleton.parents[1:])
    return np.linalg.norm(positions[:, 1:] - positions[:, parents], axis=-1)


def test_legs_are_found_by_name() -> None:
    skeleton = human()
    found = [[skeleton.names[j] for j in (leg.hip, leg.knee, leg.ankle)] for leg in find_legs(skeleton)]
    assert found == [["LeftUpLeg", "LeftLeg", "LeftFoot"], ["RightUpLeg", "RightLeg", "RightFoot"]]


def test_feet_that_stand_pass_through_as_they_are(walker: Clip) -> None:
    assert clean_feet(walker) is walker


def test_feet_that_slide_stand_afterwards(walker: Clip) -> None:
    slid = sliding(walker, 30.0)
    before, after, real = planted_speed(slid), planted_speed(clean_feet(slid)), planted_speed(walker)
    assert before > 25.0, "the control: feet do slide"
    assert after < real + 4.0


def test_bones_keep_their_length_and_feet_their_direction(walker: Clip) -> None:
    slid = sliding(walker, 30.0)
    cleaned = clean_feet(slid)
    np.testing.assert_allclose(bones(cleaned), bones(slid), atol=1e-9)
    turned = [world_transforms(c.rotations(), c.translations, c.skeleton.parents)[1] for c in (slid, cleaned)]
    for leg in find_legs(walker.skeleton):
        np.testing.assert_allclose(turned[0][:, leg.ankle], turned[1][:, leg.ankle], atol=1e-9)


def test_only_legs_and_the_height_of_the_root_change(walker: Clip) -> None:
    slid = sliding(walker, 30.0)
    cleaned = clean_feet(slid)
    legs = [joint for leg in find_legs(walker.skeleton) for joint in (leg.hip, leg.knee, leg.ankle)]
    others = [joint for joint in range(len(walker.skeleton)) if joint not in legs]
    np.testing.assert_allclose(cleaned.rotations()[:, others], slid.rotations()[:, others], atol=1e-9)
    moved = cleaned.translations - slid.translations
    assert np.abs(np.delete(moved, 0, axis=1)).max() == 0
    assert np.abs(moved[:, 0, ::2]).max() == 0 and moved[:, 0, 1].max() <= 0


def test_z_up_clips_are_cleaned_alike(walker: Clip) -> None:
    slid = sliding(walker, 30.0)
    upright = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    np.testing.assert_allclose(
        clean_feet(turn(slid, upright)).positions(), clean_feet(slid).positions() @ upright.T, atol=1e-6
    )


def test_a_motion_without_legs_is_left_alone() -> None:
    bone = Skeleton(("Root", "Tip"), (-1, 0), np.zeros((2, 3)), (("Xposition", "Yposition", "Zposition"), ()))
    clip = Clip(bone, 1 / 30, np.zeros((20, 2, 3)), np.random.default_rng(0).normal(size=(20, 2, 3)))
    assert clean_feet(clip) is clip


def test_clips_are_cleaned_by_convert(walker: Clip) -> None:
    slid = sliding(walker, 30.0)
    assert planted_speed(Conversion(clean_feet=True).apply(slid)) == planted_speed(clean_feet(slid))
    assert Conversion().apply(slid) is slid


def erring(clip: Clip, degrees: float) -> Clip:
    """The same motion with slow errors in the angles of the legs, as a model makes them."""
    angles, times = clip.angles.copy(), np.arange(len(clip)) * clip.frame_time
    random = np.random.default_rng(0)
    for joint in (joint for leg in find_legs(clip.skeleton) for joint in (leg.hip, leg.knee, leg.ankle)):
        for axis in range(3):
            waves = np.sin(2 * np.pi * np.outer(times, random.uniform(0.3, 2.5, 4)) + random.uniform(0, 7, 4))
            angles[:, joint, axis] += degrees * waves.mean(1) * 2**0.5
    return Clip(clip.skeleton, clip.frame_time, angles, clip.translations)


@pytest.mark.parametrize("degrees", [0.5, 1.0, 2.0])
def test_feet_stand_though_legs_err_slowly(walker: Clip, degrees: float) -> None:
    wrong, real = erring(walker, degrees), planted_speed(walker)
    before, after = planted_speed(wrong), planted_speed(clean_feet(wrong))
    assert before > real + 4.0 * degrees, "the control: errors make feet slide"
    assert after < real + 2.0


def test_clips_are_cleaned_together_as_one_by_one(walker: Clip) -> None:
    clips = [sliding(walker, 30.0), walker, erring(walker, 1.0), sliding(walker, 15.0)]
    rotations, translations = np.stack([c.rotations() for c in clips]), np.stack([c.translations for c in clips])
    together = hold_feet(rotations, translations, walker.skeleton, walker.frame_rate)
    for number in range(len(clips)):
        alone = hold_feet(rotations[number, None], translations[number, None], walker.skeleton, walker.frame_rate)
        np.testing.assert_allclose(together[0][number], alone[0][0], atol=1e-12)
        np.testing.assert_allclose(together[1][number], alone[1][0], atol=1e-12)
    assert (together[0][1] == rotations[1]).all() and (together[1][1] == translations[1]).all()
    assert not (together[0][0] == rotations[0]).all()


def test_legs_without_length_are_left_alone(walker: Clip) -> None:
    slid = sliding(walker, 30.0)
    translations = slid.translations.copy()
    translations[:, [joint for leg in find_legs(walker.skeleton) for joint in (leg.knee, leg.ankle)]] = 0.0
    flat = replace(slid, translations=translations)
    assert clean_feet(flat) is flat


def test_arbitrary_motion_stays_finite() -> None:
    cleaned = clean_feet(sliding(walk(frames=90), 40.0))
    assert np.isfinite(cleaned.angles).all() and np.isfinite(cleaned.translations).all()
