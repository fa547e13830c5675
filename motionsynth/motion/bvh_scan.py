"""A strict scanner of the HIERARCHY's grammar: what stands where, and the place of the first fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from motionsynth.motion.bvh_layout import CHANNEL_NAMES, MAX_JOINTS, channel_fault

__all__ = ["MARK", "NUMBER", "HeaderFault", "NodeSeen", "scan_header"]

# Possessive, so that hostile text cannot make them backtrack. Not so the exponent: Python before 3.11.5 takes a
# possessive group that fails half-way for a match.
NUMBER: Final = rb"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?"
MARK: Final = b"\x01"
"""Stands for the numbers of an OFFSET line in a masked header."""

_BOM: Final = b"\xef\xbb\xbf"
_WORD: Final = re.compile(rb"\s*+([{}]|[^\s{}]++)?+")
_REST: Final = re.compile(rb"([^\n{]*+)")
_OFFSET: Final = re.compile(rb"\s++(?:(\x01)|(NUM)\s++(NUM)\s++(NUM))(?![^\s{}])".replace(b"NUM", NUMBER))
_CHANNELS: Final = re.compile(rb"[ \t]++([0-9]{1,9})(?![^\s{}])")
_CHANNEL: Final = re.compile(rb"\s++([^\s{}]++)")
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f{}]")
_SITE: Final = re.compile(r"site(?:[ \t]+|$)", re.I)
_KEYWORDS: Final = (b"ROOT", b"JOINT", b"END", b"ENDSITE", b"OFFSET", b"CHANNELS", b"MOTION")
_CANONICAL: Final = {name.upper().encode(): name for name in CHANNEL_NAMES}


class HeaderFault(Exception):  # noqa: N818 - becomes a BvhError once the file is known
    """The header is wrong at a byte position."""

    def __init__(self, position: int, reason: str) -> None:
        self.position, self.reason = position, reason
        super().__init__(reason)


@dataclass(eq=False)
class NodeSeen:
    """One ROOT, JOINT or End Site as the scanner saw it."""

    name: str
    parent: NodeSeen | None
    is_end: bool
    closes_before: int
    """Closing braces between the statement before this node and the node."""
    position: int
    offset: int | tuple[float, float, float] = -1
    """Number of its masked OFFSET line, or the OFFSET itself; -1 until one is read."""
    channels: tuple[str, ...] = ()
    has_channels: bool = False


class _Scanner:
    """Walks the statements of one header; ``open_nodes`` is the stack of braces."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.nodes: list[NodeSeen] = []
        self.open_nodes: list[NodeSeen] = []
        self.joint_count = self.offset_lines = self.closes = 0
        try:
            text.decode("utf-8")
            self.encoding = "utf-8"
        except UnicodeDecodeError:
            self.encoding = "latin-1"

    def word(self, position: int) -> tuple[bytes, int, int]:
        """The next word or brace, where it starts and where it ends; empty at the end of the text."""
        found = _WORD.match(self.text, position)
        assert found is not None
        word = found[1] or b""
        return word, found.end() - len(word), found.end()

    def node(self, keyword: bytes, start: int, position: int) -> int:
        """Read ``JOINT name {`` and the like."""
        is_end = keyword.startswith(b"END")
        parent = self.open_nodes[-1] if self.open_nodes else None
        if keyword == b"ROOT" and self.nodes:
            raise HeaderFault(start, "a second ROOT; one skeleton a file is read")
        if keyword != b"ROOT" and parent is None:
            raise HeaderFault(start, f"{_show(keyword)} outside of the ROOT's braces")
        if parent is not None:
            self.check_complete(parent, start)
        if not is_end:
            self.joint_count += 1
        if self.joint_count > MAX_JOINTS or len(self.nodes) > 4 * MAX_JOINTS:
            raise HeaderFault(start, f"more than {MAX_JOINTS} joints")
        rest = _REST.match(self.text, position)
        assert rest is not None
        name = self.name(rest[1], start, is_end, keyword)
        brace, brace_at, position = self.word(rest.end())
        if brace != b"{":
            raise HeaderFault(brace_at, f"expected '{{' after {_show(keyword)} {name[:40]!r}, found {_show(brace)}")
        node = NodeSeen(name, parent, is_end, self.closes, start)
        self.closes = 0
        self.nodes.append(node)
        self.open_nodes.append(node)
        return position

    def name(self, raw: bytes, start: int, is_end: bool, keyword: bytes) -> str:
        """A name is all that follows the keyword on its line."""
        name = raw.decode(self.encoding).strip(" \t\v\f")
        if is_end and keyword == b"END":
            name = _SITE.sub("", name, count=1) if _SITE.match(name) else name
        fault = name_fault(name, may_be_empty=is_end)
        if fault:
            raise HeaderFault(start, f"{_show(keyword)}: {fault}")
        return name

    def offset(self, start: int, position: int) -> int:
        """Read ``OFFSET x y z``."""
        node = self.inside(start, b"OFFSET")
        if node.offset != -1:
            raise HeaderFault(start, f"a second OFFSET in {node.name!r}")
        found = _OFFSET.match(self.text, position)
        if not found:
            raise HeaderFault(start, "OFFSET needs three finite numbers")
        if found[1]:
            node.offset = self.offset_lines
            self.offset_lines += 1
        else:
            x, y, z = map(float, found.groups()[1:])
            if not abs(x) + abs(y) + abs(z) < float("inf"):
                raise HeaderFault(start, "OFFSET overflows float64")
            node.offset = x, y, z
        return found.end()

    def channel_list(self, start: int, position: int) -> int:
        """Read ``CHANNELS n name ...``."""
        node = self.inside(start, b"CHANNELS")
        if node.is_end:
            raise HeaderFault(start, "an End Site has no CHANNELS")
        if node.has_channels:
            raise HeaderFault(start, f"a second CHANNELS in {node.name!r}")
        found = _CHANNELS.match(self.text, position)
        if not found:
            raise HeaderFault(start, "CHANNELS needs a number and that many channel names")
        declared, position = int(found[1]), found.end()
        listed: list[str] = []
        while len(listed) < MAX_JOINTS and (found := _CHANNEL.match(self.text, position)):
            canonical = _CANONICAL.get(found[1].upper())
            if canonical is None:
                if len(listed) < declared and found[1].upper() not in _KEYWORDS:
                    raise HeaderFault(found.start(1), f"unknown channel {_show(found[1])}")
                break
            listed.append(canonical)
            position = found.end()
        if len(listed) != declared:
            raise HeaderFault(start, f"CHANNELS declares {declared} channels and lists {len(listed)}")
        fault = channel_fault(tuple(listed))
        if fault:
            raise HeaderFault(start, f"joint {node.name!r}: {fault}")
        node.channels, node.has_channels = tuple(listed), True
        return position

    def inside(self, start: int, keyword: bytes) -> NodeSeen:
        """The node whose braces are open here."""
        if not self.open_nodes:
            raise HeaderFault(start, f"{_show(keyword)} outside of a joint's braces")
        return self.open_nodes[-1]

    def check_complete(self, node: NodeSeen, position: int) -> None:
        """OFFSET and CHANNELS come before a joint's children and its closing brace."""
        if node.is_end and node.offset == -1:
            raise HeaderFault(position, "the End Site has no OFFSET")
        if node.is_end and position < len(self.text) and self.text[position : position + 1] != b"}":
            raise HeaderFault(position, "an End Site has no children")
        if node.offset == -1:
            raise HeaderFault(position, f"joint {node.name!r} has no OFFSET")
        if not node.is_end and not node.has_channels:
            raise HeaderFault(position, f"joint {node.name!r} has no CHANNELS")

    def close(self, start: int, position: int) -> int:
        """Read a closing brace."""
        if not self.open_nodes:
            raise HeaderFault(start, "a '}' that closes nothing")
        self.check_complete(self.open_nodes.pop(), start)
        self.closes += 1
        return position


