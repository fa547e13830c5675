"""What a report shows besides figures: spectra, jerk, the mix of cells, and chosen clips that move.

Shapes: N windows, T frames, F frequencies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from motionsynth.metrics.suite import Figure
from motionsynth.view.charts import (
    Bars,
    Interval,
    Role,
    bar_chart,
    distribution_chart,
    interval_chart,
    spectra_chart,
)
from motionsynth.view.page import Picture, Player

if TYPE_CHECKING:
    from torch import Tensor

    from motionsynth.metrics.descriptors import Descriptors
    from motionsynth.metrics.record import Metric, Sets
    from motionsynth.motion.clip import Clip

__all__ = ["chosen_clips", "distance_picture", "figure_name", "metric_name", "name_words", "overview", "ranking_space"]

_WORDS: Final = (
    (r"(\d)hz\b", r"\1 Hz"),
    *((rf"\b{word}\b", word.upper()) for word in ("kl", "c2st", "kid", "ndb", "pca")),
)
ROLES: Final[tuple[Role, ...]] = ("generated", "reference", "train")
"""Names of the sets in legends, in the order of ``Sets``."""
SHOWN: Final = 4
"""Clips in each row of the player."""
_ROW_HEIGHT: Final = 236
_LEAST_JERK: Final = 1e-2
"""m/s³: what lies below is drawn here, so that a still clip has a logarithm."""
RANKED_BY: Final = ("pca", "autoencoder")


def overview(sets: Sets) -> list[Picture]:
    """Spectra, jerk and cells: what most figures are made of; below the Nyquist frequencies of both sets."""
    from motionsynth.metrics.signals import common_limit_hz

    shown = [(name, windows) for name, windows in zip(ROLES, sets, strict=True) if windows is not None]
    limit_hz = common_limit_hz(sets)
    pictures = [_spectra(shown, limit_hz), _jerk(shown, limit_hz)]
    if all(windows.cell_N is not None and windows.cell_names for _, windows in shown[:2]):
        pictures.append(_cells(shown[:2]))
    return pictures


def distance_picture(
    figures: Sequence[Figure], real: Mapping[str, Figure], *, explained: bool = False
) -> tuple[Picture, list[str]] | None:
    """How far each figure lies from real motion, in the unit that all share: the interval of real against real.

    Args:
        figures: from top to bottom.
        real: of real training windows against the same reference, by key.
        explained: whether the page has said already how to read such a picture.

    Returns:
        The picture and the names of the figures that have no place in it; None where none has one.
    """
    rows, left_out = [], []
    for figure in figures:
        row = _in_spreads(figure, real.get(figure.key))
        if row is None:
            left_out.append(figure_name(figure))
        else:
            rows.append(row)
    if not rows:
        return None
    caption = (
        "Each figure less that of real against real, in half widths of the latter's interval: what lies in the grey "
        "range is no farther off than real motion itself. Linear from −1 to 1, logarithmic beyond. Metrics are not "
        "equally sensitive: compare sides and intervals rather than lengths."
    )
    svg = interval_chart(
        rows,
        x_label="distance from real motion (half widths of the real interval)",
        x_scale="symlog",
        zero=True,
        width=920,
        alt=f"Distance from real motion of {len(rows)} figures, in intervals of real against real",
    )
    return Picture(svg, "Against real motion.", "As above." if explained else caption, wide=True), left_out


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


def ranking_space(generated: Descriptors, real: Descriptors) -> str | None:
    """The feature space that clips are ranked in: principal components where there are: they keep the trajectory."""
    there = [*RANKED_BY, *generated.embeddings]
    return next((space for space in there if space in generated.embeddings and space in real.embeddings), None)


def chosen_clips(sets: Sets, *, real_clips: bool, seed: int) -> Player:
    """A player with the generated clips nearest to real windows, in the middle, farthest, and drawn at random.

    Args:
        sets: what is compared.
        real_clips: whether a row of reference clips stands below them.
        seed: what the random ones are drawn by.
    """
    generated = sets.generated
    rng = np.random.default_rng(seed)
    ranking = _ranking(sets)
    distance_N, real_distance_M = (ranking.generated_N, ranking.reference_M) if ranking else (None, None)
    rows = {"generated, random": _clips(generated, _drawn(len(generated), rng), distance_N)}
    said = [f"Random clips are drawn with seed {seed}."]
    if real_clips:
        rows["real, random"] = _clips(sets.reference, _drawn(len(sets.reference), rng), real_distance_M)
    else:
        said.append("The real clips are left out of this page.")
    if ranking:
        order = np.argsort(ranking.generated_N, kind="stable")
        middle = max(0, (len(order) - SHOWN) // 2)
        ranks = {"best": order[:SHOWN], "median": order[middle : middle + SHOWN], "worst": order[::-1][:SHOWN]}
        rows |= {f"generated, {name}": _clips(generated, places, distance_N) for name, places in ranks.items()}
        said.append(
            f"d is the distance to the nearest {ranking.nearest_what}; best, median and worst are ranked by it."
        )
        if ranking.reference_M is not None:
            middles = [f"{np.median(far):.3g}" for far in (ranking.generated_N, ranking.reference_M)]
            said.append(f"Its median is {middles[0]} for generated windows, {middles[1]} for held-out real ones.")
        said.append("Near is plausible; nearest of all may be a copy (see memorisation).")
    from motionsynth.view.player import player_html

    page = player_html([], title="Chosen clips", groups=rows)
    frame = "Generated clips" + (" and real ones" if real_clips else "")
    return Player(page, frame, " ".join(said), _ROW_HEIGHT * len(rows) + 90)


def _spectra(shown: Sequence[tuple[Role, Descriptors]], limit_hz: float) -> Picture:
    import torch

    from motionsynth.metrics.spectra import THRESHOLDS_HZ, power_spectra, window_energy

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
    from motionsynth.metrics.derivatives import motion_magnitudes
    from motionsynth.metrics.signals import band_limit, in_parts

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
    return Picture(svg, "Cells, as judged.", caption, wide=True)


def _cell_shares(windows: Descriptors, count: int) -> np.ndarray:
    assert windows.cell_N is not None
    return np.bincount(windows.cell_N.cpu().numpy(), minlength=count) / max(1, len(windows))


def _in_spreads(figure: Figure, real: Figure | None) -> Interval | None:
    if real is None or figure.value is None or real.value is None or real.low is None or real.high is None:
        return None
    half = (real.high - real.low) / 2
    if not half > 0:
        return None
    low, value, high = (None if x is None else (x - real.value) / half for x in (figure.low, figure.value, figure.high))
    assert value is not None
    against = ((real.low - real.value) / half, (real.high - real.value) / half)
    return Interval(figure_name(figure), value, low, high, *against, against=0.0)


class _Ranking(NamedTuple):
    """How far windows are from real ones."""

    generated_N: np.ndarray
    reference_M: np.ndarray | None
    """None where the generated ones are held against the reference itself."""
    nearest_what: str


def _ranking(sets: Sets) -> _Ranking | None:
    """Distances to the nearest training window, or to the nearest of the reference where there are none."""
    from motionsynth.metrics.neighbours import nearest

    for name, real in (("training", sets.train), ("reference", sets.reference)):
        space = None if real is None else ranking_space(sets.generated, real)
        if real is None or space is None:
            continue
        held = [sets.generated] if real is sets.reference else [sets.generated, sets.reference]
        far = [nearest(s.embeddings[space], real.embeddings[space]).distance_NK[:, 0].cpu().numpy() for s in held]
        return _Ranking(far[0], far[1] if far[1:] else None, f"{name} window in the feature space {space}")
    return None


def _drawn(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.choice(count, min(SHOWN, count), replace=False))


def _clips(windows: Descriptors, places: np.ndarray, distance_N: np.ndarray | None) -> list[tuple[str, Clip]]:
    import torch

    from motionsynth.features.encode import decode_batch

    clips = decode_batch(windows.features_NTD[torch.from_numpy(places.copy())], windows.spec)
    return [(_caption(windows, int(place), distance_N), clip) for place, clip in zip(places, clips, strict=True)]


def _caption(windows: Descriptors, place: int, distance_N: np.ndarray | None) -> str:
    """What tells clips apart first: a narrow panel shows no more."""
    parts = [f"d {distance_N[place]:.3g}"] if distance_N is not None else []
    if windows.cell_N is not None and windows.cell_names:
        parts.append(windows.cell_names[int(windows.cell_N[place])])
    return " · ".join([*parts, windows.names[place] if windows.names else f"{place}"])
