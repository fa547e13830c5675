"""Rows of a run's journal, ``metrics.jsonl``: read line by line within bounds, from any place on, while it is written.

One JSON object a line: ``{"step": 20, "time": 1767225600.5, "metrics": {"train/all/total": 1.5}}``; ``step`` counts
optimiser steps taken, ``time`` is in Unix seconds. JSON has no word for numbers that are not finite: they are the
strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from motionsynth.files import open_regular, parse_json

__all__ = ["JOURNAL", "LARGEST_ROW", "JournalLine", "JournalRow", "read_lines", "spelled"]

JOURNAL: Final = "metrics.jsonl"
LARGEST_ROW: Final = 1 << 20
"""Most bytes of a row; a longer line is none."""
_LATEST: Final = 1e11
"""Unix seconds: some three thousand years on."""
_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class JournalRow(NamedTuple):
    """Figures of one step."""

    step: int
    """Optimiser steps taken."""
    time: float
    """Unix seconds."""
    metrics: dict[str, float]


class JournalLine(NamedTuple):
    """A complete line, whatever it says."""

    content: bytes
    """With its newline; of a line longer than a row may be, only the end."""
    end: int
    """Byte of the file at which it ends."""
    too_long: bool = False

    def parse(self) -> JournalRow:
        """The row that it is; ``ValueError`` where it is none."""
        if self.too_long:
            raise ValueError(f"longer than the {LARGEST_ROW:,} bytes that a row may have")
        return _row(self.content)


def read_lines(path: Path, start: int = 0) -> Iterator[JournalLine]:
    """Complete lines from byte ``start`` on; a last one without its newline is still being written.

    Raises:
        OSError: the file is missing, cannot be read, or is no regular file; a symbolic link is none.
    """
    with open_regular(path, follow_links=False) as raw, io.BufferedReader(raw) as file:  # type: ignore[type-var]
        file.seek(start)
        long = False
        while piece := file.readline(LARGEST_ROW):
            if piece.endswith(b"\n"):
                yield JournalLine(piece, file.tell(), long)
                long = False
            else:
                long = True


def spelled(value: float) -> float | str:
    """A number as JSON has it in the journal; ``_number`` reads it back."""
    return value if math.isfinite(value) else _NOT_FINITE[str(value)]


def _row(line: bytes) -> JournalRow:
    try:
        row = parse_json(line)
        step, time = row["step"], _number(row["time"])
        metrics = {_name(name): _number(value) for name, value in row["metrics"].items()}
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if type(step) is not int or not 0 <= step < 2**63 or not 0 <= time < _LATEST:
        raise ValueError("step or time is not a number that it may be")
    return JournalRow(step, time, metrics)


def _name(name: str) -> str:
    name.encode()  # half of a pair of surrogates, which JSON can spell, is no character
    return name


def _number(value: Any) -> float:
    if value in _NOT_FINITE.values():
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is not a number")
    return float(value)
