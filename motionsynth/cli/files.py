"""What a user means by a list of paths, or of pairs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from motionsynth.errors import MotionSynthError

__all__ = ["bvh_files", "pairs"]


def bvh_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and for a folder every ``.bvh`` file below it, in order of name.

    Raises:
        MotionSynthError: a path does not exist, or a folder holds no BVH file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".bvh")
            if not below:
                raise MotionSynthError(f"{path}: no .bvh file in this folder")
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise MotionSynthError(f"{path}: no such file or folder")
    return found


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping.

    Raises:
        MotionSynthError: a word is none, or a name comes twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not (name and separator and value):
            raise MotionSynthError(f"{option} {word}: must look like style=elderly")
        if name in found:
            raise MotionSynthError(f"{option} {word}: {name} is given twice")
        found[name] = value
    return found
