"""Mirror a clip: the left does what the right did, on the same skeleton.

World motion is reflected across x = 0 (M = diag(-1, 1, 1)), each joint taking its counterpart's part s(j):

    G'_j = M G_s(j) C_j        x'_root = M x_s(root)

C_j, an improper rotation, says how the local frame of j mirrors that of s(j); C_s(j) = C_j^T, so that mirroring twice
is the identity. Where left and right frames are reflections of one another C_j is M itself; exporters that let the
axes follow the bones need others, and :func:`mirror_frames` finds them from the skeleton and the motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Final

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.measure import moving_joint, skeleton_height, up_axis
from motionsynth.motion.rotations import matrices_to_angles, unwrap_angles
from motionsynth.motion.sides import left_right_pairs
from motionsynth.motion.skeleton import AXES, FloatArray, Skeleton
from motionsynth.motion.transform import rotation_channel_counts

__all__ = ["left_right_pairs", "mirror", "mirror_frames"]

_M: Final[FloatArray] = np.diag([-1.0, 1.0, 1.0])
_BONE_WEIGHT: Final = 20.0
_PRIOR_WEIGHT: Final = 0.8
_MISFIT: Final = 0.15
"""Bones that miss by less than this share of their length still tell which axis-aligned frame is meant."""
_FIT: Final = 0.02
"""Bones that miss by less are taken to be lopsided themselves."""
_NOT_A_MIRROR: Final = 0.5
_SHAKE: Final = 1e-5
"""Share of the height by which an exporter's rounding shakes a rigid bone, which a joint without position channels
cannot take over from a counterpart that has them."""


def mirror(clip: Clip, frames: FloatArray | None = None) -> Clip:
    """Reflect a clip across x = 0, the left side taking the right's part and the right the left's.

    Every joint goes where its counterpart's mirror image is, to within the skeleton's own asymmetry: bones keep their
    own length and direction. What moves in time (the trajectory, a bone that stretches) is mirrored as it is.

    Args:
        clip: any clip whose joint names tell left from right.
        frames: (J, 3, 3) of :func:`mirror_frames`; found from this clip where None. Give the same to all clips of a
            corpus, and to both mirrorings of one clip.

    Raises:
        ValueError: names without a counterpart, or without any side; sides that hang on the skeleton differently; a
            skeleton that is no mirror image of itself; a joint with one rotation channel that mirrored turns otherwise.

    Example:
        >>> from motionsynth import mirror, read_bvh
        >>> clip = read_bvh("walkers/walk_normal_001.bvh")
        >>> left, right = (clip.skeleton.names.index(f"{side}Hand") for side in ("Left", "Right"))
        >>> there = mirror(clip).positions()[:, right] * (-1, 1, 1)
        >>> bool(abs(there - clip.positions()[:, left]).max() < 1e-6)
        True
    """
    skeleton, pairs = clip.skeleton, _checked_pairs(clip.skeleton)
    C = mirror_frames(clip) if frames is None else np.asarray(frames, dtype=np.float64)
    if C.shape != (len(skeleton), 3, 3):
        raise ValueError(f"frames must have shape ({len(skeleton)}, 3, 3), not {C.shape}")
    if not len(clip):
        return clip
    other = np.array(pairs)
    above = np.stack([_M if parent < 0 else C[parent] for parent in skeleton.parents])
    # G'_p^T G'_j with the definition of G': all M but the root's cancel, so no error piles up along the chain
    rotations = np.swapaxes(above, 1, 2) @ clip.rotations()[:, other] @ C
    angles = unwrap_angles(matrices_to_angles(rotations, skeleton.orders), skeleton.orders)
    _refuse_missing_channels(skeleton, angles)
    mirrored = np.einsum("jba,tjb->tja", above, clip.translations[:, other])
    carriers = _carriers(clip)
    placed = np.array([_placed(skeleton, joint) for joint in range(len(skeleton))])
    travels = [joint in carriers and placed[joint] for joint in range(len(skeleton))]
    rest = clip.translations.mean(axis=0) - np.einsum("jba,jb->ja", above, clip.translations[:, other].mean(axis=0))
    shake = np.where(placed & placed[other], 0.0, _SHAKE * skeleton_height(clip))
    still = np.ptp(clip.translations, axis=0).max(axis=-1) <= shake
    still &= still[other]
    bones = np.where(still[:, None], clip.translations, mirrored + rest)
    translations = np.where(np.array(travels)[:, None], mirrored, bones)
    return replace(clip, angles=angles, translations=translations)


def mirror_frames(clips: Clip | Sequence[Clip]) -> FloatArray:
    """Find how each joint's local frame mirrors its counterpart's: (J, 3, 3) improper rotations C, C_s(j) = C_j^T.

    Where the pose of zero angles is symmetric, one reflection serves every joint. Otherwise, from the root down, each
    joint takes the axis-aligned improper rotation that maps its counterpart's bones onto its own; where several do (a
    single bone leaves its twist open) the one under which both sides turn alike on average, and rather its parent's;
    and is then turned by what the bones still miss (a Procrustes problem).

    Args:
        clips: one clip, or several of one tree of joints; more clips make the choice surer.

    Raises:
        ValueError: as :func:`mirror`, or clips of several trees, or of none.
    """
    clips = [clips] if isinstance(clips, Clip) else list(clips)
    trees = {(clip.skeleton.names, clip.skeleton.parents) for clip in clips}
    if len(trees) != 1:
        raise ValueError(f"mirror frames are found from clips of one tree of joints, not of {len(trees)}")
    skeleton = clips[0].skeleton
    pairs = _checked_pairs(skeleton)
    carriers = frozenset[int]().union(*(_carriers(clip) for clip in clips))
    bones = [_bone_pairs(clips[0], joint, pairs, carriers) for joint in range(len(skeleton))]
    for frame in (np.diag(signs) for signs in ((-1.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, -1.0))):
        if _fits_throughout(frame, bones):
            return np.repeat(frame[None], len(skeleton), axis=0)
    turns, ups = _mean_turns(clips)
    frames, misfits = np.zeros((len(skeleton), 3, 3)), []
    for joint, parent in enumerate(skeleton.parents):
        other = pairs[joint]
        if other < joint:
            frames[joint] = frames[other].T
            continue
        above = _M if parent < 0 else frames[parent]
        alike = ups[joint] if joint in carriers else turns[other].T @ above @ turns[joint]
        frames[joint] = _best_frame(alike, above, *bones[joint], symmetric=other == joint)
        if _misfit(frames[joint], *bones[joint]) > _NOT_A_MIRROR**2:
            misfits.append(skeleton.names[joint])
    if misfits:
        raise ValueError(
            f"the skeleton is no mirror image of itself: left and right bones differ at {', '.join(misfits)}"
        )
    return frames


def _fits_throughout(frame: FloatArray, bones: list[tuple[FloatArray, FloatArray]]) -> bool:
    """True where the pose of zero angles is symmetric as it stands, so that one reflection serves every joint."""
    together = np.concatenate([own for own, _ in bones]), np.concatenate([theirs for _, theirs in bones])
    worst = max((float(_misfit(frame, *pair)) for pair in bones), default=0.0)
    return bool(_misfit(frame, *together) <= _MISFIT**2 and worst <= _NOT_A_MIRROR**2)


def _checked_pairs(skeleton: Skeleton) -> tuple[int, ...]:
    pairs, names = left_right_pairs(skeleton.names), skeleton.names
    if all(joint == other for joint, other in enumerate(pairs)):
        raise ValueError(f"no joint's name tells left from right: {', '.join(names)}")
    parents = (*skeleton.parents, -1)  # parents[-1] is the root's parent's counterpart
    astray = [names[j] for j, other in enumerate(pairs) if (*pairs, -1)[parents[j]] != parents[other]]
    if astray:
        raise ValueError(f"the parents of these joints and of their counterparts are no pair: {', '.join(astray)}")
    return pairs


def _carriers(clip: Clip) -> frozenset[int]:
    """The joints from the root to the one that travels: their translations are places in the world, not bones."""
    joint, chain = moving_joint(clip), set[int]()
    while joint >= 0:
        chain.add(joint)
        joint = clip.skeleton.parents[joint]
    return frozenset(chain)


def _placed(skeleton: Skeleton, joint: int) -> bool:
    """True where the joint has all three position channels; one that has none stays where it is when mirrored."""
    return sum(channel.endswith("position") for channel in skeleton.channels[joint]) == len(AXES)


def _mean_turns(clips: Sequence[Clip]) -> tuple[FloatArray, FloatArray]:
    """(J, 3, 3) mean local rotations, and the mean of u u^T, u the world's up seen from each joint."""
    turns = ups = np.zeros((len(clips[0].skeleton), 3, 3))
    for clip in clips:
        rotations = clip.rotations()
        up = world_transforms(rotations, clip.translations, clip.skeleton.parents)[1][:, :, "xyz".index(up_axis(clip))]
        turns = turns + rotations.sum(axis=0)
        ups = ups + np.einsum("tja,tjb->jab", up, up)
    frames = max(1, sum(map(len, clips)))
    return turns / frames, ups / frames


