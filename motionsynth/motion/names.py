"""Names of joints that every reader of BVH files keeps apart, and can play.

Readers disagree on names. three.js and pybvh end one at its first space, three.js' animation takes ``[ ] . : /`` for
its own syntax, its BVHLoader calls every End Site ``ENDSITE``, Blender cuts names to 63 bytes, and bvhsdk and
upc-pymotion look for keywords anywhere in a line. Letters of any script are kept apart by all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from motionsynth.motion.clip import Clip

__all__ = ["note_renamed", "plain_name", "portable_names", "rename_joints", "restore_names"]

_UNSAFE: Final = re.compile(r"[\s\[\].:/{}\x00-\x1f\x7f-\x9f\ufeff]+")
_KEYWORDS: Final = re.compile("HIERARCHY|ROOT|JOINT|MOTION")
_MAX_BYTES: Final = 63
_END_SITE: Final = "ENDSITE"


def portable_names(names: Sequence[str]) -> tuple[str, ...]:
    """Give joints names that every reader keeps apart, as near to their own as can be.

    White space and ``[ ] . : / { }`` become ``_``, or nothing at either end; keywords of BVH in capitals are written
    small but for their first letter; names are cut to 63 bytes; and names that are then the same get a number. A name
    without all that stays. Applied again it changes nothing.

    Args:
        names: J joint names, unique or not.

    Returns:
        J unique names, such as ``mixamorig_Hips`` for ``mixamorig:Hips`` and ``LeftUpLeg_1`` for ``LeftUpLeg[1]``.
    """
    plain = [plain_name(name) or "joint" for name in names]
    kept = {name for name, safe in zip(names, plain, strict=True) if name == safe} - {_END_SITE}
    taken, found = {*kept, _END_SITE}, list[str]()
    for name, safe in zip(names, plain, strict=True):
        if name in kept:
            kept.remove(name)  # of joints of one name the first keeps it
        elif safe in taken:
            safe = _numbered(safe, taken)
        taken.add(safe)
        found.append(safe)
    return tuple(found)


def plain_name(name: str) -> str:
    """Give one name by itself what ``portable_names`` gives it; it may be empty, or another's too."""
    start, stop = 0, len(name)
    for gap in _UNSAFE.finditer(name):
        start = gap.end() if gap.start() == 0 else start
        stop = gap.start() if gap.end() == len(name) else stop
    safe = _UNSAFE.sub("_", name[start:stop])
    return _cut(_KEYWORDS.sub(lambda word: word[0].capitalize(), safe), _MAX_BYTES)


def _numbered(name: str, taken: set[str]) -> str:
    number = 2
    while (numbered := _cut(name, _MAX_BYTES - len(f"_{number}")) + f"_{number}") in taken:
        number += 1
    return numbered


def _cut(name: str, size: int) -> str:
    """A name of at most ``size`` bytes, no letter cut in two."""
    return name.encode("utf-8", "surrogatepass")[:size].decode("utf-8", "ignore")


def rename_joints(clip: Clip, names: Sequence[str]) -> Clip:
    """The clip with other joint names, in the order of its joints."""
    return replace(clip, skeleton=replace(clip.skeleton, names=tuple(names)))


def note_renamed(renamed: list[tuple[str, str]], names: Sequence[str], found: Sequence[str]) -> None:
    """Add to a table of (own, new) the names that have changed, each pair once."""
    pairs = [(own, new) for own, new in zip(names, found, strict=True) if own != new]
    renamed += [pair for pair in pairs if pair not in renamed]


def restore_names(clip: Clip, names: Sequence[str]) -> Clip:
    """The clip with these joint names, where its own differ from them only as portable names do; else as it is."""
    own = clip.skeleton.names
    renamed = own != tuple(names) and portable_names(own) == portable_names(names)
    return rename_joints(clip, names) if renamed else clip
