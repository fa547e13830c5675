"""Files that a corpus is made of: one folder or two, and of their clips those that are listed and of classes kept.

Where a second folder joins, every file's name begins with that of its corpus, ``walkers/walk_001.bvh``, and a label
``corpus`` tells the two apart; of the other labels those are left that both have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.finding import find_files
from motionsynth.corpus.labels import ClipLabels, Labels, read_labels
from motionsynth.corpus.selection import choose_files, names_sha256
from motionsynth.corpus.split import Split, Take, split_classes, split_takes
from motionsynth.corpus.store import FeatureStore
from motionsynth.corpus.stretches import SharedStretch
from motionsynth.errors import CorpusError, unknown_word

__all__ = [
    "CORPUS",
    "Source",
    "Sources",
    "corpus_names",
    "corpus_places",
    "find_sources",
    "join_stores",
    "split_sources",
]

CORPUS: Final = "corpus"
"""The label that tells two corpora apart; its classes are the names of their folders."""


@dataclass(frozen=True, slots=True)
class Source:
    """One folder, and the files of it that are used."""

    root: Path
    prefix: str
    """Prefix of its clips' names: empty where it is the only one."""
    files: tuple[str, ...]
    """POSIX paths inside the folder."""
    single: bool
    """True where it was named as one file, and not as a folder."""
    closed: int = 0
    """Folders in it that cannot be looked into and may hold clips."""

    def place(self, file: str) -> str:
        """Path that a clip, or a file that a table lists, should have."""
        return str(self.root / file.removeprefix(self.prefix))


