"""Text of motion files: read whole, from regular files only, with errors of the format that is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from motionsynth.errors import ClipError
from motionsynth.files import open_regular

__all__ = ["load_text", "reading", "tidy"]

_BLANKS: Final = bytes(32 if byte in b"\t\v\f" else byte for byte in range(256))


@contextmanager
def reading(path: Path, error: type[ClipError]) -> Iterator[None]:
    """A block that reads one file; what keeps it from that becomes an error of the format.

    Raises:
        ClipError: the file cannot be read, or does not fit into memory; of the type ``error``.
    """
    try:
        yield
    except OSError as cause:
        raise error(path, None, f"cannot be read: {cause.strerror or cause}") from cause
    except MemoryError as cause:
        raise error(path, None, "does not fit into memory") from cause


def load_text(path: Path, error: type[ClipError], kind: str) -> bytes:
    """Read a regular file whole, with line ends made ``\\n``; never waits on a FIFO, never reads a device.

    Args:
        path: the file.
        error: what is raised where it is no text.
        kind: what it should be, such as ``BVH``.
    """
    with open_regular(path) as file:
        head = file.read(1024)
        if not head.strip():
            raise error(path, 1, "the file is empty")
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise error(path, 1, "the file is UTF-16; save it as UTF-8")
        if b"\0" in head:
            raise error(path, head.count(b"\n", 0, head.find(b"\0")) + 1, f"a binary file, not {kind}")
        data = head + file.read()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def tidy(block: bytes) -> bytes:
    """Reduce white space to one blank between words and one line end between lines."""
    block = block.translate(_BLANKS)
    for untidy, tidied in ((b"  ", b" "), (b" \n", b"\n"), (b"\n ", b"\n"), (b"\n\n", b"\n")):
        while untidy in block:
            block = block.replace(untidy, tidied)
    return block.strip(b" \n")
