"""What families share that decode latents: conditioning, and how windows are drawn.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions, S numbers of the condition.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.windows import WindowSet
from motionsynth.families.backbone import BackboneConfig, ConvConfig
from motionsynth.families.base import Draw, Family, FamilyConfig, MotionShape
from motionsynth.families.condition import Condition

__all__ = ["LatentConfig", "LatentFamily"]


class LatentConfig(FamilyConfig):
    """What the ``Config`` of every family has that decodes latents."""

    latent_dim: int = Field(16, ge=1)
    """Z, numbers in a latent."""
    backbone: BackboneConfig = ConvConfig()
    """Networks of encoder and decoder, or generator."""
    condition: tuple[str, ...] = ()
    """Labels that every network is told, such as ``[content, style]``."""


class LatentFamily(Family):
    """A family with latents of ``config.latent_dim`` numbers and a network that decodes them.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    DECODER = "decoder"
    """Attribute name of the network that makes motion."""

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

    def decode(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, T, D) normalised features, under the condition ``side_BS``."""
        motion_BTD: Tensor = getattr(self, self.DECODER)(z_BZ, side_BS, frames)
        return motion_BTD

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, Z) draws from one of the ``priors``, N(0, I) among them; the first where None."""
        return torch.randn(count, self.latent_dim, generator=generator, device=generator.device)

    def sample(self, count: int, *, generator: torch.Generator, how: Draw = Draw()) -> Tensor:
        """(N, T, D) decoded draws; see ``Family.sample``."""
        self.refuse_draw(how, labels=self.condition.names)
        z_NZ = self.sample_latent(count, generator=generator, prior=how.prior)
        side_NS = self.condition.draw(count, how.labels, generator=generator)
        return self.decode(z_NZ, side_NS, how.frames)
