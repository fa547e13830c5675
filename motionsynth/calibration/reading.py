"""A model's figures in doses of known damage: "as smooth as real motion low-passed at 4.1 Hz (3.6-4.7)"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from motionsynth.calibration.curve import Curve, amount_text
from motionsynth.calibration.plan import KINDS, ZERO
from motionsynth.calibration.record import Calibration, load_calibration
from motionsynth.calibration.verdict import Verdict
from motionsynth.errors import ConfigError
from motionsynth.metrics.suite import Figure

__all__ = ["Reading", "agreement", "load_calibration", "misfit", "read_doses", "read_figure", "refuse_unfit"]

State = Literal["measured", "none", "weaker", "beyond", "other side"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure read backwards on one axis.

    Args:
        key: of the figure.
        axis: what it is read as: ``blur``, ``drop``, ...
        state: ``measured``: on the curve; ``none``: not told apart from real motion; ``weaker``: weaker than the doses
            on which the figure is valid; ``beyond``: stronger than the strongest; ``other side``: off real motion, the
            other way.
        kind: of dose.
        value: the figure.
        dose: amount, in the unit of the kind; for cells the share that is dropped. None where it is not measured.
        low, high: the interval, ``low`` the smaller number.
        sentence: the same in words.
        headline: whether this figure speaks for its axis.
        limited: the doses on which the figure is valid, where it is not valid on all.
        opposite: on the ``other side`` the axis whose doses take the figure there; empty where none is known.
    """

    key: str
    axis: str
    state: State
    kind: str
    value: float
    dose: float | None
    low: float | None
    high: float | None
    sentence: str
    headline: bool
    limited: str = ""
    opposite: str = ""


def read_doses(figures: Mapping[str, Figure], calibration: Calibration) -> list[Reading]:
    """Read every figure that is valid on an axis backwards on its curve; headlines first, then as axes are ordered.

    Args:
        figures: of a model, as ``metrics.suite.score`` gives them: same corpus, extractor and number of windows; see
            :func:`refuse_unfit`.
        calibration: the curves.
    """
    readings = []
    for axis in calibration.config.axes:
        for verdict in calibration.verdicts:
            figure = figures.get(verdict.key)
            if verdict.axis != axis or verdict.kind not in ("valid", "range"):
                continue
            if figure is not None and figure.value is not None:
                readings.append(read_figure(calibration, verdict, figure.value, figure.low, figure.high))
    return sorted(readings, key=lambda reading: not reading.headline)


def agreement(readings: Sequence[Reading], axis: str) -> str | None:
    """Agreement of the valid figures of an axis, in words; None where fewer than two can be read.

    A figure that speaks for an axis on damaged real motion may be misled by what no dose does: a model whose legs are
    too calm and whose arms are too brisk. Then the others disagree with it.

    Args:
        readings: as :func:`read_doses` gives them.
        axis: which.

    Returns:
        Such as ``of 16 figures 9 say 5.1 to 9.2 Hz (median 7.3), 5 no blur beyond real motion, 2 outside the range``.
    """
    mine = [reading for reading in readings if reading.axis == axis]
    if len(mine) < 2:
        return None
    parts = []
    doses = [reading.dose for reading in mine if reading.dose is not None]
    if doses:
        kind = mine[0].kind
        ends = f"{amount_text(kind, min(doses), unit=False)} to {amount_text(kind, max(doses))}"
        middle = amount_text(kind, float(np.median(doses)), unit=False)
        parts.append(f"{len(doses)} say {ends} (median {middle})")
    real = sum(reading.state == "none" for reading in mine)
    outside = len(mine) - len(doses) - real
    parts += [f"{real} no {axis} beyond real motion"] if real else []
    parts += [f"{outside} outside the range"] if outside else []
    return f"of {len(mine)} figures " + ", ".join(parts)


def misfit(calibration: Calibration, *, corpus: str, extractor: str) -> tuple[str, str] | None:
    """Mismatch of the curves' ``corpus`` or ``extractor``, and both fingerprints in short; None if they fit."""
    for what, ours, theirs in (("corpus", calibration.corpus, corpus), ("extractor", calibration.extractor, extractor)):
        if ours != theirs:
            return what, f"{ours[:12]}, not {theirs[:12]}"
    return None


def refuse_unfit(
    calibration: Calibration, *, corpus: str, extractor: str, count: int, path: str = "calibration"
) -> str | None:
    """Refuse figures that these curves do not hold for; a sentence where only the number of windows differs.

    Args:
        calibration: the curves.
        corpus: fingerprint of the corpus that the figures were computed against.
        extractor: fingerprint of the feature extractor.
        count: windows of each set.
        path: what errors name.

    Raises:
        ConfigError: corpus or extractor differ.
    """
    if other := misfit(calibration, corpus=corpus, extractor=extractor):
        what, hashes = other
        raise ConfigError(path, what, f"was made with another one ({hashes}); run `motionsynth calibrate` with this")
    if count != calibration.count:
        return f"{path}: was made with {calibration.count} windows a set, here are {count}: doses may be off"
    return None


