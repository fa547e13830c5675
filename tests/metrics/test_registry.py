"""Every measure is registered under keys of its own, and words choose what they seem to."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import motionsynth.metrics
from motionsynth.errors import ConfigError
from motionsynth.metrics.record import Measure, Metric
from motionsynth.metrics.registry import MEASURES, MODULES, choose, figure_keys, records

SPACES = ("pca", "kinetic")


def measure(*names: str, group: str = "modes", spaces: bool = False) -> Measure:
    metrics = tuple(Metric(name, group, "1", "lower", "A.", "B, 2000") for name in names)  # type: ignore[arg-type]
    return Measure(metrics, lambda *_: {}, "takes", spaces=spaces)


TOY = (measure("recall", "precision", spaces=True), measure("cells"), measure("energy_3hz", group="smoothness"))


def keys(metrics: list[str] | None, spaces: list[str] | None = None) -> list[str]:
    return list(figure_keys(choose(metrics, spaces, SPACES, measures=TOY)))


def test_every_module_with_measures_is_registered() -> None:
    folder = Path(motionsynth.metrics.__file__).parent
    found = {
        path.stem
        for path in folder.glob("*.py")
        if path.stem != "registry" and re.search(r"^MEASURES\b", path.read_text(), re.MULTILINE)
    }
    assert found == set(MODULES)
    assert set(MEASURES) == {m for name in MODULES for m in import_module(f"motionsynth.metrics.{name}").MEASURES}


def test_keys_are_unique_and_records_complete() -> None:
    every = figure_keys(choose(None, None, SPACES))
    assert len(every) == len(set(every))
    for metric, _ in records():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name), metric.name
        assert metric.unit and metric.summary.endswith(".") and metric.reference
        assert metric.within == metric.name.endswith("_within"), metric.name
    names = [metric.name for metric, _ in records()]
    assert len(names) == len(set(names)), "a bare name must mean one metric"


def test_all_and_by_space() -> None:
    in_pca = ["modes/recall.pca", "modes/precision.pca"]
    rest = ["modes/cells", "smoothness/energy_3hz"]
    assert keys(None) == [*in_pca, "modes/recall.kinetic", "modes/precision.kinetic", *rest]
    assert keys(None, ["pca"]) == in_pca + rest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["smoothness"], ["smoothness/energy_3hz"]),
        (["recall"], ["modes/recall.pca", "modes/recall.kinetic"]),
        (["modes/recall"], ["modes/recall.pca", "modes/recall.kinetic"]),
        (["modes/recall.pca"], ["modes/recall.pca"]),
        (["precision.kinetic", "cells"], ["modes/precision.kinetic", "modes/cells"]),
    ],
)
def test_words_choose(words: list[str], expected: list[str]) -> None:
    assert keys(words) == expected


def test_a_key_with_its_space_wins_over_the_spaces_asked_for() -> None:
    assert keys(["modes/recall.pca", "precision"], ["kinetic"]) == ["modes/recall.pca", "modes/precision.kinetic"]


@pytest.mark.parametrize(
    ("words", "spaces", "message"),
    [
        (["recal"], None, r"--metrics: no metric or group 'recal'; did you mean recall\?"),
        (["modes/recall.pcs"], None, r"did you mean modes/recall\.pca\?"),
        (None, ["kinetics"], r"--features: no feature space 'kinetics'; did you mean kinetic\?"),
        (None, ["x"], "there are pca, kinetic"),
        ([], None, "--metrics: names nothing; leave it out for all"),
        (None, [], "--features: names nothing; leave it out for all"),
    ],
)
def test_unknown_words_are_told_with_a_guess(words: list[str] | None, spaces: list[str] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(words, spaces, SPACES, measures=TOY)
