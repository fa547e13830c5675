"""The commit of the package's code, and the files that ship with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git_commit", "shipped_file"]

_PACKAGE = Path(__file__).parent


def shipped_file(inside: str) -> Path | None:
    """A file that ships, in the checkout or inside the installed package; None where it is missing."""
    return next((path for folder in (_PACKAGE.parent, _PACKAGE) if (path := folder / inside).is_file()), None)


def git_commit() -> str | None:
    """The commit of the code, where it runs from a checkout of its own and not from an installed copy."""
    if not (_PACKAGE.parent / ".git").exists():
        return None  # nor look further up: an environment may lie in a repository of strangers, whose settings run code
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        for command in (["ls-files", "--error-unmatch", "__init__.py"], ["rev-parse", "HEAD"]):
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *command],
                cwd=_PACKAGE,
                env=environment,
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
