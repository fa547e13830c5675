"""A page is whole in itself, says what it was given, and nothing in it can become markup."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from motionsynth.view.charts import Line, line_chart
from motionsynth.view.page import (
    Cell,
    Column,
    Headline,
    Notes,
    Paragraph,
    Picture,
    Player,
    Section,
    Table,
    figure_cell,
    page_html,
    write_page,
)
from motionsynth.view.player import player_html
from tests.view.test_view import walker

NASTY = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> {{ 7 * 7 }} {% raw %} &lt; \"'é"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Elements as they open and close, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def sections(word: str = "word") -> list[Section]:
    table = Table(
        [Column(word, figure=False, note=word), Column(word, unit=word, better="lower"), Column("real", unit="1")],
        [[word], [word, figure_cell(0.5, 0.4, 0.6, word), Cell(word, word, word, word, tone="bad")], ["x", 1.5, None]],
        caption=word,
        notes=[word],
    )
    chart = line_chart([Line(word, [1, 2], [1, 2])], x_label=word, y_label="y", alt=word)
    frame = player_html([(word, walker())], title=word)
    return [
        Section("", [Headline([word, word], word)]),
        Section(word, [Paragraph(word), Paragraph(word, quiet=True), Notes([word]), table]),
        Section("charts", [Picture(chart, word, word), Picture(chart, wide=True), Player(frame, word, word)]),
        Section(word, [Paragraph(word)], folded=True),
    ]


def test_a_page_is_well_formed_and_holds_every_block() -> None:
    outline = Outline(page_html("title", sections(), subtitle="sub", footer="foot"))
    assert not outline.open
    assert outline.count("table") == outline.count("iframe") == outline.count("details") == 1
    assert outline.count("svg") == 2 and outline.count("tr") == 4 and outline.count("h2") == 3
    assert {"title", "sub", "foot", "word", "0.40 to 0.60", "1.50", "–"} <= set(outline.words)
    assert "0.50 " in outline.words
    assert "word · ↓ lower is better" in outline.words


def test_names_cannot_become_markup_or_template() -> None:
    nasty, plain = (Outline(page_html(word, sections(word), subtitle=word, footer=word)) for word in (NASTY, "word"))
    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in plain.tags]
    # the legends of two charts cut a long name short
    assert nasty.words.count(NASTY) == plain.words.count("word") - 2 > 15
    assert not any(name.startswith("on") for _, attributes in nasty.tags for name in attributes)


def test_a_page_asks_nothing_of_a_network() -> None:
    page = page_html("title", sections(), subtitle="sub", footer="foot")
    (frame,) = [attributes["srcdoc"] for tag, attributes in Outline(page).tags if tag == "iframe"]
    assert frame is not None and frame == sections()[2].blocks[2].html  # type: ignore[union-attr]
    for text in (page, frame):
        lowered = text.lower().replace("http://www.w3.org/2000/svg", "")
        for word in ("http:", "https:", "//cdn", " src=", "@import", "fetch(", "localstorage", "cookie"):
            assert word not in lowered
        assert not re.findall(r"url\((?!#)", lowered)
        assert "default-src 'none'" in text
    assert html.escape("<script>") in page, "the player travels inside an attribute"


def test_links_lead_to_sections_and_ids_of_elements_are_their_own() -> None:
    outline = Outline(page_html("title", sections()))
    links = {a["href"] for tag, a in outline.tags if tag == "a"}
    headings = [a.get("id") for tag, a in outline.tags if tag == "h2"]
    assert links == {f"#{heading}" for heading in headings} and len(set(headings)) == len(headings)


def test_same_input_same_bytes_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, "title", sections())
    first = path.read_bytes()
    write_page(path, "title", sections())
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
    write_page(path, "a lone \ud800 surrogate of a file's name", [])
    assert b"a lone ? surrogate" in path.read_bytes()


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1: 3 cells in a table of 2 columns"):
        Table([Column("a"), Column("b")], [["x", 1.0], ["x", 1.0, 2.0]])


def test_a_figure_is_rounded_as_its_interval_allows() -> None:
    assert figure_cell(0.01, 0.009, 0.011) == Cell("0.0100", "0.0090 to 0.0110")
    assert figure_cell(None, 0.0, 1.0, "too few") == Cell("–", "", "too few")
    assert figure_cell(0.0, 0.0, 0.0) == Cell("0", "0 to 0")
