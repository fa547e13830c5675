"""Faults of the pairs of arms that a study compares, beside those of each statement."""

from __future__ import annotations

from collections.abc import Mapping

from motionsynth.calibration.record import load_calibration
from motionsynth.study.check import check_side
from motionsynth.study.plan import CorpusEntry, EndpointConfig, StudyConfig
from motionsynth.study.verdicts import statements
from motionsynth.yaml_files import YamlFile

__all__ = ["check_contrast", "check_twice"]


def check_contrast(study: StudyConfig, document: YamlFile) -> None:
    """Refuse a pair of arms to take apart that there is not."""
    for place, side in enumerate(study.contrast or ()):
        check_side(study, side, ["contrast", place], document)


def check_twice(study: StudyConfig, document: YamlFile) -> None:
    """Refuse two statements that are one test twice: the same figure of the same two, whatever they say of it.

    Margin, direction and logarithm do not make another test: both directions are tested, and a map that keeps the
    order of a figure keeps what is tested. A dose is a map of the figure that speaks for its axis, where a calibration
    is there that says which; before it is there two doses of one axis are one test.
    """
    known = {name: _headlines(entry) for name, entry in study.corpora.items()}
    tests: dict[tuple[str, frozenset[tuple[str, str]], str], str] = {}
    for name, hypothesis, corpus in statements(study):
        pair = frozenset(study.sides_of(hypothesis))
        figure = _figure(hypothesis.endpoint, known[corpus])
        other = tests.setdefault((corpus, pair, figure), name)
        if other != name:
            reason = f"is the same test as {other} on {corpus}: both compare {figure} of the same two; keep one"
            raise document.wrong(["hypotheses", name], reason)


def _figure(endpoint: EndpointConfig, headlines: Mapping[str, str]) -> str:
    """Key of the figure that an endpoint is about; of a dose whose calibration is not there yet its axis."""
    if endpoint.dose is None:
        return endpoint.metric or ""
    return headlines.get(endpoint.dose, f"the dose of {endpoint.dose}")


def _headlines(entry: CorpusEntry) -> dict[str, str]:
    """Axis -> key of the figure that speaks for it, where the calibration is there."""
    if entry.calibration is None or not entry.calibration.exists():
        return {}
    return {axis: headline.key for axis, headline in load_calibration(entry.calibration).headlines.items()}
