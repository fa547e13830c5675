"""The verdicts of a study: every hypothesis on every corpus, in numbers; ``report.study`` puts them in words.

    supported     the difference is there, in the stated direction (Holm-adjusted p at most alpha)
    refuted       it is there, in the opposite direction
    equivalent    it is smaller than the margin (Holm-adjusted TOST), whether or not it is zero
    undecided     none of these can be told with the seeds that there are
    none          nothing may be told: an arm is not trained to a useful quality, fewer than two seeds are paired, or
                  the calibration does not call the figure valid

The families over which Holm's rule runs, and what they promise, are told in ``study.statistics``. All statements of the
YAML count in them, tested or not: what runs well or badly does not change how strictly the others are judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from motionsynth.calibration.record import Calibration
from motionsynth.study.evidence import Evidence, gather, index_cells
from motionsynth.study.plan import HypothesisConfig, StudyConfig
from motionsynth.study.results import CellResult
from motionsynth.study.statistics import Comparison, Decision, compare, decide

__all__ = ["Verdict", "judge", "judge_cut", "statements"]

_ROUNDING: Final = 2e-6
"""Numbers of cells are kept to seven digits: differences that vary by less than this share of them do not vary.

Differences of logarithms do not where they vary by less than this, however large the logarithms are."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One hypothesis on one corpus.

    Args:
        name, hypothesis: the statement.
        corpus: on which.
        evidence: pairs of numbers by seed, and all that speaks against them.
        valid: why its figure may carry a verdict; empty where it may not.
        comparison: what the pairs come to by themselves; None where no verdict may be drawn from them.
        decision: what they come to among the other statements.
        alpha: what each family of tests is held at; intervals have 1 - alpha.
    """

    name: str
    hypothesis: HypothesisConfig
    corpus: str
    evidence: Evidence
    valid: str
    comparison: Comparison | None
    decision: Decision
    alpha: float

    @property
    def mean(self) -> float | None:
        """Mean of ``first - second``."""
        return self.comparison.mean if self.comparison else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The t interval of the mean, not adjusted for other statements; None where there is none."""
        known = self.comparison
        return (known.low, known.high) if known and known.low is not None and known.high is not None else None


def statements(
    study: StudyConfig, hypotheses: Mapping[str, HypothesisConfig] | None = None
) -> Iterator[tuple[str, HypothesisConfig, str]]:
    """Name, hypothesis and corpus of all that is tested; where no corpus is named, those that both arms run on.

    Args:
        study: the plan.
        hypotheses: those of the plan where None.
    """
    for name, hypothesis in (study.hypotheses if hypotheses is None else hypotheses).items():
        both = [study.corpora_of(arm) for arm, _ in study.sides_of(hypothesis)]
        for corpus in hypothesis.corpora or [corpus for corpus in study.corpora if all(corpus in of for of in both)]:
            yield name, hypothesis, corpus


def judge(
    study: StudyConfig, results: Mapping[str, CellResult], calibrations: Mapping[str, Calibration] | None = None
) -> tuple[Verdict, ...]:
    """Every verdict of a study, in the order of its hypotheses.

    Args:
        study: the plan.
        results: by key, of the cells of this plan; those that are missing are told as reservations.
        calibrations: corpus -> calibration, by which figures are valid; where none is given its word is taken, as
            studies are refused before they run.

    Raises:
        ValueError: two results are of one arm, corpus and seed.
    """
    alone = _judged(study, study.hypotheses, results, calibrations)
    directions = [verdict.hypothesis.direction for verdict in alone]
    decisions = decide([verdict.comparison for verdict in alone], directions, alpha=_alpha(study))
    return tuple(replace(verdict, decision=decision) for verdict, decision in zip(alone, decisions, strict=True))


def judge_cut(
    study: StudyConfig, results: Mapping[str, CellResult], calibrations: Mapping[str, Calibration] | None = None
) -> tuple[Verdict, ...]:
    """Verdicts of the statements that were cut, each by itself: exploratory, corrected for nothing but its direction.

    Args:
        study: the plan; its ``cut`` statements are judged.
        results, calibrations: as of :func:`judge`.

    Raises:
        ValueError: two results are of one arm, corpus and seed.
    """
    return tuple(_judged(study, study.cut, results, calibrations))


def _judged(
    study: StudyConfig,
    hypotheses: Mapping[str, HypothesisConfig],
    results: Mapping[str, CellResult],
    calibrations: Mapping[str, Calibration] | None,
) -> list[Verdict]:
    """The verdict of each statement by itself."""
    cells, found = index_cells(study, results), []
    for name, hypothesis, corpus in statements(study, hypotheses):
        evidence = gather(study, hypothesis, corpus, cells)
        valid, invalid = _validity(hypothesis, evidence, corpus, (calibrations or {}).get(corpus))
        pairs = len(evidence.seeds)
        few = f"{pairs or 'no'} seed pair{'s' * (pairs != 1)}, where two are the least" if pairs < 2 else ""
        evidence = replace(evidence, barred=evidence.barred or invalid or few)
        comparison = None if evidence.barred else _compared(study, hypothesis, evidence)
        (decision,) = decide([comparison], [hypothesis.direction], alpha=_alpha(study))
        found.append(Verdict(name, hypothesis, corpus, evidence, valid, comparison, decision, _alpha(study)))
    return found


def _alpha(study: StudyConfig) -> float:
    return round(1 - study.confidence, 12)


def _compared(study: StudyConfig, hypothesis: HypothesisConfig, evidence: Evidence) -> Comparison:
    size = 1.0 if hypothesis.endpoint.log else max(abs(value) for pair in evidence.pairs for value in pair)
    return compare(
        [first - second for first, second in evidence.pairs],
        margin=hypothesis.margin,
        confidence=study.confidence,
        resolution=_ROUNDING * size,
        computed=all(study.arms[arm].objective is not None for arm, _ in evidence.sides),
    )


def _validity(
    hypothesis: HypothesisConfig, found: Evidence, corpus: str, calibration: Calibration | None
) -> tuple[str, str]:
    """Why an endpoint may carry a verdict, and why it may not; one of the two is empty."""
    endpoint = hypothesis.endpoint
    if endpoint.dose is not None:
        keys = found.keys or ((calibration.headlines[endpoint.dose].key,) if calibration else ())
        if len(keys) > 1:
            return "", f"cells have their {endpoint.dose} dose from different figures ({', '.join(keys)})"
        return f"{keys[0] if keys else 'headline figure'}, which speaks for {endpoint.dose} by calibration", ""
    if endpoint.axis is None:
        return endpoint.because, ""
    known = calibration.verdict(endpoint.metric or "", endpoint.axis) if calibration else None
    if calibration is None:
        return f"valid for {endpoint.axis} by calibration", ""
    if known is None or known.kind not in ("valid", "range"):
        kind = known.kind if known else "not judged"
        return "", f"{endpoint.metric} is {kind} for {endpoint.axis} on {corpus} by calibration"
    limits = f" ({known.reason})" if known.kind == "range" else ""
    return f"valid for {endpoint.axis} by calibration{limits}", ""
