"""Experiments: a claim of the notes, where it stands there, and a number that decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from motionsynth.docstrings import docstring

__all__ = ["EXACT", "Drawing", "Experiment", "Outcome", "Series", "experiment"]

Stated = Literal["holds", "fails"]

EXACT: Final = 1e-9
"""Relative errors below this are rounding: float64, sums over some thousand points."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an experiment.

    Args:
        error: how far from the claim, 0 where it holds exactly; of several cases the worst where the claim should hold,
            the most favourable where it should fail.
        tolerance: the claim holds where the error is no larger.
        detail: the figures behind it, in a few words.
    """

    error: float
    tolerance: float = EXACT
    detail: str = ""

    @property
    def holds(self) -> bool:
        """True where the claim holds; never where the error is not a number."""
        return self.error <= self.tolerance


@dataclass(frozen=True, slots=True)
class Experiment:
    """A claim and the function that measures it.

    Args:
        name: ``group/name``, the group being the file that the experiment lives in.
        section: the notes' letter of the section.
        term: the notes' own words.
        measure: runs the experiment; its docstring begins with the claim; every parameter has a default.
        stated: what is expected; ``fails`` marks a false form, which must be seen to fail.
        margin: the error from which a false form has failed for all to see.
    """

    name: str
    section: str
    term: str
    measure: Callable[..., Outcome]
    stated: Stated = "holds"
    margin: float = 1e-2

    @property
    def claim(self) -> str:
        """The claim in one sentence: the first paragraph of the function's docstring."""
        return " ".join(docstring(self.measure).split("\n\n")[0].split())

    @property
    def where(self) -> str:
        """Section and words of the notes."""
        return f"{self.section} {self.term}"

    def as_stated(self, outcome: Outcome) -> bool:
        """True if a claim stated to hold holds, or a false form fails by its margin; what lies between is neither."""
        return outcome.holds if self.stated == "holds" else outcome.error >= self.margin


def experiment(
    name: str, section: str, term: str, *, stated: Stated = "holds", margin: float = 1e-2
) -> Callable[[Callable[..., Outcome]], Experiment]:
    """Make an experiment of the function below it; see :class:`Experiment`."""
    return lambda measure: Experiment(name, section, term, measure, stated, margin)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a drawing."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    role: Literal["", "generated", "reference", "train"] = ""
    markers: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as data; who draws it knows nothing of the experiment, and the experiment nothing of drawing.

    Args:
        name: of the file, without suffix.
        caption: what is to be seen, for those who cannot see it.
        series: the lines.
        x_label, y_label: with units.
        x_scale, y_scale: ``linear`` or ``log``.
        x_ticks: where x is labelled; chosen by the values where empty.
    """

    name: str
    caption: str
    series: tuple[Series, ...]
    x_label: str
    y_label: str
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"
    x_ticks: tuple[float, ...] = ()
