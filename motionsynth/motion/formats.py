"""The formats that clips are read from, told by the ending of a file's name; light to import."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from motionsynth.motion.clip import Clip

__all__ = ["SUFFIXES", "is_clip", "read_clip", "skeleton_files"]

_AMC: Final = ".amc"
SUFFIXES: Final = (".bvh", _AMC)
"""Endings of the names of clips, in small letters; any case counts."""


def is_clip(name: str) -> bool:
    """Test whether a name ends as that of a clip."""
    return name.lower().endswith(SUFFIXES)


def read_clip(path: str | os.PathLike[str]) -> Clip:
    """Read a BVH file, or an AMC file with the skeleton beside it; a name of another ending is taken for BVH.

    Raises:
        ClipError: the file cannot be read; see ``read_bvh`` and ``read_amc``.
    """
    if Path(path).suffix.lower() == _AMC:
        from motionsynth.motion.amc import read_amc

        return read_amc(path)
    from motionsynth.motion.bvh import read_bvh

    return read_bvh(path)


def skeleton_files(clips: Iterable[Path]) -> list[Path]:
    """List the files that skeletons of clips may be read from: ASF files beside AMC files, or one folder up."""
    folders = {clip.parent for clip in clips if clip.suffix.lower() == _AMC}
    if not folders:
        return []
    from motionsynth.motion.amc import list_asf

    found: list[Path] = []
    for folder in sorted(folders | {folder.resolve().parent for folder in folders}):
        with suppress(OSError):
            found += list_asf(folder)
    return found
