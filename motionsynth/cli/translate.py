"""``motionsynth translate``: clips brought from one domain to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.exporting import CleanFeet, FrameRate, KeepNames, Unit, UpAxis, export_of, print_notes
from motionsynth.cli.files import OnBadFile, Overwrite, pairs, print_skipped
from motionsynth.cli.terminal import echo
from motionsynth.corpus.finding import BadFiles, find_clips

__all__ = ["translate"]


def translate(
    run: Annotated[Path, typer.Argument(help="Run directory of a family that translates, such as cyclegan.")],
    clips: Annotated[list[Path], typer.Argument(help="BVH or AMC files, or folders of them.", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="Class that the clips are to become, such as elderly.")],
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
    """Bring clips to another style, or to how another corpus moves, and write them as BVH.

    Clips may be of any length; each is read at the run's frame rate, goes through as a whole, path
    over the ground included, and starts where the clip does, heading as it does, with its up axis and
    unit, at the rate of the corpus.

    Example: `motionsynth translate runs/cyclegan ~/mocap/walk.bvh --to elderly --out /tmp/old --overwrite`
    """
    from motionsynth.runs.translation import translate as translate_clips

    export = export_of(up, fps, units, keep_names, clean_feet)
    bad = BadFiles(on_bad_file)
    paths = translate_clips(
        run,
        find_clips(clips, bad),
        to,
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
