"""The findings hold to the committed results, and their first page is one that a newcomer reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from motionsynth.report.study.apart import band_decibels
from motionsynth.report.study.shares import due_share, total_variation
from motionsynth.study.results import ViewResult, read_results

DOCS = Path(__file__).parents[2] / "docs"
REPORT = DOCS / "results" / "blur-or-sharp" / "report.md"
PICTURE = "results/blur-or-sharp/figures/realism-bandai-namco-2.svg"
WORDS, NUMBERS = 300, 8


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\\", "")


def first_page(text: str) -> str:
    """All above the first heading of the second rank, without where links lead."""
    return re.sub(r"\]\([^)]*\)", "]", text.partition("\n## ")[0])


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def number(cell: str) -> float:
    """The first number of a cell, in the unit that it is told in."""
    found = re.search(r"[−-]?\d[\d\u202f,]*(\.\d+)?", cell)
    assert found, cell
    return float(found[0].replace("−", "-").replace("\u202f", "").replace(",", ""))


def motion_capture(text: str) -> str:
    return text.partition("\n## Bandai-Namco 2 (motion capture)\n")[2].partition("\n## ")[0]


def facts() -> dict[str, list[float]]:
    """Words of the first page -> the numbers that stand there, from the tables that they are said to come from."""
    report, acceptance, findings = text_of(REPORT), text_of(DOCS / "acceptance.md"), text_of(DOCS / "findings.md")
    realism = motion_capture(report).partition("**Realism and missing mass**")[2].partition("**")[0]
    precision = {row[0]: 100 * number(row[2]) for row in rows(realism) if row[0] in ("GAN", "VAE")}
    verdicts = report.partition("| **Bandai-Namco 2 (motion capture)** |")[2]
    by_name = {name[0]: row for row in rows(verdicts) if (name := re.findall(r"<sub>([a-z-]+)</sub>", row[0]))}
    jerk = number(by_name["gan-jitters-more-than-vae"][2].partition("×")[2])
    points = -100 * number(by_name["gan-drops-more-cells-than-vae"][2])
    (shipped,) = [row for row in rows(acceptance) if row[0] == "cells covered"]  # real, vae, gan, gmm
    trial = next(row for row in rows(findings) if row[0].startswith("dense, on 128 components"))
    both = [float(end) for end in re.findall(r"\d+", trial[1])]
    assert both == [float(end) for end in re.findall(r"\d+", trial[2])]
    return {
        r"(\d+) % of the GAN's windows lie among real ones, of the VAE's (\d+) %": [precision["GAN"], precision["VAE"]],
        r"the GAN (\d\.\d) times as much by jerk": [jerk],
        r"the GAN covers (\d+) points fewer kinds than the VAE": [points],
        r"the one shipped then, same clips, one seed: (\d+) % against the VAE's (\d+) %": [
            100 * number(shipped[3]), 100 * number(shipped[2])
        ],
        r"both cover (\d+) to (\d+) %": both,
    }  # fmt: skip


def faults(page: str) -> list[str]:
    """Faults of a first page."""
    found = []
    if len(page.split()) > WORDS:
        found.append(f"{len(page.split())} words")
    numbers = re.findall(r"\d+(?:\.\d+)?", page)
    if len(numbers) > NUMBERS:
        found.append(f"{len(numbers)} numbers")
    flat, told = " ".join(page.split()), []
    for pattern, values in facts().items():
        match = re.search(pattern, flat)
        if match is None:
            found.append(f"nothing says {pattern!r}")
            continue
        for text, value in zip(match.groups(), values, strict=True):
            told.append(text)
            unit = 0.1 if "." in text else 1.0
            if abs(float(text) - value) > 0.5 * unit + 1e-9:
                found.append(f"{text} is {value:.4g} in the tables")
    found += [f"{other} comes from no table" for other in sorted(set(numbers) - set(told))]
    if page.count("![") != 1:
        found.append("not one picture")
    return found


def test_the_first_page_is_short_and_says_what_the_tables_say() -> None:
    findings = text_of(DOCS / "findings.md")
    assert not faults(first_page(findings))
    assert f"]({PICTURE})" in findings.partition("\n## ")[0] and (DOCS / PICTURE).is_file()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page.replace("covers 35 points", "covers 36 points"), "36 is 35.4 in the tables"),
        (lambda page: page.replace("82 %", "84 %"), "84 is 82.2 in the tables"),
        (lambda page: page.replace("the GAN 1.5 times", "the GAN 1.6 times"), "1.6 is 1.49 in the tables"),
        (lambda page: page.replace("79 % against", "80 % against"), "80 is 79 in the tables"),
        (lambda page: page + " word" * 20, "words"),
        (lambda page: page + " 17", "9 numbers"),
        (lambda page: page.replace("one seed", "3 seeds"), "3 comes from no table"),
        (
            lambda page: page.replace("Both shake", "They shake").replace("times as much by jerk", "times"),
            "nothing says",
        ),
        (lambda page: page.replace("![", "["), "not one picture"),
    ],
)
def test_a_wrong_first_page_is_found_out(change: Callable[[str], str], says: str) -> None:
    page = first_page(text_of(DOCS / "findings.md"))
    assert change(page) != page
    assert any(says in fault for fault in faults(change(" ".join(page.split()))))


def test_the_chinese_first_page_has_the_same_numbers_and_picture() -> None:
    english, chinese = (first_page(text_of(DOCS / name)) for name in ("findings.md", "findings.zh.md"))
    numbers = [sorted(re.findall(r"\d+(?:\.\d+)?", page)) for page in (english, chinese)]
    assert numbers[0] == numbers[1]
    assert f"]({PICTURE})" in text_of(DOCS / "findings.zh.md")


def test_the_readme_answers_briefly_without_a_number_and_shows_the_same_picture() -> None:
    purpose, _, answer = text_of(DOCS.parent / "README.md").partition("## Two commands")[0].partition("\n## ")
    words = re.sub(r"\]\([^)]*\)", "]", answer.partition("![")[0])
    assert f"](docs/{PICTURE})" in answer and "docs/demo.gif" in purpose
    assert not re.search(r"\d", words) and len(words.split()) < 120


def test_the_points_are_told_with_their_network() -> None:
    """Wherever 35 points stand, the networks of the study are named in the same paragraph."""
    for name, words in (("findings.md", ("the study", "pair of networks")), ("findings.zh.md", ("本研究的网络",))):
        for paragraph in re.split(r"\n\s*\n|\n- |\n\| ", text_of(DOCS / name)):
            if re.search(r"35\s+(points|个百分点)|−35", paragraph):
                assert (
                    any(word in " ".join(paragraph.split()) for word in words)
                    or "one realistic window" in paragraph
                    or "判据" in paragraph
                )


@cache
def views(arm: str, view: str, corpus: str = "bandai-namco-2") -> list[ViewResult]:
    found = read_results(REPORT.parent)
    return [r.views[view] for r in found.values() if (r.arm, r.corpus) == (arm, corpus) and view in r.views]


def mean(of: Callable[[ViewResult], float | None], arm: str, view: str, corpus: str = "bandai-namco-2") -> float:
    values = [of(shown) for shown in views(arm, view, corpus)]
    return float(np.mean([value for value in values if value is not None]))


def figure(key: str) -> Callable[[ViewResult], float | None]:
    return lambda shown: shown.figures[key]


ARMS = {
    "real training motion": ("real", "samples"), "memoriser of 128 windows": ("memoriser", "samples"),
    "**GAN**": ("gan", "samples"), "**VAE**, prior N(0, I), mean": ("vae", "prior mean"),
    "VAE, latents from where codes lie": ("vae", "fitted prior"), "AAE, prior N(0, I)": ("aae", "prior"),
    "VAE, sigma fixed at 1, mean": ("vae_sigma_1", "prior mean"), "EM (mixture of PPCA)": ("gmm", "samples"),
    "AE, latents from N(0, I)": ("ae", "normal prior"), "GAN with the proximal term": ("gan_proximal", "samples"),
}  # fmt: skip


def test_the_table_of_arms_is_that_of_the_cells() -> None:
    table = {row[0]: row for row in rows(text_of(DOCS / "findings.md")) if row[0] in ARMS}
    assert set(table) == set(ARMS)
    figures = [
        figure("smoothness/energy_above_5hz_within"), figure("smoothness/jerk_ratio_within"),
        lambda shown: 100 * shown.figures["modes/cells_covered"], lambda shown: 100 * (due_share(shown, 0.0) or 0.0),
        figure("modes/recall.pca"), figure("modes/precision.pca"), figure("fidelity/frechet.pca"),
    ]  # fmt: skip
    for name, row in table.items():
        told = row[2:]
        assert int(row[1]) == len(views(*ARMS[name]))
        for text, of in zip(told, figures, strict=True):
            value, digits = mean(of, *ARMS[name]), len(re.match(r"[\d,]*\.?(\d*)", text)[1])  # type: ignore[index]
            assert number(text) == pytest.approx(value, abs=0.5 * 10.0**-digits + 1e-9), (name, text)


def test_the_table_of_rules_is_that_of_the_cells() -> None:
    rules: dict[str, tuple[Callable[[ViewResult], float | None], float]] = {
        "one realistic window of 1,024": (figure("modes/cells_covered"), 100),
        "one window of any kind": (lambda shown: due_share(shown, 0.0), 100),
        "a quarter of its due share": (lambda shown: due_share(shown, 0.25), 100),
        "half of its due share": (lambda shown: due_share(shown, 0.5), 100),
        "*and without kinds:* total variation of the shares": (total_variation, 1),
        "coverage, principal components": (figure("modes/coverage.pca"), 1),
        "coverage, autoencoder": (figure("modes/coverage.autoencoder"), 1),
    }
    table = {row[0]: row for row in rows(text_of(DOCS / "findings.md")) if row[0] in rules}
    assert set(table) == set(rules)
    for name, (of, scale) in rules.items():
        gan, vae = (scale * mean(of, *arm) for arm in (("gan", "samples"), ("vae", "prior mean")))
        _, first, second, between = table[name]
        half = 0.5 if scale == 100 else 0.005
        for text, value in ((first, gan), (second, vae), (between, gan - vae)):
            assert number(text) == pytest.approx(value, abs=half + 1e-9), name


def test_both_ways_of_averaging_spectra_are_told_as_they_are() -> None:
    text = " ".join(text_of(DOCS / "findings.md").split())
    for corpus, pattern in (
        ("bandai-namco-2", r"GAN is ([\d.]+) dB above the VAE"),
        ("walkers", r"walkers ([\d.]+)\)\. The mean"),
    ):
        by_power = [mean(lambda shown: band_decibels(shown, "decibels"), *arm, corpus)
                    for arm in (("gan", "samples"), ("vae", "prior mean"))]  # fmt: skip
        told = re.search(pattern, text)
        assert told and float(told[1]) == pytest.approx(by_power[0] - by_power[1], abs=0.05)
