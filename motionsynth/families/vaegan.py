"""A variational autoencoder whose decoder also fools a critic of windows.

Shapes: B batch, T frames, D features, Z latent dimensions, H numbers that describe a window.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import Judged, R1Config, critic_loss
from motionsynth.families.backbone import CriticConfig, build_critic
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.likelihood import Likelihood, SigmaConfig
from motionsynth.families.variational import GaussianFamily, WeighedConfig
from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.losses.likelihood import kl_to_standard_normal

__all__ = ["VAEGAN"]

_OBJECTIVE = OBJECTIVES["nonsaturating"]


class VAEGAN(GaussianFamily):
    """The evidence lower bound, and a critic that the decoder fools with draws of the prior.

    ``critic: min -E_x[log D(x)] - E_z[log(1 - D(Dec(z)))]``;
    ``vae: min E_x[ E_{p(z|x)}[-log q(x|z)] + beta KL(p(z|x) || N(0, I)) ] - adversarial E_z[log D(Dec(z))]``.

    The adversarial term moves the decoder alone, since its latents come from the prior, and the KL term the encoder
    alone. ``similarity: critic`` puts in place of the window's likelihood that of what the critic's last hidden layer
    gives for it, a Gaussian around what it gives for the decoded window. Each window is then described by itself: the
    minibatch standard deviation would make a description depend on its neighbours in the batch.

    References:
        Larsen et al., Autoencoding beyond Pixels using a Learned Similarity Metric, 2016.
    """

    class Config(WeighedConfig):
        """Settings of the variational autoencoder with a critic."""

        PHASES: ClassVar[tuple[str, ...]] = ("critic", "vae")

        name: Literal["vaegan"] = "vaegan"
        similarity: Literal["motion", "critic"] = "motion"
        """Target of the decoder: the window, or the critic's description of it."""
        adversarial: float = Field(100.0, ge=0)
        """Weight of fooling the critic beside the bound, which is in nats a window."""
        described: SigmaConfig = SigmaConfig(value=1e-3, floor=1e-3)
        """Spread of the critic's description, in its own units, where that is what the decoder gives back."""
        critic: CriticConfig = CriticConfig()
        """Network of the critic."""
        r1: R1Config = R1Config()
        """Gradient penalty of the critic."""
        optimise: dict[str, AdamConfig] = Field(
            default={"critic": AdamConfig(lr=5e-4, betas=(0.0, 0.99)), "vae": AdamConfig()}
        )
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.critic = build_critic(config.backbone, config.critic, shape, side=self.condition.width)
        if config.similarity == "critic":
            self.described = Likelihood("gaussian", config.described, self.critic.head.in_features)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic tells real from generated, encoder and decoder raise the bound and fool it."""
        return (
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("vae", self.vae_loss, ("encoder", "decoder")),
        )

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Classify real windows and decoded draws of the prior, both with the masks and labels of the real ones."""
        side_BS = self.condition.of(batch)
        with torch.no_grad():
            fake_BTD = self.decode(context.normal(len(batch.motion_BTD), self.latent_dim), side_BS)
        real, fake = Judged(batch.motion_BTD, batch.mask_BT, side_BS), Judged(fake_BTD, batch.mask_BT, side_BS)
        r1, step = self.config.r1, context.step
        return critic_loss(self.critic, real, fake, _OBJECTIVE, r1, step=step, penalise=self.training)

    def vae_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Minus the evidence lower bound, mean over windows, and fooling the critic."""
        side_BS, config = self.condition.of(batch), self.config
        posterior = self.posterior(batch)
        motion_BTD = self.decode(posterior.draw(context.normal(*posterior.mean_BZ.shape)), side_BS)
        drawn_BTD = self.decode(context.normal(*posterior.mean_BZ.shape), side_BS)
        adversarial = _OBJECTIVE.generator(self.critic(drawn_BTD, batch.mask_BT, side_BS))
        nll_B, mse = self.likelihood.loss(batch, motion_BTD, context)
        nll, kl = nll_B.mean(), kl_to_standard_normal(*posterior).sum(1).mean()
        terms = {"elbo": -(nll + kl), "nll": nll, "kl": kl, "adversarial": adversarial, "mse": mse}
        if config.similarity == "critic":
            nll = terms["described_nll"] = self._described_nll(batch, motion_BTD, context)
        total = nll + config.kl_weight(context.progress) * kl + config.adversarial * adversarial
        terms["sigma"] = self.likelihood.sigma
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def _described_nll(self, batch: Batch, motion_BTD: Tensor, context: StepContext) -> Tensor:
        """``-log N(h(x); h(Dec(z)), sigma^2 I)``, mean over windows, ``h`` the critic's description of one."""
        count, side_BS = len(motion_BTD), self.condition.of(batch)
        # as many parts as windows: none is compared with another
        real_BH = self.critic.describe(batch.motion_BTD, batch.mask_BT, side_BS, parts=count).float()
        made_BH = self.critic.describe(motion_BTD, batch.mask_BT, side_BS, parts=count).float()
        whole_B1 = torch.ones(count, 1, dtype=torch.bool, device=real_BH.device)
        described = Batch(real_BH.unsqueeze(1), whole_B1, batch.labels)
        return self.described.loss(described, made_BH.unsqueeze(1), context).nll_B.mean()
