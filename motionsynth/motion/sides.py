"""Left and right: the side of each joint, and its counterpart on the other side, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["CENTRE", "LEFT", "RIGHT", "joint_sides", "left_right_pairs"]

CENTRE: Final = 0
LEFT: Final = 1
RIGHT: Final = 2

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
        r"(?i:left|right)",  # leftarm, rig:armleft; but also rightful and upright
        r"(?<![A-Za-z])[lr](?=[a-z])",  # lfemur; but also root and lowerback
        r"(?<![A-Za-z])[LlRr](?![a-z])",  # LARM, Finger_L1; but also ROOT, and L5, which is a vertebra
        r"(?<=[0-9])[LR]$",  # finger1L
    )
)
"""Marks of a side only if the other one is there."""


def joint_sides(names: Sequence[str]) -> tuple[int, ...]:
    """Find the side of each joint: ``LEFT``, ``RIGHT``, or ``CENTRE`` where its name shows none.

    A mark that :func:`left_right_pairs` trusts shows it by itself, any other only beside a counterpart.
    """
    known, sides = {name.casefold() for name in names}, []
    for name in names:
        sure, weak = _counterparts(name, _MARKS), _counterparts(name, _WEAK_MARKS)
        shown = [side for other, side in (*sure.items(), *weak.items()) if other.casefold() in known]
        sides.append(next(iter((*shown, *sure.values())), CENTRE))
    return tuple(sides)


def left_right_pairs(names: Sequence[str]) -> tuple[int, ...]:
    """Find each joint's counterpart on the other side by its name: (J,) indices, a joint's own where it has none.

    Understood: Left/Right at a word or capital boundary, single l/r or L/R set off by a mark (``Hand_L``, ``hand.r``,
    ``Bip01 L Thigh``), before a capital (``lShldr``), or after a small letter (``handL``); ``lfemur`` if there is an
    ``rfemur``, ``Finger_L1`` if there is a ``Finger_R1``; 左 and 右. A namespace (``mixamorig:``) does not matter.

    Raises:
        ValueError: names that state a side but have no counterpart, or more than one; all are listed.
    """
    where: dict[str, list[int]] = {}
    for joint, name in enumerate(names):
        where.setdefault(name, []).append(joint)
    pairs, lonely = list(range(len(names))), []
    for joint, name in enumerate(names):
        sure, weak = _counterparts(name, _MARKS), _counterparts(name, _WEAK_MARKS)
        found = next((other for other in (*sure, *weak) if other in where), None)
        if found is not None and len(where[found]) == len(where[name]) == 1:
            pairs[joint] = where[found][0]
        elif found is not None or sure:
            lonely.append(name)
    if lonely:
        raise ValueError(f"no single counterpart on the other side for: {', '.join(sorted(set(lonely)))}")
    return tuple(pairs)


def _counterparts(name: str, marks: tuple[re.Pattern[str], ...]) -> dict[str, int]:
    """Names that the counterpart may have, the likeliest first -> the side that the joint itself is then of."""
    found: dict[str, int] = {}
    for mark in marks:
        for match in mark.finditer(name):
            side = match.group()
            other = _SIDES[side.lower()]
            other = other.upper() if side.isupper() else other.capitalize() if side[0].isupper() else other
            swapped = name[: match.start()] + other + name[match.end() :]
            found.setdefault(swapped, LEFT if side.lower() in ("left", "l", "左") else RIGHT)
    return found
