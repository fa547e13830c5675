"""Claims of this project about GPUs, in one run of under 8 minutes: ``python -m tools.accept.gpu [--cpu]``.

Losses of every family against the CPU's, in float32 and bf16; a training that is stopped and resumed; that no step
waits for the device; steps a second of one seed and of several at once; what the headline study would take. ``--cpu``
does the same on the CPU with small networks, so that the script is known to work. Exits with 1 where a claim fails.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from motionsynth.config import RunConfig, baseline, load_config
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import WindowSet
from motionsynth.families import FAMILIES
from motionsynth.families.base import StepContext
from motionsynth.study.load import load_study, plan_cells
from motionsynth.training.determinism import build_family, torch_threads
from motionsynth.training.machine import describe_machine, multiplies_bf16
from motionsynth.training.rules import GradientRule, rule_for
from motionsynth.training.trainer import Trainer, TrainingResult
from tools.bench.auto import CYCLE, noise_windows
from tools.bench.seeds import Operators, Seeds

STUDY: Final = Path(__file__).parents[2] / "configs" / "study" / "blur-or-sharp.yaml"
LIMITS: Final = {"float32": 1e-3, "bf16": 5e-2}
"""Largest difference of one of the first 20 losses from the CPU's in float32, as a share of the largest of them."""
SMALL: Final = ("family.backbone={kind: basis, components: 32, width: 32, layers: 2}", "train.batch_size=16")
SMALL_GMM: Final = ("family.components=2", "family.latent_dim=2", "family.axes=8")
CLOSED: Final = ("gmm", "hmm")
"""Families that learn in closed form."""
SHAPE: Final = MotionShape(64, 134, {"style": 2, "content": 2})


