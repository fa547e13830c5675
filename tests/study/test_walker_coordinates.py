"""The walkers' own coordinates, on windows whose cells, parameters and damage are known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Barrier, get_ident
from time import sleep
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from motionsynth.corpus.motions import MotionSet
from motionsynth.extractors.cells import Cells
from motionsynth.features.canonical import canonical
from motionsynth.features.spec import FeatureSpec
from motionsynth.study.plan import ArmConfig, MeasureConfig, ViewConfig
from motionsynth.study.walker_coordinates import KEYS, measure_walkers, walker_coordinates
from motionsynth.study.world import Shown, World
from motionsynth.walkers import fit as walker_fit
from motionsynth.walkers.cells import CELLS, Cell
from motionsynth.walkers.fit import Judge, Judged, WalkerFit, fit_for, fit_walkers, residuals_cm
from motionsynth.walkers.windows import exact_weights, fresh_windows, seen_names, walker_window
from tests.extractors.corpora import walkers_corpus, walkers_extractor

FRAMES, STRIDE, FIT, DRAWN = 32, 16, 130, 300
NAMES = tuple(CELLS)


def spec() -> FeatureSpec:
    return walkers_corpus().spec


def moments(features: Any) -> Any:
    """What the tests' judge looks at."""
    return np.concatenate([features.mean(1), features.std(1)], 1)


@lru_cache(maxsize=1)
def judge() -> Judge:
    """Linear discriminants of means and deviations; all windows count as realistic."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    drawn = [fresh_windows(cell, 20, 9, spec(), frames=FRAMES, stride=STRIDE).features_NTD for cell in CELLS.values()]
    told = np.repeat(np.arange(len(CELLS)), 20)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(moments(np.concatenate(drawn)), told)
    return lambda features: Judged(lda.predict(moments(features)), np.ones(len(features), dtype=bool))


@lru_cache(maxsize=1)
def fitted() -> WalkerFit:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walker_fit, "RESIDUALS", 20)
        return fit_walkers(judge(), spec(), frames=FRAMES, stride=STRIDE, count=FIT)


def narrowed(cell: Cell, share: float) -> Cell:
    """The cell with all ranges but the phase's cut to their middle."""
    ranges = {
        name: (low, high)
        if name == "phase"
        else (low + (1 - share) * (high - low) / 2, high - (1 - share) * (high - low) / 2)
        for name, (low, high) in cell.ranges.items()
    }
    return replace(cell, ranges=MappingProxyType(ranges))


@lru_cache(maxsize=4)
def windows(share: float = 1.0) -> tuple[MotionSet, Any]:
    """Fresh windows in the exact weights, and their cells; parameters in the middle ``share`` of their range."""
    counts = np.floor(exact_weights(FRAMES, STRIDE) * DRAWN + 0.5).astype(int)
    drawn = [
        fresh_windows(narrowed(cell, share), int(count), 5, spec(), frames=FRAMES, stride=STRIDE).features_NTD
        for cell, count in zip(CELLS.values(), counts, strict=True)
    ]
    features = canonical(torch.from_numpy(np.concatenate(drawn)), spec())
    names = tuple(map(str, range(len(features))))
    return MotionSet(features, spec(), names, names, {}, 15.0), np.repeat(np.arange(len(CELLS)), counts)


def measured(motions: MotionSet) -> dict[str, float]:
    found = measure_walkers(fitted(), judge(), motions)
    assert set(found) == set(KEYS) and not [value for value in found.values() if isinstance(value, str)]
    return {key: float(value) for key, value in found.items()}


def changed(motions: MotionSet, features: Any) -> MotionSet:
    return replace(motions, features_NTD=canonical(features, spec()))


