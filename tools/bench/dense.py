"""Steps of the networks on coefficients against the same arithmetic by hand: ``python -m tools.bench.dense``.

The trainer, with journal, checks and moving average, takes turns of a few steps with a loop that holds nothing but the
arithmetic: batch, forward, backward, fused Adam, average. Time is the process's own, and the ratio is the median over
turns, so that other programs count little. Then: what is left of a step where batch and layers are next to nothing,
which is what Python and the calls of operators take; what a checkpoint takes; and a whole training of ``vae`` against
one with the convolutions that were its networks before.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.config import RunConfig, load_config
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.windows import WindowSet
from motionsynth.families.base import Family, StepContext
from motionsynth.nn.critic import minibatch_stddev
from motionsynth.training.determinism import build_family, torch_threads
from motionsynth.training.journal import Journal
from motionsynth.training.trainer import Trainer
from motionsynth.walkers.corpus import make_walkers

__all__ = ["LOSSES", "main"]

CONFIGS: Final = Path(__file__).parents[2] / "configs" / "run"
LIMIT: Final = 1.15
BATCH: Final = 128
CONVOLUTIONS: Final = (
    "family.backbone={kind: conv}",
    "family.latent_dim=16",
    "train.steps=3000",
    "train.batch_size=64",
)
"""Settings of the ``vae`` that the networks on coefficients took the place of."""
_TINY: Final = 4
"""Windows of a batch, coefficients, and numbers of a layer of networks without arithmetic to speak of."""


class Setting(NamedTuple):
    """What all arms of one family have in common."""

    config: RunConfig
    corpus: Corpus
    windows: WindowSet
    folder: Path

    def build(self) -> Family:
        """The family with its first weights."""
        family = build_family(self.config.family, self.corpus.shape, 0)
        family.begin(self.windows)
        return family.train()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a block for each family, and the ratio of whole trainings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of BVH files, or a YAML of data; walkers are made without")
    parser.add_argument("--families", nargs="+", default=["vae", "gan", "flow"])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--steps", type=int, default=6, help="steps of a turn")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch, torch_threads(options.threads):
        folder = Path(scratch)
        data = options.data or folder / "walkers"
        if options.data is None:
            make_walkers(data, clips=200)
        corpora: dict[str, Corpus] = {}
        for name in options.families:
            config = _on_basis(name, data, options.threads)
            corpus = corpora.setdefault(config.data.model_dump_json(), open_corpus(config.data))
            basis = corpus.basis(config.family.basis)
            assert basis
            setting = Setting(config, corpus, basis.project(corpus.windows("train")), folder)
            _report(setting, options.turns, options.steps)
            if name == "vae":
                _report_training(setting, data, options.turns)


def _on_basis(name: str, data: Path, threads: int) -> RunConfig:
    """The shipped settings of a family, on coefficients."""
    overrides = [f"train.threads={threads}", "train.precision=float32", f"train.batch_size={BATCH}"]
    return load_config(CONFIGS / f"{name}.yaml", data=data, overrides=overrides)


def _report(setting: Setting, turns: int, steps: int) -> None:
    family = setting.build()
    weights = sum(weight.numel() for weight in family.parameters())
    hand = _arithmetic(family, setting.config, setting.windows.as_batch().motion_BTD)
    times = _in_turns(setting, turns, steps, {"by hand": lambda: next(hand)})
    tiny = statistics.median(_in_turns(_without_arithmetic(setting), 5, 10 * steps, {})["trainer"])
    trainer, alone = statistics.median(times["trainer"]), statistics.median(times["by hand"])
    ratio = statistics.median(a / b for a, b in zip(times["trainer"], times["by hand"], strict=True))
    print(f"\n{setting.config.family.name}: batch {BATCH}, {weights:,} weights, {torch.get_num_threads()} threads")
    print(f"  arithmetic by hand            {1e3 * alone:8.2f} ms a step")
    print(f"  trainer, journal, average     {1e3 * trainer:8.2f} ms, {ratio:.3f}x; limit {LIMIT}x")
    print(f"  Python and calls of operators {1e3 * tiny:8.2f} ms, {tiny / trainer:.1%} of it")
    saved = times["checkpoint"][0]
    every = setting.config.train.checkpoint_every_steps
    print(f"  a checkpoint                  {1e3 * saved:8.2f} ms, {saved / every / trainer:.2%} of {every} steps")


def _report_training(setting: Setting, data: Path, turns: int) -> None:
    """Compare whole trainings: the trainer's on coefficients, and the arithmetic alone of one by convolutions."""
    path = CONFIGS / f"{setting.config.family.name}.yaml"
    before = load_config(
        path,
        data=data,
        overrides=[f"train.threads={torch.get_num_threads()}", "train.precision=float32", *CONVOLUTIONS],
    )
    old = setting._replace(config=before, windows=setting.corpus.windows("train")).build()
    step = _by_phases(old, before, setting.corpus.windows("train"))
    times = _in_turns(setting, turns, 3, {"convolutions": lambda: next(step)})
    new_steps, old_steps = setting.config.train.steps or 0, before.train.steps or 0
    ratio = statistics.median(a / b for a, b in zip(times["trainer"], times["convolutions"], strict=True))
    seconds = (new_steps * statistics.median(times["trainer"]), old_steps * statistics.median(times["convolutions"]))
    print(f"  {new_steps} steps of {BATCH} on coefficients: {seconds[0]:.0f} s of processor time;", end="")
    print(f" {old_steps} of {before.train.batch_size} by convolutions: {seconds[1]:.0f} s;", end="")
    print(f" {ratio * new_steps / old_steps:.3f} of theirs")


