"""Families: networks and phases, or a model that learns by expectation maximisation.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from motionsynth.corpus.basis import WindowBasis
from motionsynth.corpus.shape import MapConfig, MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.errors import unknown_word
from motionsynth.families.capabilities import SampleOptions
from motionsynth.settings import FrozenConfig

__all__ = [
    "AdamConfig",
    "EMConfig",
    "Family",
    "FamilyConfig",
    "Loss",
    "Phase",
    "StepContext",
]


class StepContext(NamedTuple):
    """Step in which a loss is computed: its number, randomness and ranks.

    Where several processes train one model, each holds its rows of a joined batch. What is drawn here is then drawn
    for all rows and cut, so that every row gets the numbers that it would get in one process.
    """

    step: int
    """Optimiser steps taken before this one, from 0."""
    progress: float
    """Share of the budget that is spent, 0 to 1; warm-ups read it."""
    generator: torch.Generator
    """The only source of randomness, on the device of the batch; in the same state on every rank."""
    rank: int = 0
    """Number of this process among ``ranks``."""
    ranks: int = 1
    """Processes that share the step; each holds as many rows."""
    average: Callable[[Tensor], Tensor] = lambda value: value
    """Mean of a tensor over ranks, without gradient."""

    def normal(self, count: int, *sizes: int) -> Tensor:
        """(count, *sizes) standard normal numbers for the rows of this process."""
        return self.drawn(torch.randn, count, *sizes)

    def uniform(self, count: int, *sizes: int) -> Tensor:
        """(count, *sizes) numbers from [0, 1) for the rows of this process."""
        return self.drawn(torch.rand, count, *sizes)

    def integers(self, high: int, count: int, *sizes: int) -> Tensor:
        """(count, *sizes) int64 from 0 to ``high - 1`` for the rows of this process."""
        return self.drawn(partial(torch.randint, high), count, *sizes)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all ranks of a statistic that is not itself a mean over rows; carries no gradient."""
        return self.average(value.detach())

    def drawn(self, sampler: Callable[..., Tensor], count: int, *sizes: int) -> Tensor:
        """(count, *sizes) numbers of one of torch's samplers for the rows of this process."""
        shape = (self.ranks * count, *sizes)
        drawn = sampler(shape, generator=self.generator, device=self.generator.device)
        return drawn.chunk(self.ranks)[self.rank] if self.ranks > 1 else drawn


