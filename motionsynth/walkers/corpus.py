"""The embedded corpus: a procedural humanoid with known modes and known parameters, written as BVH files.

A positive control. Its modes, their weights and the density of its parameters are known, so that what a model
misses can be counted; what is found on it says nothing about motion capture.
"""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Final

from motionsynth.errors import CorpusError
from motionsynth.files import new_folder, write_synced
from motionsynth.motion.bvh import write_bvh
from motionsynth.progress import Progress
from motionsynth.walkers.body import FRAME_RATE, SKELETON, TOE_HEIGHT
from motionsynth.walkers.cells import CELLS, OVERLAPPING, WalkerParameters
from motionsynth.walkers.motion import TREMOR_SLOPE, walker_clip
from motionsynth.walkers.plan import (
    DRIFT,
    SERIES,
    VERSION,
    SharedStretch,
    Walker,
    count_clips,
    plan_walkers,
)

__all__ = [
    "CELLS",
    "OVERLAPPING",
    "SKELETON",
    "SharedStretch",
    "Walker",
    "WalkerParameters",
    "count_clips",
    "make_walkers",
    "plan_walkers",
    "walker_clip",
]

_WRITERS: Final = 4
_NAMES: Final = tuple(field.name for field in fields(WalkerParameters))


def make_walkers(
    folder: str | Path,
    *,
    clips: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Write the walkers corpus: one BVH file a clip, ``labels.csv`` and ``walkers.json``; all of it or nothing.

    Everything is written into a hidden folder beside the final one, which then takes its name. A folder that already
    holds the corpus of the same parameters is left alone.

    Args:
        folder: where the corpus goes; must not exist, be empty, or hold this very corpus.
        clips: how many clips.
        seed: the same seed gives the same bytes.
        progress: called with (clips written, clips in all) after each clip.

    Raises:
        CorpusError: the folder holds something else.
        ValueError: ``clips`` is less than one, or ``seed`` is negative.

    Example:
        >>> from pathlib import Path
        >>> from motionsynth import make_walkers
        >>> make_walkers("four-walkers", clips=4)
        >>> sorted(path.suffix for path in Path("four-walkers").iterdir())
        ['.bvh', '.bvh', '.bvh', '.bvh', '.csv', '.json']
    """
    folder = Path(folder).resolve()
    walkers, shared = plan_walkers(clips, seed)
    description = _describe(clips, seed, walkers, shared)
    if _already_made(folder, description, walkers):
        return

    def write(walker: Walker, partial: Path) -> None:
        write_bvh(walker_clip(walker.parameters), partial / walker.file)

    with new_folder(folder) as partial:
        # Most of a write is waiting for the disk, so a few threads are enough to keep one core busy.
        with ThreadPoolExecutor(_WRITERS) as pool:
            writing = [pool.submit(write, walker, partial) for walker in walkers]
            try:
                for done, finished in enumerate(as_completed(writing), start=1):
                    finished.result()
                    if progress is not None:
                        progress(done, len(walkers))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        _write_labels(partial / "labels.csv", walkers)
        write_synced(partial / "walkers.json", description.encode())


def _describe(clips: int, seed: int, walkers: list[Walker], shared: list[SharedStretch]) -> str:
    cells = [
        {
            "name": name,
            "weight": cell.weight,
            "clips": count,
            "frames": list(cell.frames),
            "ranges": {key: list(value) for key, value in cell.ranges.items()},
        }
        for (name, cell), count in zip(CELLS.items(), count_clips(clips).values(), strict=True)
    ]
    series = dict.fromkeys(CELLS, 0)
    for walker in walkers:
        series[f"{walker.parameters.content}/{walker.parameters.style}"] = walker.series + 1
    content: dict[str, Any] = {
        "format": 1,
        "corpus": "walkers",
        "version": VERSION,
        "seed": seed,
        "clips": clips,
        "frame_rate": FRAME_RATE,
        "units": "cm",
        "up": "y",
        "toe_height": TOE_HEIGHT,
        "joints": list(SKELETON.names),
        "distribution": "every parameter uniform on its range and independent of the others; frames uniform on the "
        "whole numbers of theirs; a parameter without a range is 0",
        "takes": f"series of {SERIES[0]} to {SERIES[1]} takes; each parameter a reflected random walk with steps of "
        f"{DRIFT} of its range",
        "tremor": f"Gaussian, power 1 / (1 + (f / 1.5 Hz)^{TREMOR_SLOPE:g}), seeded by noise_seed",
        "series": series,
        "overlapping": list(OVERLAPPING),
        "cells": cells,
        "shared_stretches": [{"files": list(s.files), "starts": list(s.starts), "length": s.length} for s in shared],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _write_labels(path: Path, walkers: list[Walker]) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("file", "take", *_NAMES))
    writer.writerows((walker.file, walker.take, *astuple(walker.parameters)) for walker in walkers)
    write_synced(path, table.getvalue().encode())


def _already_made(folder: Path, description: str, walkers: list[Walker]) -> bool:
    """True where the folder holds this very corpus; refuses one that holds anything else."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise CorpusError(f"{folder}: is not a folder; choose another --out")
    present = {path.name for path in folder.iterdir()}
    if not present:
        return False
    if "walkers.json" not in present:
        raise CorpusError(f"{folder}: is not empty and holds no walkers corpus; choose another folder or empty it")
    if (folder / "walkers.json").read_text(encoding="utf-8") != description:
        raise CorpusError(f"{folder}: holds a walkers corpus of other parameters; choose another folder or remove it")
    missing = {walker.file for walker in walkers} | {"labels.csv"}
    missing -= present
    if missing:
        raise CorpusError(f"{folder}: {len(missing)} files are gone, such as {min(missing)}; remove it to make it anew")
    return True
