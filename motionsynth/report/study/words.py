"""Names of figures, axes and machines as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from motionsynth.calibration.curve import amount_text
from motionsynth.calibration.plan import KINDS
from motionsynth.metrics.likelihood import LIKELIHOOD
from motionsynth.metrics.record import Metric
from motionsynth.metrics.registry import MEASURES
from motionsynth.report.evaluation import name_words
from motionsynth.report.study.gather import Entry

__all__ = [
    "AXES",
    "GROUPS",
    "axes_of",
    "axis_words",
    "dose_text",
    "figure_words",
    "keys_of",
    "machine_words",
    "metric_of",
]

AXES: Final = {
    "blur": "equivalent low-pass",
    "drop": "equivalent modes dropped",
    "collapse": "equivalent narrowing within modes",
    "jitter": "equivalent jitter",
}
"""Axis -> what a dose on it is equivalent to."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "smoothness": (
        "energy_above_5hz_within", "share_above_5hz_within", "jerk_ratio_within", "acceleration_ratio_within",
        "variance_within_clip_ratio_within", "variance_across_clips_ratio_within",
    ),
    "modes": (
        "cells_covered", "label_kl_generated_real", "coverage.autoencoder", "recall.pca", "recall.autoencoder",
        "precision.pca", "density.pca", "nearest_neighbour_accuracy_within.pca",
    ),
    "fidelity": (
        "frechet.pca", "frechet.autoencoder", "frechet.kinetic", "c2st.autoencoder", "foot_skate", "foot_skate_cleaned",
        "range_of_motion",
    ),
    "memorisation": ("train_test_ratio.pca", "close_to_train.pca", "log_density", "log_density_bound"),
}  # fmt: skip
"""Group -> what its table shows, besides the endpoints of hypotheses."""


def keys_of(entries: Iterable[Entry], endpoints: Sequence[str]) -> dict[str, list[str]]:
    """Group -> keys that are there: endpoints first, then those of ``GROUPS``, then all of other instruments."""
    there = {key: None for entry in entries for view in entry.views for key in view.figures}
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for key in [*endpoints, *(f"{group}/{name}" for group, names in GROUPS.items() for name in names), *there]:
        group = key.partition("/")[0]
        known = key in endpoints or group not in GROUPS or key.removeprefix(f"{group}/") in GROUPS[group]
        if key in there and known and key not in groups.setdefault(group, []):
            groups[group].append(key)
    return {group: keys for group, keys in groups.items() if keys}


def axes_of(entries: Iterable[Entry]) -> list[str]:
    """Axes that some view is read on, the usual ones first."""
    there = {axis: None for entry in entries for view in entry.views for axis in view.doses}
    return [*(axis for axis in AXES if axis in there), *(axis for axis in there if axis not in AXES)]


def axis_words(axis: str) -> str:
    """Such as ``equivalent low-pass``."""
    return AXES.get(axis, f"equivalent {axis}")


def metric_of(key: str) -> Metric | None:
    """The record of a figure of the suite; None of another instrument's."""
    return _metrics().get(key.partition(".")[0])


def figure_words(key: str) -> str:
    """A figure in words: ``energy above 5 Hz, within cells``, ``frechet (pca)``."""
    group, _, figure = key.rpartition("/")
    name, _, space = figure.partition(".")
    words = name_words(name)
    if group.startswith("translation") and name.endswith(_LOGARITHMS):
        words = f"log of {words}"
    return f"{words} ({space})" if space else words


def dose_text(entry: Entry, axis: str) -> str:
    """What a dose amounts to over seeds: the mean where all are measured, else how many are what."""
    readings = entry.readings(axis)
    doses = [reading.dose for reading in readings if reading.dose is not None]
    if readings and len(doses) == len(readings) and readings[0].kind in KINDS:
        text = amount_text(readings[0].kind, sum(doses) / len(doses))
        return f"{text} dropped" if readings[0].kind == "cells" else text
    states = [_STATES.get(reading.state, reading.state) for reading in readings]
    counts = {state: states.count(state) for state in states}
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def machine_words(machine: Mapping[str, Any]) -> str:
    """A machine on one line."""
    kept = {key: value for key, value in machine.items() if value not in (None, "")}
    plain = [str(kept.pop(key)) for key in ("processor", "device") if key in kept]
    return ", ".join([*plain, *(f"{key} {value}" for key, value in kept.items())]) or "unknown"


_LOGARITHMS: Final = ("_change", "_against_target")
"""Ends of the names of those figures of the instrument ``translation`` that are logarithms of ratios."""
_STATES: Final = {
    "none": "none beyond real",
    "beyond": "beyond the strongest dose",
    "other side": "off real, the other way",
    "weaker": "weaker than it can tell",
}


@cache
def _metrics() -> dict[str, Metric]:
    metrics = [metric for measure in (*MEASURES, LIKELIHOOD) for metric in measure.metrics]
    return {f"{metric.group}/{metric.name}": metric for metric in metrics}
