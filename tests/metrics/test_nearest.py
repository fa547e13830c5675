"""The nearest-neighbour two-sample test against scikit-learn, and its convention."""

from __future__ import annotations

import pytest
import torch
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from motionsynth.metrics.nearest import MEASURES, equal_counts, nearest_neighbour_accuracy, recognised
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points

OVERALL, WITHIN = MEASURES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def overall(generated, reference):
    return OVERALL.compute(Sets(generated, reference), "space")["nearest_neighbour_accuracy"]


def within(generated, reference):
    return WITHIN.compute(Sets(generated, reference), "space")["nearest_neighbour_accuracy_within"]


def test_agrees_with_scikit_learn():
    a, b = normal(70, 5), 1.4 * normal(70, 5, seed=1) + 0.3
    rows, labels = torch.cat([a, b]).double().numpy(), [0] * 70 + [1] * 70
    scores = cross_val_score(KNeighborsClassifier(1), rows, labels, cv=LeaveOneOut())
    assert nearest_neighbour_accuracy(a, b) == pytest.approx(scores.mean())
    of_a, of_b = recognised(a, b)
    assert torch.cat([of_a, of_b]).tolist() == scores.tolist()


def test_one_distribution_is_a_half_and_sets_apart_are_one():
    a, b = normal(1000, 8), normal(1000, 8, seed=1)
    assert nearest_neighbour_accuracy(a, b) == pytest.approx(0.5, abs=0.03)
    assert nearest_neighbour_accuracy(a, b + 20) == 1


def test_a_copy_is_zero_and_one_constant_a_half():
    a = normal(200, 8)
    assert nearest_neighbour_accuracy(a, a.flip(0)) == 0
    assert nearest_neighbour_accuracy(torch.ones(50, 3), torch.ones(40, 3)) == 0.5
    assert nearest_neighbour_accuracy(torch.ones(50, 3), torch.ones(40, 3) + 1) == 1


def test_collapse_within_modes_is_seen_though_the_modes_are_all_there():
    centres, mode_N = 20 * normal(10, 8), torch.arange(800) % 10
    reference = points(centres[mode_N] + normal(800, 8, seed=1), cell_N=mode_N)
    whole = points(centres[mode_N] + normal(800, 8, seed=2), cell_N=mode_N)
    collapsed = points(centres[mode_N] + 0.05 * normal(800, 8, seed=2), cell_N=mode_N)
    for accuracy in (overall, within):
        assert accuracy(whole, reference) == pytest.approx(0.5, abs=0.04)
        assert accuracy(collapsed, reference) > 0.9


def test_within_cells_the_mix_of_modes_does_not_matter():
    centres, mode_N = 20 * normal(2, 8), (torch.arange(600) % 10 == 0).long()
    reference = points(centres[mode_N] + normal(600, 8, seed=1), cell_N=mode_N)
    other_mix = points(centres[1 - mode_N] + normal(600, 8, seed=2), cell_N=1 - mode_N)
    assert overall(other_mix, reference) > 0.7
    assert within(other_mix, reference) == pytest.approx(0.5, abs=0.1)


def test_takes_of_overlapping_windows_do_not_recognise_themselves():
    take_N = torch.arange(600) // 3
    a, b = (normal(200, 8, seed=s)[take_N] + 0.01 * normal(600, 8, seed=9 + s) for s in (0, 1))
    assert overall(points(a, takes=take_N), points(b, takes=take_N)) == pytest.approx(0.5, abs=0.08)
    assert overall(points(a), points(b)) == 1  # negative control: each window a take of its own


def test_equal_counts_are_drawn_cell_by_cell():
    cell_N, cell_M = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([2, 2, 2, 0, 0, 3])
    index_N, index_M = equal_counts(cell_N, cell_M)
    assert cell_N[index_N].tolist() == [0, 0, 2, 2]
    assert sorted(cell_M[index_M].tolist()) == [0, 0, 2, 2]
    assert index_N.tolist() == sorted(set(index_N.tolist()))
    assert equal_counts(cell_N, cell_M)[0].tolist() == index_N.tolist()


def test_without_a_neighbour_it_is_undefined():
    with pytest.raises(UndefinedError, match="no cell has 8 windows"):
        within(points(normal(20, 3), cell_N=torch.arange(20)), points(normal(20, 3), cell_N=torch.arange(20)))
    of_a, _ = recognised(normal(2, 3), normal(3, 3), cells=(torch.tensor([0, 1]), torch.tensor([0, 0, 0])))
    assert of_a.isnan().tolist() == [False, True]
