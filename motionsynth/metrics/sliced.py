"""Sliced Wasserstein distance between sets of windows.

Shapes: N and M windows, E size of an embedding, P projections.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from motionsynth.metrics.record import Measure, Metric, Sets
from motionsynth.metrics.scaling import in_reference_units

__all__ = ["MEASURES", "PROJECTIONS", "SEED", "projections", "sliced_wasserstein", "wasserstein_1"]

PROJECTIONS: Final = 128
SEED: Final = 0
"""Seed of the projections, the same for every set, so that figures of two models differ by the models only."""


def wasserstein_1(x_NP: Tensor, y_MP: Tensor) -> Tensor:
    """Exact Wasserstein-1 distance of each column, ``integral over u in (0, 1) of |F_x^-1(u) - F_y^-1(u)|``.

    Args:
        x_NP: (N, P) samples.
        y_MP: (M, P) samples; M need not be N.

    Returns:
        (P,) in the unit of the samples, float64.

    Raises:
        ValueError: the numbers of columns differ, or a set is empty.
    """
    if x_NP.ndim != 2 or y_MP.ndim != 2 or x_NP.shape[1] != y_MP.shape[1] or not len(x_NP) or not len(y_MP):
        raise ValueError(f"samples of shapes {tuple(x_NP.shape)} and {tuple(y_MP.shape)} do not fit together")
    n, m = len(x_NP), len(y_MP)
    x, y = (_sorted(samples.T) for samples in (x_NP, y_MP))
    if n != m:
        # both quantile functions are constant between the multiples of 1/N and 1/M; in integers, so none falls between
        steps = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
        widths = torch.from_numpy(np.diff(steps) / (n * m)).to(x.device)
        x, y = (v[:, torch.from_numpy(steps[:-1] // other).to(v.device)] for v, other in ((x, m), (y, n)))
        return (x - y).abs().double() @ widths
    return (x - y).abs().mean(-1, dtype=torch.float64)


def _sorted(samples_PN: Tensor) -> Tensor:
    """Rows in rising order; numpy's sort is far quicker on a processor, as it keeps no indices."""
    if samples_PN.is_cuda:
        return samples_PN.sort(-1).values
    return torch.from_numpy(np.sort(samples_PN.numpy(), axis=-1))


def projections(size: int, count: int = PROJECTIONS, seed: int = SEED) -> Tensor:
    """(E, P) random unit vectors, float32."""
    directions = np.random.default_rng(seed).normal(size=(count, size))
    return torch.from_numpy((directions / np.linalg.norm(directions, axis=1, keepdims=True)).T.astype(np.float32))


def sliced_wasserstein(x_NE: Tensor, y_ME: Tensor, directions_EP: Tensor) -> float:
    """Mean over directions of the Wasserstein-1 distance between the projections: ``mean_p W1(<x, p>, <y, p>)``.

    References:
        Bonneel, Rabin, Peyre & Pfister, Sliced and Radon Wasserstein Barycenters of Measures, 2015.

    Args:
        x_NE: (N, E) features.
        y_ME: (M, E) features.
        directions_EP: (E, P) unit vectors, as :func:`projections` gives them.

    Returns:
        At least 0, in the unit of the features.

    Raises:
        ValueError: shapes do not fit one another, or a set is empty.
    """
    directions_EP = directions_EP.to(x_NE)
    return float(wasserstein_1(x_NE @ directions_EP, y_ME @ directions_EP).mean())


def _sliced(sets: Sets, space: str | None) -> dict[str, float]:
    generated_NE, reference_ME = in_reference_units(sets, space or "")
    return {"sliced_wasserstein": sliced_wasserstein(generated_NE, reference_ME, projections(generated_NE.shape[1]))}


MEASURES: Final = (
    Measure(
        (
            Metric(
                "sliced_wasserstein",
                "fidelity",
                "1",
                "lower",
                f"Mean Wasserstein-1 distance over {PROJECTIONS} random directions (seed {SEED}), in units of the "
                "reference's root mean square spread; biased upwards by about 1/sqrt(N), so it is comparable at equal "
                "N only.",
                "Bonneel et al. 2015",
            ),
        ),
        _sliced,
        resample="takes",
        spaces=True,
    ),
)
