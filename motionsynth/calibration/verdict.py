"""Is a figure an instrument for an axis? Computed from the figures of the repeats; nothing here is typed by hand.

With z the mean of a figure on real motion and s its real-against-real spread (standard deviation over the repeats, in
which windows are drawn anew, and in a second pass takes as well), a dose whose repeats gave f_1 ... f_R moves the
figure by

    sqrt(mean_r (f_r - z)^2) / s     spreads,

about 1 for a dose that does nothing. The root of the mean square, not the shift of the mean: a dose that sends the
figure up in one repeat and down in the next confounds it as surely as one that always sends it up.

Fewer cells make a figure that is compared cell by cell noisier by themselves, without making it wrong. So for such a
figure and a dose that drops cells, s is the spread of real against real restricted to as many cells, which is the
spread over the repeats of that very dose (it is undosed motion of so many cells), where that is the larger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

import numpy as np
import numpy.typing as npt

from motionsynth.calibration.plan import ZERO, Dose, Thresholds
from motionsynth.metrics.record import Better

__all__ = ["Series", "Verdict", "judge", "moved", "rank_correlation", "spread_at"]

Array = npt.NDArray[np.float64]
Kind = Literal["valid", "range", "blind", "invalid", "undefined"]
Cause = Literal["", "improves", "not monotone", "rival"]

_MOST_MISSING = 0.5
"""A dose that leaves a figure undefined in more of the repeats than this is no evidence of it."""


@dataclass(frozen=True, eq=False)
class Series:
    """One figure in all repeats of all doses.

    Args:
        key: of the figure.
        better: its direction.
        within: whether it is computed cell by cell.
        values: dose -> (R,) one number a repeat, nan where undefined; real motion is ``ZERO``.
        apart: (R,) real motion with other takes in every repeat.
    """

    key: str
    better: Better
    within: bool
    values: Mapping[Dose, Array]
    apart: Array

    def usable(self, doses: Sequence[Dose]) -> list[Dose]:
        """Doses that leave the figure defined in enough repeats."""
        return [d for d in doses if d in self.values and np.isnan(self.values[d]).mean() <= _MOST_MISSING]

    @property
    def spread(self) -> float:
        """The real-against-real spread: the larger of two, as with few repeats that of other takes may come out low."""
        return max(_deviation(self.apart), _deviation(self.values[ZERO]))

    def mean(self, dose: Dose) -> float:
        """Over the repeats where it is defined."""
        return float(np.nanmean(self.values[dose]))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on a figure on an axis.

    Args:
        key: of the figure.
        axis: of the doses.
        kind: the verdict; ``range``: valid on a run of neighbouring doses.
        reason: one sentence, where it is not valid throughout.
        doses: those on which it can be read, from the weakest; real motion first where that is among them.
        rho: Spearman's rank correlation over all doses.
        rho_low: lower bound of its size.
        moved: spreads by which the strongest dose of the axis moves it.
        rival_moved: spreads by which the worst dose of the rival axis moves it.
        rival: that dose.
        rival_up_to: of each rival kind that moves it the strongest dose that does not, nor any weaker; empty where all
            leave it alone, or where too few do for a range.
        cause: what makes it invalid.
    """

    key: str
    axis: str
    kind: Kind
    reason: str = ""
    doses: tuple[Dose, ...] = ()
    rho: float | None = None
    rho_low: float | None = None
    moved: float | None = None
    rival_moved: float | None = None
    rival: Dose | None = None
    cause: Cause = ""
    rival_up_to: tuple[Dose, ...] = ()


def judge(
    series: Series, axis: str, ladder: Sequence[Dose], rivals: Sequence[Dose], thresholds: Thresholds, seed: int = 0
) -> Verdict:
    """Judge what a figure is worth on an axis.

    Args:
        series: the figure in all doses.
        axis: its name.
        ladder: doses of the axis, from the weakest; without real motion.
        rivals: doses of the rival axis, of all its kinds, each from the weakest.
        thresholds: what counts.
        seed: of the bootstrap.
    """
    doses = series.usable([ZERO, *ladder])
    if ZERO not in doses or len(doses) < thresholds.least_doses or not np.isfinite(series.apart).any():
        return Verdict(series.key, axis, "undefined", f"it has values at {len(doses)} of {len(ladder) + 1} doses only")
    own = {dose: moved(series, dose) for dose in doses[1:]}
    rho, rho_low = rank_correlation(series, doses, thresholds, seed)
    against = {dose: moved(series, dose) for dose in series.usable(rivals)}
    rival = max(against, key=lambda dose: against[dose], default=None)
    worst = None if rival is None else against[rival]
    known = Verdict(series.key, axis, "invalid", "", (), rho, rho_low, own[doses[-1]], worst, rival)
    if max(own.values()) <= thresholds.spreads:
        return replace(known, kind="blind", reason=f"no dose moves it by more than {max(own.values()):.1f} spreads")
    worse = {"lower": 1.0, "higher": -1.0, "match": float(np.sign(rho))}[series.better]
    if rho * worse < 0 < rho_low:
        return replace(known, cause="improves", reason=f"it improves with the dose (rank correlation {rho:+.2f})")
    whole = rho_low >= thresholds.spearman
    run = doses if whole else _run(series, doses, worse, thresholds, seed)
    if not run:
        reason = f"rank correlation {rho:+.2f}, " + (
            f"size at least {rho_low:.2f}" if rho_low > 0 else "of either sign"
        )
        return replace(known, cause="not monotone", reason=reason)
    limits = [] if len(run) == len(ladder) + 1 else [f"from {run[0].label} to {run[-1].label}"]
    up_to: tuple[Dose, ...] = ()
    if rival is not None and against[rival] > thresholds.spreads:
        found = _bearable(against, thresholds)
        if found is None:
            return replace(known, cause="rival", reason=f"{rival.label} moves it by {against[rival]:.1f} spreads")
        up_to = found
        limits.append("up to " + " and ".join(dose.label for dose in up_to))
    return replace(
        known, kind="range" if limits else "valid", doses=tuple(run), reason=", ".join(limits), rival_up_to=up_to
    )


