"""Every measure there is, and how a user's words choose among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Final, get_args

from motionsynth.errors import ConfigError
from motionsynth.metrics.record import Group, Measure, Metric

__all__ = ["EXTRA", "MEASURES", "MODULES", "choose", "figure_key", "figure_keys", "records"]

MODULES: Final[tuple[str, ...]] = (
    "spectra",
    "derivatives",
    "entropy",
    "variance",
    "manifold",
    "nearest",
    "birthday",
    "ndb",
    "cells",
    "multimodality",
    "interpolation",
    "frechet",
    "kid",
    "c2st",
    "sliced",
    "feet",
    "cleaned",
    "body",
    "memorisation",
)
"""Modules of this package with measures, in the order of tables."""

MEASURES: Final[tuple[Measure, ...]] = tuple(
    measure for name in MODULES for measure in import_module(f"motionsynth.metrics.{name}").MEASURES
)
"""In the order of tables within each group."""

EXTRA: Final[tuple[str, ...]] = (
    "smoothness/energy_above_?hz",
    "smoothness/share_above_?hz",
    "smoothness/speed_ratio",
    "smoothness/acceleration_ratio",
    "smoothness/kinetic_energy_ratio",
    "smoothness/*_shortfall",
    "smoothness/*_excess",
    "smoothness/spectral_entropy",
    "smoothness/spectral_kl_forward",
    "smoothness/spectral_kl_reverse",
    "smoothness/variance_*_ratio",
    "smoothness/variance_across_clips_ratio_within",
    "smoothness/interpolation_index.[!k]*",
    "modes/nearest_neighbour_accuracy.[!p]*",
    "modes/birthday_support.[!c]*",
    "modes/different_bins.kinetic",
    "modes/bins_jensen_shannon.[ck]*",
    "modes/diversity.[!c]*",
    "fidelity/c2st.*",
    "fidelity/sliced_wasserstein.[ak]*",
)
"""Patterns of keys that ``evaluate`` computes only where they are asked for: figures that no axis of either calibrated
corpus makes valid, in ``docs/calibration``, less those that readers look for by name."""
_GROUPS: Final[tuple[str, ...]] = get_args(Group)
Chosen = tuple[Measure, str | None]


def figure_key(metric: Metric, space: str | None) -> str:
    """``group/name``, or in a feature space ``group/name.space``."""
    key = f"{metric.group}/{metric.name}"
    return key if space is None else f"{key}.{space}"


def figure_keys(chosen: Iterable[Chosen]) -> tuple[str, ...]:
    """Keys of the figures that these give, in their order."""
    return tuple(figure_key(metric, space) for measure, space in chosen for metric in measure.metrics)


def records(measures: Sequence[Measure] | None = None) -> Iterator[tuple[Metric, Measure]]:
    """Every metric with the measure that gives it, group by group."""
    everything = MEASURES if measures is None else measures
    for group in _GROUPS:
        yield from ((m, measure) for measure in everything for m in measure.metrics if m.group == group)


def choose(
    metrics: Sequence[str] | None,
    spaces: Sequence[str] | None,
    available_spaces: Sequence[str],
    *,
    measures: Sequence[Measure] | None = None,
    extra: bool = True,
) -> list[Chosen]:
    """Choose measures, narrowed to the metrics asked for, each with its feature space.

    Args:
        metrics: each a group (``smoothness``), a metric (``recall``), or a key (``modes/recall``,
            ``modes/recall.pca``); all where None.
        spaces: feature spaces to compute in; all where None. A key that names its space has it whatever stands here.
        available_spaces: those that the sets have.
        measures: what to choose from; all there are where None.
        extra: whether all are also those of ``EXTRA``; what a word names is chosen whatever stands here.

    Raises:
        ConfigError: a word names nothing, and it says what was probably meant; or there is no word.
    """
    measures = MEASURES if measures is None else measures
    for option, words in (("--metrics", metrics), ("--features", spaces)):
        if words is not None and not words:
            raise ConfigError(None, option, "names nothing; leave it out for all there are")
    for asked in spaces or ():
        if asked not in available_spaces:
            raise ConfigError(None, "--features", f"no feature space {asked!r}; {_hint(asked, available_spaces)}")
    pairs: list[Chosen] = [
        (measure, space) for measure in measures for space in (available_spaces if measure.spaces else (None,))
    ]
    wanted = {
        key
        for measure, space in pairs
        for key in figure_keys([(measure, space)])
        if metrics is None and (space is None or spaces is None or space in spaces)
    }
    if not extra:
        wanted = {key for key in wanted if not any(fnmatchcase(key, pattern) for pattern in EXTRA)}
    for word in metrics or ():
        wanted |= _meant(word, pairs, spaces)
    chosen: list[Chosen] = []
    for measure, space in pairs:
        kept = tuple(metric for metric in measure.metrics if figure_key(metric, space) in wanted)
        if kept:
            chosen.append((replace(measure, metrics=kept), space))
    return chosen


def _meant(word: str, pairs: Sequence[Chosen], spaces: Sequence[str] | None) -> set[str]:
    """Keys that one word names."""
    found, words = set(), dict[str, None]()
    for measure, space in pairs:
        for metric in measure.metrics:
            key = figure_key(metric, space)
            exact = {key, key.partition("/")[2]} if space is not None else set()
            loose = {metric.group, metric.name, f"{metric.group}/{metric.name}"}
            words |= dict.fromkeys([*sorted(loose), *sorted(exact)])
            if word in exact or (word in loose and (space is None or spaces is None or space in spaces)):
                found.add(key)
    if word not in words:
        raise ConfigError(None, "--metrics", f"no metric or group {word!r}; {_hint(word, words)}")
    return found


def _hint(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(known)}" if len(known) <= 12 else "`motionsynth metrics` lists what there is"
