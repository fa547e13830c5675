"""Reading the journal ``metrics.jsonl`` from where the last delivery ended, while it is being written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["JOURNAL", "DamagedRow", "JournalRow", "count_rows", "last_values", "read_rows", "tail_digest"]

JOURNAL = "metrics.jsonl"
_TAIL_BYTES = 1 << 18
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # how the journal spells what JSON has no number for


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
    """The complete rows from byte ``start`` on; a last line without its newline is still being written."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        end = start
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield _parse(line, end)


def count_rows(path: Path, start: int = 0) -> int:
    """How many complete lines stand after byte ``start``."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(start)
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def tail_digest(path: Path, end: int, length: int) -> str | None:
    """Digest of the ``length`` bytes before ``end``; None where the file is shorter than that."""
    if end < length or not path.exists() or path.stat().st_size < end:
        return None
    with path.open("rb") as file:
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


def _parse(line: bytes, end: int) -> JournalRow | DamagedRow:
    digest = _digest(line)
    try:
        row = json.loads(line)
        metrics = {str(name): _number(value) for name, value in row["metrics"].items()}
        time = _number(row["time"])
        if not math.isfinite(time) or type(row["step"]) is not int:
            raise ValueError("step or time is not a number")  # noqa: TRY301 - one exit for every kind of damage
        return JournalRow(row["step"], round(time * 1000), metrics, end, digest)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return DamagedRow(str(error) or type(error).__name__, end, digest)


def _number(value: Any) -> float:
    if value in _NOT_FINITE:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
