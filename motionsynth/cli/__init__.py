"""The command line: one file a command. The only place that prints, sets seeds, or exits."""

import os  # Python loads these two by itself before it looks into any folder; nothing else may be imported up here
import sys


def main() -> None:
    """Run ``motionsynth``."""
    _leave_working_folder()
    from motionsynth.cli.app import run

    run()


def _leave_working_folder() -> None:
    """Import no module from the working folder, which may be a corpus from anywhere, here or in any child.

    ``python -m`` puts it on the path, and so does an empty entry of PYTHONPATH; one that names it is meant.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        folder = os.getcwd()  # noqa: PTH109 - pathlib would have to be imported
    except FileNotFoundError:
        return
    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120 - likewise
    named = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]  # noqa: PTH100
    if folder not in (package, *named):
        sys.path[:] = [entry for entry in sys.path if entry not in ("", folder)]
