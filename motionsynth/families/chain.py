"""A hidden Markov chain: forwards, backwards and the M step, as hmmlearn does them, and paths drawn from it.

Shapes: N paths, T frames, S states, M frames of all sequences, E coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Expected", "draw_paths", "expect", "log_likelihoods", "maximised", "mean_stay"]

Array = npt.NDArray[np.float64]


class Expected(NamedTuple):
    """Result of the E step for some sequences."""

    log_likelihood: float
    start_S: Tensor
    """Expected number of sequences that begin in each state."""
    transition_SS: Tensor
    """Expected number of moves from one state to another."""
    share_MS: Tensor
    """Posterior of the states at each frame."""


def expect(start_S: Tensor, transition_SS: Tensor, emission_MS: Tensor, lengths: list[int]) -> Expected:
    """E step over sequences that lie end to end: Baum's forward and backward recursions, in the kernels of hmmlearn.

    References:
        Baum et al., A Maximization Technique Occurring in the Statistical Analysis of Probabilistic Functions of
        Markov Chains, 1970; Rabiner, A Tutorial on Hidden Markov Models, 1989, for the scaling.

    Args:
        start_S: float64 probabilities of the first state.
        transition_SS: rows of probabilities.
        emission_MS: log-density of each frame in each state, in nats.
        lengths: of the sequences; they add up to M.
    """
    chain = _chain(start_S, transition_SS)
    sums, log_likelihood = chain._do_estep(emission_MS.cpu().numpy(), lengths)
    shares = np.concatenate(sums["shares"]) if sums["shares"] else np.zeros((0, len(start_S)))
    found = [torch.from_numpy(value).to(emission_MS) for value in (sums["start"], sums["trans"], shares)]
    return Expected(float(log_likelihood), *found)


def log_likelihoods(start_S: Tensor, transition_SS: Tensor, emission_MS: Tensor, lengths: list[int]) -> Tensor:
    """(B,) log-density of each sequence, summed over all paths; arguments as for ``expect``."""
    chain = _chain(start_S, transition_SS)
    parts = np.split(emission_MS.cpu().numpy(), np.cumsum(lengths)[:-1])
    return torch.tensor([chain.forward(part) for part in parts], dtype=torch.float64).to(emission_MS)


def maximised(parameters: Sequence[Tensor], statistics: Mapping[str, Tensor]) -> list[Tensor]:
    """M step of a Gaussian HMM: start, transitions, means and covariance of highest expected log-likelihood.

    What belongs to a state without frames is not a number.

    Args:
        parameters: the same of before, whose zeros stay.
        statistics: ``start_S``, ``transition_SS``, ``mass_S``, ``sum_SE``, and ``second``: sums of ``x x^T``, or of
            ``x^2`` where covariances are diagonal.
    """
    from hmmlearn.hmm import GaussianHMM

    start_S, transition_SS, mean_SE, covariance = (value.cpu().numpy() for value in parameters)
    sums = {name: value.cpu().numpy() for name, value in statistics.items()}
    kind, second = ("full", "obs*obs.T") if covariance.ndim == 3 else ("diag", "obs**2")
    # without its priors, which are not flat
    model = GaussianHMM(len(start_S), kind, covars_prior=0.0, covars_weight=1.0)
    model.startprob_, model.transmat_, model.means_, model._covars_ = start_S, transition_SS, mean_SE, covariance
    model.n_features = mean_SE.shape[1]
    named = {"start": "start_S", "trans": "transition_SS", "post": "mass_S", "obs": "sum_SE", second: "second"}
    with np.errstate(all="ignore"):
        model._do_mstep({theirs: sums[ours] for theirs, ours in named.items()})
    learnt = (model.startprob_, model.transmat_, model.means_, model._covars_)
    return [torch.from_numpy(value).to(parameters[0]) for value in learnt]


def mean_stay(transition_SS: Tensor, mass_S: Tensor) -> float:
    """Frames that the chain stays in a state once it is there, on average over frames.

    Args:
        transition_SS: rows of probabilities.
        mass_S: expected number of frames in each state.
    """
    return float(1 / (1 - (mass_S / mass_S.sum() * transition_SS.diagonal()).sum()).clamp(min=1e-9))


def draw_paths(
    start_S: Tensor, transition_SS: Tensor, count: int, frames: int, *, generator: torch.Generator
) -> Tensor:
    """(N, T) int64 states, by the inverse of the cumulative distribution; each follows from the one before."""
    mark_TN1 = torch.rand(frames, count, 1, generator=generator, device=generator.device, dtype=torch.float64)
    move_SS = transition_SS.cumsum(1)
    row_NS = start_S.cumsum(0).expand(count, -1)
    path = []
    for mark_N1 in mark_TN1:
        # a sum that rounding keeps below 1 must not lead beyond the last state
        state_N1 = torch.searchsorted(row_NS.contiguous(), mark_N1 * row_NS[:, -1:], right=True)
        path.append(state_N1[:, 0].clamp(max=len(start_S) - 1))
        row_NS = move_SS[path[-1]]
    return torch.stack(path, 1)


def _chain(start_S: Tensor, transition_SS: Tensor) -> Any:
    chain = _chain_class()(len(start_S), implementation="scaling")
    chain.startprob_, chain.transmat_ = start_S.cpu().numpy(), transition_SS.cpu().numpy()
    return chain


@cache
def _chain_class() -> type[Any]:
    """Made when first needed: models are drawn from without hmmlearn."""
    from hmmlearn import _hmmc
    from hmmlearn.base import BaseHMM

    class Chain(BaseHMM):  # type: ignore[misc]
        """A chain whose observations are the log-densities of the frames, which are computed for many at once.

        The scaled recursion is tens of times faster than the one in logarithms, which steps in where a sequence is so
        improbable that the former runs out of numbers.
        """

        def _compute_likelihood(self, emission_TS: Array) -> Array:
            return np.asarray(np.exp(emission_TS - emission_TS.max(1, keepdims=True)), np.float64)

        def _compute_log_likelihood(self, emission_TS: Array) -> Array:
            return emission_TS

        def forward(self, emission_TS: Array) -> float:
            """Log-density of one sequence."""
            try:
                scaled = _hmmc.forward_scaling(self.startprob_, self.transmat_, self._compute_likelihood(emission_TS))
            except (ValueError, RuntimeError):
                with np.errstate(divide="ignore"):
                    return float(_hmmc.forward_log(self.startprob_, self.transmat_, emission_TS)[0])
            return float(scaled[0] + emission_TS.max(1).sum())

        def _fit_scaling(self, emission_TS: Array) -> Any:
            try:
                lattice, log_likelihood, *rest = super()._fit_scaling(emission_TS)
            except (ValueError, RuntimeError):
                self.implementation = "log"
                return self._fit_log(emission_TS)
            return lattice, log_likelihood + emission_TS.max(1).sum(), *rest

        def _initialize_sufficient_statistics(self) -> dict[str, Any]:
            return {**super()._initialize_sufficient_statistics(), "shares": []}

        def _accumulate_sufficient_statistics(
            self,
            stats: dict[str, Any],
            X: Array,
            lattice: Array,
            posteriors: Array,
            fwdlattice: Array,
            bwdlattice: Array,
        ) -> None:
            super()._accumulate_sufficient_statistics(stats, X, lattice, posteriors, fwdlattice, bwdlattice)
            stats["shares"].append(posteriors)
            self.implementation = "scaling"

    return Chain
