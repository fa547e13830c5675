"""Train every family, let it do all it can, and hold its figures against the bars.

    python tools/accept/families.py [--corpus walkers|PATH] [--real FOLDER] [--only NAME] [--jobs 2]
                                    [--set [NAME:]KEY=VALUE] [--out accept]

For each corpus and each family of the registry: ``train`` by its baseline YAML, ``generate`` 64 clips from each prior,
``reconstruct`` and ``translate`` where it can, and measure. Prints one table and keeps it as Markdown and JSON, and the
curve of quality against steps as JSON and SVG. A second call goes on where the first stopped. Exits with 1 where a bar
is missed or a family failed. Without ``--corpus`` it takes the walkers and the real corpus of configs/data, the latter
where its clips are there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from family_bars import Result, bars_of, journal_means, table
from family_quality import (
    COUNT,
    Bench,
    Quality,
    domain_difference,
    mean_quality,
    reconstruction_error,
    translated,
)

from motionsynth.config import RunConfig, config_hash, resolve_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import MotionSynthError
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Reconstructs, SampleOptions, Translates
from motionsynth.files import write_bytes
from motionsynth.processes import safe_children
from motionsynth.report.charts import Line, line_chart
from motionsynth.runs.begin import resolve_data
from motionsynth.runs.generation import generate, reconstruct
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import draw_from, draw_samples
from motionsynth.runs.train import train_once
from motionsynth.runs.translation import translate
from motionsynth.training.determinism import build_family
from motionsynth.training.journal import read_journal

WALKERS: Final = Path("data/walkers")
REAL: Final = Path("configs/data/bandai-namco-2.yaml")
CLIPS: Final = 64
SHOWN: Final = 4
"""Held-out clips that are sent through a family and written."""


@dataclass(frozen=True)
class Job:
    """One family on one corpus."""

    name: str
    config: RunConfig
    whole: DataConfig
    """The corpus that all families are judged in."""
    folder: Path
    left_out: tuple[str, ...] = ()
    """Overrides that mean nothing to the family."""


def main() -> int:
    """Train, measure, print, judge."""
    arguments = _arguments()
    failed = False
    for title, data, overrides in corpora(arguments):
        folder = arguments.out / title
        jobs = [job_of(name, data, folder, overrides) for name in arguments.only or FAMILIES]
        absent = [str(job.config.data.path) for job in jobs if not job.config.data.path.exists()]
        if absent:
            print(f"{title}: skipped, {absent[0]} is not there")
            continue
        # before the workers: none trains the extractor twice
        Bench.open(jobs[0].whole, jobs[0].whole).baselines(folder)
        failed |= report(title, folder, run_jobs(jobs, arguments.jobs))
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", metavar="walkers|PATH", help="folder, or YAML of a data section")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help=f"where the clips of {REAL} lie")
    parser.add_argument("--only", action="append", choices=list(FAMILIES), metavar="NAME")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="[NAME:]KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("accept"), help="runs, clips, tables; default: accept")
    parser.add_argument("--jobs", type=int, default=1, help="families at a time, a process of one thread each")
    return parser.parse_args()


def corpora(arguments: argparse.Namespace) -> list[tuple[str, Path, list[str]]]:
    """Name, folder or YAML, and overrides of each corpus; the walkers are made where they are missing."""
    chosen = []
    real = REAL if arguments.real else None
    for text in arguments.corpus or ([] if real else ["walkers", REAL]):
        place = WALKERS if text == "walkers" else Path(text)
        chosen.append((place.stem, place, arguments.overrides))
    if real:
        chosen.append((REAL.stem, REAL, [*arguments.overrides, f"data.path={json.dumps(str(arguments.real))}"]))
    if any(place == WALKERS for _, place, _ in chosen) and not WALKERS.exists():
        from motionsynth.walkers.corpus import make_walkers

        make_walkers(WALKERS)
    return chosen


def job_of(name: str, data: Path, folder: Path, overrides: Sequence[str]) -> Job:
    """The baseline of a family on that corpus; overrides with ``NAME:`` before them go to that family alone."""
    unused = {f"train.{key}" for key in family_class(name).Config.UNUSED}
    mine, left_out = [], []
    for text in overrides:
        owner, colon, rest = text.partition(":")
        if colon and owner in FAMILIES:
            if owner == name:
                mine.append(rest)
        elif text.partition("=")[0].strip() in unused:
            left_out.append(text)
        else:
            mine.append(text)
    whole = resolve_data(data, overrides=[text for text in overrides if text.startswith("data.")])
    return Job(name, resolve_config(name, data=data, overrides=mine), whole, folder / name, tuple(left_out))


def run_jobs(jobs: Sequence[Job], processes: int) -> list[Result]:
    """Every job, several at a time, each told on the way; one that fails keeps none of the others."""
    results = []
    context = multiprocessing.get_context("spawn")
    with safe_children(), ProcessPoolExecutor(max(1, processes), mp_context=context) as pool:
        for result in pool.map(accept, jobs):
            word = result.error or f"{result.seconds:.0f} s, {result.steps} steps"
            print(f"{result.name}: {word}", file=sys.stderr, flush=True)
            results.append(result)
    return results


def accept(job: Job) -> Result:
    """One family: train, generate, reconstruct, translate, measure; what it cannot do is noted."""
    torch.set_num_threads(1)
    result = Result(job.name, config_hash(job.config), notes=[f"without {text}" for text in job.left_out])
    try:
        began = time.monotonic()
        outcome = train_once(job.config, run_dir=job.folder / "run", track=False)
        result.commands.append("train")
        if outcome.exit_code:
            result.error = f"stopped by a signal at step {outcome.step}"
        else:
            measure(job, outcome.run, result)
        print(f"{job.name}: {time.monotonic() - began:.0f} s in all", file=sys.stderr, flush=True)
    except (MotionSynthError, ValueError, RuntimeError, AssertionError) as error:
        result.error = f"{type(error).__name__}: {error}"
        result.notes.append(traceback.format_exc())
    text = json.dumps(asdict(result), indent=1)
    job.folder.mkdir(parents=True, exist_ok=True)
    write_bytes(job.folder / "result.json", text.encode() + b"\n")
    return result


def measure(job: Job, run: Run, result: Result) -> None:
    """Fill in all figures of a finished run."""
    bench = Bench.open(job.config.data, job.whole)
    family = run.load_family()
    result.parameters = family.sizes()
    for prior in family.priors:
        generate(run.path, CLIPS, seed=1, out=job.folder / "clips" / prior, prior=prior, device="cpu", overwrite=True)
    result.commands.append("generate")
    fresh = build_family(run.config.family, run.shape, run.config.train.seed).eval()
    if isinstance(family, Translates) and isinstance(fresh, Translates):
        _measure_translator(job, run, family, fresh, result)
    else:
        result.rows = bench.baselines(job.folder.parent)
        # nothing is fitted on the latents of an untrained network
        unfitted = next((prior for prior in fresh.priors if prior != "fitted"), None)
        result.rows["untrained"] = bench.quality(draw_from(fresh, COUNT, 0, SampleOptions(prior=unfitted)))
        for prior in family.priors:
            result.quality[prior] = bench.quality(
                draw_samples(run, COUNT, 0, how=SampleOptions(prior=prior)).motion_NTD
            )
    if isinstance(family, Reconstructs):
        clips = [bench.corpus.path(name) for name in bench.corpus.clips("test")[:SHOWN]]
        reconstruct(run.path, clips, job.folder / "clips" / "reconstructed", device="cpu", overwrite=True)
        result.commands.append("reconstruct")
        result.reconstruction = reconstruction_error(family, bench.corpus.windows("test"))
    result.mean_clip = bench.mean_clip_error()
    rows = read_journal(run.journal_path)
    result.steps = run.record.step
    result.seconds = 60 * max(row.metrics.get("budget/minutes", 0.0) for row in rows)
    result.journal = journal_means(rows)
    frechets = [(row.step, row.metrics.get("validation/frechet")) for row in rows]
    result.curve = [(step, value) for step, value in frechets if value is not None]


def _measure_translator(job: Job, run: Run, family: Translates, fresh: Translates, result: Result) -> None:
    """Held-out motion brought to the other domain, against that domain's own: figures are means of both ways.

    An untrained translator leaves motion nearly as it is, so its row is the other domain itself.
    """
    label, qualities, rows = family.domain_label(), [], []
    assert isinstance(family, Family) and isinstance(fresh, Family)
    for to, name in enumerate(run.record.labels[label]):
        bench = Bench.open(job.config.data, job.whole, (label, to))
        held, train = bench.corpus.windows("test"), bench.corpus.windows("train")
        others = [clip for clip in bench.corpus.clips("test") if clip in _clips_of(held, label, 1 - to)]
        clips = [bench.corpus.path(clip) for clip in others[:SHOWN]]
        translate(run.path, clips, name, job.folder / "clips" / name, overwrite=True)
        qualities.append(bench.quality(translated(family, held, to)))
        untrained = bench.quality(translated(fresh, held, to))
        rows.append(bench.baselines(job.folder.parent) | {"untrained": untrained})
        result.difference = domain_difference(label, held, train)
    result.commands.append("translate")
    result.quality = {"both ways": mean_quality(qualities)}
    result.rows = {name: mean_quality([row[name] for row in rows]) for name in rows[0]}


def _clips_of(windows: WindowSet, label: str, index: int) -> set[str]:
    return set(windows.subset(windows.labels[label] == index).takes)


def known_results(folder: Path) -> dict[str, Result]:
    """Results of earlier calls, by family: ``--only vae`` is held against the autoencoder of before."""
    found = {}
    for path in sorted(folder.glob("*/result.json")):
        document = json.loads(path.read_text())
        for key in ("quality", "rows"):
            document[key] = {name: Quality(*values) for name, values in document[key].items()}
        found[document["name"]] = Result(**document)
    return found


def report(title: str, folder: Path, results: Sequence[Result]) -> bool:
    """Print and keep table and curves; whether anything is missed."""
    everything = known_results(folder)
    bars = {result.name: bars_of(result, everything) for result in results}
    text = table(title, results, bars)
    print(text)
    write_bytes(folder / "table.md", text.encode() + b"\n")
    document = [
        {**asdict(result), "bars": [asdict(bar) | {"passed": bar.passed} for bar in bars[result.name]]}
        for result in results
    ]
    write_bytes(folder / "table.json", json.dumps(document, indent=1).encode() + b"\n")
    curves = {name: result.curve for name, result in everything.items() if result.curve}
    write_bytes(folder / "curves.json", json.dumps(curves).encode() + b"\n")
    if curves:
        lines = [Line(name, [s for s, _ in points], [v for _, v in points]) for name, points in curves.items()]
        svg = line_chart(
            lines,
            x_label="steps",
            y_label="Frechet distance to the validation takes",
            x_scale="log",
            y_scale="log",
            alt=f"Frechet distance of samples against steps, {title}",
        )
        write_bytes(folder / "curves.svg", svg.encode() + b"\n")
    return any(result.error for result in results) or any(b.passed is False for one in bars.values() for b in one)


if __name__ == "__main__":
    sys.exit(main())
