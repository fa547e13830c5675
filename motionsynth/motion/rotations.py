"""Between Euler angles, matrices, quaternions and the 6-D form.

Convention: column vectors, right-handed, *intrinsic* angles in the order the file lists them, in degrees:
``R = R_c1(a1) @ R_c2(a2) @ R_c3(a3)``. Refused: extrinsic angles, and orders that repeat an axis (proper Euler angles).
Quaternions are real part first, ``(w, x, y, z)``. The 6-D form is pytorch3d's: the first two **rows** of the matrix.

Euler angles are numpy and float64, for they only live in files; everything that a model sees is torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from motionsynth.motion.skeleton import AXES, FloatArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "angles_to_matrices",
    "matrices_from_6d",
    "matrices_to_6d",
    "matrices_to_angles",
    "matrices_to_quaternions",
    "quaternions_to_matrices",
    "unwrap_angles",
]

_LOCKED: Final = 1e-12
"""Below this cosine of the middle angle the outer two turn about one axis; dropping one errs by < 1e-10 degrees."""

_LOCKED_DEGREES: Final = 1e-11
"""A middle angle nearer than this to 90 degrees is as good as in the lock: matrices differ by less than 1e-12."""


@lru_cache(maxsize=256)
def _axes_and_signs(orders: tuple[str, ...]) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """(J, 3) axis numbers in the order listed, and (J, 1) +1 where that order is cyclic, -1 where it is not."""
    for order in orders:
        if sorted(order) != list(AXES):
            raise ValueError(f"{order!r} is not a rotation order: expected X, Y and Z once each")
    axes = np.array([[AXES.index(axis) for axis in order] for order in orders], dtype=np.intp).reshape(-1, 3)
    signs = np.where((axes[:, 1] - axes[:, 0]) % 3 == 1, 1.0, -1.0)[:, None]
    axes.setflags(write=False)
    signs.setflags(write=False)
    return axes, signs


def angles_to_matrices(angles: FloatArray, orders: tuple[str, ...]) -> FloatArray:
    """Turn Euler angles into matrices, ``R = R_c1(a1) R_c2(a2) R_c3(a3)``.

    In the basis of its own order every joint has the matrix of an XYZ joint, its angles negated where the order is
    not cyclic (a reflection turns every rotation round); so all joints go through one closed form.

    Args:
        angles: (..., J, 3) degrees; column k turns about axis ``orders[j][k]``.
        orders: J rotation orders such as ``"ZXY"``.

    Returns:
        (..., J, 3, 3) float64.

    Raises:
        ValueError: the shapes disagree, or an order is not X, Y and Z once each.
    """
    axes, signs = _axes_and_signs(tuple(orders))
    angles = np.asarray(angles, dtype=np.float64)
    if angles.ndim < 2 or angles.shape[-2:] != (len(orders), 3):
        raise ValueError(f"angles must have shape (..., {len(orders)}, 3), not {angles.shape}")
    radians = np.deg2rad(angles) * signs
    (sa, sb, sc), (ca, cb, cc) = np.moveaxis(np.sin(radians), -1, 0), np.moveaxis(np.cos(radians), -1, 0)
    out = np.empty((*angles.shape, 3))
    joints = np.arange(len(orders))
    i, j, k = axes.T
    out[..., joints, i, i] = cb * cc
    out[..., joints, i, j] = -cb * sc
    out[..., joints, i, k] = sb
    out[..., joints, j, i] = ca * sc + sa * sb * cc
    out[..., joints, j, j] = ca * cc - sa * sb * sc
    out[..., joints, j, k] = -sa * cb
    out[..., joints, k, i] = sa * sc - ca * sb * cc
    out[..., joints, k, j] = sa * cc + ca * sb * sc
    out[..., joints, k, k] = ca * cb
    return out


def matrices_to_angles(matrices: FloatArray, orders: tuple[str, ...]) -> FloatArray:
    """Find the Euler angles of rotation matrices; outer angles in (-180, 180], the middle one in [-90, 90].

    The third angle is found first and turned back out of the matrix; the first is read from what is left. Both are
    then exact together at any distance from gimbal lock, where each alone is ill-determined. In the lock itself the
    third angle is 0.

    Args:
        matrices: (..., J, 3, 3) rotation matrices.
        orders: J rotation orders such as ``"ZXY"``.

    Returns:
        (..., J, 3) degrees, float64.

    Raises:
        ValueError: the shapes disagree, or an order is not X, Y and Z once each.

    References:
        Day, "Extracting Euler angles from a rotation matrix", Insomniac Games, 2012.
    """
    axes, signs = _axes_and_signs(tuple(orders))
    matrices = np.asarray(matrices, dtype=np.float64)
    if matrices.ndim < 3 or matrices.shape[-3:] != (len(orders), 3, 3):
        raise ValueError(f"matrices must have shape (..., {len(orders)}, 3, 3), not {matrices.shape}")
    joints = np.arange(len(orders))
    i, j, k = axes.T
    first_i, first_j = matrices[..., joints, i, i], matrices[..., joints, i, j]
    cosine = np.hypot(first_i, first_j)
    third = np.where(cosine > _LOCKED, np.arctan2(-first_j, first_i), 0.0)
    sc, cc = np.sin(third), np.cos(third)
    radians = np.empty(matrices.shape[:-1])
    radians[..., 0] = np.arctan2(
        sc * matrices[..., joints, k, i] + cc * matrices[..., joints, k, j],
        sc * matrices[..., joints, j, i] + cc * matrices[..., joints, j, j],
    )
    radians[..., 1] = np.arctan2(matrices[..., joints, i, k], cosine)
    radians[..., 2] = third
    return np.asarray(np.rad2deg(radians * signs) + 0.0)  # + 0.0: no file should say -0.0


def unwrap_angles(angles: FloatArray, orders: tuple[str, ...], start: FloatArray | None = None) -> FloatArray:
    """Make curves of Euler angles continuous: of all angles that are one rotation, those nearest to the frame before.

    These are ``(a, b, c)`` and ``(a + 180, 180 - b, c + 180)``, full turns added to each; in gimbal lock, where the
    outer angles turn about one axis, all with the same sum of them. Near is by the sum of absolute differences. That
    a step is shorter with a flip does not depend on the flips before, so the nearest of each frame are also the
    shortest curves, and no loop over the frames is needed.

    Args:
        angles: (..., T, J, 3) degrees, as ``matrices_to_angles`` gives them.
        orders: J rotation orders such as ``"ZXY"``.
        start: (..., J, 3) what the first frame is to be near to; it stays as it is where None.

    Returns:
        (..., T, J, 3) degrees that give the same matrices; a joint without a step above 90 degrees stays bit for bit.
    """
    if start is not None:
        return unwrap_angles(np.concatenate([start[..., None, :, :], angles], axis=-3), orders)[..., 1:, :, :]
    steps = np.abs(np.diff(angles, axis=-3))
    # below 90 degrees neither a flip nor a turn is shorter
    jumping = np.flatnonzero((steps > 90).any(axis=(*range(steps.ndim - 2), -1)))
    if not len(jumping):
        return angles
    jumps, unwrapped = angles[..., jumping, :], np.array(angles)
    curves = _nearest_equivalents(jumps)
    through = _through_lock(jumps, _axes_and_signs(tuple(orders[joint] for joint in jumping))[1][:, 0])
    if through is not None:
        others = _nearest_equivalents(through)
        curves = np.where(_variation(others) < _variation(curves), others, curves)
    unwrapped[..., jumping, :] = curves
    return unwrapped


def _nearest_equivalents(angles: FloatArray) -> FloatArray:
    """Choose the flips and the full turns of (..., T, J, 3) degrees."""
    flipped = np.stack([angles[..., 0] + 180, 180 - angles[..., 1], angles[..., 2] + 180], axis=-1)
    before = angles[..., :-1, :, :]
    plain, other = (np.abs(_wrap(after[..., 1:, :, :] - before)).sum(-1) for after in (angles, flipped))
    states = np.cumsum(other < plain, axis=-2) % 2 == 1
    out = np.array(angles)
    out[..., 1:, :, :] = np.where(states[..., None], flipped[..., 1:, :, :], angles[..., 1:, :, :])
    out[..., 1:, :, :] -= 360 * np.cumsum(np.round(np.diff(out, axis=-3) / 360), axis=-3)
    return out


def _wrap(degrees: FloatArray) -> FloatArray:
    return degrees - 360 * np.round(degrees / 360)


def _variation(angles: FloatArray) -> FloatArray:
    """(..., 1, J, 1) sum of the absolute differences between frames."""
    return np.asarray(np.abs(np.diff(angles, axis=-3)).sum(axis=(-3, -1), keepdims=True))


def _through_lock(angles: FloatArray, signs: FloatArray) -> FloatArray | None:
    """The same rotations with the third angle kept through frames of gimbal lock; None where no frame is locked."""
    locked = np.abs(np.abs(angles[..., 1]) - 90) < _LOCKED_DEGREES
    if not locked.any():
        return None
    frames = np.arange(angles.shape[-3])[:, None]
    last = np.maximum.accumulate(np.where(locked, -1, frames), axis=-2)
    last = np.where(last < 0, np.argmin(locked, axis=-2)[..., None, :], last)
    third = np.take_along_axis(angles[..., 2], last, axis=-2)
    same_axis = np.sign(angles[..., 1]) * signs  # a + c is what is known where the middle turn is positive, else a - c
    out = np.array(angles)
    out[..., 0] = np.where(locked, angles[..., 0] + same_axis * (angles[..., 2] - third), angles[..., 0])
    out[..., 2] = np.where(locked, third, angles[..., 2])
    return out


def matrices_to_6d(matrices: Tensor) -> Tensor:
    """Keep the first two rows of rotation matrices: (..., 3, 3) -> (..., 6), row after row.

    References:
        Zhou et al., "On the continuity of rotation representations in neural networks", CVPR 2019.
    """
    from pytorch3d.transforms import matrix_to_rotation_6d

    return _tensor(matrix_to_rotation_6d(matrices))


def matrices_from_6d(rotations_6d: Tensor) -> Tensor:
    """Orthonormalise two rows and complete them: (..., 6) -> (..., 3, 3) rotation matrices.

    Gram-Schmidt; any two rows that are not parallel give a rotation, and the gradient there is finite.

    References:
        Zhou et al., "On the continuity of rotation representations in neural networks", CVPR 2019.
    """
    from pytorch3d.transforms import rotation_6d_to_matrix

    return _tensor(rotation_6d_to_matrix(rotations_6d))


def matrices_to_quaternions(matrices: Tensor) -> Tensor:
    """Turn (..., 3, 3) rotation matrices into (..., 4) unit quaternions, real part first and not negative."""
    from pytorch3d.transforms import matrix_to_quaternion

    return _tensor(matrix_to_quaternion(matrices))


def quaternions_to_matrices(quaternions: Tensor) -> Tensor:
    """Turn (..., 4) quaternions, real part first and of any length but zero, into (..., 3, 3) rotation matrices."""
    from pytorch3d.transforms import quaternion_to_matrix

    return _tensor(quaternion_to_matrix(quaternions))


def _tensor(value: object) -> Tensor:
    from torch import Tensor

    assert isinstance(value, Tensor)
    return value
