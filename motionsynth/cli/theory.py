"""``motionsynth theory``: the notes' equations, measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from motionsynth.cli.terminal import console, escaped, print_json
from motionsynth.errors import ConfigError
from motionsynth.files import refuse_unwritable, write_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from motionsynth.theory.claim import Drawing, Experiment, Outcome

__all__ = ["drawing_svg", "theory"]


class _Row(NamedTuple):
    """An experiment and what came of it."""

    experiment: Experiment
    outcome: Outcome
    seconds: float

    @property
    def as_stated(self) -> bool:
        return self.experiment.as_stated(self.outcome)


def theory(
    only: Annotated[
        list[str] | None, typer.Option(help="An experiment or a group; may be given again.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    figures: Annotated[
        Path | None, typer.Option(help="Write the figures of docs/notes.md to this folder.", show_default=False)
    ] = None,
) -> None:
    """Run the notes' equations as small exact experiments; false forms are among them, and must fail.

    Exit code 1 where a row is not as stated.

    Examples:

    `motionsynth theory`

    `motionsynth theory --only second_view --only proximal/one_step`

    `motionsynth theory --figures docs/notes`
    """
    from motionsynth.theory.registry import EXPERIMENTS, choose

    try:
        chosen = choose(only) if only else EXPERIMENTS
    except ValueError as error:
        raise ConfigError(None, "--only", str(error)) from None
    if figures is not None:
        refuse_unwritable(figures)
    rows = _measure(chosen)
    if figures is not None:
        _write_figures(figures)
    if as_json:
        print_json(_rows(rows))
    else:
        _print_table(rows)
    if not all(row.as_stated for row in rows):
        raise typer.Exit(1)


def _measure(chosen: Sequence[Experiment]) -> list[_Row]:
    from motionsynth.cli.progress import bar
    from motionsynth.training.determinism import torch_threads

    rows = []
    # one thread: the grids are small, and threads that wait for one another take ten times as long on busy cores
    with torch_threads(1), bar("theory", unit="experiments") as show:
        for done, experiment in enumerate(chosen):
            show(done, len(chosen))
            began = time.monotonic()
            rows.append(_Row(experiment, experiment.measure(), time.monotonic() - began))
        show(len(chosen), len(chosen))
    return rows


_WIDE = 140
"""Columns from which names stand in a column of their own; on a narrower terminal they stand below the claims."""


def _print_table(rows: Sequence[_Row]) -> None:
    from rich.table import Table

    out = console()
    wide = out.width >= _WIDE
    table = Table(box=None, pad_edge=False)
    table.add_column("claim", ratio=1)
    table.add_column("in the notes", max_width=30 if wide else 16, overflow="fold")
    table.add_column("measured error" if wide else "error", justify="right", no_wrap=True)
    table.add_column("holds?", no_wrap=wide, max_width=None if wide else 8)
    if wide:
        table.add_column("name", no_wrap=True, style="dim")
    for row in rows:
        found = row.experiment
        verdict = "holds" if row.outcome.holds else "does not hold"
        if not row.as_stated:
            verdict = f"[red]{verdict}, against what is stated[/red]"
        claim = escaped(found.claim) if wide else f"{escaped(found.claim)}\n[dim]{found.name}[/dim]"
        table.add_row(claim, escaped(found.where), f"{row.outcome.error:.2g}", verdict, *([found.name] if wide else []))
    out.print(table)
    _print_summary(out, rows)


def _print_summary(out: Console, rows: Sequence[_Row]) -> None:
    wrong = [row for row in rows if not row.as_stated]
    for row in wrong:
        detail = escaped(row.outcome.detail)
        out.print(f"[red]{row.experiment.name} should {_SHOULD[row.experiment.stated]}[/red]: {detail}", soft_wrap=True)
    holding = sum(row.outcome.holds for row in rows)
    verdict = "all as stated" if not wrong else f"{len(wrong)} not as stated"
    seconds = sum(row.seconds for row in rows)
    out.print(f"{holding} hold, {len(rows) - holding} do not; {verdict}; {seconds:.0f} s")


_SHOULD = {"holds": "hold", "fails": "fail"}


def _rows(rows: Sequence[_Row]) -> list[dict[str, Any]]:
    """For programs."""
    import math

    return [
        {
            "name": row.experiment.name,
            "claim": row.experiment.claim,
            "section": row.experiment.section,
            "term": row.experiment.term,
            "error": row.outcome.error if math.isfinite(row.outcome.error) else None,
            "tolerance": row.outcome.tolerance,
            "holds": row.outcome.holds,
            "stated": row.experiment.stated,
            "margin": row.experiment.margin if row.experiment.stated == "fails" else None,
            "as_stated": row.as_stated,
            "detail": row.outcome.detail,
            "seconds": round(row.seconds, 3),
        }
        for row in rows
    ]


def _write_figures(folder: Path) -> None:
    from motionsynth.cli.progress import bar
    from motionsynth.theory.registry import draw_all

    folder.mkdir(parents=True, exist_ok=True)
    drawings = draw_all()
    with bar("figures", unit="files") as show:
        for done, drawing in enumerate(drawings, 1):
            write_bytes(folder / f"{drawing.name}.svg", drawing_svg(drawing).encode())
            show(done, len(drawings))


def drawing_svg(drawing: Drawing) -> str:
    """A drawing in the house's style."""
    from motionsynth.report.charts import Line, line_chart

    return line_chart(
        [Line(series.name, series.x, series.y, role=series.role, markers=series.markers) for series in drawing.series],
        x_label=drawing.x_label,
        y_label=drawing.y_label,
        x_scale=drawing.x_scale,
        y_scale=drawing.y_scale,
        x_ticks=drawing.x_ticks,
        alt=drawing.caption,
        width=560,
        height=320,
    )
