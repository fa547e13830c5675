"""Time and memory of opening and of windows as a corpus grows: ``python -m tools.bench.scale --clips 1000 5000 20000``.

The embedded walkers, read in one process. Times are of the processor, so that other programs count for little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import torch

from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.windows import WindowSet
from motionsynth.walkers.corpus import make_walkers

__all__ = ["main"]

_BATCH: Final = 128
_BATCHES: Final = 50
_FEW: Final = 0.05
"""Seconds below which a time says nothing of a slope."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Measured:
    """Figures of one corpus."""

    clips: int
    frames: int
    figures: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 5000, 20000], help="sizes of corpora, rising")
    parser.add_argument("--folder", type=Path, help="where corpora and features are kept for another run")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        measured = []
        for clips in options.clips:
            measured.append(_measure(clips, folder))
            print(f"{clips} clips measured", flush=True)
    _print_table(measured)


def _measure(clips: int, folder: Path) -> Measured:
    place = folder / f"walkers-{clips}"
    make_walkers(place, clips=clips)
    figures: dict[str, float] = {}
    first = _timed(figures, "read and encode, s", lambda: _open(place, folder, stride=4))
    if first.store.from_cache:
        del figures["read and encode, s"]  # an earlier run has
    corpus = _timed(figures, "open from the cache, s", lambda: _open(place, folder, stride=4))
    assert corpus.store.folder
    kept = sum(file.stat().st_size for file in corpus.store.folder.iterdir())
    figures["cache, MB"] = kept / 1e6
    for stride in (4, 1):
        opened = _open(place, folder, stride=stride)
        train = _timed(figures, f"windows of training, stride {stride}, s", partial(opened.windows, "train"))
        figures[f"windows of training, stride {stride}"] = len(train)
        figures[f"  their memory, stride {stride}, MB"] = _bytes(train) / 1e6
        figures[f"  copied out, stride {stride}, MB"] = 4 * len(train) * train.size[0] * train.size[1] / 1e6
        figures[f"  a batch of {_BATCH}, stride {stride}, ms"] = _batch_ms(train)
    return Measured(clips, len(corpus.store.rows), figures)


def _open(place: Path, folder: Path, *, stride: int) -> Corpus:
    data = DataConfig(path=place, window_frames=64, stride_frames=stride)
    corpus = open_corpus(data, cache=folder / "cache", workers=1)
    assert corpus.normaliser.mean_D.isfinite().all() and corpus.report.clips
    return corpus


def _bytes(windows: WindowSet) -> int:
    own = (windows.rows_FD, windows.row_N, windows.length_N, windows.clip_N, windows.start_N, *windows.labels.values())
    return sum(one.untyped_storage().nbytes() for one in own)


def _batch_ms(windows: WindowSet) -> float:
    generator = torch.Generator().manual_seed(0)
    batches = torch.randint(len(windows), (_BATCHES, _BATCH), generator=generator)
    windows.batch(batches[0])
    start = time.process_time()
    for index_B in batches:
        windows.batch(index_B)
    return 1e3 * (time.process_time() - start) / _BATCHES


def _timed(figures: dict[str, float], name: str, task: Callable[[], Result]) -> Result:
    start = time.process_time()
    result = task()
    figures[name] = time.process_time() - start
    return result


def _print_table(measured: Sequence[Measured]) -> None:
    """A line a figure, and of those that grow the power of the number of clips from the first corpus to the last."""
    first, last = measured[0], measured[-1]
    print(f"{'':42}" + "".join(f"{one.clips:>12,}" for one in measured) + "       power")
    print(f"{'frames':42}" + "".join(f"{one.frames:>12,}" for one in measured))
    for name in dict.fromkeys(name for one in measured for name in one.figures):
        values = [one.figures.get(name) for one in measured]
        cells = "".join(f"{'':>12}" if value is None else f"{value:>12,.{_digits(value)}f}" for value in values)
        a, b = values[0], values[-1]
        known = a is not None and b is not None and first.clips < last.clips and "batch" not in name and a > _FEW
        power = torch.tensor([(b or 1) / (a or 1), last.clips / first.clips]).log() if known else None
        print(f"{name:42}{cells}" + ("" if power is None else f"{float(power[0] / power[1]):12.2f}"))


def _digits(value: float) -> int:
    return 0 if value >= 1000 or value == int(value) else 2


if __name__ == "__main__":
    main()
