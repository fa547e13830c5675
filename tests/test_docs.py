"""Pages for people: links lead somewhere, commands exist, and the map of the code has all of it."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WIDEST = 100


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without what stands as code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


@cache
def anchors(path: Path) -> frozenset[str]:
    """Places of a page that a link may name, as GitHub spells them."""
    headings = re.findall(r"^#{1,6} +(.+)$", FENCE.sub("", read(path)), re.MULTILINE)
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return frozenset(re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles)


def broken(page: Path, text: str) -> list[str]:
    """Relative links of a page that lead nowhere."""
    links = re.findall(r"\]\(([^)\s]+)\)", prose(text)) + re.findall(r'(?:src|href)="([^"]+)"', prose(text))
    found = []
    for link in links:
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert not broken(page, read(page))


def test_a_broken_link_is_found() -> None:
    text = "[a](docs/none.md) [b](README.md#two-commands) [c](#nowhere) [d](https://x.y/z) `[e](none)` <img src='f'>"
    assert broken(ROOT / "README.md", text.replace("'", '"')) == ["docs/none.md", "#nowhere", "f"]


def command_lines(text: str) -> Iterator[list[str]]:
    """Words of the shell lines of a page that call the program, from its name on."""
    for language, code in FENCE.findall(text):
        for line in code.splitlines() if language == "sh" else ():
            words = shlex.split(line, comments=True)
            if "motionsynth" in words:
                yield words[words.index("motionsynth") + 1 :]


def leaves(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Names of all commands."""
    for word, child in getattr(command, "commands", {}).items():
        yield from leaves(child, (*name, word))
    if not hasattr(command, "commands"):
        yield name


@pytest.fixture(scope="module")
def program() -> Any:
    from motionsynth.cli.app import app

    return typer.main.get_command(app)


def test_the_first_page_has_every_command_and_no_option_that_is_not_there(program: Any) -> None:
    shown = set()
    for words in command_lines(read(ROOT / "README.md")):
        command, name = program, []
        while hasattr(command, "commands"):
            name.append(words.pop(0))
            command = command.commands[name[-1]]
        shown.add(tuple(name))
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, name
    assert shown == set(leaves(program))


def test_the_first_page_fits_a_window() -> None:
    shown = re.sub(r"\]\([^)]*\)", "]", read(ROOT / "README.md"))
    assert not [line for line in shown.splitlines() if len(line) > WIDEST]


def test_the_map_names_every_package_and_module() -> None:
    table = read(ROOT / "docs" / "architecture.md").partition("## Where things are")[2]
    there = [path for path in (ROOT / "motionsynth").iterdir() if path.suffix in ("", ".py") and path.name[0] != "_"]
    assert not [path.stem for path in there if not re.search(rf"\b{path.stem}\b", table)]


def test_the_example_of_a_metric_is_one(tmp_path: Path) -> None:
    """Clips that go 1 m straight on, then 1 m aside, against clips that go 4 m."""
    page = FENCE.findall(read(ROOT / "docs" / "contributing.md"))
    (tmp_path / "travel.py").write_text(next(code for language, code in page if language == "python"), encoding="utf-8")
    (measure,) = runpy.run_path(str(tmp_path / "travel.py"))["MEASURES"]
    paths = torch.tensor([[[0.0, 1, 0], [1, 1, 0], [1, 2, 1]], [[0, 1, 0], [0, 1, 2], [0, 1, 4]]])
    sets = [SimpleNamespace(positions_NTJ3=path[None, :, None], spec=SimpleNamespace(moving_joint=0)) for path in paths]
    for windows in sets:
        windows.per_window = lambda compute, of=windows: compute(of)
    assert measure.compute(sets, None) == {"travel_ratio": 0.5}
    assert [metric.name for metric in measure.metrics] == ["travel_ratio"]
