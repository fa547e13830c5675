"""What became of a run that covers less than the strongest dose of a calibration leaves: collapsed, or off real motion.

Coverage falls where windows repeat and where they are unlike real ones. The two are told apart by how much windows
vary within a cell: fewer than real ones, they have collapsed; as much or more, they lie elsewhere.
"""

from __future__ import annotations

from typing import Final, Literal

from motionsynth.study.results import ViewResult

__all__ = ["COVERAGE", "SPREAD", "Outcome", "covers_next_to_nothing"]

COVERAGE: Final = ("drop", "collapse")
"""Axes beyond whose strongest dose a run covers next to nothing."""
SPREAD: Final = "modes/multimodality_within.pca"
"""How much windows vary within a cell, times real motion."""

Outcome = Literal["", "collapsed", "off real motion"]


def covers_next_to_nothing(view: ViewResult, axes: tuple[str, ...] = COVERAGE) -> Outcome:
    """How a view came to cover less than the strongest dose leaves; empty where it covers more.

    Args:
        view: of one run.
        axes: on any of which it may lie beyond the strongest dose.
    """
    if not any(axis in view.doses and view.doses[axis].state == "beyond" for axis in axes):
        return ""
    spread = view.figures.get(SPREAD)
    return "collapsed" if spread is None or spread < 1 else "off real motion"
