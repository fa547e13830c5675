"""One self-contained HTML page of paragraphs, tables, pictures and players.

The page asks nothing of any network or store, so it opens from a disk, from a mail, and in the sandboxed frame of an
experiment tracker. It is light or dark as the reader's system is, prints, and reads on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from motionsynth.files import write_bytes
from motionsynth.view.numbers import interval_texts, number_text

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

__all__ = [
    "Block",
    "Cell",
    "Code",
    "Column",
    "Headline",
    "Notes",
    "Paragraph",
    "Picture",
    "Player",
    "Section",
    "Table",
    "figure_cell",
    "number_text",
    "page_html",
    "write_page",
]

ARROWS: Final = {"lower": "↓ lower is better", "higher": "↑ higher is better", "match": "≈ match real", "": ""}


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text; ``quiet`` for what explains rather than tells."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Notes:
    """A list of sentences."""

    items: Sequence[str]
    quiet: bool = True


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy, such as commands, as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Headline:
    """What a reader in a hurry takes away: sentences in large type, and a remark below them."""

    sentences: Sequence[str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        name: heading.
        unit: under the heading; ``1`` is not shown.
        better: direction, shown as an arrow under the heading.
        figure: whether it holds figures, set flush right.
        note: shown when the pointer rests on the heading.
    """

    name: str
    unit: str = ""
    better: Literal["lower", "higher", "match", ""] = ""
    figure: bool = True
    note: str = ""

    def under(self) -> str:
        """The line under the heading."""
        return " · ".join(part for part in ("" if self.unit == "1" else self.unit, ARROWS[self.better]) if part)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Args:
        text: what it says.
        interval: beside it, in small type.
        note: below it, in small type.
        tip: shown when the pointer rests on it.
        tone: ``good`` and ``bad`` carry a mark as well as a colour; ``dim`` stands back.
    """

    text: str
    interval: str = ""
    note: str = ""
    tip: str = ""
    tone: Literal["good", "bad", "dim", ""] = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its first column names the rows.

    Args:
        columns: from left to right.
        rows: as many cells as columns each, or a single one: a heading over the rows below it. Text may stand for a
            cell, and a number for :func:`figure_cell` of it.
        caption: above the table.
        notes: below the table.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str | float | None]]
    caption: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for place, row in enumerate(self.rows):
            if len(row) not in (1, len(self.columns)):
                raise ValueError(f"row {place}: {len(row)} cells in a table of {len(self.columns)} columns")

    def cells(self) -> Iterator[list[Cell]]:
        """The rows, with a cell in each place."""
        for row in self.rows:
            yield [_cell(entry) for entry in row]


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG drawn by ``view.charts``: it is put into the page as it is.

    Args:
        svg: an ``<svg>`` element.
        title: in bold before the caption.
        caption: below the picture.
        wide: whether it takes the whole width; pictures that follow one another stand side by side.
        file: what it is called where pictures become files; by its title where empty.
    """

    svg: str
    title: str = ""
    caption: str = ""
    wide: bool = False
    file: str = ""

    def markup(self) -> Markup:
        """The picture as trusted markup."""
        from markupsafe import Markup

        return Markup(self.svg)  # the XML writer of view.svg has escaped what is text in it


@dataclass(frozen=True, slots=True)
class Player:
    """Moving clips: a page of ``view.player.player_html`` in a frame, ``height`` CSS pixels tall."""

    html: str
    title: str = "player"
    caption: str = ""
    height: int = 640


Block = Paragraph | Notes | Code | Headline | Table | Picture | Player


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it; ``folded``: closed until the reader opens it."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False

    def runs(self) -> Iterator[tuple[str, list[Block]]]:
        """Blocks of one kind that follow one another, with the name of the kind."""
        for kind, blocks in groupby(self.blocks, key=lambda block: type(block).__name__):
            yield kind, list(blocks)


def page_html(title: str, sections: Sequence[Section], *, subtitle: str = "", footer: str = "") -> str:
    """The page as text; see :func:`write_page`."""
    return _template().render(title=title, subtitle=subtitle, sections=sections, footer=footer)


def write_page(
    path: str | Path, title: str, sections: Sequence[Section], *, subtitle: str = "", footer: str = ""
) -> None:
    """Write a page of sections; same input, same bytes.

    Args:
        path: the ``.html`` file; a file of that name is replaced, at once or not at all.
        title: heading of the page.
        sections: from top to bottom.
        subtitle: one line under the heading.
        footer: last line, such as an attribution.

    Raises:
        OSError: the file cannot be written.
    """
    text = page_html(title, sections, subtitle=subtitle, footer=footer)
    write_bytes(path, text.encode("utf-8", errors="replace"))


def figure_cell(value: float | None, low: float | None = None, high: float | None = None, note: str = "") -> Cell:
    """A figure with its interval, where it has one, rounded as the interval allows."""
    if value is None or low is None or high is None:
        return Cell(number_text(value), note=note)
    text, start, end = interval_texts(value, low, high)
    return Cell(text, f"{start} to {end}", note)


def _cell(entry: Cell | str | float | None) -> Cell:
    if isinstance(entry, Cell):
        return entry
    return Cell(entry) if isinstance(entry, str) else figure_cell(entry)


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    source = files("motionsynth.view").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(source)
