"""The blocks of a page as Markdown, for a repository's own view of it: pictures are files beside it, clips a link."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from motionsynth.files import write_bytes
from motionsynth.view.page import Block, Cell, Code, Headline, Notes, Paragraph, Picture, Player, Section, Table
from motionsynth.view.svg import standalone_svg

__all__ = ["write_markdown"]

_TONES: Final = {"good": "● ", "bad": "▲ ", "dim": "", "": ""}
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~$])")


def write_markdown(
    path: Path,
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str = "",
    footer: str = "",
    page: str = "",
    figures: str = "figures",
) -> list[Path]:
    """Write a page of sections as Markdown; same input, same bytes.

    Args:
        path: the ``.md`` file; a file of that name is replaced, at once or not at all.
        title, sections, subtitle, footer: as ``view.page.write_page`` takes them.
        page: the same as HTML, relative to the file: where clips play.
        figures: folder beside the file for the pictures, each named as it says or after its title.

    Returns:
        The pictures' files.

    Raises:
        OSError: a file cannot be written.
    """
    parts = [f"# {_text(title)}", *([_text(subtitle)] if subtitle else [])]
    if page:
        parts.append(f"The same with moving clips: [{page}]({page}).")
    pictures: dict[str, str] = {}
    for section in sections:
        inner: list[str] = []
        for block in section.blocks:
            if isinstance(block, Picture):
                inner.append(_picture(section.title, block, pictures, figures))
            else:
                inner += _block(block, page)
        parts += _section(section, inner)
    parts += ["---", _text(footer)] if footer else []
    folder = path.parent / figures
    if pictures:
        folder.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures.items():
        write_bytes(folder / name, standalone_svg(svg).encode())
    write_bytes(path, ("\n\n".join(parts) + "\n").encode("utf-8", errors="replace"))
    return [folder / name for name in pictures]


def _section(section: Section, inner: Sequence[str]) -> Iterator[str]:
    if section.folded:
        yield f"<details><summary><b>{_escaped(section.title)}</b></summary>"
        yield from inner
        yield "</details>"
        return
    if section.title:
        yield f"## {_text(section.title)}"
    yield from inner


def _block(block: Block, page: str) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _text(block.text)
        case Notes():
            yield "\n".join(f"- {_text(item)}" for item in block.items)
        case Code():
            yield f"```sh\n{block.text.rstrip()}\n```"
        case Headline():
            lines = [f"> **{_text(sentence)}**" for sentence in block.sentences]
            yield "\n>\n".join([*lines, *([f"> {_text(block.note)}"] if block.note else [])])
        case Table():
            yield from _table(block)
        case Player():
            where = f"[{page}]({page})" if page else "the page"
            yield f"{_text(block.title)}: plays in {where}. {_text(block.caption)}".rstrip()
        case Picture():
            raise AssertionError("pictures are written by name")


def _picture(section: str, block: Picture, pictures: dict[str, str], figures: str) -> str:
    stem = _slug(block.file or block.title or section)
    name, number = f"{stem}.svg", 2
    while name in pictures:
        name, number = f"{stem}-{number}.svg", number + 1
    pictures[name] = block.svg
    caption = " ".join(
        part for part in (f"**{_text(block.title)}**" if block.title else "", _text(block.caption)) if part
    )
    return f"![{_text(block.title or section)}]({figures}/{name})" + (f"\n\n{caption}" if caption else "")


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield f"**{_text(table.caption)}**"
    heads = [f"{_text(c.name)}{f'<br><sub>{_text(c.under())}</sub>' if c.under() else ''}" for c in table.columns]
    lines = [_line(heads), _line(["---:" if column.figure else "---" for column in table.columns])]
    for row in table.cells():
        texts = [_cell(cell) for cell in row]
        if len(row) < len(table.columns):
            texts = [f"**{texts[0]}**", *[""] * (len(table.columns) - 1)]
        lines.append(_line(texts))
    yield "\n".join(lines)
    yield from (_text(note) for note in table.notes)


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _cell(cell: Cell) -> str:
    text = _TONES[cell.tone] + _text(cell.text)
    text += f" ({_text(cell.interval)})" if cell.interval else ""
    return text + (f"<br><sub>{_text(cell.note)}</sub>" if cell.note else "")


def _text(words: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slug(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "figure"
