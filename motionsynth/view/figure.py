"""The stick figure that the player and the GIF both draw: which bones, in which colour, seen from where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import moving_joint, skeleton_height, up_axis
from motionsynth.motion.skeleton import FloatArray, Skeleton

__all__ = ["Figure", "captioned_figure", "stick_figure"]

CENTRE: Final = 0
LEFT: Final = 1
RIGHT: Final = 2

FLOOR_AT_ZERO: Final = 0.15
"""A figure whose feet come this close to height zero, in heights, stands on zero: a float or a sink then shows."""

_WORDS: Final = re.compile("left|right|左|右")
_LETTERS: Final = re.compile(r"(?<![A-Za-z])[lLrR](?![a-z])|(?<![A-Za-z])[lr](?=[a-z])|(?<=[a-z0-9])[LR]$")
_OTHER_SIDE: Final = {"l": "r", "r": "l", "L": "R", "R": "L"}
_TIP: Final = re.compile(r"(end|nub|site)$", re.IGNORECASE)
"""A joint called so is a tip already; the End Site that a writer had to give it is no bone."""
_HEAD: Final = re.compile(r"(?<![a-z])head(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Figure:
    """One clip reduced to what is drawn; N nodes are the joints that move and the tips of the last bones.

    Args:
        positions: (T, N, 3) world positions in the file's unit of length and axes.
        parents: node at the other end of each node's bone; -1 where no bone ends in the node.
        sides: 0 middle, 1 left, 2 right, for each node's bone.
        names: the joints' names; "" for a tip.
        centre: node that carries the trajectory, which the camera follows.
        head: the two ends of the head's bone, which may be one node; None where no joint is named so.
        up: axis that points up, 1 (y) or 2 (z).
        height: of the skeleton at rest, in the file's unit; positive.
        floor: height of the floor.
        facing: angle in radians about the up axis from the display's z axis to where the first frame faces.
    """

    positions: FloatArray
    parents: tuple[int, ...]
    sides: tuple[int, ...]
    names: tuple[str, ...]
    centre: int
    head: tuple[int, int] | None
    up: Literal[1, 2]
    height: float
    floor: float
    facing: float

    def displayed(self) -> FloatArray:
        """(T, N, 3) positions in heights, floor at 0, axes right, up and towards the viewer."""
        x, y, z = np.moveaxis(self.positions, -1, 0)
        x, y, z = (x, y, z) if self.up == 1 else (x, z, -y)
        return np.stack([x, y - self.floor, z], axis=-1) / self.height


def stick_figure(clip: Clip) -> Figure:
    """Find what to draw of a clip.

    Joints above the one that carries the trajectory stand still, often at the origin: a bone from there to the body
    would be a stick through the picture, so they are left out. End Sites become tips.

    Raises:
        ValueError: the clip has no frame, or a position is not finite.
    """
    if not len(clip):
        raise ValueError("a clip without frames cannot be drawn")
    skeleton = clip.skeleton
    positions = _with_tips(clip).positions()
    if not np.isfinite(positions).all():
        frame = int(np.argwhere(~np.isfinite(positions))[0][0])
        raise ValueError(f"frame {frame} has positions that are not finite")
    moving = moving_joint(clip)
    above = set(skeleton.ancestors(moving))
    above_or_tip = above | {joint for joint, name in enumerate(skeleton.names) if _TIP.search(name)}
    kept = [joint for joint in range(len(skeleton)) if joint not in above]
    kept += [len(skeleton) + k for k, site in enumerate(skeleton.end_sites) if site.parent not in above_or_tip]
    place = {node: k for k, node in enumerate(kept)}
    ends = (*skeleton.parents, *(site.parent for site in skeleton.end_sites))
    names = (*skeleton.names, *("" for _ in skeleton.end_sites))
    parents = tuple(place.get(ends[node], -1) for node in kept)
    all_sides = _sides(skeleton)
    sides = tuple(all_sides[node] for node in kept)
    up: Literal[1, 2] = 2 if up_axis(clip) == "z" else 1
    drawn = positions[:, kept]
    height = _size(clip, drawn)
    return Figure(
        positions=drawn,
        parents=parents,
        sides=sides,
        names=tuple(names[node] for node in kept),
        centre=place[moving],
        head=_head(skeleton, place),
        up=up,
        height=height,
        floor=_floor(drawn[..., up], height),
        facing=_facing(drawn[0], parents, sides, up),
    )


def captioned_figure(caption: str, clip: Clip) -> Figure:
    """Do what :func:`stick_figure` does, and say in an error which of several clips it is about."""
    try:
        return stick_figure(clip)
    except ValueError as error:
        raise ValueError(f"{caption}: {error}") from error


def _with_tips(clip: Clip) -> Clip:
    """Append each End Site as a joint that does not turn, so that kinematics places the tips as well."""
    skeleton, sites = clip.skeleton, clip.skeleton.end_sites
    if not sites:
        return clip
    offsets = np.array([site.offset for site in sites], dtype=np.float64)
    longer = Skeleton(
        names=(*skeleton.names, *("" for _ in sites)),
        parents=(*skeleton.parents, *(site.parent for site in sites)),
        offsets=np.concatenate([skeleton.offsets, offsets]),
        channels=(*skeleton.channels, *(() for _ in sites)),
    )
    tips = np.broadcast_to(offsets, (len(clip), len(sites), 3))
    return Clip(
        longer,
        clip.frame_time,
        np.concatenate([clip.angles, np.zeros_like(tips)], axis=1),
        np.concatenate([clip.translations, tips], axis=1),
    )


def _sides(skeleton: Skeleton) -> tuple[int, ...]:
    """The side of each joint and then of each End Site; what has no side of its own takes its parent's."""
    known = set(skeleton.names)
    sides: list[int] = []
    for name, parent in zip(skeleton.names, skeleton.parents, strict=True):
        own = next((side for side in (_side_by_word(name), _side_by_letter(name, known)) if side), CENTRE)
        sides.append(own or (sides[parent] if parent >= 0 else CENTRE))
    return (*sides, *(sides[site.parent] for site in skeleton.end_sites))


