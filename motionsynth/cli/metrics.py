"""``motionsynth metrics``: what is measured, and how to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.terminal import document, echo, print_table
from motionsynth.errors import ConfigError

if TYPE_CHECKING:
    from motionsynth.metrics.record import Measure, Metric

__all__ = ["metrics"]


def metrics(
    name: Annotated[
        str | None, typer.Argument(help="A group, a metric or a key; all where left out.", show_default=False)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/metrics.md.")] = False,
) -> None:
    """List the figures of `motionsynth evaluate`: unit, direction, interval, needs, source.

    Examples:

    `motionsynth metrics`

    `motionsynth metrics recall`
    """
    from motionsynth.evaluation.evaluate import SPACES
    from motionsynth.metrics.registry import choose, records
    from motionsynth.report.metrics import ALL, handbook, metrics_table
    from motionsynth.report.page import Table

    if markdown:
        document(handbook())
        return
    words = None if name is None else [name]
    try:
        chosen = choose(words, None, ("SPACE", *SPACES), measures=ALL)
    except ConfigError as error:
        raise ConfigError(None, "NAME", error.reason) from None
    kept = {metric.name for measure, _ in chosen for metric in measure.metrics}
    found = [(metric, measure) for metric, measure in records(ALL) if metric.name in kept]
    if len(found) <= _IN_FULL:
        for metric, measure in found:
            _print_record(metric, measure)
    else:
        table = metrics_table(found)
        print_table(Table(table.columns[:_COLUMNS], [row[:_COLUMNS] for row in table.rows]))


_COLUMNS = 6
"""Columns of the table that a terminal has room for."""
_IN_FULL = 3
"""Records up to this many are printed in full."""


def _print_record(metric: Metric, measure: Measure) -> None:
    from motionsynth.report.metrics import metrics_table

    ((key, *values),) = metrics_table([(metric, measure)]).rows
    echo(key, bold=True)
    for name, value in zip(("unit", "better", "ideal", "", "interval", "needs", "source"), values, strict=True):
        if value:
            echo(f"  {name:10}{value}" if name else f"  {value}")
