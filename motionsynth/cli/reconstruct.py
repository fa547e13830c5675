"""``motionsynth reconstruct``: real clips through a run's encoder and decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.terminal import echo

__all__ = ["reconstruct"]


def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run directory of a family with an encoder, such as vae.")],
    clips: Annotated[list[Path], typer.Argument(help="BVH files, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=CLASS", help="For conditional models, instead of the clips' own labels."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Send real clips through a model's encoder and decoder, and write what comes back as BVH.

    Each clip is read at the run's frame rate and cut into windows that lie end to end; the last
    ends on the last frame, and a clip shorter than a window is padded and cut back.

    Example: `motionsynth reconstruct runs/vae data/walkers/walk_normal_001.bvh --out /tmp/back`
    """
    from motionsynth import generation
    from motionsynth.cli.files import bvh_files, pairs

    paths = generation.reconstruct(run, bvh_files(clips), out, labels=pairs(labels or (), "--label"), device=device)
    echo(f"{len(paths)} clips in {out}")
