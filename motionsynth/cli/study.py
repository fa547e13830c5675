"""``motionsynth study``: an experiment of many runs, from its YAML to its report."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from motionsynth.cli.commands import Commands
from motionsynth.cli.terminal import document, echo
from motionsynth.errors import StudyError
from motionsynth.files import from_home, refuse_unwritable

if TYPE_CHECKING:
    from motionsynth.study.engines import Engine
    from motionsynth.study.plan import StudyConfig
    from motionsynth.study.runner import Places, Plan, StudyOutcome

__all__ = ["app"]

app = Commands(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Compare arms over corpora and seeds, and judge hypotheses that were written down before.\n\n"
    "Try `motionsynth study run configs/study/smoke.yaml`: six small runs, some minutes.",
)

_YAML = typer.Argument(metavar="YAML", help="The study, such as configs/study/smoke.yaml.", show_default=False)
_DATA = typer.Option(
    "--data",
    metavar="CORPUS=FOLDER",
    help="Where the clips of a corpus lie; may be repeated.",
    show_default="as in YAML",
)
_RUNS = typer.Option("--runs", help="Folder of the runs.", show_default="runs/study-NAME")
_RESULTS = typer.Option("--results", help="Folder of results and report.", show_default="docs/results/NAME")
_ONLY = typer.Option("--only", metavar="ARM", help="Take this arm alone; may be repeated.", show_default="all")


@app.command()
def run(
    yaml: Annotated[Path, _YAML],
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j", "--jobs", min=1, help="Cells at once.", show_default="local 1, ray all processors, slurm 32"
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="What cells run on: local, ray or slurm.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Ray cluster.", show_default="a Ray of this machine")
    ] = None,
    slurm_partition: Annotated[str | None, typer.Option(help="Partition of Slurm.", show_default="its default")] = None,
    slurm_minutes: Annotated[int, typer.Option(min=1, help="Minutes that a job of Slurm may take.")] = 1440,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    together: Annotated[
        int,
        typer.Option(min=1, help="Seeds of one arm that are one cell's work: trained as one batch on a GPU."),
    ] = 1,
    only: Annotated[list[str] | None, _ONLY] = None,
    data: Annotated[list[str] | None, _DATA] = None,
    runs: Annotated[Path | None, _RUNS] = None,
    results: Annotated[Path | None, _RESULTS] = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Deliver the runs to MLflow.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and the time it takes, and leave.")
    ] = False,
) -> None:
    """Train and measure every cell that has no result yet, and write the report.

    A cell is one arm on one corpus by one seed. Ctrl-C, SIGTERM and power cuts cost nothing that is done: the same
    command goes on. A run that diverges is a result; a cell that fails is told, and tried again the next time.

    A path in a YAML counts from that YAML's folder where something is there, and from the working folder otherwise;
    `~` is the home folder.

    Nodes of a Ray or Slurm cluster must see this folder, the clips and the MLflow store under the same names.

    Exit codes: 0 every cell is done, 1 some failed, 2 wrong input, 130 and 143 stopped.

    Examples:

    `motionsynth study run configs/study/smoke.yaml --jobs 2`

    `motionsynth study run configs/study/blur-or-sharp.yaml --only vae --only gan --dry-run`

    `motionsynth study run configs/study/blur-or-sharp.yaml --engine ray --address 10.0.0.1:6379`
    """
    from motionsynth.cli.study_tables import print_plan
    from motionsynth.study.engines import engine_for
    from motionsynth.study.runner import make_plan

    study, places = _opened(yaml, data, runs, results)
    if not dry_run:
        refuse_unwritable(places.runs)
        _refuse_report(places)
    plan = make_plan(study, places, only=only or ())
    chosen = engine_for(
        engine,
        jobs=jobs,
        device=device,
        address=address,
        partition=slurm_partition,
        minutes=slurm_minutes,
        logs=places.runs / "slurm",
    )
    if dry_run:
        print_plan(plan, places, chosen.slots)
        return
    try:
        with _stoppable():
            outcome = _do(plan, places, chosen, device, track, together)
    except KeyboardInterrupt as stop:
        _leave(make_plan(study, places, only=only or ()), stop)
    _print_outcome(outcome)
    _write_report(study, places)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@app.command()
def status(
    yaml: Annotated[Path, _YAML],
    only: Annotated[list[str] | None, _ONLY] = None,
    data: Annotated[list[str] | None, _DATA] = None,
    runs: Annotated[Path | None, _RUNS] = None,
    results: Annotated[Path | None, _RESULTS] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Cells at once, for the time left.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show which cells are done, running, stopped or failed, and the time left.

    Example: `motionsynth study status configs/study/smoke.yaml`
    """
    from motionsynth.cli.study_tables import print_plan, print_statuses_json
    from motionsynth.study.runner import make_plan

    study, places = _opened(yaml, data, runs, results)
    plan = make_plan(study, places, only=only or ())
    if as_json:
        print_statuses_json(plan, places)
    else:
        print_plan(plan, places, jobs)


