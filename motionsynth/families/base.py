"""What a family is: networks and phases, or a model that learns by expectation maximisation.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from motionsynth.corpus.windows import Batch

__all__ = [
    "AdamConfig",
    "EMConfig",
    "Encodes",
    "Family",
    "FamilyConfig",
    "LearnsByEM",
    "Loss",
    "MotionShape",
    "Phase",
    "Reconstructs",
    "Scores",
    "StepContext",
]


class StepContext(NamedTuple):
    """What a loss may know of the step it is computed in."""

    step: int
    """Optimiser steps taken before this one, from 0."""
    progress: float
    """Share of the budget that is spent, 0 to 1; warm-ups read it."""
    generator: torch.Generator
    """The only source of randomness, on the device of the batch."""


class Loss(NamedTuple):
    """What a phase minimises."""

    total: Tensor
    """Scalar; the only thing differentiated."""
    terms: dict[str, Tensor]
    """Scalars to log, unweighted and detached."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One move of an alternation: a loss, and the networks that learn from it while all others are frozen."""

    name: str
    """Key of its optimiser in the configuration and prefix of its terms in the logs."""
    loss: Callable[[Batch, StepContext], Loss]
    trains: tuple[str, ...]
    """Attribute names of the networks that learn."""
    every: int = 1
    """Due at steps that are multiples of it."""


@dataclass(frozen=True, slots=True)
class MotionShape:
    """Size of a window: ``frames`` T and ``features`` D, and the class counts of the labels."""

    frames: int
    features: int
    labels: dict[str, int]


class FrozenConfig(BaseModel):
    """Base of every section of a configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AdamConfig(FrozenConfig):
    """Adam's settings for one phase (Kingma & Ba, 2015)."""

    lr: float = Field(1e-3, gt=0)
    """Step size."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the first and second moments, each in [0, 1)."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay (AdamW)."""
    decay_share: float = Field(0.0, ge=0, le=1)
    """Last share of the budget over which the step size falls linearly to zero."""


class FamilyConfig(FrozenConfig):
    """What every family's ``Config`` has; the fields ``name`` and ``optimise`` are narrowed by each family."""

    name: str
    optimise: dict[str, AdamConfig] = Field(default_factory=dict)

    PHASES: ClassVar[tuple[str, ...]] = ()
    """Names of the phases, in order: the keys that ``optimise`` must have."""
    UNUSED: ClassVar[tuple[str, ...]] = ()
    """Keys of ``train`` that mean nothing to the family: another value than their default is refused."""

    @model_validator(mode="after")
    def _phases_have_optimisers(self) -> Self:
        missing = set(self.PHASES) - set(self.optimise)
        extra = set(self.optimise) - set(self.PHASES)
        if missing or extra:
            wrong = [f"lacks {name!r}" for name in sorted(missing)] + [f"unknown {name!r}" for name in sorted(extra)]
            raise ValueError(
                f"optimise: {', '.join(wrong)}; the phases of {self.name} are {', '.join(self.PHASES) or 'none'}"
            )
        return self


class EMConfig(FamilyConfig):
    """What the ``Config`` of every family has that learns by expectation maximisation."""

    UNUSED: ClassVar[tuple[str, ...]] = ("precision", "compile", "ema_decay", "clip_norm")

    tolerance: float = Field(0.01, ge=0)
    """Training has converged where a pass adds less to the mean log-likelihood of a window, in nats."""

    @property
    def least_passes(self) -> int:
        """Passes until the first M step is made: those that look for a start, and one."""
        return 1

    @property
    def least_windows(self) -> int:
        """Whole windows that it takes to start."""
        return 1

    @property
    def least_windows_key(self) -> str:
        """Key of the configuration that asks for so many."""
        return "family.name"


class Family(nn.Module):
    """A model of windows of motion, told as networks (its children) and phases.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    Config: ClassVar[type[FamilyConfig]]

    def __init__(self, config: Any, shape: MotionShape) -> None:
        super().__init__()
        self.shape = shape

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The moves of one step, in order; none for a family that ``LearnsByEM``."""
        raise NotImplementedError

    def sample(self, count: int, *, generator: torch.Generator, frames: int | None = None) -> Tensor:
        """Draw windows.

        Args:
            count: N.
            generator: source of randomness, on the family's device.
            frames: T; the length trained on where None. Shorter ones are the first frames of a window trained on,
                which is the model's own distribution of them.

        Returns:
            (N, T, D) normalised features.

        Raises:
            ValueError: the family cannot make that many frames.
        """
        raise NotImplementedError

    def sample_frames(self, frames: int | None) -> int:
        """The number of frames to sample: the length trained on where None.

        Raises:
            ValueError: it is not between 1 and the length trained on.
        """
        if frames is None:
            return self.shape.frames
        if not 1 <= frames <= self.shape.frames:
            raise ValueError(f"this model makes 1 to {self.shape.frames} frames, not {frames}")
        return frames

    def sample_latent(self, count: int, *, generator: torch.Generator) -> Tensor:
        """(N, Z) draws from the prior, for families that have one."""
        raise NotImplementedError


@runtime_checkable
class Encodes(Protocol):
    """Families that map motion to latents."""

    def encode(self, batch: Batch) -> Tensor:
        """(B, Z) latent means."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Families that map motion to motion through their latents."""

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) normalised features."""
        ...


@runtime_checkable
class Scores(Protocol):
    """Families that have a density."""

    def log_density(self, batch: Batch) -> Tensor:
        """(B,) float64 log-densities of the frames that are there, in nats, of normalised features."""
        ...


@runtime_checkable
class LearnsByEM(Scores, Protocol):
    """Families that learn by expectation maximisation (Dempster, Laird & Rubin, 1977).

    A pass adds up statistics over batches under the parameters it began with; then new parameters follow from them
    in closed form. The first passes may look for a start instead.
    """

    @property
    def learnt(self) -> bool:
        """Whether at least one M step was made: before it there is no model of the windows."""
        ...

    def new_statistics(self) -> dict[str, Tensor]:
        """What a pass begins with, by name: sums, and so zeros.

        ``windows`` is the number of windows learnt from, and ``log_likelihood`` the sum of their log-densities, in
        nats; the latter is missing from a pass that looks for a start.
        """
        ...

    def accumulate(self, batch: Batch, statistics: dict[str, Tensor]) -> None:
        """E step: add what a batch says, in place. Sums of batches are those of one batch that holds them all."""
        ...

    def maximise(self, statistics: dict[str, Tensor], *, generator: torch.Generator) -> dict[str, float]:
        """M step: the parameters that the statistics of a pass give; never lowers their log-likelihood.

        Returns:
            What is worth a line in the journal, by name.

        Raises:
            ValueError: the windows do not suffice.
        """
        ...
