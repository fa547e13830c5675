r"""From seed-paired differences to verdicts: intervals, effect sizes, tests, and Holm's correction over a study.

The d_i are n differences of two arms, paired by training seed, with mean d and standard deviation s; delta is the
difference that infinitely many seeds would have, m the margin (the smallest difference of interest), T_k Student's t
with k degrees of freedom. All tests are one-sided:

    first is greater     H0: delta <= 0       p = P(T_{n-1} >= t),   t = d / (s / sqrt n)
    first is less        H0: delta >= 0       p = P(T_{n-1} <= t)
    equivalent (TOST)    H0: |delta| >= m     p = max(P(T_{n-1} >= (d + m) / (s / sqrt n)),
                                                      P(T_{n-1} <= (d - m) / (s / sqrt n)))

A study of M statements (a hypothesis on a corpus is one) has two families, each held by Holm's rule at alpha:

    difference     the 2 M one-sided tests, *both* directions of every statement: the probability that any difference is
                   told that is not there, or told with the wrong sign, is at most alpha, however the statements
                   depend on each other and whatever other differences are there
    equivalence    the M TOSTs: the probability that any two arms are called equivalent whose difference is at the
                   margin or beyond is at most alpha

M is fixed before any run: a statement that cannot be tested counts with p = 1. Both directions are in the family, for
to print "refuted" is to tell a difference; with the stated direction alone in it, either verdict would be false in up
to 2 alpha of all studies without effects. So `differ` needs no test of its own: its p is twice the smaller one-sided p.

Where all differences are the same no variance can be estimated, and the sign test stands in: P = 2^-n that all n lie on
one side, if either side is as likely. On a grid, where both arms are optima that can be computed and all starts find
the same, there is nothing to test: what is so is *exact* and has no p value. It stays in both families, so that the
other statements are judged as strictly as before.

References:
    Student, The Probable Error of a Mean, 1908; Schuirmann, A Comparison of the Two One-Sided Tests Procedure, 1987;
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979; Shaffer, Control of Directional Errors with
    Stagewise Multiple Test Procedures, 1980; Hedges, Distribution Theory for Glass's Estimator of Effect Size, 1981;
    Cumming & Finch, A Primer on the Understanding of Confidence Intervals Based on Central and Noncentral
    Distributions, 2001; Lakens, Scheel & Isager, Equivalence Testing for Psychological Research, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "KINDS",
    "Comparison",
    "Decision",
    "Direction",
    "Effect",
    "Kind",
    "PValues",
    "adjust",
    "classify",
    "compare",
    "decide",
    "detectable",
    "hedges_g",
    "holm",
    "paired_tests",
    "t_interval",
]

Array = npt.NDArray[np.float64]
Direction = Literal["greater", "less", "differ"]
Kind = Literal["undecided", "supported", "refuted", "equivalent", "none"]

KINDS: Final[tuple[Kind, ...]] = ("undecided", "supported", "refuted", "equivalent")
"""Verdicts by the numbers that :func:`classify` gives."""

SIGN: Final[dict[Direction, int]] = {"greater": 1, "less": -1, "differ": 0}
_ASYMPTOTIC_T: Final = 300.0
"""Beyond it the normal part of a noncentral t is nothing against its chi part, and its distribution function fails."""


class PValues(NamedTuple):
    """Of the three one-sided tests, arrays of one shape; after Holm's rule significant where at most alpha."""

    greater: Array
    less: Array
    equivalent: Array


@dataclass(frozen=True, slots=True)
class Effect:
    """Hedges' g of paired differences, with its interval."""

    g: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What n paired differences say by themselves.

    Args:
        count: n.
        mean: of the differences; None where n is 0.
        deviation: their standard deviation; None where n is below 2.
        low, high: the t interval of the mean; None where there is no spread to build one from.
        effect: standardised; None below three differences and where all are the same.
        method: of the p values; ``exact``: there is nothing to test, each is 0 or 1; ``none``: nothing can be tested,
            all are 1.
        greater, less, equivalent: p values, not adjusted.
    """

    count: int
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    effect: Effect | None
    method: Literal["t", "sign", "exact", "none"]
    greater: float = 1.0
    less: float = 1.0
    equivalent: float = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What a statement comes to among the others of its study.

    Args:
        kind: the verdict; ``none`` where nothing could be tested.
        p: of the statement by itself: one-sided in its direction, two-sided for ``differ``.
        p_adjusted: the same after Holm's rule; for ``differ`` of the direction that was found.
        p_opposite: of the opposite direction after Holm's rule; 1 for ``differ``, which has none.
        p_equivalent: TOST after Holm's rule.
        tests: how many one-sided tests the family of differences has.
    """

    kind: Kind
    p: float
    p_adjusted: float
    p_opposite: float
    p_equivalent: float
    tests: int


