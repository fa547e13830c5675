"""The first losses of a family at a fixed seed, kept as text; run this file with its name to write them anew.

A refactor leaves them as they are; a change of the maths changes them, and the commit says why.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.backbone import BasisConfig
from motionsynth.families.base import Family, FamilyConfig, Loss, StepContext
from motionsynth.families.capabilities import LearnsByEM

sys.path.insert(0, str(Path(__file__).parent))
from two_ranks import float64

FOLDER = Path(__file__).parent / "golden"
SHAPE = MotionShape(frames=16, features=10, labels={"content": 3, "style": 2})
STEPS = 10


CONV = "-conv"
"""Ends the name of a case whose networks are convolutions; others have the family's own default."""


def cases_of(name: str) -> list[str]:
    """The families that one line of the registry stands for: its own, and one of convolutions where it can be."""
    backbone = family_class(name).Config.model_fields.get("backbone")
    return [name] if backbone is None or backbone.annotation is BasisConfig else [name, name + CONV]


def class_of(case: str) -> type[Family]:
    """The class of a case."""
    return family_class(case.removesuffix(CONV))


def config_of(case: str, **settings: Any) -> FamilyConfig:
    """Default settings of a case, but for those named."""
    backbone = {"backbone": {"kind": "conv"}} if case.endswith(CONV) else {}
    return class_of(case).Config.model_validate({"name": case.removesuffix(CONV), **backbone, **settings})


def make_family(case: str, seed: int = 0, shape: MotionShape = SHAPE) -> Family:
    """A new family of default settings; one whose networks see coefficients takes the numbers of a window for them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return class_of(case)(config_of(case), shape)


def make_batch(count: int = 8, seed: int = 0, shape: MotionShape = SHAPE) -> Batch:
    """Smooth waves of several lengths; every second window is padded."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(shape.frames) / shape.frames
    phase, rate, size = torch.rand(3, count, 1, shape.features, generator=generator).unbind()
    motion = (0.5 + size) * torch.sin(2 * torch.pi * (phase + (0.5 + rate) * time[:, None]))
    length = torch.where(torch.arange(count) % 2 == 0, shape.frames, torch.arange(count) + shape.frames // 2)
    mask = torch.arange(shape.frames) < length.clamp(max=shape.frames)[:, None]
    labels = {"content": torch.arange(count) % 3, "style": torch.arange(count) // 2 % 2}
    return Batch(motion.masked_fill(~mask[..., None], 0.0), mask, labels)


def make_windows(count: int = 64, seed: int = 0, shape: MotionShape = SHAPE) -> WindowSet:
    """As many of them, each of a clip of its own."""
    batch, index = make_batch(count, seed, shape), torch.arange(count)
    names = tuple(f"{place}.bvh" for place in range(count))
    return WindowSet.of(batch.motion_BTD, batch.mask_BT, batch.labels, index, torch.zeros_like(index), names)


def freeze_all_but(family: Family, trains: tuple[str, ...]) -> None:
    """What a trainer does before each phase."""
    for name, network in family.named_children():
        network.requires_grad_(name in trains)


def learn_by_em(family: Family, batches: Sequence[Batch], passes: int) -> list[float]:
    """What the trainer's rule does; the log-likelihood of the batches in each pass that has one."""
    generator = torch.Generator().manual_seed(1)
    likelihoods = []
    for _ in range(passes):
        statistics = family.new_statistics()
        for batch in batches:
            family.accumulate(batch, statistics)
        if "log_likelihood" in statistics:
            likelihoods.append(float(statistics["log_likelihood"]))
        family.maximise(statistics, generator=generator)
    return likelihoods


def learn_by_gradient(
    family: Family,
    batches: Sequence[Batch],
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    seed: int = 0,
) -> list[dict[str, Loss]]:
    """What the trainer's rule does, a batch a step; each step's losses by phase."""
    generator = torch.Generator().manual_seed(seed)
    optimisers = {
        phase.name: torch.optim.Adam(
            [p for part in phase.trains for p in getattr(family, part).parameters()], lr=lr, betas=betas
        )
        for phase in family.phases
    }
    losses: list[dict[str, Loss]] = []
    for step, batch in enumerate(batches):
        losses.append({})
        for phase in family.phases:
            if step % phase.every:
                continue
            freeze_all_but(family, phase.trains)
            loss = phase.loss(batch, StepContext(step, step / len(batches), generator))
            optimisers[phase.name].zero_grad()
            loss.total.backward()
            optimisers[phase.name].step()
            losses[-1][phase.name] = loss
    return losses


def first_losses(name: str) -> dict[str, list[float]]:
    """Phase -> its losses over the first steps of training; for a family without, minus its log-likelihoods.

    In float64: what one processor rounds otherwise than another in float32 grows within ten steps.
    """
    with float64():
        return _first_losses(name)


def _first_losses(name: str) -> dict[str, list[float]]:
    family = make_family(name)
    if isinstance(family, LearnsByEM):
        return {"em": [-value for value in learn_by_em(family, [make_batch(512, seed) for seed in range(3)], STEPS)]}
    steps = learn_by_gradient(family, [make_batch(seed=step) for step in range(STEPS)], seed=1)
    return {
        phase.name: [step[phase.name].total.item() for step in steps if phase.name in step] for phase in family.phases
    }


if __name__ == "__main__":
    for case in (case for name in sys.argv[1:] or FAMILIES for case in cases_of(name)):
        text = json.dumps(first_losses(case), indent=1)
        (FOLDER / f"{case}.json").write_text(text + "\n", encoding="utf-8")
