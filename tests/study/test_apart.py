"""The difference of a pair taken apart: every figure against a computation of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from motionsynth.report.page import Table
from motionsynth.report.study.apart import Figure, apart_blocks, band_decibels, difference, key_figure
from motionsynth.report.study.gather import Entry, Gathered
from motionsynth.report.study.planes import missing_mass, realism_picture, realism_table
from motionsynth.report.study.shares import due_share, effective_cells, total_variation
from motionsynth.study.plan import StudyConfig
from motionsynth.study.results import CellResult, ViewResult
from tests.study.made_up import planned, results, study

CELLS = {
    "walk": {"windows": 50.0, "real": 40.0},
    "run": {"windows": 5.0, "real": 40.0},
    "bow": {"windows": 0.0, "real": 20.0},
    "wave": {"windows": 45.0, "real": 100.0},
    "unseen": {"windows": 30.0, "real": 0.0},
}


def view(cells: Mapping[str, Mapping[str, float]] = CELLS, **more: Any) -> ViewResult:
    return ViewResult({}, cells=cells, **more)


def entry(gathered: Gathered, arm: str, name: str | None = None) -> Entry:
    found = gathered.entry(arm, "walkers", name)
    assert found is not None
    return found


def made_up(change: Any = lambda result: result, **changes: Any) -> Gathered:
    of = study(**changes)
    return Gathered(of, {key: change(result) for key, result in results(of).items()}, planned(of))


def tables(gathered: Gathered) -> dict[str, Table]:
    return {block.caption: block for block in apart_blocks(gathered, "walkers") if isinstance(block, Table)}


def test_shares_are_those_of_the_cells_that_held_out_motion_has() -> None:
    ours, theirs = np.array([0.5, 0.05, 0.0, 0.45]), np.array([0.2, 0.2, 0.1, 0.5])
    for least in (0.25, 0.5, 1.0):
        assert due_share(view(), least) == pytest.approx(np.mean(ours / theirs >= least))
    assert due_share(view(), 0.25) == 3 / 4 and due_share(view(), 0.26) == 2 / 4  # 0.05 / 0.2 is a quarter and counts
    assert due_share(view(), 0.0) == 3 / 4
    assert effective_cells(view()) == pytest.approx(np.exp(stats.entropy(ours)))
    assert total_variation(view()) == pytest.approx(np.maximum(ours - theirs, 0).sum())
    for of in (lambda found: due_share(found, 0.5), effective_cells, total_variation):
        assert of(view({})) is None and of(view({"walk": {"windows": 0.0, "real": 4.0}})) is None


def test_shares_of_random_cells_are_numpys() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        ours, theirs = rng.poisson(3, 40).astype(float), 1 + rng.poisson(5, 40).astype(float)
        found = view(
            {str(place): {"windows": w, "real": r} for place, (w, r) in enumerate(zip(ours, theirs, strict=True))}
        )
        p, q = ours / ours.sum(), theirs / theirs.sum()
        assert total_variation(found) == pytest.approx(0.5 * np.linalg.norm(p - q, 1))
        assert effective_cells(found) == pytest.approx(np.prod(p[p > 0] ** -p[p > 0]))
        assert due_share(found, 0.5) == pytest.approx((p >= 0.5 * q).mean())
        assert due_share(found, 0.0) == pytest.approx(np.count_nonzero(ours) / 40)


def test_a_band_is_the_mean_between_its_ends() -> None:
    hertz = [0.0, 4.9, 5.0, 9.0, 14.0, 14.1]
    spectrum = {"frequencies_hz": hertz, "decibels": [9.0, 9, 1, 2, 6, 9], "decibels_log": [9.0, 9, -1, -2, -3, 9]}
    assert band_decibels(view(spectrum=spectrum), "decibels") == 3.0
    assert band_decibels(view(spectrum=spectrum), "decibels_log") == -2.0
    assert band_decibels(view(), "decibels") is None
    low = {"frequencies_hz": [1.0, 2.0], "decibels": [1.0, 1.0]}
    assert band_decibels(view(spectrum=low), "decibels") is None


@pytest.mark.parametrize("log", [False, True])
def test_a_difference_is_scipys_paired_test(log: bool) -> None:
    gathered = made_up()
    gan, vae = entry(gathered, "gan"), entry(gathered, "vae")
    key = "modes/recall.pca"
    values = [np.array([shown.figures[key] for shown in side.views]) for side in (gan, vae)]
    values = [np.log(side) for side in values] if log else values
    theirs = stats.ttest_rel(*values)
    ours = difference(gan, vae, key_figure(key, log=log))
    assert ours is not None
    assert ours.mean == pytest.approx(np.mean(values[0] - values[1]))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert 2 * min(ours.greater, ours.less) == pytest.approx(theirs.pvalue)


def test_only_seeds_that_both_have_are_paired() -> None:
    gathered = made_up()
    gan, vae = entry(gathered, "gan"), entry(gathered, "vae")
    few = dataclasses.replace(vae, results=vae.results[1:3])
    ours = difference(gan, few, key_figure("modes/recall.pca"))
    assert ours is not None and ours.count == 2
    assert difference(gan, dataclasses.replace(vae, results=vae.results[:1]), key_figure("modes/recall.pca")) is None
    assert difference(gan, vae, Figure("nothing", lambda shown: None)) is None
    negative = key_figure("modes/recall.pca", log=True)
    assert difference(gan, vae, dataclasses.replace(negative, of=lambda shown: -1.0)) is None


def calibration(rho: float) -> Any:
    verdicts = [
        SimpleNamespace(key="modes/cells_covered", axis="drop", kind="range", rho=-0.9),
        SimpleNamespace(key="modes/recall.pca", axis="drop", kind="valid", rho=rho),
        SimpleNamespace(key="fidelity/foot_skate", axis="drop", kind="invalid", rho=0.9),
        SimpleNamespace(key="fidelity/foot_skate", axis="blur", kind="valid", rho=0.9),
    ]
    return cast(Any, SimpleNamespace(verdicts=verdicts))


@pytest.mark.parametrize(("rho", "counts"), [(-0.9, (2, 0, 0)), (0.9, (1, 1, 0))])
def test_accepted_figures_say_which_arm_is_worse_by_the_way_that_dropped_modes_move_them(
    rho: float, counts: tuple[int, int, int]
) -> None:
    """In the made-up results the GAN has fewer cells covered and less recall than the VAE."""
    gathered = made_up()
    gathered.calibrations["walkers"] = calibration(rho)
    (told,) = [b for b in apart_blocks(gathered, "walkers") if isinstance(b, str) and b.startswith("Of ")]
    assert told.startswith("Of 2 figures")
    assert f"{counts[0]} say that GAN is the worse, {counts[1]} that VAE is, {counts[2]} neither" in told
    accepted = tables(gathered)["Figures that calibration accepts for dropped modes"]
    assert [row[0].note for row in accepted.cells()] == ["modes/cells_covered", "modes/recall.pca"]


def test_without_a_difference_a_figure_says_neither() -> None:
    def same(result: CellResult) -> CellResult:
        shares = {seed: 0.5 + 0.1 * (-1) ** (seed + (result.arm == "vae")) for seed in range(5)}
        views = {n: dataclasses.replace(v, figures={**v.figures, "modes/cells_covered": shares[result.seed % 5]})
                 for n, v in result.views.items()}  # fmt: skip
        return dataclasses.replace(result, views=views)

    rows = {row[0].text: row for row in tables(made_up(same))["What counts as covering a kind"].cells()}
    assert rows["one realistic window"][-1].text == "neither"
    rows = {row[0].text: row for row in tables(made_up())["What counts as covering a kind"].cells()}
    assert rows["one realistic window"][-1].text == "GAN worse"


def test_the_pair_stands_beside_its_better_prior_and_the_landmarks() -> None:
    fast = tables(made_up())["Fast motion, by power and by logarithms"]
    names = [column.name for column in fast.columns]
    assert names == [
        "figure",
        "GAN",
        "VAE",
        "VAE, fitted prior",
        "real training motion",
        "memoriser",
        "GAN − VAE",
        "p",
        "says",
    ]
    jerk = next(row for row in fast.cells() if row[0].note == "smoothness/jerk_ratio_within")
    gathered = made_up()
    logs = [np.log([shown.figures["smoothness/jerk_ratio_within"] for shown in entry(gathered, arm).views])
            for arm in ("gan", "vae")]  # fmt: skip
    assert float(jerk[6].text.removeprefix("× ")) == pytest.approx(np.exp(np.mean(logs[0] - logs[1])), rel=0.01)


def test_averaged_weights_are_held_against_the_last_ones() -> None:
    gathered = made_up()
    (caption,) = [caption for caption in tables(gathered) if "averaging" in caption]
    row = next(iter(tables(gathered)[caption].cells()))
    ours, last = (
        np.array([shown.figures["modes/cells_covered"] for shown in entry(gathered, "gan", name).views])
        for name in ("samples", "without EMA")
    )
    assert row[0].text == "GAN: one realistic window"
    assert float(row[3].text.replace("−", "-")) == pytest.approx(np.mean(ours - last), abs=5e-4)
    assert [row[0].text.partition(":")[0] for row in tables(gathered)[caption].cells()] == ["GAN"] * 3


def test_no_pair_no_tables() -> None:
    of, without = study(contrast=None), study()
    assert not apart_blocks(Gathered(of, results(of), planned(of)), "walkers")
    found = {key: result for key, result in results(without).items() if result.arm != "vae"}
    assert not apart_blocks(Gathered(without, found, planned(without)), "walkers")


def test_realism_is_told_apart_from_missing_mass() -> None:
    gathered = made_up()
    gan = entry(gathered, "gan")
    mean = missing_mass(gan)
    assert mean is not None
    assert mean.value == pytest.approx(1 - np.mean([due_share(shown, 0.25) or 0.0 for shown in gan.views]))
    picture = realism_picture(gathered, "walkers", list(gathered.entries("walkers", "A", "landmark")))
    assert picture is not None and picture.file.startswith("realism walkers")
    words = ["".join(e.itertext()) for e in ElementTree.fromstring(picture.svg).iter() if e.tag.endswith("}text")]
    words = [word.partition("  ")[2] for word in words]
    assert {"GAN", "VAE", "VAE, fitted prior", "real training motion"} <= set(words)
    # the same latents through other weights, or through the likelihood, and windows given back
    assert not {"GAN, without EMA", "VAE, prior sample", "VAE, reconstruction"} & set(words)
    bare = made_up(
        lambda r: dataclasses.replace(r, views={n: dataclasses.replace(v, cells={}) for n, v in r.views.items()})
    )
    assert realism_picture(bare, "walkers", list(bare.entries("walkers"))) is None


def test_the_table_of_realism_has_the_numbers_of_the_picture() -> None:
    gathered = made_up()
    entries, landmarks = (list(gathered.entries("walkers", tier)) for tier in ("A", "landmark"))
    table = realism_table(entries, landmarks)
    assert table is not None
    found = {row[0].text: row for row in table.cells()}
    gan = entry(gathered, "gan")
    precision = np.mean([shown.figures["modes/precision.pca"] for shown in gan.views])
    below = 100 * (1 - np.mean([due_share(shown, 0.25) or 0.0 for shown in gan.views]))
    assert float(found["GAN"][2].text) == pytest.approx(precision, abs=5e-3)
    assert float(found["GAN"][3].text) == pytest.approx(below, abs=0.05)
    assert {"VAE, reconstruction", "landmarks", "memoriser"} <= set(found)
    assert realism_table([], []) is None


def test_a_study_keeps_its_hash_whatever_is_said_beside_its_hypotheses() -> None:
    of = study()
    hypotheses = {name: {**h.model_dump(), "was": "otherwise"} for name, h in of.hypotheses.items()}
    told = StudyConfig.model_validate({**of.model_dump(), "hypotheses": hypotheses, "caveats": ["one seed"]})
    assert told.hypotheses_sha256 == of.hypotheses_sha256
    hypotheses["vae-blurs"]["margin"] = 0.2
    changed = StudyConfig.model_validate({**of.model_dump(), "hypotheses": hypotheses})
    assert changed.hypotheses_sha256 != of.hypotheses_sha256
