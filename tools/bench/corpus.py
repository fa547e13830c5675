"""Opening a corpus cold and from the cache, encoding and decoding: ``python -m tools.bench.corpus --corpus DIR``.

Without ``--corpus`` 840 clips of the embedded walkers are made. Imports are not counted; the page cache is warm.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.store import refuse_changed
from motionsynth.features.encode import decode, encode
from motionsynth.motion.measure import skeleton_height
from motionsynth.walkers.corpus import make_walkers

__all__ = ["main"]

Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="a folder of BVH files")
    parser.add_argument("--pattern", help="regular expression with named groups for its labels")
    parser.add_argument("--mirror", action="store_true", help="encode mirror images too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.corpus or Path(scratch) / "walkers"
        if options.corpus is None:
            make_walkers(folder, clips=840)
        config = DataConfig(path=folder, pattern=options.pattern, mirror=options.mirror, on_bad_file="skip")
        _bench_opening(config, Path(scratch))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _bench_opening(config: DataConfig, scratch: Path) -> None:
    size = sum(path.stat().st_size for path in config.path.rglob("*.bvh"))
    one, _ = _timed(lambda: _open(config, scratch / "one", workers=1))
    cold, _ = _timed(lambda: _open(config, scratch / "all", workers=None))
    warm, corpus = min((_timed(lambda: _open(config, scratch / "all", workers=None)) for _ in range(5)), key=_seconds)
    sha256 = hashlib.sha256(corpus.store.rows.data).hexdigest()
    check = min(_timed(lambda: refuse_changed(corpus.store.rows, sha256))[0] for _ in range(5))
    cut, _ = _timed(lambda: [corpus.windows(split) for split in ("train", "validation", "test")])
    print(f"{corpus.report.files} files, {size / 1e6:.0f} MB, {corpus.report.frames} frames in the splits")
    print(f"open, one process     {one:8.3f} s")
    print(f"open, all cores       {cold:8.3f} s")
    print(f"open, from the cache  {warm:8.3f} s   (with the normaliser fitted)")
    kept = corpus.store.rows.nbytes
    print(
        f"  of it the check     {check:8.3f} s   that {kept / 1e6:.0f} MB are as written, {kept / check / 1e9:.2f} GB/s"
    )
    print(f"cut all windows       {cut:8.3f} s   {corpus.report.windows}")
    print(f"constant columns      {len(corpus.report.constant_columns):8d} of {corpus.spec.width}")
    _bench_coding(corpus)


def _open(config: DataConfig, cache: Path, workers: int | None) -> Corpus:
    corpus = open_corpus(config, cache=cache, workers=workers)
    assert corpus.normaliser.mean_D.isfinite().all()
    return corpus


def _bench_coding(corpus: Corpus) -> None:
    """Decode every clip, encode that, decode again: how far joints land from where they were."""
    names = corpus.clips("test")
    decoding, clips = _timed(lambda: [decode(corpus.features(name), corpus.spec) for name in names])
    encoding, again = _timed(lambda: [encode(clip, corpus.spec) for clip in clips])
    pairs = zip(clips, (decode(features, corpus.spec) for features in again), strict=True)
    error = max(float(np.abs(a.positions() - b.positions()).max()) / skeleton_height(a) for a, b in pairs)
    drift = max(float((torch.abs(corpus.features(n) - f)).max()) for n, f in zip(names, again, strict=True))
    print(f"encode                {1e3 * encoding / len(names):8.3f} ms a clip")
    print(f"decode                {1e3 * decoding / len(names):8.3f} ms a clip")
    print(f"round trip            {error:8.1e} of the height, {drift:.1e} in features")


def _timed(task: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = task()
    return time.perf_counter() - start, result


def _seconds(timed: tuple[float, Corpus]) -> float:
    return timed[0]


if __name__ == "__main__":
    main()
