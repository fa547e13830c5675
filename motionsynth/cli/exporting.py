"""Options of the commands that write clips of a run, and the list of joints that they rename."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from motionsynth.cli.terminal import echo
from motionsynth.errors import MotionSynthError

if TYPE_CHECKING:
    from motionsynth.runs.export import Export

__all__ = ["CleanFeet", "FrameRate", "KeepNames", "Unit", "UpAxis", "export_of", "print_notes", "print_renamed"]

Axis = Literal["y", "z"]
UpAxis = Annotated[Axis | None, typer.Option("--up", help="Axis that points up.", show_default="as in the corpus")]
FrameRate = Annotated[
    float | None, typer.Option("--fps", min=0.1, help="Frames a second.", show_default="as in the corpus")
]
Unit = Annotated[
    str | None, typer.Option("--units", help="Unit of length: m, cm, mm or in.", show_default="as in the corpus")
]
KeepNames = Annotated[
    bool, typer.Option("--keep-names", help="Leave joint names as they are, though programs may mix them up.")
]
CleanFeet = Annotated[
    bool,
    typer.Option("--clean-feet/--raw-feet", help="Hold planted feet that slide more than in motion capture."),
]


def export_of(up: Axis | None, fps: float | None, units: str | None, keep_names: bool, clean_feet: bool) -> Export:
    """The export that the options ask for.

    Raises:
        MotionSynthError: there is no such unit.
    """
    from motionsynth.motion.transform import unit_metres
    from motionsynth.runs.export import Export

    try:
        if units is not None:
            unit_metres(units)
    except ValueError as error:
        raise MotionSynthError(f"--units: {error}") from error
    return Export(up, fps, units, keep_names, clean_feet)


def print_notes(export: Export) -> None:
    """Print on stderr what the clips that an export wrote have become, in a few lines."""
    for note in export.notes:
        echo(note, err=True)
    print_renamed(export.renamed, most=3)


def print_renamed(renamed: Sequence[tuple[str, str]], most: int | None = None) -> None:
    """List on stderr the joints whose names have changed, ``most`` of them; all where None."""
    if not renamed:
        return
    echo(f"{len(renamed)} joint names changed, so that every program keeps them apart (or --keep-names):", err=True)
    shown = renamed[:most]
    width = max(len(repr(own)) for own, _ in shown)
    for own, new in shown:
        echo(f"  {own!r:{width}}  {new!r}", err=True)
    if len(shown) < len(renamed):
        echo(f"  and {len(renamed) - len(shown)} more", err=True)
