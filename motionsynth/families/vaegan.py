"""A variational autoencoder whose decoder also fools a critic of windows.

Shapes: B batch, T frames, D features, Z latent dimensions, H numbers that describe a window.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import Judged, R1Config, critic_loss
from motionsynth.families.autoencoding import Autoencoding, reconstruction_error
from motionsynth.families.backbone import CriticConfig, build_critic
from motionsynth.families.base import AdamConfig, Loss, MotionShape, Phase, StepContext
from motionsynth.families.latent import CodedConfig
from motionsynth.families.likelihood import Likelihood, SigmaConfig
from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.losses.likelihood import kl_to_standard_normal

__all__ = ["VAEGAN"]

_OBJECTIVE = OBJECTIVES["nonsaturating"]


class VAEGAN(Autoencoding):
    """The evidence lower bound, and a critic that the decoder fools with draws of the prior.

    ``critic: min -E_x[log D(x)] - E_z[log(1 - D(Dec(z)))]``;
    ``vae: min E_x[ E_{p(z|x)}[-log q(x|z)] + beta KL(p(z|x) || N(0, I)) ] - adversarial E_z[log D(Dec(z))]``.

    The adversarial term moves the decoder alone, since its latents come from the prior, and the KL term the encoder
    alone. The likelihood is a Gaussian of the window, or of what the critic's last hidden layer says of it; each window
    is then described by itself, as another's description would depend on its neighbours in the batch.

    References:
        Larsen et al., Autoencoding beyond Pixels using a Learned Similarity Metric, 2016.
    """

    class Config(CodedConfig):
        """Settings of the variational autoencoder with a critic."""

        PHASES: ClassVar[tuple[str, ...]] = ("critic", "vae")

        name: Literal["vaegan"] = "vaegan"
        likelihood: Literal["motion", "critic"] = "motion"
        """What is Gaussian around what the decoder makes: the window, or the critic's description of it."""
        sigma: SigmaConfig = SigmaConfig()
        """Spread of the likelihood."""
        beta: float = Field(1.0, ge=0)
        """Weight of the KL term; 1 is the evidence lower bound."""
        kl_warmup: float = Field(0.0, ge=0, le=1)
        """First share of the budget over which the weight of the KL term goes from ``kl_start`` to ``beta``."""
        kl_start: float = Field(0.0, ge=0)
        """Weight of the KL term at the start of a warm-up: linear from 0 up, geometric from above 0 up or down."""
        adversarial: float = Field(100.0, ge=0)
        """Weight of fooling the critic beside the bound, which is in nats a window."""
        critic: CriticConfig = CriticConfig()
        """Network of the critic."""
        r1: R1Config = R1Config()
        """Gradient penalty of the critic."""
        optimise: dict[str, AdamConfig] = Field(
            default={"critic": AdamConfig(lr=5e-4, betas=(0.0, 0.99)), "vae": AdamConfig()}
        )
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape, "gaussian")
        self.config = config
        self.critic = build_critic(config.backbone, config.critic, shape, side=self.condition.width)
        features = shape.features if config.likelihood == "motion" else self.critic.head.in_features
        self.likelihood = Likelihood("gaussian", config.sigma, features)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic tells real from generated, encoder and decoder raise the bound and fool it."""
        return (
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("vae", self.vae_loss, ("encoder", "decoder")),
        )

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Tell real windows from decoded draws of the prior, both with the masks and labels of the real ones."""
        side_BS = self.condition.of(batch)
        with torch.no_grad():
            fake_BTD = self.decode(context.normal(len(batch.motion_BTD), self.latent_dim), side_BS)
        real, fake = Judged(batch.motion_BTD, batch.mask_BT, side_BS), Judged(fake_BTD, batch.mask_BT, side_BS)
        r1, step = self.config.r1, context.step
        return critic_loss(self.critic, real, fake, _OBJECTIVE, r1, step=step, penalise=self.training)

    def vae_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Minus the evidence lower bound, mean over windows, and fooling the critic."""
        side_BS, posterior = self.condition.of(batch), self.posterior(batch)
        assert posterior.log_variance_BZ is not None
        z_BZ = posterior.draw(context.normal(*posterior.mean_BZ.shape))
        motion_BTD = self.decode(z_BZ, side_BS)
        nll = self._nll(batch, motion_BTD, context).mean()
        kl = kl_to_standard_normal(posterior.mean_BZ, posterior.log_variance_BZ).sum(1).mean()
        drawn_BTD = self.decode(context.normal(*z_BZ.shape), side_BS)
        adversarial = _OBJECTIVE.generator(self.critic(drawn_BTD, batch.mask_BT, side_BS))
        total = nll + self._kl_weight(context.progress) * kl + self.config.adversarial * adversarial
        mse = reconstruction_error(batch, motion_BTD, context)
        terms = {"nll": nll, "kl": kl, "adversarial": adversarial, "mse": mse, "sigma": self.likelihood.sigma}
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def _nll(self, batch: Batch, motion_BTD: Tensor, context: StepContext) -> Tensor:
        """(B,) ``-log q(x|z)`` of windows, or of their descriptions, in nats."""
        if self.config.likelihood == "motion":
            return self.likelihood.loss(batch, motion_BTD, context).nll_B
        count, side_BS = len(motion_BTD), self.condition.of(batch)
        # as many parts as windows: none is compared with another
        real_BH = self.critic.describe(batch.motion_BTD, batch.mask_BT, side_BS, parts=count).float()
        made_BH = self.critic.describe(motion_BTD, batch.mask_BT, side_BS, parts=count).float()
        whole_B1 = torch.ones(count, 1, dtype=torch.bool, device=real_BH.device)
        described = Batch(real_BH.unsqueeze(1), whole_B1, batch.labels)
        return self.likelihood.loss(described, made_BH.unsqueeze(1), context).nll_B

    def _kl_weight(self, progress: float) -> float:
        """beta, reached after the warm-up."""
        beta, start, warmup = self.config.beta, self.config.kl_start, self.config.kl_warmup
        if progress >= warmup:
            return beta
        share = progress / warmup
        return start ** (1 - share) * beta**share if start and beta else start + (beta - start) * share
