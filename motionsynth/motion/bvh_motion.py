"""The MOTION block of a BVH file: rows of numbers, parsed in blocks by simdjson.

The fast path is strict: a block must hold nothing but number characters, one blank between values and one line
end after every C-th; the block then becomes a JSON array. What JSON's grammar refuses though BVH writers use it
(``+1``, ``.5``, ``1.``, ``007``) goes through ``float``, which parses to the same bits (strtod's). A block that
fails both is searched for its first faulty line.
"""

from __future__ import annotations

import math
import re
import threading
from pathlib import Path
from typing import Final, cast

import numpy as np
import simdjson

from motionsynth.errors import BvhError
from motionsynth.motion.bvh_layout import channel_layout
from motionsynth.motion.bvh_scan import NUMBER
from motionsynth.motion.skeleton import FloatArray, Skeleton
from motionsynth.motion.text import tidy

__all__ = ["read_motion"]

_BLOCK: Final = 1 << 16  # bytes; small enough that its intermediate forms stay in the processor's cache


class _Local(threading.local):
    """One parser a thread: it keeps its memory from block to block, and file to file."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_LOCAL: Final = _Local()
_BLANK, _MINUS, _EXPONENT = (np.uint8(code) for code in b" -e")
_BLANK_TO_COMMA: Final = np.uint8(ord(",") - ord(" "))
_MARK: Final = b"1e308"
_MARK_BETWEEN: Final = b",%b," % _MARK
_FRAMES: Final = re.compile(rb"\s*+Frames(?:[ \t]*+:|[ \t])[ \t]*+([^\n]*+)", re.I)
_FRAME_TIME: Final = re.compile(rb"\s*+Frame[ \t]*+Time(?:[ \t]*+:|[ \t])[ \t]*+([^\n]*+)\n?", re.I)
_COUNT: Final = re.compile(rb"[0-9]{1,18}")
_NUMBER: Final = re.compile(NUMBER)
_DIGITS: Final = b"0123456789+-.eE"


def read_motion(path: Path, data: bytes, start: int, skeleton: Skeleton) -> tuple[float, FloatArray, FloatArray]:
    """Read what follows the word MOTION; returns the frame time in seconds, angles and translations (T, J, 3).

    Args:
        path: the file's name, for messages.
        data: the whole file, lines ended by ``\\n`` only.
        start: the place just after MOTION.
        skeleton: the hierarchy above it; has at least one channel.

    Raises:
        BvhError: the block is not the declared number of rows of finite numbers, one for each channel.
    """
    frames, frame_time, frames_line, position = _read_counts(path, data, start)
    if frames > (len(data) - position + 1) // (2 * skeleton.channel_count):  # a declared size is not a size
        raise _first_fault(path, data, position, skeleton) or _frames_differ(
            path, frames_line, frames, _count_rows(data, position)
        )
    layout, joints = channel_layout(skeleton), len(skeleton)
    angles, translations = np.empty((2, frames, 3 * joints))  # untouched, and so no memory yet
    done = 0
    stop = len(data) - data.endswith(b"\n")
    while position < stop:
        end = data.find(b"\n", position + _BLOCK, stop)
        end = stop if end < 0 else end
        rows_TC = _parse_rows(data[position:end], skeleton.channel_count)
        if rows_TC is None:
            fault = _first_fault(path, data, position, skeleton)
            assert fault is not None
            raise fault
        if done + len(rows_TC) > frames:
            raise _surplus_row(path, data, position, frames_line, frames, frames - done)
        place = slice(done, done + len(rows_TC))
        layout.scatter(rows_TC, skeleton.offsets, angles[place], translations[place])
        position, done = end + 1, place.stop
    if done != frames:
        raise _frames_differ(path, frames_line, frames, done)
    return frame_time, angles.reshape(frames, joints, 3), translations.reshape(frames, joints, 3)


def _read_counts(path: Path, data: bytes, start: int) -> tuple[int, float, int, int]:
    """Read the lines Frames and Frame Time; (frames, seconds, line of Frames, place of the first row)."""
    found = _FRAMES.match(data, start)
    if not found:
        raise BvhError(path, _next_line(data, start), "expected 'Frames: COUNT' after MOTION")
    frames_line, text = _line(data, found.start(1)), found[1].strip()
    if not _COUNT.fullmatch(text):
        raise BvhError(path, frames_line, f"the number of frames is {_show(text)}, not a whole number")
    if not int(text):
        raise BvhError(path, frames_line, "the file holds no frame")
    timed = _FRAME_TIME.match(data, found.end())
    if not timed:
        raise BvhError(path, _next_line(data, found.end()), "expected 'Frame Time: SECONDS' after Frames")
    seconds = timed[1].strip()
    frame_time = float(seconds) if _NUMBER.fullmatch(seconds) else math.nan
    if not 0 < frame_time < math.inf:
        where = _line(data, timed.start(1))
        raise BvhError(path, where, f"the frame time is {_show(seconds)}, not a positive number of seconds")
    return int(text), frame_time, frames_line, timed.end()


def _parse_rows(block: bytes, channels: int) -> FloatArray | None:
    """Parse whole lines into (rows, C or more columns), or return None where any line is not a row of C values."""
    rows_TC = _parse_as_json(block, channels) if block else None
    if rows_TC is None:
        block = tidy(block)
        if not block:
            return np.empty((0, channels))
        rows_TC = _parse_as_json(block, channels)
    return _parse_as_floats(block, channels) if rows_TC is None else rows_TC


def _parse_as_json(block: bytes, channels: int) -> FloatArray | None:
    """Parse rows that are JSON numbers with one blank or line end between them; None where they are not.

    Blanks become commas. A line end becomes a mark, a number that must then stand in each (C + 1)-th place and
    nowhere else; the marks are the last column. All other characters are left to the parser to refuse.
    """
    if b"[" in block:  # an array inside would count as its numbers
        return None
    if b"E" in block:
        block = block.lower()
    marked = block.replace(b"\n", _MARK_BETWEEN)
    rows = 1 + (len(marked) - len(block)) // (len(_MARK_BETWEEN) - 1)
    document = np.frombuffer(b"[%b,%b]" % (marked, _MARK), dtype=np.uint8)
    blanks = document == _BLANK
    if np.count_nonzero(blanks) != rows * (channels - 1):  # so that a comma in the file is not taken for a blank
        return None
    document = document + blanks.view(np.uint8) * _BLANK_TO_COMMA
    try:
        array = cast("simdjson.Array", _LOCAL.parser.parse(document.data))
        values = np.frombuffer(array.as_buffer(of_type="d"), dtype=np.float64)
        del array  # the parser cannot be used again while its array lives
    except (ValueError, TypeError, RuntimeError):  # RuntimeError: an integer beyond 64 bits
        return None
    if len(values) != rows * (channels + 1):
        return None
    marks = values == float(_MARK)
    if not marks[channels :: channels + 1].all() or np.count_nonzero(marks) != rows:
        return None
    minus = document == _MINUS
    signs = np.count_nonzero(minus)
    if b"e" in block:  # but not the marks' own
        signs -= np.count_nonzero(minus[1:] & (document[:-1] == _EXPONENT))
    # JSON has an integer -0, which loses its sign: where a sign is missing, float has to read the block.
    return values.reshape(rows, channels + 1) if np.count_nonzero(np.signbit(values)) == signs else None


def _parse_as_floats(block: bytes, channels: int) -> FloatArray | None:
    """Parse tidy rows by Python's float, whose grammar over these characters is BVH's; None where they are not rows."""
    gaps = block.translate(None, _DIGITS) + b"\n"
    rows, rest = divmod(len(gaps), channels)
    if rest or gaps != (b" " * (channels - 1) + b"\n") * rows:
        return None
    try:
        values = np.array(list(map(float, block.split())))
    except ValueError:
        return None
    return values.reshape(rows, channels) if len(values) == rows * channels and np.isfinite(values).all() else None


def _first_fault(path: Path, data: bytes, position: int, skeleton: Skeleton) -> BvhError | None:
    """Find the first line from a position on that is not a row, and say why; None where all lines are rows."""
    channels, line = skeleton.channel_count, _line(data, position)
    while position < len(data):
        end = data.find(b"\n", position) + 1 or len(data)
        values = data[position:end].split()
        reason = _row_fault(values, channels, skeleton) if values else None
        if reason:
            return BvhError(path, line, reason)
        position, line = end, line + 1
    return None


def _row_fault(values: list[bytes], channels: int, skeleton: Skeleton) -> str | None:
    if values[0].upper() == b"MOTION":
        return "a second MOTION"
    for column, value in enumerate(values):
        numeric = _NUMBER.fullmatch(value)
        if numeric and math.isfinite(float(value)):
            continue
        if column < channels:
            owners = [f"{name}, {c}" for name, cs in zip(skeleton.names, skeleton.channels, strict=True) for c in cs]
            where = f"value {column + 1} of the row ({owners[column]})"
        else:
            where = f"value {column + 1} of the row"
        return f"{where} is {_show(value)}, " + ("beyond float64" if numeric else "not a finite number")
    if len(values) != channels:
        return f"a row of {len(values)} values; the hierarchy has {channels} channels"
    return None


def _surplus_row(path: Path, data: bytes, position: int, frames_line: int, frames: int, left: int) -> BvhError:
    """The error of a row beyond the declared ones; ``left`` more rows from ``position`` on are declared."""
    rows = re.compile(rb"[^\s][^\n]*+").finditer(data, position)
    surplus = next(row for count, row in enumerate(rows) if count == left)
    return BvhError(
        path, _line(data, surplus.start()), f"a row beyond the {frames} frames that line {frames_line} declares"
    )


def _frames_differ(path: Path, line: int, declared: int, found: int) -> BvhError:
    return BvhError(path, line, f"{declared} frames are declared, {found} rows follow")


def _count_rows(data: bytes, position: int) -> int:
    return sum(1 for _ in re.compile(rb"[^\s][^\n]*+").finditer(data, position))


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _next_line(data: bytes, position: int) -> int:
    """The line of the next word, or the last line where there is none."""
    found = re.compile(rb"\S").search(data, position)
    return _line(data, found.start() if found else len(data.rstrip()))


def _show(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "backslashreplace"))
