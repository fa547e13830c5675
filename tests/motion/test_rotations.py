"""Rotations against scipy, against the textbook, and there and back at gimbal lock."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motionsynth.motion.rotations import (
    angles_to_matrices,
    matrices_from_6d,
    matrices_to_6d,
    matrices_to_angles,
    matrices_to_quaternions,
    quaternions_to_matrices,
)
from tests.motion.clips import plain_matrix

ORDERS = tuple("".join(axes) for axes in permutations("XYZ"))
ANGLE = st.floats(-720, 720) | st.sampled_from([0.0, 90.0, -90.0, 180.0, -180.0, 270.0, 1e-300, 90 + 1e-9])


def turned_by(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Degrees between rotations, by a form exact near zero: the chord |L - R| = 2 sqrt(2) sin(angle / 2)."""
    chord = np.linalg.norm(left - right, axis=(-2, -1))
    return np.rad2deg(2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1)))


@settings(max_examples=300, deadline=None)
@given(st.lists(ANGLE, min_size=18, max_size=18))
def test_matrices_equal_the_textbook_and_survive_the_way_back(values: list[float]) -> None:
    angles = np.array(values).reshape(6, 3)
    matrices = angles_to_matrices(angles, ORDERS)
    for joint, order in enumerate(ORDERS):
        np.testing.assert_allclose(matrices[joint], plain_matrix(angles[joint].tolist(), order), atol=1e-13)
    rebuilt = angles_to_matrices(matrices_to_angles(matrices, ORDERS), ORDERS)
    assert turned_by(matrices, rebuilt).max() <= 1e-9


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 2),
    st.sampled_from([90.0, -90.0]),
    st.sampled_from([0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2]),
)
def test_gimbal_lock_is_rebuilt_exactly_in_all_six_orders(
    outer: tuple[float, float], lock: float, distance: float
) -> None:
    angles = np.tile([outer[0], lock - np.sign(lock) * distance, outer[1]], (6, 1))
    matrices = angles_to_matrices(angles, ORDERS)
    found = matrices_to_angles(matrices, ORDERS)
    assert turned_by(matrices, angles_to_matrices(found, ORDERS)).max() <= 1e-9
    if distance == 0:
        assert (found[:, 2] == 0).all()


def test_the_asin_form_in_float32_would_fail_that() -> None:
    """The negative control: what pytorch3d does loses a hundredth of a degree or more near the lock."""
    from pytorch3d.transforms import euler_angles_to_matrix, matrix_to_euler_angles

    angles = np.stack([np.linspace(-170, 170, 200), np.full(200, 89.99), np.linspace(160, -160, 200)], axis=-1)[:, None]
    matrices = angles_to_matrices(angles, ("ZXY",))
    naive = euler_angles_to_matrix(
        matrix_to_euler_angles(torch.tensor(matrices[:, 0], dtype=torch.float32), "ZXY"), "ZXY"
    )
    assert turned_by(matrices[:, 0], naive.double().numpy()).max() > 1e-3
    ours = angles_to_matrices(matrices_to_angles(matrices, ("ZXY",)), ("ZXY",))
    assert turned_by(matrices, ours).max() <= 1e-9


def test_matrices_equal_scipy() -> None:
    angles = np.random.default_rng(1).uniform(-400, 400, (50, 6, 3))
    matrices = angles_to_matrices(angles, ORDERS)
    for joint, order in enumerate(ORDERS):
        expected = Rotation.from_euler(order, angles[:, joint], degrees=True).as_matrix()
        np.testing.assert_allclose(matrices[:, joint], expected, atol=1e-14)
        found = matrices_to_angles(matrices[:, joint, None], (order,))[:, 0]
        np.testing.assert_allclose(found, Rotation.from_matrix(expected).as_euler(order, degrees=True), atol=1e-9)


def test_leading_axes_and_empty_clips_pass_through() -> None:
    angles = np.random.default_rng(2).uniform(-180, 180, (2, 3, 4, 6, 3))
    assert angles_to_matrices(angles, ORDERS).shape == (2, 3, 4, 6, 3, 3)
    np.testing.assert_array_equal(angles_to_matrices(angles, ORDERS)[1, 2], angles_to_matrices(angles[1, 2], ORDERS))
    assert matrices_to_angles(np.zeros((0, 6, 3, 3)), ORDERS).shape == (0, 6, 3)


@pytest.mark.parametrize("order", ["XYX", "ZY", "xyz", "XYZW", ""])
def test_other_orders_are_refused(order: str) -> None:
    with pytest.raises(ValueError, match="not a rotation order"):
        angles_to_matrices(np.zeros((1, 1, 3)), (order,))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., 2, 3\)"):
        angles_to_matrices(np.zeros((5, 3, 3)), ("XYZ", "ZXY"))
    with pytest.raises(ValueError, match=r"\(\.\.\., 2, 3, 3\)"):
        matrices_to_angles(np.zeros((5, 3, 3, 3)), ("XYZ", "ZXY"))


def test_6d_is_the_first_two_rows_and_comes_back() -> None:
    matrices = torch.tensor(Rotation.random(100, random_state=3).as_matrix())
    rotations_6d = matrices_to_6d(matrices)
    torch.testing.assert_close(rotations_6d, matrices[:, :2].reshape(100, 6))
    torch.testing.assert_close(matrices_from_6d(rotations_6d), matrices)
    torch.testing.assert_close(matrices_from_6d(3.0 * rotations_6d), matrices)


def test_6d_gradients_are_finite_even_where_the_rows_vanish() -> None:
    rotations_6d = torch.randn(64, 6, generator=torch.Generator().manual_seed(4))
    rotations_6d[0] = 0
    rotations_6d.requires_grad_()
    matrices_from_6d(rotations_6d).square().mul(torch.arange(9.0).view(3, 3)).sum().backward()
    assert rotations_6d.grad is not None
    assert torch.isfinite(rotations_6d.grad).all()


def test_quaternions_are_real_first_and_come_back() -> None:
    matrices = torch.tensor(Rotation.random(100, random_state=5).as_matrix())
    quaternions = matrices_to_quaternions(matrices)
    expected = Rotation.from_matrix(matrices.numpy()).as_quat()[:, [3, 0, 1, 2]]
    expected *= np.sign(expected[:, :1])
    torch.testing.assert_close(quaternions, torch.tensor(expected))
    torch.testing.assert_close(quaternions_to_matrices(quaternions), matrices)
