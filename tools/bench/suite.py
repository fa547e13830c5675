"""The whole suite of figures without intervals: ``python -m tools.bench.suite``.

    python -m tools.bench.suite [--corpus DIR --pattern REGEX] [--windows 1024] [--rounds 3] [--threads 1]

Two sets of windows of 64 frames, described in four feature spaces by an extractor whose networks learnt for a moment
(how well they learnt does not change the work). What windows share is computed by the first measure that asks for it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from threadpoolctl import threadpool_limits

from motionsynth.comparison.compared import Compared, Described
from motionsynth.comparison.reference import Reference
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.extractors.fitting import train_extractor
from motionsynth.extractors.recipe import STEPS
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import MEASURES, choose, figure_keys
from motionsynth.metrics.suite import score
from motionsynth.walkers.corpus import make_walkers

__all__ = ["main"]

TARGET_S = 10.0
"""Of the whole suite on 1,024 windows, on two cores."""
_SHOWN = 0.01
"""Shares of the total below this are added up in one line."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a folder of BVH files; walkers are made where it is left out")
    parser.add_argument("--pattern", help="regular expression with named groups for its labels")
    parser.add_argument("--windows", type=int, default=1024, help="windows of each set")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="more help on idle cores only")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(options.threads):
        corpus = _corpus(options.corpus, options.pattern, Path(scratch))
        described = _described(corpus, options.windows)
        _bench(described.sets, options.rounds)
    print(f"{options.threads} threads; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _corpus(folder: Path | None, pattern: str | None, scratch: Path) -> Corpus:
    if folder is None:
        folder = scratch / "walkers"
        make_walkers(folder, clips=600)
    config = DataConfig(path=folder, pattern=pattern, on_bad_file="skip", stride_frames=4)
    return open_corpus(config, cache=scratch / "cache")


def _described(corpus: Corpus, windows: int) -> Described:
    """Validation windows in place of generated ones, against test windows, beside the training split."""
    STEPS.update(dict.fromkeys(STEPS, 20))
    extractor = train_extractor(corpus)
    reference = Reference(corpus, "test")
    compared = Compared.of(reference.motions("validation"), reference, count=windows, seed=0)
    start = time.perf_counter()
    described = compared.described(extractor, choose(None, None, extractor.spaces), "cpu", lambda *_: None)
    spent = time.perf_counter() - start
    counts = [len(windows) for windows in described.sets if windows is not None]
    print(f"{counts[0]} windows against {counts[1]}, {counts[2]} training windows; described in {spent:.1f} s")
    return described


def _bench(sets: Sets, rounds: int) -> None:
    spaces = tuple(sets.generated.embeddings)
    chosen = choose(None, None, spaces)
    spent: dict[str, list[float]] = {}
    totals, processor = [], []
    for _ in range(rounds):
        fresh = Sets(*(None if windows is None else windows.to("cpu") for windows in sets))  # type: ignore[arg-type]
        began, began_cpu = time.perf_counter(), time.process_time()
        for measure, space in chosen:
            start = time.perf_counter()
            score(fresh, [(measure, space)])
            spent.setdefault(measure.metrics[0].name, []).append(time.perf_counter() - start)
        totals.append(time.perf_counter() - began)
        processor.append(time.process_time() - began_cpu)
    total = median(totals)
    seconds = {name: sum(values) / rounds for name, values in spent.items()}
    whole = sum(seconds.values())
    for name, value in sorted(seconds.items(), key=lambda pair: -pair[1]):
        if value >= _SHOWN * whole:
            print(f"  {name:34s}{value:8.3f} s {value / whole:7.1%}")
    rest = [value for value in seconds.values() if value < _SHOWN * whole]
    print(f"  {f'{len(rest)} more':34s}{sum(rest):8.3f} s {sum(rest) / whole:7.1%}")
    figures = len(figure_keys(chosen))
    print(f"suite: {total:.2f} s, {median(processor):.2f} s of processor; target {TARGET_S:.0f} s")
    print(f"{figures} figures of {len(MEASURES)} measures in {len(spaces)} feature spaces, median of {rounds} rounds")


if __name__ == "__main__":
    main()
