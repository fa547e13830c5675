"""The nearest-neighbour two-sample test against scikit-learn, and its convention."""

from __future__ import annotations

import pytest
import torch
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from motionsynth.metrics.nearest import DRAWS, MEASURES, draw_pairs, nearest_neighbour_accuracy, recognised
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
    """Leave-one-out, and with it the row of the other set that bears the same number."""
    a, b = normal(70, 5), 1.4 * normal(70, 5, seed=1) + 0.3
    rows, labels = torch.cat([a, b]).double().numpy(), [0] * 70 + [1] * 70
    scores = cross_val_score(KNeighborsClassifier(1), rows, labels, cv=LeaveOneGroupOut(), groups=[*range(70)] * 2)
    of_a, of_b = recognised(a, b)
    assert ((of_a + of_b) / 2).tolist() == scores.tolist()
    assert nearest_neighbour_accuracy(a, b) == pytest.approx(scores.mean())


def test_one_distribution_is_a_half_and_sets_apart_are_one():
    a, b = normal(1000, 8), normal(1000, 8, seed=1)
    assert nearest_neighbour_accuracy(a, b) == pytest.approx(0.5, abs=0.03)
    assert nearest_neighbour_accuracy(a, b + 20) == 1


@pytest.mark.parametrize("pairs", [2, 5])
def test_small_sets_of_one_distribution_are_a_half_too(pairs):
    found = [nearest_neighbour_accuracy(normal(pairs, 4, seed=s), normal(pairs, 4, seed=5000 + s)) for s in range(300)]
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.04)


def test_a_copy_is_zero_and_one_constant_a_half():
    a = normal(200, 8)
    assert nearest_neighbour_accuracy(a, a.flip(0)) == 0
    assert nearest_neighbour_accuracy(torch.ones(50, 3), torch.ones(50, 3)) == 0.5
    assert nearest_neighbour_accuracy(torch.ones(50, 3), torch.ones(50, 3) + 1) == 1


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
    """Neither where both sets have takes of three, nor where the generated windows have none."""
    take_N = torch.arange(900) // 3
    a, b = (normal(300, 8, seed=s)[take_N] + 0.01 * normal(900, 8, seed=9 + s) for s in (0, 1))
    reference = points(b, takes=take_N)
    assert overall(points(a, takes=take_N), reference) == pytest.approx(0.5, abs=0.06)
    assert overall(points(normal(900, 8, seed=3)), reference) == pytest.approx(0.5, abs=0.06)
    assert overall(points(a), points(b)) == 1  # negative control: each window a take of its own


def test_pairs_are_of_one_cell_and_of_different_takes():
    takes = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3]), torch.tensor([5, 5, 6, 7, 8, 8])
    cells = torch.tensor([0, 0, 0, 0, 2, 2, 2, 0]), torch.tensor([2, 2, 2, 2, 0, 1])
    drawn = list(draw_pairs(takes, cells))
    assert len(drawn) == 2
    for n, m in drawn:
        assert cells[0][n].tolist() == cells[1][m].tolist() == [0, 2, 2]
        assert len(set(takes[0][n[1:]].tolist())) == len(set(takes[1][m[1:]].tolist())) == 2
    assert [n.tolist() for n, _ in drawn] == [n.tolist() for n, _ in draw_pairs(takes, cells)]
    many = list(draw_pairs((torch.zeros(99), torch.arange(9))))
    assert len(many) == DRAWS
    assert {int(n[0]) for n, _ in many} != {int(many[0][0][0])}
    assert all(len(n) == len(m) == 1 for n, m in many)


def test_without_a_neighbour_it_is_undefined():
    with pytest.raises(UndefinedError, match="no cell has 8 windows"):
        within(points(normal(20, 3), cell_N=torch.arange(20)), points(normal(20, 3), cell_N=torch.arange(20)))
    one_take = points(normal(20, 3), takes=torch.zeros(20, dtype=torch.int64))
    with pytest.raises(UndefinedError, match="two takes in both"):
        within(one_take, points(normal(20, 3)))
    with pytest.raises(UndefinedError, match="single window"):
        overall(one_take, points(normal(20, 3)))


def test_sets_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="not of one size"):
        recognised(normal(3, 2), normal(4, 2))
