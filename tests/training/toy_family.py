"""A family that trains in milliseconds, with all that makes resuming hard: noise, two phases, a lazy penalty."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from motionsynth.config import RunConfig, TrainConfig
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.families import FAMILIES
from motionsynth.families.base import AdamConfig, Family, FamilyConfig, Loss, Phase, StepContext
from motionsynth.families.capabilities import SampleOptions
from motionsynth.runs.run import Run, create_run

FRAMES, FEATURES = 8, 3


class ToyConfig(FamilyConfig):
    PHASES: ClassVar[tuple[str, ...]] = ("critic", "generator")
    name: Literal["toy"] = "toy"
    optimise: dict[str, AdamConfig] = Field(
        default_factory=lambda: {"critic": AdamConfig(), "generator": AdamConfig(lr=1e-2, decay_share=0.5)}
    )
    break_at: int | None = None
    """Step whose adversarial term is NaN."""


class Toy(Family):
    """A linear generator and a linear critic, with a gradient penalty every second step."""

    Config = ToyConfig

    kill_at: ClassVar[tuple[int, int] | None] = None
    """Training step in whose generator phase this process receives a signal, and which."""

    def __init__(self, config: ToyConfig, shape: MotionShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.generator = nn.Linear(4, shape.frames * shape.features)
        self.critic = nn.Sequential(nn.Linear(shape.frames * shape.features, 8), nn.SiLU(), nn.Linear(8, 1))

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("critic", self.critic_loss, ("critic",)),
            Phase("generator", self.generator_loss, ("generator",), every=2),
        )

    def _decode(self, latent_NZ: Tensor) -> Tensor:
        drawn: Tensor = self.generator(latent_NZ)
        return drawn.unflatten(1, (self.shape.frames, self.shape.features))

    def critic_loss(self, batch: Batch, context: StepContext) -> Loss:
        fake_BTD = self._decode(context.normal(len(batch.motion_BTD), 4))
        assert not fake_BTD.requires_grad, "a frozen generator carries no graph"
        adversarial = (self.critic(fake_BTD.flatten(1)) - self.critic(batch.motion_BTD.flatten(1))).mean()
        terms = {"adversarial": adversarial.detach()}
        total = adversarial
        if context.step % 2 == 0:
            real_BTD = batch.motion_BTD.detach().requires_grad_(True)
            # forward, not call: a compiled network cannot be differentiated twice
            logit = self.critic.forward(real_BTD.flatten(1)).sum()
            (slope_BTD,) = torch.autograd.grad(logit, real_BTD, create_graph=True)
            penalty = slope_BTD.square().sum() / len(real_BTD)
            terms["penalty"] = penalty.detach()
            total = total + penalty
        return Loss(total, terms)

    def generator_loss(self, batch: Batch, context: StepContext) -> Loss:
        if Toy.kill_at and self.training and context.step == Toy.kill_at[0]:
            os.kill(os.getpid(), Toy.kill_at[1])
        fake_BTD = self._decode(context.normal(len(batch.motion_BTD), 4))
        adversarial = -self.critic(fake_BTD.flatten(1)).mean()
        if context.step == self.config.break_at:
            adversarial = adversarial * float("nan")
        size = fake_BTD.square().mean()
        return Loss(adversarial + size, {"adversarial": adversarial.detach(), "size": size.detach()})

    def sample(self, count: int, *, generator: torch.Generator, how: SampleOptions = SampleOptions()) -> Tensor:
        if how.frames not in (None, self.shape.frames):
            raise ValueError(f"toys have {self.shape.frames} frames")
        return self._decode(self.sample_latent(count, generator=generator))

    def sample_latent(self, count: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(count, 4, generator=generator, device=generator.device)


def register() -> None:
    """Make the family known in a process of its own; tests use the fixture ``toy_known``, which takes it back."""
    FAMILIES["toy"] = "tests.training.toy_family:Toy"


def make_run(path: Path, config: RunConfig | None = None) -> Run:
    """A new run directory of the toy family."""
    return create_run(
        path,
        config or make_config(),
        spec={"toy": True},
        width=FEATURES,
        labels={"content": ("only",)},
        normaliser={"mean": torch.zeros(FEATURES), "scale": torch.ones(FEATURES)},
        corpus_fingerprint="toys",
        splits={"train": ["clip_000"], "validation": ["clip_001"], "test": []},
        write_skeleton=lambda target: target.write_text("HIERARCHY\n") and None,
    )


def make_windows(count: int = 50, seed: int = 0) -> WindowSet:
    generator = torch.Generator().manual_seed(seed)
    return WindowSet.of(
        torch.randn(count, FRAMES, FEATURES, generator=generator),
        torch.ones(count, FRAMES, dtype=torch.bool),
        {"content": torch.zeros(count, dtype=torch.int64)},
        torch.arange(count) // 2,
        torch.arange(count) % 2 * 4,
        tuple(f"clip_{i:03}" for i in range((count + 1) // 2)),
    )


def make_config(*, break_at: int | None = None, **train: object) -> RunConfig:
    settings = {
        "batch_size": 8,
        "steps": 40,
        "seed": 3,
        "threads": 1,
        "precision": "float32",
        "ema_decay": 0.9,
        "clip_norm": 1.0,
        "log_every_steps": 3,
        "validate_every_steps": 10,
        "checkpoint_every_steps": 7,
    } | train
    if {"samples", "passes", "minutes"} & set(train):
        settings.pop("steps")
    return RunConfig(
        data=DataConfig(window_frames=FRAMES),
        family=ToyConfig(break_at=break_at),
        train=TrainConfig.model_validate(settings),
    )


SHAPE = MotionShape(FRAMES, FEATURES, {"content": 1})

__all__ = ["FEATURES", "FRAMES", "SHAPE", "Toy", "ToyConfig", "make_config", "make_run", "make_windows", "register"]
