"""Curves of Euler angles: no jump where the rotation makes none, and never another rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth import read_bvh, write_bvh
from motionsynth.features.encode import decode, encode
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.convert import Conversion
from motionsynth.motion.mirror import mirror
from motionsynth.motion.resample import resample
from motionsynth.motion.rotations import angles_to_matrices, matrices_to_angles, unwrap_angles
from motionsynth.motion.transform import to_y_up, turn
from tests.motion.clips import walk

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"
ORDERS = tuple("".join(axes) for axes in permutations("XYZ"))


def variation(angles: np.ndarray) -> np.ndarray:
    """(J,) sum of the absolute steps of a joint's three angles."""
    return np.asarray(np.abs(np.diff(angles, axis=0)).sum(axis=(0, 2)))


def largest_step(clip: Clip) -> float:
    return float(np.abs(np.diff(clip.angles, axis=0)).max())


def spinning(frames: int = 90) -> Clip:
    """The person of ``walk``, whose forearm turns three times round, thigh passes the pole, and root turns about."""
    clip = walk(frames)
    angles, share = np.array(clip.angles), np.linspace(0, 1, frames)
    angles[:, 8, 0] = 150 + 1080 * share
    angles[:, 14, 1] = 40 + 110 * share  # the middle angle of ZXY
    angles[:, 0, 2] = -160 - 400 * share
    return replace(clip, angles=angles)


def test_a_continuous_curve_stays_so_at_another_rate(tmp_path: Path) -> None:
    clip = Conversion(frame_rate=60).apply(read_bvh(FAULTS / "euler_continuous.bvh"))
    write_bvh(clip, tmp_path / "o.bvh")
    yaw = read_bvh(tmp_path / "o.bvh").angles[:, 0, 2]
    assert yaw == pytest.approx([170.0, 173.5, 177.0, 180.5, 184.0, 187.5, 191.0], abs=1e-6)
    raw = matrices_to_angles(clip.rotations(), clip.skeleton.orders)[:, 0, 2]
    assert np.abs(np.diff(raw)).max() > 350  # the control: what the angles of each frame alone would be


def test_a_curve_beyond_half_a_turn_stays_where_it_is() -> None:
    clip = read_bvh(FAULTS / "euler_continuous.bvh")
    later = replace(clip, angles=np.add(clip.angles, (0.0, 0.0, 720.0)))
    assert resample(later, 60).angles[:, 0, 2] == pytest.approx(720 + resample(clip, 60).angles[:, 0, 2])


def _decoded(clip: Clip) -> Clip:
    upright = resample(clip, clip.frame_rate)
    spec = FeatureSpec.for_clip(upright, frame_rate=clip.frame_rate, metres_per_unit=0.01)
    return decode(encode(upright, spec).double(), spec)


