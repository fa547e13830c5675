"""Writing a clip as a BVH file, whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from motionsynth.errors import BvhError
from motionsynth.files import replacing
from motionsynth.motion.bvh_layout import MAX_JOINTS, ChannelLayout, channel_fault, channel_layout
from motionsynth.motion.bvh_scan import name_fault
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import AXES, FloatArray, Skeleton

__all__ = ["write_bvh"]

_BLOCK_VALUES: Final = 1 << 16
_MAX_DECIMALS: Final = 15
_GAPS: Final = bytes.maketrans(b",", b" ")
_EXPONENT: Final = re.compile(rb"[+-]?[0-9]+")


def write_bvh(clip: Clip, path: str | os.PathLike[str], *, decimals: int | None = 6) -> None:
    """Write a clip as a BVH file: names, order, channel layout and End Sites as in its skeleton.

    The file appears under its name whole or not at all. Numbers are in fixed notation, as 0.000003: many readers know
    no exponents. The frame time is written with all digits.

    Args:
        clip: at least one frame, finite values.
        path: where to; an existing file is replaced.
        decimals: digits after the point of angles, positions and OFFSETs, 0 to 15; None writes the shortest text that
            reads back to the same float64.

    Raises:
        BvhError: the clip cannot stand in a BVH file (values that are not finite, motion that no channel holds, names
            that would not read back), or the file cannot be written.
        ValueError: ``decimals`` is out of range.

    Example:
        >>> from motionsynth import read_bvh, write_bvh
        >>> clip = read_bvh("walkers/walk_normal_001.bvh")
        >>> write_bvh(clip[:60], "first-two-seconds.bvh")
        >>> len(read_bvh("first-two-seconds.bvh"))
        60
    """
    if decimals is not None and not 0 <= decimals <= _MAX_DECIMALS:
        raise ValueError(f"decimals must be None or 0 to {_MAX_DECIMALS}, not {decimals}")
    path = Path(path)
    header = "\n".join(_header_lines(path, clip, decimals)).encode()
    try:
        _check_place(path)
        with replacing(path) as file:
            file.write(header)
            file.writelines(_row_blocks(path, clip, decimals))
    except OSError as error:
        raise BvhError(path, None, f"cannot be written: {error.strerror or error}") from error


def _check_place(path: Path) -> None:
    """Renaming onto a device would replace the device."""
    if path.exists() and not path.is_file():
        raise BvhError(path, None, f"is {'a directory' if path.is_dir() else 'a FIFO, socket or device'}, not a file")


def _row_blocks(path: Path, clip: Clip, decimals: int | None) -> Iterator[bytes]:
    """The rows as text, some thousand values at a time."""
    skeleton, layout = clip.skeleton, channel_layout(clip.skeleton)
    angles, translations = (a.reshape(len(clip), -1) for a in (clip.angles, clip.translations))
    step = max(1, _BLOCK_VALUES // skeleton.channel_count)
    for start in range(0, len(clip), step):
        frames = slice(start, start + step)
        _check_block(path, skeleton, layout, start, angles[frames], translations[frames], decimals)
        rows_TC = layout.gather(angles[frames], translations[frames])
        yield _format_rows(rows_TC, decimals)


def _format_rows(rows_TC: FloatArray, decimals: int | None) -> bytes:
    if decimals is not None:
        # Beyond 2^50 units of the last digit rounding would itself round; such values keep their shortest digits.
        roundable = np.abs(rows_TC) < 2.0**50 / 10.0**decimals
        if roundable.all():
            rows_TC = np.round(rows_TC, decimals)
        else:
            rows_TC = np.where(roundable, np.round(np.where(roundable, rows_TC, 0.0), decimals), rows_TC)
        rows_TC += 0.0  # -0.0 becomes 0.0
    text = orjson.dumps(rows_TC, option=orjson.OPT_SERIALIZE_NUMPY)  # [[1.0,2.5],[3.0,4.5]]
    rows = text[2:-2].split(b"],[")  # joined again, it is faster than replace
    if b"e" in text:
        rows = [_without_exponents(row) if b"e" in row else row for row in rows]
    return b"\n".join([*rows, b""]).translate(_GAPS)


def _without_exponents(row: bytes) -> bytes:
    """Numbers between commas in fixed notation; a pattern over all of them would halve the speed of writing."""
    before, *rest = row.split(b"e")
    pieces: list[bytes] = []
    for after in rest:
        start = before.rfind(b",") + 1
        exponent = _EXPONENT.match(after)
        assert exponent is not None
        pieces += before[:start], _fixed(before[start:] + b"e" + exponent[0])
        before = after[exponent.end() :]
    return b"".join([*pieces, before])


@lru_cache(maxsize=1024)
def _fixed(number: bytes) -> bytes:
    """A number such as ``3e-6`` without an exponent: ``0.000003``, which reads back to the same float64."""
    return np.format_float_positional(float(number), trim="0").encode()


def _check_block(
    path: Path,
    skeleton: Skeleton,
    layout: ChannelLayout,
    start: int,
    angles: FloatArray,
    translations: FloatArray,
    decimals: int | None,
) -> None:
    """Refuse what a row cannot hold: values that are not finite, and motion without a channel."""
    for array in (angles, translations):
        if not np.isfinite(array).all():
            frame, slot = np.argwhere(~np.isfinite(array))[0]
            name = skeleton.names[slot // 3]
            raise BvhError(path, None, f"joint {name!r} has a value that is not finite in frame {start + frame}")
    tolerance = 0.0 if decimals is None else 0.5 * 10.0**-decimals
    offsets = skeleton.offsets.reshape(-1)
    for array, slots, still, kind in (
        (translations, layout.free_positions, offsets, "moves"),
        (angles, layout.free_angles, np.zeros_like(offsets), "turns"),
    ):
        if len(slots):
            moving = (np.abs(array[:, slots] - still[slots]) > tolerance).any(axis=0)
            if moving.any():
                slot = int(slots[np.argmax(moving)])
                joint = slot // 3
                axis = (skeleton.orders[joint] if kind == "turns" else AXES)[slot % 3]
                reason = f"joint {skeleton.names[joint]!r} {kind} along {axis}, where it has no channel"
                raise BvhError(path, None, reason.replace("turns along", "turns about"))


def _header_lines(path: Path, clip: Clip, decimals: int | None) -> list[str]:
    """The file down to Frame Time, the last line ended."""
    skeleton = clip.skeleton
    _check_skeleton(path, clip)
    lines, ends, depths = ["HIERARCHY"], list(skeleton.end_sites[::-1]), skeleton.depths
    stack: list[int] = []

    def close(depth: int) -> None:
        """Close joints down to a depth, each after the End Sites that follow its last child in file order."""
        while len(stack) > depth:
            stack.pop()
            lines.append("\t" * len(stack) + "}")
            if stack:
                end_sites(stack[-1])

    def end_sites(joint: int) -> None:
        indent = "\t" * len(stack)
        while ends and ends[-1].parent == joint:
            end = ends.pop()
            lines.extend([indent + f"End Site {end.name}".rstrip(" "), indent + "{"])
            lines.extend([indent + "\tOFFSET " + tips.pop(), indent + "}"])

    offsets = _offset_texts(skeleton.offsets, decimals)
    tips = _offset_texts(np.array([end.offset for end in ends]).reshape(-1, 3), decimals)
    for joint, (name, depth) in enumerate(zip(skeleton.names, depths, strict=True)):
        close(depth)
        if (stack[-1] if stack else -1) != skeleton.parents[joint]:
            raise BvhError(path, None, f"joint {name!r} is not in depth-first order")
        indent, listed = "\t" * depth, skeleton.channels[joint]
        lines += [f"{indent}{'JOINT' if joint else 'ROOT'} {name}", indent + "{"]
        lines.append(f"{indent}\tOFFSET {offsets[joint]}")
        lines.append(" ".join((f"{indent}\tCHANNELS {len(listed)}", *listed)))
        stack.append(joint)
        end_sites(joint)
    close(0)
    if ends:
        raise BvhError(path, None, f"the End Site of {skeleton.names[ends[-1].parent]!r} is not in file order")
    frame_time = _fixed(repr(float(clip.frame_time)).encode()).decode()
    return [*lines, "MOTION", f"Frames: {len(clip)}", f"Frame Time: {frame_time}", ""]


def _offset_texts(offsets: FloatArray, decimals: int | None) -> list[str]:
    """Each of (J, 3) OFFSETs as it stands in the file."""
    return _format_rows(offsets, decimals).decode().splitlines() if len(offsets) else []


def _check_skeleton(path: Path, clip: Clip) -> None:
    """Refuse a skeleton that would not read back as it is."""
    skeleton = clip.skeleton
    if len(skeleton) > MAX_JOINTS:
        raise BvhError(path, None, f"{len(skeleton)} joints; a file holds at most {MAX_JOINTS}")
    if not len(clip) or not skeleton.channel_count:
        raise BvhError(path, None, "the clip has no frame" if not len(clip) else "no joint has a channel")
    for name, channels in zip(skeleton.names, skeleton.channels, strict=True):
        fault = channel_fault(channels) or _written_name_fault(name)
        if fault:
            raise BvhError(path, None, f"joint {name!r}: {fault}")
    for end in skeleton.end_sites:
        fault = _written_name_fault(end.name, may_be_empty=True)
        if fault:
            raise BvhError(path, None, f"End Site of {skeleton.names[end.parent]!r}: {fault}")
    if not (np.isfinite(skeleton.offsets).all() and np.isfinite([e.offset for e in skeleton.end_sites]).all()):
        raise BvhError(path, None, "an OFFSET is not finite")


def _written_name_fault(name: str, *, may_be_empty: bool = False) -> str | None:
    if name != name.strip(" \t\v\f"):
        return f"name {name!r} begins or ends with white space"
    if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
        return f"name {name!r} cannot be written as UTF-8"
    return name_fault(name, may_be_empty=may_be_empty)
