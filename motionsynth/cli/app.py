"""The tree of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from typing import Annotated

import typer

from motionsynth import __version__
from motionsynth.cli import (
    calibrate,
    data,
    demo,
    evaluate,
    extractor,
    families,
    generate,
    interpolate,
    metrics,
    reconstruct,
    runs,
    study,
    theory,
    train,
    translate,
    traverse,
    ui,
    view,
)
from motionsynth.cli.commands import Commands
from motionsynth.errors import MotionSynthError

__all__ = ["app", "run"]

app = Commands(
    name="motionsynth",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train VAE, GAN and their relatives on skeletal motion (BVH), and compare what they make.\n\n"
    "Start with `motionsynth demo`. Exit codes: 0 done, 1 failed, 2 wrong input, 130 and 143 stopped and resumable.",
)
app.add_typer(data.app, name="data")
app.command("families")(families.families)
app.command("train")(train.train)
app.command("generate")(generate.generate)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("translate")(translate.translate)
app.command("interpolate")(interpolate.interpolate)
app.command("traverse")(traverse.traverse)
app.add_typer(runs.app, name="runs")
app.command("evaluate")(evaluate.evaluate)
app.command("calibrate")(calibrate.calibrate)
app.command("metrics")(metrics.metrics)
app.add_typer(extractor.app, name="extractor")
app.add_typer(study.app, name="study")
app.command("theory")(theory.theory)
app.command("view")(view.view)
app.command("ui")(ui.ui)
app.command("demo")(demo.demo)

_WRONG_PATHS = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What a user can put right; a full disk is none of these."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"motionsynth {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more, and show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")


def run() -> None:
    """Parse the command line and run the command; a user's error is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except MotionSynthError as error:
        if logging.getLogger().isEnabledFor(logging.INFO):
            raise
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `motionsynth data inspect … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UnicodeEncodeError as error:  # what the system's file names become where they are no text
        if logging.getLogger().isEnabledFor(logging.INFO):
            raise
        name = ascii(error.object[max(0, error.start - 40) : error.end + 40])
        typer.secho(f"error: {name}: not UTF-8 text; rename the file", fg="red", err=True)
        sys.exit(2)
    except OSError as error:
        if logging.getLogger().isEnabledFor(logging.INFO):
            raise
        typer.secho(f"error: {error.filename or 'system'}: {error.strerror or error}", fg="red", err=True)
        sys.exit(2 if isinstance(error, _WRONG_PATHS) or error.errno == errno.EROFS else 1)