@app.command()
def report(
    yaml: Annotated[Path, _YAML],
    data: Annotated[list[str] | None, _DATA] = None,
    runs: Annotated[Path | None, _RUNS] = None,
    results: Annotated[Path | None, _RESULTS] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Keep all results in one file, cells.jsonl.xz.")] = False,
) -> None:
    """Write the report again from the results alone; neither weights nor clips are needed.

    Example: `motionsynth study report configs/study/blur-or-sharp.yaml`
    """
    from motionsynth.study.results import pack_results
    from motionsynth.study.runner import make_plan

    study, places = _opened(yaml, data, runs, results)
    _refuse_report(places)
    if not make_plan(study, places).done:
        raise StudyError(places.results, f"holds no result of this study: `motionsynth study run {yaml}` makes them")
    _write_report(study, places)
    if pack:
        echo(pack_results(places.results))


@app.command()
def statistics(
    draws: Annotated[int, typer.Option(min=100, help="Simulated studies for each figure.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the simulations.")] = 0,
) -> None:
    """Simulate studies whose truth is known: coverage of intervals, false verdicts, power.

    Exit code 1 where a promise is broken.

    Example: `motionsynth study statistics --draws 4000`
    """
    from motionsynth.study.simulate import simulate, table

    rows = simulate(draws, seed)
    document(table(rows))
    if any(row.holds is False for row in rows):
        raise typer.Exit(1)


class _Stopped(KeyboardInterrupt):
    """Asked to stop; ``code`` is what the command exits with."""

    def __init__(self, code: int) -> None:
        self.code = code


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM stops a study as Ctrl-C does, wherever it is; a training notes both by itself, and checkpoints."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _Stopped(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _opened(
    yaml: Path, data: Sequence[str] | None, runs: Path | None, results: Path | None
) -> tuple[StudyConfig, Places]:
    from motionsynth.study.load import load_study
    from motionsynth.study.runner import Places

    folders: dict[str, Path] = {}
    for text in data or ():
        corpus, given, folder = text.partition("=")
        if not (corpus and given and folder):
            raise typer.BadParameter(f"{text!r} must look like walkers=data/walkers", param_hint="--data")
        folders[corpus] = Path(from_home(folder))
    study = load_study(yaml)
    return study, Places.of(yaml, study, runs=runs, results=results, data=folders)


def _do(plan: Plan, places: Places, engine: Engine, device: str, track: bool, together: int) -> StudyOutcome:
    from motionsynth.cli.progress import StageBar
    from motionsynth.cli.study_tables import StudyBar
    from motionsynth.study.runner import prepare, run_study

    with StageBar() as stage:
        calibrations = prepare(
            plan,
            places,
            jobs=min(engine.slots, os.cpu_count() or 1),
            told=stage,
            announce=lambda line: echo(line, fg="yellow", err=True),
        )
    with engine, StudyBar(places, engine.slots) as bar:
        try:
            outcome = run_study(
                plan, places, calibrations, engine, device=device, track=track, together=together, told=bar.told
            )
        except KeyboardInterrupt:
            echo("stopping: what trains writes a checkpoint; once more leaves at once", err=True)
            raise
        if outcome.exit_code > 1:
            raise _Stopped(outcome.exit_code)  # lets an engine end what runs beside the cell that was stopped
    return outcome


def _leave(plan: Plan, stop: KeyboardInterrupt) -> NoReturn:
    done = f"{len(plan.done)} of {len(plan.cells)} cells are done"
    echo(f"stopped: {done}; the same command goes on from here", err=True)
    raise typer.Exit(stop.code if isinstance(stop, _Stopped) else 130)


def _print_outcome(outcome: StudyOutcome) -> None:
    for warning in outcome.warnings:
        echo(f"warning: {warning}", fg="yellow", err=True)
    for result in outcome.plan.done.values():
        if result.state == "diverged":
            echo(f"diverged: {result.name}: {result.error}", fg="yellow", err=True)
    for line in outcome.failed:
        echo(f"failed: {line}", fg="red", err=True)
    if outcome.failed:
        echo("the same command tries these cells again", err=True)


def _refuse_report(places: Places) -> None:
    """Raise before long work where the report cannot be written."""
    from motionsynth.report.study.page import HTML, MARKDOWN

    refuse_unwritable(places.results, HTML, MARKDOWN)
    refuse_unwritable(places.results / "figures")


def _write_report(study: StudyConfig, places: Places) -> None:
    """The report of all that there is, whatever this command has done."""
    from motionsynth.calibration.record import load_calibration
    from motionsynth.report.study.page import write_report
    from motionsynth.study.runner import make_plan, read_on

    plan = make_plan(study, places)
    if not plan.done:
        return
    known = {corpus: load_calibration(path) for corpus, path in read_on(plan, places).items()}
    for path in write_report(study, plan.done, places.results, planned=plan.cells, calibrations=known):
        echo(path)
