"""A study's report says what its results hold, and nothing that they do not."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from motionsynth.errors import StudyError
from motionsynth.features.encode import decode_batch
from motionsynth.study.clips import LARGEST_BYTES, keep_clips, read_clips
from motionsynth.study.plan import StudyConfig
from motionsynth.study.report import write_report
from motionsynth.study.reporting.doses import signed_blur
from motionsynth.study.reporting.gather import Gathered, mean_of
from motionsynth.study.reporting.method import changed_hypotheses
from motionsynth.study.reporting.statements import verdicts_of
from motionsynth.study.reporting.tables import ledger
from motionsynth.study.results import CLIPS, CellResult
from motionsynth.view.figure import stick_figure
from motionsynth.view.forest import Effect, forest_chart
from motionsynth.view.page import Table
from motionsynth.view.plane import Point, plane_chart
from tests.study.made_up import NASTY, planned, results, study, walker_motions


def written(folder: Path, of: StudyConfig, found: dict[str, CellResult]) -> str:
    """The Markdown of a report, its escapes taken off."""
    _, text = write_report(of, found, folder, planned=planned(of))
    return text.read_text().replace("\\", "")


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    of = study()
    found = results(of)
    for key, result in found.items():
        if result.arm in ("gan", "vae") and result.seed == 0:
            keep_clips({view: walker_motions(2, 20) for view in of.arms[result.arm].views}, folder / f"{key}{CLIPS}", 2)
    written(folder, of, found)
    return folder


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.md").read_text().replace("\\", "")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


def test_verdicts_are_told_in_sentences(text: str) -> None:
    told = section(text, "Verdicts")
    assert "Supported on walkers (procedural): VAE is above GAN" in told
    assert "Refuted on motion capture" in told
    assert "Equivalent on walkers (procedural)" in told
    assert "4 supported, 2 refuted, 2 equivalent, 2 without verdict" in text


def test_an_arm_that_is_not_trained_to_use_is_marked_and_carries_no_verdict(text: str) -> None:
    assert "The AAE blurs more than the GAN: no verdict" in text
    ledger = section(text, "Ledger")
    assert "| aae/walkers | ▲ not trained to use |" in ledger
    assert "gan/walkers" not in ledger


def test_means_and_intervals_are_those_of_the_seeds(text: str) -> None:
    of = study()
    entry = Gathered(of, results(of), planned(of)).entry("gan", "walkers")
    assert entry is not None
    mean = entry.figure("modes/cells_covered")
    assert mean is not None and mean.low is not None and mean.high is not None
    half = 2.7764451 * np.std(mean.values, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose([mean.value, mean.high], [np.mean(mean.values), np.mean(mean.values) + half], rtol=1e-6)
    row = next(line for line in section(text, "walkers (procedural)").splitlines() if line.startswith("| GAN<br>"))
    assert "35." in row or "36." in row or "34." in row
    alone = mean_of([1.0], 0.95)
    assert alone is not None and alone.low is None


def test_tiers_stand_apart_and_landmarks_in_rows_of_their_own(text: str) -> None:
    main, tier_b = section(text, "walkers (procedural)"), section(text, "Exploratory: walkers (procedural)")
    assert "VAE, sigma 0.3" not in main
    assert "VAE, sigma 0.3" in tier_b
    assert "No verdict rests on what follows" in tier_b
    after = main.partition("**landmarks**")[2]
    assert "real training motion" in after
    assert "| GAN<br>" not in after.partition("\n\n")[0]


def test_the_ledger_tells_divergence_and_what_is_missing(text: str) -> None:
    ledger = section(text, "Ledger")
    assert "| ali/walkers/0 | ▲ diverged | step 1200: generator/loss is nan |" in ledger
    assert "| ali | real | 0, 1, 2 |" in ledger
    assert "1 diverged, 0 failed, 3 missing" in ledger


def test_a_collapsed_run_is_told() -> None:
    of = study()
    found = results(of)
    key, result = next((key, result) for key, result in found.items() if result.arm == "gan")
    view = result.views["samples"]
    beyond = dataclasses.replace(view.doses["drop"], state="beyond", dose=None, share=1.0, sentence="less than a cell")
    shown = dataclasses.replace(view, doses={**view.doses, "drop": beyond})
    found[key] = dataclasses.replace(result, views={**result.views, "samples": shown})
    (table,) = [
        block for block in ledger(Gathered(of, found, planned(of))) if isinstance(block, Table) and not block.caption
    ]
    told = [[cell.text for cell in row] for row in table.cells()]
    assert ["gan/walkers/0", "collapsed", "less than a cell", key] in told


def test_hypotheses_that_changed_after_runs_are_told(text: str) -> None:
    of = study()
    found = results(of)
    for key in list(found)[:7]:
        found[key] = dataclasses.replace(found[key], hypotheses_sha256="0" * 64)
    assert "changed after 7 of 101 runs" in changed_hypotheses(Gathered(of, found, planned(of)))
    assert "hypotheses were changed" not in text


def test_results_of_an_older_plan_are_left_out() -> None:
    of = study()
    found = results(of)
    old = dataclasses.replace(next(iter(found.values())), key="f" * 16, created="2027-01-01T00:00:00+00:00")
    with_old, without = (Gathered(of, kept, planned(of)) for kept in ({**found, old.key: old}, found))
    assert (with_old.left_out, without.left_out) == (1, 0)
    assert verdicts_of(with_old) == verdicts_of(without)


def test_a_study_without_hypotheses_or_results_has_a_report(tmp_path: Path) -> None:
    of = study(hypotheses={}, useful=None)
    told = written(tmp_path, of, {})
    assert "states no hypothesis" in told
    assert "0 cells finished" in told


def test_the_page_holds_pictures_and_players_and_loads_nothing(page: str, folder: Path) -> None:
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert page.count("<iframe") == 2
    assert "latent 1" in page
    assert NASTY not in page
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_figures_of_the_markdown_are_files_that_are_well_formed(text: str, folder: Path) -> None:
    linked = set(re.findall(r"\]\((figures/[^)]*)\)", text))
    assert linked == {f"figures/{path.name}" for path in (folder / "figures").iterdir()}
    for name in linked:
        root = ElementTree.parse(folder / name).getroot()
        assert "prefers-color-scheme" in "".join(root.itertext())
    doses = (folder / "figures/doses-walkers.svg").read_text()
    assert all(words in doses for words in ("memoriser", "EM (mixture of PPCA)", "real training motion", "4 Hz"))


def test_a_report_is_the_same_for_the_same_results(tmp_path: Path) -> None:
    whole = study()
    few = {name: arm for name, arm in whole.arms.items() if name in ("gan", "vae", "mean_clip", "gan_proximal", "aae")}
    of = whole.model_copy(update={"arms": few, "corpora": {"walkers": whole.corpora["walkers"]}})
    found = results(of)
    pages = []
    for name, order in (("a", found), ("b", dict(reversed(found.items())))):
        written(tmp_path / name, of, order)
        pages.append([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))])
    assert pages[0] == pages[1]


def test_how_to_reproduce_names_commands_hashes_and_machines(text: str) -> None:
    told = section(text, "How to reproduce")
    assert "motionsynth study run configs/study/made-up.yaml" in told
    assert study().hypotheses_sha256[:16] in told
    assert "Some Processor" in told


def test_clips_come_back_to_half_a_millimetre_in_the_same_bytes(tmp_path: Path) -> None:
    motions = walker_motions(3, 40)
    keep_clips({"samples": motions, "again": motions}, tmp_path / "a.npz", 2)
    keep_clips({"samples": motions, "again": motions}, tmp_path / "b.npz", 2)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = read_clips(tmp_path / "a.npz")
    assert {name: len(clips) for name, clips in back.items()} == {"samples": 2, "again": 2}
    for kept, clip in zip(back["samples"], decode_batch(motions.features_NTD[:2], motions.spec), strict=True):
        figure = stick_figure(clip)
        np.testing.assert_allclose(kept.figure.positions, figure.positions * 0.01, atol=5.1e-4)
        assert (kept.figure.parents, kept.figure.head) == (figure.parents, figure.head)


def test_many_clips_are_thinned_until_the_file_is_small(tmp_path: Path) -> None:
    motions = walker_motions(2, 60)
    noise_NTD = 0.2 * torch.randn(motions.features_NTD.shape, generator=torch.Generator().manual_seed(0))
    wild = dataclasses.replace(motions, features_NTD=motions.features_NTD + noise_NTD)
    keep_clips({str(place): wild for place in range(6)}, tmp_path / "a.npz", 2)
    (kept, *_) = read_clips(tmp_path / "a.npz")["0"]
    assert len(kept) < 60
    assert len(kept) * kept.frame_time == pytest.approx(60 / wild.spec.frame_rate, rel=0.1)
    assert (tmp_path / "a.npz").stat().st_size <= LARGEST_BYTES


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"no archive", lambda b: b""])
def test_damaged_clips_are_named(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    keep_clips({"samples": walker_motions(1, 10)}, tmp_path / "a.npz", 1)
    assert read_clips(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(damage((tmp_path / "a.npz").read_bytes()))
    with pytest.raises(StudyError, match=r"a\.npz.*damaged"):
        read_clips(tmp_path / "a.npz")


def test_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip"):
        keep_clips({"samples": walker_motions(1, 10)}, tmp_path / "a.npz", 0)
    with pytest.raises(StudyError, match="No such file"):
        read_clips(tmp_path / "a.npz")


def test_what_is_not_smoother_than_real_motion_stands_on_the_side_of_jitter() -> None:
    found = results(study())
    gan, vae = (next(result for result in found.values() if result.arm == arm) for arm in ("gan", "vae"))
    rough, smooth = gan.views["samples"], vae.views["prior mean"]
    assert signed_blur(rough) == -rough.doses["jitter"].share
    assert signed_blur(smooth) == smooth.doses["blur"].share
    assert signed_blur(dataclasses.replace(smooth, doses={})) is None


def test_a_forest_plot_places_effects_by_their_numbers() -> None:
    rows = ["on walkers", Effect("a − b", 2.0, 1.0, 3.0, "0.2", "for"), Effect("c − d", None, text="no verdict")]
    svg = forest_chart(rows, x_label="difference", zone=(-1, 1), legend=[("for", "supported")])
    root = ElementTree.fromstring(svg)
    words = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")]
    assert {"on walkers", "a − b", "no verdict", "supported"} <= set(words)
    assert [e.get("data-name") for e in root.iter() if e.get("data-name")] == ["too small to matter", "a − b: 0.2"]


def test_names_in_a_plane_keep_off_one_another() -> None:
    points = [Point(f"name {place}", 0.5 + 0.001 * place, 0.5, (0.4, 0.6)) for place in range(6)]
    root = ElementTree.fromstring(plane_chart(points, x_label="x", y_label="y"))
    found = [
        element for element in root.iter() if element.tag.endswith("}text") and "name" in "".join(element.itertext())
    ]
    assert len(found) == 6
    letter, line = 5.0, 9.0
    for one, other in itertools.combinations(found, 2):
        across, down = (abs(float(one.attrib[axis]) - float(other.attrib[axis])) for axis in "xy")
        sides = {element.attrib["style"].partition("text-anchor: ")[2][:3] for element in (one, other)}
        assert down >= line or (sides == {"sta", "end"}) or across >= 3 * letter
