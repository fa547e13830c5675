"""What measuring needs of a corpus, opened once a process; and what one view of a cell shows."""

from __future__ import annotations

from dataclasses import dataclass

from motionsynth.calibration.record import Calibration
from motionsynth.comparison.reference import Reference
from motionsynth.corpus.motions import MotionSet
from motionsynth.extractors.extractor import Extractor
from motionsynth.runs.run import Run
from motionsynth.study.plan import ArmConfig, MeasureConfig, ViewConfig

__all__ = ["Shown", "World"]


@dataclass(frozen=True, eq=False)
class World:
    """A corpus and what judges on it.

    Args:
        reference: the corpus; its test split is what views are held against.
        judge: the extractor that was fitted on its training split.
        calibration: curves on which figures are read as doses; None where the study asks for none.
        measure: how many windows, by what seed, which figures.
        calibration_sha256: identity of those curves; empty where there are none.
    """

    reference: Reference
    judge: Extractor
    calibration: Calibration | None
    measure: MeasureConfig
    calibration_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Shown:
    """One view of one cell.

    Args:
        arm: what it is of.
        view: how it is shown.
        seed: of the cell.
        motions: the windows, features as files have them (not normalised).
        run: the run that drew them; None for a landmark.
    """

    arm: ArmConfig
    view: ViewConfig
    seed: int
    motions: MotionSet
    run: Run | None


Found = dict[str, float | str]
"""Key -> number, or why there is none."""
