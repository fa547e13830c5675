"""Hidden Markov model of frames, learnt by expectation maximisation over time.

Shapes: B batch, N samples, T frames, D features, M frames of all sequences, E axes, S states, O orders of differences.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from motionsynth.corpus.windows import Batch
from motionsynth.families.base import Draw, EMConfig, Family, MotionShape, Phase
from motionsynth.families.chain import expect, log_likelihoods, maximised
from motionsynth.families.gaussians import coloured, floored, log_densities, second_moments, variances
from motionsynth.families.kmeans import kmeans
from motionsynth.families.trajectory import differences, normal_equations, solve

__all__ = ["HMM"]

_EMPTY = 1e-8
"""A state answers for fewer frames than this: it is empty."""
_STILL = 1e-4
"""Smallest variance of differences, in that of frames."""


class _Frames(NamedTuple):
    """The frames of a batch that are there, end to end."""

    y_ME: Tensor
    """Their coordinates along the axes."""
    off_M: Tensor
    """Squared distance of each to the span of the axes."""
    lengths: list[int]


class HMM(Family):
    """``q(x) = sum_s pi_s1 prod_t A_st-1,st N(P x_t | mu_st, S_st) N(x_t - P^T P x_t | 0, sigma^2 I)``.

    ``P`` has E orthonormal rows, the leading principal axes of frames; what they leave out is white noise, as in
    probabilistic PCA. So it is a density of all D features of the frames that are there, and exact. Padded frames are
    not there: a window is a sequence of its own length. hmmlearn learns it: Baum's recursions and its M step.

    Frames drawn from states one by one shake. With ``differences`` the posteriors of the E step also give the mean and
    variance of frames' differences in each state, and what is drawn is the trajectory of highest density under frames
    and differences given the states (``mean``), or a draw from the Gaussian around it (``sample``), in which axes are
    independent. The density above is that of frames alone, whatever ``differences`` is; with 0 ``sample`` follows it.

    An empty state keeps its place; the journal counts them. No variance falls below ``min_noise`` squared: the M step
    is the maximum under that bound.

    References:
        Rabiner, A Tutorial on Hidden Markov Models, 1989; Tokuda et al., Speech Parameter Generation Algorithms for
        HMM-Based Speech Synthesis, 2000; Zen, Tokuda & Kitamura, Reformulating the HMM as a Trajectory Model, 2007.
    """

    passes: Tensor

    class Config(EMConfig):
        """Settings of the hidden Markov model."""

        PHASES: ClassVar[tuple[str, ...]] = ()

        name: Literal["hmm"] = "hmm"
        states: int = Field(32, ge=1)
        """S."""
        axes: int = Field(32, ge=1)
        """E, principal axes of frames; the features where those are fewer."""
        covariance: Literal["full", "diag"] = "full"
        """Whether the axes are correlated in a state."""
        differences: Literal[0, 1, 2] = 2
        """Orders of differences that drawn trajectories follow besides the frames."""
        min_noise: float = Field(0.05, gt=0)
        """Smallest standard deviation of frames in a state along any axis, and beyond them; in normalised units."""
        sample_noise: bool = False
        """Whether what is drawn varies around the most likely trajectory, ``sample`` above; joints then tremble."""
        start_frames: int = Field(32768, ge=1)
        """Frames that k-means looks at, at most; it is where the means start."""

        @property
        def least_passes(self) -> int:
            """One for the axes, one for k-means, and one M step."""
            return 3

        @property
        def alone(self) -> str:
            """hmmlearn holds all of it."""
            return "hmmlearn learns it, in one process on the CPU"

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        axes, states = min(config.axes, shape.features), config.states
        identity = torch.eye(axes) if config.covariance == "full" else torch.ones(axes)
        # before it has learnt it is N(0, I)
        self.centre_D = _fixed(torch.zeros(shape.features))
        self.axes_ED = _fixed(torch.eye(axes, shape.features))
        self.noise = _fixed(torch.ones(()))
        self.start_S = _fixed(torch.full((states,), 1 / states))
        self.transition_SS = _fixed(torch.full((states, states), 1 / states))
        self.mean_SE = _fixed(torch.zeros(states, axes))
        self.covariance = _fixed(identity.repeat(states, *[1] * identity.ndim))
        self.motion_mean_SOE = _fixed(torch.zeros(states, config.differences, axes))
        self.motion_variance_SOE = _fixed(torch.ones(states, config.differences, axes))
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """None: nothing is learnt by gradient."""
        return ()

    @property
    def longest(self) -> None:
        """Any number of frames: the chain goes on."""

    # what the model says of windows

    def log_density(self, batch: Batch) -> Tensor:
        """(B,) float64 log q of the frames that are there, in nats; see ``Scores``."""
        frames = self._frames(batch)
        return log_likelihoods(self.start_S, self.transition_SS, self._emission(frames), frames.lengths)

    def _frames(self, batch: Batch) -> _Frames:
        x_MD = batch.motion_BTD[batch.mask_BT].double() - self.centre_D
        y_ME = x_MD @ self.axes_ED.T
        off_M = (x_MD.square().sum(1) - y_ME.square().sum(1)).clamp(min=0)
        return _Frames(y_ME, off_M, batch.mask_BT.sum(1).tolist())

    def _emission(self, frames: _Frames) -> Tensor:
        """(M, S) log-density of each frame in each state, all features counted."""
        rest = self.shape.features - len(self.axes_ED)
        off_M = rest * (2 * math.pi * self.noise).log() + frames.off_M / self.noise
        return log_densities(frames.y_ME, self.mean_SE, self.covariance) - 0.5 * off_M[:, None]

    # samples

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, T) paths through the states, of the length trained on."""
        return self._paths(count, self.shape.frames, generator).double()

    def _paths(self, count: int, frames: int, generator: torch.Generator) -> Tensor:
        """(N, T) int64, by the inverse of the cumulative distribution; each state follows from the one before."""
        mark_TN1 = torch.rand(frames, count, 1, generator=generator, device=generator.device, dtype=torch.float64)
        start_S, move_SS = self.start_S.cumsum(0), self.transition_SS.cumsum(1)
        row_NS = start_S.expand(count, -1)
        path = []
        for mark_N1 in mark_TN1:
            # a sum that rounding keeps below 1 must not lead beyond the last state
            state_N1 = torch.searchsorted(row_NS.contiguous(), mark_N1 * row_NS[:, -1:], right=True)
            path.append(state_N1[:, 0].clamp(max=len(start_S) - 1))
            row_NS = move_SS[path[-1]]
        return torch.stack(path, 1)

    def sample(self, count: int, *, generator: torch.Generator, how: Draw = Draw()) -> Tensor:
        """(N, T, D) draws of any length; see ``Family.sample``."""
        shows = ("sample", "mean") if self.config.sample_noise else ("mean", "sample")
        self.refuse_draw(how, shows=shows)
        frames = self.sample_frames(how.frames)
        # a clip that is shorter than the windows is the beginning of one: trajectories depend on what follows
        path_NT = self._paths(count, max(frames, self.shape.frames), generator)
        mean_NTE = self.mean_SE[path_NT]
        noise_NTE = None
        if (how.show or shows[0]) == "sample":
            noise_NTE = torch.randn(mean_NTE.shape, generator=generator, device=generator.device, dtype=torch.float64)
        if not self.config.differences:
            x_NTD = mean_NTE @ self.axes_ED + self.centre_D
            if noise_NTE is not None:
                x_NTD = x_NTD + self._white(path_NT, noise_NTE, generator)
            return x_NTD[:, :frames].float()
        mean_SOE = torch.cat((self.mean_SE[:, None], self.motion_mean_SOE), 1)
        precision_SOE = 1 / torch.cat((variances(self.covariance)[:, None], self.motion_variance_SOE), 1)
        y_NTE = solve(normal_equations(mean_SOE[path_NT], precision_SOE[path_NT]), noise_NTE)
        return (y_NTE @ self.axes_ED + self.centre_D)[:, :frames].float()

    def _white(self, path_NT: Tensor, noise_NTE: Tensor, generator: torch.Generator) -> Tensor:
        """(N, T, D) noise of each frame by itself, along the axes and beyond them."""
        shape = (*path_NT.shape, self.shape.features)
        off_NTD = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        off_NTD = off_NTD - off_NTD @ self.axes_ED.T @ self.axes_ED
        return coloured(noise_NTE, self.covariance, path_NT) @ self.axes_ED + self.noise.sqrt() * off_NTD

    # learning: a pass for the axes, one for k-means, then expectation maximisation

    @property
    def _stage(self) -> Literal["axes", "means", "em"]:
        passes = int(self.passes)
        return "axes" if passes == 0 else "means" if passes == 1 else "em"

    @property
    def learnt(self) -> bool:
        """Whether an M step was made; see ``LearnsByEM``."""
        return int(self.passes) > 2

    def new_statistics(self) -> dict[str, Tensor]:
        """Zeros; see ``LearnsByEM``. Sums over the frames that are there."""
        (axes, size), states, orders = self.axes_ED.shape, self.config.states, self.config.differences
        stages: dict[str, dict[str, tuple[int, ...]]] = {
            "axes": {"frames": (), "sum_D": (size,), "product_DD": (size, size)},
            "means": {"point_ME": (0, axes)},
            "em": {
                "log_likelihood": (),
                "start_S": (states,),
                "transition_SS": (states, states),
                "mass_S": (states,),
                "sum_SE": (states, axes),
                "second": tuple(self.covariance.shape),
                "motion_mass_S": (states,),
                "motion_sum_SOE": (states, orders, axes),
                "motion_square_SOE": (states, orders, axes),
            },
        }
        shapes = {"windows": (), **stages[self._stage]}
        device = self.axes_ED.device
        return {name: torch.zeros(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()}

    def accumulate(self, batch: Batch, statistics: dict[str, Tensor]) -> None:
        """E step of a batch; see ``LearnsByEM``."""
        statistics["windows"] += len(batch.motion_BTD)
        if self._stage == "axes":
            x_MD = batch.motion_BTD[batch.mask_BT].double()
            statistics["frames"] += len(x_MD)
            statistics["sum_D"] += x_MD.sum(0)
            statistics["product_DD"] += x_MD.T @ x_MD
            return
        frames = self._frames(batch)
        if self._stage == "means":
            room = self.config.start_frames - len(statistics["point_ME"])
            statistics["point_ME"] = torch.cat((statistics["point_ME"], frames.y_ME[:room]))
            return
        self._add_shares(batch, frames, statistics)

    def _add_shares(self, batch: Batch, frames: _Frames, statistics: dict[str, Tensor]) -> None:
        emission_MS = self._emission(frames)
        expected = expect(self.start_S, self.transition_SS, emission_MS, frames.lengths)
        share_MS = expected.share_MS
        statistics["log_likelihood"] += expected.log_likelihood
        statistics["start_S"] += expected.start_S
        statistics["transition_SS"] += expected.transition_SS
        statistics["mass_S"] += share_MS.sum(0)
        statistics["sum_SE"] += share_MS.T @ frames.y_ME
        statistics["second"] += second_moments(frames.y_ME, share_MS, self.covariance)
        # frames with two neighbours in their own sequence have differences; padding is at the end of windows
        place_BT = batch.mask_BT.new_zeros(batch.mask_BT.shape, dtype=torch.int64)
        place_BT[batch.mask_BT] = torch.arange(len(share_MS), device=place_BT.device)
        inner_I = place_BT[:, 1:-1][batch.mask_BT[:, 2:]]
        moved_IOE = differences(frames.y_ME, inner_I)[:, : self.config.differences]
        share_IS = share_MS[inner_I]
        statistics["motion_mass_S"] += share_IS.sum(0)
        statistics["motion_sum_SOE"] += torch.einsum("is,ioe->soe", share_IS, moved_IOE)
        statistics["motion_square_SOE"] += torch.einsum("is,ioe->soe", share_IS, moved_IOE.square())

    def maximise(self, statistics: dict[str, Tensor], *, generator: torch.Generator) -> dict[str, float]:
        """M step, or a step of the start; see ``LearnsByEM``."""
        if not statistics["windows"]:
            raise ValueError("there is no window to learn from")
        steps = {"axes": self._find_axes, "means": self._find_means, "em": self._fit}
        terms = steps[self._stage](statistics, generator)
        self.passes += 1
        return terms

    def _find_axes(self, statistics: dict[str, Tensor], generator: torch.Generator) -> dict[str, float]:
        """Principal components of frames, and the variance of what they leave out."""
        count, axes = statistics["frames"], len(self.axes_ED)
        self.centre_D.copy_(statistics["sum_D"] / count)
        covariance_DD = statistics["product_DD"] / count - torch.outer(self.centre_D, self.centre_D)
        value_D, vector_DD = torch.linalg.eigh(covariance_DD)
        self.axes_ED.copy_(vector_DD[:, -axes:].T.flip(0))
        total, inside = float(value_D.sum()), float(value_D[-axes:].sum())
        rest = max(1, self.shape.features - axes)
        self.noise.fill_(max((total - inside) / rest, self.config.min_noise**2))
        return {"axes_variance": inside / total if total > 0 else 1.0, "sigma": float(self.noise.sqrt())}

    def _find_means(self, statistics: dict[str, Tensor], generator: torch.Generator) -> dict[str, float]:
        """States of one shape at the centres of k-means, from each of which the chain goes anywhere."""
        point_ME = statistics["point_ME"]
        if len(point_ME) < self.config.states:
            raise ValueError(f"{len(point_ME)} frames cannot start {self.config.states} states: lower family.states")
        clusters = kmeans(point_ME, self.config.states, generator=generator)
        off_ME = point_ME - clusters.centre_KE[clusters.index_M]
        within = second_moments(off_ME, off_ME.new_ones(len(off_ME), 1), self.covariance[:1]) / len(off_ME)
        self.mean_SE.copy_(clusters.centre_KE)
        self.covariance.copy_(floored(within, self.config.min_noise**2).expand_as(self.covariance))
        return {"start_sigma": math.sqrt(clusters.inertia / point_ME.numel())}

    def _fit(self, statistics: dict[str, Tensor], generator: torch.Generator) -> dict[str, float]:
        """The maximum of the expected log-likelihood, by hmmlearn; then the bound, and what is empty as it was."""
        learnt = maximised(
            [self.start_S, self.transition_SS, self.mean_SE, self.covariance],
            {name: statistics[name] for name in ("start_S", "transition_SS", "mass_S", "sum_SE", "second")},
        )
        least, mass_S, moving_S = self.config.min_noise**2, statistics["mass_S"], statistics["motion_mass_S"]
        alive_S, left_S = mass_S > _EMPTY, statistics["transition_SS"].sum(1) > _EMPTY
        self.start_S.copy_(learnt[0])
        self.transition_SS[left_S] = learnt[1][left_S]
        self.mean_SE[alive_S] = learnt[2][alive_S]
        self.covariance[alive_S] = floored(learnt[3][alive_S], least)
        moves_S = moving_S > _EMPTY
        share_SOE = moving_S[moves_S, None, None]
        mean_SOE = statistics["motion_sum_SOE"][moves_S] / share_SOE
        self.motion_mean_SOE[moves_S] = mean_SOE
        square_SOE = statistics["motion_square_SOE"][moves_S] / share_SOE
        # differences are smaller than frames are: their variance is only kept from being nothing
        self.motion_variance_SOE[moves_S] = (square_SOE - mean_SOE.square()).clamp(min=_STILL * least)
        return {
            "smallest_state": float(mass_S[alive_S].min()),
            "empty_states": float((~alive_S).sum()),
            "frames_a_stay": float(
                1 / (1 - (mass_S / mass_S.sum() * self.transition_SS.diagonal()).sum()).clamp(min=1e-9)
            ),
        }


def _fixed(value: Tensor) -> nn.Parameter:
    """A parameter that no gradient moves."""
    return nn.Parameter(value.double(), requires_grad=False)
