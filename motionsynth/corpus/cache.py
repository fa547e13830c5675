"""Features once encoded are kept, and opened again by mapping one file into memory.

An entry is a folder ``GROUP/KEY`` with ``features.f32`` (all rows one after another) and ``index.json`` (what they
are). GROUP hashes the source folder and the settings; KEY hashes every source file's name, size and times, and the code
that reads and encodes. So an entry never goes stale: a changed source has another key. It is built under a temporary
name and renamed, so that two runs may build it at once, and replaces its group's older entries.

Every byte is checked when an entry is opened: the index holds its own SHA-256, the name of its entry and the SHA-256 of
the features. A damaged entry is made again, which the summary says. The check takes 0.8 s a gigabyte of features
(``python -m tools.bench.corpus`` prints it). Where the cache cannot be written, or its disk is full, the features are
kept in memory and the summary says so.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt

import motionsynth
from motionsynth.corpus.facts import Facts
from motionsynth.corpus.plan import EncodeSettings, Fault, Plan, settle
from motionsynth.corpus.reading import Encoded, Progress, encode_files
from motionsynth.corpus.stretches import SharedStretch, shared_stretches
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import TEMPORARY_SUFFIX, open_regular, read_regular

__all__ = ["FeatureStore", "StoredClip", "default_cache", "open_features"]

_INDEX: Final = "index.json"
_FEATURES: Final = "features.f32"
_HASH_LENGTH: Final = 20
"""Letters of the names of groups and entries."""
_ABANDONED_S: Final = 3600
"""A temporary folder that nothing was written to for so long belongs to a process that was killed."""


@dataclass(frozen=True, slots=True)
class StoredClip:
    """Where a file's rows are."""

    file: str
    start: int
    frames: int
    mirrored_start: int | None
    facts: Facts
    """What was found in it when it was read."""


@dataclass(frozen=True)
class FeatureStore:
    """The encoded files of a corpus.

    Args:
        spec: what a row holds.
        up: the axis that points up in the files.
        units: their unit of length.
        clips: where each file's rows are, sorted by file.
        faults: the files that have none, and why.
        shared: stretches of frames that files share.
        sha256: of the numbers in the files, not of the rows: these differ between processors in their last bits.
        rows: (frames of all clips, D) float32, mapped copy-on-write.
        from_cache: whether nothing had to be read.
        cache_note: that what was kept was damaged, or why nothing could be kept; else empty.
    """

    spec: FeatureSpec
    up: str
    units: str
    clips: tuple[StoredClip, ...]
    faults: tuple[Fault, ...]
    shared: tuple[SharedStretch, ...]
    sha256: str
    rows: npt.NDArray[np.float32]
    from_cache: bool
    cache_note: str = ""

    @classmethod
    def load(cls, folder: Path, entry: str, *, from_cache: bool) -> Self | None:
        """Open an entry; None where there is none.

        Args:
            folder: where it lies.
            entry: its name, ``GROUP/KEY``.
            from_cache: whether nothing had to be read.

        Raises:
            DamagedEntryError: it is not, byte for byte, what was written under that name.
        """
        if not os.path.lexists(folder):
            return None
        try:
            content = _read_index(folder / _INDEX, entry)
            return cls.of(content, _map_rows(folder / _FEATURES, content), from_cache=from_cache)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedEntryError(str(error)) from error

    @classmethod
    def of(cls, content: Mapping[str, Any], rows: npt.NDArray[np.float32], *, from_cache: bool) -> Self:
        """The store that the content of an index describes."""
        return cls(
            spec=FeatureSpec.from_dict(content["spec"]),
            up=content["up"],
            units=content["units"],
            clips=tuple(StoredClip(**clip | {"facts": Facts(*clip["facts"])}) for clip in content["clips"]),
            faults=tuple(
                Fault(f["file"], f["reason"], ("other",) if f["other_skeleton"] else None) for f in content["faults"]
            ),
            shared=tuple(SharedStretch(tuple(s["files"]), tuple(s["starts"]), s["frames"]) for s in content["shared"]),
            sha256=content["sha256"],
            rows=rows,
            from_cache=from_cache,
        )


