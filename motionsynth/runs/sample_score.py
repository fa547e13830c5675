"""Figures of fresh samples while a run trains: how far from motion that it has not seen, how near to what it has.

Shapes: N samples, L training windows, M validation windows, K components.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from motionsynth.corpus.corpus import MIRRORED, Corpus
from motionsynth.corpus.windows import WindowSet
from motionsynth.families.base import Family
from motionsynth.families.capabilities import FitsPrior
from motionsynth.metrics.components import FITTED, PrincipalComponents
from motionsynth.metrics.frechet import Moments
from motionsynth.metrics.memorisation import close_share
from motionsynth.metrics.neighbours import nearest
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import draw_from
from motionsynth.training.copying import FIGURE
from motionsynth.training.trainer import Score

__all__ = ["COMPONENTS", "SAMPLES", "sample_score"]

COMPONENTS = 64
SAMPLES = 512
"""Components in which samples are judged, and number of samples drawn."""
CODED = 4096
"""Training windows whose codes a prior is fitted on at most, evenly from all, for samples that are only judged."""
HELD_OUT = 4096
"""Validation windows that samples are judged against at most, and training windows whose distances are judged by."""
_BLOCK = 1024


def sample_score(run: Run, corpus: Corpus) -> Score | None:
    """Judge of fresh samples by what a loss does not show: the Frechet distance to validation takes, and copies.

    Both in the space of the first principal components of normalised training windows, as the metrics of the space
    ``pca`` are. ``close_to_train`` is the share of samples closer to a training window than the closest
    ``memorisation.CLOSE`` of training windows are to those of other clips: held-out takes would not do where whole
    people are held out, as every draw is closer to the people trained on than they are. Of one clip, validation
    windows stand for other clips.

    Args:
        run: whose family is judged, as its weights are averaged at that time.
        corpus: where it learns.

    Returns:
        None where the corpus is too small for it. It draws from generators of its own, with the same noise each time.
    """
    train, validation = corpus.windows("train"), corpus.windows("validation")
    whole, held_out = (windows.subset(windows.whole_N) for windows in (train, validation))
    if len(whole) <= COMPONENTS or len(held_out) < 2:
        return None
    axes = PrincipalComponents.fit(whole.even(FITTED).as_batch().motion_BTD.numpy(), COMPONENTS)
    train_LK, validation_MK = _projected(axes, whole), _projected(axes, held_out.even(HELD_OUT))
    reference = Moments.of(validation_MK.numpy())
    apart_M = _apart(whole, train_LK)
    if not apart_M.isfinite().all():
        apart_M = nearest(validation_MK, train_LK).distance_NK[:, 0]
    judged = run.build_family()
    coded = None
    if isinstance(judged, FitsPrior) and judged.priors[0] == "fitted":
        coded = judged.basis.project(train.even(CODED)) if judged.basis else train.even(CODED)

    def score(family: Family, averages: Mapping[str, Tensor]) -> dict[str, float]:
        judged.load_state_dict(averages or family.state_dict())
        if coded is not None:
            assert isinstance(judged, FitsPrior)
            judged.fit_prior(coded, generator=torch.Generator().manual_seed(0))
        samples_NTD = draw_from(judged, SAMPLES, seed=0)
        if not samples_NTD.isfinite().all():
            return {"frechet": math.inf}
        samples_NK = torch.from_numpy(axes.project(samples_NTD.numpy()))
        return {
            "frechet": Moments.of(samples_NK.numpy()).distance(reference),
            FIGURE: close_share(nearest(samples_NK, train_LK).distance_NK[:, 0], apart_M),
        }

    return score


def _apart(windows: WindowSet, place_LK: Tensor) -> Tensor:
    """(M,) distance of training windows to the nearest of another clip; mirror images count as the clip itself."""
    recorded = [name.removesuffix(MIRRORED) for name in windows.clips]
    number = {name: i for i, name in enumerate(recorded)}
    group_L = torch.tensor([number[name] for name in recorded])[windows.clip_N]
    index_M = torch.arange(0, len(windows), -(-len(windows) // HELD_OUT))
    return nearest(place_LK[index_M], place_LK, groups=(group_L[index_M], group_L)).distance_NK[:, 0]


def _projected(axes: PrincipalComponents, windows: WindowSet) -> Tensor:
    """(N, K) coordinates of windows, a block at a time."""
    blocks = windows.batches(_BLOCK)
    return torch.cat([torch.from_numpy(axes.project(block.motion_BTD.numpy())) for block in blocks])
