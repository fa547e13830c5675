"""``motionsynth train``: one run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from motionsynth.cli.files import DataOnBadFile
from motionsynth.cli.terminal import document, echo
from motionsynth.errors import MotionSynthError
from motionsynth.families import FAMILIES
from motionsynth.printable import printable, shown

if TYPE_CHECKING:
    from motionsynth.config import RunConfig
    from motionsynth.runs.train import Outcome
    from motionsynth.training.distributed import Ranks

__all__ = ["train"]

_MOST_SEEDS = 1000
_FAMILY = typer.Argument(help=f"Model family: {', '.join(FAMILIES)}.", show_default=False)


def train(
    family: Annotated[str, _FAMILY],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Complete YAML of the run.", show_default="configs/run/FAMILY")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of BVH or AMC files, or a YAML of the data section.")
    ] = None,
    on_bad_file: DataOnBadFile = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; may be repeated.")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", help="Where the run is kept.", show_default="runs/FAMILY-TIME")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="FIRST:END",
            help="Train a model by each seed, such as 0:8 for 0 to 7, in RUN-DIR-seed-N; at once on a GPU.",
            show_default="train.seed alone",
        ),
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

    `motionsynth train vae --seeds 0:8 --run-dir runs/vae`
    """
    if "WORLD_SIZE" in os.environ:
        # torch reads it when it is loaded: a rank that has gone is reported in one line, not by a stack of C++ frames
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from motionsynth.cli.progress import CorpusBar, TrainingBar
    from motionsynth.runs.train import resume as resume_run
    from motionsynth.runs.train import seed_cases, train_seeds
    from motionsynth.runs.train import train as train_run
    from motionsynth.training.distributed import joined_ranks

    if resume and (run_dir is None or config or data or overrides or on_bad_file):
        reason = "goes with --run-dir, which holds the configuration; no option that changes it applies"
        raise typer.BadParameter(reason, param_hint="--resume")
    ends: Sequence[Outcome | MotionSynthError]
    with joined_ranks(device) as ranks, _raise_once(ranks), TrainingBar() as bar, CorpusBar() as reading:
        progress, files = (bar, reading) if ranks.first else (None, None)
        announce = (lambda line: echo(line, err=True)) if ranks.first else None
        shared: dict[str, Any] = {"device": device, "track": track}
        shared |= {"progress": progress, "reading": files, "announce": announce}
        several = _seeds_of(seeds, overrides or (), ranks) if seeds is not None else None
        resolved = None if resume else _resolved(family, config, data, on_bad_file, overrides)
        if resolved and dry_run:
            _show(resolved, device, ranks)
            return
        if several is not None:
            cases = seed_cases(family, several, config=resolved, run_dir=run_dir)
            ends = train_seeds(cases, **shared)
        elif resolved:
            ends = [train_run(resolved, run_dir=run_dir, ranks=ranks, **shared)]
        else:
            assert run_dir is not None
            ends = [resume_run(run_dir, family=family, ranks=ranks, **shared)]
    if ranks.first:
        _print_ends(ends)
    if code := next((end.exit_code for end in ends if end.exit_code), 0):
        raise typer.Exit(code)


def _seeds_of(text: str, overrides: Sequence[str], ranks: Ranks) -> range:
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text)
    seeds = range(int(found[1]), int(found[2])) if found else range(0)
    if not 1 <= len(seeds) <= _MOST_SEEDS:
        reason = f"must look like 0:8, which is seeds 0 to 7, of at most {_MOST_SEEDS} (got {shown(repr(text))})"
        raise typer.BadParameter(reason, param_hint="--seeds")
    if any(override.strip().startswith("train.seed=") for override in overrides):
        raise typer.BadParameter("names the seeds; leave out --set train.seed", param_hint="--seeds")
    if ranks.size > 1:
        raise typer.BadParameter("is for one process; start it without torchrun", param_hint="--seeds")
    return seeds


def _resolved(
    family: str, config: Path | None, data: Path | None, on_bad_file: str | None, overrides: Sequence[str] | None
) -> RunConfig:
    from motionsynth.config import resolve_config
    from motionsynth.settings import Setting

    choice = [Setting(("data", "on_bad_file"), on_bad_file, "--on-bad-file")] if on_bad_file else []
    return resolve_config(family, config=config, data=data, overrides=[*choice, *(overrides or ())])


def _show(resolved: RunConfig, device: str, ranks: Ranks) -> None:
    from motionsynth.config import config_hash, dump_config
    from motionsynth.runs.begin import settle

    if ranks.first:
        settled = settle(resolved, device)
        basis = "# components: at most; one fewer than whole windows where those are few\n" * bool(settled.family.basis)
        document(f"{dump_config(settled)}{basis}# hash {config_hash(settled)}")


@contextmanager
def _raise_once(ranks: Ranks) -> Iterator[None]:
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


def _print_ends(ends: Sequence[Outcome | MotionSynthError]) -> None:
    for end in ends:
        if isinstance(end, MotionSynthError):
            echo(f"error: {printable(str(end))}", fg="red", err=True)
            continue
        for warning in end.warnings:
            echo(f"warning: {warning}", fg="yellow", err=True)
        echo(end.run.path)
        if end.exit_code:
            echo(f"stopped at step {end.step}; go on with --run-dir {end.run.path} --resume", err=True)