def _bone_pairs(
    clip: Clip, joint: int, pairs: tuple[int, ...], carriers: frozenset[int]
) -> tuple[FloatArray, FloatArray]:
    """(B, 3) the bones that leave a joint, end sites included, and (B, 3) their counterparts'."""
    skeleton = clip.skeleton
    rest = clip.translations.mean(axis=0) if len(clip) else skeleton.offsets
    children = [child for child in skeleton.children[joint] if child not in carriers]
    own, theirs = [rest[child] for child in children], [rest[pairs[child]] for child in children]
    ends: list[list[FloatArray]] = [
        [np.array(end.offset) for end in skeleton.end_sites if end.parent == j] for j in (joint, pairs[joint])
    ]
    if len(ends[0]) == len(ends[1]) and (joint != pairs[joint] or len(ends[0]) == 1):
        own, theirs = own + ends[0], theirs + ends[1]
    return np.array(own).reshape(-1, 3), np.array(theirs).reshape(-1, 3)


def _improper_frames() -> FloatArray:
    """(24, 3, 3) the axis-aligned improper rotations."""
    every = [
        np.diag(signs)[list(order)] for order in permutations(range(3)) for signs in product((-1.0, 1.0), repeat=3)
    ]
    return np.array([frame for frame in every if np.linalg.det(frame) < 0])


