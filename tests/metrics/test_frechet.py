"""The Frechet distance against closed forms, and its convention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from motionsynth.metrics.frechet import MEASURES, Moments, frechet_distance
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points

RNG = np.random.default_rng(0)


def covariance(size: int) -> np.ndarray:
    root = RNG.normal(size=(size, size))
    return root @ root.T


def test_one_dimension_is_the_closed_form():
    """(m_a - m_b)^2 + (s_a - s_b)^2."""
    distance = frechet_distance(np.array([1.0]), np.array([[4.0]]), np.array([3.0]), np.array([[9.0]]))
    assert distance == pytest.approx(2.0**2 + (2.0 - 3.0) ** 2)


def test_commuting_covariances_are_the_closed_form():
    basis, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    a, b = RNG.uniform(0.1, 3, size=(2, 6))
    distance = frechet_distance(np.zeros(6), basis * a @ basis.T, np.ones(6), basis * b @ basis.T)
    assert distance == pytest.approx(6 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())


def test_agrees_with_the_matrix_root():
    a, b = covariance(12), covariance(12)
    mean_a, mean_b = RNG.normal(size=(2, 12))
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(mean_a, a, mean_b, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(mean_b, b, mean_a, a) == pytest.approx(expected, rel=1e-6)


def test_equal_sets_are_at_zero_and_a_point_at_mean_plus_trace():
    moments = Moments(RNG.normal(size=5), covariance(5))
    assert moments.distance(moments) == pytest.approx(0.0, abs=1e-9)
    point = np.zeros(5)
    expected = (moments.mean**2).sum() + np.trace(moments.covariance)
    assert Moments.at(point).distance(moments) == pytest.approx(expected)


def test_singular_covariances_are_no_trouble():
    rank_one = np.outer(np.arange(4.0), np.arange(4.0))
    distance = frechet_distance(np.zeros(4), rank_one, np.zeros(4), 4 * rank_one)
    assert distance == pytest.approx(np.trace(rank_one))


@pytest.mark.parametrize(
    ("mean", "cov", "match"),
    [
        (np.zeros(3), np.eye(3), "do not fit together"),
        (np.zeros(2), np.eye(3), "do not fit together"),
        (np.array([np.nan, 0.0]), np.eye(2), "finite"),
        (np.zeros(2), np.full((2, 2), np.inf), "finite"),
    ],
)
def test_wrong_arguments_are_refused(mean, cov, match):
    with pytest.raises(ValueError, match=match):
        frechet_distance(np.zeros(2), np.eye(2), mean, cov)


def test_moments_are_unbiased_and_need_two_rows():
    x = RNG.normal(size=(9, 3))
    moments = Moments.of(x)
    np.testing.assert_allclose(moments.mean, x.mean(0))
    np.testing.assert_allclose(moments.covariance, np.cov(x.T))
    with pytest.raises(ValueError, match="at least 2"):
        Moments.of(x[:1])


def test_agrees_with_the_matrix_root_to_seven_digits_in_512_dimensions():
    scales = np.geomspace(1, 0.05, 512)
    a, b = (
        np.cov(RNG.normal(size=(2000, 512)) @ np.linalg.qr(covariance(512))[0] * scales, rowvar=False) for _ in "ab"
    )
    expected = np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(np.zeros(512), a, np.zeros(512), b) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("rank", [1, 5, 20])
def test_a_set_of_few_points_is_at_zero_from_itself_and_from_its_double_as_theory_says(rank):
    """The roots of zeros that are 1e-16 by rounding would be 1e-8, once for each dimension that the points leave."""
    root = RNG.normal(size=(64, rank))
    a = root @ root.T
    assert frechet_distance(np.zeros(64), a, np.zeros(64), a) == pytest.approx(0.0, abs=1e-12 * np.trace(a))
    assert frechet_distance(np.zeros(64), 4 * a, np.zeros(64), a) == pytest.approx(np.trace(a), rel=1e-12)
    full = covariance(64)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root.T @ full @ root), 0)).sum()
    for first, second in ((a, full), (full, a)):
        found = frechet_distance(np.zeros(64), first, np.zeros(64), second)
        assert found == pytest.approx(np.trace(a) + np.trace(full) - 2 * cross, rel=1e-12)


def measured(generated: torch.Tensor, reference: torch.Tensor) -> float:
    (measure,) = MEASURES
    return measure.compute(Sets(points(generated), points(reference)), "space")["frechet"]


def test_the_measure_compares_sets_in_a_space():
    a = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    assert measured(a, a) == pytest.approx(0.0, abs=1e-9)
    assert measured(a + torch.tensor([3.0, 0, 0, 0]), a) == pytest.approx(9.0, rel=1e-5)
    assert measured(a[:1].expand(2000, 4), a) == pytest.approx(
        float(a.var(0).sum() + (a[0] - a.mean(0)).square().sum())
    )
    half = measured(a[::2], a[1::2])
    assert half < 0.1 < measured(3 * a[::2], a[1::2])


def test_fewer_windows_than_dimensions_are_undefined_and_say_how_many_are_needed():
    few, many = torch.randn(16, 16), torch.randn(17, 16)
    measured(many, many)
    with pytest.raises(UndefinedError, match="16 dimensions needs 17 windows a side, the reference set has 16"):
        measured(many, few)
