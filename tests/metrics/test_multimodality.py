"""Mean pairwise distances against scipy and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.distance import pdist

from motionsynth.metrics import neighbours
from motionsynth.metrics.multimodality import MEASURES, mean_pairwise_distance, pairwise_distances_within
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points

DIVERSITY, MULTIMODALITY = MEASURES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def diversity(generated, reference):
    return DIVERSITY.compute(Sets(generated, reference), "space")["diversity"]


def multimodality(generated, reference):
    return MULTIMODALITY.compute(Sets(generated, reference), "space")["multimodality_within"]


@pytest.mark.parametrize("block", [2**22, 500])
def test_agrees_with_scipy(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    x, take_N, cell_N = normal(120, 6) + 5, torch.arange(120) // 2, torch.arange(120) % 5
    assert mean_pairwise_distance(x) == pytest.approx(pdist(x.double().numpy()).mean(), rel=1e-5)
    i, j = torch.triu_indices(120, 120, 1)
    distance, apart = torch.pdist(x.double()), take_N[i] != take_N[j]
    assert mean_pairwise_distance(x, take_N) == pytest.approx(float(distance[apart].mean()), rel=1e-5)
    cells_C = torch.tensor([1, 4])
    found = pairwise_distances_within(x, take_N, cell_N, cells_C)
    expected = [float(distance[apart & (cell_N[i] == c) & (cell_N[j] == c)].mean()) for c in (1, 4)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_normal_numbers_are_at_the_closed_form():
    """E|x - y| = 2 / sqrt(pi) for independent standard normal numbers."""
    assert mean_pairwise_distance(normal(4000, 1)) == pytest.approx(2 / math.sqrt(math.pi), rel=0.03)


def test_scale_and_collapse():
    reference = points(normal(500, 8, seed=1))
    assert diversity(reference, reference) == 1
    assert diversity(points(normal(500, 8)), reference) == pytest.approx(1, abs=0.02)
    halved = points(reference.embeddings["space"] / 2)
    assert diversity(halved, reference) == pytest.approx(0.5, rel=1e-5)
    assert multimodality(halved, reference) == pytest.approx(0.5, rel=1e-5)
    assert diversity(points(torch.ones(500, 8)), reference) < 1e-3
    with pytest.raises(UndefinedError, match="coincide"):
        diversity(reference, points(torch.zeros(500, 8)))


def test_collapse_within_cells_is_seen_within_and_not_overall():
    centres, mode_N = 20 * normal(10, 8), torch.arange(500) % 10
    reference = points(centres[mode_N] + normal(500, 8, seed=1), cell_N=mode_N)
    collapsed = points(centres[mode_N] + 0.1 * normal(500, 8, seed=2), cell_N=mode_N)
    assert diversity(collapsed, reference) == pytest.approx(1, abs=0.03)
    assert multimodality(collapsed, reference) == pytest.approx(0.1, abs=0.01)


def test_one_take_is_undefined():
    one = points(normal(20, 3), takes=torch.zeros(20, dtype=torch.int64))
    with pytest.raises(UndefinedError, match="different takes"):
        diversity(one, one)
    with pytest.raises(UndefinedError, match="two takes in both"):
        multimodality(one, one)