def read_figure(
    calibration: Calibration, verdict: Verdict, value: float, low: float | None = None, high: float | None = None
) -> Reading:
    """Read one figure backwards on one axis where its verdict is ``valid`` or ``range``.

    The interval of the dose holds that of the figure and the scatter of the curve: with h the half width of the
    figure's interval, R repeats and s their standard deviation there, it is where the curve has the figure -
    sqrt(h^2 + (1.96 s)^2 / R) and the figure + as much. Without an interval the figure scatters as a repeat does: h =
    1.96 s. What the curve may be off between two doses is added in quadrature: half of the error with which it reads
    doses left out of it, which leaves gaps twice as wide.

    The figure is distinguished from real motion where such an interval, with the s of real motion, does not reach it.
    """
    kind = calibration.config.axes[verdict.axis].dose
    series = calibration.series(verdict.key)
    curve = Curve.fit(series, kind, verdict.doses, float(np.sign(verdict.rho or 1.0)), calibration.ground)
    severity = curve.invert(value)
    weak, strong = _interval(curve, value, low, high, curve.scatter(severity))
    weak_if_real, strong_if_real = _interval(curve, value, low, high, float(curve.scatter_D[0]))
    spreads = calibration.config.thresholds.spreads * series.spread
    first, starts_real = curve.level_D[0], verdict.doses[0] == ZERO
    state: State = "measured"
    if starts_real and curve.sign * (strong_if_real - series.mean(ZERO)) < -spreads:
        state = "other side"
    elif starts_real and curve.level(weak_if_real) <= first:
        state = "none"
    elif curve.level(value) <= first:
        state = "weaker"
    elif curve.level(value) > curve.level_D[-1]:
        state = "beyond"
    ends = curve.invert(weak, "left"), curve.invert(strong, "right")
    at = _widened(curve, severity, ends, calibration.errors.get(verdict.axis, {}).get(verdict.key, 0.0) / 2)
    shown = [calibration.ground.shown(kind, s) for s in at]
    low, high = sorted((shown[0], shown[2]))
    measured = state == "measured"
    opposite = _opposite(calibration, verdict) if state == "other side" else ""
    headline = calibration.headlines.get(verdict.axis)
    return Reading(
        key=verdict.key,
        axis=verdict.axis,
        state=state,
        kind=kind,
        value=value,
        dose=shown[1] if measured else None,
        low=low if measured else None,
        high=high if measured else None,
        sentence=_sentence(calibration, verdict, kind, state, shown, opposite),
        headline=headline is not None and headline.key == verdict.key,
        limited="" if verdict.kind == "valid" else verdict.reason,
        opposite=opposite,
    )


def _interval(curve: Curve, value: float, low: float | None, high: float | None, scatter: float) -> tuple[float, float]:
    """The figures of the weakest and of the strongest dose that the figure may mean."""
    of_curve = (1.96 * scatter) ** 2 / curve.repeats
    below = above = 1.96 * scatter
    if low is not None and high is not None:
        below, above = max(value - low, 0.0), max(high - value, 0.0)
    ends = value - float(np.sqrt(below**2 + of_curve)), value + float(np.sqrt(above**2 + of_curve))
    return ends if curve.sign > 0 else ends[::-1]


def _widened(curve: Curve, severity: float, ends: tuple[float, float], error: float) -> tuple[float, float, float]:
    """An interval of severities with an error, a share of the axis, added on both sides; within the axis."""
    first, last = float(curve.severity_D[0]), float(curve.severity_D[-1])
    below, above = (float(np.hypot(severity - end, error * (last - first))) for end in ends)
    return max(severity - below, first), severity, min(severity + above, last)


def _sentence(
    calibration: Calibration, verdict: Verdict, kind: str, state: State, shown: list[float], opposite: str
) -> str:
    phrase = KINDS[kind].phrase
    if state == "measured":
        ends = "-".join(amount_text(kind, end, unit=False) for end in sorted((shown[0], shown[2])))
        return f"{phrase.format(dose=amount_text(kind, shown[1]))} ({ends})"
    if state == "none":
        return f"no {verdict.axis} beyond real motion"
    if state == "other side":
        return f"outside the range: {opposite or f'off real motion, away from {verdict.axis}'}"
    first, last = (calibration.ground.severity(kind, dose) for dose in (verdict.doses[0], verdict.doses[-1]))
    rising = KINDS[kind].rising or KINDS[kind].scale == "dropped"
    if state == "weaker":
        amount = f"{'less' if rising else 'more'} than {amount_text(kind, calibration.ground.shown(kind, first))}"
        return f"{phrase.format(dose=amount)} (weaker than it is valid for)"
    amount = f"{'more' if rising else 'less'} than {amount_text(kind, calibration.ground.shown(kind, last))}"
    return f"{phrase.format(dose=amount)} (outside the range)"


def _opposite(calibration: Calibration, verdict: Verdict) -> str:
    """The axis whose doses take the figure to the other side of real motion; empty where none is known."""
    axis = calibration.config.axes[verdict.axis].opposite or ""
    other = calibration.verdict(verdict.key, axis)
    if other is None or other.rho is None or other.moved is None or verdict.rho is None:
        return ""
    return axis if other.rho * verdict.rho < 0 and other.moved > calibration.config.thresholds.spreads else ""
