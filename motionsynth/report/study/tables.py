"""The report's tables: every arm in every view with means and intervals over seeds, its cost, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from motionsynth.report.numbers import number_text
from motionsynth.report.page import Block, Cell, Column, Row, Table, figure_cell, plain
from motionsynth.report.study.gather import Entry, Gathered, mean_cell, mean_of
from motionsynth.report.study.words import axes_of, axis_words, dose_text, figure_words, keys_of, metric_of
from motionsynth.study.outcomes import COVERAGE, SPREAD, covers_next_to_nothing
from motionsynth.study.plan import Cell as PlannedCell
from motionsynth.study.results import CellResult, ViewResult

__all__ = ["cost_table", "dose_table", "figure_tables", "ledger", "runs_table"]

_MOST: Final = 8
"""Figures side by side."""
_DOUBTS: Final = {True: "not trained to use", False: "quality not known"}
_SHARE: Final = "smoothness/share_above_5hz_within"
"""By which runs that lack fast motion are told apart: blurred below 1, real motion's; else all motion is weak."""
_VARIANCE: Final = "smoothness/variance_within_clip_ratio_within"


def dose_table(gathered: Gathered, entries: Sequence[Entry], landmarks: Sequence[Entry]) -> Table | None:
    """Where each view lies on every axis of the calibration; None where nothing was read."""
    axes = axes_of([*entries, *landmarks])
    if not axes:
        return None
    columns = [Column("arm", figure=False), Column("seeds"), *(Column(axis_words(axis), "%") for axis in axes)]

    def row(entry: Entry) -> Row:
        return [*_head(gathered, entry), *(_share_cell(entry, axis) for axis in axes)]

    notes = [
        "Share of the axis in percent: 0 real motion, 100 the strongest dose of the calibration; mean over seeds with "
        "its t interval; below it the same as an amount. Below 0 a figure is off real motion the other way, above 100 "
        "beyond the strongest dose: the calibration's curve goes on there straight, to tell arms apart, and "
        "no dose stands behind the number.",
        *_reconstruction_note([*entries, *landmarks]),
    ]
    return Table(columns, _rows(row, entries, landmarks), caption="In doses of damaged real motion", notes=notes)


def figure_tables(
    gathered: Gathered, entries: Sequence[Entry], landmarks: Sequence[Entry], endpoints: Sequence[str]
) -> Iterator[Table]:
    """The main figures of each view, a table for each group of figures."""
    notes = _reconstruction_note([*entries, *landmarks])
    for group, keys in keys_of([*entries, *landmarks], endpoints).items():
        for start in range(0, len(keys), _MOST):
            part = keys[start : start + _MOST]

            def row(entry: Entry, part: Sequence[str] = part) -> Row:
                return [*_head(gathered, entry), *(_figure_cell(entry, key) for key in part)]

            columns = [Column("arm", figure=False), Column("seeds"), *(_column(key) for key in part)]
            words = group.replace("_", " ").capitalize() or "Figures"
            caption = words if not start else f"{words}, continued"
            yield Table(columns, _rows(row, entries, landmarks), caption=caption, notes=notes)
            notes = []


