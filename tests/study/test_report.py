"""A study's report says what its results hold, and nothing that they do not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from motionsynth.calibration.reading import State
from motionsynth.errors import StudyError
from motionsynth.features.encode import decode_batch
from motionsynth.report.forest import Effect, forest_chart
from motionsynth.report.numbers import number_text
from motionsynth.report.page import Table
from motionsynth.report.plane import Point, plane_chart
from motionsynth.report.study.cells import cell_tables
from motionsynth.report.study.gather import Gathered, mean_of
from motionsynth.report.study.method import changed_hypotheses
from motionsynth.report.study.page import write_report
from motionsynth.report.study.planes import dose_picture, signed_blur
from motionsynth.report.study.statements import verdicts_of
from motionsynth.report.study.tables import cost_table, ledger
from motionsynth.study.clips import LARGEST_BYTES, keep_clips, read_clips
from motionsynth.study.plan import StudyConfig
from motionsynth.study.results import CLIPS, CellResult, ViewResult
from motionsynth.view.figure import stick_figure
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


def ledger_rows(gathered: Gathered) -> list[list[str]]:
    """Texts of the ledger's first table: runs and arms that went wrong."""
    (table,) = [block for block in ledger(gathered) if isinstance(block, Table) and not block.caption]
    return [[cell.text for cell in row] for row in table.cells()]


def test_verdicts_are_told_in_sentences(text: str) -> None:
    told = section(text, "Verdicts")
    assert "Supported on walkers (procedural): VAE is above GAN" in told
    assert "Refuted on motion capture" in told
    assert "Equivalent on walkers (procedural)" in told
    assert "4 supported, 2 refuted, 2 equivalent, 2 without verdict" in text


def test_what_to_know_comes_before_the_verdicts_and_the_pair_is_taken_apart(text: str) -> None:
    before = text.partition("## Verdicts")[0]
    assert "All of this is made up." in before
    assert "Cut before anything was made up." in section(text, "Statements that were cut")
    for where in ("walkers (procedural)", "motion capture"):
        apart = section(text, f"GAN less VAE, figure by figure: {where}")
        assert "**What counts as covering a kind**" in apart and "corrected for nothing" in apart
        assert f"![Realism against missing mass on {where}]" in section(text, where)


def test_an_arm_that_is_not_trained_to_use_is_marked_and_carries_no_verdict(text: str) -> None:
    assert "The AAE blurs more than the GAN: no verdict" in text
    ledger = section(text, "Ledger")
    assert "| aae/walkers | ▲ not trained to use |" in ledger
    assert "gan/walkers" not in ledger


def test_the_rule_of_usefulness_is_that_of_the_verdicts(text: str) -> None:
    of = study()
    found = results(of)
    why = Gathered(of, found, planned(of)).not_useful("aae", "walkers")
    assert why is not None and why.measured and f"No verdict on walkers (procedural): {why.why}." in text
    no_scale = Gathered(of, {k: r for k, r in found.items() if r.arm != "mean_clip"}, planned(of))
    unknown = no_scale.not_useful("gan", "walkers")
    assert unknown is not None and not unknown.measured
    assert all(verdict.decision.kind == "none" for verdict in verdicts_of(no_scale))
    told = {row[0]: row[1] for row in ledger_rows(no_scale)}
    assert told["gan/walkers"] == "quality not known" and "mean_clip/walkers" not in told


def test_numbers_of_verdicts_tell_how_good_the_arms_are(text: str) -> None:
    of = study()
    gathered = Gathered(of, results(of), planned(of))
    figures = [gathered.entry(arm, "walkers") for arm in ("aae", "gan", "real", "memoriser", "mean_clip")]
    means = [entry.figure("fidelity/frechet.pca") for entry in figures if entry is not None]
    aae, gan, real, memoriser, limit = (number_text(mean.value) for mean in means if mean is not None)
    limit = number_text(float(limit) / 2)
    row = next(line for line in section(text, "Verdicts").splitlines() if "<sub>aae-blurs</sub>" in line)
    assert f"| {aae} and {gan}<br><sub>real training motion {real}; memoriser {memoriser}; limit {limit}</sub> |" in row


