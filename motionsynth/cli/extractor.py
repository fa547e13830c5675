"""``motionsynth extractor``: fit what motion is judged by, and show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.commands import Commands
from motionsynth.cli.files import DataOnBadFile, data_overrides
from motionsynth.cli.terminal import echo
from motionsynth.files import refuse_unwritable

if TYPE_CHECKING:
    from motionsynth.extractors.extractor import Extractor

__all__ = ["app"]

app = Commands(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Fit feature spaces, cells and a realism gate to a corpus, and show them.",
)


@app.command("train")
def train(
    corpus: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of BVH or AMC files, run directory, or YAML of the data section.", show_default=False
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="YAML of the data section; CORPUS then replaces the folder it names."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="New folder to write.", show_default="the cache, by fingerprint"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and k-means.")] = 0,
    networks: Annotated[
        bool, typer.Option("--networks/--no-networks", help="Train classifier and autoencoder; else k-means cells.")
    ] = True,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of data; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    on_bad_file: DataOnBadFile = None,
) -> None:
    """Fit an extractor on the training split of a corpus, and print its accuracy on held-out takes.

    `evaluate` and `calibrate` do this by themselves where none is kept; a folder of your own can be shared and shown.
    Windows are those of the shipped runs (64 frames, every 4), unless the YAML or `--set` says otherwise.

    Examples:

    `motionsynth extractor train data/walkers --out extractors/walkers`

    `motionsynth extractor train ~/mocap --data configs/data/bandai-namco-2.yaml --out extractors/bandai-namco-2`
    """
    from motionsynth.cli.progress import CorpusBar, bar
    from motionsynth.corpus.corpus import open_corpus
    from motionsynth.extractors.fitting import train_extractor
    from motionsynth.extractors.store import extractor_for, refuse_taken, save_extractor
    from motionsynth.runs.begin import resolve_data
    from motionsynth.training.device import resolve_device

    chosen = resolve_device(device)
    settings = resolve_data(corpus, settings=data, overrides=data_overrides(on_bad_file, overrides))
    if out is None and (seed or not networks):
        hint = "is needed with --seed and --no-networks, as the cache keeps the default"
        raise typer.BadParameter(hint, param_hint="--out")
    if out is not None:
        refuse_taken(out)
        refuse_unwritable(out)
    with CorpusBar() as reading:
        opened = open_corpus(settings, progress=reading)
    for line in opened.report.lines():
        echo(line, err=True)
    with bar("extractor", unit="steps") as advance:
        if out is None:
            extractor = extractor_for(opened, device=chosen, progress=advance)
        else:
            extractor = train_extractor(opened, seed=seed, networks=networks, device=chosen, progress=advance)
    if out is not None:
        save_extractor(extractor, out)
        echo(out)
    _print(extractor)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="Folder that `motionsynth extractor train` wrote.")],
    cells: Annotated[bool, typer.Option("--cells", help="List the cells.")] = False,
) -> None:
    """Show an extractor: corpus, feature spaces, cells, realism gate, and accuracy on held-out takes.

    Example: `motionsynth extractor show extractors/walkers`
    """
    from motionsynth.extractors.store import load_extractor

    extractor = load_extractor(folder)
    _print(extractor)
    if cells:
        for name in extractor.cell_names:
            echo(name)


def _print(extractor: Extractor) -> None:
    spec, gate = extractor.spec, extractor.gate
    echo(f"corpus       {extractor.fingerprint}")
    echo(f"windows      {extractor.frames} frames at {spec.frame_rate:g} a second, {len(spec.names)} joints")
    echo(f"spaces       {', '.join(extractor.spaces)}")
    echo(f"cells        {len(extractor.cell_names)}, told by {extractor.cell_source}")
    if gate:
        rule = f"{gate.percentile:g} % of real windows pass ({gate.source})"
        echo(f"gate         {rule}: {gate.threshold:.3g} times the distance between takes")
    else:
        echo("gate         none: the corpus is one take without validation")
    echo(f"fitted by    motionsynth {extractor.version}, seed {extractor.seed}")
    for name, value in extractor.accuracy.items():
        split, what = name.split("/", 1)
        figure = f"mean squared error {value:.4g}" if what == "autoencoder" else f"{100 * value:.1f} % right"
        echo(f"{split:12} {what}: {figure}")
