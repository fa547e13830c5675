"""Columns of a feature row, known before any data is seen.

| columns | unit | meaning |
|---|---|---|
| ``root_height_m`` | m | height of the moving joint |
| ``root_velocity_m_s`` | m/s | its planar velocity (x, z) in the heading frame, forward difference |
| ``root_yaw_velocity_rad_s`` | rad/s | rate of the heading, forward difference |
| ``root_rotation_6d`` | 1 | its world rotation with the heading taken off |
| ``joint_rotations_6d`` | 1 | local rotations of every joint below it, in file order |
| ``joint_velocities_m_s`` | m/s | world velocities of the same joints in the heading frame (optional) |
| ``foot_contacts`` | 0 or 1 | whether a foot joint rests on the floor (optional) |

The *moving joint* carries the trajectory; joints above it that stand still are folded into it. The *heading* is the
angle about +Y of one of its local axes, projected on the ground: ``heading = atan2(a_x, a_z)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, Self, cast

import numpy as np

from motionsynth.errors import list_first
from motionsynth.motion import measure
from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import world_transforms
from motionsynth.motion.skeleton import EndSite, FloatArray, Skeleton

if TYPE_CHECKING:
    from pydantic import TypeAdapter


__all__ = ["FeatureSpec"]

_POSITION: Final = ("Xposition", "Yposition", "Zposition")
_CONTACT_WORDS: Final = (re.compile("toe", re.IGNORECASE), re.compile("foot|ankle|heel", re.IGNORECASE))


@dataclass(frozen=True)
class FeatureSpec:
    """Name -> columns of a feature row, and the skeleton that rows are decoded onto.

    Args:
        names: J joint names.
        parents: index of each joint's parent, -1 for joint 0.
        orders: rotation order of each joint, such as ``"ZXY"``.
        rest: position of each joint in its parent's frame, in the file's unit; zero for the moving joint and above.
        end_sites: the tips.
        moving_joint: index of the joint that carries the trajectory.
        heading_axis: 0, 1 or 2: the local axis of the moving joint that tells the heading.
        frame_rate: frames a second.
        metres_per_unit: length of the file's unit.
        velocities: whether rows hold joint velocities.
        contact_groups: foot joints, those that share a floor height together; empty for no contacts.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    orders: tuple[str, ...]
    rest: tuple[tuple[float, float, float], ...]
    end_sites: tuple[EndSite, ...]
    moving_joint: int
    heading_axis: int
    frame_rate: float
    metres_per_unit: float
    velocities: bool
    contact_groups: tuple[tuple[int, ...], ...]

    @classmethod
    def for_clip(
        cls,
        clip: Clip,
        *,
        frame_rate: float,
        metres_per_unit: float,
        velocities: bool = False,
        contacts: bool = True,
        moving_joint: int | None = None,
    ) -> Self:
        """Describe the features of clips like this one.

        Args:
            clip: T >= 1 frames, y up.
            frame_rate: frames a second of the features; the clip's own rate may differ.
            metres_per_unit: length of the clip's unit.
            velocities: whether rows hold joint velocities.
            contacts: whether rows hold foot contacts.
            moving_joint: index of the joint that carries the trajectory; found from the motion where None.

        Raises:
            ValueError: the clip has no frame, or joints hang beside the moving joint instead of below it.
        """
        if not len(clip):
            raise ValueError("a clip without frames has no pose to describe")
        skeleton = clip.skeleton
        if moving_joint is None:
            moving_joint = measure.moving_joint(clip)
        moving = moving_joint
        above = skeleton.ancestors(moving)
        below = descendants(skeleton.parents, moving)
        beside = sorted(set(range(len(skeleton))) - set(above) - set(below) - {moving})
        if beside:
            listed = list_first([skeleton.names[joint] for joint in beside], 4)
            raise ValueError(f"{listed}: not below {skeleton.names[moving]}, the joint that moves; cannot be encoded")
        positions, globals_ = world_transforms(clip.rotations(), clip.translations, skeleton.parents)
        rest = np.where(np.isin(np.arange(len(skeleton)), below)[:, None], clip.translations[0], 0.0)
        return cls(
            names=skeleton.names,
            parents=skeleton.parents,
            orders=skeleton.orders,
            rest=tuple((float(x), float(y), float(z)) for x, y, z in rest),
            end_sites=skeleton.end_sites,
            moving_joint=moving,
            heading_axis=int(np.abs(globals_[:, moving, 1, :]).mean(0).argmin()),
            frame_rate=float(frame_rate),
            metres_per_unit=float(metres_per_unit),
            velocities=velocities,
            contact_groups=_contact_groups(skeleton, below, positions[:, :, 1]) if contacts else (),
        )

    @cached_property
    def joints_below(self) -> tuple[int, ...]:
        """Indices of the joints below the moving joint, in file order."""
        return descendants(self.parents, self.moving_joint)

    @cached_property
    def contact_joints(self) -> tuple[int, ...]:
        """Indices of the foot joints, in the order of their columns."""
        return tuple(joint for group in self.contact_groups for joint in group)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Name -> columns, in order and without gaps."""
        below = len(self.joints_below)
        widths = {
            "root_height_m": 1,
            "root_velocity_m_s": 2,
            "root_yaw_velocity_rad_s": 1,
            "root_rotation_6d": 6,
            "joint_rotations_6d": 6 * below,
            "joint_velocities_m_s": 3 * below if self.velocities else 0,
            "foot_contacts": len(self.contact_joints),
        }
        stops = np.cumsum(list(widths.values())).tolist()
        return {
            name: slice(stop - width, stop) for (name, width), stop in zip(widths.items(), stops, strict=True) if width
        }

    @cached_property
    def width(self) -> int:
        """D, numbers in a row."""
        return sum(columns.stop - columns.start for columns in self.slices.values())

    def columns(self) -> tuple[str, ...]:
        """One readable name for each of the D columns, such as ``joint_rotations_6d.Spine.0``."""
        per_joint = {"root_rotation_6d": (self.moving_joint,), "foot_contacts": self.contact_joints}
        listed = []
        for name, columns in self.slices.items():
            joints = per_joint.get(name, self.joints_below if name.startswith("joint") else ())
            count = columns.stop - columns.start
            each = count // len(joints) if joints else count
            owners = [self.names[joint] for joint in joints] or [""]
            listed += [
                ".".join(part for part in (name, owner, str(k) if each > 1 else "") if part)
                for owner in owners
                for k in range(each)
            ]
        return tuple(listed)

    def skeleton(self) -> Skeleton:
        """The skeleton of decoded clips: positions on the root only, which stands where the moving joint is."""
        channels = tuple(
            (_POSITION if joint == 0 else ()) + tuple(f"{axis}rotation" for axis in order)
            for joint, order in enumerate(self.orders)
        )
        return Skeleton(self.names, self.parents, self.rest_array, channels, self.end_sites)

    @cached_property
    def rest_array(self) -> FloatArray:
        """(J, 3) rest translations in the file's unit."""
        return np.array(self.rest, dtype=np.float64).reshape(-1, 3)

    def reference_clip(self) -> Clip:
        """One frame of the reference skeleton with every angle zero: what ``skeleton.bvh`` of a run holds."""
        joints = len(self.names)
        return Clip(self.skeleton(), 1.0 / self.frame_rate, np.zeros((1, joints, 3)), self.rest_array[None])

    def mismatch(self, skeleton: Skeleton, rest: FloatArray, *, tolerance: float = 1e-3) -> str | None:
        """Explain why motion of another skeleton cannot be encoded, or return None where it can.

        Args:
            skeleton: of the motion.
            rest: (J, 3) its bones, as ``clip.translations[0]`` holds them, in the same unit.
            tolerance: largest difference of a bone, as a share of the longest bone chain.
        """
        if other := self.tree_mismatch(skeleton):
            return other
        below = list(self.joints_below)
        if not below:
            return None
        off = np.linalg.norm(np.asarray(rest)[below] - self.rest_array[below], axis=-1)
        scale = np.linalg.norm(self.rest_array[below], axis=-1).max()
        worst, most = int(off.argmax()), tolerance * max(scale, np.finfo(float).tiny)
        if off[worst] > most:
            others = int((off > most).sum()) - 1
            also = f", and {others} more bones differ" if others else ""
            return f"its bone to {self.names[below[worst]]} differs by {off[worst]:.4g} units{also}"
        return None

    def tree_mismatch(self, skeleton: Skeleton) -> str | None:
        """Describe how the joints of another skeleton differ, whatever its bones; None where they do not."""
        if skeleton.names != self.names:
            return _joint_difference(skeleton.names, self.names)
        hung = [
            f"{name} on {_parent(skeleton.names, theirs)}, not {_parent(self.names, own)}"
            for name, theirs, own in zip(self.names, skeleton.parents, self.parents, strict=True)
            if theirs != own
        ]
        return f"its joints hang on other parents ({list_first(hung, 4)})" if hung else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able copy; :meth:`from_dict` gives back an equal spec."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from :meth:`to_dict`, also after a trip through JSON.

        Raises:
            ValueError: keys are missing or unknown, or values are no skeleton's.
        """
        from pydantic import ValidationError

        known = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or (odd := known ^ set(values)):
            named = "" if not isinstance(values, Mapping) else f": {', '.join(sorted(odd))[:80]}"
            raise ValueError(f"not a feature specification{named}")
        try:
            spec = cast("Self", _validator().validate_python(dict(values)))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"not a feature specification: {place}: {first['msg']}") from error
        spec._refuse_impossible()
        return spec

    def _refuse_impossible(self) -> None:
        count = len(self.names)
        positive = (self.frame_rate, self.metres_per_unit)
        feet = [joint for group in self.contact_groups for joint in group]
        ends, offsets = [site.parent for site in self.end_sites], [site.offset for site in self.end_sites]
        wrong = {
            "parents, orders and rest have the length of names": {count}
            != {len(self.parents), len(self.orders), len(self.rest)},
            "joint 0 is the only root, and parents precede their children": self.parents[:1] != (-1,)
            or any(not 0 <= parent < joint for joint, parent in enumerate(self.parents) if joint),
            "orders are of the axes X, Y and Z": any(sorted(order) != ["X", "Y", "Z"] for order in self.orders),
            "joints are among names": any(not 0 <= joint < count for joint in (self.moving_joint, *feet, *ends)),
            "heading_axis is 0, 1 or 2": self.heading_axis not in (0, 1, 2),
            "frame_rate and metres_per_unit are above 0": not all(0 < value < float("inf") for value in positive),
            "lengths are finite": not np.isfinite(np.array([*self.rest, *offsets], dtype=np.float64)).all(),
        }
        if broken := next((rule for rule, is_broken in wrong.items() if is_broken), None):
            raise ValueError(f"not a feature specification in which {broken}")


@cache
def _validator() -> TypeAdapter[FeatureSpec]:
    from pydantic import TypeAdapter

    return TypeAdapter(FeatureSpec)


def descendants(parents: tuple[int, ...], joint: int) -> tuple[int, ...]:
    """The joints below ``joint``, in file order."""
    inside = {joint}
    for child, parent in enumerate(parents):
        if parent in inside:
            inside.add(child)
    return tuple(sorted(inside - {joint}))


def _joint_difference(names: tuple[str, ...], own: tuple[str, ...]) -> str:
    """Difference of joints from those they should be, in words."""
    lacking, strange = (sorted(set(a) - set(b)) for a, b in ((own, names), (names, own)))
    parts = [
        f"{what} {list_first(joints, 4)}" for what, joints in (("it lacks", lacking), ("it has", strange)) if joints
    ]
    return f"its joints differ ({'; '.join(parts)})" if parts else "its joints are in another order"


def _parent(names: tuple[str, ...], index: int) -> str:
    return names[index] if index >= 0 else "none"


def _contact_groups(skeleton: Skeleton, below: tuple[int, ...], heights: FloatArray) -> tuple[tuple[int, ...], ...]:
    """Toes, then feet or ankles, by name; where no name tells, the childless joints that come lowest."""
    groups: list[tuple[int, ...]] = []
    for word in _CONTACT_WORDS:
        named = [joint for joint in below if word.search(skeleton.names[joint])]
        # of "LeftToeBase" and "LeftToeThumb1" below it only the first is a foot's joint
        tops = tuple(j for j in named if not set(skeleton.ancestors(j)) & set(named))
        taken = {joint for group in groups for joint in group}
        groups += [group for group in (tuple(j for j in tops if j not in taken),) if group]
    if groups:
        return tuple(groups)
    leaves = [joint for joint in below if joint not in set(skeleton.parents)]
    if not leaves:
        return ()
    lowest = np.percentile(heights[:, leaves], 5, axis=0)
    reach = lowest.min() + 0.1 * (np.percentile(heights, 95) - lowest.min())
    return (tuple(joint for joint, height in zip(leaves, lowest, strict=True) if height <= reach),)
