"""Measurements behind ``auto`` for ``train.threads`` and ``train.precision``: ``python -m tools.bench.auto``.

A step of the shipped networks by each number of threads in float32 and bf16, on windows of noise, as clips change no
time; medians of wall time. It means something on idle cores only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from typing import Final

import torch

from motionsynth.config import RunConfig, baseline, load_config
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import WindowSet
from motionsynth.families.base import StepContext
from motionsynth.training.determinism import build_family, torch_threads
from motionsynth.training.rules import rule_for

__all__ = ["CYCLE", "SHAPE", "main", "noise_windows"]

SHAPE: Final = MotionShape(64, 134, {})
CYCLE: Final = 4
"""Steps after which every phase and penalty has been due."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each family, backbone and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=["vae", "gan", "flow"])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, *([2] if (os.cpu_count() or 1) > 1 else [])])
    parser.add_argument("--cycles", type=int, default=8, help=f"of {CYCLE} steps each")
    options = parser.parse_args(arguments)
    for name in options.families:
        for threads in options.threads:
            found = {}
            for precision in ("float32", "bf16"):
                overrides = [*options.overrides, f"train.threads={threads}", f"train.precision={precision}"]
                config = load_config(baseline(name), overrides=overrides)
                found[precision] = _milliseconds(config, threads, options.cycles)
            told = ", ".join(f"{precision} {time_ms:7.1f} ms" for precision, time_ms in found.items())
            print(
                f"{name:8} {threads} threads: {told} a step, bf16 {found['float32'] / found['bf16']:.2f}x", flush=True
            )


def noise_windows(count: int, frames: int, features: int) -> WindowSet:
    """Windows of noise, each a clip of its own."""
    noise_NTD = torch.randn(count, frames, features, generator=torch.Generator().manual_seed(0))
    mask_NT, index_N = torch.ones(count, frames, dtype=torch.bool), torch.arange(count)
    return WindowSet.of(noise_NTD, mask_NT, {}, index_N, torch.zeros_like(index_N), tuple(map(str, range(count))))


def _milliseconds(config: RunConfig, threads: int, cycles: int) -> float:
    family = build_family(config.family, SHAPE, 0).train()
    windows = noise_windows(2 * config.train.batch_size, family.shape.frames, family.shape.features)
    family.begin(windows)
    rule, generator = rule_for(family, config.family, config.train), torch.Generator().manual_seed(0)
    times = []
    with torch_threads(threads):
        for cycle in range(cycles + 1):
            start = time.perf_counter()
            for step in range(CYCLE):
                index_B = torch.randperm(len(windows), generator=generator)[: config.train.batch_size]
                rule.step(windows.batch(index_B), StepContext(cycle * CYCLE + step, 0.5, generator))
            times.append((time.perf_counter() - start) / CYCLE)
    return 1000 * statistics.median(times[1:])


if __name__ == "__main__":
    main()
