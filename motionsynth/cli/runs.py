"""``motionsynth runs``: what has been trained, and what MLflow knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from motionsynth.cli.commands import Commands
from motionsynth.cli.terminal import console, echo, escaped, print_json
from motionsynth.errors import RunError

__all__ = ["app"]

app = Commands(no_args_is_help=True, rich_markup_mode="markdown", help="List, show and sync training runs.")

_FOLDER = typer.Option("--folder", help="Folder that holds run directories.", show_default="runs")


def _place(folder: Path | None) -> Path:
    """The folder that was named, which must be there, or ``runs``, which nobody need have made yet."""
    if folder is not None and not folder.is_dir():
        raise RunError(folder, "is no folder" if folder.exists() else "no such folder")
    return folder or Path("runs")


@app.command("list")
def list_(
    folder: Annotated[Path | None, _FOLDER] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the runs in a folder, newest first.

    Example: `motionsynth runs list --folder demo/runs`
    """
    from motionsynth.tracking.local import list_runs

    place = _place(folder)
    summaries = list_runs(place)
    if as_json:
        print_json([summary.to_dict() for summary in summaries])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "family", "state", "step", "corpus", "seed", "created"):
        table.add_column(heading, justify="right" if heading in ("step", "seed") else "left")
    for run in summaries:
        corpus = Path(run.corpus).name
        row = (run.path.name, run.family, run.state, str(run.step), corpus, str(run.seed), run.created)
        table.add_row(*map(escaped, row))
    console(soft_wrap=True).print(table if summaries else f"no runs in {escaped(str(place))}")


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show one run: state, corpus, and the last value of every metric.

    Example: `motionsynth runs show runs/vae`
    """
    from motionsynth.tracking.local import summarise_run

    summary = summarise_run(run).to_dict()
    if as_json:
        print_json(summary)
        return

    metrics: dict[str, Any] = summary.pop("metrics")
    out = console(soft_wrap=True)
    for key, value in summary.items():
        if value is None:
            continue  # nothing is wrong with it
        out.print(f"[bold]{escaped(key)}[/bold]  {escaped(str(value))}")
    for name, value in sorted(metrics.items()):
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        out.print(f"  {escaped(f'{name:40} {shown}')}")


@app.command()
def sync(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run directories.", show_default="every run in --folder")
    ] = None,
    folder: Annotated[Path | None, _FOLDER] = None,
) -> None:
    """Deliver to MLflow what it does not have yet; nothing is delivered twice.

    Exits with 1 if something is left, with 2 if a run directory cannot be read.

    Example: `MLFLOW_TRACKING_URI=http://localhost:5000 motionsynth runs sync runs/vae`
    """
    from motionsynth.tracking.local import list_runs
    from motionsynth.tracking.sync import sync_run

    place = _place(folder)
    paths = runs or [summary.path for summary in list_runs(place)]
    if not paths:
        raise RunError(place, "holds no run directory")
    left = damaged = 0
    for path in paths:
        try:
            report = sync_run(path)
        except RunError as error:  # one damaged run must not keep the others from being delivered
            echo(f"error: {error}", fg="red", err=True)
            damaged += 1
            continue
        echo(f"{path}: {report}", err=not report.complete)
        left += not report.complete
    if damaged or left:
        raise typer.Exit(2 if damaged else 1)
