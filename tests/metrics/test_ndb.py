"""Number of statistically different bins against scipy, and its convention."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

from motionsynth.metrics import ndb
from motionsynth.metrics.ndb import LEVEL, MEASURES, bin_centres, different_bins, jensen_shannon
from motionsynth.metrics.record import Sets
from tests.metrics.sets import points

(MEASURE,) = MEASURES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_test_of_a_bin_is_the_pooled_two_proportion_test():
    rng = np.random.default_rng(0)
    a, b = rng.multinomial(300, rng.dirichlet(np.ones(40))), rng.multinomial(500, rng.dirichlet(np.ones(40)))
    a[3] = b[3] = 0  # an empty bin: no difference, no nan
    pooled = (a + b) / 800
    with np.errstate(invalid="ignore"):
        z = np.abs(a / 300 - b / 500) / np.sqrt(pooled * (1 - pooled) * (1 / 300 + 1 / 500))
    expected = np.mean(2 * norm.sf(np.nan_to_num(z)) < LEVEL)
    assert 0.2 < expected < 0.95
    assert different_bins(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected)


def test_the_divergence_agrees_with_scipy():
    a, b = torch.tensor([5, 0, 3, 2]), torch.tensor([1, 4, 3, 0])
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a.numpy(), b.numpy()) ** 2)
    assert jensen_shannon(a, a) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(torch.tensor([3, 0]), torch.tensor([0, 9])) == pytest.approx(np.log(2))


def test_independent_draws_differ_at_the_level_of_the_test_and_dropped_modes_do():
    centres, mode_N = 20 * normal(10, 8), torch.arange(1000) % 10
    reference = points(centres[mode_N] + normal(1000, 8, seed=1))
    whole = MEASURE.compute(Sets(points(centres[mode_N] + normal(1000, 8, seed=2)), reference), "space")
    dropped = MEASURE.compute(Sets(points(centres[mode_N % 5] + normal(1000, 8, seed=2)), reference), "space")
    collapsed = MEASURE.compute(Sets(points(centres[mode_N] + 0.05 * normal(1000, 8)), reference), "space")
    assert whole["different_bins"] <= 0.15
    assert dropped["different_bins"] > 0.6
    assert dropped["bins_jensen_shannon"] > 10 * whole["bins_jensen_shannon"]
    assert collapsed["different_bins"] > 0.6
    itself = MEASURE.compute(Sets(reference, reference), "space")
    assert itself["different_bins"] == 0
    assert itself["bins_jensen_shannon"] == pytest.approx(0, abs=1e-12)


def test_bins_are_fitted_once_for_all_resamples_and_forgotten_with_the_reference(monkeypatch):
    calls = []
    monkeypatch.setattr(ndb, "bin_centres", lambda rows, bins: calls.append(bins) or bin_centres(rows, bins))
    generated, reference = points(normal(200, 4)), points(normal(200, 4, seed=1))
    for start in range(3):
        index_N = torch.arange(start, 200, 2)
        MEASURE.compute(Sets(generated.subset(index_N), reference.subset(index_N)), "space")
    assert calls == [200 // ndb.WINDOWS_PER_BIN]
    known = len(ndb._CENTRES)
    del generated, reference
    gc.collect()
    assert len(ndb._CENTRES) < known


def test_centres_are_the_same_each_time_and_no_more_than_distinct_rows():
    rows = normal(300, 6)
    assert torch.equal(bin_centres(rows, 10), bin_centres(rows, 10))
    assert len(bin_centres(torch.ones(50, 3), 10)) == 1
    constant = points(torch.ones(64, 3))
    assert MEASURE.compute(Sets(constant, constant), "space")["different_bins"] == 0
