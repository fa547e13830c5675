"""Hidden Markov model with Gaussian frames: densities of windows, and draws.

Shapes: B batch, N samples, T frames, D features, M frames of all sequences, E axes, S states, O orders of differences.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import Family
from motionsynth.families.chain import draw_paths, log_likelihoods
from motionsynth.families.gaussians import coloured, fixed, log_densities, variances
from motionsynth.families.trajectory import normal_equations, solve

__all__ = ["Frames", "GaussianHMM"]


class Frames(NamedTuple):
    """The frames of a batch that are there, end to end."""

    y_ME: Tensor
    """Their coordinates along the axes."""
    off_M: Tensor
    """Squared distance of each to the span of the axes."""
    lengths: list[int]


class GaussianHMM(Family):
    """``q(x) = sum_s pi_s1 prod_t A_st-1,st N(P x_t | mu_st, S_st) N(x_t - P^T P x_t | 0, sigma^2 I)``.

    Before it has learnt it is N(0, I).

    References:
        Rabiner, A Tutorial on Hidden Markov Models, 1989; Zen, Tokuda & Kitamura, Reformulating the HMM as a Trajectory
        Model, 2007.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
        states: S.
        axes: E, orthonormal rows of P; the features where those are fewer.
        covariance: whether the axes are correlated in a state.
        differences: O, orders of differences that trajectories follow besides the frames.
    """

    def __init__(
        self,
        config: Any,
        shape: MotionShape,
        states: int,
        axes: int,
        *,
        covariance: Literal["full", "diag"],
        differences: int,
    ) -> None:
        super().__init__(config, shape)
        axes = min(axes, shape.features)
        identity = torch.eye(axes) if covariance == "full" else torch.ones(axes)
        self.centre_D = fixed(torch.zeros(shape.features))
        self.axes_ED = fixed(torch.eye(axes, shape.features))
        self.noise = fixed(torch.ones(()))
        self.start_S = fixed(torch.full((states,), 1 / states))
        self.transition_SS = fixed(torch.full((states, states), 1 / states))
        self.mean_SE = fixed(torch.zeros(states, axes))
        self.covariance = fixed(identity.repeat(states, *[1] * identity.ndim))
        self.motion_mean_SOE = fixed(torch.zeros(states, differences, axes))
        self.motion_variance_SOE = fixed(torch.ones(states, differences, axes))

    @property
    def longest(self) -> None:
        """Any number of frames: the chain goes on."""

    def log_density(self, batch: Batch) -> Tensor:
        """(B,) float64 log q of the frames that are there, in nats; see ``Scores``."""
        frames = self.frames(batch)
        return log_likelihoods(self.start_S, self.transition_SS, self.emission(frames), frames.lengths)

    def frames(self, batch: Batch) -> Frames:
        """The frames of a batch, along the axes and beyond them."""
        x_MD = batch.motion_BTD[batch.mask_BT].double() - self.centre_D
        y_ME = x_MD @ self.axes_ED.T
        off_M = (x_MD.square().sum(1) - y_ME.square().sum(1)).clamp(min=0)
        return Frames(y_ME, off_M, batch.mask_BT.sum(1).tolist())

    def emission(self, frames: Frames) -> Tensor:
        """(M, S) log-density of each frame in each state, all features counted, in nats."""
        rest = self.shape.features - len(self.axes_ED)
        off_M = rest * (2 * math.pi * self.noise).log() + frames.off_M / self.noise
        return log_densities(frames.y_ME, self.mean_SE, self.covariance) - 0.5 * off_M[:, None]

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, T) paths through the states, of the length trained on."""
        return self._paths(count, self.shape.frames, generator).double()

    def trajectories(self, count: int, frames: int, *, noisy: bool, generator: torch.Generator) -> Tensor:
        """(N, T, D) draws: frames by themselves, or, with ``differences``, trajectories that follow these too.

        Args:
            count: N.
            frames: T, any number.
            noisy: whether they vary around what is most likely given the states.
            generator: source of randomness, on the device.
        """
        # a clip that is shorter than the windows is the beginning of one: trajectories depend on what follows
        path_NT = self._paths(count, max(frames, self.shape.frames), generator)
        mean_NTE = self.mean_SE[path_NT]
        noise_NTE = None
        if noisy:
            noise_NTE = torch.randn(mean_NTE.shape, generator=generator, device=generator.device, dtype=torch.float64)
        if not self.motion_mean_SOE.shape[1]:
            x_NTD = mean_NTE @ self.axes_ED + self.centre_D
            if noise_NTE is not None:
                x_NTD = x_NTD + self._white(path_NT, noise_NTE, generator)
            return x_NTD[:, :frames].float()
        mean_SOE = torch.cat((self.mean_SE[:, None], self.motion_mean_SOE), 1)
        precision_SOE = 1 / torch.cat((variances(self.covariance)[:, None], self.motion_variance_SOE), 1)
        y_NTE = solve(normal_equations(mean_SOE[path_NT], precision_SOE[path_NT]), noise_NTE)
        return (y_NTE @ self.axes_ED + self.centre_D)[:, :frames].float()

    def _paths(self, count: int, frames: int, generator: torch.Generator) -> Tensor:
        return draw_paths(self.start_S, self.transition_SS, count, frames, generator=generator)

    def _white(self, path_NT: Tensor, noise_NTE: Tensor, generator: torch.Generator) -> Tensor:
        """(N, T, D) noise of each frame by itself, along the axes and beyond them."""
        shape = (*path_NT.shape, self.shape.features)
        off_NTD = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        off_NTD = off_NTD - off_NTD @ self.axes_ED.T @ self.axes_ED
        return coloured(noise_NTE, self.covariance, path_NT) @ self.axes_ED + self.noise.sqrt() * off_NTD
