"""A verdict in a sentence: what was found, by how much, and what that means against the margin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from motionsynth.report.study.words import figure_words
from motionsynth.study.plan import StudyConfig
from motionsynth.study.statistics import Comparison, Kind, compare, detectable
from motionsynth.study.verdicts import Verdict

__all__ = ["factor", "on_other_side", "verdict_sentence"]


def verdict_sentence(study: StudyConfig, verdict: Verdict) -> str:
    """Such as ``Supported on walkers: VAE is above GAN in the blur dose by 0.31 of its axis (95% interval ...``.

    Args:
        study: the plan, for the titles of arms and corpora.
        verdict: of one of its hypotheses.
    """
    head = _HEADS[verdict.decision.kind].format(study.corpora[verdict.corpus].title or verdict.corpus)
    known = verdict.comparison
    if known is None or known.mean is None:
        return f"{head}{verdict.evidence.barred}."
    first, second = (_shown(study, *side) for side in verdict.evidence.sides)
    says = _off_axis if verdict.evidence.off_axis else _ratio if verdict.hypothesis.endpoint.log else _difference
    side = "; both are off real motion the other way" if on_other_side(verdict) else ""
    return f"{head}{says(first, second, verdict, known)}, {_consequence(verdict, known)}{side}."


def on_other_side(verdict: Verdict) -> bool:
    """Whether both have less than none of a dose: who has more of it is only less far off real motion the other way."""
    hypothesis = verdict.hypothesis
    pairs = verdict.evidence.pairs if hypothesis.endpoint.dose is not None else ()
    return bool(pairs) and all(sum(values) / len(pairs) < -hypothesis.margin for values in zip(*pairs, strict=True))


def factor(difference: float) -> float:
    """The ratio whose natural logarithm a difference is, at most 1e300."""
    return math.exp(min(difference, 690.0))


_HEADS: Final[Mapping[Kind, str]] = {
    "supported": "Supported on {}: ",
    "refuted": "Refuted on {}, the opposite is the case: ",
    "equivalent": "Equivalent on {}, no difference of interest: ",
    "undecided": "Undecided on {}: ",
    "none": "No verdict on {}: ",
}


def _difference(first: str, second: str, verdict: Verdict, known: Comparison) -> str:
    mean, (what, of) = known.mean or 0.0, _what(verdict)
    place = "above" if mean > 0 else "below"
    by = f"is {place} {second} in {what} by {abs(mean):.3g}{of}" if mean else f"equals {second} in {what}"
    return f"{first} {by} ({_interval(verdict, known)})"


def _ratio(first: str, second: str, verdict: Verdict, known: Comparison) -> str:
    """Of an endpoint whose logarithm is compared: its difference is the logarithm of a ratio of geometric means."""
    return f"{first} has {_times(known.mean, _what(verdict)[0])} as {second} ({_interval(verdict, known)})"


def _times(difference: float | None, what: str) -> str:
    """Such as ``1.49 times as much jerk, within cells,``: of a ratio to real motion the thing itself is said."""
    what = what.replace(" ratio", "")
    return f"{factor(difference or 0.0):.3g} times as much {what}{',' * (',' in what)}"


def _off_axis(first: str, second: str, verdict: Verdict, known: Comparison) -> str:
    """The figure itself, as a ratio, of doses that lie off the calibrated axis, before what the axis goes on to."""
    assert verdict.evidence.off_axis is not None
    key, pairs = verdict.evidence.off_axis
    ratio = compare([one - two for one, two in pairs], margin=1.0, confidence=1 - verdict.alpha)
    ends = f" ({_ratio_interval(verdict, ratio.low, ratio.high)})" if ratio.low is not None else ""
    return (
        f"{first} has {_times(ratio.mean, figure_words(key))} as {second}{ends}; that is off the calibrated axis, "
        f"which would go on to a difference of {known.mean or 0.0:.3g} ({_interval(verdict, known)})"
    )


def _ratio_interval(verdict: Verdict, low: float | None, high: float | None) -> str:
    ends = [factor(end or 0.0) for end in (low, high)]
    return f"{1 - verdict.alpha:.0%} interval {ends[0]:.3g} to {ends[1]:.3g} times"


def _interval(verdict: Verdict, known: Comparison) -> str:
    if known.method == "exact":
        return f"the same from all {known.count} starts: exact"
    pairs = f"{known.count} seed pairs"
    if known.low is None or known.high is None:
        return f"the same in all {pairs}, so judged by its sign alone"
    log = verdict.hypothesis.endpoint.log
    ends = [factor(end) if log else end for end in (known.low, known.high)]
    return f"{1 - verdict.alpha:.0%} interval {ends[0]:.3g} to {ends[1]:.3g}{' times' * log}, {pairs}"


def _what(verdict: Verdict) -> tuple[str, str]:
    """The endpoint in words, and what an amount of it is of."""
    endpoint = verdict.hypothesis.endpoint
    if endpoint.dose is not None:
        return f"the {endpoint.dose} dose", " of its axis"
    return figure_words(endpoint.metric or ""), ""


def _shown(study: StudyConfig, arm: str, view: str) -> str:
    title = study.arms[arm].title or arm
    return title if view == study.arms[arm].main_view else f"{title} ({view.replace('_', ' ')})"


def _consequence(verdict: Verdict, known: Comparison) -> str:
    """What the difference means against the margin and among the other statements."""
    decision, log, least_of_interest = verdict.decision, verdict.hypothesis.endpoint.log, verdict.hypothesis.margin
    amount = f"a factor of {factor(least_of_interest):.3g}" if log else f"{least_of_interest:g}"
    margin = f"{amount}, the smallest difference of interest"
    mean = known.mean or 0.0
    ends = sorted((known.low, known.high)) if known.low is not None and known.high is not None else [mean, mean]
    differs = min(decision.p_adjusted, decision.p_opposite) <= verdict.alpha
    if known.method == "exact":
        return _exact(mean, least_of_interest, margin)
    if decision.kind == "equivalent":
        zero = f", though not {'equal' if log else 0}" if differs else ""
        return f"less than {margin}{zero} (TOST, adjusted {_p(decision.p_equivalent)})"
    if decision.kind in ("supported", "refuted"):
        told = _p(decision.p_adjusted if decision.kind == "supported" else decision.p_opposite)
        least = min(abs(end) for end in ends) if ends[0] * ends[1] > 0 else 0.0
        limit = least_of_interest * (1 - 1e-9)  # as numbers are rounded
        if least >= limit:
            return f"more than {margin} (adjusted {told})"
        if abs(mean) >= limit:
            return f"which reaches {margin}, though less is not excluded (adjusted {told})"
        return f"which stays below {margin} (adjusted {told})"
    if known.method == "sign":
        return f"which so few pairs cannot tell among {decision.tests} tests"
    if ends[0] * ends[1] > 0:
        told = _p(min(decision.p_adjusted, decision.p_opposite))
        return f"which by itself is no chance, but may be one among {decision.tests} tests (adjusted {told})"
    if max(abs(end) for end in ends) < least_of_interest:
        return (
            f"which by itself is less than {margin}, but not surely so among {decision.tests // 2} statements "
            f"(TOST, adjusted {_p(decision.p_equivalent)})"
        )
    seen = _detectable(verdict, known)
    return f"which excludes neither {'equality' if log else 0} nor {margin}{seen}"


def _exact(mean: float, least_of_interest: float, margin: str) -> str:
    if abs(mean) < least_of_interest * (1 - 1e-9):
        return f"less than {margin}"
    return f"{'more than' if abs(mean) > least_of_interest * (1 + 1e-9) else 'which reaches'} {margin}"


def _detectable(verdict: Verdict, known: Comparison) -> str:
    """The difference that these pairs could have seen: an undecided statement is no evidence of none."""
    if known.method != "t" or not known.deviation:
        return ""
    least = detectable(known.deviation, known.count, verdict.alpha / verdict.decision.tests)
    amount = f"a factor of {factor(least):.3g}" if verdict.hypothesis.endpoint.log else f"{least:.2g}"
    return f"; {amount} is what so many pairs with this spread would find in four studies of five"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