class Report:
    """Prints claims and remembers whether one has failed."""

    def __init__(self) -> None:
        self.failed, self.began = False, time.monotonic()

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n== {text} ({time.monotonic() - self.began:.0f} s)", flush=True)

    def claim(self, holds: bool, text: str) -> None:
        """Tell of one claim."""
        self.failed |= not holds
        print(f"{'ok  ' if holds else 'FAIL'} {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Go through all parts; 1 where a claim failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="on the CPU, with small networks")
    options = parser.parse_args(arguments)
    if not options.cpu and not torch.cuda.is_available():
        print("no GPU can be used; --cpu does this part by part on the CPU")
        return 2
    device, small = ("cpu", SMALL) if options.cpu else ("cuda", ())
    machine = describe_machine(device)
    print(", ".join(f"{key} {value}" for key, value in machine.items()), end="; ")
    print(f"auto takes {'bf16' if multiplies_bf16(device) else 'float32'}")
    report = Report()
    warnings.simplefilter("ignore")
    with torch_threads(1):
        compare_losses(report, device, small)
        stop_and_resume(report, device, small)
        wait_for_nothing(report, device, small)
        rate_seeds(report, device, small)
        cost_study(report, device)
    print(f"\n{'FAILED' if report.failed else 'all claims hold'} in {time.monotonic() - report.began:.0f} s")
    return int(report.failed)


def compare_losses(report: Report, device: str, small: Sequence[str]) -> None:
    """The first 20 losses of every family, from the same weights, windows and noise, against the CPU's in float32."""
    report.title("the first 20 losses against the CPU's in float32")
    for name in FAMILIES:
        if name == "hmm":
            print("     hmm learns on the CPU alone, by hmmlearn")
            continue
        cpu = _losses(_config(name, small, "train.precision=float32"), "cpu")
        for precision, limit in LIMITS.items():
            if precision == "bf16" and name in CLOSED:
                continue
            found = _losses(_config(name, small, f"train.precision={precision}"), device)
            worst = max(abs(one - other) for one, other in zip(found, cpu, strict=True)) / max(map(abs, cpu))
            report.claim(worst <= limit, f"{name:12} {precision:8} differs by {worst:.1e} at most (limit {limit:g})")


def _losses(config: RunConfig, device: str) -> list[float]:
    family = build_family(config.family, SHAPE, 0).to(device).train()
    windows = _windows(config, family.shape, device)
    family.begin(windows)
    rule, generator, losses = rule_for(family, config.family, config.train), torch.Generator().manual_seed(0), []
    for step in range(20):
        index_B = torch.randperm(len(windows), generator=generator)
        if config.family.name not in CLOSED:  # of which a step is a pass here
            index_B = index_B[: config.train.batch_size]
        rule.step(windows.batch(index_B.to(device)), _DrawnOnCpu.at(step, generator, device))
        if config.family.name in CLOSED:
            rule.end_pass()
        row = rule.collect(0.0)
        losses += [value for key, value in row.items() if key.endswith(("/total", "/log_likelihood"))]
    return losses


class _DrawnOnCpu(StepContext):
    """Noise that the CPU draws, on any device."""

    device: str

    @classmethod
    def at(cls, step: int, generator: torch.Generator, device: str) -> _DrawnOnCpu:
        context = cls(step, 0.0, generator)
        context.device = device
        return context

    def drawn(self, sampler: Callable[..., Tensor], count: int, *sizes: int) -> Tensor:
        return sampler((count, *sizes), generator=self.generator).to(self.device)


class _StopsAt:
    """A listener that asks the training to stop."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_log(self, step: int, *_: Any) -> None:
        if step == self.step:
            signal.raise_signal(signal.SIGTERM)


def stop_and_resume(report: Report, device: str, small: Sequence[str]) -> None:
    """A training that is stopped at its half and resumed ends as one that is not."""
    report.title("resume")
    for name in ("vae", "gan", "flow"):
        config = _config(name, small, "train.steps=20", "train.log_every_steps=1", "train.stop_when_copying=null")
        with tempfile.TemporaryDirectory() as folder:
            whole = _trainer(config, device).fit()
            stopped = _trainer(config, device, Path(folder), _StopsAt(10)).fit()
            resumed = _trainer(config, device, Path(folder))
            resumed.resume()
            worst = _distance(resumed.fit(), whole)
        exact = "bit for bit" if worst == 0 else f"within {worst:.1e}"
        report.claim((stopped.step, worst <= 1e-3) == (10, True), f"{name:12} stopped at 10 of 20 goes on {exact}")


def _trainer(config: RunConfig, device: str, folder: Path | None = None, listener: Any = None) -> Trainer:
    family = build_family(config.family, SHAPE, 0)
    windows = _windows(config, family.shape, device)
    return Trainer(family, config.family, config.train, windows, device=device, checkpoints=folder, listener=listener)


def _distance(found: TrainingResult, expected: TrainingResult) -> float:
    pairs = [(found.weights[name], value) for name, value in expected.weights.items() if value.is_floating_point()]
    return max(float((one - other).abs().max() / other.abs().max().clamp(min=1e-9)) for one, other in pairs)


def wait_for_nothing(report: Report, device: str, small: Sequence[str]) -> None:
    """No step copies from the device or waits for it, alone or at once."""
    report.title("steps that wait for the device")
    print("     cyclegan waits in each phase: it takes a batch apart by domain")
    for name in sorted(set(FAMILIES) - {*CLOSED, "cyclegan"}):
        config = _config(name, small)
        family = build_family(config.family, SHAPE, 0).to(device).train()
        windows = _windows(config, family.shape, device)
        family.begin(windows)
        rule = GradientRule(family, config.family.optimise, config.train, deferred=True)
        batch, generator = windows.batch(torch.arange(config.train.batch_size, device=device)), torch.Generator(device)

        number = itertools.count()

        def step(rule: Any = rule, batch: Any = batch, noise: Any = generator, number: Any = number) -> None:
            rule.step(batch, StepContext(next(number), 0.0, noise))

        report.claim(*_waits(step, device, name))
    for name in ("vae", "gan", "flow"):
        seeds = Seeds(name, 2, small, device)
        report.claim(*_waits(seeds.together, device, f"{name}, two seeds at once"))


def _waits(step: Callable[[], None], device: str, name: str) -> tuple[bool, str]:
    for _ in range(CYCLE):
        step()
    found = ""
    with _no_waiting(device) as operators:
        try:
            for _ in range(CYCLE):
                step()
        except RuntimeError as error:
            found = str(error).partition("\n")[0]
    found = found or ", ".join(sorted(set(operators.waiting)))
    return not found, f"{name:12} {found or 'waits for nothing'}"


@contextmanager
def _no_waiting(device: str) -> Iterator[Operators]:
    """On a GPU waiting raises; on a CPU operators that would wait are noted."""
    with Operators() as operators:
        if device == "cpu":
            yield operators
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield operators
        finally:
            torch.cuda.set_sync_debug_mode("default")


def rate_seeds(report: Report, device: str, small: Sequence[str]) -> None:
    """Steps a second of one seed, and of several at once."""
    report.title("steps a second, of all seeds together")
    counts = (1, 2, 4) if device == "cpu" else (1, 8, 32)
    for name, precision in itertools.product(("vae", "gan", "flow"), LIMITS):
        told = []
        for count in counts:
            seeds = Seeds(name, count, [*small, f"train.precision={precision}"], device)
            cycles = 1 if device == "cpu" else 10
            for way, how in ((seeds.alone, "in turn"), (seeds.together, "at once")):
                seeds.seconds(way)
                told.append(f"S = {count} {how} {count / seeds.seconds(way, cycles):,.0f}")
        print(f"     {name:6} {precision:8} {', '.join(told)}", flush=True)


def cost_study(report: Report, device: str) -> None:
    """Time that training all cells of the headline study takes, from the steps of each of its arms."""
    report.title(f"the training of the study {STUDY.stem}")
    study = load_study(STUDY)
    cells = [cell for cell in plan_cells(study, STUDY) if cell.config is not None]
    total, times = 0.0, dict[str, float]()
    for cell in cells:
        config = cell.config
        assert config is not None
        if config.family.name in CLOSED or (device == "cpu" and cell.arm not in ("vae", "gan")):
            continue
        if cell.arm not in times:
            times[cell.arm] = _step_seconds(config, device)
        total += times[cell.arm] * (config.train.steps or 0)
    print(f"     {', '.join(f'{arm} {1e3 * seconds:.1f} ms' for arm, seconds in times.items())} a step")
    measured = sum(cell.arm in times for cell in cells)
    print(f"     {measured} of {len(cells)} trained cells: {total / 3600:.1f} hours on {device}, one after the other")


def _step_seconds(config: RunConfig, device: str) -> float:
    family = build_family(config.family, SHAPE, 0).to(device).train()
    windows = _windows(config, family.shape, device)
    family.begin(windows)
    rule = GradientRule(family, config.family.optimise, config.train)
    generator, steps = torch.Generator(device).manual_seed(0), 2 if device == "cpu" else 20
    batch = windows.batch(torch.arange(config.train.batch_size, device=device))
    for step in range(2 * steps):
        if step == steps:
            rule.collect(0.0)  # waits for the device
            start = time.perf_counter()
        rule.step(batch, StepContext(step, 0.0, generator))
    rule.collect(0.0)
    return (time.perf_counter() - start) / steps


def _config(name: str, small: Sequence[str], *overrides: str) -> RunConfig:
    """A shipped configuration, of smaller networks where it has some and that is asked for."""
    small = [*small[1:], *(SMALL_GMM if small else ())] if name in CLOSED else small
    return load_config(baseline(name), overrides=[*small, *overrides])


def _windows(config: RunConfig, shape: MotionShape, device: str) -> WindowSet:
    windows = noise_windows(4 * config.train.batch_size, shape.frames, shape.features)
    windows.labels.update({name: torch.arange(len(windows)) % count for name, count in SHAPE.labels.items()})
    return windows.to(device)


if __name__ == "__main__":
    sys.exit(main())
