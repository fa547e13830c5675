"""``motionsynth traverse``: one latent number at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.exporting import CleanFeet
from motionsynth.cli.files import Overwrite, pairs
from motionsynth.cli.terminal import echo

__all__ = ["traverse"]


def traverse(
    run: Annotated[Path, typer.Argument(help="Run directory that `motionsynth train` made.")],
    codes: Annotated[
        list[str] | None,
        typer.Option(
            "--code",
            metavar="NAME|INDEX",
            help="A code of the family, or the place of a latent number from 0; may be repeated.",
            show_default="all codes, or the numbers that change the motion most",
        ),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=2, help="Clips in a row.")] = 8,
    limits: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", help="From where to where.", show_default="-1 1 for codes, -2 2 for other numbers"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the latent that all clips share.")] = 0,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=CLASS", help="For conditional models; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default="RUN/traverse")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    clean_feet: CleanFeet = True,
) -> None:
    """Vary one number of a latent, or one code, while the others stay: BVH files, and a page with a row for each.

    Examples:

    `motionsynth traverse runs/infogan`

    `motionsynth traverse runs/vae --code 3 --code 7 --range -3 3`
    """
    from motionsynth.runs import latent_walks
    from motionsynth.runs.export import Export

    strip = latent_walks.traverse(
        run,
        codes or (),
        count,
        limits=limits,
        seed=seed,
        labels=pairs(labels or (), "--label"),
        out=out,
        device=device,
        overwrite=overwrite,
        export=Export(clean_feet=clean_feet),
    )
    for note in strip.notes:
        echo(note)
    echo(f"{sum(map(len, strip.rows.values()))} clips in {strip.page.parent}; watch {strip.page}")
