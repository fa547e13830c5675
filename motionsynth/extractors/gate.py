"""The realism gate: which windows may count as covering something.

White noise falls into many cells of any classifier, so whoever counts cells must first ask whether a window is motion.

Shapes: N windows, M training windows, K components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Self

import torch
from torch import Tensor

__all__ = ["Gate", "nearest_distance"]

PERCENTILE: Final = 99.0
"""Share of held-out real windows, in percent, that the gate lets pass."""
_BLOCK: Final = 1024

GateSource = Literal["validation", "training, nearest other take"]


class Gate(NamedTuple):
    """Let a window pass where it is no farther from training windows than real windows are that were held out.

    The distance of x is ``sqrt(min_i |c(x) - c(x_i)|^2 + r(x)^2)`` with c the coordinates along the principal axes of
    normalised training windows x_i, and r the length of what the axes do not span: large for noise and jitter, which
    are spread over all directions. The threshold is a percentile of the distances of held-out real windows.
    """

    train_MK: Tensor
    """Coordinates of all training windows."""
    threshold: float
    """Largest distance that passes, in normalised units."""
    percentile: float
    """Of the distances of the real windows below, in percent."""
    source: GateSource
    """Which real windows set the threshold."""

    @classmethod
    def fit(
        cls,
        train: tuple[Tensor, Tensor],
        takes: Sequence[str],
        validation: tuple[Tensor, Tensor] | None,
        percentile: float = PERCENTILE,
    ) -> Self | None:
        """Set the threshold.

        Args:
            train: (M, K) coordinates and (M,) remainders of the training windows.
            takes: the take of each.
            validation: the same of the validation windows. Where None, training windows stand in for them, each
                measured against the other takes; their remainders are a little small, as the axes were fitted to them.
            percentile: share of the real windows that pass, in percent.

        Returns:
            The gate; None where there is no validation window and only one take: nothing tells then how far apart real
            windows are.
        """
        train_MK, rest_M = train
        source: GateSource = "validation"
        if validation is not None:
            distance = _distance(nearest_distance(validation[0], train_MK), validation[1])
        elif len(set(takes)) > 1:
            source = "training, nearest other take"
            code = {take: number for number, take in enumerate(dict.fromkeys(takes))}
            take_M = torch.tensor([code[take] for take in takes])
            distance = _distance(nearest_distance(train_MK, train_MK, take_M, take_M), rest_M)
        else:
            return None
        threshold = float(torch.quantile(distance.double(), percentile / 100))
        return cls(train_MK, threshold, percentile, source)

    def distance(self, coordinates_NK: Tensor, rest_N: Tensor) -> Tensor:
        """(N,) distance to the nearest training window, from coordinates and remainders."""
        return _distance(nearest_distance(coordinates_NK, self.train_MK.to(coordinates_NK)), rest_N)

    def passes(self, coordinates_NK: Tensor, rest_N: Tensor) -> Tensor:
        """(N,) bool, whether each window is near enough."""
        return self.distance(coordinates_NK, rest_N) <= self.threshold

    def to(self, device: torch.device | str) -> Self:
        """The same gate on another device."""
        return self._replace(train_MK=self.train_MK.to(device))


def nearest_distance(
    points_NK: Tensor, others_MK: Tensor, take_N: Tensor | None = None, take_M: Tensor | None = None
) -> Tensor:
    """(N,) Euclidean distance from each point to the nearest of the others; of another take where takes are given."""
    nearest = []
    for start in range(0, len(points_NK), _BLOCK):
        distance_BM = torch.cdist(points_NK[start : start + _BLOCK], others_MK)
        if take_N is not None and take_M is not None:
            distance_BM.masked_fill_(take_N[start : start + _BLOCK, None] == take_M, torch.inf)
        nearest.append(distance_BM.amin(1))
    return torch.cat(nearest) if nearest else points_NK.new_zeros(0)


def _distance(along_N: Tensor, rest_N: Tensor) -> Tensor:
    return (along_N.square() + rest_N.square()).sqrt()
