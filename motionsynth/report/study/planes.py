"""Each arm as a point: realism against missing kinds of motion, and doses of damaged real motion it equals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from motionsynth.calibration.curve import amount_text
from motionsynth.calibration.plan import KINDS, Dose
from motionsynth.calibration.record import Calibration
from motionsynth.report.numbers import number_text
from motionsynth.report.page import Cell, Column, Picture, Row, Table
from motionsynth.report.plane import Point, plane_chart
from motionsynth.report.study.gather import Entry, Gathered, Mean, mean_cell
from motionsynth.report.study.shares import due_share
from motionsynth.report.study.words import axis_words, dose_text
from motionsynth.study.results import ViewResult

__all__ = ["PRECISION", "QUARTER", "dose_picture", "missing_mass", "realism_picture", "realism_table", "signed_blur"]

PRECISION: Final = "modes/precision.pca"
QUARTER: Final = 0.25
"""Part of its due share below which a cell counts as left out."""
_REALISM: Final = (
    "Up: precision, the share of generated windows that lie among real ones (principal components). To the right: the "
    "share of kinds of motion (cells) that get less than a quarter of their due share of windows, realistic or not. "
    "So realism and missing mass are told apart: real motion stands at the upper left. Mean over seeds with t "
    "intervals; hollow marks are the same weights with latents from elsewhere, joined by a thin line; stars are "
    "landmarks. Exploratory: no verdict rests on it."
)
_TICKS: Final = tuple((tenths / 10, f"{10 * tenths} %") for tenths in range(0, 11, 2))
_DOSES: Final = (
    "Where each arm stands when its figures are read as damage to real motion. To the right: as smooth as real motion "
    "low-passed that far, or as weak: the ledger tells which. To the left: as rough as real motion with so much "
    "jitter in every joint. Upwards: covers as little as real motion with so many modes dropped. Mean over seeds with "
    "t intervals; hollow marks are other views of the arm that a thin line joins; stars are landmarks. An arm that "
    "reads as both smooth and rough stands at the right; the tables have both. An arrow behind a name: it lies that "
    "way, outside the picture. No dose stands behind places beyond the last ones that an axis names."
)
_SHARES: Final = " (1: the strongest dose)"
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


def missing_mass(entry: Entry) -> Mean | None:
    """Share of the cells with less than a quarter of their due share, over seeds."""

    def missing(view: ViewResult) -> float | None:
        share = due_share(view, QUARTER)
        return None if share is None else 1 - share

    return entry.mean(missing)


def realism_picture(gathered: Gathered, corpus: str, entries: Sequence[Entry], *, tier: str = "") -> Picture | None:
    """Each entry on precision against missing mass; None where fewer than two have both."""
    points = [point for entry in entries if _differs_by_latents(entry) and (point := _realism_point(entry)) is not None]
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
    return Picture(svg, title, _REALISM, file=f"realism {corpus} {tier}")


def realism_table(entries: Sequence[Entry], landmarks: Sequence[Entry]) -> Table | None:
    """Table of the picture's figures, of every view, with the share of cells visited; None where nothing has both."""
    columns = [
        Column("arm", figure=False), Column("seeds"), Column("precision (pca)"), Column("kinds below a quarter", "%"),
        Column("kinds visited", "%"),
    ]  # fmt: skip
    rows: list[Row] = []
    for place, entry in enumerate([*entries, *landmarks]):
        if place == len(entries):
            rows.append([Cell("landmarks")])
        precision, missing = entry.figure(PRECISION), missing_mass(entry)
        if precision is not None and missing is not None:
            visited = mean_cell(entry.mean(lambda view: due_share(view, 0.0)), 100)
            numbers = [mean_cell(precision), mean_cell(missing, 100), visited]
            rows.append([Cell(entry.name), str(len(entry.results)), *numbers])
    if all(len(row) == 1 for row in rows):
        return None
    notes = ["Below a quarter: with less than a quarter of their due share of windows. Visited: with one at least."]
    return Table(columns, rows, caption="Realism and missing mass", notes=notes)


def _differs_by_latents(entry: Entry) -> bool:
    """Test whether an entry is an arm's own view, or one that differs by where latents come from alone."""
    view = entry.config.views[entry.view]
    return entry.main or (view.ema and not view.reconstruct and view.show != "sample")


