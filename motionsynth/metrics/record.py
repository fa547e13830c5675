"""Records of metrics, and the shape of their computation.

A *measure* is one computation on two sets of windows; it gives one or more figures, each with a *metric*: the record
from which tables, ``docs/metrics.md`` and ``motionsynth metrics`` are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from motionsynth.metrics.descriptors import Descriptors

__all__ = ["SHARE", "SIGNED", "Better", "Group", "Measure", "Metric", "Need", "Resample", "Sets", "UndefinedError"]

Group = Literal["smoothness", "modes", "fidelity", "memorisation"]
Better = Literal["lower", "higher", "match"]
Resample = Literal["takes", "halves"]
Need = Literal["cells", "train", "feet", "realism"]


SHARE: Final = (0.0, 1.0)
"""Bounds of a share."""
SIGNED: Final = (-math.inf, math.inf)
"""Bounds of what may lie on either side of 0."""


class UndefinedError(Exception):
    """A figure has no value for these sets; the message says why, and it is shown in its place."""


class Sets(NamedTuple):
    """Sets that a measure compares."""

    generated: Descriptors
    reference: Descriptors
    train: Descriptors | None = None
    """The whole training split, for the measures that need it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The record of one figure."""

    name: str
    """Letters, digits and ``_``; its figure's key is ``group/name``, and in a feature space ``group/name.space``."""
    group: Group
    unit: str
    """``1`` for a pure number."""
    better: Better
    """``match``: best where it equals ``ideal``, or else the figure of real against real."""
    summary: str
    """One sentence, with the formula."""
    reference: str
    """Paper and year; ``this package`` where there is none."""
    ideal: float | None = None
    """Value for two sets of one distribution, where theory knows it."""
    within: bool = False
    """Comparison of the sets cell by cell (content x style), so that the mix of modes does not move it."""
    bounds: tuple[float, float] = (0.0, math.inf)
    """Least and greatest value that it can have: where its interval ends at the latest."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One computation, and the records of its figures.

    Args:
        metrics: records of the figures that ``compute`` gives, in order.
        compute: (sets, feature space or None) -> figure by ``Metric.name``; raises ``UndefinedError``. Pure: the same
            sets give the same figures.
        resample: how its intervals are made: ``takes``: bootstrap, takes drawn with replacement; ``halves``: half of
            the takes drawn without replacement, for figures that a duplicated clip would change.
        least: windows that each set needs at least.
        spaces: whether it is computed in each feature space.
        needs: what the sets must have besides.
        calibrated: whether it is an instrument whose answer to doses is measured; else it only describes.
    """

    metrics: tuple[Metric, ...]
    compute: Callable[[Sets, str | None], Mapping[str, float]]
    resample: Resample
    least: int = 2
    spaces: bool = False
    needs: tuple[Need, ...] = ()
    calibrated: bool = True