def test_windows_of_the_corpus_are_right_in_everything() -> None:
    found = measured(windows()[0])
    assert abs(found["known/kl_forward"]) < 0.4 and abs(found["known/kl_reverse"]) < 0.4
    assert found["known/cell_kl_forward"] < 0.03 and found["known/cell_kl_reverse"] < 0.03
    assert found["known/spread_inside"] == pytest.approx(1.0, abs=0.15)
    # below 1, as with few windows the fits that leave out a fifth read worse than the one on all
    assert found["known/residual"] == pytest.approx(1.0, abs=0.3)
    assert found["known/off_manifold_share"] < 0.12
    assert found["known/outside_share"] < 0.03
    assert found["known/unrealistic_share"] == 0.0


def test_dropped_cells_are_found_in_the_direction_that_they_have() -> None:
    motions, _ = windows()
    there = np.isin(judge()(motions.features_NTD.numpy()).cell_N, np.arange(0, len(CELLS), 2))
    found = measured(motions.subset(torch.from_numpy(np.flatnonzero(there))))
    p = fitted().cell_weights
    # half a window is added to each cell
    count = np.where(np.arange(len(p)) % 2 == 0, there.sum() * p / p[::2].sum(), 0.0) + 0.5
    q = count / count.sum()
    assert found["known/cell_kl_reverse"] == pytest.approx(float((q * np.log(q / p)).sum()), abs=0.06)
    assert found["known/cell_kl_forward"] == pytest.approx(float((p * np.log(p / q)).sum()), abs=0.06)
    assert found["known/cell_kl_forward"] > 2 * found["known/cell_kl_reverse"]


def test_a_narrow_range_narrows_the_spread_by_its_factor() -> None:
    found = measured(windows(0.4)[0])
    assert found["known/spread_inside"] == pytest.approx(0.4, abs=0.1)
    assert found["known/inside_kl_reverse"] > 1.0
    assert found["known/inside_kl_forward"] > found["known/inside_kl_reverse"]
    assert found["known/residual"] < 1.1


def test_averages_of_two_windows_are_off_the_manifold() -> None:
    motions, _ = windows()
    order = torch.randperm(len(motions), generator=torch.Generator().manual_seed(0))
    found = measured(changed(motions, (motions.features_NTD + motions.features_NTD[order]) / 2))
    assert found["known/residual"] > 2 * measured(windows()[0])["known/residual"]
    assert found["known/off_manifold_share"] > 0.5


def test_low_passed_windows_are_off_the_manifold() -> None:
    from scipy.signal import butter, sosfiltfilt

    motions, _ = windows()
    smooth = sosfiltfilt(butter(4, 1 / 15, output="sos"), motions.features_NTD.numpy(), axis=1)
    found = measured(changed(motions, torch.from_numpy(smooth.copy()).float()))
    assert found["known/residual"] > 1.5 * measured(windows()[0])["known/residual"]


def gated(passed: Any) -> Judge:
    """The tests' judge with a gate that is told what to say."""
    return lambda features: Judged(judge()(features).cell_N, passed)


def with_a_gate(share: float) -> WalkerFit:
    """As if the gate had shut out a share of the fresh windows."""
    kept = np.random.default_rng(0).random(len(fitted().judged_M)) >= share
    return replace(fitted(), realistic_M=kept)


def twice(motions: MotionSet, times: int) -> MotionSet:
    return motions.subset(torch.arange(len(motions)).repeat(times))


