"""A calibration as a document: the tables of ``docs/calibration.md``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from motionsynth.calibration.plan import ZERO
from motionsynth.calibration.record import Calibration
from motionsynth.calibration.tables import (
    dose_text,
    headline_sentences,
    short_verdict,
    truth_rows,
    verdict_rows,
    verdict_summary,
)

__all__ = ["calibration_markdown"]


def calibration_markdown(calibration: Calibration) -> str:
    """Verdicts, the curves of the headlines, and judged beside true divergences, as Markdown."""
    config = calibration.config
    lines = [
        f"{calibration.count} windows a set, {config.repeats} repeats, seed {config.seed}, {calibration.ground.cells} "
        f"cells, {len(calibration.doses) - 1} doses; corpus `{calibration.corpus[:12]}`, judge "
        f"`{calibration.extractor[:12]}`.",
        "",
        *(f"- {sentence}" for sentence in headline_sentences(calibration)),
        "",
        *_verdicts(calibration),
        *_curves(calibration),
        *_truth(calibration),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _verdicts(calibration: Calibration) -> list[str]:
    axes = list(calibration.config.axes)
    lines = [_row(["figure", *axes]), _row(["---"] * (len(axes) + 1))]
    lines += [_row([f"`{key}`", *map(short_verdict, verdicts)]) for key, verdicts in verdict_rows(calibration)]
    lines += [_row(["all", *(verdict_summary(calibration, axis) for axis in axes)]), ""]
    return lines


def _curves(calibration: Calibration) -> list[str]:
    lines = []
    for axis, headline in calibration.headlines.items():
        series = calibration.series(headline.key)
        doses = series.usable([ZERO, *calibration.ladder(calibration.config.axes[axis].dose)])
        means = [f"{series.mean(dose):.3g} ± {np.nanstd(series.values[dose], ddof=1):.2g}" for dose in doses]
        lines += [
            f"`{headline.key}` by {axis} (mean and standard deviation of the repeats):",
            "",
            _row(map(dose_text, doses)),
            _row("---" for _ in doses),
            _row(means),
            "",
        ]
    return lines


def _truth(calibration: Calibration) -> list[str]:
    rows = truth_rows(calibration, ("cells",))
    if not rows:
        return []
    lines = [_row(["dose", "figure", "judged cells", "true cells"]), _row(["---"] * 4)]
    lines += [_row([dose_text(r.dose), f"`{r.key}`", _number(r.judged), _number(r.true)]) for r in rows]
    return [*lines, ""]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
