"""The page of an evaluation holds every figure beside the real one, and shows the clips that it says it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Metric, Sets
from motionsynth.metrics.registry import choose
from motionsynth.metrics.spectra import MEASURES
from motionsynth.metrics.suite import Figure, score
from motionsynth.report.evaluation import distance_picture, metric_name, write_report
from motionsynth.report.numbers import interval_texts
from tests.metrics.sets import walkers
from tests.report.test_charts import parse, part, points
from tests.report.test_page import NASTY, Outline

COPIED = 17


@lru_cache(maxsize=1)
def sets() -> Sets:
    """Walkers with jitter as the generated set; the window ``COPIED`` is a copy of a training window."""
    generated, reference = walkers(0), walkers(1)
    noise = torch.Generator().manual_seed(0)
    space = generated.embeddings["pca"]
    moved = space + torch.randn(space.shape, generator=noise)
    moved[COPIED] = space[3]
    jittered = generated.features_NTD + 0.02 * torch.randn(generated.features_NTD.shape, generator=noise)
    names = tuple(f"{place:04}" for place in range(len(generated)))
    fake = replace(generated, motion_NTD=jittered, embeddings={"pca": moved}, names=names, _measured={})
    return Sets(fake, reference, generated)


@lru_cache(maxsize=1)
def scored() -> tuple[dict[str, Figure], dict[str, Figure]]:
    chosen = choose(["log_spectral_distance", "energy_above_5hz"], None, ["pca"], measures=MEASURES)
    _, reference, train = sets()
    assert train is not None
    return score(sets(), chosen, resamples=8), score(Sets(train, reference, train), chosen, resamples=8)


Write = Callable[..., str]


def written(folder: Path, **changes: object) -> str:
    figures, real = scored()
    arguments: dict[str, object] = {"figures": figures, "real": real, "sets": sets(), "title": "vae", **changes}
    write_report(folder / "report.html", **arguments)  # type: ignore[arg-type]
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("page"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return partial(written, tmp_path)


def rows_of_player(page: str) -> dict[str, list[str]]:
    """Heading of each row of the player -> captions of its clips."""
    (frame,) = [attributes["srcdoc"] for tag, attributes in Outline(page).tags if tag == "iframe"]
    match = re.search(r"^const DATA = (.*);$", frame or "", re.MULTILINE)
    assert match is not None
    rows: dict[str, list[str]] = {}
    for panel in json.loads(match[1])["panels"]:
        rows.setdefault(panel["group"], []).append(panel["caption"])
    return rows


def tones(page: str) -> list[str]:
    found = re.findall(r"<td[^>]*>(●|▲) ", page)
    return [{"●": "good", "▲": "bad"}[mark] for mark in found]


def figure(value: float | None, low: float | None = None, high: float | None = None, **record: object) -> Figure:
    record = {
        "name": "recall",
        "group": "modes",
        "unit": "1",
        "better": "higher",
        "summary": "s",
        "reference": "r",
        **record,
    }
    metric = Metric(**record)  # type: ignore[arg-type]
    return Figure(f"{metric.group}/{metric.name}", metric, None, value, low, high)


class TestFigures:
    def test_every_figure_stands_beside_the_real_one(self, page: str) -> None:
        outline = Outline(page)
        words = [word.strip() for word in outline.words if word.strip()]
        figures, real = scored()
        assert len(figures) == 2 and set(figures) == set(real)
        for found in (*figures.values(), *real.values()):
            assert found.value is not None and found.low is not None and found.high is not None
            text, low, high = interval_texts(found.value, found.low, found.high)
            assert any(word.endswith(f"{text} ({low} to {high})") for word in words)
        assert {"energy above 5 Hz", "log spectral distance", "dB", "= match (1)", "energy_above_5hz"} <= set(words)
        assert not outline.open

    def test_jitter_is_marked_as_off_real_motion(self, page: str, write: Write) -> None:
        assert tones(page) == ["bad", "bad"]
        _, real = scored()
        assert tones(write(figures=real)) == ["good", "good"]

    @pytest.mark.parametrize(
        ("better", "below", "above"), [("lower", "good", "bad"), ("higher", "bad", "good"), ("match", "bad", "bad")]
    )
    def test_marks_know_the_direction(self, write: Write, better: str, below: str, above: str) -> None:
        intervals = {"a": (1.0, 3.0), "b": (7.0, 9.0), "c": (3.0, 5.0), "d": (5.0, 8.0)}
        names = dict.fromkeys((*intervals, "none"), (5.0, 4.0, 6.0))
        real = {f"modes/{name}": figure(*row, name=name, better=better) for name, row in names.items()}
        rows = [figure(5.0, low, high, name=name, better=better) for name, (low, high) in intervals.items()]
        without = figure(1.0, name="none", better=better)
        page = write(figures={row.key: row for row in (*rows, without)}, real=real)
        assert tones(page) == [below, above, "good", "good"], "nothing is claimed without an interval"

    def test_an_undefined_figure_says_why(self, write: Write) -> None:
        lost = replace(figure(None), note="needs cells (content x style)")
        words = {word.strip() for word in Outline(write(figures={lost.key: lost}, real={})).words}
        assert {"needs cells (content x style)", "–"} <= words

    def test_rounding_is_no_difference(self, write: Write) -> None:
        drift = {"modes/recall": figure(3.3e-8, 3.2e-8, 3.4e-8, better="lower")}
        less = {"modes/recall": figure(3.0e-8, 2.9e-8, 3.1e-8, better="lower")}
        assert tones(write(figures=drift, real=less)) == ["good"]

    def test_feature_spaces_have_rows_of_their_own(self, write: Write) -> None:
        figures = {}
        for place, space in enumerate(("pca", "kinetic")):
            one = figure(0.5 + place, 0.4 + place, 0.6 + place)
            figures[f"{one.key}.{space}"] = replace(one, key=f"{one.key}.{space}", space=space)
        page = write(figures=figures, real=figures)
        words = {word.removeprefix("● ") for word in Outline(page).words}
        assert {"recall.pca", "recall.kinetic", "0.50 (0.40 to 0.60)", "1.50 (1.40 to 1.60)"} <= words
        assert tones(page) == ["good", "good"]

    def test_headlines_notes_and_what_to_do_without_a_calibration(self, page: str, write: Write) -> None:
        read = write(headlines=["as smooth as real motion low-passed at 4.1 Hz"], notes=["10 clips left out"])
        words = set(Outline(read).words)
        assert {"As smooth as real motion low-passed at 4.1 Hz.", "10 clips left out"} <= words
        assert "--calibration" in page and "--calibration" not in read


class TestPictures:
    def test_distances_are_in_half_widths_of_the_real_interval(self) -> None:
        rows = {"a": (3.0, 2.8, 3.2), "b": (1.0, 0.9, 1.1), "none": (None, None, None)}
        figures = [replace(figure(*row, name=name), key=name) for name, row in rows.items()]
        real = {name: replace(figure(1.0, 0.9, 1.1, name=name), key=name) for name in rows}
        found = distance_picture(figures, real)
        assert found is not None
        root = parse(found[0].svg)
        part(root, "a: 20.0")
        part(root, "b: 0")
        assert found[1] == ["none"]
        assert distance_picture(figures, {}) is None

    def test_spectra_end_below_the_lower_nyquist_frequency(self, page: str, write: Write) -> None:
        generated, reference, train = sets()
        slow = replace(reference, nyquist_hz=7.0)

        def drawn(page: str) -> int:
            svg = next(found for found in re.findall(r"<svg .*?</svg>", page, re.DOTALL) if "frequency (Hz)" in found)
            return len(points(part(parse(svg), "generated")))

        whole, cut = drawn(page), drawn(write(sets=Sets(generated, slow, train)))
        assert cut == pytest.approx(whole * 7 / 15, abs=1) and cut < whole

    def test_cells_that_nothing_generated_falls_in_are_counted(self, write: Write) -> None:
        generated, reference, train = sets()
        assert generated.cell_N is not None and reference.cell_N is not None
        one = generated.subset((generated.cell_N == generated.cell_N[0]).nonzero()[:, 0]).to("cpu")
        cells = len(reference.cell_N.unique())
        page = write(sets=Sets(one, reference, train))
        assert f"{cells - 1} of {cells} cells of the reference hold no generated window" in page


class TestClips:
    def test_best_median_and_worst_are_by_distance_to_training_windows(self, page: str) -> None:
        rows = rows_of_player(page)
        names = ["generated, random", "real, random", "generated, best", "generated, median", "generated, worst"]
        assert list(rows) == names and all(len(captions) == 4 for captions in rows.values())
        best, median, worst = (
            [float(c.split()[1]) for c in rows[f"generated, {rank}"]] for rank in ("best", "median", "worst")
        )
        assert rows["generated, best"][0].startswith("d 0 ") and rows["generated, best"][0].endswith(f"{COPIED:04}")
        assert max(best) <= min(median) <= max(median) <= min(worst) and worst == sorted(worst, reverse=True)
        assert "training window in the feature space pca" in page
        medians = re.search(r"Its median is ([\d.]+) for generated windows, ([\d.]+) for held-out real ones", page)
        assert medians is not None and float(medians[1]) > float(medians[2])
        assert all(caption.startswith("d ") for captions in rows.values() for caption in captions)

    def test_real_clips_can_be_left_out(self, write: Write) -> None:
        notice = "Clips of a corpus (CC BY-NC 4.0)."
        with_clips, without = write(attribution=notice), write(real_clips=False, attribution=notice)
        real = rows_of_player(with_clips)["real, random"]
        assert "real, random" not in rows_of_player(without)
        name = real[0].split(" · ")[-1]
        assert name in sets().reference.names and name in with_clips and name not in without
        assert "The real clips are left out of this page." in without
        assert notice in with_clips and notice in without

    def test_without_training_windows_the_reference_serves(self, write: Write) -> None:
        generated, reference, train = sets()
        assert train is not None
        page = write(sets=Sets(generated, reference))
        assert "reference window in the feature space pca" in page
        bare = replace(train, embeddings={})
        assert "reference window in the feature space pca" in write(sets=Sets(generated, reference, bare))

    def test_without_judge_and_feature_spaces_there_are_random_clips(self, write: Write) -> None:
        def bare(windows: Descriptors, count: int) -> Descriptors:
            few = windows.subset(torch.arange(count)).to("cpu")
            return replace(few, embeddings={}, cell_N=None, cell_names=(), realistic_N=None, names=())

        page = write(sets=Sets(bare(sets().generated, 2), bare(sets().reference, 1)))
        assert rows_of_player(page) == {"generated, random": ["0", "1"], "real, random": ["0"]}
        assert "Cells, as judged" not in page

    def test_still_clips_are_drawn(self, write: Write) -> None:
        still = sets().reference.features_NTD[:3, :1].repeat(1, 64, 1)
        windows = replace(sets().reference.subset(torch.arange(3)).to("cpu"), motion_NTD=still)
        assert not Outline(write(sets=Sets(windows, sets().reference))).open

    def test_a_window_that_is_not_finite_leaves_no_page(self, write: Write, tmp_path: Path) -> None:
        generated, reference, train = sets()
        broken = generated.features_NTD.clone()
        broken[:, 5, 0] = np.nan
        with pytest.raises(ValueError, match="not finite"):
            write(sets=Sets(replace(generated, motion_NTD=broken, _measured={}), reference, train))
        assert list(tmp_path.iterdir()) == []


class TestPage:
    def test_same_input_same_bytes(self, page: str, write: Write) -> None:
        assert write() == page != write(seed=4)

    def test_it_asks_nothing_of_a_network(self, page: str) -> None:
        page = page.lower().replace("http://www.w3.org/2000/svg", "")
        assert not [word for word in ("http:", "https:", "//cdn", " src=", "@import", "fetch(") if word in page]

    def test_names_cannot_become_markup(self, write: Write) -> None:
        def named(word: str) -> Outline:
            generated, reference, train = sets()
            names = (word,) * len(generated)
            cells = tuple(f"{word}{place}" for place in range(len(generated.cell_names)))
            fake = replace(generated, names=names, cell_names=cells)
            texts = {"title": word, "subtitle": word, "attribution": word, "headlines": [word], "notes": [word]}
            return Outline(write(sets=Sets(fake, replace(reference, cell_names=cells), train), **texts))

        nasty, plain = named(NASTY), named("word")
        for tag in ("script", "img", "iframe", "svg", "table", "tr", "p", "li", "h1", "footer"):
            assert nasty.count(tag) == plain.count(tag)
        assert not any(name.startswith("on") for _, attributes in nasty.tags for name in attributes)
        assert nasty.words.count(NASTY) >= 4 and not nasty.open


def test_metrics_in_words() -> None:
    names = {"energy_above_5hz_within": "energy above 5 Hz, within cells", "kid": "KID", "label_kl": "label KL"}
    assert {name: metric_name(figure(1.0, name=name).metric) for name in names} == names
