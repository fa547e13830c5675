"""One of two processes that train together, for ``test_distributed``: ``ranks_worker.py FOLDER`` runs every case once.

What each case returns is left in ``FOLDER/RANK.pt``, or the error that it met.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from motionsynth.config import TrainConfig
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import MotionSynthError
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.backbone import CriticConfig
from motionsynth.families.base import EMConfig, Family, FamilyConfig, StepContext
from motionsynth.families.gmm import GMM
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run, open_run
from motionsynth.training.determinism import build_family, initial_weights
from motionsynth.training.distributed import Ranks, joined_ranks
from motionsynth.training.em import EMRule
from motionsynth.training.order import BatchOrder
from motionsynth.training.rules import GradientRule
from motionsynth.training.trainer import Trainer, TrainingResult
from tests.bases import plain_basis
from tests.families.golden_losses import SHAPE, cases_of, class_of, config_of, make_batch, make_windows
from tests.families.two_ranks import float64
from tests.training import toy_family
from tests.training.toy_family import Toy

STEPS = 100
CASES: dict[str, Callable[[Ranks, Path], Any]] = {}


def case(function: Callable[[Ranks, Path], Any]) -> Callable[[Ranks, Path], Any]:
    CASES[function.__name__] = function
    return function


def small(case: str) -> FamilyConfig:
    """A configuration of small networks, which several processes may train."""
    fields = class_of(case).Config.model_fields
    backbone: dict[str, Any] = {"kind": "conv", "widths": [8]}
    if config_of(case).basis:
        backbone = {"kind": "basis", "components": 12, "width": 8, "layers": 2}
    wanted: dict[str, Any] = {"backbone": backbone, "pool": 0}
    if backbone["kind"] == "conv":
        wanted["translator"] = {"width": 8, "dilations": [1]}
        if "critic" in fields and isinstance(critic := fields["critic"].default, CriticConfig):
            wanted["critic"] = critic.model_copy(update={"widths": (8,)})
    return config_of(case, **{key: value for key, value in wanted.items() if key in fields})


def shared_families() -> list[str]:
    """All that learn by gradient and that several processes may train, but for the tests' own."""
    names = [name for name in FAMILIES if name != "toy" and not issubclass(family_class(name).Config, EMConfig)]
    return [case for name in names for case in cases_of(name) if not small(case).alone]


PLAIN = {"batch_size": 8, "steps": STEPS, "precision": "float32", "ema_decay": 0.9, "clip_norm": 1.0}


def train_config(**settings: object) -> TrainConfig:
    return TrainConfig.model_validate(PLAIN | settings)


def numbers(family: Family) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in family.state_dict().items()}


