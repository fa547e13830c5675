"""Adversarially learned inference: a critic of pairs of window and latent.

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
from motionsynth.families.adversary import Judged, R1Config, critic_loss
from motionsynth.families.autoencoding import Autoencoding, PosteriorKind, reconstruction_error
from motionsynth.families.backbone import CriticConfig, build_critic
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.latent import CodedConfig
from motionsynth.losses.adversarial import OBJECTIVES, r1_penalty
from motionsynth.nn.encoder import with_side

__all__ = ["ALI"]

_OBJECTIVE = OBJECTIVES["nonsaturating"]


class ALI(Autoencoding):
    """The critic tells pairs ``(x, Enc(x))`` of the data from pairs ``(Dec(z), z)`` of the prior; both others fool it.

    ``critic: min -E_x[log D(x, Enc(x))] - E_z[log(1 - D(Dec(z), z))]``;
    ``match: min -E_x[log(1 - D(x, Enc(x)))] - E_z[log D(Dec(z), z)] + cycle E_x |x - Dec(Enc(x))|^2``.

    Where the two joint distributions agree, so do their conditionals: the encoder inverts the decoder. With cycle 0
    nothing else asks for it. The cycle is a bound of the conditional entropy that matching alone leaves free.

    References:
        Dumoulin et al., Adversarially Learned Inference, 2017, whose codes are Gaussians; Donahue, Krähenbühl &
        Darrell, Adversarial Feature Learning, 2017 (BiGAN), whose codes are points; Li et al., ALICE: Towards
        Understanding Adversarial Learning for Joint Distribution Matching, 2017, for the cycle.
    """

    class Config(CodedConfig):
        """Settings of adversarially learned inference."""

        PHASES: ClassVar[tuple[str, ...]] = ("critic", "match")

        name: Literal["ali"] = "ali"
        posterior: PosteriorKind = "gaussian"
        """``gaussian`` codes are those of ALI, ``point`` codes those of BiGAN."""
        cycle: float = Field(0.0, ge=0)
        """Weight of the squared error of a number that comes back from its code (ALICE); 0 is plain ALI."""
        critic: CriticConfig = CriticConfig()
        """Network of the critic."""
        r1: R1Config = R1Config(gamma=10.0)
        """Penalty on the critic's gradient at pairs of the data, in window and latent, each in units of its size."""
        optimise: dict[str, AdamConfig] = Field(
            default={
                "critic": AdamConfig(lr=5e-4, betas=(0.0, 0.99)),
                "match": AdamConfig(lr=1e-3, betas=(0.0, 0.99)),
            }
        )
        """Adam by phase."""

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape, config.posterior)
        self.config = config
        side = config.latent_dim + self.condition.width
        self.critic = build_critic(config.backbone, config.critic, shape, side=side)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: the critic tells pairs apart, encoder and decoder make them alike."""
        return (
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("match", self.match_loss, ("encoder", "decoder")),
        )

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Classify pairs of the data and pairs of the prior, both under the masks and labels of the batch."""
        side_BS = self.condition.of(batch)
        with torch.no_grad():
            code_BZ = self.draw_code(batch, context)
            z_BZ = context.normal(*code_BZ.shape)
            fake_BTD = self.decode(z_BZ, side_BS)
        real = Judged(batch.motion_BTD, batch.mask_BT, with_side(code_BZ, side_BS))
        fake = Judged(fake_BTD, batch.mask_BT, with_side(z_BZ, side_BS))
        r1 = self.config.r1
        loss = critic_loss(self.critic, real, fake, _OBJECTIVE, r1, step=context.step, penalise=False)
        if not (self.training and r1.due(context.step)):
            return loss
        penalty = self._slope(batch, code_BZ)
        return Loss(loss.total + r1.weight * penalty, loss.terms | {"r1": penalty.detach()})

    def _slope(self, batch: Batch, code_BZ: Tensor) -> Tensor:
        """R1 of pairs: ``E[|grad_x|^2 + Z / (T D) |grad_z|^2]``.

        The latent has few numbers and so steep slopes; in units of the size of a window and of a latent both count
        alike. Unweighted, the penalty of windows would leave the critic blind to latents.
        """
        side_BS, scale = self.condition.of(batch), math.sqrt(self.latent_dim / batch.motion_BTD[0].numel())

        def judge(pair_BN: Tensor) -> Tensor:
            motion_BTD = pair_BN[:, : -self.latent_dim].view_as(batch.motion_BTD)
            latent_BZ = scale * pair_BN[:, -self.latent_dim :]
            # forward, not call: a compiled network (train.compile) cannot be differentiated twice
            return self.critic.forward(motion_BTD, batch.mask_BT, with_side(latent_BZ, side_BS))

        return r1_penalty(judge, torch.cat((batch.motion_BTD.flatten(1), code_BZ / scale), 1))

    def match_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Make pairs of the data pass for pairs of the prior, and the other way round."""
        side_BS = self.condition.of(batch)
        code_BZ = self.draw_code(batch, context)
        z_BZ = context.normal(*code_BZ.shape)
        motion = torch.cat((batch.motion_BTD, self.decode(z_BZ, side_BS)))
        sides = torch.cat((with_side(code_BZ, side_BS), with_side(z_BZ, side_BS)))
        real_B, fake_B = self.critic(motion, batch.mask_BT.repeat(2, 1), sides, parts=2).chunk(2)
        encoding, decoding = _OBJECTIVE.generator(-real_B), _OBJECTIVE.generator(fake_B)
        total = encoding + decoding
        terms = {"encoder": encoding, "decoder": decoding}
        cycle = self.config.cycle
        if cycle or not self.training:
            terms["mse"] = reconstruction_error(batch, self.decode(code_BZ, side_BS), context)
            total = total + cycle * terms["mse"] if cycle else total
        return Loss(total, {name: term.detach() for name, term in terms.items()})
