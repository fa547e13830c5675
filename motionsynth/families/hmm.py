"""Hidden Markov model of frames, learnt by expectation maximisation over time.

Shapes: N samples, T frames, D features, M frames of all sequences, E axes, S states, O orders of differences.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import EMConfig, Phase
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.chain import expect, maximised, mean_stay
from motionsynth.families.gaussian_hmm import Frames, GaussianHMM
from motionsynth.families.gaussians import floored, principal_axes, second_moments
from motionsynth.families.kmeans import kmeans
from motionsynth.families.trajectory import difference_sums

__all__ = ["HMM"]

_EMPTY = 1e-8
"""A state answers for fewer frames than this: it is empty."""
_STILL = 1e-4
"""Smallest variance of differences, in that of frames."""


class HMM(GaussianHMM):
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

    SHOWS: ClassVar[tuple[str, ...]] = ("mean", "sample")
    """Both; ``config.sample_noise`` chooses the default."""

    class Config(EMConfig):
        """Settings of the hidden Markov model."""

        PHASES: ClassVar[tuple[str, ...]] = ()

        name: Literal["hmm"] = "hmm"
        states: int = Field(32, ge=1)
        """S."""
        axes: int = Field(32, ge=1)
        """E, principal axes of frames; the features where those are fewer."""
        covariance: Literal["full", "diag"] = "full"
        """Covariance of the axes in a state."""
        differences: Literal[0, 1, 2] = 2
        """Orders of differences that drawn trajectories follow besides the frames."""
        min_noise: float = Field(0.05, gt=0)
        """Smallest standard deviation of frames in a state along any axis, and beyond them; in normalised units."""
        sample_noise: bool = False
        """Noise around the most likely trajectory in draws, ``sample`` above; joints then tremble."""
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
        super().__init__(
            config, shape, config.states, config.axes, covariance=config.covariance, differences=config.differences
        )
        self.config = config
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases of gradient descent: none."""
        return ()

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        """(N, T, D) draws of any length; see ``Family.sample``."""
        shows = ("sample", "mean") if self.config.sample_noise else ("mean", "sample")
        self.refuse_draw(how, shows=shows)
        noisy = (how.show or shows[0]) == "sample"
        return self.trajectories(count, self.sample_frames(how.frames), noisy=noisy, generator=generator)

    # learning: a pass for the axes, one for k-means, then expectation maximisation

    @property
    def _stage(self) -> Literal["axes", "means", "em"]:
        passes = int(self.passes)
        return "axes" if passes == 0 else "means" if passes == 1 else "em"

    @property
    def learnt(self) -> bool:
        """True after an M step; see ``LearnsByEM``."""
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
        frames = self.frames(batch)
        if self._stage == "means":
            room = self.config.start_frames - len(statistics["point_ME"])
            statistics["point_ME"] = torch.cat((statistics["point_ME"], frames.y_ME[:room]))
            return
        self._add_shares(batch, frames, statistics)

    def _add_shares(self, batch: Batch, frames: Frames, statistics: dict[str, Tensor]) -> None:
        expected = expect(self.start_S, self.transition_SS, self.emission(frames), frames.lengths)
        share_MS = expected.share_MS
        statistics["log_likelihood"] += expected.log_likelihood
        statistics["start_S"] += expected.start_S
        statistics["transition_SS"] += expected.transition_SS
        statistics["mass_S"] += share_MS.sum(0)
        statistics["sum_SE"] += share_MS.T @ frames.y_ME
        statistics["second"] += second_moments(frames.y_ME, share_MS, self.covariance)
        for name, value in difference_sums(frames.y_ME, share_MS, batch.mask_BT, self.config.differences).items():
            statistics[f"motion_{name}"] += value

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
        axes_ED, inside, total = principal_axes(covariance_DD, axes)
        self.axes_ED.copy_(axes_ED)
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
            "frames_a_stay": mean_stay(self.transition_SS, mass_S),
        }
