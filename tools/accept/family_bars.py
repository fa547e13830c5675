"""What came of a family in families.py, the bars it is held against, and the table of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from family_quality import BASELINES, Quality

from motionsynth.training.journal import JournalRow

__all__ = ["Bar", "Result", "bars_of", "journal_means", "table"]

LAST: Final = 0.1
"""Share of the training, at its end, that means of the journal are taken over."""
MOST_MINUTES: Final = 15.0
MOST_RIGHT: Final = 0.95
"""A critic that is right about more windows than that leaves its generator nothing to learn from."""
LEAST_RECOVERED: Final = 0.5
"""Of a code: accuracy, where chance is one over the classes, or R2, where it is 0."""
AE, MEAN_CLIP = "ae", "mean clip"
RECONSTRUCTIONS: Final[dict[str, tuple[str, float]]] = {
    "vae": (AE, 2.0),
    "aae": (AE, 2.0),
    "vaegan": (AE, 2.0),
    "ali": (MEAN_CLIP, 0.5),
    "wakesleep": (MEAN_CLIP, 0.5),
}
"""Family -> whose error on held-out clips its own is held against, and how many times that it may be."""


@dataclass
class Result:
    """One family on one corpus; a figure is None where the family has no such thing."""

    name: str
    identity: str
    """Hash of the configuration."""
    error: str | None = None
    """Why it failed."""
    seconds: float = 0.0
    """Of training, by the journal."""
    steps: int = 0
    parameters: dict[str, int] = field(default_factory=dict)
    """Network -> numbers in it."""
    commands: list[str] = field(default_factory=list)
    """What it was put through."""
    quality: dict[str, Quality] = field(default_factory=dict)
    """Prior -> figures of the samples; the family's default first."""
    rows: dict[str, Quality] = field(default_factory=dict)
    """The same figures of training windows (``real``), of the baselines, and of the untrained networks."""
    reconstruction: float | None = None
    """Mean squared error a normalised number of test windows."""
    mean_clip: float | None = None
    """The same of the mean clip in their place."""
    difference: float | None = None
    """The same of the nearest training window of the other domain, for a family that translates."""
    journal: dict[str, float] = field(default_factory=dict)
    """Means over the end of training."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Steps, and the Frechet distance of samples to the validation takes."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bar:
    """A figure and its limit; None where the figure, or what it is held against, is missing."""

    name: str
    value: float | None
    limit: float | None
    upwards: bool = False
    """Whether the figure must exceed the limit, not stay below it."""

    @property
    def passed(self) -> bool | None:
        """None where it cannot be judged."""
        if self.value is None or self.limit is None:
            return None
        return self.value > self.limit if self.upwards else self.value <= self.limit

    def __str__(self) -> str:
        mark = {True: "pass", False: "MISS", None: "not judged"}[self.passed]
        sign = ">" if self.upwards else "<="
        return f"{self.name} {_number(self.value)} {sign} {_number(self.limit)}: {mark}"


def journal_means(rows: Sequence[JournalRow]) -> dict[str, float]:
    """Mean of every train and validation figure over the last rows that have it."""
    series: dict[str, list[float]] = {}
    first = (1 - LAST) * rows[-1].step
    for row in rows:
        if row.step >= first:
            for name, value in row.metrics.items():
                if name.startswith(("train/", "validation/")) and not name.endswith("learning_rate"):
                    series.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in series.items()}


def bars_of(result: Result, everything: Mapping[str, Result]) -> list[Bar]:
    """All that the family has to reach.

    Args:
        result: its own.
        everything: of all families on the same corpus, by name.
    """
    if not result.quality:
        return []
    own = next(iter(result.quality.values()))
    rivals = [result.rows[name] for name in (*BASELINES, "untrained")]
    bars = [
        Bar("minutes", result.seconds / 60, MOST_MINUTES),
        Bar("Frechet", own.frechet, 0.5 * min(known([rival.frechet for rival in rivals]))),
        Bar("coverage", own.coverage, 2 * max(known([rival.coverage for rival in rivals])), upwards=True),
        Bar("|log jerk ratio|", own.log_jerk, min(known([rival.log_jerk for rival in rivals]))),
    ]
    if result.name in RECONSTRUCTIONS:
        whose, times = RECONSTRUCTIONS[result.name]
        other = everything.get(whose)
        error = result.mean_clip if whose == MEAN_CLIP else other.reconstruction if other else None
        limit = None if error is None else times * error
        bars.append(Bar(f"reconstruction error, {times:g} x {whose}'s", result.reconstruction, limit))
    if result.difference is not None:
        bars.append(Bar("there and back, half the domains' difference", result.reconstruction, result.difference / 2))
    return [*bars, *_journal_bars(result)]


def _journal_bars(result: Result) -> list[Bar]:
    """The critic is not always right, and every code is recovered."""
    bars, right = [], []
    for name, value in result.journal.items():
        split, phase, *term = name.split("/")
        accuracy = split == "train" and bool(term) and term[-1].endswith("accuracy")
        if accuracy and phase.startswith("critic"):
            right.append(value)
        elif accuracy or (split == "train" and bool(term) and term[-1].endswith("_r2")):
            bars.append(Bar(f"recovered, {term[-1]}", value, LEAST_RECOVERED, upwards=True))
    if right:
        bars.append(Bar("critic right", math.fsum(right) / len(right), MOST_RIGHT))
    return bars


def known(values: Sequence[float | None]) -> list[float]:
    """Those that have a value."""
    return [value for value in values if value is not None]


def table(title: str, results: Sequence[Result], bars: Mapping[str, Sequence[Bar]]) -> str:
    """Figures, bars and what the journals say at the end of training, as Markdown."""
    head = [
        "family",
        "prior",
        "seconds",
        "steps",
        "parameters",
        "Frechet",
        "coverage",
        "\\|log jerk\\|",
        "error",
        "can",
    ]
    lines = [f"## {title}", "", _row(head), _row(["---"] * len(head))]
    first = next((result for result in results if result.rows and result.difference is None), None)
    for name in ("real", *BASELINES) if first else ():
        assert first
        error = _number(first.mean_clip) if name == MEAN_CLIP else ""
        lines.append(_row([f"*{name}*", "", "", "", "", *_figures(first.rows[name]), error, ""]))
    for result in results:
        lines += _family_rows(result)
    lines += ["", "### Bars", ""]
    for result in results:
        lines += [f"- {result.name}: {result.error}"] if result.error else []
        lines += [f"- {result.name}: {bar}" for bar in bars[result.name]]
    lines += ["", f"### Means over the last {LAST:.0%} of training", ""]
    for result in results:
        shown = ", ".join(f"{name} {_number(value)}" for name, value in sorted(result.journal.items()))
        lines += [f"- {result.name}: {shown}"] if shown else []
        lines += [f"- {result.name}: {note.splitlines()[-1]}" for note in result.notes if note.strip()]
    return "\n".join(lines)


def _family_rows(result: Result) -> list[str]:
    """One row for each prior, and one for the untrained networks."""
    if not result.quality:
        return [_row([result.name, "", "", "", "", "", "", "", "", result.error or ""])]
    sizes = ", ".join(f"{name} {count:,}" for name, count in result.parameters.items())
    trained = [f"{result.seconds:.0f}", f"{result.steps}", sizes]
    rows = []
    for place, (prior, quality) in enumerate(result.quality.items()):
        error = _number(result.reconstruction) if result.reconstruction is not None and not place else ""
        rest = [error, ", ".join(result.commands)] if not place else ["", ""]
        rows.append(_row([result.name, prior, *(trained if not place else [""] * 3), *_figures(quality), *rest]))
    return [*rows, _row([f"{result.name}, untrained", "", "", "", "", *_figures(result.rows["untrained"]), "", ""])]


def _figures(quality: Quality) -> list[str]:
    return [_number(value) for value in quality]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
