"""Counterparts of joints on the other side, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["left_right_pairs"]

_SIDES: Final = {"left": "right", "right": "left", "l": "r", "r": "l", "左": "右", "右": "左"}
_MARKS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![A-Za-z])(?i:left|right)(?![a-z])",  # left_arm, hand.Right, "Left arm", LEFTARM, leftArm
        r"(?:Left|Right)(?![a-z])",  # mixamorig:LeftArm, joint_LeftHip, MiddleLeftLimb
        r"(?<![A-Za-z0-9])[LlRr](?![A-Za-z0-9])",  # Hand_L, hand.l, "Bip01 L Thigh", Arm_L_001
        r"(?<![A-Za-z0-9])[LlRr](?=[A-Z][a-z])",  # lShldr, LHipJoint, j_RFoot
        r"(?<=[a-z])[LR](?![A-Za-z])",  # handL, thumbR1
        r"[左右]",
    )
)
"""Marks of a side in a name, the surest first."""
_WEAK_MARKS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"^(?i:left|right)",  # leftarm; but also rightful
        r"(?i:left|right)$",  # armleft; but also upright
        r"^[lr](?=[a-z])",  # lfemur; but also root and lowerback
        r"^[LR](?=[A-Z])",  # LARM; but also ROOT
    )
)
"""Marks of a side only if the other one is there."""


def left_right_pairs(names: Sequence[str]) -> tuple[int, ...]:
    """Find each joint's counterpart on the other side by its name: (J,) indices, a joint's own where it has none.

    Understood: Left/Right at a word or capital boundary, single l/r or L/R set off by a mark (``Hand_L``, ``hand.r``,
    ``Bip01 L Thigh``), before a capital (``lShldr``), or after a small letter (``handL``); ``lfemur`` if there is an
    ``rfemur``; 左 and 右. A namespace such as ``mixamorig:`` does not matter.

    Raises:
        ValueError: names that state a side but have no counterpart, or more than one; all are listed.
    """
    where: dict[str, list[int]] = {}
    for joint, name in enumerate(names):
        where.setdefault(name, []).append(joint)
    pairs, lonely = list(range(len(names))), []
    for joint, name in enumerate(names):
        sure, weak = _other_sides(name, _MARKS), _other_sides(name, _WEAK_MARKS)
        found = next((other for other in (*sure, *weak) if other in where), None)
        if found is not None and len(where[found]) == len(where[name]) == 1:
            pairs[joint] = where[found][0]
        elif found is not None or sure:
            lonely.append(name)
    if lonely:
        raise ValueError(f"no single counterpart on the other side for: {', '.join(sorted(set(lonely)))}")
    return tuple(pairs)


def _other_sides(name: str, marks: tuple[re.Pattern[str], ...]) -> list[str]:
    """The names that the counterpart may have, the likeliest first; none for a joint in the middle."""
    found = (_swapped(name, mark) for mark in marks)
    return [other for other in dict.fromkeys(found) if other is not None]


def _swapped(name: str, mark: re.Pattern[str]) -> str | None:
    match = mark.search(name)
    if match is None:
        return None
    side = match.group()
    other = _SIDES[side.lower()]
    other = other.upper() if side.isupper() else other.capitalize() if side[0].isupper() else other
    return name[: match.start()] + other + name[match.end() :]