@case
def families(ranks: Ranks, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every family by gradient, through the trainer."""
    learnt = {}
    for name in shared_families():
        config = small(name)
        shape, windows = SHAPE, make_windows(52)
        if config.basis:
            basis = plain_basis(SHAPE.frames, SHAPE.features, config.basis.components)
            shape, windows = replace(SHAPE, basis=basis), basis.project(windows)
        trainer = Trainer(build_family(config, shape, 0), config, train_config(), windows, ranks=ranks)
        trainer.fit()
        learnt[name] = numbers(trainer.family)
    return learnt


FLOAT64_CASES = ("vae", "gan", "vae-conv", "gan-conv")


def steps_in_float64(name: str, ranks: Ranks) -> dict[str, torch.Tensor]:
    """Weights after some steps of the rule; one process and two must agree on them."""
    with float64():
        config = small(name)
        with initial_weights(0):
            family = class_of(name)(config, SHAPE)
        rule = GradientRule(family.train(), config.optimise, train_config(), ranks=ranks)
        rule.family.begin(make_windows())
        generator = torch.Generator().manual_seed(1)
        for step in range(5):
            batch = make_batch(seed=step)
            rows = ranks.cut(torch.arange(len(batch.motion_BTD)))
            labels = {label: value[rows] for label, value in batch.labels.items()}
            batch = batch._replace(
                motion_BTD=batch.motion_BTD[rows].double(), mask_BT=batch.mask_BT[rows], labels=labels
            )
            rule.step(batch, StepContext(step, 0.5, generator, ranks.rank, ranks.size, ranks.mean))
        return numbers(rule.family) | {"row/" + k: torch.tensor(v) for k, v in rule.collect(0.5).items()}


@case
def float64_steps(ranks: Ranks, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {name: steps_in_float64(name, ranks) for name in FLOAT64_CASES}


class Heard:
    """The last row that a trainer told."""

    def on_log(self, step: int, total: int, metrics: Mapping[str, float], rate: float, left: float) -> None:
        self.metrics = dict(metrics)


def learn_mixture(ranks: Ranks, windows: int) -> tuple[dict[str, torch.Tensor], list[float], int]:
    """A mixture to its end; with 49 windows the last batch has one, with 51 three."""
    config = GMM.Config(components=3, latent_dim=2, axes=8, tolerance=1e-3, start_windows=20)
    train = TrainConfig(passes=15, batch_size=8, checkpoint_every_steps=3)
    heard = Heard()
    family, learnt_from = build_family(config, SHAPE, 0), whole_windows(windows)
    trainer = Trainer(family, config, train, learnt_from, listener=heard, ranks=ranks)
    result = trainer.fit()
    return result.weights, [value for name, value in heard.metrics.items() if "likelihood" in name], result.step


def statistics_by_pass(ranks: Ranks) -> list[dict[str, torch.Tensor]]:
    """What each of the first passes adds up: those that look for axes, the one for k-means, and those that learn."""
    config, windows = GMM.Config(components=3, latent_dim=2, axes=8, start_windows=20), whole_windows(51)
    rule = EMRule(build_family(config, SHAPE, 0), config, train_config(), ranks)  # type: ignore[arg-type]
    order, generator, seen = BatchOrder(len(windows), 8, 0, whole=True), torch.Generator(), []
    for step in range(6 * order.steps_per_pass):
        batch = windows.batch(ranks.cut(order.next()[0]))
        rule.step(batch, StepContext(step, 0.0, generator, ranks.rank, ranks.size, ranks.mean))
        if order.ends_pass:
            seen.append(rule.state_dict()["statistics"])
            rule.end_pass()
    return seen


@case
def statistics(ranks: Ranks, folder: Path) -> list[dict[str, torch.Tensor]]:
    return statistics_by_pass(ranks)


def whole_windows(count: int) -> Any:
    windows = make_windows(count)
    motion_NTD, mask_NT, labels = windows.as_batch()
    mask_NT[: count // 2] = True
    noise = 0.1 * torch.randn(motion_NTD.shape, generator=torch.Generator().manual_seed(2))
    motion_NTD = (motion_NTD + noise) * mask_NT[..., None]
    return WindowSet.of(motion_NTD, mask_NT, labels, windows.clip_N, windows.start_N, windows.clips)


@case
def mixtures(ranks: Ranks, folder: Path) -> dict[int, Any]:
    return {count: learn_mixture(ranks, count) for count in (49, 51)}


def toy_trainer(ranks: Ranks, *, broken: bool = False, break_at: int | None = None, **train: object) -> Trainer:
    config = toy_family.make_config(break_at=break_at, **train)
    windows = toy_family.make_windows()
    if broken:
        windows.rows_FD[17 * toy_family.FRAMES] = float("nan")
    family = build_family(config.family, toy_family.SHAPE, config.train.seed)
    return Trainer(family, config.family, config.train, windows, ranks=ranks)


@case
def not_finite(ranks: Ranks, folder: Path) -> list[str]:
    """One rank's rows hold a NaN; then the loss is one."""
    said = []
    for trainer in (toy_trainer(ranks, broken=True), toy_trainer(ranks, break_at=6)):
        try:
            trainer.fit()
        except MotionSynthError as error:
            said.append(str(error))
    return said


@case
def minutes(ranks: Ranks, folder: Path) -> tuple[str, int, float]:
    """A budget by the clock, which no two processes read at the same moment."""
    trainer = toy_trainer(ranks, minutes=0.005)
    result = trainer.fit()
    return result.outcome, result.step, trainer.progress


@case
def copying(ranks: Ranks, folder: Path) -> tuple[str, int]:
    """Copies that rank 0 alone finds, from the second validation on."""
    trainer = toy_trainer(ranks, stop_when_copying=0.2)
    if ranks.first:
        validation = toy_family.make_windows(11, 1)
        trainer.validation, trainer.score = validation, lambda *_: {"close_to_train": float(trainer.step >= 20)}
    result = trainer.fit()
    return result.outcome, result.step


@case
def stopped(ranks: Ranks, folder: Path) -> tuple[str, int, int | None]:
    """A signal to rank 1 alone."""
    Toy.kill_at = (10, signal.SIGTERM) if ranks.rank == 1 else None
    try:
        result = toy_trainer(ranks).fit()
    finally:
        Toy.kill_at = None
    return result.outcome, result.step, result.signal


@case
def parted(ranks: Ranks, folder: Path) -> list[str]:
    """Weights, then noise, that differ in the last bit."""
    said = []
    for part in ("weights", "noise", "nothing"):
        trainer = toy_trainer(ranks, steps=3)
        if part == "weights" and ranks.rank == 1:
            trainer.family.generator.bias.data[2] = torch.nextafter(
                trainer.family.generator.bias.data[2], torch.tensor(1.0)
            )
        if part == "noise" and ranks.rank == 1:
            trainer.generator.manual_seed(1)
        try:
            said.append(trainer.fit().outcome)
        except MotionSynthError as error:
            said.append(str(error))
    return said


@case
def run_directory(ranks: Ranks, folder: Path) -> list[tuple[str, int]]:
    """Two runs: one to its end; one stopped half way, for one process to go on with. And that again, by two."""
    ends = []
    for name, stop in (("whole", None), ("half", 12), ("again", 12), ("again", None)):
        Toy.kill_at = (stop, signal.SIGTERM) if stop else None
        path = folder / name
        run: Run | None = None
        if ranks.first:
            run = toy_family.make_run(path) if not path.exists() else open_run(path)
        run = ranks.share(run)
        assert run
        validation = toy_family.make_windows(11, 1) if ranks.first else None
        result: TrainingResult = train_run(run, toy_family.make_windows(), validation, resume=True, ranks=ranks)
        ends.append((result.outcome, result.step))
    Toy.kill_at = None
    return ends


@case
def collectives(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """The small ones, with different numbers on the ranks."""
    mine = torch.arange(3.0) + 10 * ranks.rank
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([2.0, 4.0]) if ranks.rank else None
    idle = torch.nn.Parameter(torch.zeros(2))
    values = ranks.mean_gradients([weight, idle], torch.tensor([1.0 + ranks.rank]))
    return {
        "mean": ranks.mean(mine),
        "sum": ranks.sum(mine),
        "join": ranks.join(mine[: 1 + ranks.rank]),
        "cut": ranks.cut(torch.arange(5)),
        "share": ranks.share("first" if ranks.first else "second"),
        "gradient": weight.grad,
        "idle": idle.grad,
        "values": values,
    }


def threads() -> list[str]:
    """Names of this process's threads, those that Python knows nothing of among them; none where there is no /proc."""
    return [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]


def main(folder: Path) -> None:
    toy_family.register()
    with joined_ranks("cpu") as ranks:
        found = {}
        for name, function in CASES.items():
            found[name] = function(ranks, folder)
        found["speaks"] = ranks.speaks()
        found["threads"] = threads()
    found["threads left"] = threads()
    torch.save(found, folder / f"{ranks.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    main(Path(sys.argv[1]))
