"""The space of principal components."""

from __future__ import annotations

import numpy as np
import pytest

from motionsynth.metrics.components import PrincipalComponents

RNG = np.random.default_rng(0)


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
