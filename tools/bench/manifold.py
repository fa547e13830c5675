"""Precision, recall, density and coverage against prdc, and against their matrix products alone.

    python -m tools.bench.manifold [--rounds 5] [--count 5000] [--size 512] [--threads 1] [--large 20000]

Needs ``prdc`` (the ``bench`` extra). In each round the same float32 features go through prdc, through the three matrix
products that no way around is known to, and through ours, one after the other; ratios are medians of the rounds' own.
Values are compared in the run. Memory is the peak of a process of its own above what it holds before the call. 1 where
a limit is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from motionsynth.metrics.manifold import NEIGHBOURS, Manifold, manifold
from motionsynth.processes import safe_children

PEER_LIMIT, PRODUCTS_LIMIT, MEMORY_LIMIT_MIB = 0.6, 1.3, 1024


def features(count: int, size: int, seed: int) -> Tensor:
    """(count, size) features of some structure: a mixture, so that balls differ in size."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(count, 1, generator=generator) + 0.5
    return scale * torch.randn(count, size, generator=generator) + 1


def peer(generated_NE: Tensor, reference_ME: Tensor) -> Manifold:
    """The same by prdc, silenced."""
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(reference_ME.numpy(), generated_NE.numpy(), NEIGHBOURS)
    return Manifold(*(float(found[name]) for name in Manifold._fields))


def products(generated_NE: Tensor, reference_ME: Tensor) -> None:
    """What no way around is known to."""
    for a, b in ((generated_NE, generated_NE), (reference_ME, reference_ME), (reference_ME, generated_NE)):
        torch.mm(a, b.T)


WAYS: dict[str, Callable[[Tensor, Tensor], object]] = {"prdc": peer, "three products": products, "ours": manifold}


def peak_mib(way: str, count: int, size: int, threads: int) -> float:
    """Peak of a fresh process above what it holds before the call."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_peak, args=(sender, way, count, size, threads))
    with safe_children():
        process.start()
    sender.close()
    try:
        mib: float = receiver.recv()
    finally:
        process.join()
    return mib


def _peak(sender: multiprocessing.connection.Connection, way: str, count: int, size: int, threads: int) -> None:
    torch.set_num_threads(threads)
    sets = features(count, size, 0), features(count, size, 1)
    WAYS[way](sets[0][:100], sets[1][:100])  # loads what it needs
    before = _status_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    WAYS[way](*sets)
    sender.send(_status_mib("VmHWM") - before)


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


def compare(count: int, size: int, rounds: int) -> tuple[float, float]:
    """Print medians of time; ratios of ours to prdc and to the three products."""
    sets = features(count, size, 0), features(count, size, 1)
    found, expected = manifold(*sets), peer(*sets)
    print(f"ours {', '.join(f'{name} {value:.5f}' for name, value in found._asdict().items())}")
    print(f"largest difference from prdc: {max(abs(a - b) for a, b in zip(found, expected, strict=True)):.1e}")
    spent: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(*sets)
            spent[name].append(time.perf_counter() - start)
    ratios = {}
    for name, seconds in spent.items():
        ratios[name] = statistics.median(own / other for own, other in zip(spent["ours"], seconds, strict=True))
        print(f"{name:16s}{statistics.median(seconds):8.3f} s   ours takes {ratios[name]:.2f} of it")
    return ratios["prdc"], ratios["three products"]


def main() -> int:
    """Print the tables; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1, help="of ours and the products; prdc takes what there is")
    parser.add_argument("--large", type=int, default=20_000, help="windows a side where memory is measured")
    parser.add_argument(
        "--peer-memory", action="store_true", help="measure prdc's memory there too: some 5 GB, minutes"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.count} x {options.count} x {options.size}, k = {NEIGHBOURS}, {options.threads} thread(s)")
    to_peer, to_products = compare(options.count, options.size, options.rounds)
    print(f"\n{options.large} x {options.large} x {options.size}")
    memory = 0.0
    for way in ("ours", "prdc") if options.peer_memory else ("ours",):
        start = time.perf_counter()
        mib = peak_mib(way, options.large, options.size, options.threads)
        print(f"{way:16s}{mib:8.0f} MiB above its inputs, {time.perf_counter() - start:.0f} s with its start")
        memory = mib if way == "ours" else memory
    checks = {
        f"at most {PEER_LIMIT} of prdc's time": to_peer <= PEER_LIMIT,
        f"at most {PRODUCTS_LIMIT} of the products' time": to_products <= PRODUCTS_LIMIT,
        f"at most {MEMORY_LIMIT_MIB} MiB": memory <= MEMORY_LIMIT_MIB,
    }
    for name, held in checks.items():
        print(f"{'ok' if held else 'BROKEN':8s}{name}")
    return int(not all(checks.values()))


if __name__ == "__main__":
    sys.exit(main())
