"""Labels and take of each clip of a corpus: from ``labels.csv``, file names, or sub-folders.

``labels.csv`` is the one label format everywhere: a header with ``file`` (path inside the folder) and any of ``take``,
``content``, ``style`` and further columns; ``tables`` has how it may be written. Columns that hold only numbers
describe a clip but are no classes (the embedded corpus keeps its parameters there).

A take that is a number counts recordings *within its cell* (content x style), in the order they were made; any other
take is a name that stands for one recording wherever it occurs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from motionsynth.corpus.tables import LABELS, Matcher, Row, Table, find_table, read_table
from motionsynth.errors import CorpusError, unknown_word

__all__ = ["ClipLabels", "Labels", "read_labels"]

LabelSource = Literal["auto", "csv", "folders", "pattern", "none"]

_LEVELS: Final = ("content", "style")
_LAST_NUMBER: Final = re.compile(r"(\d+)$")


@dataclass(frozen=True, slots=True)
class ClipLabels:
    """Labels of one clip."""

    take: str | None
    """Recording it comes from; a number gives the order of recording. None: a recording of its own."""
    classes: dict[str, str]
    """Label name -> class, such as ``content`` -> ``walk``."""
    details: dict[str, str] = field(default_factory=dict)
    """Further columns, which hold numbers."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a corpus, by file."""

    source: Literal["csv", "folders", "pattern", "none"]
    names: tuple[str, ...]
    """The label names, ``content`` and ``style`` first where they are there."""
    clips: dict[str, ClipLabels]
    """File (POSIX path inside the folder) -> its labels."""
    faults: dict[str, str]
    """File -> why it has no labels, or, for a line of ``labels.csv``, why it has no file."""
    joined: bool = False
    """True for labels of two corpora, which the first label separates."""

    @property
    def cell_names(self) -> tuple[str, ...]:
        """The labels whose combinations are the cells of the corpus: content and style, or all where neither is."""
        levels = tuple(name for name in _LEVELS if name in self.names)
        return (self.names[:1] + levels if self.joined else levels) or self.names

    def classes(self, label: str, files: Iterable[str]) -> dict[str, str]:
        """File -> its class of a label; takes and columns of numbers count as labels here.

        Args:
            label: such as ``actor``, or ``take``.
            files: those that are asked about.

        Raises:
            ValueError: there is no such label, or a file has no class of it.
        """
        rows = {}
        for file in files:
            clip = self.clips[file]
            rows[file] = {"take": clip.take or "", **clip.details, **clip.classes}
        known = sorted({name for words in rows.values() for name, word in words.items() if word})
        if label not in known:
            raise ValueError(unknown_word(f"label {label!r}", label, known))
        if unnamed := next((file for file, words in rows.items() if not words.get(label)), None):
            raise ValueError(f"{unnamed} has no {label}")
        return {file: words[label] for file, words in rows.items()}

    def cell(self, file: str) -> str:
        """The cell of a clip, such as ``walk/normal``; empty without labels."""
        return "/".join(self.clips[file].classes[name] for name in self.cell_names)


def read_labels(root: Path, files: Sequence[str], source: LabelSource = "auto", pattern: str | None = None) -> Labels:
    """Find the labels of a folder's files.

    Args:
        root: the folder.
        files: clips, as POSIX paths inside the folder.
        source: where labels come from; ``auto`` takes ``labels.csv`` if it is there, else ``pattern`` if given, else
            sub-folders if most files lie in some, else none.
        pattern: regular expression with named groups, searched in each file's name, or in its whole path inside the
            folder if the pattern holds a ``/``.

    Raises:
        CorpusError: the source is not there, ``labels.csv`` is malformed, or the pattern is no usable expression.
    """
    if source == "auto":
        source = "csv" if find_table(root) else "pattern" if pattern else "folders" if _depth(files) else "none"
    if source == "csv":
        return _from_csv(find_table(root) or root / LABELS, files)
    if source == "pattern":
        return _from_pattern(files, pattern)
    if source == "folders":
        return _from_folders(files)
    return Labels("none", (), {file: ClipLabels(take, {}) for file, take in _numbered_takes(files).items()}, {})


