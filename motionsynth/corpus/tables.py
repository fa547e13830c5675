"""Lists of clips that people write: text of several programs and systems, and the files that its names mean."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from motionsynth.errors import CorpusError
from motionsynth.files import read_regular

__all__ = ["LABELS", "MOST_BYTES", "Matcher", "Row", "Table", "decode", "find_table", "read_table", "write_table"]

LABELS: Final = "labels.csv"
"""Name of the table beside the clips of a folder."""
MOST_BYTES: Final = 64 * 2**20
"""Largest size of a list of clips."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS: Final = ",;\t"
_SEP: Final = re.compile(r'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""The line that Excel writes above a table, with its delimiter."""
_KNOWN: Final = ("file", "take", "content", "style")


def find_table(folder: Path) -> Path | None:
    """Path of a folder's table of labels, whatever the case of its name; None where it has none."""
    if os.path.lexists(folder / LABELS):
        return folder / LABELS
    with suppress(OSError):
        return min((path for path in folder.iterdir() if path.name.casefold() == LABELS), default=None)
    return None


def decode(content: bytes) -> str:
    """Text in UTF-8, or in what its byte order mark says.

    Raises:
        ValueError: it is none; begins with the line.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        name = "UTF-8" if encoding.startswith("utf-8") else "UTF-16"
        raise ValueError(f"{line}: is not {name} text; save it as UTF-8 (in Excel: CSV UTF-8)") from error
    if "\0" in text:
        line = 1 + text[: text.index("\0")].count("\n")
        raise ValueError(f"{line}: is not UTF-8 text: it holds NUL, as UTF-16 without a mark does; save it as UTF-8")
    return text


class Row(NamedTuple):
    """One line of a table."""

    line: int
    file: str
    """Path as it is written there."""
    cells: dict[str, str]
    """The other columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of clips, one line for each.

    Args:
        path: where it was read.
        columns: names in their order, ``file`` among them.
        rows: its lines.
        decimal_comma: whether numbers may be written ``1,5``, as where the delimiter is no comma.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    decimal_comma: bool


def read_table(path: Path) -> Table:
    """Read a table of clips: delimited by commas, semicolons or tabs, with a header that names a column ``file``.

    The columns file, take, content and style are known in any case. Line ends, byte order marks, Excel's ``sep=`` line,
    spaces around cells, empty lines, and empty cells behind the last column say nothing.

    Raises:
        CorpusError: it cannot be read, or is malformed; names the line.
    """
    try:
        text = decode(read_regular(path, limit=MOST_BYTES))
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CorpusError(f"{path}:{error}") from error
    # Excel may name the delimiter in a line above the header
    declared = _SEP.match(text)
    text = text[declared.end() :] if declared else text
    delimiter = declared[1] if declared else _delimiter(text)
    above = 1 if declared else 0
    # the first line that holds anything names the columns
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    columns: list[str] = []
    rows: list[Row] = []
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            line = above + reader.line_num
            if not any(values):
                continue
            if not columns:
                columns = _columns(path, line, values)
                continue
            while len(values) > len(columns) and not values[-1]:
                values.pop()
            if len(values) != len(columns):
                raise CorpusError(f"{path}:{line}: {len(values)} values under {len(columns)} column names")
            row = dict(zip(columns, values, strict=True))
            rows.append(Row(line, row.pop("file"), row))
    except csv.Error as error:
        raise CorpusError(f"{path}:{above + reader.line_num}: {error}") from error
    return Table(path, tuple(columns or _columns(path, 1, [])), tuple(rows), delimiter != ",")


def _delimiter(text: str) -> str:
    """The one by which the header has the most columns, ``file`` among them; a comma where there is none."""
    lines = [line for line in text[:100_000].splitlines() if line.strip()]
    widths = {}
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader(lines[:1], delimiter=delimiter, skipinitialspace=True, strict=True), [])
        except csv.Error:
            continue
        if "file" in [name.strip().casefold() for name in names]:
            widths[delimiter] = len(names)
    return max(widths, key=lambda one: widths[one], default=",")


def _columns(path: Path, line: int, header: list[str]) -> list[str]:
    while header and not header[-1]:
        header.pop()
    names = [name.casefold() if name.casefold() in _KNOWN else name for name in header]
    if "file" not in names:
        has = ", ".join(names) or "nothing"
        raise CorpusError(f"{path}:{line}: the header must name a column 'file'; it has {has}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or "" in names:
        what = f"names {twice[0]!r} twice" if twice and twice[0] else "has a column without a name"
        raise CorpusError(f"{path}:{line}: the header {what}")
    return names


def write_table(table: Table, rows: Iterable[Row]) -> bytes:
    """Rows under a table's columns, as UTF-8 with commas."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([{**row.cells, "file": row.file}[name] for name in table.columns] for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


class Matcher:
    """The files that names in a list mean: ``\\`` may stand for ``/``, and letters may be composed otherwise.

    Args:
        files: POSIX paths inside the folder of the list.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._files = set(files)
        composed = [(unicodedata.normalize("NFC", file), file) for file in self._files]
        counts = Counter(name for name, _ in composed)
        self._composed = {name: file for name, file in composed if counts[name] == 1}

    def find(self, name: str) -> str:
        """The file that a name means; where there is none, the name with ``/`` between its parts."""
        for spelling in (name, name.replace("\\", "/")):
            plain = spelling.removeprefix("./")
            if plain in self._files:
                return plain
            if file := self._composed.get(unicodedata.normalize("NFC", plain)):
                return file
        return plain
