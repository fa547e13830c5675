"""Text from files, written so that a line or a terminal shows it and obeys nothing in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

__all__ = ["escape_with", "printable", "shown"]

_SUSPECT = re.compile(r"[^ -~]")
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that are not shown but obeyed: control, format, lone surrogates, separators."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, *, keep: str = "") -> str:
    """Text whose control and format characters are written out, such as ``\\x1b`` and ``\\u202e``.

    Args:
        text: any text.
        keep: characters that stay as they are.
    """
    return escape_with(_written, text, keep=keep)


def shown(text: str, width: int = 80) -> str:
    """Text for one line of an error, such as a key: as ``printable``, and cut after ``width`` characters."""
    return printable(f"{text[:width]}…" if len(text) > width else text)


def escape_with(write: Callable[[str], str], text: str, *, keep: str = "") -> str:
    """Text whose control and format characters are each replaced by what ``write`` makes of them, but for ``keep``."""

    def replaced(match: re.Match[str]) -> str:
        obeyed = match[0] not in keep and unicodedata.category(match[0]) in _STEERING
        return write(match[0]) if obeyed else match[0]

    return _SUSPECT.sub(replaced, text)


def _written(character: str) -> str:
    code = ord(character)
    number = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(character, number)
