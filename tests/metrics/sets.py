"""Sets of windows that the tests of metrics share."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from motionsynth.features.encode import encode
from motionsynth.features.spec import FeatureSpec
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.walkers.corpus import CELLS, plan_walkers, walker_clip

FRAMES = 64


@lru_cache(maxsize=1)
def _walker_features() -> tuple[FeatureSpec, tuple[tuple[str, Tensor], ...]]:
    """(cell, features of a whole clip) of a small walkers corpus, in recording order."""
    walkers, _ = plan_walkers(160, 0)
    clips = [(f"{w.parameters.content}/{w.parameters.style}", walker_clip(w.parameters)) for w in walkers]
    spec = FeatureSpec.for_clip(clips[0][1], frame_rate=30.0, metres_per_unit=0.01)
    return spec, tuple((cell, encode(clip, spec)) for cell, clip in clips if len(clip) >= FRAMES)


@lru_cache(maxsize=4)
def walkers(half: int | None = None) -> Descriptors:
    """Windows of walkers with their true cells; of every second clip only where ``half`` is 0 or 1.

    The embedding ``pca`` stands in for a feature space: normalised features projected on 16 principal components.
    """
    spec, clips = _walker_features()
    names = tuple(CELLS)
    windows, takes, cells = [], [], []
    for take, (cell, features_TD) in enumerate(clips):
        for start in range(0, len(features_TD) - FRAMES + 1, 16):
            windows.append(features_TD[start : start + FRAMES])
            takes.append(take)
            cells.append(names.index(cell))
    motion_NTD, take_N = torch.stack(windows), torch.tensor(takes)
    flat = ((motion_NTD - motion_NTD.mean((0, 1))) / motion_NTD.std((0, 1)).clamp_min(0.02)).flatten(1)
    axes = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:16]
    everything = Descriptors(
        motion_NTD,
        spec,
        take_N,
        embeddings={"pca": (flat - flat.mean(0)) @ axes.T},
        cell_N=torch.tensor(cells),
        cell_names=names,
        realistic_N=torch.ones(len(take_N), dtype=torch.bool),
        nyquist_hz=15.0,
        names=tuple(f"{take}:{place}" for place, take in enumerate(takes)),
    )
    if half is None:
        return everything
    # a set of its own, not a view of one: as two sets come to a metric in life
    return replace(everything.subset((take_N % 2 == half).nonzero()[:, 0]).to("cpu"))


def points(embedding_NE: Tensor, *, cell_N: Tensor | None = None, takes: Tensor | None = None) -> Descriptors:
    """Bare points of a feature space ``space``, with the windows of walkers behind them for show."""
    count = len(embedding_NE)
    whole = walkers()
    return Descriptors(
        whole.motion_NTD[torch.arange(count) % len(whole)],
        whole.spec,
        torch.arange(count) if takes is None else takes,
        embeddings={"space": embedding_NE.float()},
        cell_N=torch.zeros(count, dtype=torch.int64) if cell_N is None else cell_N,
        cell_names=tuple(str(i) for i in range(1 if cell_N is None else int(cell_N.max()) + 1)),
        realistic_N=torch.ones(count, dtype=torch.bool),
        nyquist_hz=15.0,
    )
