"""Properties that a clip does not state: its height, its unit, which way is up, and which joint travels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.rotations import angles_to_matrices
from motionsynth.motion.skeleton import FloatArray, Skeleton

__all__ = [
    "UNITS",
    "Mover",
    "Units",
    "Up",
    "ankles",
    "detect_units",
    "detect_up",
    "find_mover",
    "jumps_at_start",
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
_STRETCH: Final = 1e-3
"""A bone that changes its length by less than this share of the height is rigid: 2 mm on a person."""
_SAMPLED: Final = 10
"""Frames that show which way is up."""
_UPRIGHT: Final = 0.7
"""Cosine of the angle off an axis up to which a body stands along it."""
_NEARLY_ALL: Final = 0.9
_LEVEL, _WAY, _ON_FLOOR = 0.4, 0.4, 0.12
"""Shares of the height: by which the lower foot may rise and fall, that a person who walks travels, and within which a
foot that is on a floor at zero is of zero."""
_LYING, _SUNK = 0.08, 0.03
"""Shares of the height: at which the moving joint of a person who lies is above the floor, as much as it may be off
that, and by which a joint may be below the floor."""
_FIRST, _JUMP = 8, 0.03
_VAST: Final = 1e15
"""Units of length: no unit makes a body so large, or small as its inverse, and squares of more leave float64."""
_LIMB: Final = 3
"""So many joints in a side chain make a limb; fewer are a prop, a tip or a helper."""


@dataclass(frozen=True)
class Units:
    """Unit of length of a file, as far as its skeleton shows it."""

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
        """True where exactly one unit fits; otherwise the user had better name it."""
        return len(self.candidates) == 1


def refuse_vast(clip: Clip) -> None:
    """Raise ``ValueError`` where a joint is too far from its parent for anything to be measured; names it."""
    far_TJ = np.abs(clip.translations).max(axis=-1, initial=0.0)
    if far_TJ.max(initial=0.0) > _VAST:
        frame, joint = np.unravel_index(int(far_TJ.argmax()), far_TJ.shape)
        name, distance = clip.skeleton.names[joint], far_TJ[frame, joint]
        raise ValueError(f"joint {name!r} lies {distance:.3g} units from its parent in frame {frame}; no body does")


class Up(NamedTuple):
    """The axis that points up."""

    axis: Literal["y", "z"]
    certain: bool
    """True where the motion shows it beyond doubt; a person who lies, or has no names, does not."""


class Mover(NamedTuple):
    """The joint that carries the trajectory."""

    joint: int
    seen: bool
    """True where it moves; a still clip only lets it be guessed."""


def trunk(skeleton: Skeleton) -> tuple[int, ...]:
    """List the joints, root first, that carry everything but props: those that can hold the trajectory.

    The walk goes down to the child that carries most, and stops where a second child carries three joints,
    or as many as the first.
    """
    return _trunk(skeleton.parents)


@lru_cache(maxsize=64)
def _trunk(parents: tuple[int, ...]) -> tuple[int, ...]:
    carried, below = [1] * len(parents), [list[int]() for _ in parents]
    for joint in range(len(parents) - 1, 0, -1):
        carried[parents[joint]] += carried[joint]
        below[parents[joint]].insert(0, joint)
    chain = [0]
    while children := sorted(below[chain[-1]], key=lambda child: -carried[child]):
        if len(children) > 1 and carried[children[1]] >= min(_LIMB, carried[children[0]]):
            break
        chain.append(children[0])
    return tuple(chain)


def moving_joint(clip: Clip) -> int:
    """Find the joint whose world path is the trajectory: the last on the trunk, from the root, whose translation moves.

    In some corpora the ROOT stands at the origin and its child travels; in others, made for games, the ROOT travels
    over the ground and the hips below it rise and fall. Joints beyond the first branching never count, whatever their
    bones do, nor do joints that a leg does not hang on. Where nothing moves: the first on the trunk with position
    channels, or the root.
    """
    return find_mover(clip).joint


def find_mover(clip: Clip) -> Mover:
    """Find the moving joint as :func:`moving_joint` does, and whether anything moves at all."""
    chain, travel = trunk(clip.skeleton), _travel(clip)
    size = _size(clip, chain[-1])
    for first in chain:
        if travel[first] > _STILL * size:
            # below the first that moves, a joint moves where it strays further than a rigid bone may
            also = [j for j in chain if j > first and travel[j] > _STRETCH * size and _bears_legs(clip.skeleton, j)]
            return Mover(also[-1] if also else first, True)
    placed = (j for j in chain if any(channel.endswith("position") for channel in clip.skeleton.channels[j]))
    return Mover(next(placed, 0), False)


def _bears_legs(skeleton: Skeleton, joint: int) -> bool:
    """Find out whether the feet hang on a joint; without names, whether limbs branch off below it."""
    head, feet = _head_and_feet(skeleton)
    if feet or head is not None:
        return bool(feet) and all(joint in skeleton.ancestors(foot) for foot in feet)
    return bool(skeleton.children[trunk(skeleton)[-1]])


def stretching_bones(clip: Clip, tolerance: float = _STRETCH, *, mover: int | None = None) -> list[str]:
    """Name the joints below the moving joint whose translation changes in time, in file order.

    Args:
        clip: any clip.
        tolerance: largest change that passes, as a share of the skeleton's height (1e-3: 2 mm on a person).
        mover: the joint that carries the trajectory; that of the clip itself where None.
    """
    skeleton = clip.skeleton
    top = moving_joint(clip) if mover is None else mover
    below = np.zeros(len(skeleton), dtype=bool)
    for joint in range(top + 1, len(skeleton)):
        below[joint] = skeleton.parents[joint] == top or below[skeleton.parents[joint]]
    stretched = below & (_travel(clip) > tolerance * skeleton_height(clip))
    return [skeleton.names[joint] for joint in np.flatnonzero(stretched)]


def skeleton_height(clip: Clip) -> float:
    """Measure how tall the skeleton is, in the file's unit, whatever pose it is in.

    The length of bone from the head joint down to the pelvis, and on to the lower ankle (toes do not add height),
    where joints are named so; otherwise the longest side of the posed skeleton's bounding box, median over frames.
    """
    skeleton = clip.skeleton
    head, feet = _head_and_feet(skeleton)
    if head is None or not feet or not len(clip):
        return _box(clip)
    lengths = _lengths(clip)
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
    """Find the world axis that points up, ``"y"`` or ``"z"``: along which the head stands higher above the feet.

    Without joints so named: z where the posed skeleton is twice as long that way. Medians over the frames.
    """
    if not len(clip):
        return "y"
    positions = clip.positions()
    head, feet = _head_and_feet(clip.skeleton)
    if head is not None and feet:
        above = np.median(positions[:, head] - positions[:, feet].mean(axis=1), axis=0)
    else:
        above = _extent(clip, positions) * (1.0, 1.0, 0.5)
    return "z" if above[2] > max(above[1], 0.0) else "y"


def detect_up(clip: Clip, known: str = "") -> Up:
    """Judge from a few frames which axis points up, and whether the motion shows it beyond doubt.

    A pose does not tell a person who stands from one who lies along that axis, and neither does the rest pose, which
    is the same in both. What tells them apart is the ground: the head stays above the feet, the feet keep to one
    height, and the person travels across that axis; or, on the spot, the feet are at zero, where floors are, and the
    body is not at the height above zero along the other axis at which one lies. A single frame that stands off, such
    as a rest pose at the start, does not count.

    Args:
        clip: any clip.
        known: the axis of other files of its kind; poses along it are taken for certain without a further look.
    """
    sample = _some_frames(clip)
    head, feet = _head_and_feet(clip.skeleton)
    if head is None or not feet or not len(sample):
        axis = up_axis(sample)
        return Up(axis, axis == known)
    above = _above_feet(sample, head, feet)
    lengths = np.linalg.norm(above, axis=-1)
    _, y, z = np.sort(above, axis=0)[len(above) // 2].tolist()
    axis = "z" if z > max(y, 0.0) else "y"
    if axis == known:
        return Up(axis, True)
    up = 1 if axis == "y" else 2
    if (above[:, up] > _UPRIGHT * lengths).mean() < _NEARLY_ALL:
        return Up(axis, False)
    return Up(axis, _on_ground(sample.positions() / np.median(lengths), feet, trunk(clip.skeleton)[-1], up))


def _above_feet(clip: Clip, head: int, feet: list[int]) -> FloatArray:
    """(T, 3) from the middle of the feet to the head; only the joints between are posed, which every file pays for."""
    skeleton = clip.skeleton
    joints = sorted({head, *feet}.union(skeleton.ancestors(head), *map(skeleton.ancestors, feet)))
    parents = tuple(joints.index(parent) if (parent := skeleton.parents[joint]) >= 0 else -1 for joint in joints)
    rotations = angles_to_matrices(clip.angles[:, joints], tuple(skeleton.orders[joint] for joint in joints))
    positions, _ = world_transforms(rotations, clip.translations[:, joints], parents)
    ankles = [joints.index(foot) for foot in feet]
    return np.asarray(positions[:, joints.index(head)] - positions[:, ankles].mean(axis=1))


def _on_ground(positions: FloatArray, feet: list[int], body: int, up: int) -> bool:
    """Find out whether people who stand along an axis do so on the ground; positions are shares of their height."""
    ground = np.sort(positions[:, feet, up].min(axis=1))
    if ground[-2:][0] - ground[:2][-1] > _LEVEL:
        return False
    ways = np.sort(np.delete(positions[:, body], up, axis=1), axis=0)
    if np.linalg.norm(ways[-2:][0] - ways[:2][-1]) > _WAY:
        return True
    off_floor = np.abs(positions[:, body, 3 - up] - _LYING) > _LYING
    lying = off_floor.mean() <= 1 - _NEARLY_ALL and positions[..., 3 - up].min() > -_SUNK
    return bool(abs(ground[:2][-1]) < _ON_FLOOR and not lying)


def jumps_at_start(clip: Clip) -> bool:
    """Find out whether the first frame stands far off the second, as where a rest pose comes first.

    The mean joint moves by more than 3 % of the height between frames 0 and 1, and by less than a fifth of that in each
    of the next six steps.
    """
    first = clip[:_FIRST]
    if len(first) < 4:
        return False
    turned = np.abs((np.diff(first.angles, axis=0) + 180.0) % 360.0 - 180.0).mean(axis=(1, 2))
    moved = np.linalg.norm(np.diff(first.translations, axis=0), axis=-1).sum(axis=1)
    if turned[0] <= 2.0 * turned[1:].max() and moved[0] <= 2.0 * moved[1:].max():
        return False  # found without kinematics, which would cost every file more than the rest of its reading
    steps = np.linalg.norm(np.diff(first.positions(), axis=0), axis=-1).mean(axis=1)
    return bool(steps[0] > max(_JUMP * skeleton_height(clip), 5.0 * steps[1:].max()))


def _some_frames(clip: Clip) -> Clip:
    """A few frames, spread over the clip."""
    if len(clip) <= _SAMPLED:
        return clip
    frames = np.linspace(0, len(clip) - 1, _SAMPLED).round().astype(np.intp)
    return replace(clip, angles=clip.angles[frames], translations=clip.translations[frames])


@lru_cache(maxsize=1)
def _travel(clip: Clip) -> FloatArray:
    """(J,) the diagonal of the box in which each joint's translation stays; kept, as it is asked for several times."""
    if not len(clip):
        return np.zeros(len(clip.skeleton))
    return np.asarray(np.linalg.norm(np.ptp(clip.translations, axis=0), axis=-1))


