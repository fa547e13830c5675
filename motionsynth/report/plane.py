"""Points on two axes with their intervals, numbered as in the legend beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from motionsynth.report.axes import chart_axes, name_axes, shortened
from motionsynth.report.svg import INK, QUIET, SERIES, named

__all__ = ["Point", "plane_chart"]

WIDTH: Final = 940.0
HEIGHT: Final = 560.0
_LEGEND: Final = 44
"""Letters of a name in the legend."""
_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "p")


@dataclass(frozen=True, slots=True)
class Point:
    """One point.

    Args:
        name: in the legend.
        x, y: where it is.
        x_range, y_range: its intervals; None where it has none.
        group: points of one group share colour and mark, and a thin line runs from the first to each of the others.
        landmark: drawn in ink, as what the others are held against.
        tip: more, when the pointer rests on it.
    """

    name: str
    x: float
    y: float
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    group: str = ""
    landmark: bool = False
    tip: str = ""


def plane_chart(
    points: Sequence[Point],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[tuple[float, str]] = (),
    y_ticks: Sequence[tuple[float, str]] = (),
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    rules: Sequence[float] = (),
    corners: Sequence[tuple[float, float, str]] = (),
    alt: str = "",
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """Points on two axes: how blurred against how narrow.

    Args:
        points: numbered in this order.
        x_label, y_label: with units.
        x_ticks, y_ticks: where an axis is labelled, and how; chosen by the values where empty.
        x_limits, y_limits: ends of the axes; by the points where None.
        rules: places on x with a line from top to bottom.
        corners: words in the plane, as x, y (shares of its width and height) and text.
        alt: what the picture shows, for those who cannot see it.
        width, height: in CSS pixels.

    Returns:
        An ``<svg>`` element.
    """
    with chart_axes(width, height) as (axes, finish):
        if x_limits:
            axes.set_xlim(*x_limits)
        if y_limits:
            axes.set_ylim(*y_limits)
        for x in rules:
            axes.axvline(x, color=INK, linewidth=0.8, alpha=0.6)
        for axis, places in ((axes.xaxis, x_ticks), (axes.yaxis, y_ticks)):
            if places:
                axis.set_ticks([place for place, _ in places], [text for _, text in places])
        name_axes(axes, x_label, y_label)
        for corner in corners:
            _corner(axes, *corner)
        styles = _styles(points)
        first: dict[str, Point] = {}
        handles = []
        for number, (point, (colour, mark, hollow)) in enumerate(zip(points, styles, strict=True), 1):
            start = first.setdefault(point.group or point.name, point)
            if start is not point:
                axes.plot([start.x, point.x], [start.y, point.y], color=colour, linewidth=0.8, alpha=0.55, zorder=1.5)
            handles.append(_point(axes, point, colour, mark, hollow))
            _number(axes, point, number, colour)
        names = [shortened(f"{number}  {point.name}", _LEGEND) for number, point in enumerate(points, 1)]
        axes.figure.legend(handles, names, loc="outside right upper", fontsize=8.2, handlelength=1.2)
        return finish(alt or f"{y_label} against {x_label} of {', '.join(point.name for point in points)}")


def _styles(points: Sequence[Point]) -> list[tuple[str, str, bool]]:
    """Colour, mark and whether the mark is hollow: the first of a group is full."""
    groups = list(dict.fromkeys(point.group or point.name for point in points if not point.landmark))
    seen: set[str] = set()
    styles = []
    for point in points:
        group = point.group or point.name
        if point.landmark:
            styles.append((INK, "*", False))
        else:
            place = groups.index(group)
            styles.append((SERIES[place % len(SERIES)], _MARKS[place % len(_MARKS)], group in seen))
        seen.add(group)
    return styles


def _point(axes: Any, point: Point, colour: str, mark: str, hollow: bool) -> Any:
    line = {"color": colour, "linewidth": 1.2, "alpha": 0.55, "solid_capstyle": "butt", "zorder": 2}
    if point.x_range:
        axes.plot(point.x_range, [point.y] * 2, **line)
    if point.y_range:
        axes.plot([point.x] * 2, point.y_range, **line)
    size = 9 if mark == "*" else 6.5
    (drawn,) = axes.plot(
        [point.x], [point.y], mark, color=colour, markersize=size, mew=1.3, mfc="none" if hollow else colour, zorder=3
    )
    named(drawn, point.tip or f"{point.name}: {point.x:.3g}, {point.y:.3g}")
    return drawn


def _corner(axes: Any, x: float, y: float, words: str) -> None:
    align = {"ha": "left" if x < 0.5 else "right", "va": "bottom" if y < 0.5 else "top"}
    axes.text(x, y, words, transform=axes.transAxes, color=QUIET, fontsize=8.2, style="italic", **align)


def _number(axes: Any, point: Point, number: int, colour: str) -> None:
    """Number of a point, at its upper right, by which the legend names it."""
    axes.annotate(
        str(number), (point.x, point.y), (4, 3), textcoords="offset points", fontsize=8.2, color=colour,
        annotation_clip=False, in_layout=False,
    )  # fmt: skip