@dataclass(frozen=True)
class Sources:
    """The folders of a corpus and the labels of its clips.

    Args:
        parts: one folder, or two.
        labels: of the clips that are kept, by their names in the corpus.
        left_out: clips of classes that are not kept.
        selection: what tells this choice of files from others of the same folders; empty where all are kept.
        notes: what a person should know.
    """

    parts: tuple[Source, ...]
    labels: Labels
    left_out: int
    selection: str
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Files that are to be read, or that should be."""
        return sum(len(part.files) + part.closed for part in self.parts)

    def takes(self, files: Iterable[str]) -> list[Take]:
        """Takes of these files, as a split deals them."""
        return [Take(file, self.labels.cell(file), self.labels.clips[file].take) for file in files]

    def of(self, name: str) -> Source:
        """The folder that a clip of this name is in."""
        return next(part for part in self.parts if name.startswith(part.prefix))


def find_sources(config: DataConfig) -> Sources:
    """List the files, choose those of ``data.clips``, read their labels, and keep those of the classes wanted.

    Raises:
        CorpusError: there is no such folder, labels cannot be read, or what is listed or to be kept is not there.
    """
    places, names = corpus_places(config), corpus_names(config)
    found = [find_files(path) for path in places]
    chosen = _choose(config, found[0].files)
    found[0] = found[0]._replace(files=chosen.files, faults={} if chosen.selection else found[0].faults)
    labels = [read_labels(root, files, config.labels, config.pattern) for root, files, _ in found]
    for one, (_, _, faults) in zip(labels, found, strict=True):
        one.faults.update(faults)
    for file in chosen.others:
        labels[0].faults.pop(file, None)  # labels.csv may hold clips that are not listed
    parts = [
        Source(root, f"{name}/" if name else "", tuple(files), path.is_file(), len(faults))
        for (root, files, faults), name, path in zip(found, names, places, strict=True)
    ]
    notes = chosen.notes
    joined = labels[0]
    if config.second is not None:
        joined, further = _join_labels(labels, names)
        notes += further
    if not config.keep:
        return Sources(tuple(parts), joined, 0, chosen.selection, notes)
    kept = _kept(joined, config.keep, config.path)
    parts = [
        replace(part, files=tuple(f for f in part.files if part.prefix + f in kept or part.prefix + f in joined.faults))
        for part in parts
    ]
    if empty := next((part.root for part in parts if not part.files), None):
        raise CorpusError(f"{empty}: data.keep leaves no clip of this folder; drop data.second, or keep more classes")
    clips = {file: clip for file, clip in joined.clips.items() if file in kept}
    left_out = len(joined.clips) - len(clips)
    selection = json.dumps({label: sorted(classes) for label, classes in config.keep.items()}, sort_keys=True)
    return Sources(tuple(parts), replace(joined, clips=clips), left_out, chosen.selection + selection, notes)


class _Chosen(NamedTuple):
    """Remainder of a folder after a list of clips."""

    files: list[str]
    others: set[str]
    selection: str
    """Identity of the choice; empty where all are used, which is then the folder as it is."""
    notes: tuple[str, ...]


def _choose(config: DataConfig, found: list[str]) -> _Chosen:
    if config.clips is None:
        return _Chosen(found, set(), "", ())
    files = choose_files(config.path, found, config.clips)
    if len(files) == len(found):
        return _Chosen(files, set(), "", ())
    note = f"{len(files)} of the {len(found)} files in {config.path} are used: those that {config.clips} lists"
    return _Chosen(files, set(found) - set(files), names_sha256(files), (note,))


def join_stores(sources: Sources, stores: Sequence[FeatureStore]) -> FeatureStore:
    """The features of one corpus, or of two, laid out alike, as one."""
    if len(stores) == 1:
        return stores[0]
    first, second = stores
    begins = np.cumsum([0, *(len(store.rows) for store in stores)]).tolist()
    parts = list(zip(sources.parts, stores, begins, strict=False))
    digest = hashlib.sha256(json.dumps([[part.prefix, store.sha256] for part, store, _ in parts]).encode("ascii"))
    return FeatureStore(
        spec=first.spec,
        up=_either(first.up, second.up),
        units=_either(first.units, second.units),
        clips=tuple(
            replace(
                clip,
                file=part.prefix + clip.file,
                start=clip.start + begin,
                mirrored_start=None if clip.mirrored_start is None else clip.mirrored_start + begin,
            )
            for part, store, begin in parts
            for clip in store.clips
        ),
        faults=tuple(
            fault._replace(file=part.prefix + fault.file) for part, store, _ in parts for fault in store.faults
        ),
        shared=tuple(
            SharedStretch((part.prefix + s.files[0], part.prefix + s.files[1]), s.starts, s.frames)
            for part, store, _ in parts
            for s in store.shared
        ),
        sha256=digest.hexdigest(),
        rows=np.concatenate([store.rows for store in stores]),
        from_cache=first.from_cache and second.from_cache,
        cache_note="; ".join(dict.fromkeys(store.cache_note for store in stores if store.cache_note)),
        folder=first.folder,
    )


def split_sources(sources: Sources, files: Iterable[str], config: DataConfig) -> Split:
    """Deal the clips of each corpus as if it were alone: takes of two corpora have nothing to do with one another.

    Raises:
        CorpusError: what is to be held out is no label, or has one class only.
    """
    takes, splits = sources.takes(files), []
    for part in sources.parts:
        own = [take for take in takes if take.file.startswith(part.prefix)]
        if config.hold_out != "take":
            try:
                classes = sources.labels.classes(config.hold_out, [take.file for take in own])
                splits.append(split_classes(classes, config.hold_out, config.split))
            except ValueError as error:
                raise CorpusError(f"{part.root}: data.hold_out: {error}") from error
            continue
        # the seed of a cell is its name, so that of a corpus alone is wanted, without the corpus
        cells = [f"{take.cell}/".removeprefix(part.prefix).removesuffix("/") for take in own]
        splits.append(split_takes([take._replace(cell=c) for take, c in zip(own, cells, strict=True)], config.split))
    if len(splits) == 1:
        return splits[0]
    whole = Split({}, {}, any(split.ordered for split in splits), held=config.hold_out)
    for split in splits:
        whole.of_file |= split.of_file
        whole.dropped |= split.dropped
        whole.notes += split.notes
    return whole


def corpus_places(config: DataConfig) -> list[Path]:
    """The folders, or single files, that a corpus is made of."""
    return [path for path in (config.path, config.second) if path is not None]


def corpus_names(config: DataConfig) -> list[str]:
    """The classes of the label ``corpus``, folder by folder; one empty name where there is but one folder.

    Raises:
        CorpusError: two folders are one, or have one name.
    """
    if config.second is None:
        return [""]
    paths = [path.resolve() for path in corpus_places(config)]
    if paths[0] == paths[1]:
        raise CorpusError(f"data.second: {config.second} is data.path itself; name another folder")
    names = [path.stem if path.is_file() else path.name for path in paths]
    if names[0] == names[1]:
        # two folders of one name, such as .../a/data and .../b/data, are named by where they lie
        names = [f"{path.parent.name}-{name}" for path, name in zip(paths, names, strict=True)]
    if names[0] == names[1]:
        raise CorpusError(f"data.second: {config.second} has the name of {config.path}; rename one of the folders")
    return names


def _join_labels(labels: Sequence[Labels], names: Sequence[str]) -> tuple[Labels, tuple[str, ...]]:
    first, second = labels
    common = tuple(name for name in first.names if name in second.names and name != CORPUS)
    alone = [name for name in dict.fromkeys((*first.names, *second.names)) if name not in common]
    notes = [f"labels of one corpus alone are left out: {', '.join(alone)}"] if alone else []
    clips: dict[str, ClipLabels] = {}
    faults: dict[str, str] = {}
    for one, name in zip(labels, names, strict=True):
        for file, clip in one.clips.items():
            classes = {CORPUS: name} | {label: clip.classes[label] for label in common}
            clips[f"{name}/{file}"] = replace(clip, classes=classes)
        faults |= {f"{name}/{file}": reason for file, reason in one.faults.items()}
    if first.source != second.source:
        notes.append(f"labels of {names[0]} come from: {first.source}; of {names[1]}: {second.source}")
    return Labels(first.source, (CORPUS, *common), clips, faults, joined=True), tuple(notes)


def _kept(labels: Labels, keep: Mapping[str, Sequence[str]], path: Path) -> set[str]:
    """The clips of the classes that are kept; refuses a label or class that no clip has."""
    for label, classes in keep.items():
        if label not in labels.names:
            raise CorpusError(f"{path}: data.keep: {unknown_word(f'label {label!r}', label, labels.names)}")
        known = {clip.classes[label] for clip in labels.clips.values()}
        for name in classes:
            if name not in known:
                raise CorpusError(f"{path}: data.keep.{label}: {unknown_word(f'class {name!r}', name, known)}")
    kept = {
        file
        for file, clip in labels.clips.items()
        if all(clip.classes[label] in classes for label, classes in keep.items())
    }
    if not kept:
        wanted = ", ".join(f"{label} {' or '.join(classes)}" for label, classes in keep.items())
        raise CorpusError(f"{path}: data.keep: no clip has all of: {wanted}")
    return kept


def _either(first: str, second: str) -> str:
    return first if first == second else f"{first} and {second}"