def cost_table(gathered: Gathered, corpus: str, entries: Sequence[Entry]) -> Table | None:
    """Numbers in each network, steps and seconds of each arm; None where nothing was trained."""
    rows: list[Row] = []
    for entry in (entry for entry in entries if entry.main and any(result.parameters for result in entry.results)):
        first = entry.results[0]
        networks = ", ".join(f"{name} {number_text(count)}" for name, count in first.parameters.items())
        spent = [_spent(entry, what) for what in ("train", "measure")]
        devices = sorted({str(result.machine.get("device", "cpu")) for result in entry.results})
        total = number_text(float(sum(first.parameters.values())))
        steps = sorted({result.steps for result in entry.results})
        shown = " to ".join(number_text(float(step), 6, padded=False) for step in dict.fromkeys((steps[0], steps[-1])))
        rows.append([Cell(entry.title, note=networks), total, shown, *spent, _plateau(entry), ", ".join(devices)])
    if not rows:
        return None
    columns = [
        Column("arm", figure=False), Column("parameters"), Column("steps"), Column("training", "s"),
        Column("measuring", "s"), Column("plateau", "%"), Column("device", figure=False),
    ]  # fmt: skip
    notes = [
        "Seconds: median over seeds, least to greatest; a run that was stopped for a while, or that shared its core, "
        "took longer than it worked.",
        "Plateau: change of the Fréchet distance to validation windows over the last third of training, mean over "
        "seeds; near 0, longer training would change little; clearly below 0, the arm was still getting better. "
        "A learning rate that falls to zero by then flattens the curve too.",
    ]
    return Table(columns, rows, caption=f"What each arm costs on {gathered.corpus_title(corpus)}", notes=notes)


def _spent(entry: Entry, what: str) -> Cell:
    seconds = [result.seconds[what] for result in entry.results if what in result.seconds]
    if not seconds:
        return figure_cell(None)
    ends = f"{number_text(min(seconds))} to {number_text(max(seconds))}" if len(seconds) > 1 else ""
    return Cell(number_text(float(np.median(seconds))), ends)


def _plateau(entry: Entry) -> Cell:
    """How much the validation curve of an arm changes from two thirds of its steps to the last."""
    changes = []
    for result in entry.results:
        steps, _, values = np.array(sorted(result.curve), np.float64).reshape(-1, 3).T
        if len(steps) < 2 or steps[0] > 2 * steps[-1] / 3:
            continue
        before = float(np.interp(2 * steps[-1] / 3, steps, values))
        if before > 0:
            changes.append(100 * (float(values[-1]) / before - 1))
    mean = mean_of(changes, entry.confidence)
    return figure_cell(mean.value, mean.low, mean.high) if mean else Cell("–", tone="dim")


def ledger(gathered: Gathered) -> list[Block]:
    """Runs that diverged, cover next to nothing or are subdued, arms of no use, and cells that are missing."""
    rows: list[Row] = [
        [Cell(result.name), Cell(outcome, tone="bad"), what, result.key]
        for result in gathered.cells
        for outcome, what in _outcomes(gathered, result)
    ]
    rows += [
        [Cell(f"{arm}/{corpus}"), Cell(_DOUBTS[doubt.measured], tone="bad"), doubt.why, ""]
        for corpus in gathered.corpora
        for arm in gathered.study.arms
        # an arm without a finished run is among the missing or the diverged ones
        if gathered.entry(arm, corpus) and (doubt := gathered.not_useful(arm, corpus))
    ]
    states = [result.state for result in gathered.cells]
    counts = f"{states.count('finished')} cells finished, {states.count('diverged')} diverged"
    blocks: list[Block] = [plain(f"{counts}, {len(gathered.missing)} missing.")]
    if rows:
        columns = [Column(name, figure=False) for name in ("run", "outcome", "what happened", "key")]
        blocks.append(Table(columns, rows))
    else:
        blocks.append(plain("No run diverged, collapsed or came out subdued, and every arm was trained to use."))
    if gathered.missing:
        blocks.append(_missing(gathered.missing))
    if gathered.left_out:
        words = (
            f"{gathered.left_out} results in the folder belong to no cell of the plan as it stands; they are left out."
        )
        blocks.append(plain(words))
    return blocks


def runs_table(gathered: Gathered) -> Table:
    """Every run with its key, which names its results."""
    columns = [
        Column("run", figure=False), Column("state", figure=False), Column("steps"), Column("training", "s"),
        Column("device", figure=False), Column("created", figure=False), Column("results", figure=False),
    ]  # fmt: skip
    rows: list[Row] = [
        [
            result.name, result.state, number_text(float(result.steps), 6, padded=False),
            number_text(result.seconds.get("train")), str(result.machine.get("device", "")), result.created,
            result.key,
        ]
        for result in gathered.cells
    ]  # fmt: skip
    return Table(columns, rows)


