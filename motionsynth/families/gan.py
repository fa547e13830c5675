"""Generative adversarial network: a critic tells real from generated, a generator learns to fool it.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.backbone import ConvConfig, CriticConfig, conv_critic, conv_decoder
from motionsynth.families.base import (
    AdamConfig,
    Family,
    FamilyConfig,
    FrozenConfig,
    Loss,
    MotionShape,
    Phase,
    StepContext,
)
from motionsynth.losses import non_saturating_critic, non_saturating_generator, r1_penalty

__all__ = ["GAN"]


class R1Config(FrozenConfig):
    """Penalty on the critic's gradient at real windows (Mescheder et al., 2018)."""

    gamma: float = Field(100.0, ge=0)
    """Weight: ``gamma / 2 E[|grad|^2]`` is added to the critic's loss; 0 switches it off."""
    every: int = Field(4, ge=1)
    """Computed at steps that are multiples of it, weighted by it (lazy regularisation, Karras et al., 2020)."""


class GAN(Family):
    """``critic: min -E_x[log D(x)] - E_z[log(1 - D(G(z)))]``, ``generator: min -E_z[log D(G(z))]``, in turn.

    Generated windows carry the masks of the real ones beside them, so padding tells the critic nothing.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014; Karras et al., Analyzing and Improving the Image Quality
        of StyleGAN, 2020, for lazy regularisation.
    """

    class Config(FamilyConfig):
        """Settings of the adversarial network."""

        PHASES: ClassVar[tuple[str, ...]] = ("critic", "generator")

        name: Literal["gan"] = "gan"
        latent_dim: int = Field(32, ge=1)
        """Z, numbers in a latent."""
        backbone: ConvConfig = ConvConfig()
        """Network of the generator: the decoder of the other families."""
        critic: CriticConfig = CriticConfig()
        """Network of the critic."""
        r1: R1Config = R1Config()
        """Gradient penalty of the critic."""
        optimise: dict[str, AdamConfig] = Field(
            default={
                "critic": AdamConfig(lr=5e-4, betas=(0.0, 0.99)),
                "generator": AdamConfig(lr=1e-3, betas=(0.0, 0.99)),
            }
        )
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.generator = conv_decoder(config.backbone, shape, config.latent_dim)
        self.critic = conv_critic(config.backbone, config.critic, shape)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic learns to tell, the generator to fool it."""
        return (
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("generator", self.generator_loss, ("generator",)),
        )

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Tell real from generated; both go through the critic in one pass."""
        motion_BTD, mask_BT, _ = batch
        with torch.no_grad():
            fake_BTD = self.generator(self.sample_latent(len(motion_BTD), generator=context.generator))
        logits = self.critic(torch.cat((motion_BTD, fake_BTD)), torch.cat((mask_BT, mask_BT)), parts=2)
        real_B, fake_B = logits.chunk(2)
        adversarial = total = non_saturating_critic(real_B, fake_B)
        terms = {"adversarial": adversarial, "real_logit": real_B.mean(), "fake_logit": fake_B.mean()}
        r1 = self.config.r1
        if r1.gamma and self.training and context.step % r1.every == 0:
            # forward, not call: a compiled network (train.compile) cannot be differentiated twice
            penalty = r1_penalty(lambda real_BTD: self.critic.forward(real_BTD, mask_BT), motion_BTD)
            total = adversarial + 0.5 * r1.gamma * r1.every * penalty
            terms["r1"] = penalty
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Fool the critic under the masks of the batch."""
        fake_BTD = self.generator(self.sample_latent(len(batch.motion_BTD), generator=context.generator))
        adversarial = non_saturating_generator(self.critic(fake_BTD, batch.mask_BT))
        return Loss(adversarial, {"adversarial": adversarial.detach()})

    def sample_latent(self, count: int, *, generator: torch.Generator) -> Tensor:
        """(N, Z) draws from the prior N(0, I)."""
        return torch.randn(count, self.config.latent_dim, generator=generator, device=generator.device)

    def sample(self, count: int, *, generator: torch.Generator, frames: int | None = None) -> Tensor:
        """(N, T, D) generated windows; see ``Family.sample``."""
        frames = self.sample_frames(frames)
        motion_NTD: Tensor = self.generator(self.sample_latent(count, generator=generator))
        return motion_NTD[:, :frames]
