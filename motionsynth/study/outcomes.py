"""Outcomes of runs and arms: collapsed, off real motion, not trained to use.

Coverage falls where windows repeat and where they are unlike real ones. The two are told apart by how much windows
vary within a cell: fewer than real ones, they have collapsed; as much or more, they lie elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from motionsynth.study.plan import StudyConfig
from motionsynth.study.results import CellResult, ViewResult

__all__ = ["COVERAGE", "SPREAD", "Cells", "Doubt", "Outcome", "arm_title", "covers_next_to_nothing", "not_useful"]

Cells = Mapping[tuple[str, str, int], CellResult]
"""(arm, corpus, seed) -> its result."""

COVERAGE: Final = ("drop", "collapse")
"""Axes beyond whose strongest dose a run covers next to nothing."""
SPREAD: Final = "modes/multimodality_within.pca"
"""Variation of windows within a cell, times real motion."""

Outcome = Literal["", "collapsed", "off real motion"]


def covers_next_to_nothing(view: ViewResult, axes: tuple[str, ...] = COVERAGE) -> Outcome:
    """Explanation of a view that covers less than the strongest dose leaves; empty where it covers more.

    Args:
        view: of one run.
        axes: on any of which it may lie beyond the strongest dose.
    """
    if not any(axis in view.doses and view.doses[axis].state == "beyond" for axis in axes):
        return ""
    spread = view.figures.get(SPREAD)
    return "collapsed" if spread is None or spread < 1 else "off real motion"


class Doubt(NamedTuple):
    """Reason for which an arm counts as not trained; ``measured`` where its quality is known, and too low."""

    why: str
    measured: bool


def arm_title(study: StudyConfig, arm: str) -> str:
    """Title of an arm for readers."""
    return study.arms[arm].title or arm


def not_useful(study: StudyConfig, arm: str, corpus: str, cells: Cells) -> Doubt | None:
    """Reason for which no verdict may be drawn from an arm, by the rule ``useful``; None where one may.

    Landmarks and mixtures on grids are what they are: the rule is of arms that are trained.

    Args:
        study: the plan.
        arm: judged in its main view, in the mean over its finished seeds.
        corpus: on which.
        cells: of ``evidence.index_cells``.
    """
    rule, config = study.useful, study.arms[arm]
    if rule is None or config.family is None or config.tier == "landmark":
        return None
    means = []
    for name in (arm, rule.of):
        wanted = [cells.get((name, corpus, seed)) for seed in study.seeds_of(name)] if name in study.arms else []
        shown = [cell.views.get(study.arms[name].main_view) for cell in wanted if cell and cell.state == "finished"]
        values = [view.figures[rule.figure] for view in shown if view and rule.figure in view.figures]
        if not values:
            known = f"whether {arm_title(study, arm)} is trained to a useful quality is not known"
            return Doubt(f"{known}: no {rule.figure} of {name}", measured=False)
        means.append(sum(values) / len(values))
    if means[0] < rule.share * means[1]:
        return None
    why = (
        f"{arm_title(study, arm)} is not trained to a useful quality: its {rule.figure} is {means[0]:.3g}, "
        f"not below {rule.share:g} of the {means[1]:.3g} of {arm_title(study, rule.of)}"
    )
    return Doubt(why, measured=True)