def test_windows_that_are_shut_out_are_charged_and_change_nothing_else() -> None:
    motions, _ = windows()
    own, times = with_a_gate(0.02), 5
    total = times * len(motions)
    # the first two copies pass: with and without the rest the realistic windows are the same
    few = measure_walkers(own, gated(np.ones(2 * len(motions), dtype=bool)), twice(motions, 2))
    passed = np.arange(total) < 2 * len(motions)
    many = measure_walkers(own, gated(passed), twice(motions, times))
    assert many["known/unrealistic_share"] == pytest.approx(0.6)
    for key in set(KEYS) - {"known/kl_forward", "known/kl_reverse", "known/asymmetry", "known/unrealistic_share"}:
        if "gate" not in key:
            assert many[key] == few[key], key
    p, q = own.gate_weights[1], (total - 2 * len(motions) + 0.5) / (total + 1)
    forward, reverse = (
        a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b)) for a, b in ((float(p), q), (q, float(p)))
    )
    assert p == pytest.approx(0.02, abs=0.01)
    assert many["known/gate_kl_forward"] == pytest.approx(forward)
    assert many["known/gate_kl_reverse"] == pytest.approx(reverse) and reverse > 1.5 > forward > 0.7
    for end in ("forward", "reverse"):
        parts = [many[f"known/{part}_kl_{end}"] for part in ("gate", "cell", "inside")]
        assert many[f"known/kl_{end}"] == pytest.approx(sum(float(part) for part in parts))
        assert float(many[f"known/kl_{end}"]) > float(few[f"known/kl_{end}"]) + 0.7


def test_as_many_windows_are_shut_out_as_of_the_corpus_costs_nothing() -> None:
    motions, _ = windows()
    passed = np.arange(len(motions)) % 50 != 0
    found = measure_walkers(with_a_gate(0.02), gated(passed), motions)
    assert abs(float(found["known/gate_kl_forward"])) < 0.005 and abs(float(found["known/gate_kl_reverse"])) < 0.005
    none = measure_walkers(fitted(), judge(), motions)
    assert abs(float(none["known/gate_kl_forward"])) < 0.005 and abs(float(none["known/gate_kl_reverse"])) < 0.005


def test_sets_are_measured_on_as_many_realistic_windows_wherever_they_lie() -> None:
    motions, _ = windows()
    many = twice(motions, 3)
    # sorted by cell: the first 300 of these are of four cells
    order = torch.arange(len(many)).reshape(3, -1).T.flatten()
    many, count = many.subset(order), len(motions) - 16
    passed = np.arange(len(many)) % 2 == 0
    found = measure_walkers(fitted(), gated(passed), many, count)
    assert abs(float(found["known/cell_kl_forward"])) < 0.05
    alone = many.subset(torch.from_numpy(np.flatnonzero(passed)[:count]))
    assert float(measure_walkers(fitted(), judge(), alone)["known/cell_kl_forward"]) > 0.3
    # of a set of that many there is nothing to choose
    same = measure_walkers(fitted(), gated(np.ones(count, dtype=bool)), alone, count, seed=1)
    assert same == measure_walkers(fitted(), judge(), alone)


def test_too_few_realistic_windows_say_so() -> None:
    motions, _ = windows()
    half = np.arange(len(motions)) % 2 == 0
    found = measure_walkers(fitted(), gated(half), motions, 200)
    numbers = {key for key, value in found.items() if not isinstance(value, str)}
    assert numbers == {"known/unrealistic_share", "known/gate_kl_forward", "known/gate_kl_reverse"}
    assert found["known/unrealistic_share"] == pytest.approx(0.5, abs=0.01)
    reason = f"{half.sum()} of {len(half)} windows are realistic, 200 are needed"
    assert {value for value in found.values() if isinstance(value, str)} == {reason}
    assert not isinstance(measure_walkers(fitted(), gated(half), motions, 100)["known/kl_forward"], str)
    none = measure_walkers(fitted(), gated(half & ~half), motions)
    assert none["known/kl_forward"] == "no window is realistic"
    assert none["known/unrealistic_share"] == 1.0


@pytest.mark.parametrize("name", ["walk/normal", "raise/elderly", "kick/active"])
def test_a_window_is_made_again_from_what_it_shows(name: str) -> None:
    cell = CELLS[name]
    still = replace(cell, ranges=MappingProxyType({**cell.ranges, "jitter": (0.0, 0.0)}))
    fresh = fresh_windows(still, 12, 1, spec(), frames=FRAMES, stride=STRIDE)
    found = residuals_cm(cell, fresh.features_NTD, fresh.truth_NP, spec())
    # to the frame, as gestures start on one: a few millimetres
    assert float(np.median(found)) < 0.5
    seen = dict(zip(seen_names(cell), fresh.truth_NP[0], strict=True))
    other = walker_window(cell, {**seen, "phase": (seen["phase"] + 0.3) % 1.0}, spec(), frames=FRAMES)
    assert float(residuals_cm(cell, other[None], fresh.truth_NP[:1], spec())[0]) > 2 * found[0]


