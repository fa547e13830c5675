"""``motionsynth reconstruct``: real clips through a run's encoder and decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.exporting import CleanFeet, FrameRate, KeepNames, Unit, UpAxis, export_of, print_notes
from motionsynth.cli.files import OnBadFile, Overwrite, pairs, print_skipped
from motionsynth.cli.terminal import echo
from motionsynth.corpus.finding import BadFiles, find_clips

__all__ = ["reconstruct"]


def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run directory of a family with an encoder, such as vae.")],
    clips: Annotated[list[Path], typer.Argument(help="BVH or AMC files, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=CLASS", help="For conditional models, instead of the clips' own labels."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    on_bad_file: OnBadFile = "stop",
    overwrite: Overwrite = False,
    up: UpAxis = None,
    fps: FrameRate = None,
    units: Unit = None,
    keep_names: KeepNames = False,
    clean_feet: CleanFeet = True,
) -> None:
    """Send real clips through a model's encoder and decoder, and write what comes back as BVH.

    Each clip is read at the run's frame rate and cut into windows that lie end to end; the last
    ends on the last frame, and a clip shorter than a window is padded and cut back. The result
    starts where the clip does, heads as it does and has its up axis and unit, at the rate of the corpus.

    Example: `motionsynth reconstruct runs/vae data/walkers/walk_normal_001.bvh --out /tmp/back --overwrite`
    """
    from motionsynth.runs import generation

    export = export_of(up, fps, units, keep_names, clean_feet)
    bad = BadFiles(on_bad_file)
    paths = generation.reconstruct(
        run,
        find_clips(clips, bad),
        out,
        labels=pairs(labels or (), "--label"),
        device=device,
        overwrite=overwrite,
        bad=bad,
        export=export,
    )
    echo(f"{len(paths)} clips in {out}")
    print_notes(export)
    print_skipped(bad.reasons.values())
