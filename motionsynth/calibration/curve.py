"""Dose curves, and how they are read backwards.

A curve is the isotonic regression of a figure's means over the doses, straight between them where the axis is drawn:
in the logarithm of a cut-off, in the share of cells dropped. The figure itself, or its logarithm, is what is straight:
whichever reads doses that are left out of the curve with the smaller error. An energy that falls through four decades
asks for the latter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from motionsynth.calibration.plan import KINDS, Dose
from motionsynth.calibration.verdict import Series

__all__ = ["Curve", "Ground", "amount_text", "held_out_error"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ground:
    """Properties of real motion on each axis: where the curves begin.

    Args:
        nyquist_hz: highest frequency that the motion holds.
        cells: number of cells.
        windows: number of windows that doses draw from.
        windows_a_cell: mean number of windows of a cell in a set.
    """

    nyquist_hz: float
    cells: int
    windows: int
    windows_a_cell: float

    def amount(self, kind: str) -> float:
        """The amount of a kind of dose that leaves motion as it is."""
        return {
            "low_pass": self.nyquist_hz,
            "neighbours": 1.0,
            "shrinkage": 1.0,
            "time_warp": 1.0,
            "cells": float(self.cells),
            "windows_per_cell": self.windows_a_cell,
            "memoriser": float(self.windows),
        }.get(kind, 0.0)

    def severity(self, kind: str, dose: Dose) -> float:
        """Place of a dose on the axis: rises with its strength, 0 for real motion."""
        real = self.amount(kind)
        value = real if dose.kind == "none" else dose.value
        scale = KINDS[kind].scale
        if scale == "dropped":
            return 1.0 - value / self.cells
        sign = 1.0 if KINDS[kind].rising else -1.0
        return max(0.0, sign * (math.log(value / real) if scale == "log" else value - real))

    def shown(self, kind: str, severity: float) -> float:
        """Amount at a severity, as it is printed: Hz, or the share of cells that is dropped."""
        real, scale = self.amount(kind), KINDS[kind].scale
        if scale == "dropped":
            return severity
        sign = 1.0 if KINDS[kind].rising else -1.0
        return real * math.exp(sign * severity) if scale == "log" else real + sign * severity


def amount_text(kind: str, shown: float, *, unit: bool = True) -> str:
    """Such as ``4.1 Hz`` or ``71 %``."""
    if KINDS[kind].scale == "dropped":
        return f"{100 * shown:.0f}" + (" %" if unit else "")
    text = f"{shown:.0f}" if shown >= 10 else f"{shown:.2g}"
    if not unit:
        return text
    one = KINDS[kind].one if text == "1" else None
    return f"{text} {one or KINDS[kind].unit}"


@dataclass(frozen=True, eq=False)
class Curve:
    """A figure over the doses of one kind.

    Args:
        sign: +1 where the figure rises with the dose, -1 where it falls.
        logarithmic: whether the curve is straight in the figure's logarithm.
        severity_D: rising.
        level_D: ``sign`` times the figure's means, or their logarithms, made to rise.
        scatter_D: standard deviation of the figure over the repeats.
        repeats: how many there were.
    """

    sign: float
    logarithmic: bool
    severity_D: Array
    level_D: Array
    scatter_D: Array
    repeats: int

    @classmethod
    def fit(cls, series: Series, kind: str, doses: Sequence[Dose], sign: float, ground: Ground) -> Self:
        """From the repeats of a figure; at least two doses, weakest first."""
        values_DR = np.stack([series.values[dose] for dose in doses])
        severity_D = np.array([ground.severity(kind, dose) for dose in doses])
        return cls.through(values_DR, severity_D, sign, logarithmic=_straight_in_logarithm(values_DR, severity_D, sign))

    @classmethod
    def through(
        cls, values_DR: Array, severity_D: Sequence[float] | Array, sign: float, *, logarithmic: bool = False
    ) -> Self:
        """From (D, R) figures at rising severities; nan where one is undefined."""
        from sklearn.isotonic import isotonic_regression

        mean_D = np.nanmean(values_DR, 1)
        level_D = isotonic_regression(sign * (np.log(mean_D) if logarithmic else mean_D))
        scatter_D = np.nanstd(values_DR, 1, ddof=1) if values_DR.shape[1] > 1 else np.zeros(len(values_DR))
        severity = np.asarray(severity_D, dtype=np.float64)
        return cls(sign, logarithmic, severity, level_D, scatter_D, values_DR.shape[1])

    def level(self, figure: float) -> float:
        """Place of a figure on the curve's own scale, on which it rises with the dose."""
        if not self.logarithmic:
            return self.sign * figure
        return self.sign * (math.log(figure) if figure > 0 else -math.inf)

    def invert(self, figure: float, side: Literal["left", "middle", "right"] = "middle") -> float:
        """The severity at which the curve has this figure; its ends where it never has.

        Where the curve is flat, ``left`` and ``right`` are the ends of that part.
        """
        if side == "middle":
            return (self.invert(figure, "left") + self.invert(figure, "right")) / 2
        level = self.level(figure)
        place = int(np.searchsorted(self.level_D, level, side))
        if place == 0 or place == len(self.level_D):
            return float(self.severity_D[min(place, len(self.level_D) - 1)])
        low, high = self.level_D[place - 1], self.level_D[place]
        share = (level - low) / (high - low)
        return float(self.severity_D[place - 1] + share * (self.severity_D[place] - self.severity_D[place - 1]))

    def scatter(self, severity: float) -> float:
        """Standard deviation of the figure over repeats at a severity."""
        return float(np.interp(severity, self.severity_D, self.scatter_D))


