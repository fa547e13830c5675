"""One clip brought to the layout of its corpus: order of joints, up axis, unit, rigid bones, frame rate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from motionsynth.corpus.bones import BONES_DIFFER, put_on
from motionsynth.corpus.facts import Facts
from motionsynth.corpus.plan import Plan
from motionsynth.errors import list_first
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import (
    UNITS,
    detect_units,
    detect_up,
    find_mover,
    jumps_at_start,
    moving_joint,
    refuse_vast,
    stretching_bones,
    up_axis,
)
from motionsynth.motion.names import restore_names
from motionsynth.motion.resample import resample
from motionsynth.motion.skeleton import FloatArray
from motionsynth.motion.transform import order_joints, scale_lengths, to_y_up

__all__ = ["DeeperMoverError", "OtherSkeletonError", "aligned", "conform", "own_bones", "skeleton_signature"]

_NEAR: Final = 0.02
"""A factor this near the ratio of two units is taken for it, if all bones then agree."""


class OtherSkeletonError(ValueError):
    """A clip has other joints or bones than its corpus."""


class DeeperMoverError(ValueError):
    """A joint of the trunk moves below the one whose path is the corpus' trajectory; ``joint`` is its name."""

    def __init__(self, message: str, joint: str) -> None:
        super().__init__(message)
        self.joint = joint


def conform(clip: Clip, plan: Plan) -> tuple[Clip, Facts]:
    """Bring a clip to the corpus' order of joints, up axis, unit and frame rate; beside it what was found in it.

    Raises:
        ValueError: the clip cannot be turned, has other joints or bones, or bones that change length; says which.
    """
    if len(clip) < 2:
        raise ValueError(f"has {len(clip)} frame(s): at least 2 are needed")
    clip, facts = aligned(clip, plan)
    _refuse_stretching(clip, plan.spec, facts.mover)
    if plan.any_bones:
        clip, ratio = put_on(clip, plan.spec)
        facts = facts._replace(legs=ratio)
    clip = resample(clip, plan.spec.frame_rate)
    if len(clip) < 2:
        raise ValueError(f"lasts less than 2 frames at {plan.spec.frame_rate:g} frames a second")
    return clip, facts


def aligned(clip: Clip, plan: Plan) -> tuple[Clip, Facts]:
    """Bring a clip to the corpus' order of joints, up axis and unit; beside it what was found in it.

    Raises:
        ValueError: the clip cannot be turned, or has other joints, or other bones where the plan has one kind; says
            which.
    """
    refuse_vast(clip)
    clip = restore_names(clip, plan.spec.names)
    mover = find_mover(clip)
    facts = Facts(
        clip.frame_rate, mover=clip.skeleton.names[mover.joint] if mover.seen else "", jumps=jumps_at_start(clip)
    )
    ordered = order_joints(clip, plan.spec.names)
    clip, facts = _turned(ordered, plan, facts._replace(reordered=ordered is not clip))
    return _scaled(clip, plan, facts)


def own_bones(clip: Clip, plan: Plan) -> FloatArray:
    """(J, 3) a clip's own bones in the corpus' order and unit, zero for the moving joint and above.

    Raises:
        ValueError: the clip cannot be turned, or has other joints.
    """
    below = np.isin(np.arange(len(plan.spec.names)), plan.spec.joints_below)[:, None]
    return np.where(below, aligned(clip, replace(plan, any_bones=True))[0].translations[0], 0.0)


def _turned(clip: Clip, plan: Plan, facts: Facts) -> tuple[Clip, Facts]:
    """The clip with y up: by the corpus' axis, or its own where the motion shows that beyond doubt."""
    up = plan.up
    if up == "auto":
        up = up_axis(clip)
    elif plan.own_up and (found := detect_up(clip, known=up)).axis != up:
        if found.certain:
            up = found.axis
            facts = facts._replace(own_up=up)
        else:
            facts = facts._replace(seeming_up=found.axis)
    return to_y_up(clip, "z" if up == "z" else "y"), facts