class _Turns:
    """Listens to a trainer: at each row the others take their turn, and everyone's processor time is noted."""

    def __init__(self, steps: int, others: Mapping[str, Callable[[], object]]) -> None:
        self.steps, self.others = steps, others
        self.times: dict[str, list[float]] = {name: [] for name in ("trainer", *others)}
        self.since = 0.0

    def on_log(
        self, step: int, total: int, metrics: Mapping[str, float], steps_per_second: float, seconds_left: float
    ) -> None:
        """Note what the trainer took since its last turn, and let the others have theirs."""
        taken = {"trainer": time.process_time() - self.since}
        for name, take_step in self.others.items():
            start = time.process_time()
            for _ in range(self.steps):
                take_step()
            taken[name] = time.process_time() - start
        if step > self.steps:  # the first turn warms up
            for name, seconds in taken.items():
                self.times[name].append(seconds / self.steps)
        self.since = time.process_time()


def _in_turns(setting: Setting, turns: int, steps: int, others: Mapping[str, Callable[[], object]]) -> dict[str, Any]:
    """Seconds a step of the trainer and of others by turn, and of a checkpoint: that at the end, in no turn."""
    total = steps * (turns + 1)
    settings = {"steps": total, "log_every_steps": steps, "checkpoint_every_steps": total + 1}
    train, listener = setting.config.train.model_copy(update=settings), _Turns(steps, others)
    folder = Path(tempfile.mkdtemp(dir=setting.folder))
    with Journal(folder / "metrics.jsonl") as journal:
        trainer = Trainer(
            setting.build(),
            setting.config.family,
            train,
            setting.windows,
            journal=journal,
            checkpoints=folder / "checkpoints",
            listener=listener,
        )
        listener.since = time.process_time()
        result = trainer.fit()
    if result.exit_code:
        raise SystemExit(result.exit_code)
    return listener.times | {"checkpoint": [time.process_time() - listener.since]}


def _without_arithmetic(setting: Setting) -> Setting:
    """The same phases, with a few windows of a few coefficients and layers of a few numbers."""
    config, windows = setting.config, setting.windows
    backbone = config.family.basis
    assert backbone
    small = backbone.model_copy(update={"components": _TINY, "width": _TINY})
    family = config.family.model_copy(update={"backbone": small})
    train = config.train.model_copy(update={"batch_size": _TINY})
    few = replace(windows, rows_FD=windows.rows_FD[:, :_TINY].contiguous())
    return setting._replace(config=config.model_copy(update={"family": family, "train": train}), windows=few)


def _arithmetic(family: Any, config: RunConfig, motion_NTD: Tensor) -> Iterator[None]:
    """Steps that hold a family's arithmetic and nothing else, one for each ``next``."""
    learners = {
        phase.name: [w for n in phase.trains for w in getattr(family, n).parameters()] for phase in family.phases
    }
    adam = config.family.optimise
    optimisers = {
        name: torch.optim.AdamW(weights, lr=adam[name].lr, betas=adam[name].betas, fused=True)
        for name, weights in learners.items()
    }
    weights = list(family.parameters())
    averages = [weight.detach().clone() for weight in weights]
    generator = torch.Generator().manual_seed(0)
    for step in count():
        x_BP = motion_NTD[torch.randint(len(motion_NTD), (config.train.batch_size,), generator=generator)].flatten(1)
        for phase, learnt in learners.items():
            LOSSES[config.family.name, phase](family, x_BP, step, generator).backward(inputs=learnt)  # type: ignore[no-untyped-call]
            optimisers[phase].step()
            optimisers[phase].zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 0.002)
        yield


