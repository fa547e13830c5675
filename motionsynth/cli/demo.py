"""``motionsynth demo``: from nothing to real and generated motion side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from motionsynth.cli.terminal import echo
from motionsynth.files import refuse_unwritable

__all__ = ["demo"]

SHARES: Final = {"vae": 0.4, "gan": 0.35, "flow": 0.25}
"""Families that are trained, with their share of the time."""
SMALL: Final = ("family.backbone.width=512", "train.batch_size=128", "data.stride_frames=4")
"""Settings that fit into a minute of training."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs and the page.")] = Path("demo"),
    data: Annotated[Path, typer.Option("--data", help="Corpus; walkers are made where it is missing.")] = Path(
        "data/walkers"
    ),
    minutes: Annotated[float, typer.Option(min=0.01, help="Training time of the models together.")] = 2.5,
    seed: Annotated[int, typer.Option(help="Seed of the models.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
) -> None:
    """Make the walkers corpus, train a VAE, a GAN and a flow on it, and show what they make beside what is real.

    Takes about five minutes on two cores. Running it again goes on where it stopped.
    """
    from motionsynth.cli.progress import CorpusBar, TrainingBar, bar
    from motionsynth.config import resolve_config
    from motionsynth.runs import generation
    from motionsynth.runs.train import train_once
    from motionsynth.walkers.corpus import make_walkers

    refuse_unwritable(out, "player.html")
    refuse_unwritable(out / "runs")
    if not data.exists():
        with bar("walkers", unit="clips") as advance:
            make_walkers(data, progress=advance)
    for family, share in SHARES.items():
        run_dir = out / "runs" / family
        config = resolve_config(
            family, data=data, overrides=(*SMALL, f"train.minutes={minutes * share:g}", f"train.seed={seed}")
        )
        with TrainingBar(family) as progress, CorpusBar() as reading:
            outcome = train_once(
                config,
                run_dir=run_dir,
                progress=progress,
                reading=reading,
                announce=lambda line: echo(line, err=True),
            )
        for warning in outcome.warnings:
            echo(f"warning: {warning}", fg="yellow", err=True)
        if outcome.exit_code:
            raise typer.Exit(outcome.exit_code)
    page = generation.compare([out / "runs" / family for family in SHARES], out / "player.html")
    echo(f"real and generated motion: {page}")
    echo(f"BVH for Blender:           {', '.join(f'{out}/runs/{family}/samples' for family in SHARES)}")
    echo("compare the runs:          motionsynth ui")
    if open_browser:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
