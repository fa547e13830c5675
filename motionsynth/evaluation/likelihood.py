"""How probable a run's model finds windows of motion, where it has a density.

Shapes: B batch, N windows, T frames, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from motionsynth.metrics.likelihood import LOG_DENSITY, log_density_figure
from motionsynth.metrics.suite import Figure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from motionsynth.corpus.motions import MotionSet
    from motionsynth.families.base import Family
    from motionsynth.run import Run

__all__ = ["log_density", "log_density_figures"]

_BATCH: Final = 256


def log_density(family: Family, run: Run, motions: MotionSet) -> npt.NDArray[np.float64]:
    """(N,) log-density of each window in nats per number, in the features that the run learnt from.

    Raises:
        ValueError: the family has no density, or the windows are of another size.
    """
    import torch

    from motionsynth.corpus.windows import Batch
    from motionsynth.families.base import Scores

    if not isinstance(family, Scores):
        raise ValueError(f"{run.record.family} has no density")  # noqa: TRY004 - no wrong type, but a kind without one
    frames, width = motions.features_NTD.shape[1:]
    if (frames, width) != (run.shape.frames, run.shape.features):
        raise ValueError(f"windows of {frames} x {width} do not fit a run of {run.shape.frames} x {run.shape.features}")
    device = next(family.parameters()).device
    parts = []
    with torch.no_grad():
        for part_BTD in torch.split(run.normaliser().normalise(motions.features_NTD), _BATCH):
            mask_BT = torch.ones(part_BTD.shape[:2], dtype=torch.bool, device=device)
            parts.append(family.log_density(Batch(part_BTD.to(device), mask_BT, {})).double().cpu())
    density_N: npt.NDArray[np.float64] = torch.cat(parts).numpy() / (frames * width)
    return density_N


def log_density_figures(
    run: Run, reference: MotionSet, real: MotionSet, *, resamples: int, seed: int, device: str
) -> tuple[Figure, Figure]:
    """The figure of held-out windows, and that of training windows under the same model."""
    from motionsynth.families.base import Scores

    family = run.load_family(device)
    if not isinstance(family, Scores):
        key = f"{LOG_DENSITY.group}/{LOG_DENSITY.name}"
        nothing = Figure(key, LOG_DENSITY, None, None, note=f"{run.record.family} has no density to compute")
        return nothing, nothing
    held, learnt = (
        log_density_figure(log_density(family, run, motions), motions.takes, resamples=resamples, seed=seed)
        for motions in (reference, real)
    )
    return held, learnt
