"""Cell by cell: figures that the mix of modes does not move.

Sharpness differs between modes: of one content real clips have a tenth of the energy above 5 Hz that others have. So a
set that merely lacks a mode looks smoother, or rougher. Compared within each cell (content x style) it does not.

Shapes: N windows, C cells that both sets have, ... what is measured of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import UndefinedError

__all__ = [
    "LEAST_WINDOWS",
    "SharedCells",
    "cell_means",
    "mean_difference",
    "mean_of",
    "means_within",
    "shared_cells",
]

LEAST_WINDOWS = 8
"""Windows of a cell that each set needs, for the cell to be compared."""


class SharedCells(NamedTuple):
    """The cells that two sets can be compared in."""

    cells_C: Tensor
    """int64 numbers of the cells, rising."""
    weights_C: Tensor
    """float64, adding up to 1: in proportion to the harmonic mean of the counts of both sets."""

    def average(self, values_C: Tensor) -> float:
        """The weighted mean over the cells of (C,) values."""
        return float(self.weights_C @ values_C.to(self.weights_C))


def shared_cells(generated: Descriptors, reference: Descriptors, *, least: int = LEAST_WINDOWS) -> SharedCells:
    """Find the cells with enough windows in both sets, weighted by ``2 n m / (n + m)`` of their counts n and m.

    Raises:
        UndefinedError: the sets have no cells, or none has enough windows in both.
    """
    if generated.cell_N is None or reference.cell_N is None:
        raise UndefinedError("windows have no cells: no judge said which content and style they are of")
    size = 1 + max((int(cell_N.max()) for cell_N in (generated.cell_N, reference.cell_N) if len(cell_N)), default=0)
    n, m = (torch.bincount(cell_N, minlength=size).double() for cell_N in (generated.cell_N, reference.cell_N))
    cells_C = ((n >= least) & (m >= least)).nonzero()[:, 0]
    if not len(cells_C):
        raise UndefinedError(f"no cell has {least} windows in both sets")
    weights_C = n[cells_C] * m[cells_C] / (n[cells_C] + m[cells_C])
    return SharedCells(cells_C, weights_C / weights_C.sum())


def cell_means(values_N: Tensor, cell_N: Tensor, cells_C: Tensor) -> Tensor:
    """The mean of what was measured of each window, cell by cell.

    Args:
        values_N: (N, ...) floating values.
        cell_N: (N,) int64 cell of each window.
        cells_C: (C,) int64 cells wanted, rising, each with at least one window.

    Returns:
        (C, ...) float64.
    """
    size = 1 + int(torch.maximum(cell_N.max(), cells_C.max()))
    counts = torch.bincount(cell_N, minlength=size)[cells_C]
    return _sums(values_N, cell_N, size)[cells_C] / counts.reshape(-1, *[1] * (values_N.ndim - 1))


def mean_difference(
    generated: Descriptors, reference: Descriptors, values_N: Tensor, values_M: Tensor, *, within: bool
) -> Tensor:
    """Mean difference of what was measured of each window: over all windows, or cell by cell.

    Args:
        generated: N windows.
        reference: M windows.
        values_N: (N, ...) values of the generated windows.
        values_M: (M, ...) values of the reference.
        within: whether to take the weighted mean, over the cells that both have, of the difference in each.

    Returns:
        (...) float64.

    Raises:
        UndefinedError: ``within``, and there is no such cell.
    """
    if not within:
        return values_N.mean(0, dtype=torch.float64) - values_M.mean(0, dtype=torch.float64)
    cells_C, weights_C = shared_cells(generated, reference)
    assert generated.cell_N is not None and reference.cell_N is not None  # or there would be no shared cells
    means_C = cell_means(values_N, generated.cell_N, cells_C) - cell_means(values_M, reference.cell_N, cells_C)
    return (weights_C.reshape(-1, *[1] * (means_C.ndim - 1)) * means_C).sum(0)


_ROWS = 64
"""Windows whose values are added up in float64 at a time."""

_SUMS: WeakKeyDictionary[Descriptors, dict[object, Tensor]] = WeakKeyDictionary()
"""Sums over the cells of a set, as long as the set lives: the mean over all windows and those within cells share it."""


def mean_of(windows: Descriptors, compute: Callable[[Descriptors], Tensor]) -> Tensor:
    """The mean over all windows of ``windows.per_window(compute)``: (...) float64."""
    return _cell_sums(windows, compute).sum(0) / len(windows)


def means_within(windows: Descriptors, compute: Callable[[Descriptors], Tensor], cells_C: Tensor) -> Tensor:
    """The mean in each cell of ``windows.per_window(compute)``: (C, ...) float64.

    Args:
        windows: a set whose windows have cells.
        compute: a module-level function of descriptors to (N, ...).
        cells_C: int64 cells, as ``shared_cells`` gives them.
    """
    assert windows.cell_N is not None  # or there would be no shared cells
    sums = _cell_sums(windows, compute)[cells_C]
    counts = torch.bincount(windows.cell_N, minlength=len(cells_C))[cells_C]
    return sums / counts.reshape(-1, *[1] * (sums.ndim - 1))


def _cell_sums(windows: Descriptors, compute: Callable[[Descriptors], Tensor]) -> Tensor:
    known = _SUMS.setdefault(windows, {})
    if compute not in known:
        values_N = windows.per_window(compute)
        cell_N = windows.cell_N
        if cell_N is None or not len(cell_N):
            known[compute] = values_N.sum(0, keepdim=True, dtype=torch.float64)
        else:
            known[compute] = _sums(values_N, cell_N, 1 + int(cell_N.max()))
    return known[compute]


def _sums(values_N: Tensor, cell_N: Tensor, size: int) -> Tensor:
    sums = torch.zeros(size, *values_N.shape[1:], dtype=torch.float64, device=values_N.device)
    # part by part: a float64 copy of the whole would take longer to make than to add up
    for values_n, cell_n in zip(torch.split(values_N, _ROWS), torch.split(cell_N, _ROWS), strict=True):
        sums.index_add_(0, cell_n, values_n.double())
    return sums
