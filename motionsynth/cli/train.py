"""``motionsynth train``: one run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.files import DataOnBadFile
from motionsynth.cli.terminal import document, echo
from motionsynth.families import FAMILIES

if TYPE_CHECKING:
    from motionsynth.training.distributed import Ranks
    from motionsynth.workflow import Outcome

__all__ = ["train"]

_FAMILY = typer.Argument(help=f"Model family: {', '.join(FAMILIES)}.", show_default=False)


def train(
    family: Annotated[str, _FAMILY],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Complete YAML of the run.", show_default="configs/run/FAMILY")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of BVH files, or a YAML of the data section.")
    ] = None,
    on_bad_file: DataOnBadFile = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; may be repeated.")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", help="Where the run is kept.", show_default="runs/FAMILY-TIME")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --run-dir where it stopped.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved configuration and leave.")] = False,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Deliver the run to MLflow.")] = True,
) -> None:
    """Train one model, sample it, and track it in MLflow.

    Ctrl-C or SIGTERM writes a checkpoint and leaves; `--resume` goes on from there bit for bit.
    `torchrun --nproc_per_node N --no-python motionsynth train ...` shares each batch among N processes.

    A path in a YAML counts from that YAML's folder where something is there, and from the working folder otherwise;
    `~` is the home folder.

    Examples:

    `motionsynth train vae`

    `motionsynth train gan --data ~/mocap --set train.minutes=30 --set train.seed=1`

    `motionsynth train gan --run-dir runs/gan-1 --resume`
    """
    if "WORLD_SIZE" in os.environ:
        # torch reads it when it is loaded: a rank that has gone is told of in one line, not by a stack of C++ frames
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from motionsynth import workflow
    from motionsynth.cli.progress import CorpusBar, TrainingBar
    from motionsynth.config import config_hash, dump_config
    from motionsynth.settings import Setting
    from motionsynth.training.distributed import joined_ranks

    choice = [Setting(("data", "on_bad_file"), on_bad_file, "--on-bad-file")] if on_bad_file else []
    with joined_ranks(device) as ranks, _told_once(ranks), TrainingBar() as bar, CorpusBar() as reading:
        progress, files = (bar, reading) if ranks.first else (None, None)
        announce = (lambda line: echo(line, err=True)) if ranks.first else None
        if resume:
            if run_dir is None or config or data or overrides or choice:
                raise typer.BadParameter(
                    "goes with --run-dir, which holds the configuration; no option that changes it applies",
                    param_hint="--resume",
                )
            outcome = workflow.resume(
                run_dir,
                family=family,
                device=device,
                track=track,
                progress=progress,
                reading=files,
                announce=announce,
                ranks=ranks,
            )
        else:
            resolved = workflow.resolve_config(
                family, config=config, data=data, overrides=[*choice, *(overrides or ())]
            )
            if dry_run:
                if ranks.first:
                    resolved = workflow.settle(resolved, device)
                    basis = "# components: at most; one fewer than whole windows where those are few\n" * bool(
                        resolved.family.basis
                    )
                    document(f"{dump_config(resolved)}{basis}# hash {config_hash(resolved)}")
                return
            outcome = workflow.train(
                resolved,
                run_dir=run_dir,
                device=device,
                track=track,
                progress=progress,
                reading=files,
                announce=announce,
                ranks=ranks,
            )
    if ranks.first:
        _tell(outcome)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@contextmanager
def _told_once(ranks: Ranks) -> Iterator[None]:
    """Let an error out of one process only, the first that meets it: others leave with its code.

    They wait for one another at the end, so that what befalls rank 0 when training is over ends them too.
    """
    try:
        yield
        ranks.wait()
    except Exception as error:
        if ranks.speaks():
            raise
        raise typer.Exit(getattr(error, "exit_code", 1)) from error


def _tell(outcome: Outcome) -> None:
    for warning in outcome.warnings:
        echo(f"warning: {warning}", fg="yellow", err=True)
    echo(outcome.run.path)
    if outcome.exit_code:
        echo(f"stopped at step {outcome.step}; go on with --run-dir {outcome.run.path} --resume", err=True)
