"""What a clip does not say about itself: how tall it is, in which unit, which way is up, and which joint travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import FloatArray, Skeleton

__all__ = [
    "UNITS",
    "Units",
    "detect_units",
    "moving_joint",
    "refuse_vast",
    "skeleton_height",
    "stretching_bones",
    "trunk",
    "up_axis",
]

UNITS: Final = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "cmu": 0.0254 / 0.45}
"""Metres in one unit; ``cmu``: inches divided by 0.45, as in the CMU mocap library and all that descends from it."""

_PERSON_M: Final = (0.8, 2.3)
"""Heights that :func:`skeleton_height` finds for people, children too, in metres: from the ankles to the head joint."""
_ADULT_M: Final = 1.6
_STILL: Final = 1e-4
"""A translation that stays within this share of the height stands still: 0.2 mm on a person."""
_VAST: Final = 1e15
"""Units of length: no unit makes a body so large, or small as its inverse, and squares of more leave float64."""
_LIMB: Final = 3
"""So many joints in a side chain make a limb; fewer are a prop, a tip or a helper."""


@dataclass(frozen=True)
class Units:
    """The unit of length of a file, as far as its skeleton tells."""

    name: str
    """A key of :data:`UNITS`, or ``"unknown"``."""
    metres: float
    """Metres in one unit; where unknown, what makes the skeleton 1.6 m tall."""
    height: float
    """The skeleton's height in the file's unit."""
    candidates: tuple[str, ...]
    """Every unit in which this is the height of a person, the likeliest first; empty if none."""

    @property
    def certain(self) -> bool:
        """Whether exactly one unit fits; otherwise the user had better name it."""
        return len(self.candidates) == 1


def refuse_vast(clip: Clip) -> None:
    """Raise ``ValueError`` where a joint is too far from its parent for anything to be measured; names it."""
    far_TJ = np.abs(clip.translations).max(axis=-1, initial=0.0)
    if far_TJ.max(initial=0.0) > _VAST:
        frame, joint = np.unravel_index(int(far_TJ.argmax()), far_TJ.shape)
        name, distance = clip.skeleton.names[joint], far_TJ[frame, joint]
        raise ValueError(f"joint {name!r} lies {distance:.3g} units from its parent in frame {frame}; no body does")


def trunk(skeleton: Skeleton) -> tuple[int, ...]:
    """List the joints, root first, that carry everything but props: those that can hold the trajectory.

    The walk goes down to the child that carries most, and stops where a second child carries three joints,
    or as many as the first.
    """
    carried = np.ones(len(skeleton), dtype=np.intp)
    for joint in range(len(skeleton) - 1, 0, -1):
        carried[skeleton.parents[joint]] += carried[joint]
    chain = [0]
    while children := sorted(skeleton.children[chain[-1]], key=lambda child: -int(carried[child])):
        if len(children) > 1 and carried[children[1]] >= min(_LIMB, int(carried[children[0]])):
            break
        chain.append(children[0])
    return tuple(chain)


def moving_joint(clip: Clip) -> int:
    """Find the joint that carries the trajectory: the first on the trunk, from the root, whose translation moves.

    In some corpora the ROOT stands at the origin and its child travels. Joints beyond the first branching never count,
    whatever their bones do. Where nothing moves: the first on the trunk with position channels, or the root.
    """
    chain = trunk(clip.skeleton)
    travel = _travel(clip)
    threshold = _STILL * _size(clip, chain[-1])
    for joint in chain:
        if travel[joint] > threshold:
            return joint
    for joint in chain:
        if any(channel.endswith("position") for channel in clip.skeleton.channels[joint]):
            return joint
    return 0


def stretching_bones(clip: Clip, tolerance: float = 1e-3) -> list[str]:
    """Name the joints below the moving joint whose translation changes in time, in file order.

    Args:
        clip: any clip.
        tolerance: largest change that passes, as a share of the skeleton's height (1e-3: 2 mm on a person).
    """
    skeleton, mover = clip.skeleton, moving_joint(clip)
    below = np.zeros(len(skeleton), dtype=bool)
    for joint in range(mover + 1, len(skeleton)):
        below[joint] = skeleton.parents[joint] == mover or below[skeleton.parents[joint]]
    stretched = below & (_travel(clip) > tolerance * skeleton_height(clip))
    return [skeleton.names[joint] for joint in np.flatnonzero(stretched)]


def skeleton_height(clip: Clip) -> float:
    """Measure how tall the skeleton is, in the file's unit, whatever pose it is in.

    The length of bone from the head joint down to the pelvis, and on to the lower ankle (toes do not add height),
    where joints are named so; otherwise the longest side of the posed skeleton's bounding box, median over frames.
    """
    skeleton = clip.skeleton
    head, feet = _named(skeleton, ("head",)), _feet(skeleton)
    if head is None or not feet or not len(clip):
        return _box(clip)
    lengths = np.linalg.norm(np.median(clip.translations, axis=0), axis=-1)
    to_head = (head, *skeleton.ancestors(head))
    chains = []
    for foot in feet:
        to_foot = (foot, *skeleton.ancestors(foot))
        chains.append(float(lengths[sorted(set(to_head) ^ set(to_foot))].sum()))
    return max(chains) or _box(clip)


def detect_units(clip: Clip) -> Units:
    """Guess the unit of length from the skeleton's height: the unit in which it is a person's, 0.8 m to 2.3 m.

    Where several fit, the one that makes the person nearest to 1.6 m is named, and the result is not certain.
    """
    height = skeleton_height(clip)
    fits = [name for name, metres in UNITS.items() if _PERSON_M[0] <= height * metres <= _PERSON_M[1]]
    fits.sort(key=lambda name: abs(np.log(height * UNITS[name] / _ADULT_M)))
    if fits:
        return Units(fits[0], UNITS[fits[0]], height, tuple(fits))
    return Units("unknown", _ADULT_M / height if height > 1 / _VAST else 1.0, height, ())


def up_axis(clip: Clip) -> Literal["y", "z"]:
    """Tell which world axis points up, ``"y"`` or ``"z"``: along which the head stands higher above the feet.

    Without joints so named: z where the posed skeleton is twice as long that way. Medians over the frames.
    """
    if not len(clip):
        return "y"
    positions = clip.positions()
    head, feet = _named(clip.skeleton, ("head",)), _feet(clip.skeleton)
    if head is not None and feet:
        above = np.median(positions[:, head] - positions[:, feet].mean(axis=1), axis=0)
    else:
        above = _extent(clip, positions) * (1.0, 1.0, 0.5)
    return "z" if above[2] > max(above[1], 0.0) else "y"


def _travel(clip: Clip) -> FloatArray:
    """(J,) the diagonal of the box in which each joint's translation stays."""
    if not len(clip):
        return np.zeros(len(clip.skeleton))
    return np.asarray(np.linalg.norm(np.ptp(clip.translations, axis=0), axis=-1))


