"""Groups of commands whose paths may begin with ``~``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from motionsynth.files import from_home

__all__ = ["Commands"]


class Commands(typer.Typer):
    """A group whose commands are given every path with its ``~`` put right.

    A shell does so for ``--out ~/x`` alone, and not for ``--out=~/x`` or a quoted ``'~/x'``.
    """

    def command(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a command, as ``typer.Typer.command`` does."""
        register = super().command(*args, **kwargs)

        def registered(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def called(**given: Any) -> Any:
                return function(**{name: _from_home(value) for name, value in given.items()})

            register(called)
            return function

        return registered


def _from_home(value: Any) -> Any:
    if isinstance(value, Path):
        return Path(from_home(str(value)))
    if isinstance(value, list | tuple):
        return type(value)(_from_home(part) for part in value)
    return value
