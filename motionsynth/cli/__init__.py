"""The command line: one file a command. The only place that prints, sets seeds, or exits."""

from __future__ import annotations


def main() -> None:
    """Run ``motionsynth``."""
    from motionsynth.cli.app import run

    run()
