"""Points on two axes with their intervals, each with its name beside it where there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from motionsynth.view.axes import chart_axes, name_axes
from motionsynth.view.svg import INK, QUIET, SERIES, named

__all__ = ["Point", "plane_chart"]

WIDTH: Final = 940.0
HEIGHT: Final = 560.0
_LETTER: Final = 5.7
_LINE: Final = 12.0
_GAP: Final = 4.0
"""Of a name, and between two in a line, in CSS pixels."""
_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "p")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One point.

    Args:
        name: beside it.
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
        points: those that come first get the better places for their names.
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
        for point, (colour, mark, hollow) in zip(points, styles, strict=True):
            start = first.setdefault(point.group or point.name, point)
            if start is not point:
                axes.plot([start.x, point.x], [start.y, point.y], color=colour, linewidth=0.8, alpha=0.55, zorder=1.5)
            _point(axes, point, colour, mark, hollow)
        _names(axes, points, styles, corners)
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


def _point(axes: Any, point: Point, colour: str, mark: str, hollow: bool) -> None:
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


def _corner(axes: Any, x: float, y: float, words: str) -> None:
    align = {"ha": "left" if x < 0.5 else "right", "va": "bottom" if y < 0.5 else "top"}
    axes.text(x, y, words, transform=axes.transAxes, color=QUIET, fontsize=8.2, style="italic", **align)


def _names(
    axes: Any,
    points: Sequence[Point],
    styles: Sequence[tuple[str, str, bool]],
    corners: Sequence[tuple[float, float, str]],
) -> None:
    """Put each name where it covers least; far from its point a thin line leads to it."""
    axes.figure.draw_without_rendering()  # lays the axes out, which tells where points are
    scale = 96 / axes.figure.dpi
    at = axes.transData.transform([(point.x, point.y) for point in points]).reshape(-1, 2) * scale
    frame = axes.get_window_extent()
    inside = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    taken += _whiskers(axes, points, scale)
    for x, y, words in corners:
        corner_x, corner_y = axes.transAxes.transform((x, y)) * scale
        start = corner_x if x < 0.5 else corner_x - _LETTER * len(words)
        bottom = corner_y if y < 0.5 else corner_y - _LINE
        taken.append((start, bottom, start + _LETTER * len(words), bottom + _LINE))
    for point, (colour, *_), (x, y) in zip(points, styles, at, strict=True):
        size = _LETTER * len(point.name), _LINE
        box = min(_places(x, y, *size), key=lambda there: _cost(there[1], taken, inside, there[0]))[1]
        taken.append((box[0] - _GAP, box[1], box[2] + _GAP, box[3]))
        edge = np.clip((0.0, 0.0), (box[0] - x, box[1] - y), (box[2] - x, box[3] - y))
        if np.hypot(*edge) > 12:
            axes.annotate(
                "", (point.x, point.y), edge * 0.75, textcoords="offset points", in_layout=False,
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
            )  # fmt: skip
        # a name starts or ends at its point's side, whatever the letters of the reader's font are wide
        side, start = ("left", box[0]) if edge[0] > 4 else ("right", box[2]) if edge[0] < -4 else ("center", None)
        offset = ((box[0] + box[2]) / 2 if start is None else start) - x, (box[1] + box[3]) / 2 - y
        axes.annotate(
            point.name, (point.x, point.y), np.multiply(offset, 0.75), textcoords="offset points", ha=side,
            va="center", fontsize=8.2, color=INK if point.landmark else colour, annotation_clip=False, in_layout=False,
        )  # fmt: skip


def _whiskers(axes: Any, points: Sequence[Point], scale: float) -> list[Box]:
    """Room that intervals take."""
    boxes = []
    for point in points:
        for ends in ([(x, point.y) for x in point.x_range or ()], [(point.x, y) for y in point.y_range or ()]):
            if ends:
                low, high = axes.transData.transform(ends) * scale
                boxes.append((low[0] - 1.5, low[1] - 1.5, high[0] + 1.5, high[1] + 1.5))
    return boxes


def _places(x: float, y: float, wide: float, tall: float) -> Iterator[tuple[float, Box]]:
    """Boxes around a point, the nearer and the more usual ones at a lower price."""
    for ring, far in enumerate((8.0, 16.0, 28.0, 42.0, 60.0, 80.0)):
        for turn, angle in enumerate(np.deg2rad([0, 180, 90, 270, 35, -35, 145, -145, 65, -65, 115, -115])):
            middle_x = x + np.cos(angle) * (far + wide / 2)
            middle_y = y + np.sin(angle) * (far + tall / 2)
            box = (middle_x - wide / 2, middle_y - tall / 2, middle_x + wide / 2, middle_y + tall / 2)
            yield 30.0 * ring + turn, box


def _cost(box: Box, taken: Sequence[Box], inside: Box, price: float) -> float:
    covered = sum(_overlap(box, other) for other in taken)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, inside)
    return price + 4.0 * covered + 4.0 * outside


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, tall)
