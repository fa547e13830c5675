"""One calibration: doses done, figures measured, verdicts drawn; finished doses are kept, so that it can go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from motionsynth import __version__
from motionsynth.calibration.bench import Bench, one_thread, open_bench
from motionsynth.calibration.conclude import conclude
from motionsynth.calibration.plan import KINDS, CalibrationConfig, Dose
from motionsynth.calibration.record import Calibration, DoseFigures, FigureRecord, save_calibration
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import open_corpus
from motionsynth.errors import ConfigError
from motionsynth.extractors.store import extractor_for
from motionsynth.files import parse_json, read_regular, write_bytes
from motionsynth.metrics.registry import MEASURES, Chosen, choose, figure_key, figure_keys
from motionsynth.processes import follow_parent, safe_children
from motionsynth.progress import Progress

__all__ = ["Job", "calibrate", "measure_doses", "open_job", "size_notes"]


DOSES: Final = "doses"
RECORD: Final = "calibration.json"
_ABOUT: Final = "about.json"
_LARGEST_ABOUT: Final = 1 << 20


@dataclass(frozen=True)
class Job:
    """Settings that a process needs for its share of the work; small enough to be sent.

    Args:
        config: what is done.
        data: how the corpus is opened.
        extractor: folder of the extractor; the corpus' own where None.
        metrics: groups, metrics or keys; all where None.
        spaces: feature spaces; all where None.
    """

    config: CalibrationConfig
    data: DataConfig
    extractor: Path | None = None
    metrics: tuple[str, ...] | None = None
    spaces: tuple[str, ...] | None = None


def open_job(job: Job, *, reading: Progress | None = None, training: Progress | None = None) -> Bench:
    """Open corpus and extractor, which is trained where there is none, and draw every repeat.

    Raises:
        CorpusError, ExtractorError: they cannot be used.
        ConfigError: no such metric or feature space.
    """
    corpus = open_corpus(job.data, progress=reading)
    extractor = extractor_for(corpus, folder=job.extractor, progress=training)
    instruments = [measure for measure in MEASURES if measure.calibrated]
    chosen = choose(job.metrics, job.spaces, extractor.spaces, measures=instruments)
    return open_bench(corpus, extractor, job.config, chosen)


def calibrate(job: Job, bench: Bench, out: Path, *, jobs: int = 1, progress: Progress | None = None) -> Calibration:
    """Measure every dose that is not kept in ``out`` yet, draw the verdicts, and write ``calibration.json``.

    Args:
        job: what to do.
        bench: the same, opened.
        out: folder; ``doses/`` in it holds what is finished.
        jobs: processes; the figures do not depend on it.
        progress: called with (doses done, doses in all).

    Raises:
        ConfigError: ``out`` holds the doses of another calibration.
    """
    doses, notes = bench.doses()
    kept = _open_kept(out, bench)
    found = {dose: figures for dose in doses if (figures := _read_kept(kept, dose))}
    left = [dose for dose in doses if dose not in found]
    if progress:
        progress(len(found), len(doses))
    for figures in measure_doses(job, bench, left, jobs=jobs):
        content = json.dumps(figures.to_dict(), allow_nan=False) + "\n"
        write_bytes(kept / f"{figures.dose.key}.json", content.encode())
        found[figures.dose] = figures
        if progress:
            progress(len(found), len(doses))
    calibration = conclude(_collected(bench, [found[dose] for dose in doses], notes))
    save_calibration(calibration, out / RECORD)
    return calibration


def measure_doses(job: Job, bench: Bench, doses: Sequence[Dose], *, jobs: int = 1) -> Iterator[DoseFigures]:
    """Figures of doses in the order in which they are ready."""
    # doses that change motion take longest: they go first, so that no process is left alone with one at the end
    ordered = sorted(doses, key=lambda dose: dose.kind == "none" or KINDS[dose.kind].acts == "draw")
    if jobs == 1 or len(ordered) < 2:
        with one_thread():
            for dose in ordered:
                yield bench.measure(dose)
        return
    from multiprocessing import get_context

    workers = min(jobs, len(ordered))
    with safe_children():  # which the pool starts when it is made, and when it is given something
        pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (job,))
        waiting: set[Future[DoseFigures]] = {pool.submit(_measure, dose) for dose in ordered}
    with pool:
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)


_process: dict[str, Any] = {}
"""In a worker: its bench, and what holds it to one thread."""


def _start(job: Job) -> None:
    follow_parent()
    stack = ExitStack()
    stack.enter_context(one_thread())
    _process.update(bench=open_job(job), stack=stack)


def _measure(dose: Dose) -> DoseFigures:
    found: DoseFigures = _process["bench"].measure(dose)
    return found


def _open_kept(out: Path, bench: Bench) -> Path:
    """The folder of finished doses, of this very calibration."""
    folder = out / DOSES
    about = _about(bench)
    path = folder / _ABOUT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            there = parse_json(read_regular(path, limit=_LARGEST_ABOUT))
            differing = [key for key in about if not isinstance(there, dict) or there.get(key) != about[key]]
            if differing:
                reason = f"holds the doses of another calibration (its {differing[0]} differs); name another --out"
                raise ConfigError(out, None, reason)
        else:
            write_bytes(path, (json.dumps(about, indent=1) + "\n").encode())
    except ValueError as error:
        raise ConfigError(path, None, "is damaged; delete the folder") from error
    return folder


def _about(bench: Bench) -> dict[str, Any]:
    """Settings that decide the figures of a dose; thresholds and axes do not."""
    return {
        "motionsynth": __version__,
        "corpus": bench.corpus.fingerprint,
        "extractor": bench.extractor.identity,
        "count": bench.count,
        "repeats": bench.config.repeats,
        "seed": bench.config.seed,
        "figures": list(figure_keys(bench.chosen)),
    }


def _read_kept(folder: Path, dose: Dose) -> DoseFigures | None:
    path = folder / f"{dose.key}.json"
    if not path.exists():
        return None
    return DoseFigures.read(path)


def _collected(bench: Bench, found: Sequence[DoseFigures], notes: Sequence[str]) -> Calibration:
    repeated = [
        f"{f.dose.label}: {100 * f.repeated:.0f} % of the windows repeat another, as the kept ones are fewer than N"
        for f in found
        if f.repeated and f.dose.kind == "cells"
    ]
    return Calibration(
        bench.config,
        bench.corpus.fingerprint,
        bench.extractor.identity,
        bench.corpus.config.path.resolve().name,
        bench.count,
        bench.ground,
        tuple(found),
        _records(bench.chosen),
        notes=(*size_notes(bench), *bench.pool.motions.notes, *bench.reference_pool.motions.notes, *notes, *repeated),
    )


def size_notes(bench: Bench) -> list[str]:
    """Note that sets hold fewer windows than were asked for."""
    asked, splits = bench.config.count, {"training": len(bench.pool), "test": len(bench.reference_pool)}
    if bench.count >= asked:
        return []
    short = min(splits, key=lambda name: splits[name])
    return [f"{bench.count} windows a set instead of {asked}: as many as the {short} split holds"]


def _records(chosen: Sequence[Chosen]) -> dict[str, FigureRecord]:
    return {
        (key := figure_key(metric, space)): FigureRecord(key, metric.unit, metric.better, metric.within, metric.summary)
        for measure, space in chosen
        for metric in measure.metrics
    }