CHANGES: dict[str, Callable[[Clip], Clip]] = {
    "resample": lambda clip: resample(clip, 100.0),
    "resample down": lambda clip: resample(clip, 50.0),
    "mirror": mirror,
    "up": lambda clip: to_y_up(clip, "z"),
    "turn": lambda clip: turn(clip, np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])),
    "from_rotations": lambda clip: Clip.from_rotations(
        clip.skeleton, clip.frame_time, clip.rotations(), clip.translations
    ),
    "decode": _decoded,
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_finds_angles_keeps_curves_continuous(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = spinning()
    assert largest_step(clip) < 15
    changed = CHANGES[name](clip)
    assert largest_step(changed) < 30
    module = {"mirror": "motion.mirror", "from_rotations": "motion.clip", "decode": "features.encode"}.get(name)
    module = module or ("motion.resample" if name.startswith("resample") else "motion.transform")
    monkeypatch.setattr(f"motionsynth.{module}.unwrap_angles", lambda angles, *_: angles)
    jumping = CHANGES[name](clip)
    assert largest_step(jumping) > 150  # the control
    np.testing.assert_allclose(changed.rotations(), jumping.rotations(), rtol=0, atol=1e-12)


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    """(T, 6, 3) angles of joints in all orders that go anywhere, some of them into the lock, and their steps' size."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames, size = draw(st.integers(1, 40)), draw(st.sampled_from([1.0, 10.0, 60.0, 200.0]))
    angles = random.uniform(-180, 180, (1, 6, 3)) + np.cumsum(random.normal(0, size, (frames, 6, 3)), axis=0)
    locked = random.random((frames, 6)) < draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]))
    angles[..., 1] = np.where(locked, draw(st.sampled_from([90.0, -90.0, 270.0])), angles[..., 1])
    return angles, size


@settings(max_examples=80, deadline=None)
@given(curves())
def test_the_rotations_stay_and_no_curve_gets_longer(drawn: tuple[np.ndarray, float]) -> None:
    matrices = angles_to_matrices(drawn[0], ORDERS)
    raw = matrices_to_angles(matrices, ORDERS)
    out = unwrap_angles(raw, ORDERS)
    np.testing.assert_array_equal(out[0, :, 1], raw[0, :, 1])
    np.testing.assert_allclose(angles_to_matrices(out, ORDERS), angles_to_matrices(raw, ORDERS), rtol=0, atol=1e-12)
    assert (variation(out) <= variation(raw) + 1e-9).all()
    again = unwrap_angles(out, ORDERS)
    assert (variation(again) <= variation(out) + 1e-9).all()


def plain_shortest(angles: np.ndarray) -> float:
    """Length of the shortest curve through one joint's (T, 3) angles, by trying all flips and near turns of each."""
    flips = np.stack([angles, np.stack([angles[:, 0] + 180, 180 - angles[:, 1], angles[:, 2] + 180], -1)], 1)
    best = np.array([0.0, np.inf])  # of paths that end in either; the first frame is not flipped
    for before, after in pairwise(flips):
        steps = [[np.abs((b - a + 180) % 360 - 180).sum() for b in after] for a in before]
        best = np.array([min(best[i] + steps[i][j] for i in (0, 1)) for j in (0, 1)])
    return float(best.min())


@settings(max_examples=30, deadline=None)
@given(curves())
def test_no_other_choice_of_flips_and_turns_is_shorter(drawn: tuple[np.ndarray, float]) -> None:
    raw = matrices_to_angles(angles_to_matrices(drawn[0], ORDERS), ORDERS)
    lengths = variation(unwrap_angles(raw, ORDERS))
    assert (lengths <= [plain_shortest(raw[:, joint]) + 1e-9 for joint in range(6)]).all()


def test_what_is_continuous_stays_bit_for_bit() -> None:
    angles = np.random.default_rng(3).uniform(-40, 40, (50, 6, 3))
    raw = matrices_to_angles(angles_to_matrices(angles, ORDERS), ORDERS)
    assert unwrap_angles(raw, ORDERS).tobytes() == raw.tobytes()
    raw[:, 2] = 0.0
    raw[:20, 2, 0] = np.linspace(0, 175, 20)
    raw[20:, 2, 0] = -175.0
    out = unwrap_angles(raw, ORDERS)
    others = [joint for joint in range(6) if joint != 2]
    assert out[:, others].tobytes() == raw[:, others].tobytes()
    assert out[:20, 2].tobytes() == raw[:20, 2].tobytes() and (out[20:, 2, 0] == 185.0).all()


def test_the_way_through_gimbal_lock_is_straight() -> None:
    """The middle angle rises through 90 degrees, and one frame is exactly there, where the third angle is not told."""
    for order, pole in product(ORDERS, (90.0, -90.0)):
        middle = pole + np.copysign(1, pole) * np.linspace(-8, 8, 9)
        angles = np.stack([np.linspace(30, 34, 9), middle, np.linspace(40, 36, 9)], axis=-1)[:, None]
        raw = matrices_to_angles(angles_to_matrices(angles, (order,)), (order,))
        assert np.abs(np.diff(raw, axis=0)).max() > 100
        out = unwrap_angles(raw, (order,))
        assert np.abs(out - angles).max() < 1.01, order
        np.testing.assert_allclose(
            angles_to_matrices(out, (order,)), angles_to_matrices(angles, (order,)), rtol=0, atol=1e-12
        )


def test_windows_are_unwrapped_each_by_itself() -> None:
    random = np.random.default_rng(5)
    raw = matrices_to_angles(angles_to_matrices(np.cumsum(random.normal(0, 50, (3, 30, 6, 3)), 1), ORDERS), ORDERS)
    together = unwrap_angles(raw, ORDERS)
    for window, alone in zip(together, raw, strict=True):
        np.testing.assert_array_equal(window, unwrap_angles(alone, ORDERS))
