"""An inspection as a person reads it."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from rich.console import Console
from rich.table import Table

from motionsynth.cli.terminal import console, escaped, print_table
from motionsynth.corpus.inspect import InspectedSkeleton, Inspection
from motionsynth.corpus.people import People
from motionsynth.corpus.report import short_takes
from motionsynth.report import page

__all__ = ["print_inspection"]

_TREES = 1
"""Skeletons whose joints are listed one by one; a folder of many kinds gets a table alone."""
_SHOWN = 10
"""Refusals listed for reasons that files of a kind share."""
_BONES = 10
"""Bones whose lengths are listed."""
_WIDTH = 80


def print_inspection(inspection: Inspection) -> None:
    """Print files, skeletons, labels, and every file that was refused."""
    out = console(soft_wrap=True)
    loaded, refused = len(inspection.loaded), len(inspection.refused)
    rates = ", ".join(f"{rate:g} ({files})" for rate, files in inspection.frame_rates.items())
    out.print(f"[bold]{escaped(inspection.path)}[/bold]: {loaded} files loaded, {refused} refused")
    if len(inspection.usable) < loaded:
        out.print(f"training     takes {len(inspection.usable)} of the {loaded} and refuses the others, see below")
    if loaded:
        lengths = sorted(file.frames for file in inspection.loaded)
        out.print(
            f"frames       {inspection.frames} in all, {lengths[0]} to {lengths[-1]}, median {lengths[loaded // 2]}"
        )
        out.print(f"duration     {inspection.duration_s / 60:.1f} minutes")
        out.print(f"frame rate   {rates} frames a second (files)")
        _print_short(out, inspection)
    _print_labels(out, inspection)
    if inspection.skeletons:
        out.print(_skeleton_table(inspection))
    for skeleton in inspection.skeletons[:_TREES] if len(inspection.skeletons) <= _TREES else ():
        _print_tree(out, skeleton)
    if inspection.people:
        _print_people(out, inspection.people, inspection.skeletons[0].units)
    for note in inspection.notes:
        out.print(f"[yellow]{escaped(note)}[/yellow]")
    for refusal in inspection.unusable[:_SHOWN]:
        out.print(f"[red]training refuses {escaped(refusal.reason)}[/red]")
    if len(inspection.unusable) > _SHOWN:
        out.print(f"[red]training refuses {len(inspection.unusable) - _SHOWN} more; --json lists all[/red]")
    for refusal in inspection.refused:
        out.print(f"[red]refused {escaped(refusal.reason)}[/red]")


def _print_short(out: Console, inspection: Inspection) -> None:
    """The share of clips that the windows of a training are longer than, with the settings that it has by default."""
    from motionsynth.corpus.config import DataConfig

    data = DataConfig()
    lengths = [round(file.duration_s * data.frame_rate) for file in inspection.loaded]
    if short := short_takes(lengths, data.window_frames):
        out.print(f"windows      {short}")


def _print_labels(out: Console, inspection: Inspection) -> None:
    if inspection.label_error:
        out.print(f"[red]labels       {escaped(inspection.label_error)}[/red]")
    for label, classes in inspection.classes.items():
        listed = ", ".join(f"{name} ({files})" for name, files in classes.items())
        out.print(f"{escaped(label):12} {escaped(listed)}")
    for file, reason in inspection.unlabelled.items():
        out.print(f"[yellow]no label for {escaped(file)}: {escaped(reason)}[/yellow]")


def _skeleton_table(inspection: Inspection) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("skeleton", "files", "joints", "channels", "height", "unit", "up", "moving joint", "first file"):
        table.add_column(heading, justify="right" if heading in ("files", "joints", "channels", "height") else "left")
    for index, skeleton in enumerate(inspection.skeletons):
        members = [file for file in inspection.loaded if file.skeleton == index]
        sure = len(skeleton.unit_candidates) == 1
        table.add_row(
            str(index),
            str(len(skeleton.files)),
            str(len(skeleton.joints)),
            str(sum(skeleton.channels)),
            f"{skeleton.height:.4g}",
            _counted([file.units for file in members]) + ("" if sure else "?"),
            _counted([file.up for file in members]),
            escaped(skeleton.moving_joint),
            escaped(skeleton.files[0]),
        )
    return table


def _print_people(out: Console, people: People, units: str) -> None:
    """Lengths of the bones that differ most, person by person, and whether ``data.bones`` can bring them together."""
    rows = [
        [joint, *(f"{length:.1f}" for length in (min(row), fmean(row), max(row), *row))]
        for joint, row in zip(("leg", *people.joints), (people.legs, *people.lengths), strict=True)
    ]
    names = ("min", "mean", "max", *people.names)
    columns = [page.Column(f"bones, {units}", figure=False), *map(page.Column, names)]
    print_table(page.Table(columns, rows[: 1 + _BONES]), width=min(out.width, _WIDTH))
    lengths = dict(zip(people.lengths[0], people.names, strict=True))
    low, high = min(lengths), max(lengths)
    out.print(
        f"{len(people.joints)} bones of {len(people.names)} people ({escaped(people.label)}) differ, most that to "
        f"{escaped(people.joints[0])}: {low:.1f} ({escaped(lengths[low])}) to {high:.1f} ({escaped(lengths[high])})"
    )
    for name in people.strangers:
        place = people.names.index(name)
        out.print(
            f"[yellow]the rest pose of {escaped(people.label)} {escaped(name)} is another (bone to "
            f"{escaped(people.odd[place])}, cosine {people.cosines[place]:.2f}): data.bones=mean refuses it[/yellow]"
        )
    if not people.strangers:
        out.print("their rest poses agree: data.bones=mean trains on all of them")


def _print_tree(out: Console, skeleton: InspectedSkeleton) -> None:
    lines = [escaped(line) for line in skeleton.tree()]
    width = max(map(len, lines))
    for line, order, channels in zip(lines, skeleton.rotation_orders, skeleton.channels, strict=True):
        out.print(f"  {line:{width}}  {order if channels else '-':3}  {channels} channels")


def _counted(words: list[str]) -> str:
    """One word, or each with how many files it is of, the commonest first."""
    counts = Counter(words).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{word} ({count})" for word, count in counts)
