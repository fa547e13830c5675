"""The HIERARCHY of a BVH file: checked here, then read by the ``bvh`` package.

``bvh`` goes char by char, keeps only the first word of a name, checks nothing and recurses in its queries. So a
scanner first checks the grammar, with line numbers; ``bvh`` is then handed a normalised header, and the skeleton
is built from what it answers, after a comparison with what the scanner saw. Files of one corpus differ in their
OFFSETs only, so all else is remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import bvh
import numpy as np

from motionsynth.errors import BvhError
from motionsynth.motion.bvh_scan import MARK, NUMBER, HeaderFault, NodeSeen, scan_header
from motionsynth.motion.skeleton import EndSite, FloatArray, Skeleton

__all__ = ["read_header"]

_OFFSET_LINE: Final = re.compile(
    rb"^([ \t]*+OFFSET[ \t]++)(NUM)[ \t]++(NUM)[ \t]++(NUM)[ \t]*+$".replace(b"NUM", NUMBER), re.I | re.M
)
_MOTION: Final = re.compile(rb"\}\s*+(MOTION)(?!\S)", re.I)
# A brace outside a joint's name always precedes MOTION, and a name holds no brace: a joint called MOTION is not found.


def read_header(path: Path, data: bytes) -> tuple[Skeleton, int]:
    """Read the skeleton of a file; returns it and the place in ``data`` just after the word MOTION.

    Names are decoded as UTF-8, or as Latin-1 in a file whose header is not UTF-8.

    Args:
        path: the file's name, for messages.
        data: the whole file, lines ended by ``\\n`` only.

    Raises:
        BvhError: the header is not one skeleton of 1 to 1,000 joints.
    """
    found = _MOTION.search(data)
    header = data[: found.start(1)] if found else data
    try:
        skeleton = _read_skeleton(header)
    except HeaderFault as fault:
        raise BvhError(path, header.count(b"\n", 0, fault.position) + 1, fault.reason) from None
    if not found:
        raise BvhError(path, data.rstrip().count(b"\n") + 1, "MOTION is missing after the hierarchy")
    return skeleton, found.end(1)


@lru_cache(maxsize=32)
def _read_skeleton(header: bytes) -> Skeleton:
    """Read a header; the position of a fault is one on its line."""
    if MARK in header:
        raise HeaderFault(header.find(MARK), "a control character in the header")
    pieces = _OFFSET_LINE.split(header)
    template = (b"OFFSET " + MARK).join(pieces[::5])
    try:
        tree = _read_template(template)
        offsets = _fill_offsets(tree, template, pieces)
    except HeaderFault as fault:  # masking keeps lines, not positions
        raise HeaderFault(_start_of_line(header, template.count(b"\n", 0, fault.position)), fault.reason) from None
    joints = len(tree.names)
    ends = tuple(
        EndSite(parent, (x, y, z), name)
        for (parent, name), (x, y, z) in zip(tree.ends, offsets[joints:].tolist(), strict=True)
    )
    return Skeleton(tree.names, tree.parents, offsets[:joints], tree.channels, ends)


def _start_of_line(text: bytes, number: int) -> int:
    position = 0
    for _ in range(number):
        position = text.index(b"\n", position) + 1
    return position


@dataclass(frozen=True)
class _Tree:
    """A skeleton without its OFFSETs."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    channels: tuple[tuple[str, ...], ...]
    ends: tuple[tuple[int, str], ...]
    offsets: tuple[int | tuple[float, float, float], ...]
    """For joints, then End Sites: which of the file's OFFSET lines is theirs, or the OFFSET itself."""


def _fill_offsets(tree: _Tree, template: bytes, pieces: list[bytes]) -> FloatArray:
    """Put the numbers of the OFFSET lines where they belong; (J + E, 3), joints first."""
    lines = np.array([list(map(float, pieces[k::5])) for k in (2, 3, 4)]).T
    offsets = np.array([lines[o] if isinstance(o, int) else o for o in tree.offsets], dtype=np.float64)
    if not np.isfinite(offsets).all():
        bad = int(np.argmin(np.isfinite(lines).all(axis=1)))  # the scanner has checked all other OFFSETs
        marks = [m.start() for m in re.finditer(re.escape(MARK), template)]
        raise HeaderFault(marks[bad], "OFFSET overflows float64")
    return offsets


@lru_cache(maxsize=128)
def _read_template(template: bytes) -> _Tree:
    """Scan a header whose OFFSET lines are masked, have ``bvh`` read it, and compare the two."""
    nodes = scan_header(template)
    joints, tips = [n for n in nodes if not n.is_end], [n for n in nodes if n.is_end]
    index = {id(node): joint for joint, node in enumerate(joints)}
    expected_parents = tuple(-1 if n.parent is None else index[id(n.parent)] for n in joints)
    answer = _ask_bvh(nodes)
    parents = tuple(parent for kind, _, parent, _ in answer if kind != "End")
    channels = tuple(listed for kind, _, _, listed in answer if kind != "End")
    ends = tuple((parent, nodes[number].name) for kind, number, parent, _ in answer if kind == "End")
    agrees = (
        [number for _, number, _, _ in answer] == list(range(len(nodes)))
        and parents == expected_parents
        and channels == tuple(n.channels for n in joints)
        and ends == tuple((index[id(n.parent)], n.name) for n in tips)
    )
    if not agrees:
        raise HeaderFault(0, "the bvh package reads another hierarchy than this file holds")
    return _Tree(tuple(n.name for n in joints), parents, channels, ends, tuple(n.offset for n in joints + tips))


def _ask_bvh(nodes: list[NodeSeen]) -> list[tuple[str, int, int, tuple[str, ...]]]:
    """Have ``bvh`` read the normalised header; (kind, node number, parent joint, channels) in file order."""
    lines = ["HIERARCHY"]
    for number, node in enumerate(nodes):
        lines += ["}"] * node.closes_before
        lines += [f"{'End' if node.is_end else 'JOINT' if number else 'ROOT'} {number}", "{", "OFFSET 0 0 0"]
        if not node.is_end:
            lines.append(f"CHANNELS {len(node.channels)} {' '.join(node.channels)}")
    lines += ["}"] * (len(nodes) - sum(node.closes_before for node in nodes))
    tree = bvh.Bvh("\n".join([*lines, ""]))
    answer: list[tuple[str, int, int, tuple[str, ...]]] = []
    pending = [(child, -1) for child in tree.root.children if child.value[0] != "HIERARCHY"]
    joint_count = 0
    while pending:  # not bvh's own queries: they recurse
        node, parent = pending.pop()
        kind, number = node.value[0], int(node.value[1])
        listed = next((tuple(c.value[2:]) for c in node.children if c.value[0] == "CHANNELS"), ())
        answer.append((kind, number, parent, listed))
        if kind != "End":
            inner = [c for c in node.children if c.value[0] in ("JOINT", "End")]
            pending += [(child, joint_count) for child in reversed(inner)]
            joint_count += 1
    return answer