@lru_cache(maxsize=1)
def _lengths(clip: Clip) -> FloatArray:
    """(J,) the length of each joint's translation, median over frames; kept, as it is asked for several times."""
    if not len(clip):
        return np.zeros(len(clip.skeleton))
    return np.asarray(np.linalg.norm(np.median(clip.translations, axis=0), axis=-1))


def _size(clip: Clip, body: int) -> float:
    """Roughly the body's size, from bones alone: the longest way down from a joint, twice."""
    reach, lengths, parents = [0.0] * len(clip.skeleton), _lengths(clip).tolist(), clip.skeleton.parents
    for joint in range(len(parents) - 1, 0, -1):
        reach[parents[joint]] = max(reach[parents[joint]], reach[joint] + lengths[joint])
    return 2.0 * reach[body]


def _extent(clip: Clip, positions: FloatArray) -> FloatArray:
    """(3,) sides of the box around the moving joint and all below it, median over frames."""
    body = positions[:, moving_joint(clip) :]
    return np.asarray(np.median(np.ptp(body, axis=1), axis=0))


def _box(clip: Clip) -> float:
    return float(_extent(clip, clip.positions()).max()) if len(clip) else 0.0


def _head_and_feet(skeleton: Skeleton) -> tuple[int | None, list[int]]:
    """The shallowest joint whose name ends in "head" (namespace, digits and marks aside), and the ankles."""
    return _landmarks(skeleton.names, skeleton.parents)


@lru_cache(maxsize=64)
def _landmarks(names: tuple[str, ...], parents: tuple[int, ...]) -> tuple[int | None, list[int]]:
    skeleton = Skeleton(names, parents, np.zeros((len(names), 3)), ((),) * len(names))
    heads = [joint for joint, name in enumerate(names) if _plain(name).endswith("head")]
    return min(heads, key=lambda joint: skeleton.depths[joint]) if heads else None, ankles(skeleton)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.rsplit(":", 1)[-1].lower() if letter.isalpha() or letter in "_. -")


def ankles(skeleton: Skeleton) -> list[int]:
    """The ankles: joints called so, or a foot where there is none."""
    for word in ("ankle", "foot"):
        found = [joint for joint, name in enumerate(skeleton.names) if word in name.rsplit(":", 1)[-1].lower()]
        shallow = [j for j in found if not set(skeleton.ancestors(j)) & set(found)]
        if shallow:
            return shallow
    return []
