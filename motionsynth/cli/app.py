"""The tree of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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
from motionsynth.cli.terminal import echo, log_to_terminal, print_traceback
from motionsynth.docstrings import docstring
from motionsynth.errors import MotionSynthError
from motionsynth.files import full_disk
from motionsynth.printable import printable

__all__ = ["app", "run"]


@contextmanager
def _quoted() -> Iterator[None]:
    """Usage errors quote what was typed, or what a shell made of ``*``, as text."""
    try:
        yield
    except _UsageError as error:
        error.message = printable(error.message)
        raise


_UsageError: Any = typer.BadParameter.__base__


class _Program(TyperGroup):
    """The group of all commands, whose usage errors are printed as text."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Options of the program itself are read here."""
        with _quoted():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Options of commands are read here."""
        with _quoted():
            return super().invoke(ctx)


app = Commands(
    name="motionsynth",
    cls=_Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train VAE, GAN and their relatives on skeletal motion (BVH, ASF/AMC), and compare what they make.\n\n"
    "Start with `motionsynth demo`. Exit codes: 0 done, 1 failed, 2 wrong input, "
    "3 a training diverged, 130 and 143 stopped and resumable.",
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
_WRONG_CODES = (errno.EFBIG, errno.EINVAL, errno.ELOOP, errno.ENAMETOOLONG, errno.EROFS)
"""Errors that a user can put right where a path is named, ours of ``motionsynth.files`` too; not a full disk."""


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"motionsynth {__version__}")
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
    log_to_terminal(logging.INFO if verbose else logging.WARNING)


def run() -> None:
    """Parse the command line and run the command; a user's error is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    if sys.flags.optimize > 1:
        _restore_help(app)
    try:
        app()
    except BrokenPipeError:  # `motionsynth data inspect … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        text, code = _explained(error)
        if text is None or logging.getLogger().isEnabledFor(logging.INFO):
            print_traceback(error)
        if text is not None:
            echo(f"error: {text}", fg="red", err=True)
        _leave(code)
    except SystemExit as end:
        _leave(end.code)


def _leave(code: str | int | None) -> None:
    """Exit; a process that lost the others does so at once, as their group's threads would abort the interpreter."""
    group = sys.modules.get("torch.distributed")
    if isinstance(code, int) and code and group and group.is_available() and group.is_initialized():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def _restore_help(commands: typer.Typer) -> None:
    """Give commands the help that ``PYTHONOPTIMIZE=2`` takes away with all docstrings."""
    for command in commands.registered_commands:
        if command.callback:
            command.callback.__doc__ = docstring(command.callback)
    for group in commands.registered_groups:
        if group.typer_instance:
            _restore_help(group.typer_instance)


def _explained(error: Exception) -> tuple[str | None, int]:
    """The line that says what is wrong, None where that is a bug of this package, and the exit code."""
    if isinstance(error, MotionSynthError):
        return str(error), 1 if full_disk(error) else error.exit_code
    if isinstance(error, UnicodeEncodeError):  # what the system's file names become where they are no text
        name = ascii(error.object[max(0, error.start - 40) : error.end + 40])
        return f"{name}: not UTF-8 text; rename the file", 2
    if isinstance(error, OSError):
        wrong = isinstance(error, _WRONG_PATHS) or (error.filename is not None and error.errno in _WRONG_CODES)
        return f"{error.filename or 'system'}: {error.strerror or error}", 2 if wrong else 1
    if _out_of_memory(error):
        return f"system: out of memory: {str(error).partition(chr(10))[0] or 'no more to be had'}", 1
    return None, 1


def _out_of_memory(error: Exception) -> bool:
    """True where memory ran out; torch, which is not loaded here, has a class of its own, or words alone."""
    named = type(error).__name__ == "OutOfMemoryError"
    return named or isinstance(error, MemoryError) or "can't allocate memory" in str(error)
