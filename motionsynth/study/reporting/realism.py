"""Each arm as a point: how like real motion its windows are, against how much of real motion's mass it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from motionsynth.study.reporting.gather import Entry, Gathered, Mean, mean_of
from motionsynth.study.reporting.shares import due_share
from motionsynth.view.numbers import number_text
from motionsynth.view.page import Cell, Column, Picture, Table, figure_cell
from motionsynth.view.plane import Point, plane_chart

__all__ = ["PRECISION", "QUARTER", "missing_mass", "realism_picture", "realism_table"]

PRECISION: Final = "modes/precision.pca"
QUARTER: Final = 0.25
"""Part of its due share below which a cell counts as left out."""
_CAPTION: Final = (
    "Up: precision, the share of generated windows that lie among real ones (principal components). To the right: the "
    "share of kinds of motion (cells) that get less than a quarter of their due share of windows, realistic or not. "
    "So realism and missing mass are told apart: real motion stands at the upper left. Mean over seeds with t "
    "intervals; hollow marks are the same weights with latents from elsewhere, joined by a thin line; stars are "
    "landmarks. Exploratory: no verdict rests on it."
)
_TICKS: Final = tuple((tenths / 10, f"{10 * tenths} %") for tenths in range(0, 11, 2))


def missing_mass(entry: Entry) -> Mean | None:
    """Share of the cells with less than a quarter of their due share, over seeds."""
    shares = [share for view in entry.views if (share := due_share(view, QUARTER)) is not None]
    return mean_of([1 - share for share in shares], entry.confidence)


def realism_picture(gathered: Gathered, corpus: str, entries: Sequence[Entry], *, tier: str = "") -> Picture | None:
    """Each entry on precision against missing mass; None where fewer than two have both."""
    points = [point for entry in entries if _drawn(entry) and (point := _point(entry)) is not None]
    if len(points) < 2:
        return None
    where = gathered.corpus_title(corpus)
    svg = plane_chart(
        points,
        x_label="kinds of motion with less than a quarter of their due share",
        y_label="precision: windows that lie among real ones",
        x_ticks=_TICKS,
        y_ticks=_TICKS,
        x_limits=(-0.04, 1.04),
        y_limits=(-0.05, 1.05),
        corners=((0.015, 0.985, "realistic, all kinds"), (0.985, 0.985, "realistic, kinds missing"),
                 (0.015, 0.012, "unlike real motion, all kinds"), (0.985, 0.012, "unlike real motion, kinds missing")),
        alt=f"Precision against missing mass on {where}",
    )  # fmt: skip
    title = f"Realism against missing mass on {where}" + (f", {tier}" if tier else "")
    return Picture(svg, title, _CAPTION, wide=True, file=f"realism {corpus} {tier}")


def realism_table(entries: Sequence[Entry], landmarks: Sequence[Entry]) -> Table | None:
    """Table of the picture's figures, of every view, with the share of cells visited; None where nothing has both."""
    columns = [
        Column("arm", figure=False), Column("seeds"), Column("precision (pca)", note=PRECISION),
        Column("kinds below a quarter", "%"), Column("kinds visited", "%"),
    ]  # fmt: skip
    rows: list[list[Cell | str | float | None]] = []
    for place, entry in enumerate([*entries, *landmarks]):
        if place == len(entries):
            rows.append([Cell("landmarks")])
        precision, missing = entry.figure(PRECISION), missing_mass(entry)
        if precision is not None and missing is not None:
            visited = _mean(entry, 0.0)
            numbers = [_cell(mean, scale) for mean, scale in ((precision, 1), (missing, 100), (visited, 100))]
            rows.append([Cell(entry.name), str(len(entry.results)), *numbers])
    if all(len(row) == 1 for row in rows):
        return None
    notes = ["Below a quarter: with less than a quarter of their due share of windows. Visited: with one at least."]
    return Table(columns, rows, caption="Realism and missing mass", notes=notes)


def _cell(mean: Mean | None, scale: float) -> Cell:
    if mean is None:
        return Cell("–", tone="dim")
    value, low, high = (None if end is None else scale * end for end in (mean.value, mean.low, mean.high))
    return Cell(number_text(value)) if low == high else figure_cell(value, low, high)


def _mean(entry: Entry, least: float) -> Mean | None:
    """Share of the cells that have a part of their due share, over seeds."""
    shares = [share for view in entry.views if (share := due_share(view, least)) is not None]
    return mean_of(shares, entry.confidence)


def _drawn(entry: Entry) -> bool:
    """Test whether an entry is an arm's own view, or one that differs by where latents come from alone."""
    view = entry.config.views[entry.view]
    return entry.main or (view.ema and not view.reconstruct and view.show != "sample")


def _point(entry: Entry) -> Point | None:
    x, y = missing_mass(entry), entry.figure(PRECISION)
    if x is None or y is None:
        return None
    tip = f"{entry.name} · precision {number_text(y.value)}; {100 * x.value:.0f} % of the kinds below a quarter"
    landmark = entry.config.tier == "landmark"
    return Point(entry.name, x.value, y.value, _ends(x), _ends(y), entry.arm, landmark, tip)


def _ends(mean: Mean) -> tuple[float, float] | None:
    """The interval as far as shares go."""
    if mean.low is None or mean.high is None:
        return None
    low, high = max(mean.low, 0.0), min(mean.high, 1.0)
    return (low, high) if low < high else None
