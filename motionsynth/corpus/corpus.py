"""A folder of clips as training data: scan, read, encode, label, split, normalise, cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from motionsynth.corpus.cache import default_cache, open_features
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.conform import conform
from motionsynth.corpus.facts import fact_notes
from motionsynth.corpus.finding import count_bad
from motionsynth.corpus.kept import kept
from motionsynth.corpus.labels import Labels
from motionsynth.corpus.plan import EncodeSettings, Plan
from motionsynth.corpus.report import CorpusReport, SkippedFile, short_takes
from motionsynth.corpus.shape import MapConfig, MotionShape
from motionsynth.corpus.sources import Sources, find_sources, join_stores, split_sources
from motionsynth.corpus.split import SPLITS, Split, SplitName
from motionsynth.corpus.store import FeatureStore, StoredClip
from motionsynth.corpus.windows import WindowMap, WindowSet, count_windows, cut_windows, no_windows
from motionsynth.errors import ConfigError, CorpusError
from motionsynth.features.encode import FEATURES_VERSION, decode
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.hashes import hash_json
from motionsynth.motion.clip import Clip
from motionsynth.motion.formats import read_clip
from motionsynth.motion.measure import detect_up, up_axis
from motionsynth.progress import Progress

__all__ = ["Corpus", "file_up", "open_corpus", "prepare_clip"]

_SAME_RATE = 1e-4
_MOST_NEW = 100
"""Frames to one of the features, beyond which nothing is interpolated."""
MIRRORED = " (mirrored)"
"""Ends the name of a clip that is another's mirror image."""


