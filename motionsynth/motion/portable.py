"""The one BVH layout that every reader places identically, under names that every reader keeps apart.

Readers disagree on position channels: Blender lets them replace the OFFSET and ignores the root's OFFSET, three.js
adds them to it, many know them on the root only. Where positions stand on the root alone, the root's OFFSET is zero
and every bone is its OFFSET, there is nothing to disagree on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import moving_joint
from motionsynth.motion.names import plain_name, portable_names
from motionsynth.motion.rotations import angles_to_matrices
from motionsynth.motion.skeleton import AXES, FloatArray, Skeleton

__all__ = ["to_portable"]

_RIGID: Final = 1e-5
"""A bone is rigid while its translation keeps within this share of the skeleton's reach: exporters write positions
with few digits, which shakes a rigid bone by about 1e-6 of it."""


def to_portable(clip: Clip, *, keep_names: bool = False) -> Clip:
    """Rewrite a clip so that it has positions on the root only, a root OFFSET of zero, and portable names.

    All joints keep their world positions, but for those above the one that travels: where the root's only child moves,
    as in the Bandai Namco corpus and on rigs whose root carries the way over the ground, and likewise further down, the
    root takes over the trajectory and the joints down to the one that travels sit on it. Every other joint's
    translation becomes its OFFSET (the middle of its range, where an exporter's rounding shakes it), and every joint
    gets three rotation channels in its order.

    Args:
        clip: any clip; lengths in its unit.
        keep_names: whether joints keep the names they have; those of ``portable_names`` otherwise.

    Raises:
        ValueError: a bone changes in time, or something else hangs above the joint that travels; names the joint.

    Example:
        >>> from motionsynth import read_bvh, to_portable
        >>> portable = to_portable(read_bvh("walkers/walk_normal_001.bvh"))
        >>> sum("Xposition" in channels for channels in portable.skeleton.channels)
        1
    """
    skeleton = clip.skeleton
    bones, wander = _bones(clip.translations)
    # The translations down to the joint that travels are places, not bones.
    still = _root_is_still(wander, skeleton)
    mover = max(moving_joint(clip), 1 if still else 0)
    reach = _reach(bones, skeleton.parents, start=mover + 1)
    moving = [joint for joint in range(1, len(skeleton)) if wander[joint] > _RIGID * reach]
    beyond = [joint for joint in moving if joint > mover]
    if beyond:
        name, path = skeleton.names[beyond[0]], wander[beyond[0]]
        raise ValueError(f"joint {name!r} moves {path:.4g} against its parent: a portable file has no such bone")
    trajectory = clip.translations[:, 0]
    if moving:
        _check_only_children(skeleton, moving[-1], "the still root " if still else "")
        trajectory = _world_path(clip, moving[-1])
        bones[1 : moving[-1] + 1] = 0.0
    bones[0] = 0.0
    layout = tuple(tuple(f"{axis}rotation" for axis in order) for order in skeleton.orders)
    root_positions = tuple(f"{axis}position" for axis in AXES)
    names, ends = skeleton.names, skeleton.end_sites
    if not keep_names:
        names, ends = portable_names(names), tuple(replace(end, name=plain_name(end.name)) for end in ends)
    portable = Skeleton(names, skeleton.parents, bones, (root_positions + layout[0], *layout[1:]), ends)
    translations = np.tile(bones, (len(clip), 1, 1))
    translations[:, 0] = trajectory
    return Clip(portable, clip.frame_time, clip.angles, translations)


def _bones(translations: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each joint's middle translation, (J, 3), and how far the translation strays along any axis, (J,)."""
    if not len(translations):
        raise ValueError("a clip without frames has no bones")
    low, high = translations.min(axis=0), translations.max(axis=0)
    return np.where(low == high, low, 0.5 * (low + high)), (high - low).max(axis=1)


def _root_is_still(wander: FloatArray, skeleton: Skeleton) -> bool:
    """True where the root stays while its first child, if it has one, does not."""
    return len(skeleton) > 1 and bool(wander[0] <= _RIGID * wander[1]) and bool(wander[1] > 0)


def _reach(bones: FloatArray, parents: tuple[int, ...], *, start: int) -> float:
    """The longest way from the root to a joint along the bones, without the bones of the first ``start`` joints."""
    lengths = np.linalg.norm(bones, axis=1)
    ways = [0.0] * len(parents)
    for joint, parent in enumerate(parents):
        ways[joint] = ways[parent] + float(lengths[joint]) if joint >= start else 0.0
    return max(ways)


def _check_only_children(skeleton: Skeleton, mover: int, kind: str) -> None:
    """A root that takes over the trajectory would carry all else that hangs above the joint that travels along."""
    ways = {mover, *skeleton.ancestors(mover)}
    for above in skeleton.ancestors(mover):
        others = [skeleton.names[child] for child in skeleton.children[above] if child not in ways]
        others += ["its End Site" for end in skeleton.end_sites if end.parent == above]
        if others:
            raise ValueError(
                f"joint {skeleton.names[mover]!r} moves below {kind}{skeleton.names[above]!r}, which has another child "
                f"({others[0]}): the root cannot take over the trajectory"
            )


def _world_path(clip: Clip, joint: int) -> FloatArray:
    """(T, 3) world positions of a joint of the trunk."""
    path = clip.translations[:, joint]
    for above in clip.skeleton.ancestors(joint):
        turned = angles_to_matrices(clip.angles[:, [above]], clip.skeleton.orders[above : above + 1])[:, 0]
        path = clip.translations[:, above] + np.einsum("tij,tj->ti", turned, path)
    return np.asarray(path)