def test_a_log_is_told_as_a_ratio(tmp_path: Path) -> None:
    energy = {"metric": "smoothness/energy_above_5hz_within", "axis": "blur", "log": True}
    of = study(
        hypotheses={
            "calmer": {
                "says": "Less energy.", "endpoint": energy, "first": "vae", "second": "gan", "direction": "less",
                "margin": 0.4,
            }
        }
    )  # fmt: skip
    found = results(of)
    (verdict, _) = verdicts_of(Gathered(of, found, planned(of)))
    assert verdict.mean is not None and verdict.mean < -1
    told = section(written(tmp_path, of, found), "Verdicts")
    ratio = number_text(np.exp(verdict.mean))
    assert f"VAE has {np.exp(verdict.mean):.3g} times as much energy above 5 Hz, within cells, as GAN" in told
    assert f"<sub>× {ratio} (" in told and "margin 0.4" in told
    assert "log of energy above 5 Hz, within cells" in told
    assert f"× {ratio} (" in (tmp_path / "figures" / "effects.svg").read_text()


def test_the_plateau_is_the_change_over_the_last_third() -> None:
    of = study()
    curve = [
        (step, step / 1500, value) for step, value in zip(range(1000, 7000, 1000), (9, 8, 6, 4, 3, 3), strict=True)
    ]
    found = {key: dataclasses.replace(result, curve=curve) for key, result in results(of).items()}
    short = {key: dataclasses.replace(result, curve=curve[:1]) for key, result in found.items()}
    for these, says in ((found, "−25.0"), (short, "–")):
        gathered = Gathered(of, these, planned(of))
        table = cost_table(gathered, "walkers", list(gathered.entries("walkers", "A")))
        assert table is not None
        place = [column.name for column in table.columns].index("plateau")
        assert {row[place].text for row in table.cells()} == {says}


def test_seconds_are_told_by_their_median_and_range() -> None:
    of = study()
    mine = [r for r in results(of).values() if (r.arm, r.corpus) == ("gan", "walkers")]
    train = [100.0 + 7 * number for number in range(len(mine) - 1)] + [5000.0]
    found = results(of) | {
        r.key: dataclasses.replace(r, seconds={"train": s, "measure": 9.0}) for r, s in zip(mine, train, strict=True)
    }
    gathered = Gathered(of, found, planned(of))
    table = cost_table(gathered, "walkers", list(gathered.entries("walkers", "A")))
    assert table is not None
    place = [column.name for column in table.columns].index("training")
    (cell,) = [row[place] for row in table.cells() if row[0].text == "GAN"]
    assert cell.text == number_text(float(np.median(train)))
    assert cell.interval == f"{number_text(100.0)} to {number_text(5000.0)}"


def test_energy_is_told_cell_by_cell(text: str) -> None:
    of = study()
    gathered = Gathered(of, results(of), planned(of))
    (first, *_) = cell_tables(list(gathered.entries("walkers", "A")))
    rows = list(first.cells())
    last = ["cells off real motion", "cells visited"]
    assert [row[0].text for row in rows] == ["walk/calm", "walk/brisk", "run/brisk", *last]
    assert [column.name for column in first.columns][2:6] == ["GAN", "VAE", "VAE, fitted prior", "VAE, reconstruction"]
    gan = gathered.entry("gan", "walkers")
    assert gan is not None
    ratio = np.exp(np.mean([view.cells["walk/calm"]["energy_above_5hz"] for view in gan.views]))
    assert (rows[0][2].text, rows[0][2].note, rows[0][1].text) == (number_text(ratio), "50.0%", "33.6%")
    assert (rows[2][2].text, rows[2][2].note) == ("–", "0.0%")
    assert (rows[3][2].text, rows[3][2].note) == ("1 below, 1 above", "of 3, 1 without a window")
    visited = [100 * np.mean([cell["windows"] > 0 for cell in view.cells.values()]) for view in gan.views]
    assert visited == pytest.approx([200 / 3] * len(visited)) and rows[4][2].text.startswith("66.")
    (by_content, *_) = cell_tables(list(gathered.entries("real", "A")))
    rows = list(by_content.cells())
    assert [row[0].text for row in rows] == ["walk", "run", "wave", "bow", *last]
    assert rows[4][2].text == "20 below, 20 above" and rows[0][0].note == "10 cells"
    assert "Energy above 5 Hz by cell, exploratory" in section(text, "walkers (procedural)")
    bare = {k: dataclasses.replace(r, views=without_cells(r)) for k, r in results(of).items()}
    assert not list(cell_tables(list(Gathered(of, bare, planned(of)).entries("walkers", "A"))))


