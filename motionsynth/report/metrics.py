"""The records of all figures as a document: what ``docs/metrics.md`` is made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from motionsynth.metrics.likelihood import LIKELIHOOD
from motionsynth.metrics.record import Measure, Metric
from motionsynth.metrics.registry import EXTRA, MEASURES, records
from motionsynth.report.page import Column, Table, markdown_table

__all__ = ["AIMS", "ALL", "ASKS", "handbook", "metric_key", "metrics_table", "needs"]

ALL: Final = (*MEASURES, LIKELIHOOD)
"""Every measure, that of a model's density among them."""

AIMS: Final = {"lower": "↓ lower", "higher": "↑ higher", "match": "= match"}

_NEEDS: Final = {
    "cells": "cells",
    "train": "the training split",
    "feet": "foot joints",
    "realism": "a realism gate",
}
_HEAD: Final = """# What is measured

Made by `motionsynth metrics --markdown` from the records of the metrics; do not edit.

Every figure compares a set of generated windows with as many held-out real ones. Its key in `scores.json`, in MLflow
(behind `scores/`) and for `--metrics` is `group/name`, or `group/name.space` where it is computed in each feature
space.

- **better**: ↓ lower; ↑ higher; = match: best at the ideal, or where none is given at the figure of real motion.
- **ideal**: for two sets of one distribution, where theory knows it. What real training motion scores against held-out
  takes stands beside every figure.
- **interval**: *takes*: bootstrap, takes drawn with replacement; *halves*: half of the takes drawn without replacement,
  for figures that a duplicated window would change.
- **`_within`**: compared cell by cell (content and style), so that the mix of cells does not move it.

`evaluate` leaves out, unless `--all-figures` or `--metrics` asks for them, those figures that are not valid on any axis
of either corpus calibrated ([`calibration.md`](calibration.md)): a number that answers to no damage by itself says
nothing of a model. Frechet, KID, precision, recall, density, coverage, jerk and spectra stay in every space, as readers
look for them and compare them with other papers; so do feet, body and memorisation, which have no axis of their own.
Studies and calibrations compute all. Left out:

{}
"""
ASKS: Final = {
    "smoothness": "Is the motion blurred, shrunk or jittery?",
    "modes": "Does the set cover what real people do, between cells and within them?",
    "fidelity": "Does a clip look like real motion, and the set like a set of real clips?",
    "memorisation": "Is it new, or copied from the training clips?",
}


def handbook() -> str:
    """The document, in Markdown."""
    found = list(records(ALL))
    parts = [_HEAD.format("\n".join(f"- `{pattern}`" for pattern in EXTRA))]
    for group, question in ASKS.items():
        members = [(metric, measure) for metric, measure in found if metric.group == group]
        parts.append(f"## {group.capitalize()}\n\n{question}\n\n{markdown_table(metrics_table(members))}\n")
    return "\n".join(parts)


def metrics_table(found: Iterable[tuple[Metric, Measure]]) -> Table:
    """Records of figures, for the document and the terminal."""
    names = ("figure", "unit", "better", "ideal", "what it is", "interval", "needs", "source")
    rows = [
        [metric_key(metric, measure), metric.unit, AIMS[metric.better],
         "" if metric.ideal is None else f"{metric.ideal:g}", metric.summary, measure.resample, needs(measure),
         metric.reference]
        for metric, measure in found
    ]  # fmt: skip
    return Table([Column(name, figure=False) for name in names], rows)


def metric_key(metric: Metric, measure: Measure) -> str:
    """Key of a figure, with ``.SPACE`` where it is computed in each feature space."""
    return f"{metric.group}/{metric.name}{'.SPACE' * bool(measure.spaces)}"


def needs(measure: Measure) -> str:
    """Requirements of a measure on the sets, in words."""
    return ", ".join([f"{measure.least} windows", *(_NEEDS[need] for need in measure.needs)])
