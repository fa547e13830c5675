"""Channel layout of a MOTION row, which the reader and the writer share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from motionsynth.motion.skeleton import AXES, FloatArray, Skeleton

__all__ = ["CHANNEL_NAMES", "MAX_JOINTS", "ChannelLayout", "channel_fault", "channel_layout"]

IndexArray = npt.NDArray[np.intp]

MAX_JOINTS: Final = 1000
CHANNEL_NAMES: Final = tuple(axis + kind for kind in ("position", "rotation") for axis in AXES)
CHANNEL_COUNTS: Final = (0, 1, 3, 6)


@lru_cache(maxsize=256)
def channel_fault(channels: tuple[str, ...]) -> str | None:
    """Explain why these canonical channel names cannot be one joint's, or return None where they can."""
    for channel in channels:
        if channel not in CHANNEL_NAMES:
            return f"unknown channel {channel!r}; channels are {', '.join(CHANNEL_NAMES)}"
    if len(channels) not in CHANNEL_COUNTS:
        return f"{len(channels)} channels on one joint; a joint has 0, 1, 3 or 6"
    if len(set(channels)) != len(channels):
        repeated = next(c for c in channels if channels.count(c) > 1)
        return f"channel {repeated} is listed twice"
    return None


@dataclass(frozen=True)
class ChannelLayout:
    """Places of the C columns of a row in (J * 3) angles and (J * 3) translations.

    Args:
        angle_columns, angle_slots: row columns of rotation channels and their places in a frame's flat angles.
        position_columns, position_slots: the same for position channels and a frame's flat translations.
        free_angles, free_positions: slots that no channel sets: zero, and the OFFSET.
    """

    angle_columns: IndexArray
    angle_slots: IndexArray
    position_columns: IndexArray
    position_slots: IndexArray
    free_angles: IndexArray
    free_positions: IndexArray

    def scatter(self, rows_TC: FloatArray, offsets: FloatArray, angles: FloatArray, translations: FloatArray) -> None:
        """Spread rows, (T, C or more), over angles and translations, (T, 3 J) each, in place; the rest is rest."""
        if len(self.free_angles):
            angles[:] = 0.0
        if len(self.free_positions):
            translations[:] = offsets.reshape(-1)
        _spread(rows_TC, self.angle_columns, self.angle_slots, angles)
        _spread(rows_TC, self.position_columns, self.position_slots, translations)

    def gather(self, angles: FloatArray, translations: FloatArray) -> FloatArray:
        """Collect (T, C) rows from (T, 3 J) angles and (T, 3 J) translations."""
        rows_TC = np.empty((len(angles), len(self.angle_slots) + len(self.position_slots)))
        _spread(angles, self.angle_slots, self.angle_columns, rows_TC)
        _spread(translations, self.position_slots, self.position_columns, rows_TC)
        return rows_TC


def channel_layout(skeleton: Skeleton) -> ChannelLayout:
    """Find where each MOTION column of a skeleton goes; layouts are remembered by their channels."""
    return _layout_of(skeleton.channels)


@lru_cache(maxsize=64)
def _layout_of(channels: tuple[tuple[str, ...], ...]) -> ChannelLayout:
    angles: list[tuple[int, int]] = []
    positions: list[tuple[int, int]] = []
    column = 0
    for joint, listed in enumerate(channels):
        turns = 0
        for channel in listed:
            if channel.endswith("rotation"):
                angles.append((column, 3 * joint + turns))
                turns += 1
            else:
                positions.append((column, 3 * joint + AXES.index(channel[0])))
            column += 1
    slots = np.arange(3 * len(channels))
    angle_table = np.array(angles, dtype=np.intp).reshape(-1, 2).T
    position_table = np.array(positions, dtype=np.intp).reshape(-1, 2).T
    return ChannelLayout(
        angle_columns=angle_table[0],
        angle_slots=angle_table[1],
        position_columns=position_table[0],
        position_slots=position_table[1],
        free_angles=np.setdiff1d(slots, angle_table[1]),
        free_positions=np.setdiff1d(slots, position_table[1]),
    )


def _spread(source: FloatArray, source_columns: IndexArray, columns: IndexArray, target: FloatArray) -> None:
    """``target[:, columns] = source[:, source_columns]``, in one pass where the target is filled in order."""
    if len(columns) == target.shape[1] and target.flags.c_contiguous and (columns[1:] > columns[:-1]).all():
        np.take(source, source_columns, axis=1, out=target, mode="clip")
    elif len(columns):
        target[:, columns] = source[:, source_columns]
