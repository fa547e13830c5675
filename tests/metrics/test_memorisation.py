"""Memorisation: held-out windows are at 1, copies stand out, blur does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from motionsynth.metrics import memorisation
from motionsynth.metrics.memorisation import CLOSE, FLOOR, MEASURES, close_share, train_test_ratio
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points

(MEASURE,) = MEASURES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def compute(generated, test, train):
    return MEASURE.compute(Sets(points(generated), points(test), points(train)), "space")


def test_agrees_with_scikit_learn():
    generated, test, train = normal(60, 5), normal(70, 5, seed=1), normal(300, 5, seed=2)

    def distance(queries, data, neighbour=0):
        model = NearestNeighbors(n_neighbors=neighbour + 1).fit(data.double().numpy())
        return model.kneighbors(queries.double().numpy())[0][:, neighbour]

    of_test = distance(test, train)
    logs = np.log(distance(generated, train)).mean() - np.log(distance(generated, test)).mean()
    logs -= np.log(of_test).mean() - np.log(distance(test, test, 1)).mean()
    found = compute(generated, test, train)
    assert found["train_test_ratio"] == pytest.approx(np.exp(logs))
    assert found["close_to_train"] == pytest.approx(np.mean(distance(generated, train) <= np.quantile(of_test, CLOSE)))


@pytest.mark.parametrize("count", [1000, 8000])
def test_held_out_windows_are_at_their_ideal_however_large_the_training_set(count):
    found = compute(normal(1000, 8), normal(1000, 8, seed=1), normal(count, 8, seed=2))
    assert found["train_test_ratio"] == pytest.approx(1, abs=0.03)
    assert found["close_to_train"] == pytest.approx(CLOSE, abs=0.03)


def test_copies_stand_out_and_near_copies_too():
    test, train = normal(500, 8, seed=1), normal(2000, 8, seed=2)
    copied = compute(train[:500], test, train)
    assert copied["train_test_ratio"] < 0.01
    assert copied["close_to_train"] == 1
    near = compute(train[:500] + 0.05 * normal(500, 8), test, train)
    assert near["train_test_ratio"] < 0.2
    assert near["close_to_train"] > 0.95
    half = compute(torch.cat([train[:250], normal(250, 8)]), test, train)
    assert 0.01 < half["train_test_ratio"] < 0.2
    assert half["close_to_train"] == pytest.approx(0.5, abs=0.05)


def test_shrinkage_moves_the_share_and_not_the_ratio():
    blurred = compute(0.5 * normal(1000, 8), normal(1000, 8, seed=1), normal(4000, 8, seed=2))
    assert blurred["train_test_ratio"] == pytest.approx(1, abs=0.05)
    assert blurred["close_to_train"] > 2 * CLOSE


def test_all_copies_are_at_the_floor():
    distances = torch.linspace(1, 2, 11)
    ratio = train_test_ratio(torch.zeros(5), torch.ones(5), distances, distances)
    assert ratio == pytest.approx(FLOOR * 1.5)
    assert close_share(torch.tensor([0.0, 1.05, 1.2, 5.0]), distances, 0.1) == pytest.approx(0.5)


def test_what_has_no_test_set_is_undefined():
    ones = torch.ones(5)
    with pytest.raises(UndefinedError, match="copies of training windows"):
        train_test_ratio(ones, ones, torch.zeros(5), ones)
    with pytest.raises(UndefinedError, match="one take"):
        train_test_ratio(ones, ones, ones, torch.full((5,), torch.inf))
    test = points(normal(20, 3))
    other_space = memorisation.Descriptors(test.motion_NTD, test.spec, test.take_N)
    with pytest.raises(UndefinedError, match="not described in the feature space space"):
        MEASURE.compute(Sets(test, test, other_space), "space")


def test_distances_to_the_training_set_are_computed_once_for_all_resamples(monkeypatch):
    calls = []
    original = memorisation.nearest
    monkeypatch.setattr(memorisation, "nearest", lambda q, p: calls.append(len(p)) or original(q, p))
    sets = Sets(points(normal(60, 4)), points(normal(60, 4, seed=1)), points(normal(500, 4, seed=2)))
    for start in range(3):
        index_N = torch.arange(start, 60, 2)
        MEASURE.compute(sets._replace(generated=sets[0].subset(index_N), reference=sets[1].subset(index_N)), "space")
    assert calls.count(500) == 2
