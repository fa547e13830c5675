"""Converting files, one or a folder of them with its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from motionsynth.corpus.finding import BadFiles, find_clips, find_files
from motionsynth.corpus.tables import LABELS, Matcher, Table, find_table, read_table, write_table
from motionsynth.errors import MotionSynthError, list_first
from motionsynth.files import write_bytes
from motionsynth.motion.bvh import write_bvh
from motionsynth.motion.convert import Conversion
from motionsynth.motion.feet import NO_LEGS, find_legs
from motionsynth.motion.formats import read_clip
from motionsynth.motion.skeleton import Skeleton
from motionsynth.output import clip_folder, distinct_names, distinct_paths, refuse_filled

__all__ = ["Converted", "convert_path", "convert_paths"]

_NAMED: Final = 3
"""Files named in a note that counts the others."""


class Converted(NamedTuple):
    """The files that a conversion wrote."""

    paths: list[Path]
    """The clips, and the labels of a folder."""
    notes: tuple[str, ...]
    """Sentences for the user."""


def convert_path(
    source: str | Path,
    target: str | Path,
    conversion: Conversion,
    *,
    overwrite: bool = False,
    bad: BadFiles | None = None,
) -> Converted:
    """Convert a file; or every clip below a folder to the same place below another, with the rows of its labels.

    Args:
        source: a file, or a folder.
        target: the file or, for a folder, the folder to write, which is missing or empty.
        conversion: what is done to each clip.
        overwrite: whether what this package wrote into a folder before is replaced.
        bad: takes the files of a folder that cannot be read or converted; any stops the work, with nothing written,
            where None.

    Raises:
        ClipError: the file cannot be read or written.
        CorpusError: files of a folder cannot be used, it holds none, or its ``labels.csv`` is malformed.
        MotionSynthError: the file cannot be converted, or the folder to write is not empty or lies inside the other.
    """
    source, target = Path(source), Path(target)
    if source.is_dir():
        return _convert_folder(source, target, conversion, overwrite, bad or BadFiles())
    if target.suffix.lower() == ".amc":
        raise MotionSynthError(f"{target}: what is written is BVH; give it a name that ends in .bvh")
    try:
        clip = conversion.apply(read_clip(source))
    except ValueError as error:
        raise MotionSynthError(f"{source}: {error}") from error
    name = source.with_suffix(".bvh").name if source.suffix.lower() == ".amc" else source.name
    out = target / name if target.is_dir() else target
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bvh(clip, out)
    return Converted([out], _legless_note({source.name: clip.skeleton}, conversion))


def convert_paths(
    sources: Sequence[Path],
    target: Path,
    conversion: Conversion,
    *,
    overwrite: bool = False,
    bad: BadFiles | None = None,
) -> Converted:
    """Convert files and folders, each to a name of its own inside a folder; one alone as :func:`convert_path` does.

    Args:
        sources: files, and folders with their labels.
        target: for one file the file, else the folder to write, which is missing or empty.
        conversion: what is done to each clip.
        overwrite: whether what this package wrote into a folder before is replaced.
        bad: takes the files that cannot be read or converted; any stops the work, with nothing written, where None.

    Raises:
        ClipError, CorpusError, MotionSynthError: as :func:`convert_path`.
    """
    if len(sources) == 1:
        return convert_path(sources[0], target, conversion, overwrite=overwrite, bad=bad)
    bad = bad or BadFiles()
    names = distinct_names([source.absolute().as_posix() for source in sources])
    paths: list[Path] = []
    notes: list[str] = []
    for source in sources:
        _refuse_inside(target, source)
    with clip_folder(target, overwrite=overwrite, made_of=find_clips(sources, BadFiles())) as folder:
        for source, name in zip(sources, names, strict=True):
            place = folder / name if source.is_dir() else folder / f"{name}.bvh"
            with bad.collecting(source):
                converted = convert_path(source, place, conversion, bad=bad)
                paths += [target / path.relative_to(folder) for path in converted.paths]
                notes += converted.notes
        bad.settle(len(paths))
    return Converted(paths, tuple(notes))


def _refuse_inside(target: Path, source: Path) -> None:
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise MotionSynthError(f"{target}: lies inside {source}, whose clips are converted; name a folder beside it")


def _legless_note(skeletons: Mapping[str, Skeleton], conversion: Conversion) -> tuple[str, ...]:
    """A sentence that names the clips whose feet could not be cleaned."""
    names = [name for name, skeleton in skeletons.items() if conversion.clean_feet and not find_legs(skeleton)]
    return (f"{list_first(names, _NAMED)}: {NO_LEGS}",) if names else ()


def _convert_folder(source: Path, target: Path, conversion: Conversion, overwrite: bool, bad: BadFiles) -> Converted:
    _refuse_inside(target, source)
    refuse_filled(target, overwrite=overwrite)
    found = find_files(source)
    labels = find_table(source)
    table = read_table(labels) if labels else None
    for place, reason in found.faults.items():
        bad.add(source / place, reason)
    written: dict[str, str] = {}
    skeletons: dict[str, Skeleton] = {}
    made_of = [source / file for file in found.files]
    with clip_folder(target, overwrite=overwrite, made_of=made_of) as folder:
        for file, name in zip(found.files, distinct_paths(found.files), strict=True):
            clip = None
            with bad.collecting(source / file):
                clip = conversion.apply(read_clip(source / file))
            if clip is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_bvh(clip, folder / name)
                written[file], skeletons[file] = name, clip.skeleton
        bad.settle(len(written))
        renamed = [
            (file, name) for file, name in written.items() if Path(file).with_suffix("") != Path(name).with_suffix("")
        ]
        notes = [f"{file} is written as {name}" for file, name in renamed]
        notes += _legless_note(skeletons, conversion)
        if table:
            notes += _carry_labels(table, found.files, written, folder)
    paths = [target / name for name in written.values()]
    return Converted([*paths, *([target / LABELS] if table else [])], tuple(notes))


def _carry_labels(table: Table, files: list[str], written: dict[str, str], folder: Path) -> list[str]:
    """Write the rows of the clips that were written, under their new names; returns which rows have no file."""
    matcher = Matcher(files)
    meant = [(row, matcher.find(row.file)) for row in table.rows]
    rows = [row._replace(file=written[file]) for row, file in meant if file in written]
    write_bytes(folder / LABELS, write_table(table, rows))
    present = set(files)
    strange = [
        f"{table.path}:{row.line}: there is no such file: {row.file}" for row, file in meant if file not in present
    ]
    return [f"{line}; the row is left out" for line in strange]
