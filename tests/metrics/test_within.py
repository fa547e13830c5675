"""Cell by cell: against plain loops over subsets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motionsynth.metrics.record import UndefinedError
from motionsynth.metrics.within import cell_means, mean_of, means_within, shared_cells
from tests.metrics.sets import points, walkers


def sets(counts_a, counts_b):
    """Two sets with so many windows in cells 0, 1, ..."""
    cells = [torch.arange(len(c)).repeat_interleave(torch.tensor(c)) for c in (counts_a, counts_b)]
    return [points(torch.randn(len(cell_N), 3), cell_N=cell_N) for cell_N in cells]


def first_features(windows):
    return windows.features_NTD[:, 0]


def test_cells_need_enough_windows_in_both_sets_and_weigh_by_the_harmonic_mean():
    cells = shared_cells(*sets([8, 7, 20, 30], [8, 50, 60, 8, 90]))
    assert cells.cells_C.tolist() == [0, 2, 3]
    harmonic = torch.tensor([2 / (1 / 8 + 1 / 8), 2 / (1 / 20 + 1 / 60), 2 / (1 / 30 + 1 / 8)], dtype=torch.float64)
    torch.testing.assert_close(cells.weights_C, harmonic / harmonic.sum())
    assert cells.average(torch.tensor([2.0, 2.0, 2.0])) == pytest.approx(2.0)
    assert shared_cells(*sets([3, 2], [3, 1]), least=3).cells_C.tolist() == [0]


def test_sets_without_shared_cells_are_undefined():
    a, b = sets([9, 2], [3, 9])
    with pytest.raises(UndefinedError, match="no cell has 8 windows in both sets"):
        shared_cells(a, b)
    with pytest.raises(UndefinedError, match="no cells"):
        shared_cells(replace(a, cell_N=None), b)
    with pytest.raises(UndefinedError, match="no cells"):
        shared_cells(a, replace(b, cell_N=None))
    with pytest.raises(UndefinedError, match="no cell has 8"):
        shared_cells(a.subset(torch.tensor([], dtype=torch.int64)), b)


def test_means_are_those_of_a_loop():
    cell_N = torch.randint(0, 9, (200,))
    values_N = torch.randn(200, 4, 5)
    cells_C = torch.tensor([1, 4, 8])
    means = cell_means(values_N, cell_N, cells_C)
    assert means.dtype == torch.float64
    for cell, mean in zip(cells_C, means, strict=True):
        torch.testing.assert_close(mean, values_N[cell_N == cell].double().mean(0))


@pytest.mark.parametrize("drawn", [False, True])
def test_means_of_descriptors_are_those_of_a_loop_also_of_subsets(drawn):
    windows = walkers()
    if drawn:
        windows = windows.subset(torch.randint(0, len(windows), (len(windows),), generator=torch.Generator()))
    cells_C = shared_cells(windows, windows).cells_C
    means = means_within(windows, first_features, cells_C)
    for cell, mean in zip(cells_C, means, strict=True):
        torch.testing.assert_close(mean, windows.features_NTD[windows.cell_N == cell, 0].double().mean(0))
    torch.testing.assert_close(mean_of(windows, first_features), windows.features_NTD[:, 0].double().mean(0))
    bare = replace(windows, cell_N=None)
    torch.testing.assert_close(mean_of(bare, first_features), mean_of(windows, first_features))
