"""The tree of joints that a clip moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["AXES", "EndSite", "FloatArray", "Skeleton"]

FloatArray = npt.NDArray[np.float64]

AXES: Final = "XYZ"


@dataclass(frozen=True)
class EndSite:
    """A childless tip: where the last bone of a chain ends. It has no channels and never rotates."""

    parent: int
    """Index of the joint it ends."""
    offset: tuple[float, float, float]
    """Position in the parent's frame, in the file's unit of length."""
    name: str = ""
    """Words after ``End`` and ``Site`` in the file; usually none."""


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of joints in depth-first file order, with the channel layout a BVH file gives it.

    Convention: column vectors; ``world(j) = world(parent(j)) . T(j) . R_c1 . R_c2 . R_c3`` with the rotation
    channels in the order listed. A position channel *replaces* the component of OFFSET it names.

    Args:
        names: J joint names, unique or not, exactly as in the file.
        parents: index of each joint's parent; -1 for the one root, which is joint 0. Parents precede children.
        offsets: (J, 3) OFFSET of each joint in its parent's frame, in the file's unit of length.
        channels: for each joint its channel names, such as ``("Xposition", ..., "Zrotation", ...)``; may be empty.
        end_sites: the tips, in file order.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: FloatArray
    channels: tuple[tuple[str, ...], ...]
    end_sites: tuple[EndSite, ...] = field(default=())

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count or len(self.parents) != count or len(self.channels) != count:
            raise ValueError("names, parents and channels must have the same length, at least one joint")
        offsets = np.array(self.offsets, dtype=np.float64)
        if offsets.shape != (count, 3):
            raise ValueError(f"offsets must have shape ({count}, 3), not {offsets.shape}")
        if self.parents[0] != -1 or any(not 0 <= p < j for j, p in enumerate(self.parents) if j):
            raise ValueError("joint 0 must be the only root, and every parent must precede its child")
        offsets.setflags(write=False)
        object.__setattr__(self, "offsets", offsets)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Skeleton):
            return NotImplemented
        return (
            self.names == other.names
            and self.parents == other.parents
            and self.channels == other.channels
            and self.end_sites == other.end_sites
            and np.array_equal(self.offsets, other.offsets)
        )

    def __hash__(self) -> int:
        return hash((self.names, self.parents, self.channels))

    @cached_property
    def orders(self) -> tuple[str, ...]:
        """Each joint's rotation order as three distinct axes, such as ``"ZXY"``; axes without a channel come last."""
        orders = []
        for channels in self.channels:
            listed = "".join(c[0] for c in channels if c.endswith("rotation"))
            orders.append(listed + "".join(axis for axis in AXES if axis not in listed))
        return tuple(orders)

    @cached_property
    def channel_count(self) -> int:
        """Numbers in one row of the MOTION block."""
        return sum(map(len, self.channels))

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Each joint's distance from the root, in bones."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return tuple(depths)

    def ancestors(self, joint: int) -> tuple[int, ...]:
        """The joints above one, its parent first and the root last."""
        chain: list[int] = []
        while (joint := self.parents[joint]) >= 0:
            chain.append(joint)
        return tuple(chain)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Each joint's children, in file order."""
        children: list[list[int]] = [[] for _ in self.names]
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                children[parent].append(joint)
        return tuple(map(tuple, children))
