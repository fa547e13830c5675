"""What a calibration found, as rows for terminals and pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from motionsynth.calibration.curve import amount_text
from motionsynth.calibration.plan import KINDS, ZERO, Dose
from motionsynth.calibration.record import Calibration
from motionsynth.calibration.verdict import Verdict, moved

__all__ = [
    "TruthRow",
    "dose_text",
    "headline_sentences",
    "moves",
    "short_verdict",
    "truth_rows",
    "verdict_rows",
    "verdict_summary",
]

WORDS: Final = {"valid": "valid", "range": "valid in a range", "blind": "blind", "invalid": "invalid", "undefined": "–"}


def short_verdict(verdict: Verdict) -> str:
    """In a table: ``valid``, ``4 to 0.8 Hz``, ``up to low_pass 1.5``, ``blind``, ``invalid: cells 1`` and the like."""
    if verdict.kind == "invalid":
        rival = verdict.rival and f"{verdict.rival.kind} {verdict.rival.value:g}"
        return f"invalid: {rival if verdict.cause == 'rival' else verdict.cause}"
    if verdict.kind != "range":
        return WORDS[verdict.kind]
    first, last = verdict.doses[0], verdict.doses[-1]
    unit = KINDS[last.kind].unit
    run = f"{'real' if first == ZERO else f'{first.value:g}'} to {last.value:g} {unit}"
    if not verdict.rival_up_to:
        return run
    bound = ", ".join(f"{dose.kind} {dose.value:g}" for dose in verdict.rival_up_to)
    return f"up to {bound}" if verdict.reason.startswith("up to") else f"{run}, up to {bound}"


def verdict_rows(calibration: Calibration) -> list[tuple[str, list[Verdict]]]:
    """Every figure with its verdict on each axis, in the order of both."""
    axes = list(calibration.config.axes)
    found = {(v.key, v.axis): v for v in calibration.verdicts}
    groups = list(dict.fromkeys(key.partition("/")[0] for key in calibration.figures))
    keys = sorted(calibration.figures, key=lambda key: groups.index(key.partition("/")[0]))
    return [(key, [found[key, axis] for axis in axes]) for key in keys]


def verdict_summary(calibration: Calibration, axis: str) -> str:
    """Such as ``12 valid, 3 valid in a range, 20 blind, 9 invalid``."""
    kinds = [v.kind for v in calibration.verdicts if v.axis == axis]
    return ", ".join(
        f"{n} {WORDS[kind]}" for kind in ("valid", "range", "blind", "invalid") if (n := kinds.count(kind))
    )


def headline_sentences(calibration: Calibration) -> list[str]:
    """Which figure speaks for each axis, and how well it tells doses."""
    sentences = []
    for name in calibration.config.axes:
        headline = calibration.headlines.get(name)
        if headline is None:
            sentences.append(f"{name}: no figure is valid")
            continue
        verdict = calibration.verdict(headline.key, name)
        assert verdict is not None  # a headline is one of the judged figures
        limits = "" if verdict.kind == "valid" else f", valid {verdict.reason}"
        share = f"{100 * headline.error:.1f} % of the axis"
        sentences.append(f"{name}: {headline.key}{limits}, tells hidden doses within {share}")
    return sentences


def moves(calibration: Calibration, key: str, kinds: Sequence[str]) -> list[tuple[float, Dose] | None]:
    """By how many spreads the doses of each kind move a figure at most, signed, and which dose that is."""
    series = calibration.series(key)
    if np.isnan(series.values[ZERO]).all():
        return [None] * len(kinds)
    found: list[tuple[float, Dose] | None] = []
    for kind in kinds:
        doses = series.usable(calibration.ladder(kind))
        worst = max(doses, key=lambda dose: moved(series, dose), default=None)
        if worst is None:
            found.append(None)
            continue
        sign = math.copysign(1.0, series.mean(worst) - series.mean(ZERO))
        found.append((sign * moved(series, worst), worst))
    return found


@dataclass(frozen=True, slots=True)
class TruthRow:
    """A divergence of labels at one dose, by the judge and by the corpus' own labels.

    Args:
        dose: what was done.
        key: of the figure.
        judged: mean over the repeats with the judge's cells.
        true: the same with the true cells.
    """

    dose: Dose
    key: str
    judged: float | None
    true: float | None


def truth_rows(calibration: Calibration, kinds: Sequence[str] = ("cells", "windows_per_cell")) -> list[TruthRow]:
    """Judged beside true divergences, for real motion and the doses that choose among windows."""
    rows = []
    for found in calibration.doses:
        if found.dose == ZERO or found.dose.kind in kinds:
            rows += [
                TruthRow(found.dose, key, _mean(found.values.get(key, [])), _mean(values))
                for key, values in found.truth.items()
            ]
    return rows


def dose_text(dose: Dose) -> str:
    """Such as ``2.5 Hz`` or ``7 cells``."""
    if dose == ZERO:
        return "real"
    if KINDS[dose.kind].scale == "dropped":
        return f"{dose.value:g} cells"
    return amount_text(dose.kind, dose.value) if dose.kind == "low_pass" else f"{dose.value:g} {KINDS[dose.kind].unit}"


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
