"""From figures to verdicts, and to the figure that speaks for each axis."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from motionsynth.calibration.curve import held_out_error
from motionsynth.calibration.record import Calibration, Headline
from motionsynth.calibration.verdict import Verdict, judge

__all__ = ["conclude"]


def conclude(calibration: Calibration) -> Calibration:
    """Judge every figure on every axis by the thresholds of the configuration; choose each axis' headline.

    The headline is the first figure of the axis' ``prefer`` that is valid; where there is none, of the figures valid
    on all doses, or else of those valid on most, the one that reads hidden doses with the smallest error.
    """
    config = calibration.config
    verdicts: list[Verdict] = []
    errors: dict[str, dict[str, float]] = {}
    for name, axis in config.axes.items():
        ladder, other = calibration.ladder(axis.dose), config.axes[axis.rival]
        rivals = [dose for kind in (other.dose, *other.also) for dose in calibration.ladder(kind)]
        errors[name] = {}
        for key in calibration.figures:
            series = calibration.series(key)
            verdict = judge(series, name, ladder, rivals, config.thresholds, config.seed)
            verdicts.append(verdict)
            if verdict.kind in ("valid", "range"):
                sign = float(np.sign(verdict.rho or 1.0))
                error = held_out_error(series, axis.dose, verdict.doses, sign, calibration.ground)
                errors[name][key] = error
    judged = replace(calibration, verdicts=tuple(verdicts), errors=errors)
    headlines = {name: headline for name in config.axes if (headline := _headline(judged, name))}
    return replace(judged, headlines=headlines)


def _headline(calibration: Calibration, axis: str) -> Headline | None:
    errors = calibration.errors[axis]

    def rank(verdict: Verdict) -> tuple[bool, int, float, str]:
        return verdict.kind != "valid", -len(verdict.doses), errors[verdict.key], verdict.key

    fit = [v for v in calibration.verdicts if v.axis == axis and math.isfinite(errors.get(v.key, math.inf))]
    wished = calibration.config.axes[axis].prefer
    preferred = [v for v in fit if v.key in wished]
    best = min(preferred, key=lambda v: wished.index(v.key)) if preferred else min(fit, key=rank, default=None)
    return None if best is None else Headline(best.key, errors[best.key])
