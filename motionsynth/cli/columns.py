"""Tables of more columns than a terminal is wide, as several tables below one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from motionsynth.cli.terminal import escaped

__all__ = ["side_by_side"]

_GAP = 2


def side_by_side(names: Sequence[str], columns: Sequence[Sequence[str]], width: int) -> Iterator[Table]:
    """Lay columns out in as many tables as they need, each with the names of the rows.

    Args:
        names: of the rows; the first is the heading over them.
        columns: the cells of each, its heading first.
        width: letters in a line.
    """
    room = width - max(map(len, names))
    shown: list[Sequence[str]] = []
    left = room
    for column in columns:
        size = _GAP + max(map(len, column))
        if shown and size > left:
            yield _table(names, shown)
            shown, left = [], room
        shown.append(column)
        left -= size
    yield _table(names, shown)


def _table(names: Sequence[str], columns: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(escaped(names[0]), no_wrap=True)
    for heading, *_ in columns:
        table.add_column(escaped(heading), justify="right", no_wrap=True)
    for row in list(zip(names, *columns, strict=True))[1:]:
        table.add_row(*map(escaped, row))
    return table
