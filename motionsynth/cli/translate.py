"""``motionsynth translate``: clips brought from one domain to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.terminal import echo

__all__ = ["translate"]


def translate(
    run: Annotated[Path, typer.Argument(help="Run directory of a family that translates, such as cyclegan.")],
    clips: Annotated[list[Path], typer.Argument(help="BVH files, or folders of them.", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="Class that the clips are to become, such as elderly.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=CLASS", help="For conditional models, instead of the clips' own labels."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Bring clips to another style, or to how another corpus moves, and write them as BVH.

    Clips may be of any length; each is read at the run's frame rate, goes through as a whole, path
    over the ground included, and comes back from the origin, facing forward.

    Example: `motionsynth translate runs/cyclegan data/walkers/walk_normal_001.bvh --to elderly --out /tmp/old`
    """
    from motionsynth.cli.files import bvh_files, pairs
    from motionsynth.translation import translate as translate_clips

    paths = translate_clips(run, bvh_files(clips), to, out, labels=pairs(labels or (), "--label"), device=device)
    echo(f"{len(paths)} clips in {out}")
