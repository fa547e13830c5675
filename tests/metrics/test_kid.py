"""The kernel distance against the definition, one pair at a time, and its convention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from motionsynth.metrics import kid
from motionsynth.metrics.kid import MEASURES, kernel_distance
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points, walkers


def normal(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def by_definition(x: torch.Tensor, y: torch.Tensor) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    x, y = x.double().numpy(), y.double().numpy()
    within = [np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])


@pytest.mark.parametrize(("n", "m", "size"), [(13, 9, 2), (7, 12, 30), (2, 2, 5)])
def test_is_the_definition(n, m, size):
    x, y = 1.5 * normal(n, size, 0) + 0.3, normal(m, size, 1)
    assert kernel_distance(x, y) == pytest.approx(by_definition(x, y), rel=1e-5, abs=1e-6)
    assert kernel_distance(y, x) == pytest.approx(kernel_distance(x, y), rel=1e-6)


@pytest.mark.parametrize("block", [64, 4096])
def test_moments_and_pairs_are_two_ways_to_the_same_sums(monkeypatch, block):
    """Small blocks cut both into pieces, the last of another size."""
    x, y = kid._with_ones(normal(300, 6, 0)), kid._with_ones(normal(200, 6, 1) + 0.2)
    expected = [float((a.double() @ b.double().T).pow(3).sum()) for a, b in ((x, x), (y, y), (x, y))]
    monkeypatch.setattr(kid, "_BLOCK", block)
    monkeypatch.setattr(kid, "_ROWS", block)
    assert kid._sums_by_moments(x, y) == pytest.approx(expected, rel=1e-12)
    assert kid._sums_by_pairs(x, y) == pytest.approx(expected, rel=1e-6)


def test_few_dimensions_go_by_moments_and_many_by_pairs():
    def quicker(count: int, size: int) -> bool:
        return kid._moments_are_quicker(torch.empty(count, size), torch.empty(count, size))

    assert quicker(20_000, 64) and quicker(1024, 16)
    assert not quicker(20_000, 512) and not quicker(200, 64)


def test_is_unbiased():
    """The mean of many estimates from tiny sets of one distribution is 0; with the diagonal it would be far above."""
    estimates = np.array([kernel_distance(normal(6, 3, 2 * i), normal(8, 3, 2 * i + 1)) for i in range(600)])
    assert abs(estimates.mean()) < 3 * estimates.std() / 600**0.5
    x = normal(6, 3, 0)
    diagonal = float((x.square().sum(1) / 3 + 1).pow(3).mean() / 6)
    assert diagonal > 20 * estimates.std() / 600**0.5


def test_a_translated_gaussian_is_the_closed_form():
    """One dimension, x ~ N(m, 1), y ~ N(0, 1): E k(x, y) = sum_k binom(3, k) E[x^k] E[y^k]."""

    def moments(m: float) -> np.ndarray:
        return np.array([1, m, 1 + m**2, m**3 + 3 * m])

    weights = np.array([1, 3, 3, 1])
    m = 0.7
    expected = (weights * (moments(m) - moments(0.0)) ** 2).sum()
    quantiles = torch.from_numpy(norm.ppf((np.arange(40_000) + 0.5) / 40_000))[:, None]
    assert kernel_distance(quantiles + m, quantiles) == pytest.approx(expected, rel=2e-3)


def compute(generated, reference, space="space"):
    return MEASURES[0].compute(Sets(generated, reference), space)["kid"]


def test_halves_are_nothing_beside_what_differs():
    real, other = walkers(0), walkers(1)
    few = other.subset((other.cell_N < 3).nonzero()[:, 0])
    assert compute(few, real, "pca") > 4 * abs(compute(other, real, "pca"))


def test_identical_sets_score_below_zero_as_the_formula_says():
    x = normal(50, 4, 0)
    pairs = (x @ x.T / 4 + 1).pow(3).double()
    expected = 2 * (float(pairs.mean() - pairs.diagonal().mean()) / 49)
    assert kernel_distance(x, x) == pytest.approx(expected, rel=1e-4) and expected < 0


def test_the_scale_and_place_of_a_space_do_not_matter():
    x, y = normal(300, 5, 0) * 1.3, normal(300, 5, 1)
    figure = compute(points(x), points(y))
    assert compute(points(70 * x + 900), points(70 * y + 900)) == pytest.approx(figure, rel=1e-2)


def test_constant_sets_have_a_value_or_a_reason():
    flat, spread = points(torch.full((20, 4), 3.0)), points(normal(20, 4, 0))
    assert np.isfinite(compute(flat, spread))
    with pytest.raises(UndefinedError, match="one point of the space"):
        compute(spread, flat)


@pytest.mark.parametrize(
    ("x", "y", "match"), [((3, 2), (3, 4), "fit together"), ((3,), (3, 1), "fit"), ((1, 2), (5, 2), "at least 2")]
)
def test_wrong_shapes_are_refused(x, y, match):
    with pytest.raises(ValueError, match=match):
        kernel_distance(torch.zeros(x), torch.zeros(y))


def test_many_windows_need_no_matrix_of_all_pairs(monkeypatch):
    sizes = []
    cubes = kid._cubes

    def seen(x, y):
        sizes.append(len(x) * len(y))
        return cubes(x, y)

    monkeypatch.setattr(kid, "_cubes", seen)
    kernel_distance(normal(5000, 150, 0), normal(4000, 150, 1))
    assert sizes and max(sizes) <= 256**2
