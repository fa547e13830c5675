"""Commit of the code that ran."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git_commit"]


def git_commit() -> str | None:
    """The commit of the code, where it runs from a checkout of its own and not from an installed copy."""
    package = Path(__file__).parent
    if not (package.parent / ".git").exists():
        return None  # nor look further up: an environment may lie in a repository of strangers, whose settings run code
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        for command in (["ls-files", "--error-unmatch", "__init__.py"], ["rev-parse", "HEAD"]):
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *command],
                cwd=package,
                env=environment,
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
