"""The two torch forms of forward kinematics: hand-written passes on views, and plain differentiable tensors.

Shapes: J joints, N frames, last in memory. See :mod:`motionsynth.motion.kinematics` for the equations.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["FusedKinematics", "Group", "joint_groups", "level_by_level", "plan_groups"]

_NEAREST = 8
"""Following joints that are tried as the second of a group; keeps the plan of a 1,000-joint skeleton cheap."""


class Group(NamedTuple):
    """Joints of one depth, evenly spaced in the file as their parents are: one strided view holds them all."""

    joints: slice
    parents: slice
    """One parent for all, or as many as there are joints."""
    siblings: bool
    """Several joints share one parent."""
    leaves: bool
    """True where no joint has a child, so nothing hangs on their rotation but itself."""


@lru_cache(maxsize=64)
def joint_groups(parents: tuple[int, ...]) -> tuple[Group, ...]:
    """:func:`plan_groups`, remembered."""
    return plan_groups(parents)


def plan_groups(parents: tuple[int, ...]) -> tuple[Group, ...]:
    """Split all joints but the root into groups, parents before children.

    Raises:
        ValueError: joint 0 is not the only root, or a parent follows its child.
    """
    if not parents or parents[0] != -1 or any(not 0 <= p < j for j, p in enumerate(parents) if j):
        raise ValueError("joint 0 must be the only root (parent -1), and every parent must precede its child")
    inner, depths = set(parents), [0] * len(parents)
    layers: dict[tuple[int, bool], list[int]] = {}
    for joint, parent in enumerate(parents[1:], start=1):
        depths[joint] = depths[parent] + 1
        layers.setdefault((depths[joint], joint not in inner), []).append(joint)
    groups = []
    for (_, leaves), rest in sorted(layers.items()):
        while rest:
            run = _longest_run(rest, parents)
            groups.append(_group(run, parents, leaves))
            rest = [joint for joint in rest if joint not in set(run)]
    return tuple(groups)


def _longest_run(rest: list[int], parents: tuple[int, ...]) -> list[int]:
    """The longest evenly spaced run of joints, their parents evenly spaced too, that starts at the first joint."""
    first, there, best = rest[0], set(rest), [rest[0]]
    for second in rest[1 : 1 + _NEAREST]:
        step, parent_step = second - first, parents[second] - parents[first]
        run = [first]
        while run[-1] + step in there and parents[run[-1] + step] == parents[run[-1]] + parent_step:
            run.append(run[-1] + step)
        if parent_step >= 0 and len(run) > len(best):
            best = run
    return best


def _group(run: list[int], parents: tuple[int, ...], leaves: bool) -> Group:
    first, parent, count = run[0], parents[run[0]], len(run)
    step = run[1] - first if count > 1 else 1
    parent_step = parents[run[1]] - parent if count > 1 else 0
    joints = slice(first, run[-1] + 1, step)
    if not parent_step:
        return Group(joints, slice(parent, parent + 1), count > 1, leaves)
    return Group(joints, slice(parent, parents[run[-1]] + 1, parent_step), False, leaves)


def level_by_level(
    rotations_J33N: Tensor, translations_J3N: Tensor, groups: tuple[Group, ...]
) -> tuple[Tensor, Tensor]:
    """Forward kinematics in plain tensor operations: what ``torch.compile`` fuses, and differentiable twice."""
    globals_: list[Tensor] = [rotations_J33N[0]] * len(rotations_J33N)
    positions: list[Tensor] = [translations_J3N[0]] * len(rotations_J33N)
    for group in groups:
        numbers = range(*group.joints.indices(len(globals_)))
        P = torch.stack(globals_[group.parents])
        R, t = rotations_J33N[group.joints], translations_J3N[group.joints]
        G = P[:, :, 0, None] * R[:, None, 0] + P[:, :, 1, None] * R[:, None, 1] + P[:, :, 2, None] * R[:, None, 2]
        x = torch.stack(positions[group.parents])
        x = x + P[:, :, 0] * t[:, None, 0] + P[:, :, 1] * t[:, None, 1] + P[:, :, 2] * t[:, None, 2]
        for number, joint in enumerate(numbers):
            globals_[joint], positions[joint] = G[number], x[number]
    return torch.stack(positions), torch.stack(globals_)


class FusedKinematics(torch.autograd.Function):
    """Forward kinematics written in place on views, with the backward pass the tree itself suggests.

    With F_j the sum of the position gradients of j and all below it, and H_j the gradient of G_j:

        dt_j = G_p^T F_j      dR_j = G_p^T H_j      H_p += F_j t_j^T + H_j R_j^T      F_p += F_j
    """

    @staticmethod
    def forward(
        ctx: Any, rotations_J33N: Tensor, translations_J3N: Tensor, groups: tuple[Group, ...]
    ) -> tuple[Tensor, Tensor]:
        rotations, translations = rotations_J33N.contiguous(), translations_J3N
        globals_ = torch.empty_like(rotations)
        positions = torch.empty(translations.shape, dtype=translations.dtype, device=translations.device)
        globals_[0], positions[0] = rotations[0], translations[0]
        for group in groups:
            P, t, x = globals_[group.parents], translations[group.joints], positions[group.joints]
            torch.addcmul(positions[group.parents], P[:, :, 0], t[:, None, 0], out=x)
            x.addcmul_(P[:, :, 1], t[:, None, 1]).addcmul_(P[:, :, 2], t[:, None, 2])
            R, G = rotations[group.joints], globals_[group.joints]
            torch.mul(P[:, :, 0, None], R[:, None, 0], out=G)
            G.addcmul_(P[:, :, 1, None], R[:, None, 1]).addcmul_(P[:, :, 2, None], R[:, None, 2])
        ctx.save_for_backward(rotations_J33N, translations_J3N, globals_)
        ctx.groups = groups
        ctx.set_materialize_grads(False)
        return positions, globals_

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        if all(grad is None for grad in grads):
            return None, None, None
        wanted = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # the caller will differentiate once more
            return *_differentiable_backward(ctx.saved_tensors[:2], grads, wanted, ctx.groups), None
        return *_fused_backward(ctx.saved_tensors, grads, wanted[1], ctx.groups), None


def _differentiable_backward(
    inputs: tuple[Tensor, Tensor],
    grads: tuple[Tensor | None, ...],
    wanted: tuple[bool, bool],
    groups: tuple[Group, ...],
) -> tuple[Tensor | None, Tensor | None]:
    outputs = level_by_level(*inputs, groups)
    pairs = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if grad is not None]
    found = iter(
        torch.autograd.grad(
            [output for output, _ in pairs],
            [tensor for tensor, needed in zip(inputs, wanted, strict=True) if needed],
            [grad for _, grad in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    rotations, translations = (next(found) if needed else None for needed in wanted)
    return rotations, translations


def _fused_backward(
    saved: tuple[Tensor, Tensor, Tensor],
    grads: tuple[Tensor | None, ...],
    wants_translations: bool,
    groups: tuple[Group, ...],
) -> tuple[Tensor, Tensor | None]:
    rotations, translations, globals_ = saved
    F, H = _accumulator(grads[0], translations), _accumulator(grads[1], rotations)
    grad_rotations = torch.empty_like(H)
    grad_translations = torch.empty_like(F) if wants_translations else None
    for group in reversed(groups):
        here, up = group.joints, group.parents
        P, R, t, f, h = globals_[up], rotations[here], translations[here], F[here], H[here]
        if grad_translations is not None:
            d = torch.mul(P[:, 0], f[:, 0, None], out=grad_translations[here])
            d.addcmul_(P[:, 1], f[:, 1, None]).addcmul_(P[:, 2], f[:, 2, None])
        into = torch.zeros_like(h) if group.siblings else H[up]
        into.addcmul_(f[:, :, None], t[:, None])
        if group.leaves and grads[1] is None:  # h is zero: no position hangs on a leaf's rotation
            grad_rotations[here] = 0
        else:
            D = torch.mul(P[:, 0, :, None], h[:, 0, None], out=grad_rotations[here])
            D.addcmul_(P[:, 1, :, None], h[:, 1, None]).addcmul_(P[:, 2, :, None], h[:, 2, None])
            for k in range(3):
                into.addcmul_(h[:, :, k, None], R[:, None, :, k])
        if group.siblings:
            H[up] += into.sum(0, keepdim=True)
        F[up] += f.sum(0, keepdim=True) if group.siblings else f
    grad_rotations[0] = H[0]
    if grad_translations is not None:
        grad_translations[0] = F[0]
    return grad_rotations, grad_translations


def _accumulator(grad: Tensor | None, like: Tensor) -> Tensor:
    """A dense tensor of our own to add to: the caller's gradient is never written on."""
    out = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    return out.zero_() if grad is None else out.copy_(grad)
