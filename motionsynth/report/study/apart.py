"""The difference of one pair of arms taken apart: what depends on the rule, the figure and the way of averaging."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from motionsynth.report.page import Block, Cell, Column, Row, Table, figure_cell, plain
from motionsynth.report.study.gather import Entry, Gathered, mean_cell, p_text
from motionsynth.report.study.shares import due_share, effective_cells, total_variation
from motionsynth.report.study.words import figure_words
from motionsynth.study.results import ViewResult
from motionsynth.study.statistics import Comparison, compare

__all__ = ["BAND_HZ", "Figure", "apart_blocks", "band_decibels", "difference"]

BAND_HZ: Final = (5.0, 14.0)
"""Band in which blur and jitter show, below half of 30 frames a second."""


@dataclass(frozen=True)
class Figure:
    """One number of a view.

    Args:
        name: in a table.
        of: the number; None where a view has none.
        log: whether ratios are compared: of geometric means.
        worse: 1 where more of it is worse, -1 where less is, 0 where it says nothing of better and worse.
        note: below the name.
    """

    name: str
    of: Callable[[ViewResult], float | None]
    log: bool = False
    worse: int = 0
    note: str = ""


def key_figure(key: str, *, name: str = "", log: bool = False, worse: int = 0) -> Figure:
    """A figure of the suite by its key."""
    return Figure(name or figure_words(key), lambda view: view.figures.get(key), log, worse, key)


COVERAGE: Final = (
    key_figure("modes/cells_covered", name="one realistic window", worse=-1),
    Figure("one window of any kind", lambda view: due_share(view, 0.0), worse=-1, note="visited"),
    Figure("a quarter of the due share", lambda view: due_share(view, 0.25), worse=-1),
    Figure("half of the due share", lambda view: due_share(view, 0.5), worse=-1),
    Figure("effective number of cells", effective_cells),
    Figure("total variation of the shares", total_variation, worse=1),
    key_figure("modes/coverage.pca", worse=-1),
    key_figure("modes/coverage.autoencoder", worse=-1),
)
"""Rules by which a kind of motion may count as covered, and figures that know no kinds."""
WITHIN: Final = (
    key_figure("modes/recall.pca"),
    key_figure("modes/birthday_support.pca", log=True),
    key_figure("modes/multimodality_within.classifier"),
    key_figure("smoothness/variance_across_clips_ratio_within"),
)
"""Difference of windows from one another, within cells or beside them."""


def band_decibels(view: ViewResult, which: str) -> float | None:
    """Mean of a spectrum against real motion over ``BAND_HZ``, in decibels; None where the view has no such spectrum.

    Args:
        view: of one run.
        which: ``decibels`` of mean energies, or ``decibels_log`` of mean logarithms.
    """
    if which not in view.spectrum:
        return None
    hertz, decibels = (np.asarray(view.spectrum[name], np.float64) for name in ("frequencies_hz", which))
    inside = (hertz >= BAND_HZ[0]) & (hertz <= BAND_HZ[1])
    return float(decibels[inside].mean()) if inside.any() else None


FAST: Final = (
    Figure("power, 5 to 14 Hz (dB)", lambda view: band_decibels(view, "decibels"), note="mean of energies"),
    Figure("the same by logarithms (dB)", lambda view: band_decibels(view, "decibels_log"), note="mean of logarithms"),
    *(
        key_figure(f"smoothness/{name}_within", log=True)
        for name in ("jerk_ratio", "acceleration_ratio", "energy_above_5hz", "share_above_5hz")
    ),
)  # fmt: skip
"""Figures of fast motion, by power and by logarithms."""


def difference(first: Entry, second: Entry, figure: Figure) -> Comparison | None:
    """First less second, paired by seed; of logarithms where the figure compares ratios; None below two pairs."""
    pairs = []
    seeds = {result.seed: result.views[second.view] for result in second.results}
    for result in first.results:
        if result.seed in seeds:
            values = [_value(view, figure) for view in (result.views[first.view], seeds[result.seed])]
            if values[0] is not None and values[1] is not None:
                pairs.append(values[0] - values[1])
    if len(pairs) < 2:
        return None
    return compare(pairs, margin=1.0, confidence=first.confidence)


def apart_blocks(gathered: Gathered, corpus: str) -> list[Block]:
    """Tables of the study's ``contrast`` on a corpus; none where it names no pair, or one of the two is not there."""
    if gathered.study.contrast is None:
        return []
    sides = [gathered.study.arm_view(side) for side in gathered.study.contrast]
    first, second = (gathered.entry(arm, corpus, view) for arm, view in sides)
    if first is None or second is None:
        return []
    beside = _beside(gathered, corpus, second)
    tables = [
        _table(first, second, beside, COVERAGE, "What counts as covering a kind", [_COVERAGE_NOTE]),
        *_accepted(gathered, corpus, first, second, beside),
        _table(first, second, beside, FAST, "Fast motion, by power and by logarithms", [_FAST_NOTE]),
        _table(first, second, beside, WITHIN, "Inside a kind", [_WITHIN_NOTE]),
        _averages(gathered, corpus),
    ]
    blocks: list[Block] = [block for block in tables if block is not None]
    return [plain(_EXPLORATORY.format(f"{first.name} less {second.name}")), *blocks] if blocks else []


