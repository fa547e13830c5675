"""CycleGAN: two translators between two domains, held together by the way there and back.

Shapes: B batch, N samples, V windows of clips, T frames, D features, S numbers of the condition.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.families.adversary import Judged, R1Config
from motionsynth.families.backbone import BackboneConfig, BasisConfig, CriticConfig, Kernel, build_critic
from motionsynth.families.bank import WindowBank
from motionsynth.families.base import AdamConfig, Family, FamilyConfig, Loss, Phase, StepContext
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.condition import Condition
from motionsynth.families.crossfade import cross_faded
from motionsynth.families.domains import Distance, Pair, refuse_domain
from motionsynth.families.replay import ReplayPool
from motionsynth.losses.adversarial import OBJECTIVES, r1_penalty
from motionsynth.nn.dense import DenseTranslator
from motionsynth.nn.translator import Translator
from motionsynth.settings import FrozenConfig

__all__ = ["CycleGAN"]


class TranslatorConfig(FrozenConfig):
    """Networks that translate frames: residual, convolutional over time."""

    width: int = Field(128, ge=1)
    """Channels."""
    dilations: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 4, 8)
    """Dilation of each block, frames between the frames that its first convolution sees."""
    kernel: Kernel = 3
    """Frames of each convolution, odd."""


class CycleGAN(Family):
    """``min E_A[adv_B(G_B(a)) + lambda |G_A(G_B(a)) - a| + mu |G_A(a) - a|]`` and the same with A and B exchanged.

    ``G_B`` brings motion of A to B and ``G_A`` motion of B to A; each domain has a critic, which sees fakes of earlier
    steps too. A and B are the two classes of a label, in order. Nothing decides which window of B a window of A should
    become: that it can be brought back (cycle), and that what is in the domain already stays as it is (identity), is
    all that keeps the content. Distances are L1, means over frames and features.

    Samples are translations of training windows, which begin() puts by: there is no latent to draw.

    References:
        Zhu, Park, Isola & Efros, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
        2017; Shrivastava et al., Learning from Simulated and Unsupervised Images, 2017, for the pool of fakes.
    """

    share_2: Tensor

    class Config(FamilyConfig):
        """Settings of the CycleGAN."""

        PHASES: ClassVar[tuple[str, ...]] = ("critics", "translators")

        name: Literal["cyclegan"] = "cyclegan"
        domain: str = "style"
        """Label whose two classes are A and B; ``data.keep`` chooses two of more, ``corpus`` is that of two folders."""
        condition: tuple[str, ...] = ()
        """Other labels that every network takes, such as ``[content]``."""
        backbone: BackboneConfig = BasisConfig()
        """Networks of the critics; in a ``basis`` translators are of its width and layers too."""
        critic: CriticConfig = CriticConfig(minibatch_stddev=0)
        """Settings of the critics; they compare no windows, as a batch holds any number of each domain."""
        translator: TranslatorConfig = TranslatorConfig()
        """Networks of the translators of every other kind."""
        objective: Literal["nonsaturating", "lsgan"] = "nonsaturating"
        """Game of critics and translators; ``lsgan`` is the paper's, but pushes weakly between domains far apart."""
        r1: R1Config = R1Config()
        """Gradient penalty of the critics."""
        distance: Distance = "squared"
        """Distance of motion for both terms below, a mean over numbers: ``absolute`` is the paper's. But these
        translators start at the identity, where an absolute error has a kink that holds them there."""
        cycle: float = Field(10.0, ge=0)
        """lambda, weight of the way there and back."""
        identity: float = Field(2.0, ge=0)
        """mu, weight of leaving alone what is in the domain already."""
        pool: int = Field(64, ge=0)
        """Fakes of earlier steps kept for each critic; 0 for none."""
        bank: int = Field(256, ge=2)
        """Training windows put by to be translated where samples are drawn."""
        optimise: dict[str, AdamConfig] = Field(
            default={
                "critics": AdamConfig(lr=5e-4, betas=(0.0, 0.99)),
                "translators": AdamConfig(lr=5e-4, betas=(0.0, 0.99)),
            }
        )
        """Adam by phase."""

        @field_validator("critic")
        @classmethod
        def _critics_compare_nothing(cls, critic: CriticConfig) -> CriticConfig:
            if critic.minibatch_stddev:
                raise ValueError("minibatch_stddev must be 0: a batch holds any number of windows of each domain")
            return critic

        @field_validator("backbone")
        @classmethod
        def _features_as_they_are(cls, backbone: BackboneConfig) -> BackboneConfig:
            if not isinstance(backbone, BasisConfig) and backbone.metric:
                raise ValueError("metric must be null: translators give features as they are")
            return backbone

        @property
        def basis(self) -> BasisConfig | None:
            """Basis of a backbone that has one."""
            return self.backbone if isinstance(self.backbone, BasisConfig) else None

        @property
        def alone(self) -> str | None:
            """The pools: each process would fill its own, and none the one that a joined batch fills."""
            reason = "its pools of earlier fakes are those of one process; family.pool=0 does without"
            return reason if self.pool else None

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        refuse_domain(config.domain, config.condition, shape.labels)
        self.condition = Condition(config.condition, shape.labels)
        side = self.condition.width
        self.to_a, self.to_b = (_translator(config, shape, side) for _ in range(2))
        self.critic_a, self.critic_b = (
            build_critic(config.backbone, config.critic, shape, side=side) for _ in range(2)
        )
        size = (shape.frames, shape.features)
        self.pool_a, self.pool_b = (ReplayPool(config.pool, *size, side=side) for _ in range(2))
        self.bank = WindowBank(config.bank, *size, labels=(config.domain, *config.condition))
        self.register_buffer("share_2", torch.full((2,), 0.5))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Two: both critics learn to classify, both translators to fool them and to bring motion back."""
        return (
            Phase("critics", self.critics_loss, ("critic_a", "critic_b")),
            Phase("translators", self.translators_loss, ("to_a", "to_b")),
        )

    @property
    def unstackable(self) -> str | None:
        """Each step takes a batch apart by domain."""
        return "cyclegan takes each batch apart by domain, which has another size in each seed"

    @property
    def priors(self) -> tuple[str, ...]:
        """One: what is translated is a training window."""
        return ("windows",)

    def begin(self, windows: WindowSet) -> None:
        """Note the domains' shares, and put by windows of both to translate."""
        domain_N = windows.labels[self.config.domain]
        self.share_2.copy_(torch.bincount(domain_N, minlength=2) / len(domain_N))
        self.bank.fill(windows)

    def critics_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Classify motion of a domain and what was translated to it, now and earlier."""
        pair = self._pair(batch)
        a, b = pair.a, pair.b
        with torch.no_grad():
            fakes = [b._replace(motion_BTD=self.to_a(*b)), a._replace(motion_BTD=self.to_b(*a))]
        if self.training:
            fakes = [pool.exchange(f, context) for pool, f in zip((self.pool_a, self.pool_b), fakes, strict=True)]
        critics, objective = (self.critic_a, self.critic_b), OBJECTIVES[self.config.objective]
        real_B = torch.cat([critic(*part) for critic, part in zip(critics, (a, b), strict=True)])
        # a row's fake is of the other domain: rows of A come first here too
        fake_B = torch.cat([critic(*fake) for critic, fake in zip(critics[::-1], fakes[::-1], strict=True)])
        total = adversarial = pair.mean(torch.vmap(objective.critic)(real_B, fake_B))
        terms = {"adversarial": adversarial, "real_logit": pair.mean(real_B), "fake_logit": pair.mean(fake_B)}
        r1 = self.config.r1
        if self.training and r1.due(context.step):
            penalty = self._penalty(a, b)
            total, terms["r1"] = total + r1.weight * penalty, penalty
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def translators_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Fool both critics, come back, and leave alone what is in the domain already."""
        pair = self._pair(batch)
        a, b = pair.a, pair.b
        fake_b, fake_a = self.to_b(*a), self.to_a(*b)
        back_BTD = torch.cat((self.to_a(fake_b, *a[1:]), self.to_b(fake_a, *b[1:])))
        fooled_B = torch.cat((self.critic_b(fake_b, *a[1:]), self.critic_a(fake_a, *b[1:])))
        adversarial = pair.mean(torch.vmap(OBJECTIVES[self.config.objective].generator)(fooled_B))
        terms = {"adversarial": adversarial, "cycle": pair.distance(back_BTD, self.config.distance)}
        total = adversarial + self.config.cycle * terms["cycle"]
        if self.config.identity:
            same_BTD = torch.cat((self.to_a(*a), self.to_b(*b)))
            terms["identity"] = pair.distance(same_BTD, self.config.distance)
            total = total + self.config.identity * terms["identity"]
        with torch.no_grad():
            terms["change"] = pair.distance(torch.cat((fake_b, fake_a)))
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def domain_label(self) -> str:
        """The label whose two classes are A and B."""
        return self.config.domain

    def translate(self, batch: Batch, to: int) -> Tensor:
        """(B, T, D) motion of any number of frames in domain A (0) or B (1); ``ValueError`` for another index.

        Convolutions take it as a whole. With a basis its windows go through one by one, and what they become is
        faded into one another, numbers of features, speeds of the root among them.
        """
        if to not in (0, 1):
            raise ValueError(f"there are two domains, 0 and 1, not {to}")
        if not self.config.basis:
            return self._bring(batch, to)
        frames = self.shape.motion_frames or self.shape.frames

        def change(motion_VTD: Tensor, mask_VT: Tensor) -> Tensor:
            count = len(motion_VTD) // max(1, len(batch.motion_BTD))
            labels = {name: label.repeat_interleave(count) for name, label in batch.labels.items()}
            return self.expand(self._bring(self.project(Batch(motion_VTD, mask_VT, labels)), to))

        return cross_faded(batch.motion_BTD, batch.mask_BT, frames, change)

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) each window there and back again: A to B to A, or B to A to B."""
        is_b_B11 = (batch.labels[self.config.domain] == 1)[:, None, None]
        there = [self._bring(batch, to) for to in (1, 0)]
        back_a, back_b = (self._bring(batch._replace(motion_BTD=motion_BTD), to) for to, motion_BTD in enumerate(there))
        return torch.where(is_b_B11, back_b, back_a)

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        """(N, T, D) training windows from the bank, each translated to the other domain.

        As many are brought to a domain as it has training windows. ``how.labels`` may name the domain to bring them to
        and the condition's labels. Before ``begin`` normal numbers stand in for windows.
        """
        domain = self.config.domain
        self.refuse_draw(how, labels=(domain, *self.condition.names))
        weight_2 = self.share_2.flip(0)  # a window of A becomes one of B
        wanted = {name: index for name, index in how.labels.items() if name != domain}
        if domain in how.labels:
            wanted[domain] = 1 - how.labels[domain]
        batch = self.bank.draw(count, weight_2, wanted, generator=generator)
        to_a, to_b = (self._bring(batch, to) for to in (0, 1))
        is_b_N11 = (batch.labels[domain] == 1)[:, None, None]
        return torch.where(is_b_N11, to_a, to_b)[:, : self.sample_frames(how.frames)]

    def _bring(self, batch: Batch, to: int) -> Tensor:
        """(B, T, D) what networks see of the motion, in domain A (0) or B (1)."""
        motion_BTD: Tensor = (self.to_a, self.to_b)[to](batch.motion_BTD, batch.mask_BT, self.condition.of(batch))
        return motion_BTD

    def _pair(self, batch: Batch) -> Pair:
        return Pair.of(batch, batch.labels[self.config.domain], self.condition.of(batch), self.share_2)

    def _penalty(self, a: Judged, b: Judged) -> Tensor:
        """R1 of both critics, each at the windows of its domain, as a mean over rows like every other term."""
        rows = len(a.motion_BTD) + len(b.motion_BTD)
        penalty = torch.zeros((), device=a.motion_BTD.device)
        for critic, real, share in zip((self.critic_a, self.critic_b), (a, b), self.share_2.unbind(), strict=True):
            if count := len(real.motion_BTD):
                # forward, not call: a compiled network (train.compile) cannot be differentiated twice
                slope = r1_penalty(lambda x, c=critic, r=real: c.forward(x, *r[1:]), real.motion_BTD)
                penalty = penalty + slope * (0.5 * count / rows / share.clamp(min=1e-6))
        return penalty


def _translator(config: CycleGAN.Config, shape: MotionShape, side: int) -> nn.Module:
    """A new network ``(motion_BTD, mask_BT, side_BS) -> (B, T, D)`` that starts near the identity."""
    own, basis = config.translator, config.basis
    if basis is None:
        return Translator(shape.features, own.width, own.dilations, kernel=own.kernel, side=side)
    if own != TranslatorConfig():
        raise ValueError("family.translator: translators in a basis are as wide as the backbone; leave it out")
    return DenseTranslator(shape.frames, shape.features, basis.width, basis.layers, side=side)
