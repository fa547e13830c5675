"""Parts that every chart has in common: the house's style, its colours, and treatment of numbers without a place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from motionsynth.report.numbers import number_text, power_text
from motionsynth.report.svg import EDGE, INK, QUIET, SERIES, svg_text

__all__ = [
    "HEIGHT",
    "WIDTH",
    "Numbers",
    "Role",
    "Scale",
    "chart_axes",
    "colours",
    "kept",
    "legend",
    "name_axes",
    "shortened",
    "ticks",
]

Numbers = Sequence[float] | npt.NDArray[np.floating[Any]]
Role = Literal["", "generated", "reference", "train"]
Scale = Literal["linear", "log"]

WIDTH: Final = 460.0
HEIGHT: Final = 300.0
"""In CSS pixels."""
_LEGEND: Final = 60
"""Letters of a name in a legend."""
_LETTER: Final = 5.6
_SAMPLE: Final = 48.0
"""Room of a letter, and of the line before a name, in CSS pixels."""


@contextmanager
def chart_axes(width: float, height: float) -> Iterator[tuple[Any, Callable[[str], str]]]:
    """Axes in the house's style, and what turns them into text; nothing of matplotlib's own settings is changed."""
    import matplotlib.style
    from matplotlib.figure import Figure

    style: dict[str, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "motionsynth", "text.parse_math": False, "font.size": 8.5,
        "axes.edgecolor": EDGE, "axes.labelcolor": QUIET, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.axisbelow": True, "axes.linewidth": 0.8, "axes.xmargin": 0.03,
        "axes.unicode_minus": True, "grid.color": EDGE, "grid.linewidth": 0.6, "xtick.color": EDGE,
        "ytick.color": EDGE, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "text.color": INK,
        "legend.frameon": False, "legend.handlelength": 2.2, "legend.columnspacing": 1.4,
    }  # fmt: skip
    with matplotlib.style.context(["default", style]):
        figure = Figure(figsize=(width / 96, height / 96), layout="constrained")
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        yield axes, lambda alt: svg_text(figure, alt)


def colours(roles: Sequence[Role]) -> list[str]:
    """Orange is what is judged, ink what it is judged by; the rest take the palette in turn."""
    taken: dict[str, str] = {"generated": SERIES[0], "reference": INK, "train": QUIET}
    rest = cycle(SERIES[1:] if "generated" in roles else SERIES)
    return [taken[role] if role else next(rest) for role in roles]


def kept(values: Numbers, scale: str) -> npt.NDArray[np.float64]:
    """The numbers that an axis can show; the rest as nan, which is a gap."""
    numbers = np.array(values, dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    if scale == "log":
        numbers[~(numbers > 0)] = np.nan
    return numbers


def ticks(axis: Any, scale: str, places: Sequence[float]) -> None:
    """Plain numbers in place of powers of ten in small type."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = sorted(axis.get_view_interval())
    powers = scale == "log" and not len(places) and high > 1e3 * low > 0

    def text(value: float) -> str:
        return power_text(round(math.log10(value))) if powers else number_text(value, 4, padded=False)

    if len(places):
        axis.set_major_locator(FixedLocator(list(places)))
        axis.set_minor_locator(NullLocator())
    elif scale == "log" and high < 30 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    if scale != "linear" or len(places):
        axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
        axis.set_minor_formatter(NullFormatter())


def shortened(name: str, most: int) -> str:
    """A name that leaves room for the chart; its tooltip has the whole."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def name_axes(axes: Any, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def legend(axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        labels = [shortened(text, _LEGEND) for text in labels]
        room = 96 * axes.figure.get_figwidth() / (_SAMPLE + _LETTER * max(map(len, labels)))
        axes.figure.legend(handles, labels, loc="outside upper left", ncols=max(1, min(len(labels), 3, int(room))))