def _rows(row: object, entries: Sequence[Entry], landmarks: Sequence[Entry]) -> list[Row]:
    assert callable(row)
    rows: list[Row] = [row(entry) for entry in entries]
    if landmarks:
        rows += [[Cell("landmarks")], *(row(entry) for entry in landmarks)]
    return rows


def _head(gathered: Gathered, entry: Entry) -> Row:
    """The arm's name, marked where it was not trained to use, and its number of seeds."""
    doubt = gathered.not_useful(entry.arm, entry.corpus) if entry.main else None
    note = "" if entry.main and len(entry.config.views) == 1 else entry.view.replace("_", " ")
    if doubt:
        note = "; ".join(part for part in (note, f"{_DOUBTS[doubt.measured]}: no verdict") if part)
    name = Cell(entry.title, note=note, tone="bad" if doubt else "")
    return [name, str(len(entry.results))]


def _reconstruction_note(entries: Sequence[Entry]) -> list[str]:
    if not any(entry.config.views[entry.view].reconstruct for entry in entries):
        return []
    return [
        "Reconstructions are held against the very windows that they reconstruct, all others against windows that they "
        "have nothing to do with: distances of reconstructions are smaller by that alone."
    ]


def _share_cell(entry: Entry, axis: str) -> Cell:
    return mean_cell(entry.share(axis), 100, dose_text(entry, axis))


def _figure_cell(entry: Entry, key: str) -> Cell:
    mean = entry.figure(key)
    some = mean is not None and len(mean.values) < len(entry.results)
    return mean_cell(mean, note=f"{len(mean.values)} of {len(entry.results)} seeds" if mean and some else "")


def _column(key: str) -> Column:
    metric = metric_of(key)
    return Column(figure_words(key), metric.unit, metric.better) if metric else Column(figure_words(key))


def _outcomes(gathered: Gathered, result: CellResult) -> list[tuple[str, str]]:
    """How a run went wrong, if it did, and what tells so: its error, or figures of how it is mainly shown."""
    if result.state != "finished":
        return [(result.state, result.error)]
    arm = gathered.study.arms[result.arm]
    view = result.views.get(arm.main_view)
    if arm.tier == "landmark" or view is None:
        return []
    return [told for told in (_collapse(view), _subdued(view)) if told]


def _collapse(view: ViewResult) -> tuple[str, str] | None:
    """What became of a run that covers less than the strongest dose leaves, and by which figures."""
    outcome = covers_next_to_nothing(view)
    if not outcome:
        return None
    told = [view.doses[axis].sentence for axis in COVERAGE if axis in view.doses and view.doses[axis].state == "beyond"]
    spread = view.figures.get(SPREAD)
    if spread is not None:
        told.append(f"varies {number_text(spread)} times as much within a cell as real motion")
    return outcome, "; ".join(told)


def _subdued(view: ViewResult) -> tuple[str, str] | None:
    """What the figures of a run say that lacks slow motion as much as fast, and so reads as blurred."""
    blur, share, variance = view.doses.get("blur"), view.figures.get(_SHARE), view.figures.get(_VARIANCE)
    if blur is None or blur.state not in ("measured", "beyond") or share is None or share < 1 or variance is None:
        return None
    told = f"{number_text(share)} times the share above 5 Hz of real motion, {number_text(variance)} times its variance"
    return "subdued, not blurred", f"{blur.sentence}; but {told} within a clip"


def _missing(cells: Sequence[PlannedCell]) -> Table:
    seeds: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        seeds.setdefault((cell.arm, cell.corpus), []).append(cell.seed)
    rows: list[Row] = [[arm, corpus, ", ".join(map(str, sorted(of)))] for (arm, corpus), of in seeds.items()]
    columns = [Column(name, figure=False) for name in ("arm", "corpus", "seeds")]
    return Table(columns, rows, caption="Cells of the plan without a result")
