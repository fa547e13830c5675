"""The classifier two-sample test: what it detects, what must not fool it, and its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionsynth.metrics import c2st
from motionsynth.metrics.c2st import MEASURES, classifier_accuracy, folds_by_take
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points, walkers


def normal(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def compute(generated, reference, space="space"):
    return MEASURES[0].compute(Sets(generated, reference), space)["c2st"]


def test_sets_of_one_distribution_are_at_one_half():
    figures = [compute(points(normal(400, 16, 2 * s)), points(normal(400, 16, 2 * s + 1))) for s in range(6)]
    # 800 windows judged: a deviation of 0.018 each, somewhat more as they share their training windows
    assert abs(np.mean(figures) - 0.5) < 0.025
    assert max(figures) < 0.58


def test_a_shift_a_change_of_spread_and_of_correlation_are_seen():
    x, y = normal(500, 16, 0), normal(500, 16, 1)
    shift = torch.zeros(16)
    shift[3] = 2.0
    assert compute(points(x + shift), points(y)) > 0.75
    assert compute(points(1.5 * x), points(y)) > 0.75
    correlated = x.clone()
    correlated[:, 1::2] = 0.9 * x[:, ::2] + (1 - 0.9**2) ** 0.5 * x[:, 1::2]
    assert compute(points(correlated), points(y)) > 0.75


def test_far_apart_sets_are_always_told():
    assert compute(points(normal(60, 4, 0) + 1e6), points(normal(60, 4, 1))) == 1.0


def test_a_shift_is_detected_about_as_well_as_theory_allows():
    """Two unit Gaussians 2 apart in one of four dimensions: no classifier exceeds Phi(1) = 0.841."""
    shift = torch.tensor([2.0, 0, 0, 0])
    found = compute(points(normal(3000, 4, 0) + shift), points(normal(3000, 4, 1)))
    assert 0.8 < found < 0.86


def test_repeated_windows_of_a_take_do_not_fool_it():
    """20 draws repeated 20 times: learning them by heart helps with windows, not with takes."""
    rows = torch.arange(20).repeat_interleave(20)
    x, y = normal(20, 8, 0)[rows], normal(20, 8, 1)[rows]
    assert compute(points(x, takes=rows), points(y, takes=rows)) < 0.65
    assert compute(points(x), points(y)) > 0.9


def test_one_exploded_window_does_not_hide_a_shift():
    x, y = normal(300, 4, 0) + torch.tensor([3.0, 0, 0, 0]), normal(300, 4, 1)
    x[0] = 1e9
    assert compute(points(x), points(y)) > 0.85


def test_unequal_numbers_leave_one_half_where_it_is():
    figures = [compute(points(normal(600, 8, 2 * s)), points(normal(100, 8, 2 * s + 1))) for s in range(6)]
    assert abs(np.mean(figures) - 0.5) < 0.04


def test_constant_sets_are_defined():
    flat = torch.full((20, 3), 2.0)
    assert compute(points(flat), points(flat)) == 0.5
    assert compute(points(flat + 1), points(flat)) == 1.0
    assert compute(points(flat), points(normal(20, 3, 0))) > 0.5


def test_halves_of_walkers_are_near_one_half_and_a_collapsed_set_is_not():
    real, other = walkers(0), walkers(1)
    assert compute(other, real, "pca") < 0.65
    assert compute(other.subset((other.cell_N < 1).nonzero()[:, 0]), real, "pca") > 0.7


def test_folds_solved_together_are_those_fitted_one_by_one():
    """The closed form against scikit-learn's ridge, weighted, fold by fold."""
    from sklearn.linear_model import Ridge

    x = torch.cat((normal(90, 5, 0) + 0.5, normal(60, 5, 1))).double()
    generated = torch.arange(150) < 90
    fold = torch.cat((torch.arange(90) % 3, torch.arange(60) % 3))
    phi = c2st._features(c2st._standardised(x, ~generated)).numpy()
    sign = np.where(generated.numpy(), 1.0, -1.0)
    right = np.empty(150)
    for k in range(3):
        learn = fold.numpy() != k
        weight = np.where(sign > 0, 75 / (learn & (sign > 0)).sum(), 75 / (learn & (sign < 0)).sum())
        ridge = Ridge(alpha=2 * c2st.RIDGE, fit_intercept=False).fit(phi[learn], sign[learn], weight[learn])
        right[~learn] = np.sign(ridge.predict(phi[~learn])) == sign[~learn]
    expected = (right[:90].mean() + right[90:].mean()) / 2
    assert classifier_accuracy(x, generated, fold) == pytest.approx(expected, abs=1e-12)


def test_folds_hold_whole_takes():
    take = torch.tensor([5, 5, 9, 2, 2, 2, 7, 1, 9])
    fold = folds_by_take(take, 3)
    assert sorted(set(fold.tolist())) == [0, 1, 2]
    for number in set(take.tolist()):
        assert len(set(fold[take == number].tolist())) == 1
    with pytest.raises(ValueError, match=r"5 take\(s\) cannot be dealt to 6 folds"):
        folds_by_take(take, 6)


def test_too_few_takes_are_undefined_or_refused():
    one = points(normal(9, 3, 0), takes=torch.zeros(9, dtype=torch.int64))
    with pytest.raises(UndefinedError, match="at least 2 takes a side, here are 1 and 9"):
        compute(one, points(normal(9, 3, 1)))
    with pytest.raises(ValueError, match="at least two folds"):
        classifier_accuracy(normal(4, 2, 0), torch.tensor([True, True, False, False]), torch.tensor([0, 0, 0, 1]))
