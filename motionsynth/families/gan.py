"""Generative adversarial network: a critic tells real from generated, a generator learns to fool it.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import (
    Anchor,
    Judged,
    ProximalConfig,
    R1Config,
    calibration_error,
    critic_loss,
    slope_penalty,
)
from motionsynth.families.backbone import CriticConfig, build_critic, build_decoder
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.latent import LatentConfig, LatentFamily
from motionsynth.losses.adversarial import OBJECTIVES, ObjectiveName
from motionsynth.losses.divergences import capped_share
from motionsynth.losses.likelihood import masked_squared_error

__all__ = ["GAN", "AdversarialConfig", "AdversarialFamily"]


class AdversarialConfig(LatentConfig):
    """Settings of every family that is a generator and a critic of windows."""

    PHASES: ClassVar[tuple[str, ...]] = ("critic", "generator")

    latent_dim: int = Field(32, ge=1)
    """Z, numbers in a latent."""
    critic: CriticConfig = CriticConfig()
    """Network of the critic."""
    objective: ObjectiveName = "nonsaturating"
    """The game, one of ``motionsynth.losses.adversarial.OBJECTIVES``."""
    r1: R1Config = R1Config()
    """Gradient penalty of the critic."""
    gradient_penalty: float = Field(10.0, ge=0)
    """Weight of ``E[(|grad| - 1)^2]`` between real and generated windows; of ``wgan_gp`` alone."""
    critic_every: int = Field(1, ge=1)
    """Steps of the generator to one of the critic."""
    generator_every: int = Field(1, ge=1)
    """Steps of the critic to one of the generator."""
    proximal: ProximalConfig | None = None
    """Pull of the generator towards what it was; null for none."""
    optimise: dict[str, AdamConfig] = Field(
        default={
            "critic": AdamConfig(lr=5e-4, betas=(0.0, 0.99)),
            "generator": AdamConfig(lr=1e-3, betas=(0.0, 0.99)),
        }
    )
    """Adam by phase."""

    @model_validator(mode="after")
    def _one_waits(self) -> Self:
        if self.critic_every > 1 and self.generator_every > 1:
            raise ValueError("critic_every and generator_every: one of them must be 1, or there are steps of nothing")
        return self

    @model_validator(mode="after")
    def _one_penalty(self) -> Self:
        if OBJECTIVES[self.objective].lipschitz and (self.r1.gamma or self.critic.minibatch_stddev):
            raise ValueError(
                f"objective: {self.objective} has a penalty of its own, on single windows; it goes with r1.gamma 0 and "
                "critic.minibatch_stddev 0"
            )
        return self

    @property
    def surrogate(self) -> str | None:
        """Reason why the critic's output is not the log-ratio that the objective takes it for."""
        objective = OBJECTIVES[self.objective]
        reasons = []
        if self.r1.gamma:
            reasons.append(f"r1.gamma {self.r1.gamma:g} flattens the critic where windows are real")
        if self.critic.minibatch_stddev:
            reasons.append(f"the critic judges groups of {self.critic.minibatch_stddev} windows")
        if objective.minimises is None or not reasons:
            return None
        return (
            f"objective {self.objective} is a surrogate of {objective.minimises}: {' and '.join(reasons)}, so its "
            "output is not log p/q"
        )


class AdversarialFamily(LatentFamily):
    """A generator and a critic of windows, in turn; see ``GAN``.

    Generated windows carry the masks and labels of the real ones beside them, so neither gives the critic a hint.

    Args:
        config: the family's own ``Config``.
        shape: the size of the windows.
    """

    DECODER = "generator"

    def __init__(self, config: AdversarialConfig, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config, self.objective = config, OBJECTIVES[config.objective]
        self.generator = build_decoder(config.backbone, shape, config.latent_dim, side=self.condition.width)
        self.critic = build_critic(config.backbone, config.critic, shape, side=self.condition.width)
        if config.proximal:
            self.anchor = Anchor(self.generator)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic learns to classify, the generator to fool it."""
        return (
            Phase("critic", self.critic_loss, ("critic",), self.config.critic_every),
            Phase("generator", self.generator_loss, ("generator",), self.config.generator_every),
        )

    def draw_latent(self, count: int, context: StepContext) -> Tensor:
        """(B, Z) latents to train on."""
        return context.normal(count, self.latent_dim)

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Classify real and generated, both with the labels of the real ones."""
        config, side_BS = self.config, self.condition.of(batch)
        with torch.no_grad():
            fake_BTD = self.decode(self.draw_latent(len(batch.motion_BTD), context), side_BS)
        real, fake = Judged(batch.motion_BTD, batch.mask_BT, side_BS), Judged(fake_BTD, batch.mask_BT, side_BS)
        step, training = context.step // config.critic_every, self.training
        loss = critic_loss(
            self.critic, real, fake, self.objective, config.r1, step=step, penalise=training, calibrate=not training
        )
        if not (self.objective.lipschitz and training and config.gradient_penalty):
            return loss
        penalty = slope_penalty(self.critic, real, fake, context.uniform(len(fake_BTD)))
        total = loss.total + config.gradient_penalty * penalty
        return Loss(total, loss.terms | {"gradient_penalty": penalty.detach()})

    def generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Fool the critic under the masks and labels of the batch."""
        return self.fooling_loss(self.draw_latent(len(batch.motion_BTD), context), batch, context)[0]

    def fooling_loss(self, z_BZ: Tensor, batch: Batch, context: StepContext) -> tuple[Loss, Tensor]:
        """The generator's loss on latents, and the (B, T, D) windows that it made of them."""
        side_BS = self.condition.of(batch)
        fake_BTD = self.decode(z_BZ, side_BS)
        logit_B = self.critic(fake_BTD, batch.mask_BT, side_BS)
        total = adversarial = self.objective.generator(logit_B)
        terms = {"adversarial": adversarial}
        if self.objective.generator_exponents:
            terms["capped"] = capped_share(self.objective.generator_exponents(logit_B))
        if proximal := self.config.proximal:
            if self.training and context.step // self.config.generator_every % proximal.refresh == 0:
                self.anchor.refresh(self.generator)
            before_BTD = self.anchor.recall(self.generator, z_BZ, side_BS)
            terms["proximal"] = masked_squared_error(fake_BTD, before_BTD, batch.mask_BT).mean()
            total = adversarial + proximal.weight * terms["proximal"]
        return Loss(total, {name: term.detach() for name, term in terms.items()}), fake_BTD

    def conclude(self, means: Mapping[str, float]) -> dict[str, float]:
        """The means, and the critic's expected calibration error out of those by bin."""
        return calibration_error(means)


class GAN(AdversarialFamily):
    """``critic: min -E_x[log D(x)] - E_z[log(1 - D(G(z)))]``, ``generator: min -E_z[log D(G(z))]``, in turn.

    That is the ``nonsaturating`` objective; others put another loss in place of the generator's, or of both.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014; Karras et al., Analyzing and Improving the Image Quality
        of StyleGAN, 2020, for lazy regularisation; Nowozin, Cseke & Tomioka, f-GAN, 2016, for the other divergences.
    """

    class Config(AdversarialConfig):
        """Settings of the adversarial network."""

        name: Literal["gan"] = "gan"
