"""``motionsynth data download``: fetch a corpus of motion capture from its makers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motionsynth.cli.terminal import echo
from motionsynth.errors import MotionSynthError, list_first
from motionsynth.files import refuse_unwritable

if TYPE_CHECKING:
    from motionsynth.corpus.fetch import Survey

__all__ = ["download"]

_SHOWN = 3


def download(
    corpus: Annotated[
        str, typer.Argument(help="bandai-namco-1, bandai-namco-2 or lafan1; cmu, hdm05, ui-prmd: says where.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the clips; `data/CORPUS` if left out.")
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence", "--accept-license", help="Accept the licence without being asked, in scripts."
        ),
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Fetch from here instead: the same files, or the archive as a browser saves it."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence after which a connection is dead.")
    ] = 30.0,
) -> None:
    """Fetch a corpus of motion capture from its makers, after showing its source, licence and size.

    Every file is checked against the checksums of `data/registry`; only what is missing or damaged is fetched, so a
    download that was cut short is finished by the same command.

    Example: `motionsynth data download bandai-namco-2`
    """
    from motionsynth.cli.progress import StageBar
    from motionsynth.corpus.fetch import fetch_missing, survey_folder
    from motionsynth.corpus.offers import offer_named
    from motionsynth.corpus.transfer import Transfer

    offer = offer_named(corpus)
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{mirror!r} must begin with http:// or https://", param_hint="--mirror")
    folder = out or offer.folder
    with StageBar() as stage:
        survey = survey_folder(offer, folder, stage)
    if survey.complete:
        echo(f"all {len(survey.good)} clips are there and match their checksums; nothing to do", err=True)
    else:
        refuse_unwritable(folder)
        _show(survey, mirror)
        _ask(accept_licence)
        with StageBar() as stage:
            survey = fetch_missing(survey, mirror=mirror, how=Transfer(timeout_s=timeout), progress=stage)
        echo(f"all {len(survey.good)} clips are there and match their checksums", err=True)
    _print_next_steps(survey)
    echo(folder)


def _show(survey: Survey, mirror: str | None) -> None:
    offer = survey.offer
    state = f"{len(survey.good)} files there"
    for what, files in (("missing", survey.missing), ("damaged", survey.damaged)):
        state += f", {len(files)} {what}" if files else ""
    fetched = f"about {_size(offer.transfer_bytes)} to fetch" if not survey.good else "only what is missing is fetched"
    for line in (
        offer.title,
        f"  source   {offer.source}" + (f" (from {mirror})" if mirror else ""),
        f"  licence  {offer.licence}, {offer.licence_url}: {offer.terms}",
        f"  cite     {offer.cite}",
        f"  size     {offer.clips} clips, about {_size(offer.disk_bytes)}; {fetched}",
        f"  folder   {survey.folder}: {state}",
    ):
        echo(line, err=True)


def _ask(accepted: bool) -> None:
    if accepted:
        return
    if not sys.stdin.isatty():
        raise MotionSynthError(
            "there is no terminal to ask on: read the licence above, and pass --accept-licence if you accept it; "
            "nothing was fetched"
        )
    typer.confirm("Do you accept the licence, and shall it be fetched?", abort=True, err=True)


def _print_next_steps(survey: Survey) -> None:
    from motionsynth.provenance import shipped_file

    if survey.strangers:
        echo(
            f"warning: {len(survey.strangers)} other clips lie in {survey.folder}, and would be learnt from too: "
            f"{list_first(survey.strangers, _SHOWN)}",
            err=True,
        )
    section = shipped_file(f"configs/data/{survey.offer.name}.yaml")
    if section is not None:
        here = section.relative_to(Path.cwd()) if section.is_relative_to(Path.cwd()) else section
        place = "" if survey.folder == survey.offer.folder else f" --set data.path={survey.folder}"
        echo(f"next: motionsynth train vae --data {here}{place}", err=True)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"
