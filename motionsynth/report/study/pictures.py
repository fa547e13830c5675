"""The report's pictures: effects, spectra, and quality against compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from motionsynth.report.axes import Scale
from motionsynth.report.charts import Line, line_chart
from motionsynth.report.forest import Effect, forest_chart
from motionsynth.report.numbers import interval_texts, number_text
from motionsynth.report.page import Picture
from motionsynth.report.study.gather import Entry, Gathered
from motionsynth.report.study.statements import TONES, contrast, factor_text
from motionsynth.report.study.words import figure_words
from motionsynth.study.plan import EndpointConfig
from motionsynth.study.verdicts import Verdict

__all__ = ["curve_pictures", "forest_picture", "spectra_pictures"]

_WIDE: Final = 940.0
_TALL: Final = 380.0


def forest_picture(gathered: Gathered, verdicts: Sequence[Verdict]) -> Picture | None:
    """Every contrast with its interval, in margins, positive where the statement says so; None without a pair."""
    if all(verdict.mean is None for verdict in verdicts):
        return None
    rows: list[Effect | str] = []
    for corpus in dict.fromkeys(verdict.corpus for verdict in verdicts):
        rows.append(gathered.corpus_title(corpus))
        rows += [_effect(gathered, verdict) for verdict in verdicts if verdict.corpus == corpus]
    svg = forest_chart(
        rows,
        x_label="difference of the two arms, in smallest effects of interest",
        zone=(-1.0, 1.0),
        sides=("against the statement", "as the statement says"),
        legend=[("for", "supported"), ("against", "refuted"), ("small", "equivalent"), ("open", "undecided"),
                ("none", "no verdict")],
        alt=f"Differences of {len(verdicts)} contrasts with their intervals, in smallest effects of interest",
    )  # fmt: skip
    caption = (
        "Mean difference of two arms over seed pairs with its t interval, divided by the smallest effect of interest; "
        "small dots are seeds. Turned so that right is what the statement says. Grey: too small to matter; "
        "large effects are on a logarithmic axis. At the right the difference, first arm less second, in its own unit; "
        "with × the ratio of the two, where logarithms are compared. "
        "Intervals are not corrected for the number of statements; verdicts are."
    )
    return Picture(svg, "Effects", caption, file="effects")


def _effect(gathered: Gathered, verdict: Verdict) -> Effect:
    hypothesis = verdict.hypothesis
    unit = (-1.0 if hypothesis.direction == "less" else 1.0) / hypothesis.margin
    name = f"{contrast(gathered, verdict)} ({_short_words(hypothesis.endpoint)})"
    dots = [unit * (first - second) for first, second in verdict.evidence.pairs]
    if verdict.mean is None:
        return Effect(name, None, text="no verdict", tone="none")
    low, high = sorted(unit * edge for edge in verdict.interval) if verdict.interval else (None, None)
    return Effect(name, unit * verdict.mean, low, high, _size(verdict), TONES[verdict.decision.kind], dots)


def _size(verdict: Verdict) -> str:
    """The difference in its own unit, or the ratio."""
    if verdict.hypothesis.endpoint.log:
        return f"× {factor_text(verdict)}"
    if verdict.interval is None:
        return number_text(verdict.mean)
    value, start, end = interval_texts(verdict.mean or 0.0, *verdict.interval)
    return f"{value} ({start} to {end})"


def _short_words(endpoint: EndpointConfig) -> str:
    """The endpoint in as few words as a row has room for."""
    if endpoint.dose is not None:
        words = f"{endpoint.dose} dose"
    else:
        words = figure_words(endpoint.metric or "").removesuffix(", within cells")
    return f"log of {words}" if endpoint.log else words


def spectra_pictures(gathered: Gathered, corpus: str, entries: Sequence[Entry]) -> Iterator[Picture]:
    """Spectra against real motion by power and by logarithms: of every arm, then of each arm with several views."""
    shown = [entry for entry in entries if entry.main]
    where = gathered.corpus_title(corpus)
    for key, (words, how) in _SPECTRA.items():
        lines = [line for entry in shown if (line := _spectrum(entry, entry.title, key)) is not None]
        if lines:
            svg = _decibels(lines, _WIDE, _TALL)
            title = f"Spectra {words} on {where}"
            yield Picture(svg, title, f"{how} {_SPECTRA_CAPTION}")
    for entry in shown:
        views = [other for other in entries if other.arm == entry.arm]
        for key, (words, _) in _SPECTRA.items():
            drawn = [_spectrum(other, other.view.replace("_", " "), key) for other in views]
            lines = [line for line in drawn if line is not None]
            if len(lines) > 1:
                svg = _decibels(lines, 460.0, 300.0)
                yield Picture(svg, f"Spectra of {entry.title} {words}", "Its views.")


_SPECTRA: Final = {
    "decibels": (
        "by power",
        "Mean energy of joint velocities in decibels against real motion: brisk windows weigh most.",
    ),
    "decibels_log": (
        "by logarithms",
        "Mean logarithm of that energy against real motion's: every window weighs the same, so that much too much in "
        "calm windows hides a little too little in brisk ones.",
    ),
}  # fmt: skip
_SPECTRA_CAPTION: Final = (
    "Mean over seeds. Falling away to the right: blur. Rising: jitter. Lower everywhere: subdued motion. An error that "
    "is added to motion hides a lack of detail under it."
)


def _spectrum(entry: Entry, name: str, key: str) -> Line | None:
    spectra = [view.spectrum for view in entry.views if key in view.spectrum]
    if not spectra:
        return None
    hertz = np.asarray(spectra[0]["frequencies_hz"], np.float64)
    decibels = np.stack([np.asarray(s[key], np.float64) for s in spectra if len(s[key]) == len(hertz)])
    return Line(name, hertz, decibels.mean(0), role="reference" if entry.config.landmark == "real" else "")


def _decibels(lines: Sequence[Line], width: float, height: float) -> str:
    return line_chart(
        lines,
        x_label="frequency (Hz)",
        y_label="against real motion (dB)",
        x_scale="log",
        x_ticks=[hz for hz in (0.5, 1, 2, 3, 5, 8, 12) if hz <= max(float(np.max(line.x)) for line in lines)],
        width=width,
        height=height,
    )


def curve_pictures(gathered: Gathered, corpus: str, entries: Sequence[Entry]) -> Iterator[Picture]:
    """The Fréchet distance to validation windows over minutes and over steps of training, one line an arm."""
    shown = [entry for entry in entries if entry.main]
    for place, unit, scale in ((1, "minutes of training", "log"), (0, "steps of training", "linear")):
        lines = [line for entry in shown if (line := _curve(entry, place)) is not None]
        if not lines:
            return
        svg = line_chart(
            lines, x_label=unit, y_label="Fréchet distance to validation", x_scale=_scale(scale), y_scale="log",
            width=460.0, height=340.0,
        )  # fmt: skip
        caption = "Mean over seeds; band: least and greatest." if place else "The same by steps."
        words = unit.split()[0]
        title = f"Quality by {words} on {gathered.corpus_title(corpus)}"
        yield Picture(svg, title, caption)


def _scale(name: str) -> Scale:
    return "log" if name == "log" else "linear"


def _curve(entry: Entry, place: int) -> Line | None:
    by_step: dict[int, list[tuple[float, float]]] = {}
    for result in entry.results:
        for row in result.curve:
            by_step.setdefault(row[0], []).append((float(row[place]), row[2]))
    most = max(map(len, by_step.values()), default=0)
    rows = [np.array(rows) for _, rows in sorted(by_step.items()) if len(rows) == most]
    if len(rows) < 2:
        return None
    x = [float(row[:, 0].mean()) for row in rows]
    y, low, high = ([float(how(row[:, 1])) for row in rows] for how in (np.mean, np.min, np.max))
    band = (low, high) if most > 1 else ((), ())
    return Line(entry.title, x, y, *band)
