"""Clips that the report of an evaluation plays: drawn at random, and ranked by how near they are to real windows.

Shapes: N and M windows, T frames, D features, K neighbours.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch

from motionsynth.features.encode import decode_batch
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.neighbours import nearest
from motionsynth.metrics.record import Sets
from motionsynth.motion.clip import Clip
from motionsynth.report.page import Player
from motionsynth.view.player import player_html

__all__ = ["chosen_clips"]

SHOWN: Final = 4
"""Clips in each row of the player."""
_ROW_HEIGHT: Final = 236
RANKED_BY: Final = ("pca", "autoencoder")


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
    sentences = [f"Random clips are drawn with seed {seed}."]
    if real_clips:
        rows["real, random"] = _clips(sets.reference, _drawn(len(sets.reference), rng), real_distance_M)
    else:
        sentences.append("The real clips are left out of this page.")
    if ranking:
        order = np.argsort(ranking.generated_N, kind="stable")
        middle = max(0, (len(order) - SHOWN) // 2)
        ranks = {"best": order[:SHOWN], "median": order[middle : middle + SHOWN], "worst": order[::-1][:SHOWN]}
        rows |= {f"generated, {name}": _clips(generated, places, distance_N) for name, places in ranks.items()}
        sentences.append(
            f"d is the distance to the nearest {ranking.nearest_what}; best, median and worst are ranked by it."
        )
        if ranking.reference_M is not None:
            middles = [f"{np.median(far):.3g}" for far in (ranking.generated_N, ranking.reference_M)]
            sentences.append(f"Its median is {middles[0]} for generated windows, {middles[1]} for held-out real ones.")
        sentences.append("Near is plausible; nearest of all may be a copy (see memorisation).")

    page = player_html([], title="Chosen clips", groups=rows)
    frame = "Generated clips" + (" and real ones" if real_clips else "")
    return Player(page, frame, " ".join(sentences), _ROW_HEIGHT * len(rows) + 90)


class _Ranking(NamedTuple):
    """Distances of windows from real ones."""

    generated_N: np.ndarray
    reference_M: np.ndarray | None
    """Those of the reference; None where the generated ones are held against the reference itself."""
    nearest_what: str


def _ranking(sets: Sets) -> _Ranking | None:
    """Distances to the nearest training window, or to the nearest of the reference where there are none."""
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
    clips = decode_batch(windows.features_NTD[torch.from_numpy(places.copy())], windows.spec)
    return [(_caption(windows, int(place), distance_N), clip) for place, clip in zip(places, clips, strict=True)]


def _caption(windows: Descriptors, place: int, distance_N: np.ndarray | None) -> str:
    """Caption that tells clips apart by its first words: a narrow panel shows no more."""
    parts = [f"d {distance_N[place]:.3g}"] if distance_N is not None else []
    if windows.cell_N is not None and windows.cell_names:
        parts.append(windows.cell_names[int(windows.cell_N[place])])
    return " · ".join([*parts, windows.names[place] if windows.names else f"{place}"])
