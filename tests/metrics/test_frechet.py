"""The Frechet distance against closed forms, and its convention."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from motionsynth.metrics.frechet import Moments, PrincipalComponents, frechet_distance

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


def test_principal_components_find_the_plane_the_windows_lie_in():
    plane = RNG.normal(size=(2, 4 * 5))
    windows = (RNG.normal(size=(200, 2)) @ plane + 3.0).reshape(200, 4, 5)
    components = PrincipalComponents.fit(windows, 2)
    assert components.explained == pytest.approx(1.0)
    flat = windows.reshape(200, -1)
    distances = np.linalg.norm(flat[:50] - flat[50:100], axis=1)
    projected = components.project(windows)
    np.testing.assert_allclose(np.linalg.norm(projected[:50] - projected[50:100], axis=1), distances)
    np.testing.assert_allclose(projected.mean(0), 0, atol=1e-9)
    again = PrincipalComponents.fit(windows, 2)
    np.testing.assert_array_equal(components.axes, again.axes)


def test_principal_components_refuse_what_does_not_fit():
    windows = RNG.normal(size=(10, 4, 5))
    with pytest.raises(ValueError, match="10 components do not fit 10 windows of 20 numbers"):
        PrincipalComponents.fit(windows, 10)
    components = PrincipalComponents.fit(windows, 3)
    with pytest.raises(ValueError, match="do not fit axes"):
        components.project(RNG.normal(size=(10, 4, 6)))
    with pytest.raises(ValueError, match=r"\(N, T, D\)"):
        components.project(windows[0])


def test_a_shrunk_set_scores_between_the_mean_and_the_set_itself():
    """The convention: smaller is better, and shrinking towards the mean costs in proportion to (1 - scale)^2."""
    reference = RNG.normal(size=(4000, 4, 5))
    components = PrincipalComponents.fit(reference, 8)
    real = components.moments(reference)
    half = components.moments(0.5 * (reference - reference.mean(0)) + reference.mean(0))
    assert half.distance(real) == pytest.approx(0.25 * np.trace(real.covariance))


def test_principal_components_of_many_windows_are_fitted_to_evenly_spaced_ones():
    windows = RNG.normal(size=(90, 3, 4))
    few = PrincipalComponents.fit(windows, 5, most=40)
    np.testing.assert_array_equal(few.axes, PrincipalComponents.fit(windows[::3], 5).axes)
