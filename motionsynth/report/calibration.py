"""The report of a calibration: verdicts, dose curves, and how it was done. It holds no motion of the corpus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from motionsynth.calibration.curve import amount_text
from motionsynth.calibration.plan import KINDS, ZERO, Dose
from motionsynth.calibration.record import Calibration
from motionsynth.calibration.verdict import Verdict, moved
from motionsynth.report.charts import Band, Line, line_chart
from motionsynth.report.page import (
    Block,
    Cell,
    Column,
    Picture,
    Row,
    Section,
    Table,
    bullets,
    headline,
    plain,
    write_page,
)

__all__ = [
    "calibration_sections", "curve_picture", "headline_sentences", "short_verdict", "verdict_table", "write_report",
]  # fmt: skip

WORDS: Final = {"valid": "valid", "range": "valid in a range", "blind": "blind", "invalid": "invalid", "undefined": "–"}
_TONES: Final[dict[str, Literal["good", "bad", "dim", ""]]] = {
    "valid": "good", "range": "good", "blind": "dim", "invalid": "bad", "undefined": "dim",
}  # fmt: skip
_CHOOSING: Final = ("cells", "windows_per_cell")
"""Kinds of dose that choose among windows, whose divergences of labels have a truth."""


def write_report(calibration: Calibration, path: Path) -> None:
    """Write the page.

    Raises:
        OSError: the file cannot be written.
    """
    subtitle = f"{calibration.corpus_name}: {calibration.count} windows a set, {calibration.config.repeats} repeats"
    write_page(path, "Calibration", calibration_sections(calibration), subtitle=subtitle)


def calibration_sections(calibration: Calibration) -> list[Section]:
    """All that a calibration found."""
    axes = calibration.config.axes
    speak = "one figure speaks for each axis; chosen by its error, not by hand"
    curves: list[Block] = []
    for axis, found in calibration.headlines.items():
        curves += [curve_picture(calibration, found.key, axes[axis].dose), _means(calibration, axis, found.key)]
    verdicts: list[Block] = [headline(headline_sentences(calibration), speak), verdict_table(calibration)]
    return [
        Section("Which figures are instruments", verdicts),
        Section("Dose curves of the figures that speak", curves),
        *(_curves(calibration, axis) for axis in axes),
        Section("How far every kind of dose moves every figure", [_moves_table(calibration)], folded=True),
        *_truth(calibration),
        _method(calibration),
    ]


def headline_sentences(calibration: Calibration) -> list[str]:
    """Figure that speaks for each axis, and how well it tells doses."""
    sentences = []
    for name in calibration.config.axes:
        found = calibration.headlines.get(name)
        if found is None:
            sentences.append(f"{name}: no figure is valid")
            continue
        verdict = calibration.verdict(found.key, name)
        assert verdict is not None  # a headline is one of the judged figures
        limits = "" if verdict.kind == "valid" else f", valid {verdict.reason}"
        share = f"{100 * found.error:.1f} % of the axis"
        sentences.append(f"{name}: {found.key}{limits}, tells hidden doses within {share}")
    return sentences


def verdict_table(calibration: Calibration) -> Table:
    """Every figure with its verdict on each axis; below, how many are what."""
    axes = list(calibration.config.axes)
    found = {(v.key, v.axis): v for v in calibration.verdicts}
    groups = list(dict.fromkeys(key.partition("/")[0] for key in calibration.figures))
    rows: list[Row] = []
    for group in groups:
        rows.append([group])
        keys = [key for key in calibration.figures if key.partition("/")[0] == group]
        rows += [[key.partition("/")[2], *(_verdict_cell(found[key, axis]) for axis in axes)] for key in keys]
    columns = [Column(name, figure=False) for name in ("figure", *axes)]
    return Table(columns, rows, "Verdicts", [f"{axis}: {_summary(calibration, axis)}" for axis in axes])


def _summary(calibration: Calibration, axis: str) -> str:
    """Such as ``12 valid, 3 valid in a range, 20 blind, 9 invalid``."""
    kinds = [v.kind for v in calibration.verdicts if v.axis == axis]
    return ", ".join(
        f"{n} {WORDS[kind]}" for kind in ("valid", "range", "blind", "invalid") if (n := kinds.count(kind))
    )


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


def _verdict_cell(verdict: Verdict) -> Cell:
    note = ""
    if verdict.cause == "rival" and verdict.rival_moved is not None:
        note = f"{_signed(verdict.rival_moved)[1:]} spreads"
    elif verdict.cause and verdict.rho is not None:
        note = f"ρ {verdict.rho:+.2f}"
    elif verdict.kind == "undefined":
        note = verdict.reason
    return Cell(short_verdict(verdict), note=note, tone=_TONES[verdict.kind])


def curve_picture(calibration: Calibration, key: str, kind: str) -> Picture:
    """A figure over the doses of one kind: mean and standard deviation, every repeat, and the band of real motion."""
    series, ground, spreads = calibration.series(key), calibration.ground, calibration.config.thresholds.spreads
    doses = series.usable([ZERO, *calibration.ladder(kind)])
    record = calibration.figures[key]
    if ZERO not in doses:
        return Picture("", key, "has no value for real motion")
    at = [ground.shown(kind, ground.severity(kind, dose)) for dose in doses]
    values = [series.values[dose] for dose in doses]
    mean, deviation = (np.array([f(v) for v in values]) for f in (np.nanmean, np.nanstd))
    reach = spreads * series.spread
    dots = [(x, float(y)) for x, v in zip(at, values, strict=True) for y in v if np.isfinite(y)]
    dropped = KINDS[kind].scale == "dropped"
    svg = line_chart(
        [Line("mean of the repeats", at, mean, mean - deviation, mean + deviation, dots, "generated", markers=True)],
        x_label="share of the cells dropped" if dropped else f"{kind.replace('_', ' ')} ({KINDS[kind].unit})",
        y_label=f"{key.partition('/')[2]}" + ("" if record.unit == "1" else f" ({record.unit})"),
        x_scale="log" if KINDS[kind].scale == "log" else "linear",
        x_reversed=not KINDS[kind].rising and not dropped,
        x_ticks=[float(f"{x:.2g}") for x in at],
        bands=[Band(f"real ± {spreads:g} spreads", mean[0] - reach, mean[0] + reach)],
        alt=f"{key} over doses of {kind}",
    )
    return Picture(svg, key, KINDS[kind].summary)


def _means(calibration: Calibration, axis: str, key: str) -> Table:
    series = calibration.series(key)
    doses = series.usable([ZERO, *calibration.ladder(calibration.config.axes[axis].dose)])
    means = [f"{series.mean(dose):.3g} ± {np.nanstd(series.values[dose], ddof=1):.2g}" for dose in doses]
    caption = f"{key} by {axis} (mean and standard deviation of the repeats)"
    return Table([Column(_dose_text(dose)) for dose in doses], [means], caption)


def _dose_text(dose: Dose) -> str:
    """Such as ``2.5 Hz`` or ``7 cells``."""
    if dose == ZERO:
        return "real"
    if KINDS[dose.kind].scale == "dropped":
        return f"{dose.value:g} cells"
    return amount_text(dose.kind, dose.value) if dose.kind == "low_pass" else f"{dose.value:g} {KINDS[dose.kind].unit}"


def _curves(calibration: Calibration, axis: str) -> Section:
    """Curves of the figures that are valid on an axis, and of the headline over the kinds that are shown beside it."""
    fit = [v for v in calibration.verdicts if v.axis == axis and v.kind in ("valid", "range")]
    errors, of = calibration.errors[axis], calibration.config.axes[axis]
    fit.sort(key=lambda v: (v.kind != "valid", errors[v.key]))
    pictures = [curve_picture(calibration, verdict.key, of.dose) for verdict in fit]
    if found := calibration.headlines.get(axis):
        pictures += [curve_picture(calibration, found.key, kind) for kind in of.also if calibration.ladder(kind)]
    text = _summary(calibration, axis) + ("; those that tell hidden doses best come first" if fit else "")
    return Section(f"Dose curves: {axis}", [plain(text), *pictures], folded=True)


def _moves_table(calibration: Calibration) -> Table:
    """By how many spreads the doses of each kind move a figure at most, signed."""
    kinds = [kind for kind in KINDS if calibration.ladder(kind)]
    limit = calibration.config.thresholds.spreads
    rows: list[Row] = []
    for key in calibration.figures:
        series, cells = calibration.series(key), []
        undefined = np.isnan(series.values[ZERO]).all()
        for kind in kinds:
            doses = [] if undefined else series.usable(calibration.ladder(kind))
            if not doses:
                cells.append(Cell("–", tone="dim"))
                continue
            worst = max(doses, key=lambda dose, series=series: moved(series, dose))  # type: ignore[misc]
            spreads = math.copysign(moved(series, worst), series.mean(worst) - series.mean(ZERO))
            cells.append(Cell(_signed(spreads), tone="dim" if abs(spreads) <= limit else ""))
        rows.append([key, *cells])
    return Table(
        [Column("figure", figure=False), *(Column(kind.replace("_", " "), "spreads") for kind in kinds)],
        rows,
        caption="The dose of each kind that moves a figure most, in real-against-real spreads",
        notes=[f"No more than {limit:g} spreads: not told from real motion. Sign: up or down."],
    )


def _signed(spreads: float) -> str:
    text = f"{abs(spreads):.1f}" if abs(spreads) < 100 else f"{abs(spreads):.0f}" if abs(spreads) < 1000 else ">999"
    return ("−" if spreads < 0 else "+") + text


def _truth(calibration: Calibration) -> Iterator[Section]:
    """Judged beside true divergences, for real motion and the doses that choose among windows."""
    rows: list[Row] = [
        [found.dose.label, key, *map(_mean, (found.values.get(key, []), values))]
        for found in calibration.doses
        if found.dose == ZERO or found.dose.kind in _CHOOSING
        for key, values in found.truth.items()
    ]
    if rows:
        columns = [Column("dose", figure=False), Column("figure", figure=False), Column("judged cells"),
                   Column("true cells")]  # fmt: skip
        notes = ["true cells: those that the corpus' labels name. Means over the repeats."]
        table = Table(columns, rows, notes=notes)
        yield Section("Divergence of labels: the judge beside the truth", [table], folded=True)


def _mean(values: Sequence[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return f"{np.mean(defined):.3f}" if defined else "–"


def _method(calibration: Calibration) -> Section:
    config, limits = calibration.config, calibration.config.thresholds
    text = (
        f"In each of {config.repeats} repeats {calibration.count} windows of the training takes are dosed and compared "
        f"with {calibration.count} windows of the test takes; both are drawn anew. One real-against-real spread is the "
        "standard deviation of a figure of real motion over repeats, with all training takes or with half of them, "
        "whichever is larger. "
        "A dose moves a figure by the root mean square, over its repeats, of the distance to the mean of real motion. "
        "For figures compared cell by cell the spread beside a dose that drops cells is that of real motion with as "
        "many cells."
    )
    rules = (
        f"Valid: over all doses the size of Spearman's rank correlation is at least {limits.spearman:g} (lower bound "
        f"of {100 * limits.confidence:g} %), in the direction in which the figure is worse, and no dose of the rival "
        f"axis moves the figure by more than {limits.spreads:g} spreads. Valid in a range: the same on at least "
        f"{limits.least_doses} neighbouring doses. Blind: no dose of the axis moves it by more than "
        f"{limits.spreads:g} spreads."
    )
    rows = [[kind, _amounts(doses), KINDS[kind].summary] for kind in KINDS if (doses := calibration.ladder(kind))]
    made = [
        f"corpus {calibration.corpus_name}, fingerprint {calibration.corpus}",
        f"extractor {calibration.extractor}",
        f"seed {config.seed}; {calibration.ground.cells} cells; {calibration.ground.windows} windows to draw from; "
        f"{len(calibration.doses) - 1} doses",
        *calibration.notes,
    ]
    table = Table([Column(name, figure=False) for name in ("dose", "amounts", "what is done")], rows)
    return Section("How it was done", [plain(text), plain(rules), table, bullets(made)])


def _amounts(doses: Sequence[Dose]) -> str:
    return f"{', '.join(f'{dose.value:g}' for dose in doses)} {KINDS[doses[0].kind].unit}"
