"""A page is whole in itself, says what it was given, and nothing in it can become markup."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from motionsynth.report.charts import Line, line_chart
from motionsynth.report.page import (
    Cell,
    Column,
    Picture,
    Player,
    Section,
    Table,
    bullets,
    code,
    figure_cell,
    headline,
    plain,
    write_markdown,
    write_page,
)
from motionsynth.view.player import player_html
from tests.view.test_view import walker

NASTY = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> {{ 7 * 7 }} {% raw %} &lt; \"'é"
TAME = "zebra"
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


def sections(word: str = TAME) -> list[Section]:
    table = Table(
        [Column(word, figure=False), Column(word, unit=word, better="lower"), Column("real", unit="1")],
        [[word], [word, figure_cell(0.5, 0.4, 0.6, word), Cell(word, word, word, tone="bad")], ["x", 1.5, None]],
        caption=word,
        notes=[word],
    )
    chart = line_chart([Line(word, [1, 2], [1, 2])], x_label=word, y_label="y", alt=word)
    frame = player_html([(word, walker())], title=word)
    return [
        Section("", [headline([word, word], word)]),
        Section(word, [plain(word), code("ls"), bullets([word]), table]),
        Section("charts", [Picture(chart, word, word), Picture(chart), Player(frame, word, word)]),
        Section(word, [plain(word)], folded=True),
    ]


@pytest.fixture
def html_of(tmp_path: Path) -> Callable[..., str]:
    def written(word: str = TAME) -> str:
        write_page(tmp_path / "page.html", word, sections(word), subtitle=word, footer=word)
        return (tmp_path / "page.html").read_text()

    return written


def test_a_page_is_well_formed_and_holds_every_block(html_of: Callable[..., str]) -> None:
    outline = Outline(html_of())
    assert not outline.open
    assert outline.count("table") == outline.count("iframe") == outline.count("details") == 1
    assert outline.count("svg") == 2 and outline.count("tr") == 4 and outline.count("h2") == 2
    words = {text.strip() for text in outline.words}
    assert {
        TAME,
        "0.50 (0.40 to 0.60)",
        f"▲ {TAME} ({TAME})",
        "1.50",
        "–",
        f"{TAME} · ↓ lower is better",
        "ls",
    } <= words


def test_names_cannot_become_markup_or_template(html_of: Callable[..., str]) -> None:
    nasty, tame = (Outline(html_of(word)) for word in (NASTY, TAME))
    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in tame.tags]
    # the legends of two charts cut a long name short
    assert "".join(nasty.words).count(NASTY) == "".join(tame.words).count(TAME) - 2 > 15
    assert not any(name.startswith("on") for _, attributes in nasty.tags for name in attributes)


@pytest.mark.parametrize(
    "word", ["# a", "1. a", "- a", "+ a", "> a", "a | b", "~~~", "===", "$a$", "![x](y)", "&amp;", "a\\"]
)
def test_words_are_shown_as_they_are(word: str, html_of: Callable[..., str]) -> None:
    outline, tame = Outline(html_of(word)), Outline(html_of())
    assert [tag for tag, _ in outline.tags] == [tag for tag, _ in tame.tags]
    assert "".join(outline.words).count(word) >= "".join(tame.words).count(TAME)


def test_markdown_has_files_for_pictures_and_words_for_players(tmp_path: Path) -> None:
    (file,) = write_markdown(
        tmp_path / "a.md", "t", [Section("s", [*sections()[2].blocks, Picture("<svg>", "b", file="B c")])]
    )
    assert file == tmp_path / "figures" / "b-c.svg" and file.is_file()
    text = (tmp_path / "a.md").read_text()
    assert "![b](figures/b-c.svg)" in text and text.count("![") == 1 and f"{TAME}: plays on the page. {TAME}" in text


def test_a_page_asks_nothing_of_a_network(html_of: Callable[..., str]) -> None:
    page = html_of()
    (frame,) = [attributes["srcdoc"] for tag, attributes in Outline(page).tags if tag == "iframe"]
    assert frame is not None and frame == sections()[2].blocks[2].html  # type: ignore[union-attr]
    for text in (page, frame):
        lowered = text.lower().replace("http://www.w3.org/2000/svg", "")
        for word in ("http:", "https:", "//cdn", " src=", "@import", "fetch(", "localstorage", "cookie"):
            assert word not in lowered
        assert not re.findall(r"url\((?!#)", lowered)
        assert "default-src 'none'" in text
    assert html.escape("<script>") in page, "the player travels inside an attribute"


def test_links_lead_to_sections_and_ids_of_elements_are_their_own(html_of: Callable[..., str]) -> None:
    outline = Outline(html_of())
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
