"""Charts with a place for each name: figures with their intervals in rows, heights in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from motionsynth.view.axes import (
    HEIGHT,
    WIDTH,
    Numbers,
    Role,
    chart_axes,
    colours,
    kept,
    legend,
    name_axes,
    shortened,
    ticks,
)
from motionsynth.view.svg import INK, QUIET, SERIES, named

__all__ = ["Bars", "Interval", "bar_chart", "interval_chart"]


_BESIDE: Final = 56
"""Letters of a name beside its row."""
_BELOW: Final = 36
"""Letters of a name under its column."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval on one row, and the range that it is held against."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    against_low: float | None = None
    against_high: float | None = None
    against: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """One height a category, in the order of the categories."""

    name: str
    values: Numbers
    role: Role = ""


def interval_chart(
    rows: Sequence[Interval],
    *,
    x_label: str,
    x_scale: Literal["linear", "log", "symlog"] = "linear",
    against: str = "real against real",
    zero: bool = False,
    alt: str = "",
    width: float = WIDTH,
) -> str:
    """Figures with their intervals, one row each, before the range that each is held against.

    Args:
        rows: from top to bottom.
        x_label: with unit; all rows share the axis.
        x_scale: ``symlog`` is linear between -1 and 1 and logarithmic beyond.
        against: what the ranges behind the figures are.
        zero: whether a line marks 0.
        alt, width: see :func:`line_chart`.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    with chart_axes(width, 62.0 + 22.0 * max(len(rows), 1)) as (axes, finish):
        axes.set_xscale(x_scale, **({"linthresh": 1.0} if x_scale == "symlog" else {}))
        drawn = [_row(axes, place, row, x_scale) for place, row in enumerate(rows)]
        if zero:
            axes.axvline(0.0, color=INK, linewidth=0.8)
        if not any(drawn):
            axes.set_xlim(*((0.1, 10.0) if x_scale == "log" else (-1.0, 1.0)))
        labels = [row.name if there else f"{row.name} (no value)" for row, there in zip(rows, drawn, strict=True)]
        axes.set_yticks(range(len(rows)), [shortened(text, _BESIDE) for text in labels])
        axes.set_ylim(len(rows) - 0.4 if rows else 0.5, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        ticks(axes.xaxis, x_scale, ())
        name_axes(axes, x_label, "")
        if any(row.against_low is not None or row.against is not None for row in rows):
            figure = Line2D([], [], color=SERIES[0], marker="o", linewidth=1.6, markersize=5)
            handles = [figure, Rectangle((0, 0), 1, 1, facecolor=QUIET, alpha=0.3)]
            axes.figure.legend(handles, ["figure and interval", against], loc="outside upper left", ncols=2)
        return finish(alt or f"{x_label} of {len(rows)} figures")


def bar_chart(
    categories: Sequence[str],
    bars: Sequence[Bars],
    *,
    y_label: str,
    alt: str = "",
    width: float = 2 * WIDTH,
    height: float = HEIGHT,
) -> str:
    """Heights by category, sets side by side: how many clips fall in each cell.

    Args:
        categories: names along x, in order.
        bars: the sets, each with one height a category; what is not finite has no bar.
        y_label: with unit.
        alt, width, height: see :func:`line_chart`.

    Raises:
        ValueError: a set without exactly one height a category.
    """
    names = [shortened(name, _BELOW) for name in categories]
    longest = max((len(name) for name in names), default=0)
    upright = longest * len(names) * 6.5 > width
    # names that stand upright get their room in addition
    with chart_axes(width, height + 5.5 * longest * upright) as (axes, finish):
        share = 0.8 / max(len(bars), 1)
        for place, (bar, colour) in enumerate(zip(bars, colours([bar.role for bar in bars]), strict=True)):
            values = np.asarray(bar.values, np.float64)
            if values.shape != (len(categories),):
                raise ValueError(f"{bar.name}: {values.size} heights for {len(categories)} categories")
            middle = np.arange(len(categories)) + (place - (len(bars) - 1) / 2) * share
            there = np.isfinite(values)
            label = bar.name if there.any() else f"{bar.name} (no values)"
            drawn = axes.bar(middle[there], values[there], share, color=colour, label=label)
            for patch, category, value in zip(drawn, np.asarray(categories)[there], values[there], strict=True):
                named(patch, f"{bar.name} · {category}: {value:.4g}")
        axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, max(len(categories), 1) - 0.4)
        axes.grid(axis="x", visible=False)
        ticks(axes.yaxis, "linear", ())
        name_axes(axes, "", y_label)
        legend(axes)
        return finish(alt or f"{y_label} of {', '.join(bar.name for bar in bars)} by category")


def _row(axes: Any, place: int, row: Interval, scale: str) -> bool:
    """Draw a row; whether it has a figure to show."""
    against = kept([value if value is not None else np.nan for value in (row.against_low, row.against_high)], scale)
    if np.isfinite(against).all():
        width = against[1] - against[0]
        named(axes.barh(place, width, 0.62, left=against[0], color=QUIET, alpha=0.25)[0], f"{row.name}: held against")
    if row.against is not None and np.isfinite(kept([row.against], scale)).all():
        axes.plot([row.against] * 2, [place - 0.31, place + 0.31], color=QUIET, linewidth=1.2)
    value = kept([row.value], scale)
    if not np.isfinite(value).all():
        return bool(np.isfinite(against).all())
    ends = kept([row.value if edge is None else edge for edge in (row.low, row.high)], scale)
    axes.plot(ends, [place, place], color=SERIES[0], linewidth=1.8, solid_capstyle="butt")
    (mark,) = axes.plot(value, [place], "o", color=SERIES[0], markersize=5)
    named(mark, f"{row.name}: {row.value:.4g}")
    return True
