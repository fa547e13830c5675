"""The report of an evaluation: what it comes to in a sentence, what the motion looks like, and every figure.

Shapes: N windows, T frames, F frequencies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from motionsynth.comparison.groups import Groups
from motionsynth.metrics.derivatives import motion_magnitudes
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Group, Metric, Sets
from motionsynth.metrics.signals import band_limit, common_limit_hz, in_parts
from motionsynth.metrics.spectra import THRESHOLDS_HZ, power_spectra, window_energy
from motionsynth.metrics.suite import Figure
from motionsynth.report.charts import Bars, Role, bar_chart, distribution_chart, spectra_chart
from motionsynth.report.chosen_clips import chosen_clips
from motionsynth.report.forest import Effect, forest_chart
from motionsynth.report.metrics import AIMS, ASKS
from motionsynth.report.numbers import number_text
from motionsynth.report.page import (
    Block,
    Cell,
    Column,
    Picture,
    Row,
    Section,
    Table,
    bullets,
    figure_cell,
    headline,
    plain,
    write_page,
)

__all__ = ["classes_table", "distance_picture", "figures_table", "metric_name", "name_words", "write_report"]

_WORDS: Final = (
    (r"(\d)hz\b", r"\1 Hz"),
    *((rf"\b{word}\b", word.upper()) for word in ("kl", "c2st", "kid", "ndb", "pca")),
)
ROLES: Final[tuple[Role, ...]] = ("generated", "reference", "train")
"""Names of the sets in legends, in the order of ``Sets``."""
_LEAST_JERK: Final = 1e-2
"""m/s³: what lies below is drawn here, so that a still clip has a logarithm."""
_NOTHING: Final = 1e-6
"""Figures that differ by less, in any of their units, are the same: it is rounding of float32."""
_BY: Final = (
    "All generated windows against the reference windows of one class at a time (so many); in brackets real training "
    "windows likewise. Read a class against its own real figures: fewer windows make another yardstick."
)
_READ: Final = (
    "Real: real training windows against the same reference, as many as are generated. "
    "● the figure's interval meets that of real motion, or is better; ▲ it does not.",
    "In brackets: 95 % intervals over takes. They say how far a figure would move with other clips, not how far "
    "it would move with another training run of the model.",
)


def write_report(
    path: str | Path,
    figures: Mapping[str, Figure],
    real: Mapping[str, Figure],
    *,
    sets: Sets,
    title: str,
    subtitle: str = "",
    headlines: Sequence[str] = (),
    notes: Sequence[str] = (),
    groups: Groups | None = None,
    real_clips: bool = True,
    attribution: str = "",
    seed: int = 0,
) -> None:
    """Write the page of an evaluation; same input, same bytes.

    Args:
        path: the ``.html`` file; a file of that name is replaced, at once or not at all.
        figures: of generated against reference, by key, in the order of the tables.
        real: of real training windows against the same reference, by key.
        sets: what was compared, equal in number or not; spectra, cells and clips come from them.
        title: heading, such as the name of the run.
        subtitle: one line on what was compared with what, and how many.
        headlines: sentences in dose units; where there are none the page says how to get them.
        notes: what was resampled, subsampled or left out.
        groups: figures against the reference windows of each class of a label, if they were parted.
        real_clips: whether clips of the reference play in the page; not where it is published and they are licensed.
        attribution: of the reference's corpus, at the foot of the page.
        seed: what random clips are drawn by.

    Raises:
        ValueError: a window holds numbers that are not finite.
        OSError: the file cannot be written.
    """
    sections = [
        Section("", [_headline(headlines)]),
        Section("At a glance", overview(sets)),
        Section("Clips", [chosen_clips(sets, real_clips=real_clips, seed=seed)]),
        *_groups(figures, real),
        *([Section(f"By {groups.label}", [plain(_BY), classes_table(figures, real, groups)])] if groups else []),
        Section("How to read this", [*map(plain, _READ), bullets(notes)]),
        Section("What the figures are", [_glossary(figures)], folded=True),
    ]
    write_page(path, title, sections, subtitle=subtitle, footer=attribution)


def _headline(sentences: Sequence[str]) -> str:
    if sentences:
        whole = [f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}." for sentence in sentences]
        note = "Figures read backwards on the calibration's curves: the dose at which real motion scores the same."
        return headline(whole, note)
    return headline(
        ["Not calibrated: figures are given in their own units only."],
        "With --calibration FILE, which motionsynth calibrate makes, they are said in doses of real motion: “as smooth "
        "as real motion low-passed at 4 Hz”.",
    )


def _groups(figures: Mapping[str, Figure], real: Mapping[str, Figure]) -> Iterator[Section]:
    explained = False
    for group in get_args(Group):
        members = [figure for figure in figures.values() if figure.metric.group == group]
        if not members:
            continue
        blocks: list[Block] = [plain(ASKS[group]), figures_table(members, real)]
        if picture := distance_picture(members, real, explained=explained):
            explained = True
            blocks.append(picture[0])
            if picture[1]:
                blocks.append(plain(f"Without a place in the picture: {', '.join(picture[1])}."))
        yield Section(group.capitalize(), blocks)


def figures_table(figures: Sequence[Figure], real: Mapping[str, Figure]) -> Table:
    """Figures of one group beside those of real motion, for the page and the terminal."""
    columns = [Column(figures[0].metric.group, figure=False), Column("generated"), Column("real"),
               Column("better", figure=False), Column("unit", figure=False)]  # fmt: skip
    rows: list[Row] = []
    for figure in figures:
        metric, beside = figure.metric, real.get(figure.key)
        ideal = "" if metric.ideal is None else f" ({metric.ideal:g})"
        rows.append([
            figure.key.partition("/")[2],
            figure_cell(figure.value, figure.low, figure.high, figure.note or "", _tone(figure, beside)),
            figure_cell(beside.value, beside.low, beside.high, beside.note or "") if beside else "–",
            AIMS[metric.better] + ideal,
            "" if metric.unit == "1" else metric.unit,
        ])  # fmt: skip
    return Table(columns, rows)


def classes_table(figures: Mapping[str, Figure], real: Mapping[str, Figure], groups: Groups) -> Table:
    """Every figure of the whole and of each class, that of real motion in brackets, for the page and the terminal."""
    parts = [("all", figures, real)]
    parts += [(f"{name} ({g.windows})", g.figures, g.real_figures) for name, g in groups.classes.items()]
    rows: list[Row] = [
        [
            key.partition("/")[2],
            *(
                f"{number_text(own[key].value)} ({number_text(theirs[key].value if key in theirs else None)})"
                if key in own
                else "–"
                for _, own, theirs in parts
            ),
        ]
        for key in figures
    ]
    return Table([Column(f"by {groups.label}", figure=False), *(Column(name) for name, _, _ in parts)], rows)


def _tone(figure: Figure, real: Figure | None) -> Literal["good", "bad", ""]:
    """Good where the interval meets the real one or lies on its better side; nothing is said without intervals."""
    if real is None or None in (figure.low, figure.high, real.low, real.high):
        return ""
    assert figure.low is not None and figure.high is not None and real.low is not None and real.high is not None
    if max(figure.high, real.high) - min(figure.low, real.low) < _NOTHING:
        return "good"
    if figure.high < real.low:
        return "good" if figure.metric.better == "lower" else "bad"
    if figure.low > real.high:
        return "good" if figure.metric.better == "higher" else "bad"
    return "good"


def _glossary(figures: Mapping[str, Figure]) -> Table:
    metrics = {figure.metric.name: figure.metric for figure in figures.values()}
    rows = [
        (Cell(metric_name(m), note=f"{m.group}/{name}"), m.summary, Cell(m.reference, tone="dim"))
        for name, m in metrics.items()
    ]
    return Table([Column(name, figure=False) for name in ("metric", "what it is", "source")], rows)


def overview(sets: Sets) -> list[Picture]:
    """Spectra, jerk and cells: what most figures are made of; below the Nyquist frequencies of both sets."""
    shown = [(name, windows) for name, windows in zip(ROLES, sets, strict=True) if windows is not None]
    limit_hz = common_limit_hz(sets)
    pictures = [_spectra(shown, limit_hz), _jerk(shown, limit_hz)]
    if all(windows.cell_N is not None and windows.cell_names for _, windows in shown[:2]):
        pictures.append(_cells(shown[:2]))
    return pictures


def distance_picture(
    figures: Sequence[Figure], real: Mapping[str, Figure], *, explained: bool = False
) -> tuple[Picture, list[str]] | None:
    """Distance of each figure from real motion, in the unit that all share: the interval of real against real.

    Args:
        figures: from top to bottom.
        real: of real training windows against the same reference, by key.
        explained: whether the page has said already how to read such a picture.

    Returns:
        The picture and the names of the figures that have no place in it; None where none has one.
    """
    placed = {figure_name(figure): _in_spreads(figure, real.get(figure.key)) for figure in figures}
    rows = [row for row in placed.values() if row is not None]
    if not rows:
        return None
    caption = (
        "Each figure less that of real against real, in half widths of the latter's interval: what lies in the grey "
        "range is no farther off than real motion itself. Linear near it, logarithmic far from it. Metrics are not "
        "equally sensitive: compare sides and intervals rather than lengths."
    )
    svg = forest_chart(
        rows,
        x_label="distance from real motion (half widths of the real interval)",
        zone=(-1.0, 1.0),
        alt=f"Distance from real motion of {len(rows)} figures, in intervals of real against real",
    )
    left_out = [name for name, row in placed.items() if row is None]
    return Picture(svg, "Against real motion.", "As above." if explained else caption), left_out


def _in_spreads(figure: Figure, real: Figure | None) -> Effect | None:
    if real is None or figure.value is None or real.value is None or real.low is None or real.high is None:
        return None
    half = (real.high - real.low) / 2
    if not half > 0:
        return None
    low, high = (None if x is None else (x - real.value) / half for x in (figure.low, figure.high))
    value = (figure.value - real.value) / half
    return Effect(figure_name(figure), value, low, high, text=number_text(value))


def figure_name(figure: Figure) -> str:
    """The name of a figure's metric in words, with its feature space."""
    name = metric_name(figure.metric)
    return name if figure.space is None else f"{name} ({figure.space})"


