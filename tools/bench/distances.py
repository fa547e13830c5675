"""Distances between sets against scipy's matrix root and torchmetrics' protocol: ``python -m tools.bench.distances``.

    python -m tools.bench.distances [--rounds 5] [--threads 1] [--quick]

Frechet distance of two sets of moments in 512 dimensions, against the trace of ``scipy.linalg.sqrtm``; kernel distance
over all pairs of 5,000 x 5,000 windows, against torchmetrics' mean of 100 subsets of 1,000 (the ``bench`` extra); its
memory at 20,000 x 20,000; and every measure of this kind on 2 x 1,024 windows. Figures are compared in the run before
anything is timed; rounds are interleaved, ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import scipy.linalg
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from motionsynth.metrics import c2st, sliced
from motionsynth.metrics.frechet import Moments
from motionsynth.metrics.kid import kernel_distance
from motionsynth.processes import child_environment, module_command

MANY = 20_000
Run = Callable[[], object]


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds of every run in every round, after one that does not count."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                spent[name].append(time.perf_counter() - start)
    return spent


def report(title: str, spent: dict[str, list[float]], *, against: bool = True) -> None:
    """Print medians, and how many times quicker than the last, the peer, each is."""
    *_, peer = spent
    print(f"\n{title}")
    for name, seconds in spent.items():
        ratio = median(other / own for other, own in zip(spent[peer], seconds, strict=True))
        print(f"  {name:44s}{1e3 * median(seconds):10.1f} ms" + f"{ratio:8.2f} x" * against)


def sets_of(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Two correlated sets whose spreads span two decades, as those of embeddings do."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(size, size, generator=generator))[0] * torch.logspace(0, -2, size)[:, None]
    first, second = (torch.randn(count, size, generator=generator) @ axes for _ in range(2))
    scale = size**0.5 / first.norm(dim=1).mean()
    return first * scale, second * scale * 1.1 + 0.02


def bench_frechet(rounds: int) -> None:
    """512 dimensions, from moments."""
    first, second = (Moments.of(features.numpy()) for features in sets_of(2000, 512))

    def by_root() -> float:
        root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
        away = np.square(first.mean - second.mean).sum()
        return float(away + np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.trace(root).real)

    ours, theirs = first.distance(second), by_root()
    print(
        f"\nFrechet in 512 dimensions: {ours:.10g}, by scipy's root {theirs:.10g}: off by {abs(ours / theirs - 1):.1e}"
    )
    if not abs(ours / theirs - 1) < 1e-7:
        raise SystemExit("the two differ beyond seven digits")
    report("Frechet, 512 dimensions", interleaved({"ours": lambda: first.distance(second), "sqrtm": by_root}, rounds))


def bench_kernel(rounds: int, count: int, size: int) -> None:
    """All pairs, against 100 subsets of 1,000 from the same features."""
    from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

    generated, reference = sets_of(count, size)
    ours = kernel_distance(generated[:1500], reference[:1500])
    theirs = float(poly_mmd(reference[:1500].double(), generated[:1500].double()))
    print(f"\nKernel distance of 1,500 windows in {size} dimensions: {ours:.7g}, torchmetrics in float64 {theirs:.7g}")
    if not abs(ours - theirs) < 1e-5:
        raise SystemExit("the two differ")

    def protocol() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metric = KernelInceptionDistance(torch.nn.Identity(), subsets=100, subset_size=1000)
            metric.update(reference, real=True)
            metric.update(generated, real=False)
            return metric.compute()

    runs: dict[str, Run] = {
        "ours, all pairs": lambda: kernel_distance(generated, reference),
        "torchmetrics, 100 x 1,000": protocol,
    }
    report(f"Kernel distance, {count} x {count} x {size}", interleaved(runs, rounds))


def bench_memory(size: int, threads: int) -> None:
    """In a process of its own: what the kernel distance of many windows holds beside them."""
    command = module_command("tools.bench.distances", "--memory", str(size), "--threads", str(threads))
    print(subprocess.run(command, env=child_environment(), check=True, capture_output=True, text=True).stdout, end="")


def memory(size: int) -> None:
    """Print the largest resident size during the computation less the one before it, as the kernel counts them."""
    generated, reference = sets_of(MANY, size)
    kernel_distance(generated[:3000], reference[:3000])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = resident("VmRSS")
    start = time.perf_counter()
    kernel_distance(generated, reference)
    seconds = time.perf_counter() - start
    extra = resident("VmHWM") - before
    print(f"Kernel distance, {MANY} x {MANY} x {size}: {extra:.0f} MB beside the features, {seconds:.2f} s")


def resident(field: str) -> float:
    """VmRSS, what is held now, or VmHWM, the most that was held, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def bench_others(rounds: int) -> None:
    """The other distances, on 2 x 1,024 windows in 64 dimensions."""
    generated, reference = sets_of(1024, 64)
    both, is_generated_N = torch.cat((generated, reference)), torch.arange(2048) < 1024
    fold_N = torch.arange(2048) % c2st.FOLDS
    directions = sliced.projections(64)
    runs: dict[str, Run] = {
        "classifier two-sample test": lambda: c2st.classifier_accuracy(both, is_generated_N, fold_N),
        "sliced Wasserstein": lambda: sliced.sliced_wasserstein(generated, reference, directions),
        "kernel distance": lambda: kernel_distance(generated, reference),
        "Frechet, with its moments": lambda: Moments.of(generated.numpy()).distance(Moments.of(reference.numpy())),
    }
    report("2 x 1,024 windows in 64 dimensions", interleaved(runs, rounds), against=False)


def main() -> None:
    """Check that figures agree, then time them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one round, and no features of 2,048 dimensions")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    threadpool_limits(options.threads)  # numpy's and scipy's BLAS, both of them loaded by now
    if options.memory:
        memory(options.memory)
        return
    rounds = 1 if options.quick else options.rounds
    print(f"{options.threads} thread(s), torch {torch.__version__}, numpy {np.__version__}")
    bench_frechet(rounds)
    for size in (64, 512) if options.quick else (64, 512, 2048):
        bench_kernel(rounds, 5000, size)
    for size in (64, 512):
        bench_memory(size, options.threads)
    bench_others(rounds)


if __name__ == "__main__":
    main()
