"""The skeleton of Acclaim motion: an ASF file, which many AMC files share.

A bone begins where its parent ends and turns about axes of its own, C, so that with p the parent

    world(b) = world(p) . T(end_p + l_p direction_p) . T(C t) . C M C^-1        M = R_last ... R_first

with t, l and the rotations R what its ``dof`` lists: rotations are about fixed axes, in the order listed. The orders
of ``axis`` mean the same. So a joint is where its bone begins, and rests in the axes of the world. A preset position
of the root is added to its motion; a preset orientation is turned first.

Lengths are multiplied by ``length``, as the format's definition has it. The one exception is 0.45, which Vicon writes
and the CMU library and HDM05 have: it divides inches, and the numbers stay as they are, in the unit ``cmu``.

References:
    Schafer, "Acclaim Skeleton File Definition V1.10", Acclaim Advanced Technologies Group, 1994.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from motionsynth.errors import AmcError
from motionsynth.motion.bvh_layout import CHANNEL_NAMES, MAX_JOINTS
from motionsynth.motion.bvh_scan import NUMBER
from motionsynth.motion.rotations import angles_to_matrices
from motionsynth.motion.skeleton import AXES, EndSite, FloatArray, Skeleton
from motionsynth.motion.text import load_text, reading

__all__ = ["ANGLES", "LARGEST", "NO_MEASURE", "STRETCH", "Acclaim", "fixed_order", "is_measure", "read_asf"]

_ROOT: Final = "root"
STRETCH: Final = "l"
LARGEST: Final = 1e15
"""Largest size of a body, in any unit, and of a turn."""
NO_MEASURE: Final = f"is not a number up to {LARGEST:g}"
ANGLES: Final = {"deg": 1.0, "degrees": 1.0, "rad": 180 / math.pi, "radians": 180 / math.pi}
"""Degrees in a unit of angle."""
_VICON_LENGTH: Final = 0.45
_TURNS: Final = ("rx", "ry", "rz")
_SHIFTS: Final = ("tx", "ty", "tz")
_ROTATIONS: Final = ("Zrotation", "Yrotation", "Xrotation")
"""Channels of ``rx ry rz``, which nearly every file has."""
_SECTIONS: Final = (":version", ":name", ":units", ":documentation", ":root", ":bonedata", ":hierarchy", ":skin")
_ROOT_KEYS: Final = ("order", "axis", "position", "orientation")
_BONE_KEYS: Final = ("id", "name", "direction", "length", "axis", "dof", "limits", "bodymass", "cofmass")
_COMMENT: Final = re.compile(r"#(?<!\S#).*")
_SPACES: Final = str.maketrans(",()", "   ")
_NUMBER: Final = re.compile(NUMBER)
_LIMIT: Final = re.compile(r"[+-]?(?:[0-9.].*|inf.*)", re.I)


@dataclass(frozen=True, eq=False)
class Acclaim:
    """A skeleton, and what the numbers of its motion mean.

    Args:
        skeleton: J joints, the root and one for each bone; one that motion can shift has position channels.
        dofs: joint that moves -> what its numbers are, in their order.
        axes_J33: the axes C that each joint turns about, as columns.
        directions_J3: along which each bone stretches.
        orientation_33: how the root is turned before it moves.
        scale: what lengths are multiplied by.
        degrees: degrees in the unit of angle.
    """

    skeleton: Skeleton
    dofs: Mapping[str, tuple[str, ...]]
    axes_J33: FloatArray
    directions_J3: FloatArray
    orientation_33: FloatArray
    scale: float
    degrees: float


class _Line(NamedTuple):
    number: int
    words: list[str]


class _Fault(Exception):  # noqa: N818 - becomes an AmcError once the file is known
    def __init__(self, line: int | None, reason: str) -> None:
        self.line, self.reason = line, reason
        super().__init__(reason)


class _Bone(NamedTuple):
    line: int
    name: str
    direction: list[float]
    length: float
    axis: list[float]
    order: str
    dof: tuple[str, ...]


def read_asf(path: Path) -> Acclaim:
    """Read an ASF file; keywords in any case, lines ended by LF, CRLF or CR, comments from ``#`` on.

    Raises:
        AmcError: the file cannot be opened, or is not one skeleton of at most 1,000 joints; names the line.
    """
    with reading(path, AmcError):
        data = load_text(path, AmcError, "ASF")
        try:
            return _parse(data)
        except _Fault as fault:
            raise AmcError(path, fault.line, fault.reason) from None


def is_measure(word: bytes) -> bool:
    """Test whether a word is a number that a body can have."""
    return _NUMBER.fullmatch(word) is not None and abs(float(word)) <= LARGEST


def fixed_order(dof: Sequence[str]) -> str:
    """The intrinsic order of rotations about fixed axes: ``rx rz`` is ``ZXY``, of which Y stays at zero."""
    turned = "".join(token[-1].upper() for token in reversed(dof) if token in _TURNS)
    return turned + "".join(axis for axis in AXES if axis not in turned)


@lru_cache(maxsize=32)
def _parse(data: bytes) -> Acclaim:
    sections = _sections(data)
    for keyword in (":root", ":bonedata", ":hierarchy"):
        if keyword not in sections:
            raise _Fault(None, f"the section {keyword} is missing")
    scale, degrees = _units(sections.get(":units", []))
    root, position = _root(sections[":root"])
    bones = {bone.name: bone for bone in _bones(sections[":bonedata"])}
    names, parents = _hierarchy(sections[":hierarchy"], bones)
    if len(names) > MAX_JOINTS:
        raise _Fault(None, f"{len(names) - 1} bones; a clip has at most {MAX_JOINTS - 1}")
    joints = [root, *(bones[name] for name in names[1:])]
    directions = np.array([joint.direction for joint in joints])
    ends = directions * np.array([[joint.length * scale] for joint in joints])
    tips = sorted({*range(len(joints))}.difference(parents))
    for joint in tips:
        if STRETCH in joints[joint].dof:
            raise _Fault(joints[joint].line, f"bone {names[joint]!r} stretches, and no bone follows that would show it")
    frames = np.array([_axes(joint.axis, joint.order, degrees) for joint in joints])
    skeleton = Skeleton(
        names,
        parents,
        np.array([np.array(position) * scale, *(ends[parent] for parent in parents[1:])]),
        tuple(
            _channels(joint, joints[parent] if parent >= 0 else None)
            for joint, parent in zip(joints, parents, strict=True)
        ),
        tuple(EndSite(tip, (x, y, z)) for tip, (x, y, z) in zip(tips, ends[tips].tolist(), strict=True)),
    )
    return Acclaim(
        skeleton,
        {joint.name: joint.dof for joint in joints if joint.dof},
        np.concatenate([np.eye(3)[None], frames[1:]]),
        directions,
        frames[0],
        scale,
        degrees,
    )


def _channels(joint: _Bone, parent: _Bone | None) -> tuple[str, ...]:
    moves = parent is None or STRETCH in parent.dof or any(token in _SHIFTS for token in joint.dof)
    return (*CHANNEL_NAMES[:3], *_ROTATIONS) if moves else _ROTATIONS


def _axes(angles: list[float], order: str, degrees: float) -> FloatArray:
    """(3, 3) rotation by angles about the fixed X, Y and Z, in the order named."""
    intrinsic = order[::-1]
    values = [angles[AXES.index(axis)] * degrees for axis in intrinsic]
    return np.asarray(angles_to_matrices(np.array([values]), (intrinsic,))[0])


def _sections(data: bytes) -> dict[str, list[_Line]]:
    """Keyword -> the lines below it that say anything, and what follows it on its own line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    sections: dict[str, list[_Line]] = {}
    current: list[_Line] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        words = _COMMENT.sub("", line).translate(_SPACES).split()
        if words and words[0].startswith(":"):
            keyword = words.pop(0).lower()
            if keyword not in _SECTIONS:
                raise _Fault(number, f"unknown section {keyword[:40]!r}; an ASF file has {', '.join(_SECTIONS)}")
            if keyword in sections:
                raise _Fault(number, f"a second {keyword}")
            current = sections[keyword] = []
        if words and current is None:
            raise _Fault(number, f"expected a section such as :units, not {words[0][:40]!r}; is this an ASF file?")
        if words and current is not None:
            current.append(_Line(number, words))
    return sections