def metric_name(metric: Metric) -> str:
    """The name of a metric in words: ``energy above 5 Hz, within cells``."""
    return name_words(metric.name)


def name_words(name: str) -> str:
    """``energy_above_5hz_within`` in words."""
    words = name.removesuffix("_within").replace("_", " ")
    for found, wanted in _WORDS:
        words = re.sub(found, wanted, words)
    return f"{words}, within cells" if name.endswith("_within") else words


def _spectra(shown: Sequence[tuple[Role, Descriptors]], limit_hz: float) -> Picture:
    spectra = []
    for name, windows in shown:
        signal = torch.zeros(1, 1, windows.motion_NTD.shape[1] - 1)
        frequency_F = power_spectra(signal, windows.spec.frame_rate)[0].numpy()
        density_F = windows.per_window(window_energy).double().mean(0).cpu().numpy() / frequency_F[1]
        held = frequency_F < limit_hz
        spectra.append((name, frequency_F[held], density_F[held]))
    svg = spectra_chart(
        spectra,
        y_label="power of joint velocities ((m/s)²/Hz)",
        roles=[name for name, _ in shown],
        marks=[hz for hz in THRESHOLDS_HZ if hz < limit_hz],
    )
    caption = (
        "Mean over windows, joints and axes. Below the reference at high frequencies: blur. Above it: jitter. Lower by "
        "the same factor everywhere: shrunk motion."
    )
    return Picture(svg, "Spectra.", caption)


