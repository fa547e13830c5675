"""The page of a calibration: verdicts, dose curves, and how it was done. It holds no motion of the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from motionsynth.calibration.plan import KINDS, ZERO, Dose
from motionsynth.calibration.record import Calibration
from motionsynth.calibration.tables import (
    headline_sentences,
    moves,
    short_verdict,
    truth_rows,
    verdict_rows,
    verdict_summary,
)
from motionsynth.calibration.verdict import Verdict

if TYPE_CHECKING:
    from motionsynth.view.page import Block, Cell, Picture, Section

__all__ = ["curve_picture", "write_report"]

_TONES: Final[dict[str, Literal["good", "bad", "dim", ""]]] = {
    "valid": "good",
    "range": "good",
    "blind": "dim",
    "invalid": "bad",
    "undefined": "dim",
}


def write_report(calibration: Calibration, path: Path) -> None:
    """Write the page.

    Raises:
        OSError: the file cannot be written.
    """
    from motionsynth.view.page import Headline, Section, write_page

    config = calibration.config
    sections = [
        Section(
            "Which figures are instruments",
            [
                Headline(
                    headline_sentences(calibration), "one figure speaks for each axis; chosen by its error, not by hand"
                ),
                _verdict_table(calibration),
            ],
        ),
        Section("Dose curves of the figures that speak", list(_headline_pictures(calibration))),
        *(_curves(calibration, axis) for axis in config.axes),
        Section("How far every kind of dose moves every figure", [_moves_table(calibration)], folded=True),
        *_truth(calibration),
        _method(calibration),
    ]
    subtitle = f"{calibration.corpus_name}: {calibration.count} windows a set, {config.repeats} repeats"
    write_page(path, "Calibration", sections, subtitle=subtitle)


def curve_picture(calibration: Calibration, key: str, kind: str, *, spreads: bool = True) -> Picture:
    """A figure over the doses of one kind: mean and standard deviation, every repeat, and the band of real motion."""
    from motionsynth.view.charts import Band, Line, line_chart
    from motionsynth.view.page import Picture

    series, ground = calibration.series(key), calibration.ground
    doses = series.usable([ZERO, *calibration.ladder(kind)])
    record = calibration.figures[key]
    if ZERO not in doses:
        return Picture("", key, "has no value for real motion")
    at = [ground.shown(kind, ground.severity(kind, dose)) for dose in doses]
    values = [series.values[dose] for dose in doses]
    mean, deviation = (np.array([f(v) for v in values]) for f in (np.nanmean, np.nanstd))
    reach = calibration.config.thresholds.spreads * series.spread
    bands = [Band(f"real ± {calibration.config.thresholds.spreads:g} spreads", mean[0] - reach, mean[0] + reach)]
    scale: Literal["linear", "log"] = "log" if KINDS[kind].scale == "log" else "linear"
    svg = line_chart(
        [
            Line(
                "mean of the repeats",
                at,
                mean,
                mean - deviation,
                mean + deviation,
                [(x, float(y)) for x, v in zip(at, values, strict=True) for y in v if np.isfinite(y)],
                role="generated",
                markers=True,
            )
        ],
        x_label=_axis_label(kind),
        y_label=f"{key.partition('/')[2]}" + ("" if record.unit == "1" else f" ({record.unit})"),
        x_scale=scale,
        x_reversed=not KINDS[kind].rising and KINDS[kind].scale != "dropped",
        x_ticks=[float(f"{x:.2g}") for x in at],
        bands=bands if spreads else (),
        alt=f"{key} over doses of {kind}",
    )
    return Picture(svg, key, KINDS[kind].summary)


def _axis_label(kind: str) -> str:
    if KINDS[kind].scale == "dropped":
        return "share of the cells dropped"
    return f"{kind.replace('_', ' ')} ({KINDS[kind].unit})"


def _verdict_table(calibration: Calibration) -> Block:
    from motionsynth.view.page import Column, Table

    axes = calibration.config.axes
    rows: list[list[Cell | str]] = []
    group = ""
    for key, verdicts in verdict_rows(calibration):
        if key.partition("/")[0] != group:
            group = key.partition("/")[0]
            rows.append([group])
        rows.append([key.partition("/")[2], *(_verdict_cell(verdict) for verdict in verdicts)])
    return Table(
        [
            Column("figure", figure=False),
            *(Column(axis, figure=False, note=f"doses of {axes[axis].dose}") for axis in axes),
        ],
        rows,
        caption="Verdicts",
        notes=[f"{axis}: {verdict_summary(calibration, axis)}" for axis in axes],
    )


def _verdict_cell(verdict: Verdict) -> Cell:
    from motionsynth.view.page import Cell

    told = [verdict.reason] if verdict.reason else []
    if verdict.rho is not None and verdict.rho_low is not None:
        told.append(f"rank correlation {verdict.rho:+.2f}, at least {verdict.rho_low:.2f}")
    if verdict.rival is not None and verdict.rival_moved is not None:
        told.append(f"rival {verdict.rival.label}: {verdict.rival_moved:.1f} spreads")
    note = ""
    if verdict.cause == "rival" and verdict.rival_moved is not None:
        note = f"{_signed(verdict.rival_moved)[1:]} spreads"
    elif verdict.cause and verdict.rho is not None:
        note = f"ρ {verdict.rho:+.2f}"
    elif verdict.kind == "undefined":
        note = verdict.reason
    return Cell(short_verdict(verdict), note=note, tip="; ".join(told), tone=_TONES[verdict.kind])


def _headline_pictures(calibration: Calibration) -> Iterator[Block]:
    for axis, headline in calibration.headlines.items():
        yield curve_picture(calibration, headline.key, calibration.config.axes[axis].dose)


def _curves(calibration: Calibration, axis: str) -> Section:
    """Curves of the figures that are valid on an axis, and of the headline over the kinds that are shown beside it."""
    from motionsynth.view.page import Paragraph, Section

    fit = [v for v in calibration.verdicts if v.axis == axis and v.kind in ("valid", "range")]
    errors = calibration.errors[axis]
    fit.sort(key=lambda v: (v.kind != "valid", errors[v.key]))
    kind = calibration.config.axes[axis].dose
    blocks: list[Block] = [curve_picture(calibration, verdict.key, kind) for verdict in fit]
    headline = calibration.headlines.get(axis)
    if headline is not None:
        also = [k for k in calibration.config.axes[axis].also if calibration.ladder(k)]
        blocks += [curve_picture(calibration, headline.key, k) for k in also]
    text = verdict_summary(calibration, axis) + ("; those that tell hidden doses best come first" if fit else "")
    return Section(f"Dose curves: {axis}", [Paragraph(text, quiet=True), *blocks], folded=True)


def _moves_table(calibration: Calibration) -> Block:
    from motionsynth.view.page import Cell, Column, Table

    kinds = [kind for kind in KINDS if calibration.ladder(kind)]
    limit = calibration.config.thresholds.spreads
    rows: list[Sequence[Cell | str]] = []
    for key in calibration.figures:
        cells = [
            Cell("–", tone="dim")
            if found is None
            else Cell(_signed(found[0]), tip=found[1].label, tone="dim" if abs(found[0]) <= limit else "")
            for found in moves(calibration, key, kinds)
        ]
        rows.append([key, *cells])
    return Table(
        [Column("figure", figure=False), *(Column(kind.replace("_", " "), "spreads") for kind in kinds)],
        rows,
        caption="The dose of each kind that moves a figure most, in real-against-real spreads",
        notes=[f"faint: no more than {limit:g} spreads. Sign: up or down."],
    )


def _signed(spreads: float) -> str:
    text = f"{abs(spreads):.1f}" if abs(spreads) < 100 else f"{abs(spreads):.0f}" if abs(spreads) < 1000 else ">999"
    return ("−" if spreads < 0 else "+") + text


def _truth(calibration: Calibration) -> Iterator[Section]:
    from motionsynth.view.page import Cell, Column, Section, Table

    rows = truth_rows(calibration)
    if rows:
        table = Table(
            [
                Column("dose", figure=False),
                Column("figure", figure=False),
                Column("judged cells"),
                Column("true cells"),
            ],
            [[row.dose.label, row.key, Cell(_number(row.judged)), Cell(_number(row.true))] for row in rows],
            notes=["true cells: those that the corpus' labels name. Means over the repeats."],
        )
        yield Section("Divergence of labels: the judge beside the truth", [table], folded=True)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _method(calibration: Calibration) -> Section:
    from motionsynth.view.page import Column, Notes, Paragraph, Section, Table

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
    doses = Table(
        [Column("dose", figure=False), Column("amounts", figure=False), Column("what is done", figure=False)],
        [
            [kind, _amounts(calibration.ladder(kind)), summary.summary]
            for kind, summary in KINDS.items()
            if calibration.ladder(kind)
        ],
    )
    made = [
        f"corpus {calibration.corpus_name}, fingerprint {calibration.corpus}",
        f"extractor {calibration.extractor}",
        f"seed {config.seed}; {calibration.ground.cells} cells; {calibration.ground.windows} windows to draw from",
        *calibration.notes,
    ]
    return Section("How it was done", [Paragraph(text), Paragraph(rules), doses, Notes(made)])


def _amounts(doses: Sequence[Dose]) -> str:
    return ", ".join(f"{dose.value:g}" for dose in doses) + (f" {KINDS[doses[0].kind].unit}" if doses else "")
