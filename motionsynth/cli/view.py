"""``motionsynth view``: clips side by side in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionsynth.cli.files import OnBadFile, print_skipped
from motionsynth.cli.terminal import echo
from motionsynth.corpus.finding import BadFiles, find_clips
from motionsynth.files import refuse_unwritable

__all__ = ["view"]


def view(
    files: Annotated[list[Path], typer.Argument(help="BVH or AMC files, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the page.")] = Path("player.html"),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    on_bad_file: OnBadFile = "stop",
) -> None:
    """Write one self-contained HTML page that plays clips side by side: play, scrub, rotate, zoom.

    Example: `motionsynth view data/walkers/walk_normal_001.bvh runs/vae/samples/0000.bvh`
    """
    from motionsynth.motion.formats import read_clip
    from motionsynth.view.player import write_player

    refuse_unwritable(out.parent, out.name)
    bad = BadFiles(on_bad_file)
    clips = []
    for path in find_clips(files, bad):
        if out.exists() and path.exists() and path.samefile(out):
            raise typer.BadParameter(f"{out} is one of the clips to show; name another file", param_hint="--out")
        with bad.collecting(path):
            clips.append((path.stem, read_clip(path)))
    bad.settle(len(clips))
    write_player(clips, out, title=title or f"{len(clips)} clips")
    print_skipped(bad.reasons.values())
    echo(out)
    if open_browser:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
