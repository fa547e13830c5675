"""Charts as SVG text to put into a page: their ink takes the page's colour, so they are right in light and in dark.

Same input, same bytes. Text stays text. Numbers that are not finite, and numbers at or below zero on a logarithmic
axis, are gaps; a series that has nothing left is named in the legend with ``(no values)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

import numpy as np

from motionsynth.report.axes import (
    HEIGHT,
    WIDTH,
    Numbers,
    Role,
    Scale,
    chart_axes,
    colours,
    kept,
    legend,
    name_axes,
    shortened,
    ticks,
)
from motionsynth.report.svg import QUIET, SERIES, named

__all__ = [
    "Band",
    "Bars",
    "Line",
    "Reading",
    "Role",
    "bar_chart",
    "distribution_chart",
    "line_chart",
    "spectra_chart",
]

_BELOW: Final = 36
"""Letters of a name under its column."""
DASHES: Final = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


@dataclass(frozen=True, slots=True)
class Line:
    """A series over x.

    Args:
        name: in the legend; empty: not listed.
        x, y: the points; drawn in the order given.
        low, high: edges of a band around the line; both or neither.
        dots: single measurements behind the line, as pairs (x, y): the repeats of a dose.
        role: ``generated`` (orange), ``reference`` (ink), ``train`` (grey), or empty: the palette's next colour.
        markers: whether points carry a mark.
    """

    name: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    dots: Sequence[tuple[float, float]] = ()
    role: Role = ""
    markers: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """One height a category, in the order of the categories."""

    name: str
    values: Numbers
    role: Role = ""


@dataclass(frozen=True, slots=True)
class Band:
    """A range of y across the whole chart, such as what real motion scores against real motion."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure ``y`` read backwards on a curve: it stands at ``x``, somewhere between ``low`` and ``high``.

    ``x`` is None where the curve gives no reading: only the height of the figure is then drawn.
    """

    name: str
    y: float
    x: float | None = None
    low: float | None = None
    high: float | None = None


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    x_scale: Scale = "linear",
    y_scale: Scale = "linear",
    x_reversed: bool = False,
    x_ticks: Sequence[float] = (),
    bands: Sequence[Band] = (),
    readings: Sequence[Reading] = (),
    marks: Sequence[tuple[float, str]] = (),
    alt: str = "",
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """Series over x: dose curves, spectra, histories.

    Args:
        lines: the series.
        x_label, y_label: with units.
        x_scale, y_scale: ``log`` leaves out what is not positive.
        x_reversed: large x on the left, for doses that are stronger the smaller the number.
        x_ticks: where x is labelled; chosen by the values where empty.
        bands: ranges of y across the chart.
        readings: figures of a model on the curve.
        marks: vertical lines, as pairs of x and a few words.
        alt: what the picture shows, for those who cannot see it.
        width, height: in CSS pixels.

    Returns:
        An ``<svg>`` element.

    Raises:
        ValueError: series of unequal lengths.
    """
    with chart_axes(width, height) as (axes, finish):
        axes.set_xscale(x_scale)
        axes.set_yscale(y_scale)
        for band in bands:
            _band(axes, band, y_scale)
        for line, colour, dash in zip(lines, colours([line.role for line in lines]), _dashes(lines), strict=True):
            _line(axes, line, colour, dash, (x_scale, y_scale))
        for reading in readings:
            _reading(axes, reading, (x_scale, y_scale))
        for x, words in marks:
            _mark(axes, x, words)
        ticks(axes.xaxis, x_scale, x_ticks)
        ticks(axes.yaxis, y_scale, ())
        if x_reversed:
            axes.invert_xaxis()
        name_axes(axes, x_label, y_label)
        legend(axes)
        return finish(alt or f"{y_label} over {x_label}")


def spectra_chart(
    spectra: Sequence[tuple[str, Numbers, Numbers]],
    *,
    y_label: str,
    roles: Sequence[Role] = (),
    marks: Sequence[float] = (),
    alt: str = "",
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """Power by frequency of several sets on logarithmic axes; frequency 0 is left out.

    Args:
        spectra: name, frequencies in Hz and power of each set.
        y_label: what the power is of, with unit.
        roles: see :class:`Line`, one a spectrum.
        marks: frequencies in Hz to point out, such as the limits above which energy is counted.
        alt, width, height: see :func:`line_chart`.
    """
    roles = roles or [""] * len(spectra)
    lines = [Line(name, x, y, role=role) for (name, x, y), role in zip(spectra, roles, strict=True)]
    return line_chart(
        lines,
        x_label="frequency (Hz)",
        y_label=y_label,
        x_scale="log",
        y_scale="log",
        marks=[(hz, f"{hz:g} Hz") for hz in marks],
        alt=alt or f"{y_label} by frequency of {', '.join(name for name, *_ in spectra)}",
        width=width,
        height=height,
    )


def distribution_chart(
    sets: Sequence[tuple[str, Numbers]],
    *,
    x_label: str,
    roles: Sequence[Role] = (),
    bins: int = 40,
    alt: str = "",
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """Share of each set's values by bin, all over the same bins: from the smallest finite value to the largest.

    Args:
        sets: name and values of each set.
        x_label: with unit.
        roles: see :class:`Line`, one a set.
        bins: number of bins of equal width.
        alt, width, height: see :func:`line_chart`.
    """
    roles = roles or [""] * len(sets)
    finite = [values[np.isfinite(values)] for values in (np.asarray(v, np.float64).ravel() for _, v in sets)]
    together = np.concatenate([*finite, np.zeros(0)])
    low, high = (together.min(), together.max()) if len(together) else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    outline = np.repeat(edges, 2)
    lines = []
    for (name, _), values, role in zip(sets, finite, roles, strict=True):
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        steps = np.concatenate([[0.0], np.repeat(share, 2), [0.0]]) if len(values) else np.full(len(outline), np.nan)
        lines.append(Line(name, outline, steps, role=role))
    return line_chart(
        lines, x_label=x_label, y_label="share of the set", alt=alt or f"distribution of {x_label}", width=width,
        height=height,
    )  # fmt: skip


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


def _dashes(lines: Sequence[Line]) -> list[Any]:
    """Lines differ in dash as well as in colour; what is judged and what it is judged by are solid."""
    rest = cycle(DASHES)
    taken = {"generated": "-", "reference": "-", "train": DASHES[1]}
    return [taken[line.role] if line.role else next(rest) for line in lines]


def _line(axes: Any, line: Line, colour: str, dash: Any, scales: tuple[str, str]) -> None:
    x, y = kept(line.x, scales[0]), kept(line.y, scales[1])
    low, high = kept(line.low, scales[1]), kept(line.high, scales[1])
    if not len(x) == len(y) or not len(low) == len(high) or len(low) not in (0, len(x)):
        raise ValueError(f"{line.name}: x, y, low and high must be of one length")
    shown = np.isfinite(x) & np.isfinite(y)
    name = line.name if shown.any() else f"{line.name} (no values)"
    alone = int(shown.sum()) == 1
    mark = {"marker": "o", "markersize": 4} if line.markers or alone else {}
    if len(low):
        named(axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0), f"{line.name}: range")
    dots = np.array(line.dots, dtype=np.float64).reshape(-1, 2)
    if len(dots):
        dot_x, dot_y = kept(dots[:, 0], scales[0]), kept(dots[:, 1], scales[1])
        named(axes.plot(dot_x, dot_y, "o", color=colour, alpha=0.45, markersize=2.6, markeredgewidth=0)[0], line.name)
    label = name if line.name else "_"
    named(axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.6, label=label, **mark)[0], line.name)


def _band(axes: Any, band: Band, scale: str) -> None:
    low, high = sorted(kept([band.low, band.high], scale).tolist())
    if np.isfinite([low, high]).all():
        area = axes.axhspan(low, high, color=QUIET, alpha=0.18, linewidth=0, label=band.name)
        named(area, f"{band.name}: {band.low:.4g} to {band.high:.4g}")
        axes.axhline((low + high) / 2, color=QUIET, linewidth=0.8, alpha=0.6)


def _reading(axes: Any, reading: Reading, scales: tuple[str, str]) -> None:
    y = float(kept([reading.y], scales[1])[0])
    if not np.isfinite(y):
        axes.plot([], [], " ", label=f"{reading.name} (no value)")
        return
    colour = SERIES[0]
    if reading.x is None:
        named(axes.axhline(y, color=colour, linewidth=1.2, linestyle=DASHES[2], label=reading.name), reading.name)
        return
    ends = kept([reading.low or reading.x, reading.high or reading.x], scales[0])
    named(axes.plot(ends, [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")[0], reading.name)
    (mark,) = axes.plot([reading.x], [y], "D", color=colour, markersize=6, label=reading.name, zorder=4)
    named(mark, f"{reading.name}: {reading.x:.4g}")


def _mark(axes: Any, x: float, words: str) -> None:
    axes.axvline(x, color=QUIET, linewidth=0.8, alpha=0.7, linestyle=DASHES[2])
    place = axes.get_xaxis_transform()
    axes.text(x, 1.0, words, transform=place, ha="center", va="bottom", color=QUIET, fontsize=7.5)
