"""How probable a model finds held-out motion, where it has a density.

Shapes: B batch, N windows, T frames, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from motionsynth.metrics.record import Metric
from motionsynth.metrics.resampling import Takes, interval
from motionsynth.metrics.suite import Figure

if TYPE_CHECKING:
    from motionsynth.corpus.motions import MotionSet
    from motionsynth.families.base import Family
    from motionsynth.run import Run

__all__ = ["LOG_DENSITY", "log_density", "log_density_figures"]

LOG_DENSITY: Final = Metric(
    name="log_density",
    group="memorisation",
    unit="nats/number",
    better="higher",
    summary="Mean over held-out windows of log p(x) / (T D), x in normalised features, where the family has a density; "
    "the row of real motion is that of training windows: what it is higher by was learnt by heart.",
    reference="Theis, van den Oord & Bethge, A Note on the Evaluation of Generative Models, 2016",
)

_BATCH: Final = 256


def log_density(family: Family, run: Run, motions: MotionSet) -> np.ndarray:
    """(N,) float64 log-density of each window in nats per number, in the features that the run learnt from.

    Raises:
        ValueError: the family has no density, or the windows are of another size.
    """
    import torch

    from motionsynth.corpus.windows import Batch
    from motionsynth.families.base import Scores

    if not isinstance(family, Scores):
        raise ValueError(f"{run.record.family} has no density")  # noqa: TRY004 - not of a wrong type: of a kind without
    shape = motions.features_NTD.shape[1:]
    if tuple(shape) != (run.shape.frames, run.shape.features):
        raise ValueError(f"windows of {tuple(shape)} do not fit a run of {(run.shape.frames, run.shape.features)}")
    device = next(family.parameters()).device
    parts = []
    with torch.no_grad():
        for part_BTD in torch.split(run.normaliser().normalise(motions.features_NTD), _BATCH):
            mask_BT = torch.ones(part_BTD.shape[:2], dtype=torch.bool, device=device)
            parts.append(family.log_density(Batch(part_BTD.to(device), mask_BT, {})).double().cpu())
    density_N: np.ndarray = torch.cat(parts).numpy() / (shape[0] * shape[1])
    return density_N


def log_density_figures(
    run: Run, reference: MotionSet, real: MotionSet, *, resamples: int, seed: int, device: str
) -> tuple[Figure, Figure]:
    """The figure of the held-out windows, and that of training windows under the same model."""
    from motionsynth.families.base import Scores

    family = run.load_family(device)
    key = f"{LOG_DENSITY.group}/{LOG_DENSITY.name}"
    if not isinstance(family, Scores):
        nothing = Figure(key, LOG_DENSITY, None, None, note=f"{run.record.family} has no density to compute")
        return nothing, nothing
    return tuple(  # type: ignore[return-value]
        _figure(key, log_density(family, run, motions), motions.takes, resamples, seed) for motions in (reference, real)
    )


def _figure(key: str, density_N: np.ndarray, takes: tuple[str, ...], resamples: int, seed: int) -> Figure:
    if not np.isfinite(density_N).all():
        bad = int((~np.isfinite(density_N)).sum())
        return Figure(key, LOG_DENSITY, None, None, note=f"{bad} of {len(density_N)} windows have no finite density")
    value = float(density_N.mean())
    drawn = Takes.of(np.unique(np.asarray(takes), return_inverse=True)[1])
    if not resamples:
        return Figure(key, LOG_DENSITY, None, value)
    if len(drawn) < 2:
        return Figure(key, LOG_DENSITY, None, value, note="no interval: all windows are of one take")
    rounds = (np.random.default_rng((seed, number)) for number in range(resamples))
    found = interval(value, [float(density_N[drawn.draw("takes", rng)].mean()) for rng in rounds])
    return Figure(key, LOG_DENSITY, None, value, found.low, found.high)