@dataclass(frozen=True)
class Corpus:
    """Clips as features, labelled and split; windows are cut when asked for.

    Args:
        config: what was asked for.
        sources: the folders, and which of their files are used.
        store: the features.
        labels: the labels of every file that is used.
        split: which file is in which split.
        label_names: label -> its classes, in the order of their indices.
        skipped: files that cannot be used, and why.
    """

    config: DataConfig
    sources: Sources
    store: FeatureStore
    labels: Labels
    split: Split
    label_names: dict[str, tuple[str, ...]]
    skipped: tuple[SkippedFile, ...]
    _stored: dict[str, StoredClip] = field(repr=False)
    _windows: dict[str, WindowSet] = field(default_factory=dict, repr=False)
    _bases: dict[MapConfig, WindowMap] = field(default_factory=dict, repr=False)

    @property
    def spec(self) -> FeatureSpec:
        """Columns of a feature row."""
        return self.store.spec

    @cached_property
    def normaliser(self) -> Normaliser:
        """Fitted on the training split, once: it is kept beside the features."""
        names = self.names("train")

        def fit() -> Normaliser:
            return Normaliser.fit([self.features(name) for name in names])

        return kept(self.store.folder, "normaliser", names, fit, Normaliser.from_tensors)

    @property
    def shape(self) -> MotionShape:
        """The size of a window and the class counts of the labels."""
        counts = {name: len(classes) for name, classes in self.label_names.items()}
        return MotionShape(self.config.window_frames, self.spec.width, counts)

    def basis(self, config: MapConfig | None) -> WindowMap | None:
        """Map from windows to what networks see, fitted to the training split, once for each config; None for none."""
        if config is None:
            return None
        networks = {"width", "layers"} & set(type(config).model_fields)  # these have no part in it
        how = config.model_copy(update=dict.fromkeys(networks, 1))
        if how not in self._bases:
            asked = [self.fingerprint, type(how).__name__, how.model_dump(mode="json")]

            def fit() -> WindowMap:
                windows, normaliser = self.windows("train"), self.normaliser
                try:
                    return how.fit(windows, self.spec, normaliser)
                except ValueError as error:
                    raise ConfigError(None, "family.backbone", str(error)) from error

            self._bases[how] = kept(self.store.folder, "basis", asked, fit, how.READ)
        return self._bases[how]

    def at_stride(self, frames: int) -> Corpus:
        """The same clips, with windows that start so many frames apart."""
        config = self.config.model_copy(update={"stride_frames": frames})
        return replace(self, config=config, _windows={}, _bases={})

    @property
    def up(self) -> Literal["y", "z"]:
        """The axis that points up in the files; of two corpora, in those of the first."""
        return "z" if self.store.up.startswith("z") else "y"

    @cached_property
    def source_rate(self) -> float:
        """Frames a second of most of the files; of the features, where those have far fewer."""
        rates = Counter(self._stored[file].facts.frame_rate for file in sorted(self.split.of_file))
        rate, own = rates.most_common(1)[0][0], self.spec.frame_rate
        whole = own * max(1, round(rate / own))  # files write 1/120 s as 0.008333
        if abs(rate / whole - 1) < _SAME_RATE:
            rate = whole
        return rate if rate <= _MOST_NEW * own else own

    @cached_property
    def splits(self) -> dict[str, Any]:
        """The record of the split, for ``splits.json``."""
        return self.split.record(self.sources.takes(self._stored), self.config.split)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what decides what a model sees: motion, labels, split, windows; the same on every machine."""
        content = {
            "version": FEATURES_VERSION,
            "motion": self.store.sha256,
            "spec": self.spec.to_dict(),
            "up": self.store.up,
            "mirror": self.config.mirror,
            "labels": {file: self.labels.clips[file].classes for file in sorted(self.split.of_file)},
            "splits": self.splits["splits"],
            "window": [self.config.window_frames, self.config.stride_frames],
        }
        own = {file: clip.facts for file, clip in sorted(self._stored.items())}
        if odd := {file: [one.own_up, one.scale] for file, one in own.items() if one.own_up or one.scale != 1.0}:
            content["own"] = odd  # a corpus all of one kind is what it was before files were looked at one by one
        return hash_json(content)

    def clips(self, split: SplitName) -> tuple[str, ...]:
        """The files of a split, as paths inside the corpus' folder; of two corpora behind the name of theirs."""
        return self.split.files(_known(split))

    def names(self, split: SplitName) -> tuple[str, ...]:
        """The clips of a split, and in training their mirror images."""
        files, mirrors = self.clips(split), self.config.mirror and split == "train"
        return (*files, *(file + MIRRORED for file in files if mirrors))

    def path(self, name: str) -> Path:
        """Path of a clip's file."""
        source = self.sources.of(name)
        return source.root / name.removeprefix(source.prefix)

    def features(self, name: str) -> Tensor:
        """(T, D) features of a whole clip, not normalised.

        Raises:
            CorpusError: no usable clip has that name.
        """
        plain = name.removesuffix(MIRRORED)
        stored = self._stored.get(plain)
        start = None if stored is None else stored.start if plain == name else stored.mirrored_start
        if stored is None or start is None:
            raise CorpusError(f"{self.config.path}: has no usable clip {name!r}")
        return torch.from_numpy(self.store.rows)[start : start + stored.frames]

    def real_clip(self, name: str) -> Clip:
        """A whole clip as the features give it: from the origin, heading zero, on the reference skeleton."""
        return decode(self.features(name), self.spec)

    def windows(self, split: SplitName) -> WindowSet:
        """The windows of a split, normalised; they share its frames, which are kept. None where it holds no clip."""
        if _known(split) not in self._windows:
            names = self.names(split)
            if not names:
                return no_windows(self.config.window_frames, self.spec.width, tuple(self.label_names))
            features = [self.features(name) for name in names]
            labels = [self.labels.clips[name.removesuffix(MIRRORED)].classes for name in names]
            self._windows[split] = cut_windows(
                self.normaliser.normalise(torch.cat(features)),
                [len(one) for one in features],
                {name: [classes.index(of[name]) for of in labels] for name, classes in self.label_names.items()},
                names,
                length=self.config.window_frames,
                stride=self.config.stride_frames,
            )
        return self._windows[split]

    @cached_property
    def report(self) -> CorpusReport:
        """The account of what was found, used and left out."""
        used = {file: self._stored[file] for file in sorted(self.split.of_file)}
        length, stride = self.config.window_frames, self.config.stride_frames
        short = [file for file, clip in used.items() if clip.frames < length]
        return CorpusReport(
            files=len(self._stored) + len(self.skipped) + self.sources.left_out,
            clips=len(used),
            frames=sum(clip.frames for clip in used.values()),
            skipped=self.skipped,
            gap=tuple(SkippedFile(file, reason) for file, reason in sorted(self.split.dropped.items())),
            shared=self.store.shared,
            cells=dict(sorted(Counter(map(self.labels.cell, used)).items())),
            padded=dict(sorted(Counter(map(self.labels.cell, short)).items())),
            short=short_takes([clip.frames for clip in used.values()], length),
            windows={
                split: sum(count_windows(len(self.features(name)), length, stride) for name in self.names(split))
                for split in SPLITS
            },
            constant_columns=tuple(
                name
                for name, flat in zip(self.spec.columns(), self.normaliser.constant_D.tolist(), strict=True)
                if flat
            ),
            labels=self.labels.source,
            units=self.store.units,
            up=self.store.up,
            notes=tuple(
                note
                for note in (
                    *self.sources.notes,
                    *self._fact_notes(),
                    *self.split.notes,
                    *self._unit_note(),
                    self.store.cache_note,
                )
                if note
            ),
            from_cache=self.store.from_cache,
            left_out=self.sources.left_out,
        )

    def _fact_notes(self) -> list[str]:
        """Sentences that name the files which differ from the others of their folder."""
        mover = self.spec.names[self.spec.moving_joint]
        notes: list[str] = []
        for part in self.sources.parts:
            facts = {file: clip.facts for file, clip in self._stored.items() if file.startswith(part.prefix)}
            notes += fact_notes(facts, mover, self.spec.frame_rate)
        return notes

    def _unit_note(self) -> list[str]:
        if self.store.units != "unknown":
            return []
        metres = self.spec.metres_per_unit
        return [f"the unit of length is unknown: 1 unit is taken for {metres:.4g} m; data.units sets it"]


