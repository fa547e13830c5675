"""Training steps against their bare arithmetic: ``python -m tools.bench.training [--data DIR] [--device cuda]``.

For each family the same windows go through forward, backward and fused Adam timed alone, and through the trainer with
journal, checkpoints and moving average, without and with the MLflow feeder beside it. The three take turns, and the
ratio is the median over rounds, so that a busy processor slows all of them alike; the ratio of processor time stays
meaningful where other programs compete. A turn holds a checkpoint, far more often than by default. Then: the share of
a matrix product's GFLOP/s, and bf16 against float32 with both loss curves.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from motionsynth.config import RunConfig, load_config
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.shape import MotionShape
from motionsynth.families.base import Family, StepContext
from motionsynth.runs.begin import new_run
from motionsynth.runs.fit import train_run
from motionsynth.training.determinism import build_family, torch_threads
from motionsynth.training.journal import JournalRow, read_journal

__all__ = ["main"]

CONFIGS = Path(__file__).parents[2] / "configs" / "run"
LIMIT = 1.15


class Seconds(NamedTuple):
    """Time of one step."""

    wall: float
    processor: float


class Setting(NamedTuple):
    """What all arms of one family have in common."""

    config: RunConfig
    corpus: Corpus
    device: torch.device
    folder: Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of BVH files; walkers are made where it is left out")
    parser.add_argument("--families", nargs="+", default=["vae", "gan"])
    parser.add_argument("--steps", type=int, default=100, help="steps of one turn, which ends with a checkpoint")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        data = options.data or _make_walkers(folder / "walkers")
        for name in options.families:
            config = load_config(
                CONFIGS / f"{name}.yaml",
                data=data,
                overrides=[
                    f"train.steps={options.steps}",
                    f"train.batch_size={options.batch_size}",
                    f"train.threads={options.threads}",
                    "family.backbone={kind: conv}",
                ],
            )
            setting = Setting(config, open_corpus(config.data), device, folder)
            with torch_threads(config.train.threads):
                _report_steps(setting, options.rounds)
                _report_bf16(setting)


def _make_walkers(folder: Path) -> Path:
    from motionsynth.walkers.corpus import make_walkers

    make_walkers(folder, clips=200)
    return folder


def _report_steps(setting: Setting, rounds: int) -> None:
    config, steps = setting.config, setting.config.train.steps or 0
    _bare_seconds(setting, 10)
    _trained(setting, 10)
    bare, plain, tracked, product = [], [], [], []
    for _ in range(rounds):
        product.append(_matmul_flops(setting.device))
        bare.append(_bare_seconds(setting, steps))
        plain.append(_trained(setting, steps)[0])
        tracked.append(_trained(setting, steps, track=True)[0])
    flops, peak = _step_flops(setting), statistics.median(product)
    weights = sum(weight.numel() for weight in _build(setting).parameters())
    print(f"\n{config.family.name}: batch {config.train.batch_size}, {weights:,} weights, ", end="")
    print(f"{flops / 1e9:.2f} GFLOP a step, {config.train.threads} threads, {setting.device}; limit {LIMIT}x")
    for label, times in (
        ("forward + backward + fused Adam, alone", bare),
        ("trainer: journal, checkpoint, average", plain),
        ("the same, with the MLflow feeder beside", tracked),
    ):
        pairs = list(zip(times, bare, strict=True))
        ratio = statistics.median(taken.wall / alone.wall for taken, alone in pairs)
        cpu = statistics.median(taken.processor / alone.processor for taken, alone in pairs)
        seconds = statistics.median(taken.wall for taken in times)
        print(f"  {label:42} {1e3 * seconds:8.2f} ms/step {ratio:6.3f}x, processor time {cpu:6.3f}x,", end="")
        print(f" {flops / seconds / peak:6.1%} of matmul", flush=True)
    print(f"  a 2048 x 2048 matrix product runs at {peak / 1e9:.0f} GFLOP/s here")


def _build(setting: Setting) -> Family:
    windows = setting.corpus.windows("train")
    classes = {name: len(names) for name, names in setting.corpus.label_names.items()}
    shape = MotionShape(*windows.size, classes)
    return build_family(setting.config.family, shape, 0).to(setting.device)


def _bare_seconds(setting: Setting, steps: int) -> Seconds:
    """Seconds a step of forward, backward and optimiser, on one batch that is cut beforehand."""
    family, size = _build(setting).train(), setting.config.train.batch_size
    windows = setting.corpus.windows("train").to(setting.device)
    batch = windows.batch(torch.arange(size, device=setting.device) % len(windows))
    generator = torch.Generator(setting.device).manual_seed(0)
    learners = {
        phase.name: [w for n in phase.trains for w in getattr(family, n).parameters()] for phase in family.phases
    }
    optimisers = {
        name: torch.optim.AdamW(weights, lr=1e-4, betas=setting.config.family.optimise[name].betas, fused=True)
        for name, weights in learners.items()
    }
    wall = processor = 0.0
    for step in range(steps):
        for phase in family.phases:
            family.requires_grad_(False)
            for weight in learners[phase.name]:
                weight.requires_grad_(True)
            _wait(setting.device)
            start, started = time.perf_counter(), time.process_time()
            phase.loss(batch, StepContext(step, step / steps, generator)).total.backward()  # type: ignore[no-untyped-call]
            optimisers[phase.name].step()
            optimisers[phase.name].zero_grad()
            _wait(setting.device)
            wall += time.perf_counter() - start
            processor += time.process_time() - started
    return Seconds(wall / steps, processor / steps)


class _Stopwatch:
    """Listens for the first and the last row, so that set-up and the first step's warm-up stay out of the time."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, float, float]] = []

    def on_log(
        self, step: int, total: int, metrics: Mapping[str, float], steps_per_second: float, seconds_left: float
    ) -> None:
        """Note the clocks."""
        self.marks.append((step, time.perf_counter(), time.process_time()))

    def seconds(self) -> Seconds:
        """A step's, from the first row to the last."""
        (first, wall, processor), (last, wall_end, processor_end) = self.marks[0], self.marks[-1]
        return Seconds((wall_end - wall) / (last - first), (processor_end - processor) / (last - first))


