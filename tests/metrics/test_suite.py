"""What the suite does around the measures: counts, needs, undefined figures, equal N, intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from motionsynth.metrics.record import SHARE, SIGNED, Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.suite import Figure, equal_sets, score
from tests.metrics.sets import points, walkers


def metric(name: str) -> Metric:
    return Metric(name, "fidelity", "1", "lower", "A figure.", "this package", bounds=SIGNED)


def mean_gap(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    a, b = (s.embeddings[space].double().mean() for s in (sets.generated, sets.reference))
    return {"gap": float(a - b), "size": float(len(sets.generated))}


GAP = Measure((metric("gap"), metric("size")), mean_gap, "takes", least=16, spaces=True)


def gaussians(count: int, mean: float, seed: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)) + mean


def one(figures: dict[str, Figure], key: str = "fidelity/gap.space") -> Figure:
    return figures[key]


def test_figures_have_keys_values_and_intervals() -> None:
    sets = Sets(points(gaussians(200, 1.0, 0)), points(gaussians(200, 0.0, 1)))
    figures = score(sets, [(GAP, "space")], resamples=60)
    found = one(figures)
    assert list(figures) == ["fidelity/gap.space", "fidelity/size.space"]
    assert found.value == pytest.approx(1.0, abs=0.15)
    assert found.low is not None and found.high is not None and found.low < 1.0 < found.high
    assert found.high - found.low < 0.5
    assert figures == score(sets, [(GAP, "space")], resamples=60)
    assert one(score(sets, [(GAP, "space")])).low is None


def test_too_few_windows_are_said() -> None:
    sets = Sets(points(gaussians(9, 0.0, 0)), points(gaussians(40, 0.0, 1)))
    assert one(score(sets, [(GAP, "space")], resamples=3)).note == "needs 16 windows, has 9 (generated)"
    assert one(score(sets, [(GAP, "space")])).value is None


def test_the_larger_set_is_subsampled_by_a_stated_seed() -> None:
    sets = Sets(points(gaussians(100, 0.0, 0)), points(gaussians(60, 0.0, 1)))
    equal, notes = equal_sets(sets, 7)
    assert len(equal.generated) == len(equal.reference) == 60
    assert notes == ("100 generated windows are subsampled to 60 (seed 7), as the other set has no more",)
    assert torch.equal(equal.generated.features_NTD, equal_sets(sets, 7)[0].generated.features_NTD)
    assert score(sets, [(GAP, "space")])["fidelity/size.space"].value == 60
    assert equal_sets(equal, 7) == (equal, ())


def undefined(sets: Sets, space: str | None) -> Mapping[str, float]:
    raise UndefinedError("all windows are one")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_figure_is_ever_nan(value: float) -> None:
    sets = Sets(points(gaussians(20, 0.0, 0)), points(gaussians(20, 0.0, 1)))
    found = one(score(sets, [(Measure((metric("gap"),), lambda *_: {"gap": value}, "takes"), None)]), "fidelity/gap")
    assert found.value is None and found.note and "not a finite number" in found.note
    found = one(score(sets, [(Measure((metric("gap"),), undefined, "takes"), None)], resamples=5), "fidelity/gap")
    assert (found.value, found.note) == (None, "all windows are one")


def test_a_figure_beyond_the_bounds_of_its_record_is_a_fault_of_the_record() -> None:
    sets = Sets(points(gaussians(20, 0.0, 0)), points(gaussians(20, 0.0, 1)))
    share = replace(metric("gap"), bounds=SHARE)
    with pytest.raises(ValueError, match="its record says that it lies from 0"):
        score(sets, [(Measure((share,), lambda *_: {"gap": 1.5}, "takes"), None)])


def test_every_measure_scores_walkers_within_its_bounds() -> None:
    from motionsynth.metrics.registry import MEASURES, choose

    sets = Sets(walkers(0), walkers(1), walkers(0))
    figures = score(sets, choose(None, None, ("pca",)))
    assert len(figures) == sum(len(measure.metrics) for measure in MEASURES)
    unjudged = ["modes/precision_kinetic_cleaned"]  # asks for the space kinetic, which an extractor gives
    assert [figure.key for figure in figures.values() if figure.value is None] == unjudged


@pytest.mark.parametrize(
    ("need", "words"),
    [("cells", "needs cells"), ("train", "training windows"), ("feet", "foot joints"), ("realism", "realism gate")],
)
def test_needs_are_said(need: str, words: str) -> None:
    measure = Measure((metric("gap"),), lambda *_: {"gap": 1.0}, "takes", needs=(need,))  # type: ignore[arg-type]
    whole = walkers(0)
    met = Sets(whole, walkers(1), walkers(1))
    assert one(score(met, [(measure, None)]), "fidelity/gap").value == 1.0
    bare = replace(
        whole, cell_N=None, realistic_N=None, spec=replace(whole.spec, contact_groups=())
    )  # negative control
    found = one(score(Sets(bare, bare), [(measure, None)]), "fidelity/gap")
    assert found.value is None and words in (found.note or "")


def test_a_space_that_the_sets_lack_is_said() -> None:
    sets = Sets(points(gaussians(20, 0.0, 0)), points(gaussians(20, 0.0, 1)))
    assert "feature space kinetic" in (one(score(sets, [(GAP, "kinetic")]), "fidelity/gap.kinetic").note or "")


def test_sets_of_one_take_have_figures_without_intervals() -> None:
    takes = torch.zeros(20, dtype=torch.int64)
    sets = Sets(points(gaussians(20, 0.0, 0)), points(gaussians(20, 0.0, 1), takes=takes))
    found = one(score(sets, [(GAP, "space")], resamples=5))
    assert found.value is not None and found.low is None
    assert found.note == "no interval: all reference windows are of one take"


def test_a_figure_that_resamples_leave_undefined_has_no_interval() -> None:
    def only_whole(sets: Sets, space: str | None) -> Mapping[str, float]:
        if len(sets.generated.take_N.unique()) < 20:
            raise UndefinedError("a resample")
        return {"gap": 1.0}

    sets = Sets(points(gaussians(20, 0.0, 0)), points(gaussians(20, 0.0, 1)))
    found = one(score(sets, [(Measure((metric("gap"),), only_whole, "takes"), None)], resamples=9), "fidelity/gap")
    assert (found.value, found.low, found.note) == (1.0, None, "no interval: undefined in 9 of 9 resamples")


def test_progress_counts_every_computation() -> None:
    sets = Sets(points(gaussians(20, 0.0, 0)), points(gaussians(20, 0.0, 1)))
    bad = Measure((metric("bad"),), undefined, "halves")
    seen: list[tuple[int, int]] = []
    score(sets, [(bad, None), (GAP, "space")], resamples=4, progress=lambda *pair: seen.append(pair))
    assert seen[-1] == (10, 10)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
