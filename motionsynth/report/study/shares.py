"""Shares of a view's windows in the cells of held-out motion: rules of coverage without a realism gate.

With w_c windows drawn of cell c and r_c held-out windows of it, over the C cells that held-out motion has, p_c is
w_c / sum w and q_c is r_c / sum r. Windows seen in other cells are left out of both sums.

    due share of a       share of cells with p_c >= a q_c; a = 0: of cells with a window at all (visited)
    effective number     exp(-sum p_c log p_c): as many cells, if all had the same share
    total variation      1/2 sum |p_c - q_c|

References:
    Hill, Diversity and Evenness, 1973 (the effective number of order 1).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from motionsynth.study.results import ViewResult

__all__ = ["due_share", "effective_cells", "total_variation"]

Array = npt.NDArray[np.float64]


def due_share(view: ViewResult, least: float) -> float | None:
    """Share of the cells that have a part of their due share at least; None where nothing was measured by cell.

    Args:
        view: of one run.
        least: that part; 0: one window is enough.
    """
    shares = _shares(view.cells)
    if shares is None:
        return None
    ours_C, theirs_C = shares
    return float(np.mean(ours_C >= least * theirs_C * (1 - 1e-12)) if least else np.mean(ours_C > 0))


def effective_cells(view: ViewResult) -> float | None:
    """The effective number of cells; None where nothing was measured by cell."""
    shares = _shares(view.cells)
    if shares is None:
        return None
    there = shares[0][shares[0] > 0]
    return float(np.exp(-np.sum(there * np.log(there))))


def total_variation(view: ViewResult) -> float | None:
    """The total variation distance of both shares, 0 to 1; None where nothing was measured by cell."""
    shares = _shares(view.cells)
    return None if shares is None else float(np.abs(shares[0] - shares[1]).sum() / 2)


def _shares(cells: Mapping[str, Mapping[str, float]]) -> tuple[Array, Array] | None:
    ours_C, theirs_C = (
        np.array([cell[what] for cell in cells.values() if cell["real"] > 0], dtype=np.float64)
        for what in ("windows", "real")
    )
    if not ours_C.sum() or not theirs_C.sum():
        return None
    return ours_C / ours_C.sum(), theirs_C / theirs_C.sum()
