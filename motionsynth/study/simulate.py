"""Whether the statistics of a study keep what they promise, on simulated differences whose truth is known.

Differences of standard deviation 1 over n = 5 and 10 seeds go through the very functions that judge a study. Of three
shapes: normal; heavy-tailed (Student's t with 5 degrees of freedom); skewed (Gamma of shape 4, skewness 1). In a family
the statements are independent, or they share an arm: each pair of differences is then correlated by 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from motionsynth.study.statistics import KINDS, adjust, classify, holm, paired_tests, t_interval

__all__ = ["SHAPES", "Row", "bootstrap_interval", "draw_differences", "simulate", "table", "verdicts_of"]

Array = npt.NDArray[np.float64]
Shape = Literal["normal", "heavy", "skewed"]

SHAPES: Final[tuple[Shape, ...]] = ("normal", "heavy", "skewed")
SEEDS: Final = (5, 10)
ALPHA: Final = 0.05
STATEMENTS: Final = 6
EFFECTS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
RESAMPLES: Final = 2000
NO_MARGIN: Final = 1e-9
"""So small that nothing is equivalent: the worst case for false differences, as equivalence goes before."""


@dataclass(frozen=True, slots=True)
class Row:
    """One simulated share.

    Args:
        what: is counted.
        case: shape of the differences and what is true of them.
        seeds: n.
        share: of the draws.
        draws: how many.
        least, most: what the truth must lie between; None where nothing is promised.
    """

    what: str
    case: str
    seeds: int
    share: float
    draws: int
    least: float | None = None
    most: float | None = None

    @property
    def error(self) -> float:
        """1.96 Monte-Carlo standard errors; a share of 0 or 1 is known no better than one case in the draws."""
        return 1.96 * math.sqrt(max(self.share * (1 - self.share), 1 / self.draws) / self.draws)

    @property
    def holds(self) -> bool | None:
        """Whether it lies between its bounds; None where there are none.

        A truth at a bound comes out beyond it in half of all simulations: three standard errors are let through.
        """
        if self.least is None and self.most is None:
            return None
        least, most = self.least or 0.0, 1.0 if self.most is None else self.most
        slack = [3 * math.sqrt(bound * (1 - bound) / self.draws) for bound in (least, most)]
        return least - slack[0] <= self.share <= most + slack[1]


def draw_differences(
    shape: Shape, draws: int, statements: int, count: int, rng: np.random.Generator, *, shared: bool = False
) -> Array:
    """Differences of mean 0 and standard deviation 1, (draws, statements, count).

    Args:
        shape: of their distribution; ``shared`` ones are nearer to normal, being sums.
        draws: studies.
        statements: of each.
        count: seeds.
        rng: draws them.
        shared: whether all statements share an arm: any two correlate by 1/2.
    """
    size = (draws, statements + shared, count)
    if shape == "normal":
        noise = rng.standard_normal(size)
    elif shape == "heavy":
        noise = rng.standard_t(5, size) / math.sqrt(5 / 3)
    else:
        noise = (rng.standard_gamma(4, size) - 4) / 2
    return (noise[:, 1:] + noise[:, :1]) / math.sqrt(2) if shared else noise


def bootstrap_interval(difference_An: Array, confidence: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """The percentile bootstrap, for contrast: too narrow for as few differences as a study has seeds."""
    count = difference_An.shape[-1]
    # the same resamples for every row: rows are independent of one another all the same
    weight_nR = rng.multinomial(count, [1 / count] * count, RESAMPLES).T / count
    tail = (1 - confidence) / 2
    low, high = np.quantile(difference_An @ weight_nR, [tail, 1 - tail], axis=-1)
    return low, high


def verdicts_of(difference_SMn: Array, effect_M: Sequence[float], margin: float, sign: int = 1) -> npt.NDArray[np.str_]:
    """Verdicts on simulated studies, (draws, statements).

    Args:
        difference_SMn: of mean 0.
        effect_M: what is added to each statement's, in their standard deviations.
        margin: in the same.
        sign: that all statements have: 1 greater, -1 less, 0 differ.
    """
    adjusted = adjust(paired_tests(difference_SMn + np.asarray(effect_M)[:, None], margin))
    return np.array(KINDS)[classify(adjusted, np.full(len(effect_M), sign), ALPHA)]


def simulate(draws: int = 10_000, seed: int = 0) -> tuple[Row, ...]:
    """Coverage, false verdicts and power.

    Args:
        draws: simulated studies for each figure.
        seed: of their differences.

    Raises:
        ValueError: too few draws to tell anything.
    """
    if draws < 100:
        raise ValueError("shares need at least 100 draws")
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for part in (_coverage, _false_differences, _false_equivalence, _any_false, _power):
        for count in SEEDS:
            rows += part(draws, count, rng)
    return tuple(rows)


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned plain text."""
    heads = ("share of simulated studies", "case", "seeds", "found", "promised", "")
    lines = [heads] + [
        (
            row.what,
            row.case,
            str(row.seeds),
            f"{100 * row.share:5.1f} % +- {100 * row.error:.1f}",
            _promise(row),
            {None: "", True: "holds", False: "FAILS"}[row.holds],
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(x, widths, strict=True)).rstrip() for x in lines
    )