def _realism_point(entry: Entry) -> Point | None:
    x, y = missing_mass(entry), entry.figure(PRECISION)
    if x is None or y is None:
        return None
    tip = f"{entry.name} · precision {number_text(y.value)}; {100 * x.value:.0f} % of the kinds below a quarter"
    ends = _clipped(x, 0.0, 1.0), _clipped(y, 0.0, 1.0)
    return Point(entry.name, x.value, y.value, *ends, entry.arm, entry.config.tier == "landmark", tip)


def _clipped(mean: Mean, least: float, most: float) -> tuple[float, float] | None:
    """The interval as far as an axis goes."""
    if mean.low is None or mean.high is None:
        return None
    low, high = max(mean.low, least), min(mean.high, most)
    return (low, high) if low < high else None


def dose_picture(gathered: Gathered, corpus: str, entries: Sequence[Entry], *, tier: str = "") -> Picture | None:
    """Each entry on blur or jitter against modes dropped; None where fewer than two have these readings."""
    points = [point for entry in entries if (point := _dose_point(entry)) is not None]
    if len(points) < 2:
        return None
    calibration = gathered.calibrations.get(corpus)
    left, right = _ends([x for point in points for x in (point.x, *(point.x_range or ()))])
    below, above = _ends([y for point in points for y in (point.y, *(point.y_range or ()))])
    x_ticks = _ticks(calibration, entries, "blur")
    rough = [(-share, text) for share, text in _ticks(calibration, entries, "jitter") if 0 < share <= 0.02 - left]
    where = gathered.corpus_title(corpus)
    words = ("rough, covers the modes", "rough, modes missing") if left < -0.1 else \
        ("like real motion", "sharp, modes missing")  # fmt: skip
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
                 (0.015, 0.012, words[0]), (0.015, 0.985, words[1])),
        alt=f"Equivalent modes dropped against equivalent jitter or low-pass on {where}",
    )  # fmt: skip
    title = f"Doses on {where}" + (f", {tier}" if tier else "")
    return Picture(svg, title, _DOSES, file=f"doses {corpus} {tier}")


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


def _dose_point(entry: Entry) -> Point | None:
    x, y = entry.mean(signed_blur), entry.share("drop")
    if x is None or y is None:
        return None
    axes = [axis for axis in ("blur", "jitter", "drop") if entry.readings(axis)]
    tip = "; ".join(f"{axis_words(axis)}: {dose_text(entry, axis)}" for axis in axes)
    across, up = (min(max(mean.value, least), _FARTHEST) for mean, least in ((x, -_FARTHEST), (y, _LOWEST)))
    arrows = ("" if across == x.value else "←→"[x.value > across]) + ("" if up == y.value else "↓↑"[y.value > up])
    ends = _clipped(x, -_FARTHEST, _FARTHEST), _clipped(y, _LOWEST, _FARTHEST)
    landmark = entry.config.tier == "landmark"
    return Point(f"{entry.name} {arrows}".rstrip(), across, up, *ends, entry.arm, landmark, f"{entry.name} · {tip}")


def _ends(places: Sequence[float]) -> tuple[float, float]:
    """What an axis shows: all places, and real motion and the strongest dose in any case."""
    return min(0.0, *places), max(1.0, *places)


def _ticks(calibration: Calibration | None, entries: Sequence[Entry], axis: str) -> list[tuple[float, str]]:
    """Amounts where they lie on the axis: by the calibration, or by what was read; none where neither tells."""
    kind = next((reading.kind for entry in entries for reading in entry.readings(axis)), "")
    placed = _by_calibration(calibration, axis, kind) if calibration else _by_readings(entries, axis, kind)
    ticks = [
        (share, amount_text(kind, amount).replace(" degrees", "°")) for amount, share in placed if 0.03 < share < 1.03
    ]
    return [(0.0, "real"), *ticks] if ticks else []


def _by_calibration(calibration: Calibration, axis: str, kind: str) -> list[tuple[float, float]]:
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
    scale = math.log if kind in KINDS and KINDS[kind].scale == "log" else float
    readings = [reading for entry in entries for reading in entry.readings(axis)]
    known = sorted((scale(r.dose), r.share) for r in readings if r.dose is not None and (r.dose > 0 or scale is float))
    if not known or known[-1][0] - known[0][0] < 0.05:
        return []
    (first, at_first), (last, at_last) = known[0], known[-1]
    slope = (at_last - at_first) / (last - first)
    return [(amount, at_first + (scale(amount) - first) * slope) for amount in _LADDER.get(kind, ())]
