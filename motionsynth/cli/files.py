"""Options of commands that take clips or write folders of them, and pairs of words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import typer

from motionsynth.cli.terminal import echo
from motionsynth.errors import MotionSynthError

__all__ = ["DataOnBadFile", "OnBadFile", "Overwrite", "data_overrides", "pairs", "print_skipped"]

OnBadFile = Annotated[
    Literal["stop", "skip"],
    typer.Option("--on-bad-file", help="Stop where a file cannot be used, with nothing written; or skip and list it."),
]
DataOnBadFile = Annotated[
    Literal["stop", "skip"] | None,
    typer.Option(
        "--on-bad-file",
        help="stop or skip where a clip cannot be used; skipped ones are listed.",
        show_default="what the data section says, else stop",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what motionsynth wrote into OUT before; never anything else.")
]


def print_skipped(reasons: Iterable[str]) -> None:
    """List on stderr every file that was left out, after all that was done."""
    for reason in reasons:
        echo(f"skipped {reason}", fg="yellow", err=True)


def data_overrides(on_bad_file: str | None, overrides: Iterable[str] | None) -> list[str]:
    """Overrides of the data section, the policy first, so that ``--set`` has the last word."""
    return [*([f"data.on_bad_file={on_bad_file}"] if on_bad_file else []), *(overrides or ())]


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping.

    Raises:
        MotionSynthError: a word is none, or a name comes twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not (name and separator and value):
            raise MotionSynthError(f"{option} {word}: must look like style=elderly")
        if name in found:
            raise MotionSynthError(f"{option} {word}: {name} is given twice")
        found[name] = value
    return found
