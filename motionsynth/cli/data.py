"""``motionsynth data``: make, download, inspect and convert motion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.commands import Commands
from motionsynth.cli.download import download
from motionsynth.cli.exporting import CleanFeet, print_renamed
from motionsynth.cli.files import OnBadFile, Overwrite, print_skipped
from motionsynth.cli.terminal import echo, print_json
from motionsynth.corpus.finding import BadFiles

if TYPE_CHECKING:
    from motionsynth.motion.convert import Conversion

__all__ = ["app"]

app = Commands(no_args_is_help=True, rich_markup_mode="markdown", help="Make, download, inspect and convert motion.")
app.command()(download)


@app.command()
def make(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus; `walkers` is the one that is embedded.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("data/walkers"),
    clips: Annotated[int, typer.Option(min=12, help="Number of clips.")] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Make a corpus of procedural motion whose modes and parameters are known, as BVH plus a label table.

    Example: `motionsynth data make walkers --clips 200 --out /tmp/walkers`
    """
    from motionsynth.cli.progress import bar
    from motionsynth.walkers.corpus import make_walkers

    if corpus != "walkers":
        raise typer.BadParameter(f"unknown corpus {corpus!r}; known: walkers", param_hint="CORPUS")
    with bar("walkers", unit="clips") as advance:
        make_walkers(out, clips=clips, seed=seed, progress=advance)
    echo(out)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A BVH or AMC file, or a folder of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    pattern: Annotated[
        str | None, typer.Option(help="Regular expression with named groups that reads labels from file names.")
    ] = None,
) -> None:
    """List joints, tree, frames, rate, units, moving joint, labels, and every file that `train` would refuse.

    Exit code 0 where at least one file can be used, 2 where none can.

    Example: `motionsynth data inspect data/walkers`
    """
    from motionsynth.cli.inspection import print_inspection
    from motionsynth.cli.progress import CorpusBar
    from motionsynth.corpus.inspect import inspect_path

    with CorpusBar() as reading:
        progress = None if path.is_file() else reading
        inspection = inspect_path(path, labels="pattern" if pattern else "auto", pattern=pattern, progress=progress)
    if as_json:
        print_json(inspection.to_dict())
    else:
        print_inspection(inspection)
    if not inspection.usable:
        raise typer.Exit(2)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A BVH or AMC file, or a folder of them.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file, or for a folder the folder, to write.")],
    fps: Annotated[float | None, typer.Option(min=0.1, help="Resample to this frame rate.")] = None,
    from_fps: Annotated[
        float | None, typer.Option(min=0.1, help="Frame rate of IN, where it tells a wrong one or none, as AMC (120).")
    ] = None,
    units: Annotated[str | None, typer.Option(help="Convert lengths to m, cm, mm or in.")] = None,
    from_units: Annotated[str | None, typer.Option(help="Unit of IN, where its height misleads.")] = None,
    portable: Annotated[
        bool,
        typer.Option("--portable", help="Layout and joint names that every program reads alike; prints new names."),
    ] = False,
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="With --portable: joints keep names that programs may mix up.")
    ] = False,
    frames: Annotated[
        str | None, typer.Option("--slice", metavar="A:B", help="Keep frames A to B-1 of IN, counted from 0.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Exchange left and right.")] = False,
    clean_feet: CleanFeet = False,
    on_bad_file: OnBadFile = "stop",
    overwrite: Overwrite = False,
) -> None:
    """Cut, resample, mirror, rescale, and rewrite motion, as BVH.

    Of a folder, all files are written or, where one cannot be converted, none; its `labels.csv` goes along.

    Examples:

    `motionsynth data convert walk.bvh walk60.bvh --fps 60 --units m --portable --slice 10:120`

    `motionsynth data convert ~/mocap mocap60 --fps 60 --on-bad-file skip`

    `motionsynth data convert sliding.bvh standing.bvh --clean-feet`

    `motionsynth data convert 07_01.amc walk.bvh --units cm`, with its skeleton `07.asf` beside it
    """
    from motionsynth.motion.convert import Conversion

    conversion = Conversion(
        frames=_slice(frames),
        from_frame_rate=from_fps,
        frame_rate=fps,
        mirror=mirror,
        clean_feet=clean_feet,
        units=units,
        from_units=from_units,
        portable=portable,
        keep_names=keep_names,
    )
    _convert([source], target, conversion, on_bad_file, overwrite)
    print_renamed(conversion.renamed)


@app.command("clean-feet")
def hold_feet(
    files: Annotated[list[Path], typer.Argument(help="BVH or AMC files, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; of one file the file.")],
    on_bad_file: OnBadFile = "stop",
    overwrite: Overwrite = False,
) -> None:
    """Hold planted feet that slide, by bending the legs: `data convert --clean-feet` for any number of files.

    Feet that stand stay as they are, and so does motion in which no leg is found, which is said. A folder's
    `labels.csv` goes along.

    Examples:

    `motionsynth data clean-feet sliding.bvh --out standing.bvh`

    `motionsynth data clean-feet take_*.bvh --out standing`
    """
    from motionsynth.motion.convert import Conversion

    _convert(files, out, Conversion(clean_feet=True), on_bad_file, overwrite)


def _convert(
    sources: list[Path], target: Path, conversion: Conversion, on_bad_file: OnBadFile, overwrite: bool
) -> None:
    """Convert, and print what was written."""
    from motionsynth.corpus.convert import convert_paths

    bad = BadFiles(on_bad_file)
    converted = convert_paths(sources, target, conversion, overwrite=overwrite, bad=bad)
    for path in converted.paths:
        echo(path)
    for note in converted.notes:
        echo(note, err=True)
    print_skipped(bad.reasons.values())


def _slice(text: str | None) -> slice | None:
    if text is None:
        return None
    match = re.fullmatch(r"(-?\d+)?:(-?\d+)?", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} must look like 10:120, :120 or 10:", param_hint="--slice")
    first, last = (int(group) if group else None for group in match.groups())
    return slice(first, last)
