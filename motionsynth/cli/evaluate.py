"""``motionsynth evaluate``: the figures of a run, or of a folder of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.files import OnBadFile, print_skipped
from motionsynth.cli.terminal import echo
from motionsynth.corpus.finding import BadFiles

__all__ = ["evaluate"]


def evaluate(
    generated: Annotated[
        Path, typer.Argument(help="Run directory, from which samples are drawn; or a folder of BVH or AMC files.")
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "-r",
            help="Real motion: test or validation (of the run's own corpus); or a folder, the YAML of a data section "
            "or a run directory, with :SPLIT behind it.",
            show_default="test",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Groups, metrics or keys, with commas; `motionsynth metrics` lists them.",
            show_default="those that tell something, or that readers look for",
        ),
    ] = None,
    features: Annotated[str | None, typer.Option(help="Feature spaces, with commas.", show_default="all")] = None,
    all_figures: Annotated[
        bool, typer.Option("--all-figures", help="Compute also the figures that no calibration found valid.")
    ] = False,
    count: Annotated[int, typer.Option("-n", "--count", min=2, help="Windows a set, at most.")] = 1024,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for each interval; 0 for none.")] = 100,
    seed: Annotated[int, typer.Option(help="Of samples, subsets and resamples.")] = 0,
    extractor: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the extractor that judges.", show_default="that of the corpus, trained if need be"
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="calibration.json, on whose curves figures are read as doses of real motion.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write.", show_default="the run, or evaluation/NAME for a folder"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Label, such as actor: figures for each class of it in the reference, beside the whole."),
    ] = None,
    real_clips: Annotated[
        bool, typer.Option("--real-clips/--no-real-clips", help="Play clips of the reference in the report.")
    ] = True,
    track: Annotated[
        bool | None,
        typer.Option("--track/--no-track", help="Deliver to MLflow.", show_default="where the run has an entry"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    on_bad_file: OnBadFile = "stop",
) -> None:
    """Score generated motion against held-out real motion: a table, `scores.json` and `report.html`.

    Beside each figure stands that of real training motion, the best that a model can be asked for.

    Examples:

    `motionsynth evaluate runs/vae`

    `motionsynth evaluate runs/gan --metrics smoothness,recall --features pca,kinetic --bootstrap 0`

    `motionsynth evaluate runs/vae --by actor --metrics smoothness,recall`

    `motionsynth evaluate clips/ --reference data/walkers:test --calibration calibration.json`
    """
    from motionsynth.cli.figures import print_scores
    from motionsynth.cli.progress import StageBar
    from motionsynth.evaluation.evaluate import evaluate as score

    bad = BadFiles(on_bad_file)
    with StageBar() as progress:
        scores = score(
            generated,
            reference=reference,
            metrics=_words(metrics),
            features=_words(features),
            all_figures=all_figures,
            count=count,
            resamples=bootstrap,
            seed=seed,
            extractor=extractor,
            calibration=calibration,
            out=out,
            by=by,
            real_clips=real_clips,
            track=track,
            device=device,
            bad=bad,
            progress=progress,
        )
    print_scores(scores)
    for warning in scores.warnings:
        echo(f"warning: {warning}", fg="yellow", err=True)
    echo(scores.folder)
    print_skipped(bad.reasons.values())


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
