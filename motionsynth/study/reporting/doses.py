"""Each arm as a point in doses of damaged real motion: how blurred or rough it is, and how many modes it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from motionsynth.study.reporting.gather import Entry, Gathered, Mean, mean_of
from motionsynth.study.reporting.words import axis_words, dose_text
from motionsynth.study.results import ViewResult
from motionsynth.view.page import Picture
from motionsynth.view.plane import Point, plane_chart

if TYPE_CHECKING:
    from motionsynth.calibration.record import Calibration

__all__ = ["dose_picture", "signed_blur"]

_LADDER: Final[Mapping[str, Sequence[float]]] = {
    "low_pass": (10, 6, 4, 2.5, 1.5, 0.8),
    "jitter": (0.5, 1, 2, 4),
    "cells": (0.25, 0.5, 0.75, 0.9),
}
"""Kind of dose -> amounts that an axis is labelled with."""
_READ: Final = ("measured", "beyond", "weaker")
_MARGIN: Final = 0.04
"""Shares of an axis around the outermost points."""
_FARTHEST: Final = 1.1
"""Shares of an axis that are drawn on either side of real motion: on the left those of jitter."""
_LOWEST: Final = -0.15
"""The same downwards, where an arm covers more than real motion does."""
_CAPTION: Final = (
    "Where each arm stands when its figures are read as damage to real motion. To the right: as smooth as real motion "
    "low-passed that far, or as weak: the ledger tells which. To the left: as rough as real motion with so much "
    "jitter in every joint. Upwards: covers as little as real motion with so many modes dropped. Mean over seeds with "
    "t intervals; hollow marks are other views of the arm that a thin line joins; stars are landmarks. An arm that "
    "reads as both smooth and rough stands at the right; the tables have both. An arrow behind a name: it lies that "
    "way, outside the picture. No dose stands behind places beyond the last ones that an axis names."
)


def dose_picture(gathered: Gathered, corpus: str, entries: Sequence[Entry], *, tier: str = "") -> Picture | None:
    """Each entry on blur or jitter against modes dropped; None where fewer than two have these readings."""
    points = [point for entry in entries if (point := _point(entry)) is not None]
    if len(points) < 2:
        return None
    calibration = gathered.calibrations.get(corpus)
    left, right = _ends([x for point in points for x in (point.x, *(point.x_range or ()))])
    below, above = _ends([y for point in points for y in (point.y, *(point.y_range or ()))])
    x_ticks = _ticks(calibration, entries, "blur")
    rough = [(-share, text) for share, text in _ticks(calibration, entries, "jitter") if 0 < share <= 0.02 - left]
    where = gathered.corpus_title(corpus)
    svg = plane_chart(
        points,
        x_label=f"{axis_words('jitter')}  ←  real motion  →  {axis_words('blur')}" + ("" if x_ticks else _SHARES),
        y_label=axis_words("drop"),
        x_ticks=[*reversed(rough), *x_ticks] if x_ticks else (),
        y_ticks=_ticks(calibration, entries, "drop"),
        x_limits=(left - _MARGIN, right + _MARGIN),
        y_limits=(below - 2 * _MARGIN, above + 2 * _MARGIN),  # the corners have words
        rules=(0.0,),
        corners=((0.985, 0.012, "blurred, covers the modes"), (0.985, 0.985, "blurred, modes missing"),
                 (0.015, 0.012, "rough, covers the modes"), (0.015, 0.985, "rough, modes missing"))
        if left < -0.1 else
        ((0.985, 0.012, "blurred, covers the modes"), (0.985, 0.985, "blurred, modes missing"),
         (0.015, 0.012, "like real motion"), (0.015, 0.985, "sharp, modes missing")),
        alt=f"Equivalent modes dropped against equivalent jitter or low-pass on {where}",
    )  # fmt: skip
    title = f"Doses on {where}" + (f", {tier}" if tier else "")
    return Picture(svg, title, _CAPTION, wide=True, file=f"doses {corpus} {tier}")


_SHARES: Final = " (1: the strongest dose)"


def signed_blur(view: ViewResult) -> float | None:
    """The share of the blur axis; where motion is not smoother than real, less that of the jitter axis.

    What lies on the far side of real motion on one axis has its place by the other.
    """
    blur, jitter = view.doses.get("blur"), view.doses.get("jitter")
    if blur is None:
        return None
    if blur.state in _READ or jitter is None:
        return blur.share
    return -jitter.share if jitter.state in _READ else max(blur.share, 0.0) - max(jitter.share, 0.0)


def _point(entry: Entry) -> Point | None:
    signed = [share for view in entry.views if (share := signed_blur(view)) is not None]
    x, y = mean_of(signed, entry.confidence), entry.share("drop")
    if x is None or y is None:
        return None
    axes = [axis for axis in ("blur", "jitter", "drop") if entry.readings(axis)]
    tip = "; ".join(f"{axis_words(axis)}: {dose_text(entry, axis)}" for axis in axes)
    landmark = entry.config.tier == "landmark"
    across, x_range, x_arrow = _drawn(x, -_FARTHEST, "←→")
    up, y_range, y_arrow = _drawn(y, _LOWEST, "↓↑")
    name = " ".join(part for part in (entry.name, x_arrow + y_arrow) if part)
    return Point(name, across, up, x_range, y_range, entry.arm, landmark, f"{entry.name} · {tip}")


def _drawn(mean: Mean, least: float, arrows: str) -> tuple[float, tuple[float, float] | None, str]:
    """Where a mean and its interval are drawn, and an arrow where that is not where they are."""
    place = min(max(mean.value, least), _FARTHEST)
    arrow = "" if place == mean.value else arrows[mean.value > place]
    if mean.low is None or mean.high is None:
        return place, None, arrow
    low, high = max(mean.low, least), min(mean.high, _FARTHEST)
    return place, (low, high) if low < high else None, arrow


def _ends(places: Sequence[float]) -> tuple[float, float]:
    """What an axis shows: all places, and real motion and the strongest dose in any case."""
    return min(0.0, *places), max(1.0, *places)


def _ticks(calibration: Calibration | None, entries: Sequence[Entry], axis: str) -> list[tuple[float, str]]:
    """Amounts where they lie on the axis: by the calibration, or by what was read; none where neither tells."""
    from motionsynth.calibration.curve import amount_text

    kind = next((reading.kind for entry in entries for reading in entry.readings(axis)), "")
    placed = _by_calibration(calibration, axis, kind) if calibration else _by_readings(entries, axis, kind)
    ticks = [
        (share, amount_text(kind, amount).replace(" degrees", "°")) for amount, share in placed if 0.03 < share < 1.03
    ]
    return [(0.0, "real"), *ticks] if ticks else []


def _by_calibration(calibration: Calibration, axis: str, kind: str) -> list[tuple[float, float]]:
    from motionsynth.calibration.plan import Dose

    headline = calibration.headlines.get(axis)
    verdict = calibration.verdict(headline.key, axis) if headline else None
    if verdict is None or calibration.config.axes[axis].dose != kind:
        return []
    ground = calibration.ground
    last = ground.severity(kind, verdict.doses[-1])
    if kind == "cells":
        return [(amount, amount / last) for amount in _LADDER[kind]]
    return [(amount, ground.severity(kind, Dose(kind, amount)) / last) for amount in _LADDER.get(kind, ())]


def _by_readings(entries: Sequence[Entry], axis: str, kind: str) -> list[tuple[float, float]]:
    """Shares are straight in the dose, or in its logarithm: two readings that lie apart tell all others."""
    import math

    from motionsynth.calibration.plan import KINDS

    scale = math.log if kind in KINDS and KINDS[kind].scale == "log" else float
    readings = [reading for entry in entries for reading in entry.readings(axis)]
    known = sorted((scale(r.dose), r.share) for r in readings if r.dose is not None and (r.dose > 0 or scale is float))
    if not known or known[-1][0] - known[0][0] < 0.05:
        return []
    (first, at_first), (last, at_last) = known[0], known[-1]
    slope = (at_last - at_first) / (last - first)
    return [(amount, at_first + (scale(amount) - first) * slope) for amount in _LADDER.get(kind, ())]
