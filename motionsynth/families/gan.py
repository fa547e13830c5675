"""Generative adversarial network: a critic tells real from generated, a generator learns to fool it.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import Judged, R1Config, critic_loss
from motionsynth.families.backbone import CriticConfig, build_critic, build_decoder
from motionsynth.families.base import AdamConfig, Loss, MotionShape, Phase, StepContext
from motionsynth.families.latent import LatentConfig, LatentFamily
from motionsynth.losses.adversarial import OBJECTIVES

__all__ = ["GAN"]

_OBJECTIVE = OBJECTIVES["nonsaturating"]


class GAN(LatentFamily):
    """``critic: min -E_x[log D(x)] - E_z[log(1 - D(G(z)))]``, ``generator: min -E_z[log D(G(z))]``, in turn.

    Generated windows carry the masks of the real ones beside them, so padding tells the critic nothing.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014; Karras et al., Analyzing and Improving the Image Quality
        of StyleGAN, 2020, for lazy regularisation.
    """

    class Config(LatentConfig):
        """Settings of the adversarial network."""

        PHASES: ClassVar[tuple[str, ...]] = ("critic", "generator")

        name: Literal["gan"] = "gan"
        latent_dim: int = Field(32, ge=1)
        """Z, numbers in a latent."""
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

    DECODER = "generator"

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.generator = build_decoder(config.backbone, shape, config.latent_dim, side=self.condition.width)
        self.critic = build_critic(config.backbone, config.critic, shape, side=self.condition.width)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic learns to tell, the generator to fool it."""
        return (
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("generator", self.generator_loss, ("generator",)),
        )

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Tell real from generated, both with the labels of the real ones."""
        side_BS = self.condition.of(batch)
        with torch.no_grad():
            fake_BTD = self.decode(context.normal(len(batch.motion_BTD), self.latent_dim), side_BS)
        real, fake = Judged(batch.motion_BTD, batch.mask_BT, side_BS), Judged(fake_BTD, batch.mask_BT, side_BS)
        r1, step = self.config.r1, context.step
        return critic_loss(self.critic, real, fake, _OBJECTIVE, r1, step=step, penalise=self.training)

    def generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Fool the critic under the masks and labels of the batch."""
        side_BS = self.condition.of(batch)
        fake_BTD = self.decode(context.normal(len(batch.motion_BTD), self.latent_dim), side_BS)
        adversarial = _OBJECTIVE.generator(self.critic(fake_BTD, batch.mask_BT, side_BS))
        return Loss(adversarial, {"adversarial": adversarial.detach()})
