"""``motionsynth interpolate``: the clips between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.exporting import CleanFeet
from motionsynth.cli.files import Overwrite, pairs
from motionsynth.cli.terminal import echo
from motionsynth.errors import MotionSynthError

__all__ = ["interpolate"]


def interpolate(
    run: Annotated[Path, typer.Argument(help="Run directory that `motionsynth train` made.")],
    clips: Annotated[
        list[Path] | None,
        typer.Argument(help="Two BVH or AMC files, for families that encode, such as vae.", show_default=False),
    ] = None,
    seeds: Annotated[
        tuple[int, int] | None,
        typer.Option("--seeds", help="Two seeds of `generate`, instead of clips; for any family with latents."),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=2, help="Number of clips, the two ends among them.")] = 8,
    linear: Annotated[
        bool | None,
        typer.Option("--linear/--great-circle", help="How the path goes.", show_default="--great-circle for N(0, I)"),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=CLASS", help="For conditional models, instead of the clips' own labels."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default="RUN/interpolation")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    clean_feet: CleanFeet = True,
) -> None:
    """Walk through a model's latents from one clip to another: BVH files, and a page that plays them in a row.

    The first window of each clip is encoded, and the first and the last file are what `reconstruct` makes of them.
    With seeds, these are the first clips that `generate` draws for them.

    Examples:

    `motionsynth interpolate runs/vae data/walkers/walk_normal_001.bvh data/walkers/wave_normal_001.bvh -n 8`

    `motionsynth interpolate runs/gan --seeds 0 1 --linear`
    """
    from motionsynth.runs import latent_walks
    from motionsynth.runs.export import Export

    ends: tuple[Path, Path] | tuple[int, int]
    if clips and seeds:
        raise MotionSynthError("give two clips, or two seeds as --seeds 0 1, not both")
    if seeds:
        ends = seeds
    elif clips and len(clips) == 2:
        ends = (clips[0], clips[1])
    else:
        raise MotionSynthError(f"a path has two ends: give two clips, or --seeds 0 1 (got {len(clips or ())} clips)")
    strip = latent_walks.interpolate(
        run,
        ends,
        count,
        linear=linear,
        labels=pairs(labels or (), "--label"),
        out=out,
        device=device,
        overwrite=overwrite,
        export=Export(clean_feet=clean_feet),
    )
    for note in strip.notes:
        echo(note)
    echo(f"{count} clips in {strip.page.parent}; watch {strip.page}")
