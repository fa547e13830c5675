"""Flow matching: a velocity field carries noise to motion along straight lines, and its density can be computed.

Shapes: B batch, N samples, T frames, D features, P = T D numbers of a window, S numbers of the condition.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.families.backbone import BasisConfig
from motionsynth.families.base import AdamConfig, Family, FamilyConfig, Loss, Phase, StepContext
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.condition import Condition
from motionsynth.families.probability_flow import Solver, Velocity, integrate, log_density
from motionsynth.nn.velocity import VelocityField

__all__ = ["Flow"]


class Flow(Family):
    """``min E_{t, x, e} |v(x_t, t) - (x - e)|^2`` with ``x_t = (1 - t) e + t x``, e ~ N(0, I), t ~ U(0, 1).

    Samples follow ``dx/dt = v(x, t)`` from noise at t = 0 to motion at t = 1. The squared error bounds the forward KL
    divergence, as a VAE's loss does, but what is made is neither an average nor the outcome of a game. The log-density
    of what it makes is ``log N(x_0) - int div v dt`` along the same path.

    References:
        Lipman et al., Flow Matching for Generative Modeling, 2023; Liu, Gong & Liu, Flow Straight and Fast, 2023;
        Grathwohl et al., FFJORD, 2019, for the trace by random probes; Ho & Salimans, Classifier-Free Diffusion
        Guidance, 2022.
    """

    class Config(FamilyConfig):
        """Settings of flow matching."""

        PHASES: ClassVar[tuple[str, ...]] = ("match",)

        name: Literal["flow"] = "flow"
        backbone: BasisConfig = BasisConfig(width=640, layers=6)
        """The basis that windows are coefficients of, and the size of the velocity field."""
        condition: tuple[str, ...] = ()
        """Labels that the velocity field is conditioned on, such as ``[content, style]``."""
        dropout: float = Field(0.1, ge=0, lt=1)
        """Share of the hidden numbers that are dropped in training; without it the field learns windows by heart."""
        solver: Solver = "heun"
        """Rule by which paths are followed: ``heun`` takes two evaluations a step, ``euler`` one."""
        evaluations: int = Field(40, ge=2)
        """Evaluations of the velocity field, for a sample."""
        guidance: float = Field(1.0, ge=0)
        """Weight of the velocities under labels against those without: 1 leaves them as they were learnt."""
        label_dropout: float = Field(0.1, ge=0, lt=1)
        """Share of training windows whose labels are withheld, which guidance needs."""
        probes: int = Field(4, ge=0)
        """Random directions by which a log-density's divergence is estimated; 0 takes all directions, exactly."""
        optimise: dict[str, AdamConfig] = Field(default={"match": AdamConfig(lr=5e-4, decay_share=0.3)})
        """Adam by phase."""

        @property
        def basis(self) -> BasisConfig | None:
            """Basis of the backbone."""
            return self.backbone

    def __init__(self, config: Config, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.condition = Condition(config.condition, shape.labels)
        self.size = shape.frames * shape.features
        width, layers = config.backbone.width, config.backbone.layers
        side = self.condition.width
        self.field = VelocityField(self.size, width, layers, side=side)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One: the field learns the velocities of straight lines."""
        return (Phase("match", self.matching_loss, ("field",)),)

    def begin(self, windows: WindowSet) -> None:
        """Note how often labels stand together."""
        self.condition.observe(windows.labels)

    def matching_loss(self, batch: Batch, context: StepContext) -> Loss:
        """Mean squared error of a velocity, over the numbers of the frames that are there."""
        mask_BP = batch.mask_BT[..., None].expand_as(batch.motion_BTD).flatten(1)
        motion_BP = batch.motion_BTD.flatten(1).masked_fill(~mask_BP, 0.0)
        noise_BP = context.normal(*motion_BP.shape)
        time_B = context.uniform(len(motion_BP))
        place_BP = torch.lerp(noise_BP, motion_BP, time_B[:, None]).masked_fill(~mask_BP, 0.0)
        side_BS = self.condition.of(batch)
        if side_BS is not None and self.training:
            kept_B = context.uniform(len(side_BS)) >= self.config.label_dropout
            side_BS = side_BS * kept_B[:, None]
        velocity_BP = self.field(place_BP, time_B, side_BS, self._dropout(len(place_BP), context))
        error_BP = (velocity_BP - (motion_BP - noise_BP)).masked_fill(~mask_BP, 0.0)
        total = error_BP.square().sum() / context.mean(mask_BP.sum().float())
        return Loss(total, {"velocity_error": total.detach()})

    def _dropout(self, count: int, context: StepContext) -> Tensor | None:
        """(L, B, C) zero for hidden numbers that are dropped and more than 1 for the others; None for no dropout."""
        dropout, backbone = self.config.dropout, self.config.backbone
        if not (self.training and dropout):
            return None
        drawn_BLC = context.uniform(count, backbone.layers, backbone.width)
        return (drawn_BLC >= dropout).to(drawn_BLC.dtype).transpose(0, 1) / (1 - dropout)

    @property
    def latent_dim(self) -> int:
        """P: noise is as large as a window."""
        return self.size

    def side(self, batch: Batch) -> Tensor | None:
        """(B, S) condition of a batch; None for a family without one."""
        return self.condition.of(batch)

    def sample_latent(self, count: int, *, generator: torch.Generator, prior: str | None = None) -> Tensor:
        """(N, P) standard normal noise."""
        return torch.randn(count, self.size, generator=generator, device=generator.device)

    def draw_latents(
        self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()
    ) -> tuple[Tensor, Tensor | None]:
        """(N, P) noise and the (N, S) condition that ``sample`` decodes; see ``Decodes``."""
        self.refuse_draw(how, labels=self.condition.names)
        side_NS = self.condition.draw(count, how.labels, generator=generator)
        return self.sample_latent(count, generator=generator, prior=how.prior), side_NS

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        """(N, T, D) ends of paths from noise; see ``Family.sample``."""
        return self.decode(*self.draw_latents(count, generator=generator, how=how), how.frames)

    def decode(self, z_BZ: Tensor, side_BS: Tensor | None = None, frames: int | None = None) -> Tensor:
        """(B, T, D) where paths from noise end."""
        motion_BP = integrate(self._velocity(side_BS), z_BZ, 0.0, 1.0, self.config.solver, self.config.evaluations)
        motion_BTD = motion_BP.reshape(-1, self.shape.frames, self.shape.features)
        return motion_BTD if self.basis else motion_BTD[:, :frames]

    def encode(self, batch: Batch) -> Tensor:
        """(B, P) noise that ends at the windows: their paths followed backwards."""
        velocity = self._velocity(self.condition.of(batch))
        motion_BP = batch.motion_BTD.flatten(1)
        return integrate(velocity, motion_BP, 1.0, 0.0, self.config.solver, self.config.evaluations)

    def reconstruct(self, batch: Batch) -> Tensor:
        """(B, T, D) windows there and back, which differ by the solver's error alone."""
        return self.decode(self.encode(batch), self.condition.of(batch))

    def log_density(self, batch: Batch) -> Tensor:
        """(B,) float64 log-density of windows, in nats; padded frames are taken for motion.

        With a basis it is the density of the coefficients. What it leaves out of a window is the same for all models.
        """
        velocity = self._velocity(self.condition.of(batch))
        generator = torch.Generator(batch.motion_BTD.device).manual_seed(0)
        count, probes = self.config.evaluations, self.config.probes
        return log_density(velocity, batch.motion_BTD.flatten(1), count, probes=probes, generator=generator)

    def _velocity(self, side_BS: Tensor | None) -> Velocity:
        """The field under a condition, with guidance."""
        guidance = self.config.guidance

        def velocity(place_BP: Tensor, time_B: Tensor) -> Tensor:
            if side_BS is None:
                return self.field(place_BP, time_B)  # type: ignore[no-any-return]
            labels_BS = side_BS.repeat(len(place_BP) // len(side_BS), 1)  # several directions a window
            conditional_BP: Tensor = self.field(place_BP, time_B, labels_BS)
            if guidance == 1:
                return conditional_BP
            return torch.lerp(self.field(place_BP, time_B, torch.zeros_like(labels_BS)), conditional_BP, guidance)

        return velocity
