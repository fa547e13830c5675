"""Cells covered, label KLs and rare cells, by hand and against scipy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import entropy

from motionsynth.metrics.cells import MEASURES, cells_covered, label_kl, rare_cell_recall
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points

COVERED, KLS = MEASURES


def in_cells(*counts: int):
    cell_N = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return points(torch.zeros(len(cell_N), 2), cell_N=cell_N)


def figures(generated, reference):
    sets = Sets(generated, reference)
    return {**COVERED.compute(sets, None), **KLS.compute(sets, None)}


def test_cells_that_the_reference_has_are_counted():
    assert cells_covered(torch.tensor([3, 0, 1, 9]), torch.tensor([5, 5, 5, 0])) == pytest.approx(2 / 3)
    with pytest.raises(UndefinedError, match="no windows in cells"):
        cells_covered(torch.tensor([3]), torch.tensor([0]))


def test_kl_agrees_with_scipy_in_both_directions():
    a, b = torch.tensor([10, 0, 5, 0]), torch.tensor([4, 8, 0, 0])
    # the last cell is of neither set, and no smoothing is added there
    p, q = [10.5, 0.5, 5.5], [4.5, 8.5, 0.5]
    assert label_kl(a, b) == pytest.approx(entropy(p, q))
    assert label_kl(b, a) == pytest.approx(entropy(q, p))
    assert label_kl(a, a) == 0
    with pytest.raises(UndefinedError, match="no windows to count"):
        label_kl(torch.tensor([0, 0]), torch.tensor([1, 0]))


def test_rare_cells_are_capped_one_by_one():
    reference = torch.tensor([5, 40, 10, 5, 40])  # rare at 20 %: the cells with 5, 5 and 10
    assert rare_cell_recall(reference, 100, reference) == 1
    assert rare_cell_recall(torch.tensor([50, 40, 0, 0, 10]), 100, reference) == pytest.approx(5 / 20)
    assert rare_cell_recall(torch.tensor([0, 50, 5, 5, 40]), 100, reference) == pytest.approx(10 / 20)
    # half of the windows failed the gate: they count in the whole
    assert rare_cell_recall(torch.tensor([2, 20, 5, 3, 20]), 100, reference) == pytest.approx(10 / 20)
    assert rare_cell_recall(torch.tensor([1, 9]), 10, torch.tensor([4, 6])) == pytest.approx(0.1 / 0.4)


def test_dropped_cells_are_seen_and_collapse_within_cells_is_not():
    reference = in_cells(*[20] * 10)
    itself = figures(reference, reference)
    assert itself["cells_covered"] == itself["rare_cell_recall"] == 1
    assert itself["label_kl_generated_real"] == itself["label_kl_real_generated"] == 0
    dropped = figures(in_cells(*[0] * 3, *[20] * 7), reference)
    assert dropped["cells_covered"] == pytest.approx(0.7)
    assert dropped["rare_cell_recall"] == 0
    assert dropped["label_kl_generated_real"] > 0.3
    assert dropped["label_kl_real_generated"] > 0.3
    collapsed = replace(reference, embeddings={"space": torch.zeros(200, 2)})
    assert figures(collapsed, reference) == itself


def test_what_fails_the_realism_gate_covers_nothing():
    reference = in_cells(*[20] * 10)
    noise = replace(in_cells(*[20] * 10), realistic_N=torch.zeros(200, dtype=torch.bool))
    assert figures(noise, reference)["cells_covered"] == 0
    assert figures(noise, reference)["rare_cell_recall"] == 0
    assert figures(noise, reference)["label_kl_generated_real"] == 0  # the histogram has no gate
    with pytest.raises(UndefinedError, match="no realism gate"):
        COVERED.compute(Sets(replace(noise, realistic_N=None), reference), None)
    with pytest.raises(UndefinedError, match="have no cells"):
        KLS.compute(Sets(replace(noise, cell_N=None), reference), None)