def _from_csv(path: Path, files: Sequence[str]) -> Labels:
    table = read_table(path)
    rows = _rows_by_file(table, files)
    extra = [name for name in table.columns if name not in (*_LEVELS, "take", "file")]
    # an empty cell says nothing, so it does not make a column of numbers one of classes
    point = _point_for_comma if table.decimal_comma else str
    measured = [name for name in extra if _are_numbers(point(row.cells[name]) for row in table.rows if row.cells[name])]
    names = (*(n for n in _LEVELS if n in table.columns), *(n for n in extra if n not in measured))
    present = set(files)
    strange = {file: row for file, row in rows.items() if file not in present}
    other_case = {file.casefold(): file for file in strange}
    clips, faults = {}, {}
    for file in files:
        if file not in rows:
            faults[file] = f"{path} does not list {file}"
            if near := other_case.get(file.casefold()):
                line = strange.pop(near).line if near in strange else rows[near].line
                faults[file] = f"{path}:{line}: lists {near}, but the file is {file}: upper and lower case count"
            continue
        cells = rows[file].cells
        empty = [name for name in names if not cells[name]]
        if empty:
            faults[file] = f"{path}:{rows[file].line}: its {empty[0]} is empty"
            continue
        details = {name: point(cells[name]) for name in measured}
        clips[file] = ClipLabels(cells.get("take") or None, {name: cells[name] for name in names}, details)
    for file, row in strange.items():
        faults[file] = f"{path}:{row.line}: there is no such file: {row.file}"
    return Labels("csv", names, clips, faults)


def _rows_by_file(table: Table, files: Sequence[str]) -> dict[str, Row]:
    matcher = Matcher(files)
    rows: dict[str, Row] = {}
    for row in table.rows:
        file = matcher.find(row.file)
        if file in rows:
            raise CorpusError(f"{table.path}:{row.line}: {file} is listed twice, first on line {rows[file].line}")
        rows[file] = row
    return rows


def _from_pattern(files: Sequence[str], pattern: str | None) -> Labels:
    if not pattern:
        raise CorpusError("labels from a pattern need data.pattern, a regular expression with named groups")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise CorpusError(f"data.pattern: {pattern!r} is not a regular expression: {error}") from error
    groups = [name for name in expression.groupindex if name != "take"]
    if not groups and "take" not in expression.groupindex:
        raise CorpusError(f"data.pattern: {pattern!r} has no named group such as (?P<content>.+)")
    names = (*(n for n in _LEVELS if n in groups), *(n for n in groups if n not in _LEVELS))
    clips, faults = {}, {}
    for file in files:
        found = expression.search(file if "/" in pattern else file.rpartition("/")[2])
        values = found.groupdict() if found else {}
        if not found or not all(values[name] for name in names):
            faults[file] = f"its name does not match data.pattern {pattern!r}"
            continue
        clips[file] = ClipLabels(values.get("take") or None, {name: values[name] for name in names})
    return Labels("pattern", names, clips, faults)


def _from_folders(files: Sequence[str]) -> Labels:
    depth = _depth(files)
    if not depth:
        raise CorpusError("labels from sub-folders: most files lie in no sub-folder")
    names = (*_LEVELS, *(f"folder_{level}" for level in range(3, depth + 1)))[:depth]
    faults = {
        file: f"lies {file.count('/')} folder(s) deep where most lie {depth}"
        for file in files
        if file.count("/") != depth
    }
    kept = [file for file in files if file not in faults]
    takes = _numbered_takes(kept)
    clips = {file: ClipLabels(takes[file], dict(zip(names, file.split("/"), strict=False))) for file in kept}
    return Labels("folders", names, clips, faults)


def _depth(files: Iterable[str]) -> int:
    """The number of folders above most files; the deepest of the commonest, so that a tie goes to the labelled."""
    depths = Counter(file.count("/") for file in files)
    return max(depths, key=lambda level: (depths[level], level), default=0)


def _numbered_takes(files: Iterable[str]) -> Mapping[str, str | None]:
    """The number at the end of each name, where all have one and no folder has one twice; else None."""
    numbers = {file: _LAST_NUMBER.search(file.rpartition("/")[2].rpartition(".")[0]) for file in files}
    found = {file: number[1] for file, number in numbers.items() if number}
    places = {(file.rpartition("/")[0], int(number)) for file, number in found.items()}
    if len(found) == len(numbers) == len(places):
        return found
    return dict.fromkeys(numbers)


def _point_for_comma(text: str) -> str:
    return text.replace(",", ".", 1)


def _are_numbers(texts: Iterable[str]) -> bool:
    try:
        return all(True for _ in map(float, texts))
    except ValueError:
        return False
