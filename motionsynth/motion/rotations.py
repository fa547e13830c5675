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
]

_LOCKED: Final = 1e-12
"""Below this cosine of the middle angle the outer two turn about one axis; dropping one errs by < 1e-10 degrees."""


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
