"""Reading the journal ``metrics.jsonl`` from where the last delivery ended, while it is being written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from motionsynth.errors import RunError
from motionsynth.files import open_regular
from motionsynth.journal_rows import JOURNAL, LARGEST_ROW, JournalLine, read_lines

__all__ = ["JOURNAL", "count_rows", "last_values", "line_digest", "read_rows", "tail_digest"]

_TAIL_BYTES = 1 << 18


def read_rows(path: Path, start: int = 0) -> Iterator[JournalLine]:
    """The complete lines from byte ``start`` on, rows or not; none of a missing file.

    Raises:
        RunError: the file cannot be read, or is no regular one.
    """
    try:
        yield from read_lines(path, start)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(path, error.strerror or str(error)) from error


def count_rows(path: Path, start: int = 0) -> int:
    """How many complete lines stand after byte ``start``."""
    if not path.exists():
        return 0
    with open_regular(path, follow_links=False) as file:
        file.seek(start)
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def line_digest(line: bytes) -> str:
    """Length and digest of a line with its newline."""
    return f"{len(line)}:{hashlib.sha256(line).hexdigest()[:16]}"


def tail_digest(path: Path, end: int, length: int) -> str | None:
    """``line_digest`` of the ``length`` bytes before ``end``; None where the file is shorter, or no row so long."""
    if not 0 < length <= min(end, LARGEST_ROW) or not path.exists() or path.stat().st_size < end:
        return None
    with open_regular(path, follow_links=False) as file:
        file.seek(end - length)
        return line_digest(file.read(length))


def last_values(path: Path) -> tuple[int | None, dict[str, float]]:
    """The newest step and the newest value of each metric near the end of the journal."""
    size = path.stat().st_size if path.exists() else 0
    step: int | None = None
    values: dict[str, float] = {}
    for line in read_rows(path, max(0, size - _TAIL_BYTES)):
        with suppress(ValueError):  # the first line may be cut by the seek, which reads as damaged
            step, _, metrics = line.parse()
            values.update(metrics)
    return step, values