class Loss(NamedTuple):
    """Loss that a phase minimises."""

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
    """Settings of every family; the fields ``name`` and ``optimise`` are narrowed by each family."""

    name: str
    optimise: dict[str, AdamConfig] = Field(default_factory=dict)

    PHASES: ClassVar[tuple[str, ...]] = ()
    """Names of the phases, in order: the keys that ``optimise`` must have."""
    UNUSED: ClassVar[tuple[str, ...]] = ()
    """Keys of ``train`` that mean nothing to the family: another value than their default is refused."""

    @property
    def alone(self) -> str | None:
        """Reason why one process must train it, by the settings alone: it is then given before clips are read."""
        return None

    @property
    def basis(self) -> MapConfig | None:
        """Settings of what the networks see in place of windows: coefficients, or weighted features."""
        return None

    @property
    def surrogate(self) -> str | None:
        """Reason why the loss is only near the divergence that its name promises; None where there is none."""
        return None

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
    """Settings of every family that learns by expectation maximisation."""

    UNUSED: ClassVar[tuple[str, ...]] = ("precision", "compile", "ema_decay", "clip_norm", "stop_when_copying")

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
    """Model of windows of motion, given as networks (its children) and phases.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    Config: ClassVar[type[FamilyConfig]]
    SHOWS: ClassVar[tuple[str, ...]] = ("mean",)
    """Outputs of a draw that it offers: ``sample`` has the likelihood's noise."""

    def __init__(self, config: Any, shape: MotionShape) -> None:
        super().__init__()
        self.shape, self.basis = shape, shape.basis
        self._alone: str | None = config.alone

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The moves of one step, in order; none for a family that ``LearnsByEM``."""
        raise NotImplementedError

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        """Draw windows.

        Args:
            count: N.
            generator: source of randomness, on the family's device.
            how: length, prior, labels and noise.

        Returns:
            (N, T, D) normalised features.

        Raises:
            ValueError: the family cannot make that many frames, has no such prior, takes no such label, or has no
                noise to show.
        """
        raise NotImplementedError

    @property
    def longest(self) -> int | None:
        """Frames that it can make at most; None where there is no limit."""
        return self.shape.motion_frames or self.shape.frames

    @property
    def priors(self) -> tuple[str, ...]:
        """Names of the distributions that latents can be drawn from; the first is the default."""
        return ("normal",)

    @property
    def alone(self) -> str | None:
        """Reason why one process must train it; None where several may. The settings' alone, unless it knows more."""
        return self._alone

    @property
    def unstackable(self) -> str | None:
        """Reason why several seeds of it cannot take their steps at once; None where they can."""
        return self.alone

    def sizes(self) -> dict[str, int]:
        """Numbers in each network; all under the name ``model`` where there are no networks."""
        networks = {name: sum(p.numel() for p in network.parameters()) for name, network in self.named_children()}
        return {name: size for name, size in networks.items() if size} or {
            "model": sum(p.numel() for p in self.parameters())
        }

    def project(self, batch: Batch) -> Batch:
        """Map windows to what the family takes: coefficients where it has a basis, weighted features, or themselves."""
        if self.basis is None:
            return batch
        seen = self.basis.encode(batch.motion_BTD, batch.mask_BT)
        whole = torch.ones_like(seen[..., 0], dtype=torch.bool)
        return Batch(seen, whole if isinstance(self.basis, WindowBasis) else batch.mask_BT, batch.labels)

    def expand(self, motion_BTD: Tensor, frames: int | None = None) -> Tensor:
        """Map what the family gives to normalised features, cut to their first ``frames`` where given."""
        return motion_BTD if self.basis is None else self.basis.decode(motion_BTD)[:, :frames]

    def begin(self, windows: WindowSet) -> None:
        """Called with the training windows before the first step, on the device."""

    def conclude(self, means: Mapping[str, float]) -> dict[str, float]:
        """Journal row of a validation, out of the means over its windows of all terms, ``PHASE/TERM``.

        For statistics that are not means of anything over windows, but follow from some.
        """
        return dict(means)

    def sample_frames(self, frames: int | None) -> int:
        """The number of frames to sample: the length trained on where None.

        Raises:
            ValueError: it is below 1 or above ``longest``.
        """
        if frames is None:
            return self.shape.frames
        if self.longest is None and frames < 1:
            raise ValueError(f"this model makes 1 frame or more, not {frames}")
        if self.longest is not None and not 1 <= frames <= self.longest:
            raise ValueError(f"this model makes 1 to {self.longest} frames, not {frames}")
        return frames

    def refuse_draw(
        self, how: SampleOptions, *, labels: tuple[str, ...] = (), shows: tuple[str, ...] = ("mean",)
    ) -> None:
        """Raise ``ValueError`` for a draw that the family cannot make.

        Args:
            how: what was asked for.
            labels: labels that the family is conditioned on.
            shows: what it can show; the first is the default.
        """
        self.sample_frames(how.frames)
        for what, asked, known in (
            ("prior", how.prior or self.priors[0], self.priors),
            ("show", how.show or shows[0], shows),
        ):
            if asked not in known:
                raise ValueError(unknown_word(f"{what} {asked!r}", asked, known))
        for name in how.labels:
            if name not in labels:
                takes = f"only {', '.join(labels)}" if labels else "as it was trained without; see family.condition"
                raise ValueError(f"label {name}: this model takes none, {takes}")
