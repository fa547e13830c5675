"""Features once encoded are kept, and opened again by mapping one file into memory.

An entry is a folder ``GROUP/KEY`` with ``features.f32`` (all rows one after another) and ``index.json`` (what they
are). GROUP hashes the source folder and the settings; KEY hashes every source file's name, size and times, those of
the skeletons beside them, and the code that reads and encodes. So an entry never goes stale: a changed source has
another key. It is built under a temporary name and renamed, so that two runs may build it at once, and replaces its
group's older entries.

Every byte is checked when an entry is opened. A damaged entry is made again, which the summary says. Where the cache
cannot be written, or its disk is full, the features are kept in memory and the summary says so.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

import motionsynth
from motionsynth.corpus.bones import bones_sha256
from motionsynth.corpus.plan import EncodeSettings
from motionsynth.corpus.reading import encode_files
from motionsynth.corpus.settling import settle
from motionsynth.corpus.store import FEATURES, DamagedEntryError, FeatureStore, write_index, write_rows
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import new_folder
from motionsynth.hashes import hash_json
from motionsynth.motion.formats import skeleton_files
from motionsynth.progress import Progress

__all__ = ["default_cache", "open_features"]

_HASH_LENGTH: Final = 20
"""Letters of the names of groups and entries."""
_ABANDONED_S: Final = 3600
"""A temporary folder that nothing was written to for so long belongs to a process that was killed."""


def default_cache() -> Path:
    """``$MOTIONSYNTH_CACHE``, or ``motionsynth`` in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``)."""
    chosen = os.environ.get("MOTIONSYNTH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motionsynth"


def open_features(
    root: Path,
    files: Sequence[str],
    settings: EncodeSettings,
    *,
    cache: Path,
    selection: str = "",
    like: FeatureSpec | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FeatureStore:
    """Open the features of these files, encoding them if no entry of the cache holds them.

    Where the cache cannot be written the features are encoded all the same, and kept in memory only.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        settings: how they are encoded.
        cache: where features are kept.
        selection: what these files are of all in the folder, so that one choice does not replace another's entry.
        like: features of another corpus that theirs are to be the same as.
        workers: processes that read.
        progress: called with (files read, files in all).

    Raises:
        CorpusError: not one file can be used.
    """
    group, key = _keys(root, files, settings, [selection] * bool(selection) + ([like.to_dict()] if like else []))
    note = ""
    try:
        store = FeatureStore.load(cache / group / key, f"{group}/{key}")
        if store is not None:
            return store
    except DamagedEntryError as error:
        note = f"{cache / group / key}: features kept there were damaged ({error}) and are made again"

    def read(stream: IO[bytes]) -> dict[str, Any]:
        plan, written = settle(
            root,
            files,
            settings,
            like,
            lambda plan: write_rows(stream, encode_files(root, files, plan, workers=workers, progress=progress)),
            workers=workers,
            progress=progress,
        )
        return written.content(f"{group}/{key}", plan)

    try:
        store = _build(cache, group, key, read)
    except OSError as error:  # whatever it is, the features can do without being kept
        store = replace(_build_in_memory(read), cache_note=_not_kept(error, cache))
    return replace(store, cache_note="; ".join(part for part in (note, store.cache_note) if part))


def _not_kept(error: OSError, place: Path) -> str:
    return f"{error.filename or place}: {error.strerror or error}; features are not kept"


def _keys(root: Path, files: Sequence[str], settings: EncodeSettings, further: list[Any]) -> tuple[str, str]:
    named = settings.bones not in ("same", "mean")  # a file counts by what is in it, wherever it lies
    bones = bones_sha256(Path(settings.bones)) if named else settings.bones
    place = [str(root.resolve()), asdict(settings) | {"bones": bones}, *further]
    sources = []
    for file in [*files, *map(str, skeleton_files(root / file for file in files))]:
        try:
            s = (root / file).stat()
            sources.append((file, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        except OSError:
            sources.append((file, -1, 0, 0))
    return hash_json(place)[:_HASH_LENGTH], hash_json([_code_version(), sources])[:_HASH_LENGTH]


@lru_cache(maxsize=1)
def _code_version() -> str:
    """Hash of the code that decides what features are, so that no version reads another's."""
    package = Path(motionsynth.__file__).parent
    own = (
        package / "corpus" / f"{name}.py"
        for name in ("bones", "cache", "conform", "facts", "plan", "reading", "settling", "store", "stretches")
    )
    modules = [*package.glob("motion/*.py"), *package.glob("features/*.py"), *own]
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(module.read_bytes())
    return digest.hexdigest()


def _build(cache: Path, group: str, key: str, read: Callable[[IO[bytes]], dict[str, Any]]) -> FeatureStore:
    """Read all files into an entry of the cache, map it, and clear away what it replaces."""
    entry, store = cache / group / key, None
    _sweep(cache)
    try:
        with new_folder(entry) as place:
            with (place / FEATURES).open("wb") as stream:
                content = read(stream)
                stream.flush()
                os.fsync(stream.fileno())
            write_index(place, content)
            # mapped before it is published: from then on another process may replace it, and it stays readable
            store = FeatureStore.load(place, f"{group}/{key}", fresh=True)
            if not _is_whole(entry):
                _remove(entry)  # damaged; else another process was faster
    except OSError as error:
        if store is None:
            raise
        if not _is_whole(entry):  # else another process makes or mends it too, and was faster
            return replace(store, cache_note=_not_kept(error, entry), folder=None)
    assert store is not None
    for other in entry.parent.iterdir():
        if other != entry and not (other.name.startswith(".") and not _is_abandoned(other)):
            _remove(other)
    return replace(store, folder=entry)


def _build_in_memory(read: Callable[[IO[bytes]], dict[str, Any]]) -> FeatureStore:
    stream = io.BytesIO()
    content = read(stream)
    rows = np.frombuffer(stream.getbuffer(), dtype=np.float32)
    width = FeatureSpec.from_dict(content["spec"]).width
    return FeatureStore.of(content, rows.reshape(content["rows"], width), from_cache=False)


def _is_whole(entry: Path) -> bool:
    try:
        return FeatureStore.load(entry, f"{entry.parent.name}/{entry.name}") is not None
    except DamagedEntryError:
        return False


def _sweep(cache: Path) -> None:
    """Remove what killed processes left half-written, in every group."""
    with suppress(OSError):  # another process sweeps too
        for group in cache.iterdir():
            for place in group.iterdir() if len(group.name) == _HASH_LENGTH else ():
                if place.name.startswith(".") and _is_abandoned(place):
                    _remove(place)


def _remove(place: Path) -> None:
    """Remove a folder with all that is in it, or a file that stands where a folder should; as far as that goes."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(OSError):
            place.unlink()


def _is_abandoned(place: Path) -> bool:
    """Find out of a temporary folder whether nothing was written into it for long."""
    try:
        written = max(path.stat().st_mtime for path in (place, *place.iterdir()))
    except OSError:
        return False  # it has got its name meanwhile
    return time.time() - written > _ABANDONED_S