def held_out_error(series: Series, kind: str, doses: Sequence[Dose], sign: float, ground: Ground) -> float:
    """Error of hidden doses that are read backwards: mean |error| as a share of the axis.

    Each dose but the first and the last in each repeat in turn is read on the curve that the other doses have in the
    other repeats: what it would be to meet it in a model. The other doses lie twice as far apart as in use.
    """
    values_DR = np.stack([series.values[dose] for dose in doses])
    severity_D = np.array([ground.severity(kind, dose) for dose in doses])
    logarithmic = _straight_in_logarithm(values_DR, severity_D, sign)
    errors: list[float] = []
    for repeat in range(values_DR.shape[1]):
        others_DR = np.delete(values_DR, repeat, 1)
        if not np.isnan(others_DR).all(1).any() and not (logarithmic and (np.nanmean(others_DR, 1) <= 0).any()):
            errors += _hidden_errors(others_DR, values_DR[:, repeat], severity_D, sign, logarithmic)
    return float(np.mean(errors) / (severity_D[-1] - severity_D[0])) if errors else math.inf


def _hidden_errors(curve_DR: Array, figure_D: Array, severity_D: Array, sign: float, logarithmic: bool) -> list[float]:
    """|error| of each inner dose's figure on the curve without that dose; none for figures that are undefined."""
    errors = []
    for hidden in range(1, len(severity_D) - 1):
        left = np.delete(np.arange(len(severity_D)), hidden)
        curve = Curve.through(curve_DR[left], severity_D[left], sign, logarithmic=logarithmic)
        if not math.isnan(figure_D[hidden]):
            errors.append(abs(curve.invert(float(figure_D[hidden])) - float(severity_D[hidden])))
    return errors


def _straight_in_logarithm(values_DR: Array, severity_D: Array, sign: float) -> bool:
    """True where hidden doses are read better between logarithms of the means than between the means."""
    mean_D = np.nanmean(values_DR, 1)
    if (mean_D <= 0).any():
        return False
    plain, logarithmic = (sum(_hidden_errors(mean_D[:, None], mean_D, severity_D, sign, way)) for way in (False, True))
    return logarithmic < plain
