"""Capabilities of families besides sampling, asked only by those who use them: protocols, one a capability.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from motionsynth.corpus.windows import Batch, WindowSet

__all__ = [
    "Bounds",
    "Decodes",
    "Encodes",
    "FitsPrior",
    "HasCodes",
    "KeepsRows",
    "LatentCode",
    "LearnsByEM",
    "Reconstructs",
    "SampleOptions",
    "Scores",
    "Translates",
]


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """Options of a draw from a model."""

    frames: int | None = None
    """T; the length trained on where None. A network of fixed length gives its first frames."""
    prior: str | None = None
    """One of the family's ``priors``; the first where None."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label name -> class index for all windows; labels not named follow the training windows."""
    show: str | None = None
    """``mean``, or ``sample``: with the likelihood's noise, for families that have one; their default where None."""


@runtime_checkable
class Decodes(Protocol):
    """Families that map latents to motion."""

    def draw_latents(
        self, count: int, *, generator: torch.Generator, how: SampleOptions = ...
    ) -> tuple[Tensor, Tensor | None]:
        """(N, Z) latents and the (N, S) condition that ``sample`` decodes for the same generator.

        Raises:
            ValueError: the family cannot draw so; see ``Family.sample``.
        """
        ...

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, Z) draws from one of the ``priors``; the first where None."""
        ...

    def side(self, batch: Batch) -> Tensor | None:
        """(B, S) condition of a batch; None for a family without labels."""
        ...

    def decode(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, T, D) normalised features, under the condition ``side_BS``."""
        ...


@runtime_checkable
class FitsPrior(Protocol):
    """Families that fit a density on the latents of the training windows once training is over."""

    def fit_prior(self, windows: WindowSet, *, generator: torch.Generator) -> dict[str, float]:
        """Fit it and keep it in buffers.

        Args:
            windows: those of the training split, on the family's device.
            generator: source of randomness, on that device.

        Returns:
            Figures of the fit, by name.
        """
        ...


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
class Translates(Protocol):
    """Families that bring motion of one class of a label to how it would look in another."""

    def domain_label(self) -> str:
        """The label whose classes are the domains."""
        ...

    def translate(self, batch: Batch, to: int) -> Tensor:
        """(B, T, D) the motion in the domain of class index ``to``; any number of frames, zero where padded."""
        ...


class LatentCode(NamedTuple):
    """Numbers of a latent that mean something together."""

    name: str
    kind: Literal["continuous", "categorical"]
    """``continuous``: uniform in [-1, 1]; ``categorical``: one of them is 1, the others 0."""
    place: slice
    """Place of the numbers in a latent."""

    @property
    def size(self) -> int:
        """Number of numbers, or classes."""
        return int(self.place.stop - self.place.start)


@runtime_checkable
class HasCodes(Protocol):
    """Families some of whose latents are codes, to be varied one at a time."""

    @property
    def latent_codes(self) -> tuple[LatentCode, ...]:
        """The codes, in the order in which they stand."""
        ...


@runtime_checkable
class Scores(Protocol):
    """Families that have a density."""

    def log_density(self, batch: Batch) -> Tensor:
        """(B,) float64 log-densities of the frames that are there, in nats, of normalised features."""
        ...


@runtime_checkable
class Bounds(Protocol):
    """Families that have a density which can only be bounded from below."""

    def log_likelihood_bound(self, batch: Batch, samples: int, *, generator: torch.Generator) -> Tensor:
        """(B,) float64 lower bounds on the log-densities of the frames that are there, in nats.

        In expectation; tighter with more ``samples``, and given the labels for a family that is conditioned on them.
        """
        ...


@runtime_checkable
class LearnsByEM(Scores, Protocol):
    """Families that learn by expectation maximisation (Dempster, Laird & Rubin, 1977).

    A pass adds up statistics over batches under the parameters it began with; then new parameters follow from them
    in closed form. The first passes may look for a start instead.
    """

    @property
    def learnt(self) -> bool:
        """True after at least one M step: before it there is no model of the windows."""
        ...

    def new_statistics(self) -> dict[str, Tensor]:
        """Statistics that a pass begins with, by name: sums, and so zeros; see ``KeepsRows`` for others.

        ``windows`` is the number of windows learnt from, and ``log_likelihood`` the sum of their log-densities, in
        nats; the latter is missing from a pass that looks for a start.
        """
        ...

    def accumulate(self, batch: Batch, statistics: dict[str, Tensor]) -> None:
        """E step: add a batch's statistics, in place. Sums of batches are those of one batch that holds them all."""
        ...

    def maximise(self, statistics: dict[str, Tensor], *, generator: torch.Generator) -> dict[str, float]:
        """M step: the parameters that the statistics of a pass give; never lowers their log-likelihood.

        Returns:
            What is worth a line in the journal, by name.

        Raises:
            ValueError: the windows do not suffice.
        """
        ...


@runtime_checkable
class KeepsRows(Protocol):
    """Families that learn by expectation maximisation from statistics not all of which are sums."""

    @property
    def rows(self) -> dict[str, int]:
        """Statistics that are rows, those of one batch after those of another: name -> how many are kept at most."""
        ...