def paired_tests(difference_An: npt.ArrayLike, margin_A: npt.ArrayLike, resolution_A: npt.ArrayLike = 0.0) -> PValues:
    """p values of the three tests of the module's text, for every row.

    Args:
        difference_An: (..., n) paired differences.
        margin_A: (...) smallest difference of interest, in their unit; positive.
        resolution_A: (...) a range of differences that counts as none, in their unit.

    Raises:
        ValueError: a row has fewer than two differences.
    """
    from scipy.special import stdtr

    difference = np.asarray(difference_An, dtype=np.float64)
    count = difference.shape[-1] if difference.ndim else 0
    if count < 2:
        raise ValueError("a test needs at least two differences")
    mean, margin = difference.mean(-1), np.asarray(margin_A, dtype=np.float64)
    error = difference.std(-1, ddof=1) / math.sqrt(count)
    resolution = np.asarray(resolution_A, dtype=np.float64)
    same = np.ptp(difference, axis=-1) <= resolution

    def above(value: Array) -> Array:
        """P of a mean as far above 0 as this, were 0 the truth."""
        with np.errstate(divide="ignore", invalid="ignore"):
            student = stdtr(count - 1, -value / error)
        return np.where(same, np.where(value > resolution, 0.5**count, 1.0), student)

    return PValues(above(mean), above(-mean), np.maximum(above(mean + margin), above(margin - mean)))


def holm(p_AK: npt.ArrayLike) -> Array:
    """Holm's step-down adjustment: max over the k-th smallest and all smaller ones of (K - k + 1) p, at most 1.

    Args:
        p_AK: (..., K) p values of one family in each row.
    """
    p = np.asarray(p_AK, dtype=np.float64)
    order = np.argsort(p, axis=-1, kind="stable")
    factor_K = np.arange(p.shape[-1], 0, -1)
    raised = np.maximum.accumulate(np.take_along_axis(p, order, axis=-1) * factor_K, axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(raised, 1.0), axis=-1)
    return adjusted


def adjust(tests_AM: PValues) -> PValues:
    """Holm's rule over both families of a study: 2 M tests of a difference, M of equivalence.

    Args:
        tests_AM: each (..., M), M the statements of the study.
    """
    statements = tests_AM.greater.shape[-1]
    both = holm(np.concatenate([tests_AM.greater, tests_AM.less], axis=-1))
    return PValues(both[..., :statements], both[..., statements:], holm(tests_AM.equivalent))


def classify(adjusted_AM: PValues, sign_M: npt.ArrayLike, alpha: float) -> npt.NDArray[np.int64]:
    """Numbers of verdicts in ``KINDS``.

    Equivalent before all else: a difference that is there but smaller than the margin is none of interest. Then
    supported where the stated direction is significant (for ``differ``, either), refuted where the opposite one is.

    Args:
        adjusted_AM: each (..., M).
        sign_M: the direction of each statement: 1 greater, -1 less, 0 differ.
        alpha: what both families are held at.
    """
    sign = np.asarray(sign_M)
    greater, less = adjusted_AM.greater <= alpha, adjusted_AM.less <= alpha
    found = np.where(greater, 1, np.where(less, -1, 0))
    kind = np.where(found == 0, 0, np.where((sign == 0) | (sign == found), 1, 2))
    return np.where(adjusted_AM.equivalent <= alpha, 3, kind)


def t_interval(difference_An: npt.ArrayLike, confidence: float) -> tuple[Array, Array]:
    """Where the mean of infinitely many differences lies: d -+ t_{n-1, (1 + confidence) / 2} s / sqrt n, for every row.

    Args:
        difference_An: (..., n) paired differences, n at least 2.
        confidence: share of repeats of the experiment whose interval holds it.
    """
    from scipy.special import stdtrit

    difference = np.asarray(difference_An, dtype=np.float64)
    count = difference.shape[-1]
    error = difference.std(-1, ddof=1) / math.sqrt(count)
    half = stdtrit(count - 1, (1 + confidence) / 2) * error
    return difference.mean(-1) - half, difference.mean(-1) + half


def hedges_g(mean: float, deviation: float, count: int, confidence: float) -> Effect:
    r"""Hedges' g of paired differences: their mean in their own standard deviations, freed of its bias.

    g = J(n - 1) d / s,   J(k) = Gamma(k / 2) / (sqrt(k / 2) Gamma((k - 1) / 2))

    and, as d / s sqrt n has the noncentral t distribution, its interval is that of the noncentrality, by J / sqrt n.

    Args:
        mean, deviation: d and s, of one unit.
        count: n, at least 3: J(1) is 0.
        confidence: of the interval.

    Raises:
        ValueError: fewer than three differences, or no deviation.
    """
    if count < 3 or not deviation > 0:
        raise ValueError("an effect size needs at least three differences that are not all the same")
    half = (count - 1) / 2
    correction = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
    tail, t = (1 - confidence) / 2, mean / deviation * math.sqrt(count)
    low, high = (_noncentrality(t, count - 1, p) * correction / math.sqrt(count) for p in (1 - tail, tail))
    return Effect(correction * mean / deviation, low, high)