def _bearable(against: Mapping[Dose, float], thresholds: Thresholds) -> tuple[Dose, ...] | None:
    """Strongest dose of each rival kind that moves the figure, up to which none does; None if that is too weak."""
    up_to = []
    for kind in dict.fromkeys(dose.kind for dose in against):
        ladder = [dose for dose in against if dose.kind == kind]
        unmoved = list(takewhile(lambda dose: against[dose] <= thresholds.spreads, ladder))
        if len(unmoved) < thresholds.rival_share * len(ladder):
            return None
        if len(unmoved) < len(ladder):
            up_to.append(unmoved[-1])
    return tuple(up_to)


def moved(series: Series, dose: Dose) -> float:
    """Spreads by which a dose moves a figure; see the text of this module."""
    values = series.values[dose]
    shift = float(np.sqrt(np.nanmean(np.square(values - series.mean(ZERO)))))
    spread = spread_at(series, dose)
    return shift / spread if spread > 0 else 0.0 if shift == 0 else float("inf")


def spread_at(series: Series, dose: Dose) -> float:
    """The real-against-real spread that a dose is held against."""
    if series.within and dose.kind == "cells":
        return max(series.spread, _deviation(series.values[dose]))
    return series.spread


def rank_correlation(
    series: Series, doses: Sequence[Dose], thresholds: Thresholds, seed: int = 0
) -> tuple[float, float]:
    """Spearman's rank correlation of dose and figure over all repeats, and the lower bound of its size.

    The bound is that of a bootstrap over repeats, whole repeats drawn with replacement. Repeats of one dose tie, so
    that k doses of R repeats give at most ``sqrt(1 - (R^2 - 1) / ((k R)^2 - 1))``: 0.94 for three doses, 0.99 for
    seven.
    """
    values_DR = np.stack([series.values[dose] for dose in doses])
    repeats = values_DR.shape[1]
    rng = np.random.default_rng(seed)
    drawn_BR = rng.integers(0, repeats, (thresholds.resamples, repeats))
    sign = np.sign(rho := _spearman(values_DR[None])[0]) or 1.0
    resampled = sign * _spearman(values_DR[:, drawn_BR].transpose(1, 0, 2))
    return float(rho), float(np.quantile(resampled, (1 - thresholds.confidence) / 2))


def _run(series: Series, doses: Sequence[Dose], sign: float, thresholds: Thresholds, seed: int) -> list[Dose]:
    """The longest run of neighbouring doses that the figure orders in the direction of ``sign``; the strongest of
    equals; empty where there is none.
    """
    for length in range(len(doses), thresholds.least_doses - 1, -1):
        for start in range(len(doses) - length, -1, -1):
            part = list(doses[start : start + length])
            (rho,) = _spearman(np.stack([series.values[dose] for dose in part])[None])
            if sign * rho < thresholds.spearman:  # nor is its lower bound then higher
                continue
            if rank_correlation(series, part, thresholds, seed)[1] >= thresholds.spearman:
                return part
    return []


def _spearman(values_BDR: Array) -> Array:
    """(B,) rank correlation of the dose's place D with the values, ties sharing their mean rank, nan left out."""
    from scipy.stats import rankdata

    sets, doses, repeats = values_BDR.shape
    flat_BP = values_BDR.reshape(sets, -1)
    undefined_BP = np.isnan(flat_BP)
    places_BP = np.broadcast_to(np.repeat(np.arange(doses, dtype=np.float64), repeats), flat_BP.shape)
    # what is undefined goes to the end, where it leaves the ranks of all others as they are, and is then taken out
    ranks = [
        np.where(undefined_BP, np.nan, rankdata(np.where(undefined_BP, np.inf, x), axis=1))
        for x in (flat_BP, places_BP)
    ]
    return _correlation(*ranks)


def _correlation(a_BP: Array, b_BP: Array) -> Array:
    a_BP, b_BP = (x - np.nanmean(x, 1, keepdims=True) for x in (a_BP, b_BP))
    size = np.sqrt(np.nansum(a_BP**2, 1) * np.nansum(b_BP**2, 1))
    product = np.nansum(a_BP * b_BP, 1)
    return np.asarray(np.divide(product, size, out=np.zeros_like(product), where=size > 0))


def _deviation(values: Array) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else 0.0
