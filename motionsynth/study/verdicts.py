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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from motionsynth.study.evidence import Evidence, OffAxis, gather, index_cells
from motionsynth.study.outcomes import Cells
from motionsynth.study.plan import HypothesisConfig, StudyConfig
from motionsynth.study.statistics import Comparison, Decision, Direction, Effect, Kind, compare, decide

if TYPE_CHECKING:
    from motionsynth.calibration.record import Calibration
    from motionsynth.study.results import CellResult

__all__ = ["Verdict", "judge", "judge_cut", "statements"]

_ROUNDING: Final = 2e-6
"""Numbers of cells are kept to seven digits: differences that vary by less than this share of them do not vary.

Differences of logarithms do not where they vary by less than this, however large the logarithms are."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One hypothesis on one corpus.

    Args:
        name, says: of the hypothesis.
        corpus: on which.
        endpoint: key of the figure; of a dose ``dose.AXIS``.
        log: whether natural logarithms are compared: values, mean, interval and margin are then logarithms.
        valid: why it may carry a verdict.
        first, second: ``ARM@VIEW``.
        direction: of ``first - second``, as stated.
        margin: smallest difference of interest.
        kind: the verdict.
        seeds: of the pairs.
        values: of ``first`` and ``second``, one pair a seed.
        comparison: what the pairs say by themselves; None where no verdict may be drawn from them.
        decision: what they say among the other statements.
        alpha: what each family of tests is held at; intervals have 1 - alpha.
        barred: why no verdict may be drawn; empty where one may.
        reservations: what a reader should know, as sentences.
        machines: where the runs were made.
        off_axis: the figure behind doses, where in most pairs both lie off the calibrated axis; else None.
    """

    name: str
    says: str
    corpus: str
    endpoint: str
    log: bool
    valid: str
    first: str
    second: str
    direction: Direction
    margin: float
    kind: Kind
    seeds: tuple[int, ...]
    values: tuple[tuple[float, float], ...]
    comparison: Comparison | None
    decision: Decision
    alpha: float
    barred: str
    reservations: tuple[str, ...]
    machines: tuple[str, ...]
    off_axis: OffAxis | None = None

    @property
    def mean(self) -> float | None:
        """Mean of ``first - second``."""
        return self.comparison.mean if self.comparison else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The t interval of the mean, not adjusted for other statements; None where there is none."""
        known = self.comparison
        return (known.low, known.high) if known and known.low is not None and known.high is not None else None

    @property
    def effect(self) -> Effect | None:
        """Hedges' g with its interval; None where there is no spread to build one from."""
        return self.comparison.effect if self.comparison else None


def statements(study: StudyConfig) -> Iterator[tuple[str, HypothesisConfig, str]]:
    """Name, hypothesis and corpus of all that is tested; where no corpus is named, those that both arms run on."""
    yield from _on_corpora(study, study.hypotheses)


def _on_corpora(
    study: StudyConfig, hypotheses: Mapping[str, HypothesisConfig]
) -> Iterator[tuple[str, HypothesisConfig, str]]:
    for name, hypothesis in hypotheses.items():
        both = [set(study.corpora_of(study.arm_view(side)[0])) for side in (hypothesis.first, hypothesis.second)]
        for corpus in hypothesis.corpora or [corpus for corpus in study.corpora if corpus in both[0] & both[1]]:
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
    cases = _cases(study, study.hypotheses, index_cells(study, results), calibrations)
    decisions = _decided(study, cases)
    return tuple(_verdict(study, case, decision) for case, decision in zip(cases, decisions, strict=True))


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
    cases = _cases(study, study.cut, index_cells(study, results), calibrations)
    return tuple(_verdict(study, case, _decided(study, [case])[0]) for case in cases)


def _cases(
    study: StudyConfig,
    hypotheses: Mapping[str, HypothesisConfig],
    cells: Cells,
    calibrations: Mapping[str, Calibration] | None,
) -> list[_Case]:
    return [
        _case(
            study, name, hypothesis, corpus, gather(study, hypothesis, corpus, cells), (calibrations or {}).get(corpus)
        )
        for name, hypothesis, corpus in _on_corpora(study, hypotheses)
    ]


def _decided(study: StudyConfig, cases: Sequence[_Case]) -> tuple[Decision, ...]:
    return decide(
        [case.comparison for case in cases], [case.hypothesis.direction for case in cases], alpha=_alpha(study)
    )


def _alpha(study: StudyConfig) -> float:
    return round(1 - study.confidence, 12)


@dataclass(frozen=True, eq=False)
class _Case:
    """One statement with what is known of it by itself."""

    name: str
    hypothesis: HypothesisConfig
    corpus: str
    evidence: Evidence
    barred: str
    valid: str
    comparison: Comparison | None


def _case(
    study: StudyConfig,
    name: str,
    hypothesis: HypothesisConfig,
    corpus: str,
    found: Evidence,
    calibration: Calibration | None,
) -> _Case:
    valid, invalid = _validity(hypothesis, found, corpus, calibration)
    barred = found.barred or invalid
    if not barred and len(found.seeds) < 2:
        barred = f"{len(found.seeds) or 'no'} seed pair{'s' * (len(found.seeds) != 1)}, where two are the least"
    comparison = None
    if not barred:
        size = 1.0 if hypothesis.endpoint.log else max(map(abs, (*found.first, *found.second)))
        difference = [one - two for one, two in zip(found.first, found.second, strict=True)]
        sides = [study.arms[study.arm_view(side)[0]] for side in (hypothesis.first, hypothesis.second)]
        comparison = compare(
            difference,
            margin=hypothesis.margin,
            confidence=study.confidence,
            resolution=_ROUNDING * size,
            computed=all(arm.objective is not None for arm in sides),
        )
    return _Case(name, hypothesis, corpus, found, barred, valid, comparison)


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


def _verdict(study: StudyConfig, case: _Case, decision: Decision) -> Verdict:
    hypothesis, found = case.hypothesis, case.evidence
    endpoint = hypothesis.endpoint
    return Verdict(
        case.name,
        hypothesis.says,
        case.corpus,
        endpoint.metric or f"dose.{endpoint.dose}",
        endpoint.log,
        case.valid,
        "@".join(study.arm_view(hypothesis.first)),
        "@".join(study.arm_view(hypothesis.second)),
        hypothesis.direction,
        hypothesis.margin,
        decision.kind,
        found.seeds,
        tuple(zip(found.first, found.second, strict=True)),
        case.comparison,
        decision,
        _alpha(study),
        case.barred,
        found.reservations,
        found.machines,
        found.off_axis,
    )
