"""Reading AMC files: Acclaim's motion, with the skeleton of the ASF file beside it.

A frame is a line with its number, then a line for each bone that moves: its name, and a number for each of its degrees
of freedom. Every frame is like the first, which is checked and parsed at once; only where a file is not so is it gone
through line by line for its first fault. Nothing is repaired.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from motionsynth.errors import AmcError, list_first
from motionsynth.motion.asf import ANGLES, LARGEST, NO_MEASURE, STRETCH, Acclaim, fixed_order, is_measure, read_asf
from motionsynth.motion.clip import Clip
from motionsynth.motion.rotations import angles_to_matrices
from motionsynth.motion.skeleton import AXES, FloatArray
from motionsynth.motion.text import load_text, reading, tidy

__all__ = ["FRAME_RATE", "find_asf", "list_asf", "read_amc"]

FRAME_RATE: Final = 120.0
"""Frames a second of nearly all AMC files, which hardly ever say."""
_NAMED: Final = 4
_MUTE: Final = (b":fully-specified", b":asf-file", b":asf-path", b":frame-range", b":version")
"""Keywords that change nothing: every bone of every frame is asked for anyhow."""
_MARK: Final = b"\xef\xbb\xbf"
_COMMENT: Final = re.compile(rb"#(?<!\S#)[^\n]*")  # not within a word: -1.#IND is no -1
_FRAME: Final = re.compile(rb"^[ \t]*([0-9]{1,18})[ \t]*$", re.M)
_DIGITS: Final = b"0123456789+-.eE"


def read_amc(
    path: str | os.PathLike[str], *, asf: str | os.PathLike[str] | None = None, frame_rate: float | None = None
) -> Clip:
    """Read an AMC file with its skeleton.

    Each bone is a joint where it begins, with rotations in the order ZYX about the axes of the world at rest. Lengths
    are those of the file: see :mod:`motionsynth.motion.asf`.

    Args:
        path: the file.
        asf: its skeleton; the one that :func:`find_asf` finds where None.
        frame_rate: frames a second; where None what the file says in ``:samples-per-second``, else 120.

    Returns:
        The clip, in the file's unit of length.

    Raises:
        AmcError: a file cannot be opened, no skeleton or more than one may be meant, or the motion is not that
            skeleton's in every frame; names the line.
    """
    path = Path(path)
    with reading(path, AmcError):
        data = load_text(path, AmcError, "AMC")
        skeleton = Path(asf) if asf is not None else find_asf(path)
        acclaim = read_asf(skeleton)
        data = _COMMENT.sub(b"", data.removeprefix(_MARK))
        first = _FRAME.search(data)
        start = first.start() if first else len(data)
        head = _read_head(path, data[:start], acclaim)
        if first is None:
            raise AmcError(path, data.rstrip().count(b"\n") + 1, "the file holds no frame")
        values = _parse(data[start:], acclaim)
        if values is None:
            raise _first_fault(path, data, start, acclaim, skeleton.name)
        return _pose(acclaim, values, head.degrees, head.frame_rate if frame_rate is None else frame_rate)


def find_asf(path: Path) -> Path:
    """Find the skeleton of an AMC file: beside it, or where no ASF file is, one folder up.

    It is the one whose name begins that of the motion (``walk.asf`` for ``walk.amc``, ``07.asf`` for ``07_01.amc``),
    the longest of them; else the only one beside it.

    Raises:
        AmcError: there is none, or any of several; names them.
    """
    stem, beside = path.stem.casefold(), list_asf(path.parent)
    found = beside or list_asf(path.parent.resolve().parent)
    fitting = [asf for asf in found if _begins(stem, asf.stem.casefold())]
    longest = [asf for asf in fitting if len(asf.stem) == max(len(asf.stem) for asf in fitting)]
    meant = longest or beside
    if len(meant) == 1:
        return meant[0]
    if meant:
        names = list_first([asf.name for asf in meant], _NAMED)
        raise AmcError(path, None, f"its skeleton may be any of {names}; give one the name {path.stem}.asf")
    raise AmcError(
        path, None, "its skeleton is missing: no ASF file lies beside it, and none of its name one folder up"
    )


def list_asf(folder: Path) -> list[Path]:
    """List the ASF files right inside a folder, sorted; hidden names do not count."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".asf" and not path.name.startswith("."))


def _begins(stem: str, start: str) -> bool:
    """Test whether a name is another, or begins with it and goes on with a new word."""
    return stem.startswith(start) and not stem[len(start) : len(start) + 1].isalnum()


class _Head(NamedTuple):
    degrees: float
    frame_rate: float


def _read_head(path: Path, head: bytes, acclaim: Acclaim) -> _Head:
    """Read the keywords above the first frame."""
    degrees, frame_rate = acclaim.degrees, FRAME_RATE
    for number, line in enumerate(head.split(b"\n"), 1):
        words = line.split()
        if not words:
            continue
        keyword = words[0].lower()
        if keyword == b":samples-per-second" and len(words) == 2 and is_measure(words[1]):
            frame_rate = float(words[1])
            if frame_rate < 1e-3:
                raise AmcError(path, number, f"the frame rate is {_show(words[1])}, not a positive number")
        elif (unit := ANGLES.get(keyword.decode("latin-1").removeprefix(":"))) and keyword.startswith(b":"):
            degrees = unit
        elif keyword not in _MUTE:
            raise AmcError(path, number, f"{_show(line.strip())} is neither a known keyword nor the number of a frame")
    return _Head(degrees, frame_rate)


class _Values(NamedTuple):
    names: list[str]
    """The bones that the file lists, in its order."""
    values_TV: FloatArray
    """Their numbers, bone after bone."""