class DamagedEntryError(OSError):
    """An entry of the cache is not what was written there."""


def _read_index(path: Path, entry: str) -> dict[str, Any]:
    document = json.loads(read_regular(path))
    content: dict[str, Any] = document["content"]
    if _hash(content) != document["sha256"] or content["entry"] != entry:
        raise ValueError(f"{_INDEX} is not the one that was written there")
    return content


def _map_rows(path: Path, content: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Map the rows copy-on-write, and look at every byte once: a page that went bad would be learned from."""
    shape = (int(content["rows"]), FeatureSpec.from_dict(content["spec"]).width)
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size != 4 * shape[0] * shape[1]:
            raise ValueError(f"{_FEATURES} has another size than what was written")
        rows: npt.NDArray[np.float32] = np.empty(shape, np.float32)
        if rows.size:
            rows = np.memmap(file, np.float32, "c", shape=shape)
    if hashlib.sha256(rows.data).hexdigest() != content["features_sha256"]:
        raise ValueError(f"{_FEATURES} is not what was written")
    return rows


def default_cache() -> Path:
    """``$MOTIONSYNTH_CACHE``, or ``motionsynth`` in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``)."""
    chosen = os.environ.get("MOTIONSYNTH_CACHE")
    if chosen:
        return Path(chosen)
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
        store = FeatureStore.load(cache / group / key, f"{group}/{key}", from_cache=True)
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
            lambda plan: _write_rows(stream, encode_files(root, files, plan, workers=workers, progress=progress)),
        )
        return _content(f"{group}/{key}", plan, written)

    try:
        store = _build(cache, group, key, read)
    except OSError as error:  # whatever it is, the features can do without being kept
        store = replace(_build_in_memory(read), cache_note=_not_kept(error, cache))
    return replace(store, cache_note="; ".join(part for part in (note, store.cache_note) if part))


def _not_kept(error: OSError, place: Path) -> str:
    return f"{error.filename or place}: {error.strerror or error}; features are not kept"


def _keys(root: Path, files: Sequence[str], settings: EncodeSettings, further: list[Any]) -> tuple[str, str]:
    place = [str(root.resolve()), asdict(settings), *further]
    sources = []
    for file in files:
        try:
            s = (root / file).stat()
            sources.append((file, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        except OSError:
            sources.append((file, -1, 0, 0))
    return _hash(place)[:_HASH_LENGTH], _hash([_code_version(), sources])[:_HASH_LENGTH]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


@lru_cache(maxsize=1)
def _code_version() -> str:
    """Hash of the code that decides what features are, so that no version reads another's."""
    package = Path(motionsynth.__file__).parent
    own = (package / "corpus" / f"{name}.py" for name in ("cache", "facts", "plan", "reading", "stretches"))
    modules = [*package.glob("motion/*.py"), *package.glob("features/*.py"), *own]
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(module.read_bytes())
    return digest.hexdigest()


def _build(cache: Path, group: str, key: str, read: Callable[[IO[bytes]], dict[str, Any]]) -> FeatureStore:
    """Read all files into an entry of the cache, and map it."""
    entry = cache / group / key
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(cache)
    place = Path(tempfile.mkdtemp(prefix=f".{key}-", suffix=TEMPORARY_SUFFIX, dir=entry.parent))
    try:
        with (place / _FEATURES).open("wb") as stream:
            content = read(stream)
            stream.flush()
            os.fsync(stream.fileno())
        with (place / _INDEX).open("w", encoding="ascii") as index:
            json.dump({"sha256": _hash(content), "content": content}, index)
            index.flush()
            os.fsync(index.fileno())
        # mapped before it is published: from then on another process may replace it
        store = FeatureStore.load(place, f"{group}/{key}", from_cache=False)
        assert store is not None
        try:
            _publish(place, entry)
        except OSError as error:
            return replace(store, cache_note=_not_kept(error, entry))
        return store
    finally:
        shutil.rmtree(place, ignore_errors=True)  # what is mapped stays readable


