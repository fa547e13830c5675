"""The one place where commands print: names out of files reach a terminal as text, never as what steers it.

File, joint, label and run names come from whoever made a corpus. Printed as they are, escape sequences in them move the
cursor or change the window, newlines forge lines, and overrides of direction show another name than there is.
"""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import typer

from motionsynth.printable import escape_with, printable

if TYPE_CHECKING:
    from rich.console import Console

    from motionsynth.report.page import Cell, Table

__all__ = ["console", "document", "echo", "escaped", "log_to_terminal", "print_json", "print_table", "print_traceback"]

_FILE_WIDTH = 200
"""Columns where the output goes to a file or a pipe, so that no name is cut."""


def echo(text: object = "", *, err: bool = False, fg: str | None = None, bold: bool | None = None) -> None:
    """Print one line, whatever is in ``text``.

    Args:
        text: the line.
        err: whether it goes to stderr.
        fg: colour on a terminal.
        bold: whether it is bold there.
    """
    typer.secho(printable(str(text)), err=err, fg=fg, bold=bold)


def document(text: str, *, err: bool = False) -> None:
    """Print text of several lines that this package wrote, such as a configuration; on stderr where ``err``."""
    typer.echo(printable(text, keep="\n"), err=err, nl=not text.endswith("\n"))


def print_json(value: Any) -> None:
    """Print JSON that reads back to the very value, names with control characters included."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # what is left of them stands in strings alone, where JSON knows them by their numbers
    typer.echo(escape_with(lambda character: json.dumps(character)[1:-1], text, keep="\n"))


def print_traceback(error: BaseException) -> None:
    """Print where an error comes from, on stderr."""
    document(_traceback(error), err=True)


def _traceback(error: BaseException) -> str:
    parts = traceback.TracebackException.from_exception(error).format()
    # a part is a frame, of several lines of our own, or a message, which may quote anything
    return "".join(part if part.startswith("  File ") else f"{printable(part.strip(chr(10)))}\n" for part in parts)


def escaped(text: str) -> str:
    """Text to stand in rich's markup: shown as it is, on one line."""
    from rich.markup import escape

    return escape(printable(text))


def console(*, err: bool = False, soft_wrap: bool = False) -> Console:
    """A console that cuts nothing where the output goes to a file or a pipe, and obeys nothing but markup.

    Args:
        err: whether it prints to stderr.
        soft_wrap: whether the terminal wraps long lines.
    """
    from rich.console import Console

    class Plain(Console):
        def render_str(self, text: str, *arguments: Any, **options: Any) -> Any:
            """Prepare text that is printed without ``escaped``; lines may end."""
            return super().render_str(printable(text, keep="\n"), *arguments, **options)

    out = Plain(highlight=False, soft_wrap=soft_wrap, stderr=err)
    if not out.is_terminal and not err:
        out.width = _FILE_WIDTH
    return out


def print_table(table: Table, *, width: int | None = None) -> None:
    """Print a table of a report: intervals in brackets beside their figures, its caption above, its notes below.

    Args:
        table: the table.
        width: letters in a line, beyond which columns go on below, with the names of the rows; the terminal wraps what
            is in them where None.
    """
    from rich.table import Table as RichTable

    rows = [[(c, c.text + (f" ({c.interval})" if c.interval else "")) for c in row] for row in table.cells()]
    out = console()
    for places in _parts([max(map(len, texts)) for texts in _columns(table, rows)], width):
        shown = RichTable(box=None, pad_edge=False)
        for column in (table.columns[place] for place in places):
            shown.add_column(escaped(column.name), justify="right" if column.figure else "left")
        for row in rows:
            cells = (row[place] for place in places)
            shown.add_row(*(f"[{_TONES[c.tone]}]{escaped(text)}[/]" if c.tone else escaped(text) for c, text in cells))
        out.print(shown)
    for note in table.notes:
        out.print(escaped(note), soft_wrap=True)


def _columns(table: Table, rows: list[list[tuple[Cell, str]]]) -> list[list[str]]:
    """The texts of each column, its name first."""
    return [[column.name, *(row[place][1] for row in rows)] for place, column in enumerate(table.columns)]


def _parts(sizes: list[int], width: int | None) -> list[list[int]]:
    """Numbers of the columns of each part, the first column in all, so that parts are no wider than this."""
    if width is None:
        return [list(range(len(sizes)))]
    parts: list[list[int]] = []
    left = -1
    for place, size in enumerate(sizes[1:], start=1):
        left -= size + _GAP
        if left < 0:
            parts.append([0])
            left = width - sizes[0] - size - _GAP
        parts[-1].append(place)
    return parts


_GAP = 2
_TONES = {"good": "green", "bad": "red", "dim": "dim"}


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The message on one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """The traceback on many."""
        return _traceback(ei[1])


def log_to_terminal(level: int) -> None:
    """Print log messages of at least ``level`` on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