def _trained(
    setting: Setting, steps: int, *, track: bool = False, precision: str = "float32"
) -> tuple[Seconds, list[JournalRow]]:
    """A step's seconds in a training in a run directory, and the journal."""
    train = setting.config.train.model_copy(
        update={"steps": steps, "checkpoint_every_steps": steps // 2, "log_every_steps": 5, "precision": precision}
    )
    folder = Path(tempfile.mkdtemp(dir=setting.folder)) / "run"
    run = new_run(folder, setting.config.model_copy(update={"train": train}), setting.corpus)
    feeder, watch = None, _Stopwatch()
    if track:
        from motionsynth.tracking.feeder import start_feeder

        feeder = start_feeder(run.path)
    try:
        result = train_run(run, setting.corpus.windows("train"), device=setting.device, listener=watch)
    finally:
        if feeder:
            feeder.close()
    if result.exit_code:  # a training notes Ctrl-C and SIGTERM by itself, and returns with fewer rows
        raise SystemExit(result.exit_code)
    return watch.seconds(), read_journal(run.journal_path)


class _NoModules:
    """In place of the counter's hooks on modules, which a gradient penalty's ``autograd.grad`` cannot pass."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _step_flops(setting: Setting) -> float:
    """Floating-point operations of a step, averaged over the period of lazy terms."""
    family, period = _build(setting).train(), 16
    windows = setting.corpus.windows("train").to(setting.device)
    index_B = torch.arange(setting.config.train.batch_size, device=setting.device) % len(windows)
    generator = torch.Generator(setting.device)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with counter:
        for step in range(period):
            for phase in family.phases:
                family.requires_grad_(False)
                for name in phase.trains:
                    getattr(family, name).requires_grad_(True)
                phase.loss(windows.batch(index_B), StepContext(step, 0.0, generator)).total.backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / period


def _matmul_flops(device: torch.device, side: int = 2048) -> float:
    """Floating-point operations a second of a square float32 product; the best of a few."""
    one = torch.randn(side, side, device=device)
    best = float("inf")
    for _ in range(5):
        _wait(device)
        start = time.perf_counter()
        one @ one
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def _report_bf16(setting: Setting) -> None:
    steps = 3 * (setting.config.train.steps or 0)
    _trained(setting, 10, precision="bf16")
    full, rows = _trained(setting, steps)
    half, rows_half = _trained(setting, steps, precision="bf16")
    cpu = full.processor / half.processor
    print(f"  bf16 {full.wall / half.wall:.2f}x the speed of float32, {cpu:.2f}x by processor time", end="")
    print(f" ({1e3 * half.wall:.2f} against {1e3 * full.wall:.2f} ms/step); loss curves:")
    totals = [name for name in rows[0].metrics if name.startswith("train/") and name.endswith("/total")]
    print("   ", "step".rjust(6), *(f"{name.split('/')[1]:>10} f32 {'bf16':>10}" for name in totals))
    chosen = range(0, len(rows), max(1, len(rows) // 8))
    for row, other in ((rows[i], rows_half[i]) for i in chosen):
        print("   ", f"{row.step:6}", *(f"{row.metrics[n]:14.4f} {other.metrics[n]:10.4f}" for n in totals))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
