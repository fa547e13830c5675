"""Helmholtz machine, learnt by wake and sleep: each network learns from what the other makes.

Shapes: B batch, T frames, D features, Z latent dimensions.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.variational import GaussianConfig, GaussianFamily
from motionsynth.losses.likelihood import gaussian_nll, kl_to_standard_normal

__all__ = ["WakeSleep"]


class WakeSleep(GaussianFamily):
    """Awake ``max E_x E_{q(h|x)}[log p(x|h)]`` over the decoder; asleep ``max E_{p(x,h)}[log q(h|x)]`` over the encoder

    ``p(h) = N(0, I)``, ``p(x|h)`` is ``Likelihood``'s around the decoder, ``q(h|x)`` the encoder's Gaussian: the names
    of the paper, in which ``p`` generates. Awake the decoder climbs the evidence lower bound with the encoder held, the
    VAE's loss but for the encoder's gradient. Asleep the encoder descends ``KL(p(h|x) || q(h|x))`` on dreams, windows
    of the model with the noise of its likelihood and the masks and labels of the batch; this KL is turned round, so the
    two phases share no loss that both go down, and nothing but dreams teaches the encoder.

    So nothing brings the codes of real windows to the scale of ``p(h)`` but the two in turn, slowly. Windows are drawn
    by default from a density fitted on the codes, which stands in for the generative biases of the paper's top layer,
    learnt at the end; the prior ``normal`` shows the dreams that the encoder learnt from.

    Each phase logs its bound: ``wake/elbo``, on the log-density of real windows, and ``sleep/information``,
    ``H(h) + E[log q(h|x)]`` on the mutual information of dreams and their latents, both in nats from below.

    References:
        Hinton, Dayan, Frey & Neal, The Wake-Sleep Algorithm for Unsupervised Neural Networks, 1995; Dayan, Hinton, Neal
        & Zemel, The Helmholtz Machine, 1995; Barber & Agakov, The IM Algorithm, 2003, for the bound of sleep.
    """

    PRIORS = ("fitted", "normal")

    class Config(GaussianConfig):
        """Settings of the Helmholtz machine."""

        PHASES: ClassVar[tuple[str, ...]] = ("wake", "sleep")

        name: Literal["wakesleep"] = "wakesleep"
        optimise: dict[str, AdamConfig] = Field(default={"wake": AdamConfig(), "sleep": AdamConfig()})
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Awake the decoder learns, asleep the encoder."""
        return (Phase("wake", self.wake_loss, ("decoder",)), Phase("sleep", self.sleep_loss, ("encoder",)))

    def wake_loss(self, batch: Batch, context: StepContext) -> Loss:
        """``-log p(x|h)`` of real windows, ``h`` drawn by the encoder, which gets no gradient."""
        with torch.no_grad():
            posterior = self.posterior(batch)
            kl = kl_to_standard_normal(*posterior).sum(1).mean()
        h_BZ = posterior.draw(context.normal(*posterior.mean_BZ.shape))
        nll_B, mse = self.likelihood.loss(batch, self.decode(h_BZ, self.condition.of(batch)), context)
        nll = nll_B.mean()
        terms = {"elbo": -(nll + kl), "nll": nll, "kl": kl, "mse": mse, "sigma": self.likelihood.sigma}
        return Loss(nll, {name: term.detach() for name, term in terms.items()})

    def sleep_loss(self, batch: Batch, context: StepContext) -> Loss:
        """``-log q(h|x)`` of dreams ``(x, h)``, of which no gradient reaches the decoder."""
        h_BZ = context.normal(len(batch.motion_BTD), self.latent_dim)
        dream = self.dream(h_BZ, batch, context.uniform(*batch.motion_BTD.shape))
        mean_BZ, log_variance_BZ = self.posterior(dream)
        square_BZ = (h_BZ - mean_BZ).square()
        one = torch.ones((), device=h_BZ.device)
        nll = gaussian_nll(square_BZ, one, log_variance_BZ.exp()).sum(1).mean()
        entropy = 0.5 * self.latent_dim * math.log(2 * math.pi * math.e)
        return Loss(nll, {"information": entropy - nll.detach(), "latent_error": square_BZ.detach().mean()})

    @torch.no_grad()
    def dream(self, h_BZ: Tensor, batch: Batch, uniform_BTD: Tensor) -> Batch:
        """A batch of the model's own windows with the masks and labels of a real one.

        Args:
            h_BZ: (B, Z) latents.
            batch: whose masks and labels.
            uniform_BTD: (B, T, D) numbers from [0, 1), for the likelihood's noise.
        """
        motion_BTD = self.likelihood.add_noise(self.decode(h_BZ, self.condition.of(batch)), uniform_BTD)
        return batch._replace(motion_BTD=motion_BTD.masked_fill(~batch.mask_BT[..., None], 0.0))
