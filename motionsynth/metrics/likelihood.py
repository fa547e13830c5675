"""The figures that no set of windows tells: how probable a model finds held-out motion.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from motionsynth.metrics.record import SIGNED, Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.resampling import Takes, interval
from motionsynth.metrics.suite import Figure

__all__ = ["BOUND_SAMPLES", "LIKELIHOOD", "LOG_DENSITY", "LOG_DENSITY_BOUND", "log_density_figure"]

BOUND_SAMPLES: Final = 32
"""Draws of latents by which a density is bounded that has no closed form."""

LOG_DENSITY: Final = Metric(
    name="log_density",
    group="memorisation",
    unit="nats/number",
    better="higher",
    summary="Mean over held-out windows of log p(x) / (T D), x in normalised features, where the family has a density; "
    "the row of real motion is that of training windows: what it is higher by was learnt by heart.",
    reference="Theis, van den Oord & Bethge, A Note on the Evaluation of Generative Models, 2016",
    bounds=SIGNED,
)

LOG_DENSITY_BOUND: Final = Metric(
    name="log_density_bound",
    group="memorisation",
    unit="nats/number",
    better="higher",
    summary=f"As log_density, for families whose density can only be bounded: log p(x) / (T D) is at least this, by "
    f"importance weights of {BOUND_SAMPLES} draws of the encoder. The gap is not known, and differs between models.",
    reference="Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2016",
    bounds=SIGNED,
)


def log_density_figure(
    density_N: npt.NDArray[np.float64],
    takes: Sequence[str],
    *,
    metric: Metric = LOG_DENSITY,
    resamples: int = 0,
    seed: int = 0,
) -> Figure:
    """Mean of log-densities, with its interval by take.

    Args:
        density_N: (N,) log-density of each window in nats per number.
        takes: N names of the take of each.
        metric: what they are: densities or bounds.
        resamples: resamples for the interval; none where 0.
        seed: what they are drawn by.
    """
    key = f"{metric.group}/{metric.name}"
    if not np.isfinite(density_N).all():
        bad = int((~np.isfinite(density_N)).sum())
        return Figure(key, metric, None, None, note=f"{bad} of {len(density_N)} windows have no finite density")
    value = float(density_N.mean())
    if not resamples:
        return Figure(key, metric, None, value)
    drawn = Takes.of(np.unique(np.asarray(takes), return_inverse=True)[1])
    if len(drawn) < 2:
        return Figure(key, metric, None, value, note="no interval: all windows are of one take")
    rounds = (np.random.default_rng((seed, number)) for number in range(resamples))
    found = interval(value, [float(density_N[drawn.draw("takes", rng)].mean()) for rng in rounds], SIGNED)
    return Figure(key, metric, None, value, found.low, found.high)


def _without_a_model(sets: Sets, space: str | None) -> Mapping[str, float]:
    raise UndefinedError("only a run has a model whose density can be asked for")


LIKELIHOOD: Final = Measure((LOG_DENSITY, LOG_DENSITY_BOUND), _without_a_model, "takes")
"""Chosen among the measures, and computed by whoever has the model."""