def _by_phases(family: Family, config: RunConfig, windows: WindowSet) -> Iterator[None]:
    """Steps of forward, backward and fused Adam as a family's phases have them, on one batch, for each ``next``."""
    batch = windows.batch(torch.arange(config.train.batch_size) % len(windows))
    generator = torch.Generator().manual_seed(0)
    optimisers = {
        phase.name: torch.optim.AdamW([w for n in phase.trains for w in getattr(family, n).parameters()], fused=True)
        for phase in family.phases
    }
    for step in count():
        for phase in family.phases:
            phase.loss(batch, StepContext(step, 0.5, generator)).total.backward()  # type: ignore[no-untyped-call]
            optimisers[phase.name].step()
            optimisers[phase.name].zero_grad()
        yield


def _bound(family: Any, x_BP: Tensor, step: int, generator: torch.Generator) -> Tensor:
    """Minus the evidence lower bound, at a KL weight of one."""
    encoder, config = family.encoder, family.config
    mean_BZ, log_variance_BZ = encoder.head(F.leaky_relu(encoder.trunk.layers(x_BP), 0.2)).chunk(2, 1)
    noise_BZ = torch.randn(mean_BZ.shape, generator=generator)
    decoded_BP = family.decoder.layers(mean_BZ + noise_BZ * (0.5 * log_variance_BZ).exp())
    square_BP = (decoded_BP - x_BP).square()
    mean_P = square_BP.detach().mean(0)
    alike = config.sigma.kind != "per_feature"
    variance_P = (mean_P.mean().expand_as(mean_P) if alike else mean_P).clamp(min=config.sigma.floor**2)
    nll = 0.5 * ((2 * torch.pi * variance_P).log().sum() + (square_BP / variance_P).sum(1).mean())
    kl_BZ = 0.5 * (mean_BZ.square() + log_variance_BZ.expm1() - log_variance_BZ)
    return nll + kl_BZ.sum(1).mean()  # type: ignore[no-any-return]


def _logit(critic: Any, x_BP: Tensor) -> Tensor:
    hidden_B1C = F.leaky_relu(critic.trunk.layers(x_BP), 0.2)[:, None]
    if critic.group:
        hidden_B1C = torch.cat((hidden_B1C, minibatch_stddev(hidden_B1C, critic.group)), 2)
    return critic.head(F.leaky_relu(critic.hidden(hidden_B1C.flatten(1)), 0.2)).squeeze(1)  # type: ignore[no-any-return]


def _made(family: Any, x_BP: Tensor, generator: torch.Generator) -> Tensor:
    z_BZ = torch.randn(len(x_BP), family.latent_dim, generator=generator)
    return family.generator.layers(z_BZ)  # type: ignore[no-any-return]


def _telling(family: Any, x_BP: Tensor, step: int, generator: torch.Generator) -> Tensor:
    """The critic's non-saturating loss, with the penalty where it is due."""
    with torch.no_grad():
        fake_BP = _made(family, x_BP, generator)
    # real and generated windows stay in groups of their own, as the batch is a multiple of the group
    real_B, fake_B = _logit(family.critic, torch.cat((x_BP, fake_BP))).chunk(2)
    total = F.softplus(-real_B).mean() + F.softplus(fake_B).mean()
    r1 = family.config.r1
    if r1.due(step):
        at_BP = x_BP.detach().requires_grad_()
        (slope_BP,) = torch.autograd.grad(_logit(family.critic, at_BP).sum(), at_BP, create_graph=True)
        total = total + r1.weight * slope_BP.square().sum(1).mean()
    return total


def _fooling(family: Any, x_BP: Tensor, step: int, generator: torch.Generator) -> Tensor:
    return F.softplus(-_logit(family.critic, _made(family, x_BP, generator))).mean()


def _matching(family: Any, x_BP: Tensor, step: int, generator: torch.Generator) -> Tensor:
    """Squared error of a velocity, with dropout."""
    backbone, dropout = family.config.backbone, family.config.dropout
    noise_BP = torch.randn(x_BP.shape, generator=generator)
    time_B = torch.rand(len(x_BP), generator=generator)
    drawn_BLC = torch.rand(len(x_BP), backbone.layers, backbone.width, generator=generator)
    gain_LBC = (drawn_BLC >= dropout).float().div_(1 - dropout).transpose(0, 1)
    velocity_BP: Tensor = family.field(torch.lerp(noise_BP, x_BP, time_B[:, None]), time_B, None, gain_LBC)
    return (velocity_BP - (x_BP - noise_BP)).square().mean()


LOSSES: Final[dict[tuple[str, str], Callable[[Any, Tensor, int, torch.Generator], Tensor]]] = {
    ("vae", "all"): _bound,
    ("gan", "critic"): _telling,
    ("gan", "generator"): _fooling,
    ("flow", "match"): _matching,
}
"""Family and phase -> its loss by hand."""


if __name__ == "__main__":
    main()