_EXPLORATORY: Final = (
    "{}, paired by seed, one figure at a time. Exploratory: intervals and p (two-sided) are corrected for nothing, and "
    "no verdict rests on this section."
)
_COVERAGE_NOTE: Final = (
    "Shares are over the cells that held-out motion has. One realistic window: one at least of all measured is of "
    "the cell and passes the realism gate, so that the figure falls with realism too. Due share: as large a part of "
    "all windows as the cell has of held-out ones, however unlike real motion. Effective number: exp of the entropy of "
    "the shares. Coverage: share of held-out windows with a window near."
)
_FAST_NOTE: Final = (
    "Power: mean energy of joint velocities over all windows, in decibels against held-out motion, mean over the "
    "frequencies. By logarithms: the mean of logarithms, by which calm windows weigh as much as brisk ones, so that "
    "excess in the one cancels a lack in the other. All others are ratios to held-out motion within cells, and their "
    "difference is the ratio of the two."
)
_WITHIN_NOTE: Final = (
    "Recall: share of held-out windows that lie among generated ones. Birthday support: so many windows a model would "
    "hold that repeats itself as often; of a memoriser of N windows about N. Multimodality and variance across clips: "
    "spread of windows within cells against held-out ones. None of these speaks for collapse by calibration on every "
    "corpus: recall and support fall with averaging as well, the spread rises with whatever is unlike real motion."
)


def _beside(gathered: Gathered, corpus: str, second: Entry) -> list[Entry]:
    """Landmarks for both: real motion and a memoriser, and the second drawn from where its codes lie."""
    fitted = [entry for entry in gathered.entries(corpus)
              if entry.arm == second.arm and entry.config.views[entry.view].prior == "fitted"]  # fmt: skip
    landmarks = [entry for entry in gathered.entries(corpus, "landmark")
                 if entry.config.landmark in ("real", "memoriser")]  # fmt: skip
    return [*(entry for entry in fitted if entry.view != second.view), *landmarks]


def _table(
    first: Entry, second: Entry, beside: Sequence[Entry], figures: Sequence[Figure], caption: str, notes: Sequence[str]
) -> Table | None:
    rows: list[Row] = []
    for figure in figures:
        known = difference(first, second, figure)
        if known is None:
            continue
        says = _effect(first, second, figure, known)
        means = [mean_cell(entry.mean(figure.of)) for entry in (first, second, *beside)]
        rows.append([Cell(figure.name, note=figure.note), *means, _difference(figure, known), _p(known), says])
    if not rows:
        return None
    columns = [
        Column("figure", figure=False),
        *(Column(entry.name) for entry in (first, second, *beside)),
        Column(f"{first.title} − {second.title}", f"{first.confidence:.0%} interval; × a ratio"),
        Column("p", "uncorrected"),
        Column("says", figure=False),
    ]
    return Table(columns, rows, caption=caption, notes=notes)


