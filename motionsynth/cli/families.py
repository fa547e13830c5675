"""``motionsynth families``: what can be trained, and what each family can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.terminal import console, escaped, print_json

if TYPE_CHECKING:
    from motionsynth.catalogue import Entry

__all__ = ["families"]


def families(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the families: phases, parameters of each network, and what the commands can ask of them.

    Sizes are those of the settings in `configs/run`, on windows of the embedded corpus.

    Examples:

    `motionsynth families`

    `motionsynth train gan --dry-run`
    """
    from motionsynth.catalogue import catalogue

    entries = catalogue()
    if as_json:
        from dataclasses import asdict

        print_json([asdict(entry) for entry in entries])
        return
    _print_table(entries)


def _print_table(entries: list[Entry]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("family", "what it is", "phases: what learns", "parameters", "can", "priors", "frames"):
        table.add_column(heading, no_wrap=heading == "family")
    for entry in entries:
        table.add_row(
            f"[bold]{entry.name}[/bold]",
            escaped(entry.summary.rstrip(".")),
            "\n".join(map(escaped, entry.learns.split("; "))),
            "\n".join(f"{network} {size:,}" for network, size in entry.parameters.items()),
            ", ".join(entry.abilities),
            ", ".join(entry.priors),
            "any" if entry.longest is None else f"up to {entry.longest}",
        )
    console().print(table)
