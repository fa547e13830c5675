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
from motionsynth.motion.bvh_header import read_header
from motionsynth.motion.bvh_motion import read_motion
from motionsynth.motion.bvh_write import write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.text import load_text, reading

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

    Example:
        >>> from motionsynth import read_bvh
        >>> clip = read_bvh("walkers/walk_normal_001.bvh")
        >>> clip.skeleton.names[:3], round(clip.frame_rate), clip.positions().shape[1:]
        (('Hips', 'Spine', 'Chest'), 30, (22, 3))
    """
    path = Path(path)
    with reading(path, BvhError):
        data = load_text(path, BvhError, "BVH")
        skeleton, start = read_header(path, data)
        if not skeleton.channel_count:
            raise BvhError(path, None, "no joint has a channel: there is no motion to read")
        frame_time, angles, translations = read_motion(path, data, start, skeleton)
    return Clip(skeleton, frame_time, angles, translations)
