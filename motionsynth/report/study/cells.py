"""Energy by cell: an arm whose mean over cells is right may be rough in calm and smooth in brisk ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from motionsynth.report.numbers import number_text
from motionsynth.report.page import Cell, Column, Row, Table, figure_cell
from motionsynth.report.study.gather import Entry, mean_of

__all__ = ["cell_tables"]

_MOST: Final = 30
"""Cells with a row each; more are told by content."""
_SIDE_BY_SIDE: Final = 8
_OFF: Final = 1.5
"""Factor from which on a cell is counted as below or above real motion."""
_KEY: Final = "energy_above_5hz"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One cell of one entry, mean over seeds.

    Args:
        share: of the windows drawn.
        real: of real windows.
        log: natural logarithm of the ratio of energies; None where no seed drew a window of the cell.
    """

    share: float
    real: float
    log: float | None


def cell_tables(entries: Sequence[Entry]) -> Iterator[Table]:
    """How much energy above 5 Hz each arm has in each cell against real motion, and how many windows are of the cell.

    Args:
        entries: of one corpus; main views are shown, and of a VAE those too that tell where its blur comes from.
    """
    shown = {entry.name: entry for entry in entries if _wanted(entry)}
    drawn = {name: told for name, entry in shown.items() if (told := _cells(entry))}
    real = {cell: of.real for told in drawn.values() for cell, of in told.items()}
    order = sorted(real, key=lambda cell: (-real[cell], cell))
    groups = _groups(order)
    names = list(drawn)
    for start in range(0, len(names), _SIDE_BY_SIDE):
        part = names[start : start + _SIDE_BY_SIDE]
        rows: list[Row] = [
            [Cell(group, note=f"{len(cells)} cells" if len(cells) > 1 else ""), f"{sum(real[c] for c in cells):.1%}",
             *(_entry([drawn[name][cell] for cell in cells if cell in drawn[name]]) for name in part)]
            for group, cells in groups.items()
        ]  # fmt: skip
        rows.append([Cell("cells off real motion"), "", *(_count(drawn[name]) for name in part)])
        rows.append([Cell("cells visited", note="%"), "", *(_visited(shown[name]) for name in part)])
        columns = [
            Column("cell" if len(groups) == len(order) else "content", figure=False),
            Column("real", "of windows"),
            *(Column(name, "times real") for name in part),
        ]
        caption = "Energy above 5 Hz by cell, exploratory" + (", continued" if start else "")
        yield Table(columns, rows, caption=caption, notes=[] if start else _notes(len(groups), len(order)))


def _notes(groups: int, cells: int) -> list[str]:
    notes = [
        "Energy above 5 Hz of an arm's windows of a cell, as many times that of real windows of the cell: geometric "
        "mean over windows and seeds; below it the share of all windows that are of the cell, by the classifier that "
        f"judges. Cells off real motion: by a factor of {_OFF:g} or more. A mean over cells hides that calm ones may "
        "be rougher than real motion and brisk ones smoother. Cells visited: with one window at least, however unlike "
        "real motion; in a cell that is covered one at least passes the realism gate. No verdict rests on this table."
    ]
    if groups < cells:
        notes.append(f"{cells} cells are told by content: the geometric mean of its cells. The last rows count cells.")
    return notes


def _wanted(entry: Entry) -> bool:
    view = entry.config.views[entry.view]
    return entry.main or (entry.config.family == "vae" and (view.reconstruct or view.prior == "fitted"))


def _cells(entry: Entry) -> dict[str, _Drawn]:
    """The cells of an entry; none where nothing was measured by cell."""
    seeds = [view.cells for view in entry.views if view.cells]
    names = dict.fromkeys(name for cells in seeds for name in cells)
    return {
        name: _Drawn(
            float(np.mean([_share(cells, name, "windows") for cells in seeds])),
            float(np.mean([_share(cells, name, "real") for cells in seeds])),
            _mean([cells[name][_KEY] for cells in seeds if _KEY in cells.get(name, {})]),
        )
        for name in names
    }


def _share(cells: Mapping[str, Mapping[str, float]], name: str, what: str) -> float:
    return cells.get(name, {}).get(what, 0.0) / max(sum(cell[what] for cell in cells.values()), 1.0)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _groups(cells: Sequence[str]) -> dict[str, list[str]]:
    """Each cell by itself, or the cells of each content where they are many: cells are called ``content/style``."""
    groups: dict[str, list[str]] = {}
    for cell in cells:
        groups.setdefault(cell if len(cells) <= _MOST else cell.partition("/")[0], []).append(cell)
    return groups


def _entry(cells: Sequence[_Drawn]) -> Cell:
    log = _mean([cell.log for cell in cells if cell.log is not None])
    share = f"{sum(cell.share for cell in cells):.1%}"
    if log is None:
        return Cell("–", note=share, tone="dim")
    return Cell(number_text(math.exp(log)), note=share)


def _visited(entry: Entry) -> Cell:
    """Share of the cells of real motion that a seed draws at all, in percent."""
    seeds = [[cell["windows"] > 0 for cell in view.cells.values() if cell["real"] > 0] for view in entry.views]
    mean = mean_of([100 * sum(drawn) / len(drawn) for drawn in seeds if drawn], entry.confidence)
    return figure_cell(mean.value, mean.low, mean.high) if mean else Cell("–", tone="dim")


def _count(cells: Mapping[str, _Drawn]) -> Cell:
    logs = [cell.log for cell in cells.values() if cell.log is not None]
    limit = math.log(_OFF) - 1e-9
    below, above = sum(log <= -limit for log in logs), sum(log >= limit for log in logs)
    none = f", {len(cells) - len(logs)} without a window" if len(logs) < len(cells) else ""
    return Cell(f"{below} below, {above} above", note=f"of {len(cells)}{none}")
