"""Forest plot: one effect a row, its interval, and the zone in which an effect is too small to matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from motionsynth.report.axes import chart_axes, kept, name_axes, shortened, ticks
from motionsynth.report.svg import EDGE, INK, QUIET, SERIES, named

__all__ = ["Effect", "forest_chart"]

WIDTH: Final = 940.0
_ROW: Final = 25.0
_BESIDE: Final = 74
"""Letters of a name beside its row."""
_COLOURS: Final = {"for": SERIES[2], "against": SERIES[0], "small": SERIES[1], "open": QUIET, "none": QUIET}
_MARKS: Final = {"for": "o", "against": "D", "small": "s", "open": "o", "none": "x"}

Tone = Literal["for", "against", "small", "open", "none"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One row.

    Args:
        name: at its left.
        value, low, high: the effect and its interval; None where there is none, and the row then says so.
        text: at its right, such as the effect in its own unit.
        tone: what it means: ``for`` the statement, ``against`` it, too ``small`` to matter, ``open``, or ``none``:
            not drawn upon.
        dots: single measurements behind the mark, such as one a seed.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    text: str = ""
    tone: Tone = "open"
    dots: Sequence[float] = ()


def forest_chart(
    rows: Sequence[Effect | str],
    *,
    x_label: str,
    zone: tuple[float, float] | None = None,
    sides: tuple[str, str] = ("", ""),
    legend: Sequence[tuple[Tone, str]] = (),
    alt: str = "",
    width: float = WIDTH,
) -> str:
    """Effects with their intervals, one row each; linear near the zone, logarithmic far from it.

    Args:
        rows: from top to bottom; a text is a heading over the rows below it.
        x_label: with unit; all rows share the axis.
        zone: effects that are too small to matter.
        sides: what an effect left and right of 0 says.
        legend: words for the tones that occur.
        alt: what the picture shows, for those who cannot see it.
        width: in CSS pixels.

    Returns:
        An ``<svg>`` element.
    """
    effects = [row for row in rows if isinstance(row, Effect)]
    with chart_axes(width, 96.0 + _ROW * max(len(rows), 1)) as (axes, finish):
        scale = _scale(axes, effects)
        if zone is not None:
            named(axes.axvspan(*zone, color=QUIET, alpha=0.16, linewidth=0), "too small to matter")
        axes.axvline(0.0, color=INK, linewidth=0.9)
        for place, row in enumerate(rows):
            if isinstance(row, Effect):
                _effect(axes, place, row)
            elif place:
                axes.axhline(place - 0.5, color=EDGE, linewidth=0.8)
        _rows(axes, rows)
        _sides(axes, sides)
        ticks(axes.xaxis, scale, ())
        name_axes(axes, x_label, "")
        _legend(axes, effects, legend)
        return finish(alt or f"{x_label} of {len(effects)} contrasts")


def _scale(axes: Any, effects: Sequence[Effect]) -> str:
    ends = [abs(x) for e in effects for x in (e.value, e.low, e.high) if x is not None and np.isfinite(x)]
    farthest = max(ends, default=1.0)
    scale = "symlog" if farthest > 8 else "linear"
    axes.set_xscale(scale, **({"linthresh": 2.0, "linscale": 1.2} if scale == "symlog" else {}))
    reach = 1.15 * max(farthest, 1.5) if scale == "linear" else 1.6 * farthest
    axes.set_xlim(-reach, reach)
    return scale


def _effect(axes: Any, place: int, effect: Effect) -> None:
    value = kept([np.nan if effect.value is None else effect.value], "linear")
    colour = _COLOURS[effect.tone]
    if np.isfinite(value).all():
        dots = kept(effect.dots, "linear")
        axes.plot(dots, np.full(len(dots), place), "o", color=colour, markersize=2.8, alpha=0.5, markeredgewidth=0)
        low, high = (value[0] if end is None else end for end in (effect.low, effect.high))
        axes.plot([low, high], [place, place], color=colour, linewidth=2.0, solid_capstyle="butt")
        size = 7 if effect.tone in ("for", "against") else 6
        face = "none" if effect.tone == "open" else colour
        (mark,) = axes.plot(value, [place], _MARKS[effect.tone], color=colour, markersize=size, mew=1.6, mfc=face)
        named(mark, f"{effect.name}: {effect.text or format(value[0], '.3g')}")
    words = effect.text if np.isfinite(value).all() else effect.text or "no value"
    beyond = axes.get_yaxis_transform()
    axes.text(1.012, place, words, transform=beyond, va="center", ha="left", fontsize=8.2, color=INK, clip_on=False)


def _rows(axes: Any, rows: Sequence[Effect | str]) -> None:
    names = [shortened(row.name if isinstance(row, Effect) else row, _BESIDE) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if isinstance(row, str):
            label.set_fontweight("bold")
    axes.set_ylim(len(rows) - 0.4 if rows else 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def _sides(axes: Any, sides: tuple[str, str]) -> None:
    for x, words, align in ((0.0, f"← {sides[0]}", "left"), (1.0, f"{sides[1]} →", "right")):
        if words.strip(" ←→"):
            axes.text(x, 1.01, words, transform=axes.transAxes, ha=align, va="bottom", color=QUIET, fontsize=8)


def _legend(axes: Any, effects: Sequence[Effect], words: Sequence[tuple[Tone, str]]) -> None:
    from matplotlib.lines import Line2D

    there = {effect.tone for effect in effects if effect.value is not None}
    handles = [
        Line2D([], [], color=_COLOURS[tone], marker=_MARKS[tone], linewidth=1.8, markersize=6, label=text,
               markerfacecolor="none" if tone == "open" else _COLOURS[tone])
        for tone, text in words if tone in there
    ]  # fmt: skip
    if handles:
        axes.figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