def test_exact_weights_are_those_of_counted_windows() -> None:
    weights = exact_weights(64, 4)
    assert weights.sum() == pytest.approx(1.0)
    # idle: 0.02 of the clips, of 64 to 200 frames, with 1 + ceil((F - 64) / 4) windows each
    windows_of = {
        name: cell.weight
        * np.mean([max(0, 1 + -(-(F - 64) // 4)) if F >= 64 else 0 for F in range(cell.frames[0], cell.frames[1] + 1)])
        for name, cell in CELLS.items()
    }
    assert weights[NAMES.index("idle/normal")] == pytest.approx(windows_of["idle/normal"] / sum(windows_of.values()))


def test_a_fit_is_kept_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fit(*args: Any, **kwargs: Any) -> WalkerFit:
        calls.append(1)
        return fitted()

    monkeypatch.setattr(walker_fit, "fit_walkers", fit)
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path))

    def get(identity: str = "a") -> WalkerFit:
        return fit_for(judge(), identity, spec(), frames=FRAMES, stride=STRIDE)

    get()
    kept = get()
    assert len(calls) == 1
    assert measure_walkers(kept, judge(), windows()[0]) == measure_walkers(fitted(), judge(), windows()[0])
    get("b")
    assert len(calls) == 2
    (first, *_) = sorted(tmp_path.rglob("*.npz"))
    first.write_bytes(first.read_bytes()[:1000])
    get("a"), get("b")
    assert len(calls) == 3


@pytest.mark.parametrize("locked", [True, False])
def test_of_two_that_ask_at_once_one_fits(locked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kept, both = fitted(), Barrier(2)

    def fit(*args: Any, **kwargs: Any) -> WalkerFit:
        calls.append(1)
        sleep(0.2)
        return kept

    load = walker_fit._load

    def look(place: Path) -> WalkerFit | None:
        found = load(place)
        if get_ident() not in seen:
            # both have looked before either fits
            seen.add(get_ident())
            both.wait(5)
        return found

    seen: set[int] = set()
    monkeypatch.setattr(walker_fit, "fit_walkers", fit)
    monkeypatch.setattr(walker_fit, "_load", look)
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path))
    if not locked:
        monkeypatch.setattr(walker_fit, "_alone", lambda place: nullcontext(place.parent.mkdir(exist_ok=True)))
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(fit_for, judge(), "a", spec(), frames=FRAMES, stride=STRIDE) for _ in range(2)]
        weights = [one.result().cell_weights for one in asked]
    assert weights[0] == pytest.approx(weights[1])
    assert len(calls) == (1 if locked else 2)


def test_another_corpus_has_no_coordinates() -> None:
    from motionsynth.comparison.reference import Reference

    plain = walkers_extractor(networks=False)
    shown = Shown(ArmConfig(landmark="real"), ViewConfig(), 0, windows()[0], None)

    def said(**changes: Any) -> set[float | str]:
        judge = replace(plain, **changes)
        world = World(Reference(walkers_corpus(), "test"), judge, None, MeasureConfig())
        return set(walker_coordinates(world, shown).values())

    assert said() == {"the judge does not tell the walkers' cells apart"}
    few = Cells(NAMES[:3], "classifier", torch.zeros(3, 2, dtype=torch.int64))
    assert said(cells=few) == {"the corpus has not all cells of the walkers, so its density is another"}
    other = replace(spec(), names=("Root", *spec().names[1:]))
    assert said(spec=other) == {"the corpus is not the walkers', whose density alone is known"}
