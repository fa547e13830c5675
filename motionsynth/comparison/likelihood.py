"""Log-density of windows of motion under a run's model, where it has one.

Shapes: B batch, N windows, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.corpus.motions import MotionSet
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Bounds, Scores
from motionsynth.metrics.likelihood import BOUND_SAMPLES, LIKELIHOOD, LOG_DENSITY, LOG_DENSITY_BOUND, log_density_figure
from motionsynth.metrics.record import Metric
from motionsynth.metrics.suite import Figure
from motionsynth.runs.run import Run

if TYPE_CHECKING:
    Density = Callable[[Batch], Tensor]
    """A batch -> (B,) nats a window."""

__all__ = ["log_density_figures"]

_BATCH: Final = 256


def _log_density(density: Density, run: Run, motions: MotionSet, *, device: str) -> npt.NDArray[np.float64]:
    """(N,) ``density`` of each window in nats per number, in the features that the run learnt from.

    Raises:
        ValueError: the windows are of another size than the run's.
    """
    frames, width = motions.features_NTD.shape[1:]
    if (frames, width) != (run.shape.frames, run.shape.features):
        raise ValueError(f"windows of {frames} x {width} do not fit a run of {run.shape.frames} x {run.shape.features}")
    parts = []
    with torch.no_grad():
        for part_BTD in torch.split(run.normaliser().normalise(motions.features_NTD), _BATCH):
            mask_BT = torch.ones(part_BTD.shape[:2], dtype=torch.bool, device=device)
            parts.append(density(Batch(part_BTD.to(device), mask_BT, {})).double().cpu())
    density_N: npt.NDArray[np.float64] = torch.cat(parts).numpy() / (frames * width)
    return density_N


def log_density_figures(
    run: Run,
    reference: MotionSet,
    real: MotionSet,
    *,
    wanted: Collection[str],
    resamples: int,
    seed: int,
    device: str,
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Figures by key of held-out windows, and those of training windows under the same model.

    Args:
        run: whose model.
        reference: held-out windows.
        real: training windows.
        wanted: names of the metrics asked for.
        resamples: resamples for the intervals.
        seed: what they, and draws of latents, are drawn by.
        device: where the model computes.
    """
    family = run.load_family(device)
    held: dict[str, Figure] = {}
    learnt: dict[str, Figure] = {}
    for metric in LIKELIHOOD.metrics:
        if metric.name not in wanted:
            continue
        density, reason = _density(family, run, metric, seed, device)
        key = f"{metric.group}/{metric.name}"
        for figures, motions in ((held, reference), (learnt, real)):
            if density is None:
                figures[key] = Figure(key, metric, None, None, note=reason)
                continue
            density_N = _log_density(density, run, motions, device=device)
            figures[key] = log_density_figure(density_N, motions.takes, metric=metric, resamples=resamples, seed=seed)
    return held, learnt


def _density(family: Family, run: Run, metric: Metric, seed: int, device: str) -> tuple[Density | None, str]:
    """Function that computes a metric for a family, or None and why there is none."""
    name = run.record.family
    if getattr(run.config.family, "condition", ()):
        return None, f"{name} was trained under labels, and has a density of windows given those alone"
    if metric is LOG_DENSITY and isinstance(family, Scores):
        density = family.log_density
        return lambda batch: density(family.project(batch)), ""
    if metric is LOG_DENSITY_BOUND and isinstance(family, Bounds):
        generator = torch.Generator(device).manual_seed(seed)
        bound = family.log_likelihood_bound
        return lambda batch: bound(family.project(batch), BOUND_SAMPLES, generator=generator), ""
    if isinstance(family, Scores):
        return None, f"{name} has a density, which needs no bound"
    if isinstance(family, Bounds):
        return None, f"{name} has a density that can only be bounded: see {LOG_DENSITY_BOUND.name}"
    return None, f"{name} has no density to compute"