def _side_by_word(name: str) -> int:
    words = set(_WORDS.findall(name.lower()))
    if len(words) != 1:
        return CENTRE
    return LEFT if words & {"left", "左"} else RIGHT


def _side_by_letter(name: str, known: set[str]) -> int:
    """Separate ``lfemur``, ``RThumb`` and ``Hand_L`` from ``lowerback``: the other side's joint exists too."""
    for match in _LETTERS.finditer(name):
        letter = match[0]
        if name[: match.start()] + _OTHER_SIDE[letter] + name[match.end() :] in known:
            return LEFT if letter in "lL" else RIGHT
    return CENTRE


def _head(skeleton: Skeleton, place: dict[int, int]) -> tuple[int, int] | None:
    """The ends of the head's bone; the joint twice where the bone has no length or no end."""
    joints = len(skeleton)
    for joint, name in enumerate(skeleton.names):
        below = sum(joint in skeleton.ancestors(other) for other in range(joint + 1, joints))
        if joint not in place or not _HEAD.search(name) or 3 * below >= joints:
            continue
        tips = [joints + k for k, site in enumerate(skeleton.end_sites) if site.parent == joint and any(site.offset)]
        tops = [child for child in skeleton.children[joint] if _HEAD.search(skeleton.names[child])]
        return place[joint], place[(*tips, *tops, joint)[0]]
    return None


def _size(clip: Clip, positions: FloatArray) -> float:
    """The height at rest; where a file has no bones worth the name, the extent of what it shows; else one unit."""
    height = skeleton_height(clip)
    if np.isfinite(height) and height > 0:
        return height
    extent = float(np.ptp(positions[0], axis=0).max())
    return extent if extent > 0 else 1.0


def _floor(heights_TN: FloatArray, height: float) -> float:
    """The height the lowest node usually has, which one frame that dives does not move."""
    lowest = float(np.median(heights_TN.min(axis=1)))
    return 0.0 if abs(lowest) < FLOOR_AT_ZERO * height else lowest


def _facing(pose_N3: FloatArray, parents: tuple[int, ...], sides: tuple[int, ...], up: int) -> float:
    """Forward is left cross up, with left read off hips and shoulders, where the limbs leave the middle."""
    first = np.array(
        [side if parent < 0 or sides[parent] == CENTRE else CENTRE for side, parent in zip(sides, parents, strict=True)]
    )
    if not ((first == LEFT).any() and (first == RIGHT).any()):
        return 0.0
    left = pose_N3[first == LEFT].mean(axis=0) - pose_N3[first == RIGHT].mean(axis=0)
    right_x, towards_z = (left[0], left[2]) if up == 1 else (left[0], -left[1])
    return float(np.arctan2(-towards_z, right_x))
