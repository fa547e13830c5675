"""Reports: sections of text, tables, pictures and players, written as Markdown once, and as a page made from it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Final, Literal

from motionsynth.files import write_bytes
from motionsynth.report.numbers import interval_texts, number_text
from motionsynth.report.svg import standalone_svg

__all__ = [
    "Block", "Cell", "Column", "Picture", "Player", "Row", "Section", "Table", "bullets", "code", "figure_cell",
    "headline", "markdown_table", "plain", "write_markdown", "write_page",
]  # fmt: skip

ARROWS: Final = {"lower": "↓ lower is better", "higher": "↑ higher is better", "match": "≈ match real", "": ""}
Tone = Literal["good", "bad", "dim", ""]
_TONES: Final = {"good": "● ", "bad": "▲ ", "dim": "", "": ""}
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~$&])|^(\d*)([-+.)])(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        name: heading.
        unit: under the heading; ``1`` is not shown.
        better: direction, shown as an arrow under the heading.
        figure: whether it holds figures, set flush right.
    """

    name: str
    unit: str = ""
    better: Literal["lower", "higher", "match", ""] = ""
    figure: bool = True

    def under(self) -> str:
        """Text under the heading."""
        return " · ".join(part for part in ("" if self.unit == "1" else self.unit, ARROWS[self.better]) if part)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Args:
        text: what stands in it.
        interval: beside it, in brackets.
        note: below it, in small type.
        tone: ``good`` and ``bad`` carry a mark; ``dim`` stands back on a terminal.
    """

    text: str
    interval: str = ""
    note: str = ""
    tone: Tone = ""


Row = Sequence[Cell | str | float | None]
"""Cells, as many as columns, or a single one: a heading over the rows below it. Text may stand for a cell, and a number
for ``figure_cell`` of it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its first column names the rows; caption above it, notes below it."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for place, row in enumerate(self.rows):
            if len(row) not in (1, len(self.columns)):
                raise ValueError(f"row {place}: {len(row)} cells in a table of {len(self.columns)} columns")

    def cells(self) -> Iterator[list[Cell]]:
        """Rows with a cell in each place; those behind a heading are empty."""
        for row in self.rows:
            cells = [c if isinstance(c, Cell) else Cell(c) if isinstance(c, str) else figure_cell(c) for c in row]
            yield cells + [Cell("")] * (len(self.columns) - len(cells))


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG drawn by this package.

    Args:
        svg: an ``<svg>`` element.
        title: in bold before the caption.
        caption: below the picture.
        file: stem of its file beside the Markdown; where empty, it is on the page alone.
    """

    svg: str
    title: str = ""
    caption: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Player:
    """Moving clips: a page of ``view.player.player_html`` in a frame, ``height`` CSS pixels tall."""

    html: str
    title: str = "player"
    caption: str = ""
    height: int = 640


Block = str | Table | Picture | Player
"""Text is Markdown, as ``plain``, ``bullets``, ``headline`` and ``code`` make it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it; ``folded``: closed until the reader opens it."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


def plain(words: str) -> str:
    """Words as Markdown that shows them as they are, on one line."""
    return _SPECIAL.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", " ".join(words.split()))