def without_cells(result: CellResult) -> dict[str, ViewResult]:
    return {name: dataclasses.replace(view, cells={}) for name, view in result.views.items()}


def test_what_lies_outside_the_plane_of_doses_has_an_arrow() -> None:
    of = study()

    def moved(result: CellResult) -> CellResult:
        blur, drop = {"ae": (1.7, -0.8), "gmm": (0.5, 1.5)}.get(result.arm, (None, None))
        if blur is None or drop is None:
            return result
        views = {}
        for name, view in result.views.items():
            read = {axis: dataclasses.replace(view.doses[axis], share=s, state="beyond", dose=None)
                    for axis, s in (("blur", blur), ("drop", drop))}  # fmt: skip
            views[name] = dataclasses.replace(view, doses={**view.doses, **read})
        return dataclasses.replace(result, views=views)

    names = []
    for change in (lambda result: result, moved):
        gathered = Gathered(of, {key: change(result) for key, result in results(of).items()}, planned(of))
        picture = dose_picture(gathered, "walkers", list(gathered.entries("walkers", "A")))
        assert picture is not None
        names.append({"".join(e.itertext()) for e in ElementTree.fromstring(picture.svg).iter() if "text" in e.tag})
    plain, arrows = ({name.partition("  ")[2] for name in of} for of in names)
    assert {"AE", "EM (mixture of PPCA)"} <= plain
    assert {"AE →↓", "EM (mixture of PPCA) ↑", "GAN"} <= arrows


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
    assert "No verdict rests on what follows: no hypothesis names these arms (3 seeds an arm)." in tier_b
    assert "Reconstructions are held against the very windows" in main
    assert "Reconstructions are held" not in tier_b
    after = main.partition("**landmarks**")[2]
    assert "real training motion" in after
    assert "| GAN<br>" not in after.partition("\n\n")[0]


def test_the_ledger_tells_divergence_and_what_is_missing(text: str) -> None:
    ledger = section(text, "Ledger")
    assert "| ali/walkers/0 | ▲ diverged | step 1200: generator/loss is nan |" in ledger
    assert "| ali | real | 0, 1, 2 |" in ledger
    assert "100 cells finished, 1 diverged, 3 missing" in ledger


def test_exploratory_arms_that_a_hypothesis_names_are_not_denied(tmp_path: Path) -> None:
    said = {
        "says": "Less blur.", "endpoint": {"dose": "blur"}, "first": "vae_sigma", "second": "vae", "direction": "less",
        "margin": 0.1, "corpora": ["walkers"],
    }  # fmt: skip
    of = study(hypotheses={"sigma": said})
    told = written(tmp_path, of, results(of))
    assert "No verdict rests on them but those of: sigma." in section(told, "Exploratory: walkers (procedural)")
    assert "no hypothesis names these arms" in section(told, "Exploratory: motion capture")
    assert "VAE, sigma 0.3 is an exploratory arm (sigma on walkers (procedural))" in section(told, "Verdicts")