def name_fault(name: str, *, may_be_empty: bool = False) -> str | None:
    """Explain why a name cannot stand in a BVH file, or return None where it can."""
    if not name and not may_be_empty:
        return "a name is missing"
    if found := _UNWRITABLE.search(name):
        return f"name {name[:40]!r} holds {'a brace' if found[0] in '{}' else 'a control character'}"
    return None


def scan_header(text: bytes) -> list[NodeSeen]:
    """Check a header up to MOTION or the end; returns its nodes in file order, or raises HeaderFault."""
    scanner = _Scanner(text)
    word, start, position = scanner.word(len(_BOM) if text.startswith(_BOM) else 0)
    if word.upper() != b"HIERARCHY":
        raise HeaderFault(start, f"not a BVH file: it starts with {_show(word)}, not HIERARCHY")
    while True:
        word, start, position = scanner.word(position)
        keyword = word.upper()
        if not word or keyword == b"MOTION":
            break
        if keyword in (b"ROOT", b"JOINT", b"END", b"ENDSITE"):
            position = scanner.node(keyword, start, position)
        elif keyword == b"OFFSET":
            position = scanner.offset(start, position)
        elif keyword == b"CHANNELS":
            position = scanner.channel_list(start, position)
        elif keyword == b"HIERARCHY":
            raise HeaderFault(start, "a second HIERARCHY")
        elif keyword == b"}":
            position = scanner.close(start, position)
        else:
            raise HeaderFault(start, f"expected ROOT, JOINT, End Site, OFFSET, CHANNELS or '}}', found {_show(word)}")
    if scanner.open_nodes:
        unclosed = scanner.open_nodes[-1]
        line = text.count(b"\n", 0, unclosed.position) + 1
        owner = unclosed.name or "End Site"
        raise HeaderFault(start, f"{len(scanner.open_nodes)} unclosed '{{', the last of {owner!r} (line {line})")
    if not scanner.nodes:
        raise HeaderFault(start, "the hierarchy has no ROOT")
    return scanner.nodes


def _show(word: bytes) -> str:
    return repr(word[:40].decode("utf-8", "backslashreplace")) if word else "the end of the file"