def _scaled(clip: Clip, plan: Plan, facts: Facts) -> tuple[Clip, Facts]:
    """The clip in the corpus' unit; refuses bones that differ by anything but the ratio of two units, if any may not.

    Bones that may differ are a person's: where no person is as tall in the corpus' unit, the likeliest other is theirs.
    """
    spec = plan.spec
    difference = spec.mismatch(clip.skeleton, clip.translations[0])
    if difference is None:
        return clip, facts
    if other_tree := spec.tree_mismatch(clip.skeleton):
        raise OtherSkeletonError(other_tree)
    factor = _bone_factor(clip, spec)
    for unit, ratio in _unit_ratios(spec.metres_per_unit).items():
        if abs(factor / ratio - 1.0) < _NEAR:
            scaled = scale_lengths(clip, 1.0 / ratio)
            if spec.mismatch(scaled.skeleton, scaled.translations[0]) is None:
                return scaled, facts._replace(scale=ratio, unit=unit if unit in UNITS else "")
    if plan.any_bones:
        units = detect_units(clip)
        ratios = _unit_ratios(spec.metres_per_unit)
        if not units.candidates or not set(units.candidates) <= set(ratios):
            return clip, facts
        ratio = ratios[units.name]
        return scale_lengths(clip, 1.0 / ratio), facts._replace(scale=ratio, unit=units.name)
    if factor > 0 and spec.mismatch(clip.skeleton, clip.translations[0] / factor) is None:
        difference = (
            f"all its bones are {factor:.4g} times as long as those of the corpus, which is the ratio of no two units "
            f"known ({', '.join(UNITS)}): a person of another size, or a file to be scaled first"
        )
    raise OtherSkeletonError(f"{difference}; {BONES_DIFFER}")


def _bone_factor(clip: Clip, spec: FeatureSpec) -> float:
    """The factor that brings the corpus' bones nearest to the clip's."""
    below = list(spec.joints_below)
    own, theirs = spec.rest_array[below], clip.translations[0, below]
    return float((own * theirs).sum() / max((own * own).sum(), np.finfo(float).tiny))


def _unit_ratios(metres: float) -> dict[str, float]:
    """Other unit -> what its numbers are, as a multiple of those in a unit of so many metres.

    Where that unit is unknown, the ratios of all pairs, whose names say nothing.
    """
    if any(abs(metres / known - 1.0) < 1e-9 for known in UNITS.values()):
        return {name: metres / known for name, known in UNITS.items() if abs(metres / known - 1.0) > _NEAR}
    return {f"{a}/{b}": UNITS[b] / UNITS[a] for a in UNITS for b in UNITS if a != b}


def _refuse_stretching(clip: Clip, spec: FeatureSpec, mover: str) -> None:
    below = {spec.names[joint] for joint in spec.joints_below}
    top = spec.names[spec.moving_joint]
    if mover in below:
        raise DeeperMoverError(f"{mover} moves below {top}, whose path is the trajectory here", mover)
    stretching = [name for name in stretching_bones(clip, mover=spec.moving_joint) if name in below]
    if stretching:
        raise ValueError(f"bones change length in time: {list_first(stretching, 4)}; features hold rigid bones only")


def skeleton_signature(clip: Clip, *, any_bones: bool = False) -> tuple[Any, ...]:
    """The identity of a skeleton: joints, tree, and bones to a hundredth of the longest, if they are not all one.

    The order in which a file lists its joints and the unit of its lengths are no part of it.
    """
    bones = np.linalg.norm(clip.translations[0], axis=-1)
    bones[: moving_joint(clip) + 1] = 0.0  # these translations are places, not bones
    shares = np.round(bones / max(bones.max(), np.finfo(float).tiny) * (not any_bones), 2).tolist()
    names = clip.skeleton.names
    above = [names[parent] if parent >= 0 else "" for parent in clip.skeleton.parents]
    return tuple(sorted(zip(names, above, shares, strict=True)))