def _build_in_memory(read: Callable[[IO[bytes]], dict[str, Any]]) -> FeatureStore:
    stream = io.BytesIO()
    content = read(stream)
    rows = np.frombuffer(stream.getbuffer(), dtype=np.float32)
    width = FeatureSpec.from_dict(content["spec"]).width
    return FeatureStore.of(content, rows.reshape(content["rows"], width), from_cache=False)


@dataclass(frozen=True)
class _Written:
    """The result of reading all files by one plan."""

    clips: list[StoredClip]
    faults: list[Fault]
    shared: list[SharedStretch]
    rows: int
    sha256: str
    features_sha256: str

    @property
    def facts(self) -> dict[str, Facts]:
        return {clip.file: clip.facts for clip in self.clips}


def _content(entry: str, plan: Plan, written: _Written) -> dict[str, Any]:
    """The content of an index, as JSON-able types."""
    return {
        "entry": entry,
        "spec": plan.spec.to_dict(),
        "up": plan.up,
        "units": plan.units,
        "rows": written.rows,
        "sha256": written.sha256,
        "features_sha256": written.features_sha256,
        "clips": [asdict(clip) for clip in written.clips],
        "faults": [
            {"file": f.file, "reason": f.reason, "other_skeleton": f.skeleton is not None} for f in written.faults
        ],
        "shared": [asdict(stretch) for stretch in written.shared],
    }


def _write_rows(stream: IO[bytes], results: Iterable[Encoded | Fault]) -> _Written:
    """Write rows as they come, so that no more than one clip needs to be in memory."""
    clips: list[StoredClip] = []
    faults, words, rows, digest, content = [], [], 0, hashlib.sha256(), hashlib.sha256()
    stream.seek(0)
    stream.truncate()
    for result in results:
        if isinstance(result, Fault):
            faults.append(result)
            continue
        frames = len(result.features_TD)
        mirrored = result.mirrored_TD
        clips.append(StoredClip(result.file, rows, frames, None if mirrored is None else rows + frames, result.facts))
        words.append(result.words)
        digest.update(json.dumps([result.file, len(result.words)]).encode("ascii") + result.words.tobytes())
        for array in (result.features_TD, mirrored):
            if array is not None:
                block = array.tobytes()
                stream.write(block)
                content.update(block)
                rows += len(array)
    shared = shared_stretches([clip.file for clip in clips], words)
    return _Written(clips, faults, shared, rows, digest.hexdigest(), content.hexdigest())


def _publish(place: Path, entry: Path) -> None:
    """Give a finished entry its name, and clear away what it replaces.

    Raises:
        OSError: it cannot have its name, and no other process has made the entry either.
    """
    place.chmod(0o755)
    try:
        place.rename(entry)
    except OSError:
        if not _is_whole(entry):  # damaged; else another process was faster
            shutil.rmtree(entry, ignore_errors=True)
            try:
                place.rename(entry)
            except OSError:
                if not _is_whole(entry):  # another process mends it too, and was faster
                    raise
    for other in entry.parent.iterdir():
        if other != entry and not (other.name.startswith(".") and not _is_abandoned(other)):
            shutil.rmtree(other, ignore_errors=True)


def _is_whole(entry: Path) -> bool:
    try:
        return FeatureStore.load(entry, f"{entry.parent.name}/{entry.name}", from_cache=False) is not None
    except DamagedEntryError:
        return False


def _sweep(cache: Path) -> None:
    """Remove what killed processes left half-written, in every group."""
    with suppress(OSError):  # another process sweeps too
        for group in cache.iterdir():
            for place in group.iterdir() if len(group.name) == _HASH_LENGTH else ():
                if place.name.startswith(".") and _is_abandoned(place):
                    shutil.rmtree(place, ignore_errors=True)


def _is_abandoned(place: Path) -> bool:
    """Whether nothing was written into a temporary folder for long."""
    try:
        written = max(path.stat().st_mtime for path in (place, *place.iterdir()))
    except OSError:
        return False  # it has got its name meanwhile
    return time.time() - written > _ABANDONED_S
