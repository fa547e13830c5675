"""The smooth trajectory that a sequence of states speaks for, by means and variances of frames and their differences.

Shapes: N trajectories, B sequences, T frames, M frames of all sequences, E coordinates, S states, O orders of
differences.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["DIFFERENCES", "Band", "difference_sums", "differences", "normal_equations", "solve"]

DIFFERENCES: Final = 2
"""Orders there are: ``(y_t+1 - y_t-1) / 2`` and ``y_t+1 - 2 y_t + y_t-1``, both of frames that have two neighbours."""


class Band(NamedTuple):
    """``R y = r`` of symmetric positive definite matrices with two bands beside the diagonal, one for each coordinate.

    ``first_NTE[:, t]`` is ``R[t, t + 1]`` and ``second_NTE[:, t]`` is ``R[t, t + 2]``; what lies outside of R is zero.
    """

    diagonal_NTE: Tensor
    first_NTE: Tensor
    second_NTE: Tensor
    right_NTE: Tensor


def differences(y_ME: Tensor, inner_I: Tensor) -> Tensor:
    """(I, 2, E) first and second central difference at those of the M frames; each has both its neighbours."""
    before, here, after = y_ME[inner_I - 1], y_ME[inner_I], y_ME[inner_I + 1]
    return torch.stack(((after - before) / 2, after - 2 * here + before), 1)


def difference_sums(y_ME: Tensor, share_MS: Tensor, mask_BT: Tensor, orders: int) -> dict[str, Tensor]:
    """Sums over frames of ``share_s``, and of that times the differences and times their squares.

    Args:
        y_ME: frames of sequences end to end.
        share_MS: posterior of the states at each.
        mask_BT: which frames each sequence has; what it lacks is at its end.
        orders: O, at most ``DIFFERENCES``.

    Returns:
        ``mass_S``, ``sum_SOE`` and ``square_SOE``, by name.
    """
    # frames with two neighbours in their own sequence have differences
    place_BT = mask_BT.new_zeros(mask_BT.shape, dtype=torch.int64)
    place_BT[mask_BT] = torch.arange(len(y_ME), device=place_BT.device)
    inner_I = place_BT[:, 1:-1][mask_BT[:, 2:]]
    moved_IOE, share_IS = differences(y_ME, inner_I)[:, :orders], share_MS[inner_I]
    return {
        "mass_S": share_IS.sum(0),
        "sum_SOE": torch.einsum("is,ioe->soe", share_IS, moved_IOE),
        "square_SOE": torch.einsum("is,ioe->soe", share_IS, moved_IOE.square()),
    }


def normal_equations(mean_NTOE: Tensor, precision_NTOE: Tensor) -> Band:
    """``R = W^T S^-1 W`` and ``r = W^T S^-1 m``, where ``W y`` are the frames and their differences.

    ``R^-1 r`` is the trajectory of highest density given the states, and ``N(R^-1 r, R^-1)`` what is left of the
    density of frames and differences when both are of one trajectory.

    References:
        Tokuda et al., Speech Parameter Generation Algorithms for HMM-Based Speech Synthesis, 2000; Zen, Tokuda &
        Kitamura, Reformulating the HMM as a Trajectory Model, 2007.

    Args:
        mean_NTOE: of frames (order 0) and of O - 1 differences; those of the first and last frame do not count.
        precision_NTOE: one over their variances.
    """
    precision, mean = _padded(precision_NTOE), _padded(mean_NTOE)
    frame, slope, bend = precision.unbind(2)
    frame_m, slope_m, bend_m = (precision * mean).unbind(2)
    return Band(
        frame + (_before(slope) + _after(slope)) / 4 + _before(bend) + 4 * bend + _after(bend),
        -2 * (bend + _after(bend)),
        _after(bend) - _after(slope) / 4,
        frame_m + (_before(slope_m) - _after(slope_m)) / 2 + _before(bend_m) - 2 * bend_m + _after(bend_m),
    )


def solve(band: Band, noise_NTE: Tensor | None = None) -> Tensor:
    """(N, T, E) ``R^-1 r``, by Cholesky; with standard normal noise a draw from ``N(R^-1 r, R^-1)``.

    One sweep forwards and one back: as many steps as frames, each for all trajectories and coordinates at once.
    """
    diagonal, first, second, right = (part.unbind(1) for part in band)
    zero = torch.zeros_like(right[0])
    one = torch.ones_like(zero)
    roots, below, far, solved = [one, one], [zero], [], [zero, zero]  # what stands before the first frame
    for t in range(len(right)):
        far.append(second[t - 2] / roots[-2] if t > 1 else zero)
        below.append(((first[t - 1] if t else zero) - far[-1] * below[-1]) / roots[-1])
        roots.append((diagonal[t] - below[-1].square() - far[-1].square()).sqrt())
        solved.append((right[t] - below[-1] * solved[-1] - far[-1] * solved[-2]) / roots[-1])
    below, far = [*below[1:], zero, zero], [*far, zero, zero]
    back = [zero, zero]
    for t in reversed(range(len(right))):
        here = solved[t + 2] if noise_NTE is None else solved[t + 2] + noise_NTE[:, t]
        back.append((here - below[t + 1] * back[-1] - far[t + 2] * back[-2]) / roots[t + 2])
    return torch.stack(back[:1:-1], 1)


def _padded(value_NTOE: Tensor) -> Tensor:
    """All orders, where what has no two neighbours has no difference."""
    static, moving = value_NTOE[:, :, :1], value_NTOE[:, 1:-1, 1:]
    orders = 1 + DIFFERENCES - value_NTOE.shape[2]
    edges = (1, 1) if value_NTOE.shape[1] > 1 else (0, 1)
    return torch.cat((static, F.pad(moving, (0, 0, 0, orders, *edges))), 2)


def _before(value_NTE: Tensor) -> Tensor:
    """The value one frame before; zero at the first."""
    return F.pad(value_NTE, (0, 0, 1, 0))[:, :-1]


def _after(value_NTE: Tensor) -> Tensor:
    """The value one frame later; zero at the last."""
    return F.pad(value_NTE, (0, 0, 0, 1))[:, 1:]