@pytest.mark.parametrize(("spread", "outcome"), [(None, "collapsed"), (0.6, "collapsed"), (1.4, "off real motion")])
def test_a_run_that_covers_next_to_nothing_has_collapsed_unless_it_varies_more_than_real_motion(
    spread: float | None, outcome: str
) -> None:
    of = study()
    found = results(of)
    key, result = next((key, result) for key, result in found.items() if result.arm == "gan")
    view = result.views["samples"]
    beyond = dataclasses.replace(view.doses["drop"], state="beyond", dose=None, share=1.0, sentence="less than a cell")
    figures = view.figures if spread is None else {**view.figures, "modes/multimodality_within.pca": spread}
    shown = dataclasses.replace(view, figures=figures, doses={**view.doses, "drop": beyond})
    found[key] = dataclasses.replace(result, views={**result.views, "samples": shown})
    (row,) = [row for row in ledger_rows(Gathered(of, found, planned(of))) if row[0] == "gan/walkers/0"]
    assert (row[1], row[3]) == (outcome, key)
    varies = "" if spread is None else f"; varies {number_text(spread)} times as much within a cell as real motion"
    assert row[2] == f"less than a cell{varies}"


@pytest.mark.parametrize(
    ("state", "share", "variance", "told"),
    [
        ("measured", 5.2, 0.04, True),
        ("beyond", 1.0, 0.3, True),
        ("measured", 0.14, 0.97, False),
        ("none", 5.2, 0.04, False),
        ("other side", 5.2, 0.04, False),
        ("measured", None, 0.04, False),
    ],
)
def test_a_run_that_lacks_slow_motion_as_much_as_fast_is_subdued_and_not_blurred(
    state: State, share: float | None, variance: float, *, told: bool
) -> None:
    of = study()
    found = results(of)
    key, result = next((key, result) for key, result in found.items() if result.arm == "gan")
    view = result.views["samples"]
    blur = dataclasses.replace(view.doses["blur"], state=state, sentence="as smooth as a statue")
    within = {"share_above_5hz_within": share, "variance_within_clip_ratio_within": variance}
    merged = {**view.figures, **{f"smoothness/{name}": value for name, value in within.items()}}
    figures = {name: value for name, value in merged.items() if value is not None}
    shown = dataclasses.replace(view, figures=figures, doses={**view.doses, "blur": blur})
    found[key] = dataclasses.replace(result, views={**result.views, "samples": shown})
    rows = ledger_rows(Gathered(of, found, planned(of)))
    said = [row[2] for row in rows if row[1] == "subdued, not blurred" and row[3] == key]
    words = (
        f"{number_text(share)} times the share above 5 Hz of real motion, {number_text(variance)} times its variance"
    )
    assert said == ([f"as smooth as a statue; but {words} within a clip"] if told else [])


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
    # off real motion the other way on both axes: neither smooth nor rough
    off = {axis: dataclasses.replace(rough.doses[axis], state="other side", share=-0.3) for axis in ("blur", "jitter")}
    assert signed_blur(dataclasses.replace(rough, doses=off)) == 0.0


def test_a_forest_plot_places_effects_by_their_numbers() -> None:
    rows = ["on walkers", Effect("a − b", 2.0, 1.0, 3.0, "0.2", "for"), Effect("c − d", None, text="no verdict")]
    svg = forest_chart(rows, x_label="difference", zone=(-1, 1), legend=[("for", "supported")])
    root = ElementTree.fromstring(svg)
    words = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")]
    assert {"on walkers", "a − b", "no verdict", "supported"} <= set(words)
    assert [e.get("data-name") for e in root.iter() if e.get("data-name")] == ["too small to matter", "a − b: 0.2"]


def test_points_of_a_plane_are_numbered_as_in_its_legend() -> None:
    points = [Point(name, 0.5, place, group="g") for place, name in enumerate(("first", "second"))]
    root = ElementTree.fromstring(plane_chart(points, x_label="x", y_label="y", x_limits=(0, 1), x_ticks=[(0, "a")]))
    words = [text for e in root.iter() if e.tag.endswith("}text") for text in ["".join(e.itertext())]]
    assert {"1  first", "2  second"} <= set(words) and words.index("1") < words.index("2")
