"""Reading and writing BVH files.

Conventions: column vectors, rotations in degrees composed in the order the channels are listed; a position
channel *replaces* the component of OFFSET it names (as in Blender and MotionBuilder; three.js adds them).
Nothing is repaired: a file either is one skeleton with as many rows of finite numbers as it declares, or is
refused with one :class:`BvhError`.
"""

from __future__ import annotations

import os
from pathlib import Path

from motionsynth.errors import BvhError
from motionsynth.files import open_regular
from motionsynth.motion.bvh_header import read_header
from motionsynth.motion.bvh_motion import read_motion
from motionsynth.motion.bvh_write import write_bvh
from motionsynth.motion.clip import Clip

__all__ = ["read_bvh", "write_bvh"]


def read_bvh(path: str | os.PathLike[str]) -> Clip:
    """Read a BVH file.

    Any skeleton of 1 to 1,000 joints with 0, 1, 3 or 6 distinct channels each, in any order. Numbers are parsed
    to the same bits as by C's ``strtod``. A name is all that follows its keyword; names are UTF-8, or Latin-1 in
    a file whose header is not UTF-8. Lines may end in LF, CRLF or CR; keywords may be in any case.

    Args:
        path: the file.

    Returns:
        The clip, in the file's unit of length.

    Raises:
        BvhError: the file cannot be opened, or is not a BVH file in every respect; names the line where one is
            at fault.
    """
    path = Path(path)
    try:
        data = _load(path)
        skeleton, start = read_header(path, data)
        if not skeleton.channel_count:
            raise BvhError(path, None, "no joint has a channel: there is no motion to read")
        frame_time, angles, translations = read_motion(path, data, start, skeleton)
    except OSError as error:
        raise BvhError(path, None, f"cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise BvhError(path, None, "does not fit into memory") from error
    return Clip(skeleton, frame_time, angles, translations)


def _load(path: Path) -> bytes:
    """Read a regular file whole, with line ends made ``\\n``; never waits on a FIFO, never reads a device."""
    with open_regular(path) as file:
        head = file.read(1024)
        _check_head(path, head)
        data = head + file.read()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def _check_head(path: Path, head: bytes) -> None:
    """Refuse early what is no text, however large it is."""
    if not head.strip():
        raise BvhError(path, 1, "the file is empty")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BvhError(path, 1, "the file is UTF-16; save it as UTF-8")
    if b"\0" in head:
        raise BvhError(path, head.count(b"\n", 0, head.find(b"\0")) + 1, "a binary file, not BVH")