def bullets(items: Sequence[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {plain(item)}" for item in items)


def headline(sentences: Sequence[str], note: str = "") -> str:
    """Sentences for a reader in a hurry, and a remark below them."""
    return "\n>\n".join([*(f"> **{plain(sentence)}**" for sentence in sentences), *([f"> {plain(note)}"] * bool(note))])


def code(text: str) -> str:
    """Commands to copy."""
    return f"```sh\n{text.rstrip()}\n```"


def figure_cell(
    value: float | None, low: float | None = None, high: float | None = None, note: str = "", tone: Tone = ""
) -> Cell:
    """A figure with its interval, where it has one, rounded as the interval allows."""
    if value is None or low is None or high is None:
        return Cell(number_text(value), note=note, tone=tone)
    text, start, end = interval_texts(value, low, high)
    return Cell(text, f"{start} to {end}", note, tone)


def write_markdown(
    path: Path, title: str, sections: Sequence[Section], *, subtitle: str = "", remark: str = ""
) -> list[Path]:
    """Write sections as Markdown, their pictures into ``figures`` beside it; same input, same bytes.

    Args:
        path: the ``.md`` file; a file of that name is replaced, at once or not at all.
        title, sections, subtitle: as ``write_page`` takes them.
        remark: Markdown under the subtitle.

    Returns:
        The pictures' files.

    Raises:
        OSError: a file cannot be written.
    """
    folder, drawn = path.parent / "figures", dict[Path, str]()

    def place(block: Picture | Player) -> str:
        if isinstance(block, Player):
            return plain(f"{block.title}: plays on the page. {block.caption}")
        if not block.file:
            return ""
        stem = unicodedata.normalize("NFKD", block.file).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9]+", "-", stem).strip("-") + ".svg"
        drawn[folder / name] = block.svg
        return f"![{plain(block.title)}](figures/{name})\n\n**{plain(block.title)}** {plain(block.caption)}"

    text = _markdown(title, sections, place, subtitle=subtitle, remark=remark)
    if drawn:
        folder.mkdir(parents=True, exist_ok=True)
    for file, svg in drawn.items():
        write_bytes(file, standalone_svg(svg).encode())
    write_bytes(path, text.encode("utf-8", errors="replace"))
    return list(drawn)


def write_page(
    path: str | Path, title: str, sections: Sequence[Section], *, subtitle: str = "", footer: str = ""
) -> None:
    """Write sections as one self-contained page, light or dark as the reader's system is; same input, same bytes.

    Args:
        path: the ``.html`` file; a file of that name is replaced, at once or not at all.
        title: heading of the page.
        sections: from top to bottom.
        subtitle: one line under the heading.
        footer: last line, such as an attribution.

    Raises:
        OSError: the file cannot be written.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark").enable("table")
    tokens = reader.parse(_markdown(title, sections, _embedded, subtitle=subtitle, footer=footer))
    links: list[str] = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            token.attrSet("id", f"part-{len(links)}")
            links.append(f'<a href="#part-{len(links)}">{reader.renderInline(inline.content)}</a>')
    body = str(reader.renderer.render(tokens, reader.options, {}))
    shell = Template(files("motionsynth.report").joinpath("page.html").read_text(encoding="utf-8"))
    text = shell.substitute(title=escape(title), links=" ".join(links), body=body)
    write_bytes(path, text.encode("utf-8", errors="replace"))


def _embedded(block: Picture | Player) -> str:
    """A picture or a player as a block of HTML, which ends at the first empty line and so holds none."""
    if isinstance(block, Player):
        shown = f'<iframe title="{escape(block.title)}" style="height: min({block.height}px, 92vh)" loading="lazy" '
        shown += f'srcdoc="{escape(block.html)}"></iframe>'.replace("\n", "&#10;")
    else:
        shown = re.sub(r"\n\s*", " ", block.svg)  # the XML writer of report.svg has escaped what is text in it
    title = f"<b>{escape(block.title)}</b> " if block.title and isinstance(block, Picture) else ""
    caption = f"<figcaption>{title}{escape(' '.join(block.caption.split()))}</figcaption>"
    return f"<figure>{shown}{caption}</figure>"


def _markdown(
    title: str,
    sections: Sequence[Section],
    place: Callable[[Picture | Player], str],
    *,
    subtitle: str,
    remark: str = "",
    footer: str = "",
) -> str:
    parts = [f"# {plain(title)}", plain(subtitle), remark]
    for section in sections:
        if section.folded:
            parts.append(f"<details><summary><b>{escape(section.title)}</b></summary>")
        elif section.title:
            parts.append(f"## {plain(section.title)}")
        parts += [
            block if isinstance(block, str) else _captioned(block) if isinstance(block, Table) else place(block)
            for block in section.blocks
        ]
        parts.append("</details>" * section.folded)
    parts += ["---", plain(footer)] if footer else []
    return "\n\n".join(filter(None, parts)) + "\n"


def _captioned(table: Table) -> str:
    caption = f"**{plain(table.caption)}**" if table.caption else ""
    return "\n\n".join(filter(None, [caption, markdown_table(table), *map(plain, table.notes)]))


def markdown_table(table: Table) -> str:
    """A table's head and rows as Markdown, a line each."""
    heads = [plain(c.name) + (f"<br><sub>{plain(c.under())}</sub>" if c.under() else "") for c in table.columns]
    lines = [heads, ["---:" if column.figure else "---" for column in table.columns]]
    for row, cells in zip(table.rows, table.cells(), strict=True):
        texts = [_cell(cell) for cell in cells]
        if len(row) < len(table.columns):
            texts[0] = f"**{texts[0]}**"
        lines.append(texts)
    return "\n".join(f"| {' | '.join(texts)} |" for texts in lines)


def _cell(cell: Cell) -> str:
    text = _TONES[cell.tone] + plain(cell.text)
    text += f" ({plain(cell.interval)})" if cell.interval else ""
    return text + (f"<br><sub>{plain(cell.note)}</sub>" if cell.note else "")