def _size(clip: Clip, body: int) -> float:
    """Roughly the body's size, from bones alone: the longest way down from a joint, twice."""
    reach = np.zeros(len(clip.skeleton))
    lengths = np.linalg.norm(np.median(clip.translations, axis=0), axis=-1) if len(clip) else reach
    for joint in range(len(clip.skeleton) - 1, 0, -1):
        parent = clip.skeleton.parents[joint]
        reach[parent] = max(reach[parent], reach[joint] + lengths[joint])
    return 2.0 * float(reach[body])


def _extent(clip: Clip, positions: FloatArray) -> FloatArray:
    """(3,) sides of the box around the moving joint and all below it, median over frames."""
    body = positions[:, moving_joint(clip) :]
    return np.asarray(np.median(np.ptp(body, axis=1), axis=0))


def _box(clip: Clip) -> float:
    return float(_extent(clip, clip.positions()).max()) if len(clip) else 0.0


def _named(skeleton: Skeleton, words: tuple[str, ...]) -> int | None:
    """The shallowest joint whose name, without its namespace, ends in one of the words (digits and marks aside)."""
    plain = [_plain(name) for name in skeleton.names]
    found = [joint for joint, name in enumerate(plain) if name.endswith(words)]
    return min(found, key=lambda joint: skeleton.depths[joint]) if found else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.rsplit(":", 1)[-1].lower() if letter.isalpha() or letter in "_. -")


def _feet(skeleton: Skeleton) -> list[int]:
    """The ankles: joints called so, or a foot where there is none."""
    for word in ("ankle", "foot"):
        found = [joint for joint, name in enumerate(skeleton.names) if word in name.rsplit(":", 1)[-1].lower()]
        shallow = [j for j in found if not set(skeleton.ancestors(j)) & set(found)]
        if shallow:
            return shallow
    return []
