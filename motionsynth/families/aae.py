"""Adversarial autoencoder: an autoencoder whose codes fool a critic of latents.

Shapes: B batch, N samples, T frames, D features, Z latent dimensions, K components.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import Anchor, ProximalConfig, R1Config, adversary_terms
from motionsynth.families.autoencoding import Autoencoding, PosteriorKind, reconstruction_error
from motionsynth.families.base import AdamConfig, Loss, Phase, StepContext
from motionsynth.families.latent import CodedConfig
from motionsynth.losses.adversarial import OBJECTIVES, r1_penalty
from motionsynth.losses.matching import mmd_to_mixture
from motionsynth.nn.critic import LatentCritic
from motionsynth.settings import FrozenConfig

__all__ = ["AAE", "MixtureConfig", "equidistant_means"]

_OBJECTIVE = OBJECTIVES["nonsaturating"]


class MixtureConfig(FrozenConfig):
    """A fixed mixture of Gaussians in the latent space, all of one weight and width, their means equally far apart."""

    components: int = Field(8, ge=2)
    """K; at most one more than the latents, but any number on the circle that two latents give."""
    radius: float = Field(4.0, gt=0)
    """Distance of every mean from the origin."""
    sigma: float = Field(1.0, gt=0)
    """Standard deviation of every component along every axis."""


def equidistant_means(components: int, latent_dim: int, radius: float) -> Tensor:
    """(K, Z) points on the sphere of that radius: the corners of a regular simplex, of a polygon where Z is 2.

    Raises:
        ValueError: so many do not fit at equal distances.
    """
    if latent_dim == 2:
        angle_K = 2 * math.pi * torch.arange(components) / components
        return radius * torch.stack((angle_K.cos(), angle_K.sin()), 1)
    if components > latent_dim + 1:
        raise ValueError(
            f"components: {latent_dim} latents hold at most {latent_dim + 1} means at equal distances, not {components}"
        )
    # Helmert's rows span what is orthogonal to (1, ..., 1); in that basis the unit vectors are the corners
    row_I = torch.arange(1.0, components)
    helmert_IK = torch.ones(components - 1, components).tril() - torch.diag(row_I, 1)[:-1]
    helmert_IK = helmert_IK / (row_I * (row_I + 1)).sqrt()[:, None]
    mean_KZ = F.pad(helmert_IK.T, (0, latent_dim + 1 - components))
    return radius * F.normalize(mean_KZ, dim=1)


class AAE(Autoencoding):
    """An autoencoder and a game about its codes, in turn.

    ``reconstruct: min E_x |x - Dec(Enc(x))|^2`` per number;
    ``critic: min -E_{z~q(z)}[log D(z)] - E_x[log(1 - D(Enc(x)))]``;
    ``fool: min -E_x[log D(Enc(x))] + weight E_x |Enc(x) - Enc0(x)|^2``.

    What the critic calls real is the prior q(z): N(0, I) or a mixture. Enc0 is the encoder some steps ago; the term is
    off by default. ``reconstruct`` moves the encoder too, and so the term holds it back from what both phases do.

    References:
        Makhzani et al., Adversarial Autoencoders, 2016; section 2 for codes that are points or Gaussians.
    """

    mean_KZ: Tensor

    class Config(CodedConfig):
        """Settings of the adversarial autoencoder."""

        PHASES: ClassVar[tuple[str, ...]] = ("reconstruct", "critic", "fool")

        name: Literal["aae"] = "aae"
        prior: Literal["normal", "mixture"] = "normal"
        """Target distribution of codes."""
        mixture: MixtureConfig = MixtureConfig()
        """The prior where it is a mixture."""
        posterior: PosteriorKind = "point"
        """``gaussian``: the encoder gives mean and variance, and codes are drawn from them."""
        critic: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (256, 256)
        """Numbers in each hidden layer of the critic of latents."""
        r1: R1Config = R1Config(gamma=0.0)
        """Gradient penalty of the critic at draws of the prior."""
        proximal: ProximalConfig | None = None
        """Pull of the encoder, while it fools, towards what it was; the error is summed over latents. None for none."""
        optimise: dict[str, AdamConfig] = Field(
            default={
                "reconstruct": AdamConfig(),
                "critic": AdamConfig(lr=1e-3, betas=(0.0, 0.99)),
                "fool": AdamConfig(lr=2e-4, betas=(0.0, 0.99)),
            }
        )
        """Adam by phase."""

        @model_validator(mode="after")
        def _means_fit(self) -> Self:
            if self.prior == "mixture":
                equidistant_means(self.mixture.components, self.latent_dim, self.mixture.radius)
            return self

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape, config.posterior)
        self.config = config
        self.critic = LatentCritic(config.latent_dim, config.critic, side=self.condition.width)
        mixture = config.mixture
        self.sigma = mixture.sigma if config.prior == "mixture" else 1.0
        self.register_buffer(
            "mean_KZ",
            equidistant_means(mixture.components, config.latent_dim, mixture.radius)
            if config.prior == "mixture"
            else torch.zeros(1, config.latent_dim),
            persistent=False,
        )
        if config.proximal:
            self.anchor = Anchor(self.encoder)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Three: the autoencoder reconstructs, the critic tells codes from draws, the encoder fools it."""
        return (
            Phase("reconstruct", self.reconstruction_loss, ("encoder", "decoder")),
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("fool", self.fool_loss, ("encoder",)),
        )

    @property
    def priors(self) -> tuple[str, ...]:
        """The one that codes were made to follow, and the one fitted on what they became."""
        return (self.config.prior, "fitted")

    def reconstruction_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Mean squared error over the frames that are there."""
        motion_BTD = self.decode(self.draw_code(batch, context), self.condition.of(batch))
        mse = reconstruction_error(batch, motion_BTD, context)
        return Loss(mse, {"mse": mse.detach()})

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Classify draws of the prior, which are real here, and codes; both with the labels of the batch."""
        side_BS = self.condition.of(batch)
        with torch.no_grad():
            code_BZ = self.draw_code(batch, context)
        drawn_BZ = self._draw(len(code_BZ), context)
        real_B, fake_B = self.critic(drawn_BZ, side_BS), self.critic(code_BZ, side_BS)
        adversarial = total = _OBJECTIVE.critic(real_B, fake_B)
        terms = {"adversarial": adversarial} | adversary_terms(_OBJECTIVE, real_B.detach(), fake_B.detach())
        r1 = self.config.r1
        if self.training and r1.due(context.step):
            terms["r1"] = r1_penalty(lambda z_BZ: self.critic.forward(z_BZ, side_BS), drawn_BZ)
            total = adversarial + r1.weight * terms["r1"]
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def fool_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Make codes pass for draws of the prior; how near they are to it is reported in eval mode."""
        posterior, proximal = self.posterior(batch), self.config.proximal
        code_BZ = posterior.draw(context.normal(*posterior.mean_BZ.shape))
        total = adversarial = _OBJECTIVE.generator(self.critic(code_BZ, self.condition.of(batch)))
        terms = {"adversarial": adversarial}
        if proximal:
            if self.training and context.step % proximal.refresh == 0:
                self.anchor.refresh(self.encoder)
            before_BZ = self.anchor.recall(self.encoder, batch.motion_BTD, batch.mask_BT, self.condition.of(batch))
            shift_BZ = posterior.mean_BZ - before_BZ[:, : self.latent_dim]
            terms["proximal"] = shift_BZ.square().sum(1).mean()
            total = adversarial + proximal.weight * terms["proximal"]
        if not self.training:
            terms["mmd"] = mmd_to_mixture(code_BZ, self.mean_KZ, self.sigma)
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, Z) draws from one of the ``priors``; the first where None."""
        z_NZ = super().sample_latent(count, generator=generator, prior=prior or self.config.prior)
        if (prior or self.config.prior) != "mixture":
            return z_NZ
        component_N = torch.randint(len(self.mean_KZ), (count,), generator=generator, device=generator.device)
        return self.mean_KZ[component_N] + self.sigma * z_NZ

    def _draw(self, count: int, context: StepContext) -> Tensor:
        """(B, Z) draws from the prior for the rows of this process."""
        component_B = context.integers(len(self.mean_KZ), count)
        return self.mean_KZ[component_B] + self.sigma * context.normal(count, self.latent_dim)
