"""``motionsynth metrics``: what is measured, and how to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.terminal import console, document, echo, escaped
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
    from motionsynth.metrics.handbook import ALL, handbook
    from motionsynth.metrics.registry import choose, records

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
        _print_table(found)


_IN_FULL = 3
"""Records up to this many are printed in full."""


def _print_record(metric: Metric, measure: Measure) -> None:
    from motionsynth.metrics.handbook import AIMS, needs

    space = ".SPACE" if measure.spaces else ""
    echo(f"{metric.group}/{metric.name}{space}", bold=True)
    ideal = "" if metric.ideal is None else f", ideal {metric.ideal:g}"
    echo(f"  {metric.summary}")
    echo(f"  unit      {metric.unit}")
    echo(f"  better    {AIMS[metric.better]}{ideal}")
    echo(f"  interval  {measure.resample}")
    echo(f"  needs     {needs(measure)}")
    echo(f"  source    {metric.reference}")


def _print_table(found: list[tuple[Metric, Measure]]) -> None:
    from rich.table import Table

    from motionsynth.metrics.handbook import AIMS

    table = Table(box=None, pad_edge=False)
    for heading in ("figure", "unit", "better", "ideal", "interval", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for metric, measure in found:
        space = ".SPACE" if measure.spaces else ""
        table.add_row(
            f"{metric.group}/{metric.name}{space}",
            escaped(metric.unit),
            AIMS[metric.better],
            "" if metric.ideal is None else f"{metric.ideal:g}",
            measure.resample,
            escaped(metric.summary),
        )
    console().print(table)
