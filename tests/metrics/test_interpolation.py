"""The interpolation index at its closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from motionsynth.metrics.interpolation import FLOOR, MEASURES, midpoint_ratios
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points

OVERALL, WITHIN = MEASURES


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def index(generated, reference):
    return OVERALL.compute(Sets(generated, reference), "space")["interpolation_index"]


def index_within(generated, reference):
    return WITHIN.compute(Sets(generated, reference), "space")["interpolation_index_within"]


def nearest_mates(reference):
    return (torch.cdist(reference, reference) + 1e9 * torch.eye(len(reference))).argmin(1)


def test_agrees_with_brute_force():
    generated, reference, take = normal(50, 4), normal(90, 4, seed=1), torch.arange(90) // 3
    distance = torch.cdist(generated.double(), reference.double())
    for g, ratio in enumerate(midpoint_ratios(generated, reference, take).tolist()):
        a = int(distance[g].argmin())
        b = int(distance[g].masked_fill(take == take[a], torch.inf).argmin())
        middle = (reference[a].double() + reference[b].double()) / 2
        expected = 2 * (generated[g].double() - middle).norm() / (reference[a].double() - reference[b].double()).norm()
        assert ratio == pytest.approx(float(expected))


def test_copies_are_one_means_are_zero_and_independent_points_near_root_three():
    reference = normal(400, 512)
    takes = torch.arange(400)
    assert midpoint_ratios(reference, reference, takes).tolist() == pytest.approx([1.0] * 400)
    means = (reference + reference[nearest_mates(reference)]) / 2
    assert midpoint_ratios(means, reference, takes).median() < 1e-5
    # a little less, as a and b are the nearest of 400
    independent = midpoint_ratios(normal(400, 512, seed=1), reference, takes).mean()
    assert math.sqrt(3) - 0.1 < independent < math.sqrt(3)


def test_means_of_neighbours_stand_out_from_real_against_real():
    reference = normal(800, 6, seed=1)
    real = index(points(normal(800, 6)), points(reference))
    means = index(points((reference + reference[nearest_mates(reference)]) / 2), points(reference))
    assert FLOOR <= means < 0.3 * real
    assert index(points(reference), points(reference)) == pytest.approx(1)


def test_within_cells_means_of_different_cells_are_no_means():
    # two close cells whose windows pair up: the middle of a pair lies between cells
    base = 10 * normal(200, 6)
    left, right = base, base + 0.2 * normal(200, 6, seed=1)
    cell_M = torch.arange(400) // 200
    reference = points(torch.cat([left, right]), cell_N=cell_M)
    middles = points((left + right) / 2, cell_N=torch.arange(200) % 2)
    assert index(middles, reference) < 0.05
    assert index_within(middles, reference) == pytest.approx(1, abs=0.05)  # as near as a copy, within the cell
    assert index_within(reference, reference) == pytest.approx(1)


def test_windows_without_a_middle_are_left_out_and_none_is_undefined():
    reference = torch.cat([torch.zeros(2, 3), torch.tensor([[9.0, 0, 0], [9, 2, 0]])])
    ratios = midpoint_ratios(torch.tensor([[0.1, 0, 0], [9, 1, 0]]), reference, torch.arange(4))
    assert ratios.isnan().tolist() == [True, False]
    assert ratios[1] == pytest.approx(0, abs=1e-9)
    constant = points(torch.zeros(20, 3))
    with pytest.raises(UndefinedError, match="no middle"):
        index(constant, constant)
    with pytest.raises(UndefinedError, match="no middle"):
        index(constant, points(normal(20, 3), takes=torch.zeros(20, dtype=torch.int64)))
    with pytest.raises(UndefinedError, match="two real takes"):
        index_within(constant, constant)
