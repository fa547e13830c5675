"""A small pool of walkers, without files."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from motionsynth.calibration.pool import Pool
from motionsynth.corpus.motions import MotionSet
from motionsynth.features.encode import encode
from motionsynth.features.spec import FeatureSpec
from motionsynth.walkers.corpus import CELLS, plan_walkers, walker_clip

FRAMES = 64


@lru_cache(maxsize=1)
def make_pool() -> Pool:
    """About 80 clips in 12 cells of unequal size, a window every 16 frames."""
    walkers, _ = plan_walkers(80, 0)
    made = [(f"{w.parameters.content}/{w.parameters.style}", walker_clip(w.parameters)) for w in walkers]
    spec = FeatureSpec.for_clip(made[0][1], frame_rate=30.0, metres_per_unit=0.01)
    clips = [(cell, encode(clip, spec)) for cell, clip in made if len(clip) >= FRAMES]
    names = tuple(CELLS)
    places = [(c, s) for c, (_, f) in enumerate(clips) for s in range(0, len(f) - FRAMES + 1, 16)]
    clip_N, start_N = np.array(places).T
    takes = tuple(f"clip{c}" for c in clip_N.tolist())
    return Pool(
        MotionSet(
            torch.stack([clips[c][1][s : s + FRAMES] for c, s in places]),
            spec,
            takes,
            tuple(f"{take}:{s}" for take, s in zip(takes, start_N.tolist(), strict=True)),
            {},
            15.0,
        ),
        tuple(features for _, features in clips),
        tuple(f"clip{c}" for c in range(len(clips))),
        clip_N,
        start_N,
        np.array([names.index(clips[c][0]) for c, _ in places]),
        names,
    )