def _entries(lines: list[_Line], keys: Sequence[str]) -> dict[str, _Line]:
    """Key -> its line, each once; lines of numbers below ``limits`` belong to it."""
    found: dict[str, _Line] = {}
    last = ""
    for line in lines:
        key = line.words[0].lower()
        if last == "limits" and _LIMIT.fullmatch(key):
            continue
        if key not in keys:
            raise _Fault(line.number, f"unknown key {line.words[0][:40]!r}; known here: {', '.join(keys)}")
        if key in found:
            raise _Fault(line.number, f"a second {key}")
        found[key], last = line, key
    return found


def _units(lines: list[_Line]) -> tuple[float, float]:
    """Factor of lengths, and the degrees in a unit of angle."""
    entries = _entries(lines, ("mass", "length", "angle"))
    scale, degrees = 1.0, 1.0
    if line := entries.get("length"):
        (scale,) = _numbers(line, 1)
        if scale <= 0:
            raise _Fault(line.number, f"the unit of length is {line.words[1]!r}, not a positive number")
    if line := entries.get("angle"):
        if len(line.words) != 2 or line.words[1].lower() not in ANGLES:
            raise _Fault(line.number, f"angle must be one of {', '.join(ANGLES)}")
        degrees = ANGLES[line.words[1].lower()]
    return 1.0 if math.isclose(scale, _VICON_LENGTH, rel_tol=1e-6) else scale, degrees


