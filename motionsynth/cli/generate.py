"""``motionsynth generate``: new clips from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.exporting import CleanFeet, FrameRate, KeepNames, Unit, UpAxis, export_of, print_notes
from motionsynth.cli.files import Overwrite, pairs
from motionsynth.cli.terminal import echo

__all__ = ["generate"]


def generate(
    run: Annotated[Path, typer.Argument(help="Run directory that `motionsynth train` made.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of clips.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default="RUN/samples")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(help="Length of each clip, in frames at the model's rate.", show_default="the window trained on"),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(help="Where latents are drawn from: normal, fitted, …", show_default="the family's first"),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=CLASS", help="For conditional models; may be repeated."),
    ] = None,
    show: Annotated[
        str | None, typer.Option(help="mean or sample of the likelihood.", show_default="the family's default")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    up: UpAxis = None,
    fps: FrameRate = None,
    units: Unit = None,
    keep_names: KeepNames = False,
    clean_feet: CleanFeet = True,
) -> None:
    """Draw clips from a trained model and write them as BVH that Blender opens.

    They have the up axis, unit and frame rate of the corpus, and start at the origin. Without `--out` they take the
    place of the run's samples; another folder must be empty, or see `--overwrite`.

    Examples:

    `motionsynth generate runs/vae -n 64 --seed 1 --out /tmp/vae --overwrite`

    `motionsynth generate runs/ae --prior normal`

    `motionsynth generate runs/cvae --label style=elderly --label content=walk`
    """
    from motionsynth.runs import generation

    export = export_of(up, fps, units, keep_names, clean_feet)
    paths = generation.generate(
        run,
        count,
        seed=seed,
        out=out,
        frames=frames,
        prior=prior,
        labels=pairs(labels or (), "--label"),
        show=show,
        device=device,
        overwrite=overwrite,
        export=export,
    )
    echo(f"{len(paths)} clips in {paths[0].parent}")
    print_notes(export)
