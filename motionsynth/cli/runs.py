"""``motionsynth runs``: what has been trained, and what MLflow knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from motionsynth.cli.commands import Commands

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app"]

app = Commands(no_args_is_help=True, rich_markup_mode="markdown", help="List, show and sync training runs.")

_FOLDER = typer.Option("--folder", help="Folder that holds run directories.")


@app.command("list")
def list_(
    folder: Annotated[Path, _FOLDER] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the runs in a folder, newest first.

    Example: `motionsynth runs list --folder demo/runs`
    """
    from motionsynth.tracking.local import list_runs

    summaries = list_runs(folder)
    if as_json:
        _print_json([summary.to_dict() for summary in summaries])
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "family", "state", "step", "corpus", "seed", "created"):
        table.add_column(heading, justify="right" if heading in ("step", "seed") else "left")
    for run in summaries:
        corpus = Path(run.corpus).name
        row = (run.path.name, run.family, run.state, str(run.step), corpus, str(run.seed), run.created)
        table.add_row(*map(escape, row))
    _console().print(table if summaries else f"no runs in {escape(str(folder))}")


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
        _print_json(summary)
        return
    from rich.markup import escape

    metrics: dict[str, Any] = summary.pop("metrics")
    console = _console()
    for key, value in summary.items():
        console.print(f"[bold]{key}[/bold]  {escape(str(value))}")
    for name, value in sorted(metrics.items()):
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        console.print(f"  {escape(f'{name:40} {shown}')}")


@app.command()
def sync(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run directories.", show_default="every run in --folder")
    ] = None,
    folder: Annotated[Path, _FOLDER] = Path("runs"),
) -> None:
    """Deliver to MLflow what it does not have yet; nothing is delivered twice.

    Exits with 1 if something is left, with 2 if a run directory cannot be read.

    Example: `MLFLOW_TRACKING_URI=http://localhost:5000 motionsynth runs sync runs/vae`
    """
    from motionsynth.errors import RunError
    from motionsynth.tracking.local import list_runs
    from motionsynth.tracking.sync import sync_run

    paths = runs or [summary.path for summary in list_runs(folder)]
    if not paths:
        raise RunError(folder, "holds no run directory")
    left = damaged = 0
    for path in paths:
        try:
            report = sync_run(path)
        except RunError as error:  # one damaged run must not keep the others from being delivered
            typer.secho(f"error: {error}", fg="red", err=True)
            damaged += 1
            continue
        typer.echo(f"{path}: {report}", err=not report.complete)
        left += not report.complete
    if damaged or left:
        raise typer.Exit(2 if damaged else 1)


def _console() -> Console:
    """A console that cuts and wraps nothing where the output goes to a file or a pipe."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 200
    return console


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