def _root(lines: list[_Line]) -> tuple[_Bone, list[float]]:
    """The root as a bone without length, its preset orientation for an axis; and its preset position."""
    entries = _entries(lines, _ROOT_KEYS)
    order = _dof(entries["order"], (*_SHIFTS, *_TURNS)) if "order" in entries else ()
    if not order:
        raise _Fault(lines[0].number if lines else None, "the root has no order: its motion has no meaning")
    position, orientation = (
        _numbers(entries[key], 3) if key in entries else [0.0] * 3 for key in ("position", "orientation")
    )
    axis = _order(entries["axis"], 1) if "axis" in entries else AXES
    return _Bone(lines[0].number, _ROOT, [0.0] * 3, 0.0, orientation, axis, order), position


def _bones(lines: list[_Line]) -> Iterator[_Bone]:
    start: _Line | None = None
    block: list[_Line] = []
    names: set[str] = {_ROOT}
    for line in lines:
        word = line.words[0].lower()
        if (word == "begin") == (start is not None):
            raise _Fault(line.number, "a bone begins before the last one ends" if start else "expected 'begin'")
        if word == "begin":
            start, block = line, []
        elif word != "end":
            block.append(line)
        elif start is not None:
            bone = _bone(start, block)
            if bone.name in names:
                raise _Fault(bone.line, f"a second bone {bone.name!r}")
            names.add(bone.name)
            start = None
            yield bone
    if start is not None:
        raise _Fault(start.number, "the bone that begins here has no 'end'")


def _bone(start: _Line, block: list[_Line]) -> _Bone:
    entries = _entries(block, _BONE_KEYS)
    for key in ("name", "direction", "length", "axis"):
        if key not in entries:
            raise _Fault(start.number, f"the bone that begins here has no {key}")
    name = entries["name"]
    if len(name.words) != 2:
        raise _Fault(name.number, "a bone's name is one word")
    (length,) = _numbers(entries["length"], 1)
    return _Bone(
        start.number,
        name.words[1],
        _numbers(entries["direction"], 3),
        length,
        _numbers(entries["axis"], 3, further=1),
        _order(entries["axis"], 4),
        _dof(entries["dof"], (*_TURNS, *_SHIFTS, STRETCH)) if "dof" in entries else (),
    )


def _numbers(line: _Line, count: int, *, further: int = 0) -> list[float]:
    """The finite numbers behind a line's key, and no more words than ``further`` behind them."""
    words = line.words[1:]
    if len(words) != count + further:
        raise _Fault(line.number, f"{line.words[0]} has {len(words)} values, not {count + further}")
    for word in words[:count]:
        if not is_measure(word.encode()):
            raise _Fault(line.number, f"{line.words[0]}: {word[:40]!r} {NO_MEASURE}")
    return [float(word) for word in words[:count]]


def _order(line: _Line, place: int) -> str:
    """The order of rotations that stands at a place of a line."""
    order = line.words[place].upper() if len(line.words) == place + 1 else ""
    if sorted(order) != list(AXES):
        raise _Fault(line.number, f"{line.words[0]} must end in an order of rotations such as XYZ")
    return order


def _dof(line: _Line, known: Sequence[str]) -> tuple[str, ...]:
    """The degrees of freedom that a line lists."""
    tokens = tuple(word.lower() for word in line.words[1:])
    for token in tokens:
        if token not in known or tokens.count(token) > 1:
            what = "listed twice" if token in known else f"none of {', '.join(known)}"
            raise _Fault(line.number, f"{line.words[0]}: {token[:40]!r} is {what}")
    return tokens


def _hierarchy(lines: list[_Line], bones: Mapping[str, _Bone]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and parents of the joints, depth first, children in the order listed."""
    children: dict[str, list[str]] = {}
    hung: set[str] = {_ROOT}
    for number, words in lines:
        if len(words) == 1 and words[0].lower() in ("begin", "end"):
            continue
        for name in words:
            if name != _ROOT and name not in bones:
                raise _Fault(number, f"there is no bone {name[:40]!r}")
        for name in words[1:]:
            if name in hung:
                raise _Fault(number, f"{name!r} has a second parent")
            hung.add(name)
            children.setdefault(words[0], []).append(name)
    names: list[str] = []
    parents: list[int] = []
    waiting = [(_ROOT, -1)]
    while waiting:
        name, parent = waiting.pop()
        waiting += [(child, len(names)) for child in reversed(children.get(name, []))]
        names.append(name)
        parents.append(parent)
    reached = set(names)
    for bone in bones.values():
        if bone.name not in reached:
            raise _Fault(bone.line, f"bone {bone.name!r} does not hang on the root")
    return tuple(names), tuple(parents)
