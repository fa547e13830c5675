"""Several seeds that take their steps at once, against one after the other: ``python -m tools.bench.seeds``.

The shipped networks on windows of noise, without journal and checkpoints; both ways take turns. On a CPU processor time
is compared, on a GPU wall time. Beside it stands how many operators a step starts: on a GPU small networks wait for
these, and at once S seeds start as many as one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from motionsynth.config import baseline, load_config
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import StepContext
from motionsynth.training.determinism import build_family, torch_threads
from motionsynth.training.rules import GradientRule
from motionsynth.training.seeds import SeedBatch
from tools.bench.auto import CYCLE, SHAPE, noise_windows

__all__ = ["Operators", "Seeds", "main"]


class Seeds:
    """S trainings that differ in their seed, as rules alone.

    Args:
        name: of the family.
        count: S.
        overrides: of its shipped configuration.
        device: where.
    """

    def __init__(self, name: str, count: int, overrides: Sequence[str] = (), device: str = "cpu") -> None:
        config = load_config(baseline(name), overrides=overrides)
        families = [build_family(config.family, SHAPE, seed).to(device).train() for seed in range(count)]
        shape, self.batch_size = families[0].shape, config.train.batch_size
        self.windows = noise_windows(2 * self.batch_size, shape.frames, shape.features).to(device)
        for family in families:
            family.begin(self.windows)
        self.rules = [GradientRule(family, config.family.optimise, config.train) for family in families]
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in range(count)]
        self.stack = SeedBatch(self.rules)
        self.step, self.device = 0, device

    def alone(self) -> None:
        """One step of each, in turn."""
        for rule, generator in zip(self.rules, self.generators, strict=True):
            rule.step(self._batch(self.batch_size), StepContext(self.step, 0.5, generator))
        self.step += 1

    def together(self) -> None:
        """One step of all."""
        motion, mask, _ = self._batch(len(self.rules) * self.batch_size)
        size = (len(self.rules), self.batch_size)
        batch = Batch(motion.view(*size, *motion.shape[1:]), mask.view(*size, -1), {})
        self.stack.step(batch, [StepContext(self.step, 0.5, generator) for generator in self.generators])
        self.step += 1

    def _batch(self, rows: int) -> Batch:
        return self.windows.batch(torch.arange(rows, device=self.device) % len(self.windows))

    def seconds(self, way: Any, cycles: int = 1) -> float:
        """Seconds a step, over so many cycles of steps."""
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        self._wait()
        start = clock()
        for _ in range(cycles * CYCLE):
            way()
        self._wait()
        for rule in self.rules:
            rule.collect(0.5)
        return (clock() - start) / (cycles * CYCLE)

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that are started inside the block, and names those that wait for a GPU."""

    WAITING: Final = ("_local_scalar_dense", "nonzero", "equal", "masked_select")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self.waiting = 0, list[str]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        self.count += not function.is_view
        if name in self.WAITING:
            self.waiting.append(name)
        return function(*args, **(kwargs or {}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each family, precision and number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=["vae", "gan", "flow"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args(arguments)
    with torch_threads(1):
        for name in options.families:
            for precision in options.precisions:
                for count in options.seeds:
                    seeds = Seeds(name, count, [f"train.precision={precision}"], options.device)
                    print(f"{name:6} {precision:8} S = {count}: {compare(seeds, options.turns)}", flush=True)


def compare(seeds: Seeds, turns: int) -> str:
    """Time and operators of both ways, in words."""
    started = []
    for way in (seeds.alone, seeds.together):
        seeds.seconds(way)
        with Operators() as operators:
            for _ in range(CYCLE):
                way()
        started.append(operators.count / CYCLE)
    times = [(seeds.seconds(seeds.alone), seeds.seconds(seeds.together)) for _ in range(turns)]
    alone, together = (statistics.median(way) for way in zip(*times, strict=True))
    gain = statistics.median(one / other for one, other in times)
    told = f"{1e3 * alone:7.1f} ms a step in turn, {1e3 * together:7.1f} at once: {gain:.2f}x"
    return f"{told}; {started[0]:,.0f} operators, {started[1]:,.0f} at once"


if __name__ == "__main__":
    main()
