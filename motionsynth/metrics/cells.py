"""Cells (content x style, or k-means cells) that generated windows fall in.

Shapes: N windows, C cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError

__all__ = ["MEASURES", "RARE", "SMOOTHING", "cell_counts", "cells_covered", "label_kl", "label_kls", "rare_cell_recall"]

SMOOTHING: Final = 0.5
"""Added to the count of every cell before KLs."""
RARE: Final = 0.2
"""Share of the reference's windows that its rare cells hold, at most."""


def cell_counts(windows: Descriptors, cells: int, *, realistic_only: bool = False) -> Tensor:
    """(C,) windows in each of ``cells`` cells; only those that the realism gate lets count, where asked for.

    Raises:
        UndefinedError: the windows have no cells, or no gate was applied.
    """
    if windows.cell_N is None:
        raise UndefinedError("windows have no cells: no judge said which content and style they are of")
    cell_N = windows.cell_N
    if realistic_only:
        if windows.realistic_N is None:
            raise UndefinedError("no realism gate was applied, and without it white noise would cover cells too")
        cell_N = cell_N[windows.realistic_N]
    return torch.bincount(cell_N, minlength=cells)


def cells_covered(count_gen_C: Tensor, count_ref_C: Tensor) -> float:
    """Share of the reference's cells that hold at least one generated window.

    Args:
        count_gen_C: (C,) generated windows that count.
        count_ref_C: (C,) reference windows.

    Returns:
        In [0, 1]; below 1 for two sets of one distribution that has cells rarer than 1 / N.

    Raises:
        UndefinedError: there is no reference window.
    """
    return float((count_gen_C[_held(count_ref_C)] > 0).double().mean())


def label_kl(count_a_C: Tensor, count_b_C: Tensor, smoothing: float = SMOOTHING) -> float:
    r"""Kullback-Leibler divergence :math:`\sum_c p_c \log(p_c / q_c)` of two histograms over the cells.

    With additive smoothing: :math:`p_c = (a_c + s) / \sum (a + s)`, s = 1/2 (Jeffreys), over the cells that either set
    has. Both directions rise where cells are dropped: their difference is no test of the direction of a loss.

    Args:
        count_a_C: (C,) windows of the first set.
        count_b_C: (C,) windows of the second.
        smoothing: s.

    Returns:
        In nats; some (C - 1) / N for two histograms of N draws of one distribution.

    Raises:
        UndefinedError: one of the sets is empty.
    """
    if not (int(count_a_C.sum()) and int(count_b_C.sum())):
        raise UndefinedError("there are no windows to count")
    held_C = (count_a_C > 0) | (count_b_C > 0)
    p_C, q_C = (count_C[held_C].double() + smoothing for count_C in (count_a_C, count_b_C))
    p_C, q_C = p_C / p_C.sum(), q_C / q_C.sum()
    return float((p_C * (p_C / q_C).log()).sum())


def rare_cell_recall(count_gen_C: Tensor, total_gen: int, count_ref_C: Tensor, rare: float = RARE) -> float:
    r"""Share of the reference's weight in its rare cells that the generated windows have there.

    :math:`\sum_{c\ rare} \min(p_c, q_c) / \sum_{c\ rare} q_c`, p and q the shares of the generated and the reference
    windows that are in cell c: each cell is capped, so that too many in one do not make up for none in another. Rare
    are the cells with the fewest reference windows (of equals, the first) that together hold at most ``rare`` of them;
    at least one.

    Args:
        count_gen_C: (C,) generated windows that count.
        total_gen: all generated windows, those that do not count too.
        count_ref_C: (C,) reference windows.
        rare: share of the reference windows.

    Returns:
        In [0, 1]; below 1 for two sets of one distribution, as counts scatter.

    Raises:
        UndefinedError: there is no reference window.
    """
    held_C = _held(count_ref_C)
    q_C = (count_ref_C[held_C].double() / count_ref_C.sum()).sort(stable=True)
    p_C = count_gen_C[held_C][q_C.indices].double() / total_gen
    # sums of shares, which are rounded
    few = max(1, int((q_C.values.cumsum(0) <= rare * (1 + 1e-9)).sum()))
    return float(torch.minimum(p_C[:few], q_C.values[:few]).sum() / q_C.values[:few].sum())


def _held(count_ref_C: Tensor) -> Tensor:
    held_C = (count_ref_C > 0).nonzero()[:, 0]
    if not len(held_C):
        raise UndefinedError("the reference has no windows in cells")
    return held_C


def _number_of_cells(sets: Sets) -> int:
    numbers = [s.cell_N for s in (sets.generated, sets.reference) if s.cell_N is not None and len(s.cell_N)]
    return 1 + max((int(cell_N.max()) for cell_N in numbers), default=0)


def _covered(sets: Sets, space: str | None) -> Mapping[str, float]:
    cells = _number_of_cells(sets)
    generated_C = cell_counts(sets.generated, cells, realistic_only=True)
    reference_C = cell_counts(sets.reference, cells)
    return {
        "cells_covered": cells_covered(generated_C, reference_C),
        "rare_cell_recall": rare_cell_recall(generated_C, len(sets.generated), reference_C),
    }


def label_kls(sets: Sets, space: str | None) -> Mapping[str, float]:
    """Both divergences between the cells of generated and of real windows."""
    cells = _number_of_cells(sets)
    generated_C, reference_C = cell_counts(sets.generated, cells), cell_counts(sets.reference, cells)
    return {
        "label_kl_generated_real": label_kl(generated_C, reference_C),
        "label_kl_real_generated": label_kl(reference_C, generated_C),
    }


_SMOOTHED = f"of the cells' histograms, {SMOOTHING} added to each cell that either set has"

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="cells_covered",
                group="modes",
                unit="1",
                better="higher",
                summary="Share of the reference's cells that hold at least one generated window that passes the "
                "realism gate.",
                reference="this package",
                bounds=SHARE,
            ),
            Metric(
                name="rare_cell_recall",
                group="modes",
                unit="1",
                better="higher",
                summary=f"Share that generated windows which pass the realism gate reach, cell by cell and at most "
                f"all, of the reference's share in its rarest cells, those that together hold up to {RARE:.0%} of it.",
                reference="this package",
                bounds=SHARE,
            ),
        ),
        compute=_covered,
        resample="takes",
        needs=("cells", "realism"),
    ),
    Measure(
        metrics=(
            Metric(
                name="label_kl_generated_real",
                group="modes",
                unit="nats",
                better="lower",
                summary=f"KL(generated || real) {_SMOOTHED}; no realism gate.",
                reference="Kullback & Leibler 1951",
            ),
            Metric(
                name="label_kl_real_generated",
                group="modes",
                unit="nats",
                better="lower",
                summary=f"KL(real || generated) {_SMOOTHED}; no realism gate.",
                reference="Kullback & Leibler 1951",
            ),
        ),
        compute=label_kls,
        resample="takes",
        needs=("cells",),
    ),
)
