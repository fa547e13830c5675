"""The page of an evaluation: what it comes to in a sentence, what the motion looks like, and every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from motionsynth.evaluation.exhibits import chosen_clips, distance_picture, figure_name, metric_name, overview
from motionsynth.metrics.record import Group
from motionsynth.metrics.suite import Figure
from motionsynth.view.numbers import number_text
from motionsynth.view.page import (
    Block,
    Cell,
    Column,
    Headline,
    Notes,
    Paragraph,
    Section,
    Table,
    figure_cell,
    write_page,
)

if TYPE_CHECKING:
    from motionsynth.metrics.record import Metric, Sets

__all__ = ["write_report"]

BETTER: Final = {"lower": "↓ lower", "higher": "↑ higher", "match": "≈ match real"}
_NOTHING: Final = 1e-6
"""Figures that differ by less, in any of their units, are the same: it is rounding of float32."""
ASKS: Final = {
    "smoothness": "Is the motion blurred, shrunk or jittery?",
    "modes": "Does it cover what real people do, between and within cells?",
    "fidelity": "Does a clip look like real motion, and the set like a set of real clips?",
    "memorisation": "Is it new, or copied from the training clips?",
}


def write_report(
    path: str | Path,
    figures: Mapping[str, Figure],
    real: Mapping[str, Figure],
    *,
    sets: Sets,
    title: str,
    subtitle: str = "",
    headlines: Sequence[str] = (),
    notes: Sequence[str] = (),
    real_clips: bool = True,
    attribution: str = "",
    seed: int = 0,
) -> None:
    """Write the page of an evaluation; same input, same bytes.

    Args:
        path: the ``.html`` file; a file of that name is replaced, at once or not at all.
        figures: of generated against reference, by key, in the order of the tables.
        real: of real training windows against the same reference, by key.
        sets: what was compared, equal in number or not; spectra, cells and clips come from them.
        title: heading, such as the name of the run.
        subtitle: one line on what was compared with what, and how many.
        headlines: sentences in dose units; where there are none the page says how to get them.
        notes: what was resampled, subsampled or left out.
        real_clips: whether clips of the reference play in the page; not where it is published and they are licensed.
        attribution: of the reference's corpus, at the foot of the page.
        seed: what random clips are drawn by.

    Raises:
        ValueError: a window holds numbers that are not finite.
        OSError: the file cannot be written.
    """
    sections = [
        Section("", [_headline(headlines)]),
        Section("At a glance", overview(sets)),
        Section("Clips", [chosen_clips(sets, real_clips=real_clips, seed=seed)]),
        *_groups(figures, real),
        Section("How to read this", [*_method(bool(real)), *([Notes(notes, quiet=False)] if notes else [])]),
        Section("What the figures are", [_glossary(figures)], folded=True),
    ]
    write_page(path, title, sections, subtitle=subtitle, footer=attribution)


def _headline(sentences: Sequence[str]) -> Headline:
    if sentences:
        whole = [f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}." for sentence in sentences]
        note = "Figures read backwards on the calibration's curves: the dose at which real motion scores the same."
        return Headline(whole, note)
    return Headline(
        ["Not calibrated: figures are given in their own units only."],
        "With --calibration FILE, which motionsynth calibrate makes, they are said in doses of real motion: “as smooth "
        "as real motion low-passed at 4 Hz”.",
    )


def _groups(figures: Mapping[str, Figure], real: Mapping[str, Figure]) -> Iterator[Section]:
    explained = False
    for group in get_args(Group):
        members = [figure for figure in figures.values() if figure.metric.group == group]
        if not members:
            continue
        blocks: list[Block] = [Paragraph(ASKS[group])]
        picture = distance_picture(members, real, explained=explained)
        plain = [figure for figure in members if figure.space is None]
        if plain:
            blocks.append(_table(plain, real))
        if len(plain) < len(members):
            blocks.append(_spaces_table([figure for figure in members if figure.space is not None], real))
        if picture:
            explained = True
            blocks.append(picture[0])
            if picture[1]:
                blocks.append(Paragraph(f"Without a place in the picture: {', '.join(picture[1])}.", quiet=True))
        yield Section(group.capitalize(), blocks)


def _table(figures: Sequence[Figure], real: Mapping[str, Figure]) -> Table:
    columns = [
        Column("metric", figure=False),
        Column("generated"),
        Column("real", note="real training windows against the same reference"),
        Column("ideal", note="for two sets of one distribution, where theory knows it"),
        Column("unit", figure=False),
        Column("better", figure=False),
    ]
    rows: list[list[Cell | str | float | None]] = []
    for figure in figures:
        metric, beside = figure.metric, real.get(figure.key)
        name = Cell(figure_name(figure), tip=f"{figure.key}: {metric.summary}")
        ideal = Cell("" if metric.ideal is None else number_text(metric.ideal, padded=False), tone="dim")
        unit = "" if metric.unit == "1" else metric.unit
        rows.append([name, _generated(figure, beside), _real(beside), ideal, unit, BETTER[metric.better]])
    return Table(columns, rows)


def _spaces_table(figures: Sequence[Figure], real: Mapping[str, Figure]) -> Table:
    """Metrics by feature space, the real figure below the generated one."""
    spaces = list(dict.fromkeys(figure.space for figure in figures if figure.space is not None))
    by_name: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        by_name.setdefault(figure.metric.name, {})[figure.space or ""] = figure
    rows = []
    for name, members in by_name.items():
        metric = next(iter(members.values())).metric
        cells = [_space_cell(members.get(space), real) for space in spaces]
        tip = f"{metric.group}/{name}: {metric.summary}"
        rows.append([Cell(metric_name(metric), note=_aim(metric), tip=tip), *cells])
    columns = [Column("metric", figure=False), *(Column(space) for space in spaces)]
    return Table(columns, rows, caption="In each feature space")


def _space_cell(figure: Figure | None, real: Mapping[str, Figure]) -> Cell:
    if figure is None:
        return Cell("")
    beside = real.get(figure.key)
    cell = _generated(figure, beside)
    if beside is None or beside.value is None:
        return cell
    under = figure_cell(beside.value, beside.low, beside.high)
    note = f"real {under.text}" + (f" ({under.interval})" if under.interval else "")
    return Cell(cell.text, cell.interval, "; ".join(part for part in (note, cell.note) if part), tone=cell.tone)


def _aim(metric: Metric) -> str:
    unit = "" if metric.unit == "1" else metric.unit
    ideal = "" if metric.ideal is None else f"ideal {number_text(metric.ideal, padded=False)}"
    return " · ".join(part for part in (BETTER[metric.better], unit, ideal) if part)


def _generated(figure: Figure, real: Figure | None) -> Cell:
    cell = figure_cell(figure.value, figure.low, figure.high, figure.note or "")
    return Cell(cell.text, cell.interval, cell.note, tone=_tone(figure, real))


def _real(real: Figure | None) -> Cell:
    if real is None:
        return Cell("–", tone="dim")
    cell = figure_cell(real.value, real.low, real.high, real.note or "")
    return Cell(cell.text, cell.interval, cell.note)


def _tone(figure: Figure, real: Figure | None) -> Literal["good", "bad", ""]:
    """Good where the interval meets the real one or lies on its better side; nothing is said without intervals."""
    if real is None or None in (figure.low, figure.high, real.low, real.high):
        return ""
    assert figure.low is not None and figure.high is not None and real.low is not None and real.high is not None
    if max(figure.high, real.high) - min(figure.low, real.low) < _NOTHING:
        return "good"
    if figure.high < real.low:
        return "good" if figure.metric.better == "lower" else "bad"
    if figure.low > real.high:
        return "good" if figure.metric.better == "higher" else "bad"
    return "good"


def _method(real: bool) -> list[Block]:
    told = [
        "In small type: 95 % intervals over takes. They say how far a figure would move with other clips, not how far "
        "it would move with another training run of the model.",
    ]
    if real:
        told.insert(
            0,
            "Real: real training windows against the same reference, as many as are generated. "
            "● the figure's interval meets that of real motion, or is better; ▲ it does not.",
        )
    return [Paragraph(sentence) for sentence in told]


def _glossary(figures: Mapping[str, Figure]) -> Table:
    metrics = {figure.metric.name: figure.metric for figure in figures.values()}
    rows = [
        (Cell(metric_name(m), note=f"{m.group}/{name}"), m.summary, Cell(m.reference, tone="dim"))
        for name, m in metrics.items()
    ]
    return Table([Column(name, figure=False) for name in ("metric", "what it is", "source")], rows)
