"""The journal of a run: ``metrics.jsonl``, appended to while it trains and fed to trackers from there.

What a row is stands in ``motionsynth.journal_rows``. A step has one row at most, and rows are in order of step.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from motionsynth.errors import RunError
from motionsynth.files import naming, refuse_irregular
from motionsynth.journal_rows import LARGEST_ROW, JournalLine, JournalRow, read_lines, spelled

__all__ = ["Journal", "JournalRow", "read_journal"]

_NAME = re.compile(r"[A-Za-z0-9_\-. :/]+")
_TAIL_BYTES = 1 << 16


class Journal:
    """An append-only journal, open for writing.

    Opening it cuts off a last line that a crash tore. Rows of steps that it already holds are not written again, so
    a run that resumes from an older checkpoint doubles nothing.

    Args:
        path: the file; made where it is missing.

    Raises:
        RunError: the last full line is not a row, or the file is no regular one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            refuse_irregular(self.path)
        except OSError as error:
            raise RunError(self.path, error.strerror or str(error)) from error
        self._file = self.path.open("ab", buffering=0)  # what a full disk refuses must not be tried again by closing
        try:
            self.last_step = self._repair()
        except BaseException:
            self._file.close()
            raise

    def _repair(self) -> int:
        """Truncate to the last full line, and return its step; -1 in an empty journal."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            tail, reach = b"", 0
            while reach < size and tail.count(b"\n") < 2:
                if reach > 2 * LARGEST_ROW:
                    raise RunError(self.path, f"is damaged: its last row has more than {LARGEST_ROW:,} bytes")
                reach = min(size, reach * 2 or _TAIL_BYTES)
                file.seek(size - reach)
                tail = file.read(reach)
        full = tail[: tail.rfind(b"\n") + 1]
        if len(full) < len(tail):
            self._file.truncate(size - len(tail) + len(full))
            os.fsync(self._file.fileno())
        lines = full.splitlines()
        return _parse(JournalLine(lines[-1], size), self.path).step if lines else -1

    def write(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Append a row and hand it to the operating system; False where the journal already has that step.

        Raises:
            ValueError: a name has characters that trackers refuse.
            OSError: there is no room; the journal is then as it was.
        """
        for name in metrics:
            if not _NAME.fullmatch(name):
                raise ValueError(f"metric name {name!r}: only letters, digits, '_', '-', '.', ' ', ':' and '/'")
        if step <= self.last_step:
            return False
        row = {"step": step, "time": time.time(), "metrics": {k: spelled(float(v)) for k, v in metrics.items()}}
        content = json.dumps(row, allow_nan=False).encode() + b"\n"
        with naming(self.path, size=len(content)):
            self._append(content)
        self.last_step = step
        return True

    def _append(self, content: bytes) -> None:
        before = os.fstat(self._file.fileno()).st_size
        try:
            while content:
                content = content[self._file.write(content) or 0 :]
        except OSError:
            self._file.truncate(before)
            raise

    def sync(self) -> None:
        """Wait until all rows are on the disk; a checkpoint must not survive a power cut that its rows did not."""
        with naming(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; rows are already written."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journal(path: str | Path) -> list[JournalRow]:
    """All full rows of a journal, which may still be written to.

    Raises:
        RunError: the journal is missing, or a line is not a row.
    """
    path = Path(path)
    try:
        return [_parse(line, path) for line in read_lines(path)]
    except OSError as error:
        raise RunError(path, error.strerror or str(error)) from error


def _parse(line: JournalLine, path: Path) -> JournalRow:
    try:
        return line.parse()
    except ValueError as error:
        raise RunError(path, f"is damaged: {line.content[:60]!r} is not a row of a journal") from error
