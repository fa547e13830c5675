"""Reading the journal ``metrics.jsonl`` from where the last delivery ended, while it is being written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from motionsynth.errors import RunError
from motionsynth.files import open_regular
from motionsynth.journal_rows import JOURNAL, LARGEST_ROW, JournalLine, read_lines

__all__ = ["JOURNAL", "DamagedRow", "JournalRow", "count_rows", "last_values", "read_rows", "tail_digest"]

_TAIL_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row: its step, its unix time in milliseconds, its metrics, and where in the file it ends."""

    step: int
    time_ms: int
    metrics: dict[str, float]
    end: int
    digest: str


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A complete line that is no journal row; it is reported, never delivered."""

    reason: str
    end: int
    digest: str


def read_rows(path: Path, start: int = 0) -> Iterator[JournalRow | DamagedRow]:
    """The complete rows from byte ``start`` on, none of a missing file; a last line without its newline is not whole.

    Raises:
        RunError: the file cannot be read, or is no regular one.
    """
    try:
        for line in read_lines(path, start):
            yield _parse(line)
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


def tail_digest(path: Path, end: int, length: int) -> str | None:
    """Digest of the ``length`` bytes before ``end``; None where the file is shorter than that, or no row so long."""
    if not 0 < length <= min(end, LARGEST_ROW) or not path.exists() or path.stat().st_size < end:
        return None
    with open_regular(path, follow_links=False) as file:
        file.seek(end - length)
        return _digest(file.read(length))


def last_values(path: Path) -> tuple[int | None, dict[str, float]]:
    """The newest step and the newest value of each metric near the end of the journal."""
    size = path.stat().st_size if path.exists() else 0
    start = max(0, size - _TAIL_BYTES)
    step: int | None = None
    values: dict[str, float] = {}
    for row in read_rows(path, start):
        if isinstance(row, JournalRow):  # the first line may be cut by the seek, which reads as damaged
            step = row.step
            values.update(row.metrics)
    return step, values


def _digest(line: bytes) -> str:
    return f"{len(line)}:{hashlib.sha256(line).hexdigest()[:16]}"


def _parse(line: JournalLine) -> JournalRow | DamagedRow:
    digest = _digest(line.content)
    try:
        row = line.parse()
    except ValueError as error:
        return DamagedRow(str(error)[:200], line.end, digest)
    return JournalRow(row.step, round(row.time * 1000), row.metrics, line.end, digest)
