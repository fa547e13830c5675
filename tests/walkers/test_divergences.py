"""Divergence estimates against samples whose divergence is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.divergences import Expected, Pair, cell_divergences, inside_divergences

WIDTH, EXPECTED = 12, 1000


def mean_of(draw: Callable[[np.random.Generator, int], FloatArray], count: int, repeats: int = 10) -> Pair:
    """Mean estimate over samples of independent uniform parameters that ``draw`` changed."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(repeats):
        right = Expected(generator.uniform(size=(EXPECTED, WIDTH)), np.full(EXPECTED, 1 / EXPECTED))
        found.append(inside_divergences(right, draw(generator, count)))
    return Pair(*(float(np.mean(one)) for one in zip(*found, strict=True)))


def uniform(generator: np.random.Generator, count: int) -> FloatArray:
    return generator.uniform(size=(count, WIDTH))


def halved(generator: np.random.Generator, count: int) -> FloatArray:
    """Three parameters in the middle half of their range: KL(q || p) = 3 log 2, KL(p || q) infinite."""
    values = uniform(generator, count)
    values[:, :3] = 0.25 + values[:, :3] / 2
    return values


def correlated(generator: np.random.Generator, count: int) -> FloatArray:
    """Two parameters with a Gaussian copula of correlation 0.8."""
    scores = generator.standard_normal((count, WIDTH))
    scores[:, 1] = 0.8 * scores[:, 0] + 0.6 * scores[:, 1]
    return np.asarray(norm.cdf(scores))


@pytest.mark.parametrize("count", [6, 30, 250])
def test_a_right_sample_of_any_size_has_no_divergence(count: int) -> None:
    found = mean_of(uniform, count)
    assert abs(found.forward) < 0.25 and abs(found.reverse) < 0.25


def test_a_narrow_range_is_found_by_reverse_and_punished_by_forward() -> None:
    found = mean_of(halved, 250)
    assert found.reverse == pytest.approx(3 * np.log(2), abs=0.45)
    assert found.forward > found.reverse


def test_a_dependence_is_found() -> None:
    found = mean_of(correlated, 250)
    assert found.reverse == pytest.approx(-0.5 * np.log(1 - 0.64), abs=0.15)
    assert found.forward == pytest.approx(0.5 * (2 / 0.36 - 2 + np.log(0.36)), abs=0.4)


def test_expected_windows_count_by_their_weight() -> None:
    generator = np.random.default_rng(1)
    values = np.concatenate([generator.uniform(size=(800, 3)), 5 + generator.uniform(size=(800, 3))])
    weights = np.repeat([1.0, 1e-6], 800)
    sample = generator.uniform(size=(300, 3))
    assert abs(inside_divergences(Expected(values, weights / weights.sum()), sample).reverse) < 0.15
    assert inside_divergences(Expected(values, np.full(1600, 1 / 1600)), sample).reverse > 1.0


def test_an_empty_cell_is_as_expected_inside() -> None:
    right = Expected(np.random.default_rng(0).uniform(size=(50, 2)), np.full(50, 1 / 50))
    assert inside_divergences(right, np.zeros((0, 2))) == (0.0, 0.0)


def test_cells_have_both_divergences_by_hand() -> None:
    found, weights = cell_divergences(np.array([0.5, 0.5, 0.0]), np.array([9.0, 0.0, 0.0]))
    assert weights == pytest.approx([0.95, 0.05, 0.0])
    assert found.forward == pytest.approx(0.5 * np.log(0.5 / 0.95) + 0.5 * np.log(0.5 / 0.05))
    assert found.reverse == pytest.approx(0.95 * np.log(0.95 / 0.5) + 0.05 * np.log(0.05 / 0.5))
