"""``motionsynth calibrate``: which figures may be trusted on a corpus, and what they mean in doses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.files import DataOnBadFile, data_overrides, print_skipped
from motionsynth.cli.terminal import echo, print_table
from motionsynth.files import refuse_unwritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from motionsynth.calibration.bench import Bench
    from motionsynth.calibration.record import Calibration
    from motionsynth.cli.progress import StageBar

__all__ = ["calibrate"]


def calibrate(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="Folder of BVH or AMC files, YAML of a data section, or a run directory: the clips it learnt from."
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="YAML of doses, axes and thresholds.", show_default="configs/calibration.yaml"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder to write; finished doses in it are kept.", show_default="calibration/NAME"
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Groups, metrics or keys, with commas.", show_default="all")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Feature spaces, with commas.", show_default="all")] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=16, help="Windows a set.", show_default="1024")
    ] = None,
    repeats: Annotated[int | None, typer.Option(min=3, help="Draws of both sets.", show_default="10")] = None,
    seed: Annotated[int | None, typer.Option(help="Of draws and noise.", show_default="0")] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=0, help="Processes; 0: one a core. Figures do not depend on it.")
    ] = 0,
    extractor: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the extractor that judges.", show_default="that of the corpus, trained if need be"
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key of data, such as data.stride_frames=4; may be repeated."
        ),
    ] = None,
    on_bad_file: DataOnBadFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and leave.")] = False,
) -> None:
    """Damage real clips by known doses, and find which figures show the damage, and nothing else.

    Writes `calibration.json`, on whose curves `evaluate --calibration` reads a model's figures as doses, and
    `report.html`. Started again it goes on where it stopped. Windows are cut as `configs/run/vae.yaml` cuts them.

    Examples:

    `motionsynth calibrate data/walkers`

    `motionsynth calibrate runs/vae --metrics smoothness,coverage --repeats 5`

    `motionsynth calibrate configs/data/bandai-namco-2.yaml --set data.path=/data/bandai --out calibration/bandai`
    """
    from motionsynth.calibration.calibrate import DOSES, RECORD, Job, open_job
    from motionsynth.calibration.calibrate import calibrate as run
    from motionsynth.calibration.plan import load_plan, shipped_plan
    from motionsynth.cli.progress import StageBar
    from motionsynth.extractors.store import load_extractor
    from motionsynth.report.calibration import write_report
    from motionsynth.runs.begin import resolve_data

    changes = {
        key: value for key, value in (("count", count), ("repeats", repeats), ("seed", seed)) if value is not None
    }
    plan = load_plan(config or shipped_plan(), **changes)
    data = resolve_data(corpus, overrides=data_overrides(on_bad_file, overrides))
    folder = out or Path("calibration") / data.path.resolve().name
    if not dry_run:
        refuse_unwritable(folder, RECORD, "report.html")  # before an extractor is trained
        refuse_unwritable(folder / DOSES)
    if extractor:
        load_extractor(extractor)  # a misspelt folder is none to train one in
    job = Job(plan, data, extractor, _words(metrics), _words(features))
    with StageBar() as stage:
        bench = open_job(
            job,
            reading=lambda done, total: stage("corpus", done, total),
            training=lambda done, total: stage("extractor", done, total),
        )
        if dry_run:
            _print_plan(bench)
            print_skipped(skipped.reason for skipped in bench.corpus.skipped)
            return
        found = run(job, bench, folder, jobs=jobs or _cores(), progress=_fresh(stage))
    write_report(found, folder / "report.html")
    _print_verdicts(found)
    echo(folder / RECORD)
    echo(folder / "report.html")
    print_skipped(skipped.reason for skipped in bench.corpus.skipped)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fresh(stage: StageBar) -> Callable[[int, int], None]:
    """Doses measured by this call, so that those that were kept do not count as quick ones."""
    kept: list[int] = []

    def show(done: int, total: int) -> None:
        if not kept:
            kept.append(done)
        if total > kept[0]:
            stage("doses", done - kept[0], total - kept[0])

    return show


def _print_plan(bench: Bench) -> None:
    from motionsynth.calibration.calibrate import size_notes
    from motionsynth.metrics.registry import figure_keys

    doses, notes = bench.doses()
    config = bench.config
    echo(f"corpus {bench.corpus.config.path} ({bench.corpus.fingerprint[:12]})")
    echo(f"{len(bench.pool)} training windows in {bench.cells} cells, {len(bench.reference_pool)} test windows")
    echo(f"{bench.count} windows a set, {config.repeats} repeats, seed {config.seed}")
    echo(f"{len(figure_keys(bench.chosen))} figures")
    for kind in dict.fromkeys(dose.kind for dose in doses):
        echo(f"{kind}: " + ", ".join(f"{dose.value:g}" for dose in doses if dose.kind == kind))
    for note in (*size_notes(bench), *notes):
        echo(note)


def _print_verdicts(calibration: Calibration) -> None:
    from motionsynth.report.calibration import headline_sentences, verdict_table

    print_table(verdict_table(calibration))
    for line in (*headline_sentences(calibration), *calibration.notes):
        echo(line)