def _parse(body: bytes, acclaim: Acclaim) -> _Values | None:
    """Parse frames that are all like the first one; None where they are not, or not the skeleton's.

    Without the characters of numbers the text must repeat that of the first frame; then every line has its place in
    every frame, and names and numbers are columns of one table of words.
    """
    text = tidy(body)
    second = re.compile(rb"\n[0-9]+\n").search(text, text.find(b"\n"))
    first = text[: second.start()] if second else text
    lines = [line.split() for line in first.split(b"\n")[1:]]
    names = [line[0].decode("utf-8", "backslashreplace") for line in lines]
    dofs = acclaim.dofs
    if len(set(names)) < len(names) or not dofs.keys() <= set(names) <= set(acclaim.skeleton.names):
        return None
    if any(len(line) - 1 != len(dofs.get(name, ())) for name, line in zip(names, lines, strict=True)):
        return None
    if not all(is_measure(word) for line in lines for word in line[1:]):
        return None
    gaps, pattern = (part.translate(None, _DIGITS) + b"\n" for part in (text, first))
    frames, rest = divmod(len(gaps), len(pattern))
    if rest or gaps != pattern * frames:
        return None
    words = text.split()
    width = 1 + sum(map(len, lines))
    labels = np.cumsum([1, *map(len, lines)])[:-1].tolist()
    if any(words[place::width] != [words[place]] * frames for place in labels):
        return None
    table = np.array(words, dtype=object).reshape(frames, width)
    try:
        numbers = list(map(int, words[::width]))
        columns = [place for place in range(1, width) if place not in set(labels)]
        values = np.array(list(map(float, table[:, columns].ravel())))
    except ValueError:
        return None
    if numbers != list(range(numbers[0], numbers[0] + frames)) or np.abs(values).max(initial=0.0) > LARGEST:
        return None
    return _Values(names, values.reshape(frames, len(columns)))


def _pose(acclaim: Acclaim, motion: _Values, degrees: float, frame_rate: float) -> Clip:
    """Turn the numbers of T frames into a clip."""
    skeleton, frames = acclaim.skeleton, len(motion.values_TV)
    orders = tuple(fixed_order(acclaim.dofs.get(name, ())) for name in skeleton.names)
    angles, shifts = np.zeros((2, frames, len(skeleton), 3))
    translations = np.tile(skeleton.offsets, (frames, 1, 1))
    columns = iter(motion.values_TV.T)
    for name in motion.names:
        joint = skeleton.names.index(name)
        for token in acclaim.dofs.get(name, ()):
            values, axis = next(columns), token[-1].upper()
            if token == STRETCH:
                children = list(skeleton.children[joint])
                translations[:, children] += (values * acclaim.scale)[:, None, None] * acclaim.directions_J3[joint]
            elif token.startswith("t"):
                shifts[:, joint, AXES.index(axis)] = values * acclaim.scale
            else:
                angles[:, joint, orders[joint].index(axis)] = values * degrees
    axes = acclaim.axes_J33
    rotations = axes @ angles_to_matrices(angles, orders) @ axes.swapaxes(-1, -2)
    rotations[:, 0] = rotations[:, 0] @ acclaim.orientation_33
    translations += (axes @ shifts[..., None])[..., 0]
    return Clip.from_rotations(skeleton, 1 / frame_rate, rotations, translations)


def _first_fault(path: Path, data: bytes, start: int, acclaim: Acclaim, asf: str) -> AmcError:
    """Find the first line that keeps the frames from being those of the skeleton."""
    dofs: Mapping[str, tuple[str, ...]] = {name: acclaim.dofs.get(name, ()) for name in acclaim.skeleton.names}
    order: list[str] = []
    number, seen, begun = -1, list[str](), 0
    line = data.count(b"\n", 0, start)
    for text in data[start:].split(b"\n"):
        line += 1
        words = text.split()
        if not words:
            continue
        if _FRAME.fullmatch(text):
            if reason := _lacking(acclaim, seen, number):
                return AmcError(path, begun, reason)
            if number >= 0 and int(words[0]) != number + 1:
                return AmcError(path, line, f"frame {_show(words[0])} follows frame {number}")
            order = order or seen
            number, seen, begun = int(words[0]), [], line
            continue
        name = words[0].decode("utf-8", "backslashreplace")
        if name not in dofs:
            return AmcError(path, line, f"there is no bone {_show(words[0])} in {asf}")
        if name in seen:
            return AmcError(path, line, f"bone {name!r} stands twice in frame {number}")
        if order and (len(seen) == len(order) or order[len(seen)] != name):
            return AmcError(path, line, f"bone {name!r} has another place in frame {number} than in the first frame")
        if len(words) - 1 != len(dofs[name]):
            listed = f": {' '.join(dofs[name])}" if dofs[name] else ""
            return AmcError(path, line, f"bone {name!r} has {len(words) - 1} values, not {len(dofs[name])}{listed}")
        for word in words[1:]:
            if not is_measure(word):
                return AmcError(path, line, f"bone {name!r}: {_show(word)} {NO_MEASURE}")
        seen.append(name)
    reason = _lacking(acclaim, seen, number)
    assert reason, "one of the two ways to read a frame is wrong"
    return AmcError(path, begun, reason)


def _lacking(acclaim: Acclaim, seen: list[str], number: int) -> str:
    """Fault of a frame that ends here, if it has begun."""
    missing = [name for name in acclaim.dofs if name not in seen] if number >= 0 else []
    return f"frame {number} lacks {list_first(missing, _NAMED)}" if missing else ""


def _show(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "backslashreplace"))
