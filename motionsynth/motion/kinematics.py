"""Forward kinematics: from local rotations to where the joints are.

    G_j = G_p R_j        x_j = x_p + G_p t_j        p = parent(j); the root has G = R, x = t

Shapes: J joints, T frames, N frames of any number of clips in a row (**last** in memory: every operation then runs over
long contiguous rows, the whole secret of its speed). Joints of one depth whose indices and whose parents' indices are
evenly spaced go through one operation each, on views, so nothing is gathered and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from motionsynth.motion.skeleton import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "forward_kinematics",
    "forward_transforms",
    "joint_positions",
    "joint_transforms",
    "world_transforms",
]


def forward_kinematics(rotations_J33N: Tensor, translations_J3N: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Find the joints' world positions; :func:`forward_transforms` gives the global rotations beside them.

    Args:
        rotations_J33N: local rotation matrices, frames last in memory.
        translations_J3N: local positions; (J, 3, 1) where no bone moves.
        parents: index of each joint's parent, -1 for joint 0; parents precede children.

    Returns:
        ``positions_J3N`` in the unit of the translations.

    Raises:
        ValueError: the shapes, the types or ``parents`` do not fit together.
    """
    return forward_transforms(rotations_J33N, translations_J3N, parents)[0]


def forward_transforms(
    rotations_J33N: Tensor, translations_J3N: Tensor, parents: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Find the joints' world positions and global rotations, ``G_j = G_p R_j`` and ``x_j = x_p + G_p t_j``.

    Differentiable any number of times, float32 or float64, on any device, and inside ``torch.compile``.

    Args:
        rotations_J33N: local rotation matrices, frames last in memory.
        translations_J3N: local positions; (J, 3, 1) where no bone moves.
        parents: index of each joint's parent, -1 for joint 0; parents precede children.

    Returns:
        ``positions_J3N`` in the unit of the translations, and ``globals_J33N``.

    Raises:
        ValueError: the shapes, the types or ``parents`` do not fit together.
    """
    import torch

    from motionsynth.motion._fused_kinematics import (
        FusedKinematics,
        joint_groups,
        level_by_level,
        plan_groups,
    )

    joints, frames = len(parents), rotations_J33N.shape[-1]
    if rotations_J33N.shape[:-1] != (joints, 3, 3) or translations_J3N.shape not in (
        (joints, 3, frames),
        (joints, 3, 1),
    ):
        raise ValueError(
            f"expected ({joints}, 3, 3, N) rotations and ({joints}, 3, N or 1) translations, "
            f"not {tuple(rotations_J33N.shape)} and {tuple(translations_J3N.shape)}"
        )
    if rotations_J33N.dtype != translations_J3N.dtype or rotations_J33N.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"rotations and translations must both be float32 or both float64 (half precision loses centimetres), "
            f"not {rotations_J33N.dtype} and {translations_J3N.dtype}"
        )
    translations_J3N = translations_J3N.expand(-1, -1, frames)
    if torch.compiler.is_compiling():  # fuses plain operations better than views written in place; warns of caches
        return level_by_level(rotations_J33N, translations_J3N, plan_groups(tuple(parents)))
    groups = joint_groups(tuple(parents))
    apply: Callable[..., tuple[Tensor, Tensor]] = FusedKinematics.apply
    return apply(rotations_J33N, translations_J3N, groups)


def joint_positions(rotations: Tensor, translations: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Find world positions from tensors with the joints last, (..., J, 3); see :func:`joint_transforms`."""
    return joint_transforms(rotations, translations, parents)[0]


def joint_transforms(rotations: Tensor, translations: Tensor, parents: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Find world positions and global rotations from tensors with the joints last.

    A convenience that transposes to :func:`forward_transforms` and back, at the price of four copies.

    Args:
        rotations: (..., J, 3, 3) local rotation matrices.
        translations: (..., J, 3) local positions; leading axes broadcast against those of ``rotations``.
        parents: index of each joint's parent, -1 for joint 0; parents precede children.

    Returns:
        (..., J, 3) world positions in the unit of ``translations``, and (..., J, 3, 3) global rotations.

    Raises:
        ValueError: the shapes, the types or ``parents`` do not fit together.
    """
    import torch

    joints = len(parents)
    if rotations.shape[-3:] != (joints, 3, 3) or translations.shape[-2:] != (joints, 3):
        raise ValueError(
            f"expected (..., {joints}, 3, 3) rotations and (..., {joints}, 3) translations, "
            f"not {tuple(rotations.shape)} and {tuple(translations.shape)}"
        )
    lead = torch.Size(np.broadcast_shapes(rotations.shape[:-3], translations.shape[:-2]))
    count = lead.numel()
    positions_J3N, globals_J33N = forward_transforms(
        rotations.expand(*lead, joints, 3, 3).reshape(count, joints, 3, 3).permute(1, 2, 3, 0).contiguous(),
        translations.expand(*lead, joints, 3).reshape(count, joints, 3).permute(1, 2, 0).contiguous(),
        parents,
    )
    return (
        positions_J3N.permute(2, 0, 1).reshape(*lead, joints, 3),
        globals_J33N.permute(3, 0, 1, 2).reshape(*lead, joints, 3, 3),
    )


@lru_cache(maxsize=64)
def _levels(parents: tuple[int, ...]) -> tuple[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], ...]:
    """For each depth below the root its joints and their parents."""
    depths, levels = [0] * len(parents), dict[int, list[int]]()
    for joint, parent in enumerate(parents[1:], start=1):
        depths[joint] = depths[parent] + 1
        levels.setdefault(depths[joint], []).append(joint)
    return tuple((np.array(js), np.array([parents[j] for j in js])) for _, js in sorted(levels.items()))


def world_transforms(
    rotations: FloatArray, translations: FloatArray, parents: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Find one clip's world positions and global rotations in numpy: files are read and measured without torch.

    Args:
        rotations: (T, J, 3, 3) local rotation matrices.
        translations: (T, J, 3) local positions.
        parents: index of each joint's parent, -1 for joint 0; parents precede children.

    Returns:
        (T, J, 3) world positions in the unit of ``translations``, and (T, J, 3, 3) global rotations.
    """
    globals_, positions = np.array(rotations, dtype=np.float64), np.array(translations, dtype=np.float64)
    for joints, above in _levels(tuple(parents)):
        parent = globals_[:, above]
        positions[:, joints] = positions[:, above] + np.matmul(parent, positions[:, joints, :, None])[..., 0]
        globals_[:, joints] = np.matmul(parent, globals_[:, joints])
    return positions, globals_
