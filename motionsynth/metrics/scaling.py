"""One unit of length for every feature space: the spread of the reference in it.

Shapes: N generated windows, M reference windows, E size of an embedding.
"""

from __future__ import annotations

from torch import Tensor

from motionsynth.metrics.record import Sets, UndefinedError

__all__ = ["in_reference_units"]


def in_reference_units(sets: Sets, space: str) -> tuple[Tensor, Tensor]:
    """``(x - mean) / sqrt(tr(S) / E)`` with the mean and covariance S of the reference, for both sets.

    One number scales all dimensions: spaces of different scale become comparable, and the shape of the space stays.

    Args:
        sets: what is compared.
        space: name of a feature space of both.

    Returns:
        (N, E) and (M, E) float32.

    Raises:
        UndefinedError: all windows of the reference are one point of the space.
    """
    generated_NE, reference_ME = sets.generated.embeddings[space], sets.reference.embeddings[space]
    exact = reference_ME.double()
    mean_E = exact.mean(0)
    unit = (exact - mean_E).square().mean().sqrt()
    if not unit > 1e-12 * max(float(mean_E.abs().max()), 1e-300):
        raise UndefinedError("all windows of the reference are one point of the space, which leaves it without a unit")
    return ((generated_NE - mean_E) / unit).float(), ((exact - mean_E) / unit).float()