def _misfit(C: FloatArray, own: FloatArray, theirs: FloatArray) -> FloatArray:
    """|C own - theirs|^2 as a share of |own|^2, for one frame or many."""
    size = float((own**2).sum())
    missed = ((own @ np.swapaxes(C, -1, -2) - theirs) ** 2).sum(axis=(-2, -1))
    return np.asarray(missed / size if size else np.zeros(C.shape[:-2]))


def _best_frame(
    alike: FloatArray, above: FloatArray, own: FloatArray, theirs: FloatArray, *, symmetric: bool
) -> FloatArray:
    """The improper rotation C with C @ own nearest to theirs, and <alike, C> large where bones leave a choice."""
    frames = _improper_frames()
    if np.abs(frames - above).max(axis=(1, 2)).min() > _MISFIT:  # these axes follow no grid, a child's may neither
        frames = np.concatenate([frames, above[None]])
    if symmetric:
        frames = frames[np.isclose(frames, np.swapaxes(frames, 1, 2), atol=1e-9).all(axis=(1, 2))]
    misfits = _misfit(frames, own, theirs)
    if misfits.min() > _MISFIT**2:
        # by bones and parent alone: what the clip's motion adds would differ in its mirror image
        return _fitted_frame(above, own, theirs, symmetric)
    scores = (frames * (alike + _PRIOR_WEIGHT * above)).sum(axis=(1, 2)) - _BONE_WEIGHT * misfits
    best = int(np.argmax(scores))
    return np.asarray(frames[best]) if misfits[best] <= _FIT**2 else _fitted_frame(frames[best], own, theirs, symmetric)


def _fitted_frame(start: FloatArray, own: FloatArray, theirs: FloatArray, symmetric: bool) -> FloatArray:
    """The improper rotation that takes one set of bones nearest to the other; start decides what they leave open."""
    covariance = theirs.T @ own
    U, sizes, Vt = np.linalg.svd((covariance + covariance.T) / 2 if symmetric else covariance)
    if not sizes[0]:
        return start
    sizes[sizes < 0.01 * sizes[0]] = 0.0  # bones in (nearly) one line or plane say nothing about the rest
    bones = (U * sizes / sizes[0]) @ Vt
    C = start
    for _ in range(4):  # each round, what start adds to the bones is more nearly what they say themselves
        C = _nearest_improper(bones + 1e-4 * C, symmetric)
    return C


def _nearest_improper(A: FloatArray, symmetric: bool) -> FloatArray:
    """The orthogonal matrix with determinant -1 that is nearest to A; a symmetric one on demand."""
    if symmetric:
        values, V = np.linalg.eigh((A + A.T) / 2)
        signs = np.where(values < 0, -1.0, 1.0)
        if signs.prod() > 0:
            signs[np.argmin(np.abs(values))] *= -1
        return np.asarray((V * signs) @ V.T)
    U, _, Vt = np.linalg.svd(A)
    U[:, 2] *= -np.linalg.det(U @ Vt)
    return np.asarray(U @ Vt)


def _refuse_missing_channels(skeleton: Skeleton, angles: FloatArray) -> None:
    for joint, count in enumerate(rotation_channel_counts(skeleton)):
        if count < len(AXES) and np.abs(angles[:, joint, count:]).max(initial=0.0) > 1e-6:
            raise ValueError(
                f"joint {skeleton.names[joint]!r}, mirrored, turns about axes that its channels "
                f"{skeleton.channels[joint]} do not hold"
            )
