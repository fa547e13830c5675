"""Parts of families that decode latents: conditioning, draws of windows, and a density fitted on codes.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions, S numbers of the condition.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MapConfig, MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.families.backbone import BackboneConfig, BasisConfig
from motionsynth.families.base import Family, FamilyConfig
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.condition import Condition
from motionsynth.families.latent_density import LatentDensity
from motionsynth.settings import FrozenConfig

__all__ = ["CodedConfig", "CodedFamily", "FittedConfig", "LatentConfig", "LatentFamily"]

_BATCH = 256


class LatentConfig(FamilyConfig):
    """Settings of every family that decodes latents."""

    latent_dim: int = Field(16, ge=1)
    """Z, numbers in a latent."""
    backbone: BackboneConfig = BasisConfig()
    """Networks of encoder and decoder, or generator."""
    condition: tuple[str, ...] = ()
    """Labels that every network takes, such as ``[content, style]``."""

    @property
    def basis(self) -> MapConfig | None:
        """Basis of a backbone that has one, or its weights of features."""
        return self.backbone if isinstance(self.backbone, BasisConfig) else self.backbone.metric


class LatentFamily(Family):
    """A family with latents of ``config.latent_dim`` numbers and a network that decodes them.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    DECODER = "decoder"
    """Attribute name of the network that makes motion."""
    SHOWS: ClassVar[tuple[str, ...]] = ("mean",)
    """Outputs of a draw that it offers, the default first; ``sample`` asks for ``add_noise``."""

    def __init__(self, config: LatentConfig, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.latent_dim = config.latent_dim
        self.condition = Condition(config.condition, shape.labels)

    @property
    def longest(self) -> int | None:
        """Frames that the decoder can make at most; None where there is no limit."""
        longest: int | None = getattr(self, self.DECODER).longest
        return longest

    def begin(self, windows: WindowSet) -> None:
        """Note how often labels stand together."""
        self.condition.observe(windows.labels)

    def side(self, batch: Batch) -> Tensor | None:
        """(B, S) condition of a batch; None for a family without labels."""
        return self.condition.of(batch)

    def decode(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, T, D) normalised features, under the condition ``side_BS``."""
        motion_BTD: Tensor = getattr(self, self.DECODER)(z_BZ, side_BS, frames)
        return motion_BTD

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, Z) draws from one of the ``priors``, N(0, I) among them; the first where None."""
        return torch.randn(count, self.latent_dim, generator=generator, device=generator.device)

    def latents_for(self, side_NS: Tensor | None, count: int, *, generator: torch.Generator, prior: str) -> Tensor:
        """(N, Z) draws to be decoded under a condition, from a prior that may depend on it."""
        return self.sample_latent(count, generator=generator, prior=prior)

    def draw_latents(
        self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()
    ) -> tuple[Tensor, Tensor | None]:
        """(N, Z) latents and the (N, S) condition that ``sample`` decodes; see ``Decodes``."""
        self.refuse_draw(how, labels=self.condition.names, shows=self.SHOWS)
        side_NS = self.condition.draw(count, how.labels, generator=generator)
        return self.latents_for(side_NS, count, generator=generator, prior=how.prior or self.priors[0]), side_NS

    def add_noise(self, motion_NTD: Tensor, *, generator: torch.Generator) -> Tensor:
        """(N, T, D) draws of the likelihood around decoded means."""
        raise NotImplementedError

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        """(N, T, D) decoded draws; see ``Family.sample``."""
        z_NZ, side_NS = self.draw_latents(count, generator=generator, how=how)
        motion_NTD = self.decode(z_NZ, side_NS, how.frames)
        shows_noise = (how.show or self.SHOWS[0]) == "sample"
        return self.add_noise(motion_NTD, generator=generator) if shows_noise else motion_NTD


class FittedConfig(FrozenConfig):
    """The mixture of Gaussians that is fitted on the codes of the training windows after training."""

    components: int = Field(32, ge=1)
    """K at most; few codes have fewer."""
    floor: float = Field(0.1, gt=0)
    """Smallest standard deviation of a component along any axis, as a share of that of all codes."""
    windows: int = Field(16384, ge=1)
    """Windows whose codes are looked at, at most, evenly from all."""


class CodedConfig(LatentConfig):
    """Settings of every family that encodes windows."""

    fitted: FittedConfig = FittedConfig()
    """The density of ``--prior fitted``."""


class CodedFamily(LatentFamily):
    """A family that maps windows to codes: ``fitted``, a density of these, is one of its priors.

    ``fit_prior`` is called when training is over, for the weights and for their moving average, whose codes differ.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    PRIORS: ClassVar[tuple[str, ...]] = ("normal", "fitted")
    """Distributions that latents can be drawn from, the default first."""

    def __init__(self, config: CodedConfig, shape: MotionShape) -> None:
        super().__init__(config, shape)
        fitted = config.fitted
        self._fitted_windows = fitted.windows
        self.latent_density = LatentDensity(
            config.latent_dim, fitted.components, floor=fitted.floor, combinations=self.condition.combinations
        )

    @property
    def priors(self) -> tuple[str, ...]:
        """``fitted`` and what the family trains under."""
        return self.PRIORS

    def encode(self, batch: Batch) -> Tensor:
        """(B, Z) latents, their means where the encoder is a distribution."""
        raise NotImplementedError

    def codes(self, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """(B, Z) what the fitted density is a density of: draws, for an encoder that is a distribution.

        What the decoder has learnt to decode are draws of the aggregate posterior ``E_x[p(z|x)]``; means of posteriors
        lie closer together than those.
        """
        return self.encode(batch)

    @torch.no_grad()
    def fit_prior(self, windows: WindowSet, *, generator: torch.Generator) -> dict[str, float]:
        """Fit the density on the codes of the training windows; see ``FitsPrior``."""
        training, codes, labels = self.training, [], []
        self.eval()
        for batch in windows.even(self._fitted_windows).batches(_BATCH):
            codes.append(self.codes(batch, generator=generator).float())
            if (side_BS := self.condition.of(batch)) is not None:
                labels.append(self.condition.combination(side_BS))
        self.train(training)
        start = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        label_M = torch.cat(labels) if labels else None
        return self.latent_density.fit(torch.cat(codes), label_M, generator=torch.Generator().manual_seed(start))

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, Z) draws from one of the ``priors``; the first where None."""
        if (prior or self.priors[0]) == "fitted":
            return self.latent_density.sample(count, generator=generator)
        return super().sample_latent(count, generator=generator, prior=prior)

    def latents_for(self, side_NS: Tensor | None, count: int, *, generator: torch.Generator, prior: str) -> Tensor:
        """(N, Z) draws; those of the fitted density are of codes of windows with the same labels."""
        if prior == "fitted" and side_NS is not None:
            return self.latent_density.sample(count, self.condition.combination(side_NS), generator=generator)
        return super().latents_for(side_NS, count, generator=generator, prior=prior)