def _jerk(shown: Sequence[tuple[Role, Descriptors]], limit_hz: float) -> Picture:
    rate_hz = shown[0][1].spec.frame_rate

    def jerk(positions_NTJ3: Tensor) -> Tensor:
        return motion_magnitudes(band_limit(positions_NTJ3, rate_hz, limit_hz), rate_hz)[:, 2]

    jerks = [(name, in_parts(windows, jerk).cpu().numpy()) for name, windows in shown]
    sets = [(name, np.log10(np.maximum(jerk_N, _LEAST_JERK))) for name, jerk_N in jerks]
    svg = distribution_chart(sets, x_label="log₁₀ of mean jerk (m/s³) of a window", roles=[name for name, _ in shown])
    return Picture(svg, "Jerk.", "Means hide what this shows: whether calm and brisk clips are both there.")


def _cells(shown: Sequence[tuple[Role, Descriptors]]) -> Picture:
    names = shown[0][1].cell_names
    shares: dict[Role, np.ndarray] = {name: _cell_shares(windows, len(names)) for name, windows in shown}
    order = np.argsort(-shares["reference"], kind="stable")
    missing = int(((shares["generated"] == 0) & (shares["reference"] > 0)).sum())
    unreal = shown[0][1].realistic_N
    caption = f"{missing} of {int((shares['reference'] > 0).sum())} cells of the reference hold no generated window."
    if unreal is not None:
        caption += f" The judge puts every window somewhere; {1 - float(unreal.double().mean()):.0%} of the generated "
        caption += "ones fail the realism gate."
    svg = bar_chart(
        [names[place] for place in order],
        [Bars(name, 100 * share[order], role=name) for name, share in shares.items()],
        y_label="share of the windows (%)",
    )
    return Picture(svg, "Cells, as judged.", caption)


def _cell_shares(windows: Descriptors, count: int) -> np.ndarray:
    assert windows.cell_N is not None
    return np.bincount(windows.cell_N.cpu().numpy(), minlength=count) / max(1, len(windows))