def _accepted(gathered: Gathered, corpus: str, first: Entry, second: Entry, beside: Sequence[Entry]) -> Iterator[Block]:
    """Every figure that the calibration accepts for dropped modes, and how many of them say which arm is the worse."""
    calibration = gathered.calibrations.get(corpus)
    if calibration is None:
        return
    figures = [
        key_figure(verdict.key, worse=int(np.sign(verdict.rho or 0.0)))
        for verdict in calibration.verdicts
        if verdict.axis == "drop" and verdict.kind in ("valid", "range")
    ]
    told = [_effect(first, second, figure, known) for figure in figures if (known := difference(first, second, figure))]
    table = _table(
        first, second, beside, figures, "Figures that calibration accepts for dropped modes", [_ACCEPTED_NOTE]
    )
    if table is None:
        return
    counts = [told.count(_worse(entry)) for entry in (first, second)]
    yield plain(
        f"Of {len(told)} figures that the calibration of this corpus accepts for dropped modes, {counts[0]} say that "
        f"{first.title} is the worse, {counts[1]} that {second.title} is, {told.count('neither')} neither."
    )
    yield table


_ACCEPTED_NOTE: Final = (
    "Worse: moved the way that dropped modes move the figure, the interval without 0. Calibration holds them against "
    "blur and weak motion, not against jitter or noise: where windows are rough, they may move for that alone."
)


def _averages(gathered: Gathered, corpus: str) -> Table | None:
    """Effect of averaged weights, for each arm that is shown with and without them."""
    figures = COVERAGE[:3]
    rows: list[Row] = []
    for entry in gathered.entries(corpus):
        how = entry.config.views[entry.view]
        same = [other for other in gathered.entries(corpus) if other.arm == entry.arm and how.ema
                and other.config.views[other.view] == how.model_copy(update={"ema": False})]  # fmt: skip
        for figure in figures if same else ():
            if known := difference(entry, same[0], figure):
                means = [mean_cell(side.mean(figure.of)) for side in (entry, same[0])]
                name = Cell(f"{entry.title}: {figure.name}", note=figure.note)
                rows.append([name, *means, _difference(figure, known), _p(known)])
    if not rows:
        return None
    columns = [Column("arm and figure", figure=False), Column("averaged weights"), Column("last weights"),
               Column("difference", "95% interval"), Column("p", "uncorrected")]  # fmt: skip
    return Table(columns, rows, caption="What averaging the weights changes", notes=[_AVERAGES_NOTE])


_AVERAGES_NOTE: Final = (
    "Where the cells visited stay the same, the network goes to the same kinds of motion with averaged weights and "
    "without: what else changes in a figure of coverage is realism."
)


def _value(view: ViewResult, figure: Figure) -> float | None:
    value = figure.of(view)
    if value is None or not figure.log:
        return value
    return math.log(value) if value > 0 else None


def _difference(figure: Figure, known: Comparison) -> Cell:
    if not figure.log:
        return figure_cell(known.mean, known.low, known.high)
    mean, low, high = (None if end is None else math.exp(end) for end in (known.mean, known.low, known.high))
    cell = figure_cell(mean, low, high)
    return Cell(f"× {cell.text}", cell.interval)


def _p(known: Comparison) -> str:
    return p_text(min(1.0, 2 * min(known.greater, known.less)))


def _effect(first: Entry, second: Entry, figure: Figure, known: Comparison) -> str:
    """The arm that is the worse by a figure, where the interval leaves no doubt of its side."""
    if not figure.worse:
        return ""
    if known.low is None or known.high is None or known.low <= 0 <= known.high or known.mean is None:
        return "neither"
    return _worse(first if (known.mean > 0) == (figure.worse > 0) else second)


def _worse(entry: Entry) -> str:
    return f"{entry.title} worse"