def detectable(deviation: float, count: int, level: float, power: float = 0.8) -> float:
    """The difference that a one-sided paired t test finds with a given power.

    Args:
        deviation: s of the differences.
        count: n, at least 2.
        level: of the test, such as alpha over the number of tests, which is the strictest that Holm's rule asks for.
        power: probability that the test finds it.
    """
    from scipy.special import stdtrit

    critical = float(stdtrit(count - 1, 1 - level))
    return _noncentrality(critical, count - 1, 1 - power) * deviation / math.sqrt(count)


def compare(
    difference_n: npt.ArrayLike,
    *,
    margin: float,
    confidence: float = 0.95,
    resolution: float = 0.0,
    computed: bool = False,
) -> Comparison:
    """Interval, effect size and p values of one statement.

    Args:
        difference_n: (n,) paired differences; none and one are told as such.
        margin: smallest difference of interest, in their unit.
        confidence: of the intervals.
        resolution: range of the differences below which they are all the same, as numbers are kept rounded.
        computed: whether both arms are optima of sums on a grid, which chance has no part in where all starts agree.

    Raises:
        ValueError: a difference is not finite, or the margin not positive.
    """
    difference = np.asarray(difference_n, dtype=np.float64)
    if difference.ndim != 1 or not np.isfinite(difference).all():
        raise ValueError("differences must be one row of finite numbers")
    if not margin > 0:
        raise ValueError("a margin must be positive")
    count = len(difference)
    if count < 2:
        return Comparison(count, float(difference[0]) if count else None, None, None, None, None, "none")
    mean, deviation = float(difference.mean()), float(difference.std(ddof=1))
    if computed and np.ptp(difference) <= resolution:
        holds = (mean > resolution, mean < -resolution, abs(mean) < margin)
        return Comparison(count, mean, deviation, None, None, None, "exact", *(0.0 if so else 1.0 for so in holds))
    p = [float(value) for value in paired_tests(difference, margin, resolution)]
    if np.ptp(difference) <= resolution:
        return Comparison(count, mean, deviation, None, None, None, "sign", *p)
    low, high = (float(end) for end in t_interval(difference, confidence))
    effect = hedges_g(mean, deviation, count, confidence) if count > 2 else None
    return Comparison(count, mean, deviation, low, high, effect, "t", *p)


def decide(
    comparisons: Sequence[Comparison | None], directions: Sequence[Direction], *, alpha: float = 0.05
) -> tuple[Decision, ...]:
    """Verdicts of a whole study; see the module's text for what is held at ``alpha``.

    Args:
        comparisons: of every statement, in order; None where none may be made: it still counts in the families.
        directions: that each statement has.
        alpha: of each of the two families.

    Raises:
        ValueError: there are not as many directions as comparisons.
    """
    known = [one or Comparison(0, None, None, None, None, None, "none") for one in comparisons]
    tests = PValues(*(np.array([getattr(one, name) for one in known]) for name in PValues._fields))
    sign = np.array([SIGN[direction] for direction in directions], dtype=np.int64)
    if len(sign) != len(known):
        raise ValueError(f"{len(known)} comparisons have {len(sign)} directions")
    adjusted = adjust(tests)
    found = classify(adjusted, sign, alpha)
    return tuple(_decision(one, directions[i], adjusted, i, KINDS[found[i]]) for i, one in enumerate(known))


def _decision(one: Comparison, direction: Direction, adjusted: PValues, i: int, kind: Kind) -> Decision:
    greater, less = float(adjusted.greater[i]), float(adjusted.less[i])
    p, ours, opposite = {
        "greater": (one.greater, greater, less),
        "less": (one.less, less, greater),
        "differ": (min(1.0, 2 * min(one.greater, one.less)), min(greater, less), 1.0),
    }[direction]
    kind = "none" if one.method == "none" else kind
    return Decision(kind, p, ours, opposite, float(adjusted.equivalent[i]), 2 * len(adjusted.greater))


def _noncentrality(t: float, df: int, p: float) -> float:
    """Where P(T <= t) is p, of a noncentral t with ``df`` degrees of freedom."""
    if t < 0:
        return -_noncentrality(-t, df, 1 - p)
    from scipy.optimize import brentq
    from scipy.stats import chi2, nct

    # T <= t where Z + c <= t sqrt(chi2 / df): for a large t the Z is nothing
    centre = t * math.sqrt(chi2.ppf(1 - p, df) / df)
    if t > _ASYMPTOTIC_T:
        return float(centre)
    return float(brentq(lambda c: nct.cdf(t, df, c) - p, centre - 6, centre + 6))
