"""The realism gate: which windows may count as covering something.

White noise falls into most cells of any classifier, so whoever counts cells must first ask whether a window is motion.

Shapes: N windows, M training windows, K components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Self

import torch
from torch import Tensor

from motionsynth.metrics.neighbours import nearest

__all__ = ["Gate"]

PERCENTILE: Final = 99.0
"""Share of held-out real windows, in percent, that the gate lets pass. On captured motion 95 shut out whole cells whose
takes differ much, running among them; 99 shuts out none, and noise is far beyond either."""
NEIGHBOURS: Final = 5
"""Nearest training windows that tell how far apart takes are there."""

GateSource = Literal["validation", "training, nearest other take"]


class Gate(NamedTuple):
    """Let a window pass where it is no farther from training windows, for takes of its kind, than held-out real ones.

    The distance of x is ``d(x) = sqrt(min_i |c(x) - c(x_i)|^2 + r(x)^2)`` with c the coordinates along the principal
    axes of normalised training windows x_i, and r the length of what the axes do not span: large for noise and jitter,
    which are spread over all directions. It is compared with the distances that takes of this kind have between them:
    with ``d_i``, the same distance of training window i to the nearest one of another take, averaged over the five
    training windows nearest to x. So x passes where ``d(x) <= t mean d_i``, and t is a percentile of that ratio among
    held-out real windows. One distance for all would shut out running, whose takes lie far apart, and let near the
    mean pose much pass that is no motion.

    What is smooth passes: a blurred window, and the mean window too, which as the centre of everything is close to
    something; but all of its copies are in one cell. So does noise that is faint (a tenth of a standard deviation) on
    the mean window, which the judge spreads over a few cells. It is a gate against noise and mixtures, not against
    blur.
    """

    train_MK: Tensor
    """Coordinates of all training windows."""
    apart_M: Tensor
    """Distance of each to the nearest of another take, in normalised units."""
    threshold: float
    """Largest ratio that passes."""
    percentile: float
    """Percentile of the ratios of the real windows below, in percent."""
    source: GateSource
    """Real windows that set the threshold."""

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
            The gate; None where there is only one take: nothing tells then how far apart takes are.
        """
        if len(set(takes)) < 2:
            return None
        code = {take: number for number, take in enumerate(dict.fromkeys(takes))}
        take_M = torch.tensor([code[take] for take in takes])
        train_MK, rest_M = train
        nearest_M = nearest(train_MK, train_MK, groups=(take_M, take_M)).distance_NK[:, 0]
        apart_M = _with_rest(nearest_M, rest_M).float()
        if validation is not None:
            ratio_N = _ratio(*validation, train_MK, apart_M)
        else:
            ratio_N = _ratio(*train, train_MK, apart_M, (take_M, take_M))
        threshold = float(torch.quantile(ratio_N, percentile / 100))
        source: GateSource = "training, nearest other take" if validation is None else "validation"
        return cls(train_MK, apart_M, threshold, percentile, source)

    def ratio(self, coordinates_NK: Tensor, rest_N: Tensor) -> Tensor:
        """(N,) distance to training windows over that between takes there, from coordinates and remainders."""
        return _ratio(coordinates_NK, rest_N, self.train_MK, self.apart_M)

    def passes(self, coordinates_NK: Tensor, rest_N: Tensor) -> Tensor:
        """(N,) bool, whether each window is near enough."""
        return self.ratio(coordinates_NK, rest_N) <= self.threshold

    def to(self, device: torch.device | str) -> Self:
        """The same gate on another device."""
        return self._replace(train_MK=self.train_MK.to(device), apart_M=self.apart_M.to(device))


def _ratio(
    coordinates_NK: Tensor,
    rest_N: Tensor,
    train_MK: Tensor,
    apart_M: Tensor,
    takes: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    found = nearest(coordinates_NK, train_MK, min(NEIGHBOURS, len(train_MK)), groups=takes)
    apart_NK = apart_M[found.index_NK.clamp_min(0)].double()
    # where takes are few there may be fewer neighbours than asked for
    scale_N = apart_NK.where(found.index_NK >= 0, torch.nan).nanmean(1)
    return _with_rest(found.distance_NK[:, 0], rest_N) / scale_N.clamp_min(torch.finfo(torch.float64).tiny)


def _with_rest(along_N: Tensor, rest_N: Tensor) -> Tensor:
    return (along_N.square() + rest_N.double().square()).sqrt()
