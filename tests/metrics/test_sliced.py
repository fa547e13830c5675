"""The sliced Wasserstein distance against POT, closed forms, and its convention."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from scipy.stats import wasserstein_distance

from motionsynth.metrics.record import Sets, UndefinedError
from motionsynth.metrics.sliced import MEASURES, projections, sliced_wasserstein, wasserstein_1
from tests.metrics.sets import points, walkers


def normal(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 30), (7, 91), (1, 40)])
def test_columns_are_scipys_distance_whatever_the_sizes(n, m):
    x, y = normal(n, 3, 0), 2 * normal(m, 3, 1) + 1
    expected = [wasserstein_distance(x[:, k].numpy(), y[:, k].numpy()) for k in range(3)]
    np.testing.assert_allclose(wasserstein_1(x, y).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(wasserstein_1(y, x).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (200, 130)])
def test_agrees_with_pot(n, m):
    x, y = normal(n, 8, 0).double(), 1.5 * normal(m, 8, 1).double() + 0.2
    directions = projections(8, 60).double()
    expected = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=directions.numpy(), p=1)
    assert sliced_wasserstein(x, y, directions) == pytest.approx(expected, rel=1e-9)


def test_a_translation_is_the_mean_length_of_its_projections():
    x, move = normal(400, 3, 0), torch.tensor([2.0, -1.0, 0.5])
    directions = projections(3, 2000)
    found = sliced_wasserstein(x + move, x, directions)
    assert found == pytest.approx(float((move @ directions).abs().mean()), rel=1e-5)
    # over all directions of space the mean is half the length
    assert found == pytest.approx(float(move.norm()) / 2, rel=0.03)


def test_projections_are_unit_vectors_and_the_same_each_time():
    directions = projections(16)
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(128))
    assert torch.equal(directions, projections(16)) and not torch.equal(directions, projections(16, seed=1))


def compute(generated, reference, space="space"):
    return MEASURES[0].compute(Sets(generated, reference), space)["sliced_wasserstein"]


def test_identical_sets_are_at_zero_and_halves_near_it():
    real = walkers(0)
    assert compute(real, real, "pca") == 0.0
    halves = compute(walkers(1), real, "pca")
    few = real.subset((real.cell_N < 3).nonzero()[:, 0])
    assert compute(few, real, "pca") > 3 * halves > 0


def test_the_unit_is_the_spread_of_the_reference():
    """A dimension of unit spread moved by 1 costs 1, whatever the scale of the space."""
    y = 40 * normal(2000, 1, 0) + 7
    assert compute(points(y + 40), points(y)) == pytest.approx(1.0, rel=0.05)


def test_constant_sets_have_a_value_or_a_reason():
    flat, spread = points(torch.full((20, 4), 3.0)), points(normal(20, 4, 0))
    assert compute(flat, spread) > 0.5
    with pytest.raises(UndefinedError, match="one point of the space"):
        compute(spread, flat)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="fit together"):
        wasserstein_1(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="fit together"):
        wasserstein_1(torch.zeros(0, 2), torch.zeros(4, 2))
