"""Processes that this one starts: how a Python is started beside it, and how it ends with it.

Whatever starts one goes through here, so that the working folder, which may be an unpacked corpus from anywhere, is not
on the child's path: ``python -m`` and ``python -c`` would look for every module there first.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path

__all__ = ["child_environment", "follow_parent", "module_command", "safe_children"]

_ROOT = Path(__file__).resolve().parents[1]
"""Folder that this package is in: a checkout, or site-packages."""


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in a Python like this one; start it with ``child_environment``.

    Raises:
        FileNotFoundError: this Python does not know its own program.
    """
    if not sys.executable:
        raise FileNotFoundError(2, "there is no Python to start", "python")
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """A copy of this process's environment, for a child and all that it starts.

    Nothing is imported from the working folder then, and this very package is found wherever it was found here.
    """
    return {**os.environ, **_safe_path()}


@contextmanager
def safe_children() -> Iterator[None]:
    """Inside the block, start every child with ``child_environment``: for pools that take none."""
    changes = _safe_path()
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _safe_path() -> dict[str, str]:
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [str(Path(entry).absolute()) for entry in named if entry]  # an empty one is the working folder
    if _ROOT.name not in ("site-packages", "dist-packages"):  # found anyway, and no place to be looked into first
        entries.insert(0, str(_ROOT))
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(entries))}


def follow_parent() -> None:
    """End this worker when the process that started it is killed: nobody else would ever tell it to."""

    def wait_for_it() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()
