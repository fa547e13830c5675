"""People of several sizes on one set of bones: rotations stay, and the way travelled is scaled by the length of legs.

Rotations of two people mean one pose only where their rest poses are one, so people whose bones point elsewhere at rest
are refused.

Shapes: J joints; bones are positions of joints in their parents' frames, as ``FeatureSpec.rest_array`` holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from motionsynth.errors import ConfigError, list_first
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import read_regular
from motionsynth.hashes import hash_bytes
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import EndSite, FloatArray

__all__ = [
    "BONES_DIFFER",
    "SAME_DIRECTION",
    "bone_cosines",
    "bones_sha256",
    "distinct_bones",
    "leg_length",
    "mean_bones",
    "put_on",
    "with_bones",
]

SAME_DIRECTION: Final = 0.94
"""Cosine of 20 degrees, by which a bone may point elsewhere at rest than the corpus': those of the people of HDM05 do
by up to 13, and arms of a T-pose and an A-pose by 45."""
BONES_DIFFER: Final = "data.bones=mean takes people of several sizes"
_SHORT: Final = 0.05
"""Share of the longest bone; where a shorter one points does not matter."""
_SAME_BONES: Final = 1e-3
"""Difference of a bone, as a share of the longest, up to which two files are of one person."""
_DECIMALS: Final = 6
"""Digits that ``skeleton.bvh`` of a run keeps, which then holds the very same bones."""


def leg_length(spec: FeatureSpec, bones: FloatArray) -> float:
    """Length of bone from the moving joint down to the toes, or to ankles without toes, mean over the legs.

    Without legs known by name it is the length of all bones.

    Args:
        spec: whose joints they are.
        bones: (J, 3), in any unit, in which the result is.
    """
    from motionsynth.motion.feet import find_legs

    skeleton = spec.skeleton()
    lengths = np.zeros(len(bones))
    lengths[list(spec.joints_below)] = np.linalg.norm(bones[list(spec.joints_below)], axis=-1)
    ends = [leg.ankle if leg.toe is None else leg.toe for leg in find_legs(skeleton)]
    legs = [lengths[[end, *skeleton.ancestors(end)]].sum() for end in ends]
    return float(np.mean(legs) if any(legs) else lengths.sum())


def put_on(clip: Clip, spec: FeatureSpec) -> tuple[Clip, float]:
    """Move the bones of a corpus as a clip moves its own.

    Rotations stay. Positions of the moving joint, its height among them, are multiplied by the ratio of leg lengths,
    so that feet that stand still do so on legs of the same proportions.

    Args:
        clip: y up, with the spec's joints in their order, in the spec's unit; its bones rigid.
        spec: holds the bones.

    Returns:
        The clip, and the ratio; the very clip and 1 where it has these bones.

    Raises:
        ValueError: its rest pose is another; names bones.
    """
    own = clip.translations[0]
    if spec.mismatch(clip.skeleton, own) is None:
        return clip, 1.0
    _refuse_rest_pose(own, spec)
    ratio = leg_length(spec, spec.rest_array) / max(leg_length(spec, own), np.finfo(float).tiny)
    below = list(spec.joints_below)
    translations, offsets = clip.translations * ratio, clip.skeleton.offsets * ratio
    translations[:, below] = offsets[below] = spec.rest_array[below]
    skeleton = replace(clip.skeleton, offsets=offsets, end_sites=spec.end_sites)
    return replace(clip, skeleton=skeleton, translations=translations), ratio


def _refuse_rest_pose(bones: FloatArray, spec: FeatureSpec) -> None:
    cosines = np.ones(len(bones))
    cosines[list(spec.joints_below)] = bone_cosines(bones, spec.rest_array)[list(spec.joints_below)]
    worst = int(cosines.argmin())
    if cosines[worst] < SAME_DIRECTION:
        odd = [spec.names[joint] for joint in np.argsort(cosines, kind="stable") if cosines[joint] < SAME_DIRECTION]
        raise ValueError(
            f"its rest pose is not that of the corpus, so its rotations mean other poses: cosine {cosines[worst]:.2f}, "
            f"at least {SAME_DIRECTION}, between directions of the bone to {spec.names[worst]}; bones that point "
            f"elsewhere: {list_first(odd, 4)}"
        )


def bone_cosines(bones: FloatArray, others: FloatArray) -> FloatArray:
    """(J,) cosines between directions of bones and of others; 1 where the other is short, 0 where a bone has none."""
    lengths, theirs = (np.linalg.norm(array, axis=-1) for array in (bones, others))
    matters = theirs > _SHORT * theirs.max(initial=0.0)
    sizes = np.maximum(lengths * theirs, np.finfo(float).tiny)
    return np.where(matters, (bones * others).sum(-1) / sizes, 1.0)


def distinct_bones(people: Sequence[FloatArray]) -> tuple[FloatArray, list[int]]:
    """The different sets of bones among those of files, (P, J, 3), and which of them each file has."""
    distinct, whose = people[0][None], [0]
    for bones in people[1:]:
        off = np.linalg.norm(distinct - bones, axis=-1).max(1)
        if (off > _SAME_BONES * np.linalg.norm(bones, axis=-1).max()).all():
            distinct, off = np.concatenate([distinct, bones[None]]), np.append(off, 0.0)
        whose.append(int(off.argmin()))
    return distinct, whose


def mean_bones(people: Sequence[FloatArray]) -> FloatArray:
    """The mean of several people's bones: of each the mean length, along the mean direction.

    Files with the same bones are of one person and count once, however many they are. Where rest poses differ, who is
    farthest from the mean has no part in it, one person after another until the others agree.

    Args:
        people: (J, 3) bones of each file, at least one; zero for the moving joint and above.
    """
    distinct, _ = distinct_bones(people)
    while True:
        directions = _directions(distinct)
        directions[0] *= 1 + 1e-9  # of two who point in opposite directions the first decides
        lengths = np.linalg.norm(distinct, axis=-1, keepdims=True)
        mean: FloatArray = _directions(directions.sum(0)) * lengths.mean(0)
        cosines = np.array([bone_cosines(bones, mean).min() for bones in distinct]).round(_DECIMALS)
        if cosines.min() >= SAME_DIRECTION or len(distinct) == 1:
            return mean
        last = len(distinct) - 1 - int(cosines[::-1].argmin())  # of two who differ the first is kept
        distinct = np.delete(distinct, last, axis=0)


def _directions(bones: FloatArray) -> FloatArray:
    return np.asarray(bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), np.finfo(float).tiny))


def with_bones(spec: FeatureSpec, bones: FloatArray, end_sites: tuple[EndSite, ...] = ()) -> FeatureSpec:
    """The same features decoded onto other bones, with these end sites, or those of the spec scaled by leg length."""
    below = np.isin(np.arange(len(spec.names)), spec.joints_below)[:, None]
    rest = np.where(below, bones, 0.0).round(_DECIMALS) + 0.0  # no -0.0
    size = max(leg_length(spec, spec.rest_array), np.finfo(float).tiny)
    ratio = 1.0 if end_sites else leg_length(spec, bones) / size
    tips = tuple(replace(end, offset=_scaled(end.offset, ratio)) for end in end_sites or spec.end_sites)
    return replace(spec, rest=tuple((float(x), float(y), float(z)) for x, y, z in rest), end_sites=tips)


def _scaled(offset: tuple[float, float, float], ratio: float) -> tuple[float, float, float]:
    x, y, z = (np.array(offset) * ratio).round(_DECIMALS) + 0.0
    return float(x), float(y), float(z)


def bones_sha256(path: Path) -> str:
    """SHA-256 of a file that ``data.bones`` names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return hash_bytes(read_regular(path))
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read as data.bones: {error.strerror or error}") from error