def open_corpus(
    config: DataConfig,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Open a folder of clips (or one file) as training data.

    Args:
        config: which clips, and what becomes of them.
        cache: where features are kept; :func:`default_cache` where None.
        workers: processes that read; as many as there are cores where None.
        progress: called with (files read, files in all); not at all where the cache has them.

    Raises:
        CorpusError: there is no usable clip; a file cannot be used and ``on_bad_file`` is ``stop``; what is to be kept
            is not there; a second corpus has another skeleton; or what is to be held out is no label.

    Example:
        >>> from motionsynth import open_corpus, resolve_config
        >>> corpus = open_corpus(resolve_config("vae", data="walkers").data)
        >>> windows = corpus.windows("train")
        >>> batch = windows.batch(windows.row_N.new_tensor([0, 1]))
        >>> tuple(batch.motion_BTD.shape) == (2, 64, corpus.spec.width), sorted(batch.labels)
        (True, ['content', 'style'])
    """
    sources = find_sources(config)
    labels = sources.labels
    stores: list[FeatureStore] = []
    for part in sources.parts:
        stores.append(
            open_features(
                part.root,
                part.files,
                EncodeSettings.of(config),
                cache=cache or default_cache(),
                selection=sources.selection,
                like=stores[0].spec if stores else None,
                workers=workers,
                progress=progress,
            )
        )
    store = join_stores(sources, stores)
    skipped = _faults(sources, store)
    if skipped and config.on_bad_file == "stop":
        raise CorpusError(_refusal(config.path, skipped, sources.count))
    stored = {clip.file: clip for clip in store.clips if clip.file not in skipped}
    if not stored:
        raise CorpusError(_refusal(config.path, skipped, sources.count))
    split = split_sources(sources, stored, config)
    split.keep_apart(stretch.files for stretch in store.shared)
    if not split.files("train"):
        raise CorpusError(f"{config.path}: no clip is left to train on: {_first(split.dropped)}")
    names = {label: tuple(sorted({labels.clips[file].classes[label] for file in stored})) for label in labels.names}
    listed = tuple(SkippedFile(file, reason) for file, reason in sorted(skipped.items()))
    return Corpus(config, sources, store, labels, split, names, listed, stored)


def _faults(sources: Sources, store: FeatureStore) -> dict[str, str]:
    """File -> why it cannot be used."""
    faults = {fault.file: fault.reason for fault in store.faults}
    for file, reason in sources.labels.faults.items():
        part = sources.of(file)
        if part.single and file.removeprefix(part.prefix) not in part.files:
            continue  # the table beside a single file may list the others of its folder
        faults.setdefault(file, reason if reason.startswith(str(part.root)) else f"{part.place(file)}: {reason}")
    return faults


def prepare_clip(path: Path, config: DataConfig, spec: FeatureSpec, *, up: Literal["y", "z"] | None = None) -> Clip:
    """Read one clip and bring it to where ``encode(clip, spec)`` takes it, as a trained run needs.

    Args:
        path: a file with the spec's skeleton, its joints in any order, in any unit.
        config: how the corpus of the run was read; its ``up`` counts here.
        spec: what a row holds.
        up: the axis that points up in that corpus, for a clip that does not show its own; None where it is not known.

    Raises:
        ClipError: the file cannot be read.
        CorpusError: it has another skeleton, or bones that change length.
    """
    clip = read_clip(path)
    try:
        return conform(clip, Plan.of(spec, config, file_up(clip, config, up)))[0]
    except ValueError as error:
        raise CorpusError(f"{path}: {error}") from error


def file_up(clip: Clip, config: DataConfig, known: Literal["y", "z"] | None) -> Literal["y", "z"]:
    """The axis that points up in a clip that is read as those of a corpus are: its own where its motion shows it."""
    if config.up != "auto":
        return config.up
    if known is None:
        return up_axis(clip)
    found = detect_up(clip, known=known)
    return found.axis if found.certain else known


def _refusal(path: Path, skipped: dict[str, str], files: int) -> str:
    return (
        f"{path}: {count_bad(list(skipped.values()), files)}; "
        "--on-bad-file skip, or data.on_bad_file=skip (by --set, or in a YAML), leaves such files out"
    )


def _first(dropped: dict[str, str]) -> str:
    file, reason = min(dropped.items())
    return f"{file}: {reason}" + (f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else "")


def _known(split: SplitName) -> SplitName:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
    return split