def _promise(row: Row) -> str:
    if row.least is not None and row.most is not None:
        return f"{100 * row.least:.0f} to {100 * row.most:.0f} %"
    return "" if row.most is None else f"at most {100 * row.most:.0f} %"


def _row(what: str, case: str, count: int, hit_S: npt.NDArray[np.bool_], *bounds: float | None) -> Row:
    return Row(what, case, count, float(hit_S.mean()), hit_S.size, *bounds)


def _coverage(draws: int, count: int, rng: np.random.Generator) -> Iterator[Row]:
    for shape in SHAPES:
        difference = draw_differences(shape, draws, 1, count, rng)[:, 0]
        promise = (0.93, 0.97) if shape == "normal" else ()
        yield _row(
            "95 % t interval holds the truth", shape, count, _holds_zero(*t_interval(difference, 0.95)), *promise
        )
        bootstrapped = _holds_zero(*bootstrap_interval(difference, 0.95, rng))
        yield _row("95 % percentile bootstrap holds it", shape, count, bootstrapped)


def _holds_zero(low_S: Array, high_S: Array) -> npt.NDArray[np.bool_]:
    held: npt.NDArray[np.bool_] = (low_S <= 0) & (high_S >= 0)
    return held


def _false_differences(draws: int, count: int, rng: np.random.Generator) -> Iterator[Row]:
    """No effects, or three strong ones among six: is any difference told that is not there, or with a wrong sign?"""
    what = f"any false supported or refuted, {STATEMENTS} statements"
    for shape, shared in ((shape, shared) for shape in SHAPES for shared in (False, True)):
        difference = draw_differences(shape, draws, STATEMENTS, count, rng, shared=shared)
        case = f"{shape}, {'one arm shared' if shared else 'independent'}"
        promise = (None, ALPHA) if shape == "normal" else ()
        for name, effect in {"no effects": [0.0] * 6, "3 of 6 of 5 sd": [5.0] * 3 + [0.0] * 3}.items():
            found = verdicts_of(difference, effect, NO_MARGIN)
            false = np.where(np.array(effect) > 0, found == "refuted", found != "undecided").any(-1)
            yield _row(what, f"{case}, {name}", count, false, *promise)
        tests = paired_tests(difference, NO_MARGIN)
        if shape == "normal":
            raw = np.minimum(tests.greater, tests.less).min(-1) <= ALPHA
            yield _row("the same, nothing corrected", f"{case}, no effects", count, raw)
            apart = np.minimum(holm(tests.greater), holm(tests.less)).min(-1) <= ALPHA
            yield _row("the same, Holm over each direction apart", f"{case}, no effects", count, apart)


def _false_equivalence(draws: int, count: int, rng: np.random.Generator) -> Iterator[Row]:
    """Differences at a margin so wide that equivalence is within reach."""
    what, margin = f"any false equivalent, {STATEMENTS} statements", 8.0
    for shape, shared in ((shape, shared) for shape in SHAPES for shared in (False, True)):
        difference = draw_differences(shape, draws, STATEMENTS, count, rng, shared=shared)
        case = f"{shape}, {'one arm shared' if shared else 'independent'}"
        promise = (None, ALPHA) if shape == "normal" else ()
        for name, effect in {"all at the margin": [margin] * 6, "3 of 6 at 0": [margin] * 3 + [0.0] * 3}.items():
            found = verdicts_of(difference, effect, margin)
            false = ((found == "equivalent") & (np.array(effect) >= margin)).any(-1)
            yield _row(what, f"{case}, {name}", count, false, *promise)


def _any_false(draws: int, count: int, rng: np.random.Generator) -> Iterator[Row]:
    """Both families at once: what is promised is the sum of the two."""
    margin = 8.0
    for name, effect in {
        "2 at 0, 4 at the margin": [0.0] * 2 + [margin] * 4,
        "4 at 0, 2 at the margin": [0.0] * 4 + [margin] * 2,
    }.items():
        difference = draw_differences("normal", draws, STATEMENTS, count, rng)
        adjusted = adjust(paired_tests(difference + np.array(effect)[:, None], margin))
        # tests that reject a truth, whatever verdict is printed: at 0 either direction, at the margin "less" and TOST
        at_zero = np.array(effect) == 0
        told = np.where(at_zero, np.minimum(adjusted.greater, adjusted.less), adjusted.less)
        false = np.minimum(told, np.where(at_zero, 1.0, adjusted.equivalent)).min(-1) <= ALPHA
        yield _row(f"any false test of either family, {STATEMENTS} statements", name, count, false, None, 2 * ALPHA)


def _power(draws: int, count: int, rng: np.random.Generator) -> Iterator[Row]:
    """Share of statements that are rightly supported, or found equivalent at no effect; all have the same truth."""
    for statements in (1, STATEMENTS, 20):
        difference = draw_differences("normal", max(draws // statements, 100), statements, count, rng)
        for effect in EFFECTS[1:]:
            found = verdicts_of(difference, [effect] * statements, NO_MARGIN)
            case = f"effect {effect:g} sd, {statements} statement{'s' * (statements > 1)}"
            yield _row("power: supported", case, count, (found == "supported").ravel())
        for margin in EFFECTS[2:]:
            found = verdicts_of(difference, [0.0] * statements, margin)
            case = f"no effect, margin {margin:g} sd, {statements} statement{'s' * (statements > 1)}"
            yield _row("power: equivalent", case, count, (found == "equivalent").ravel())
