"""Features once encoded are kept, and opened again by mapping one file into memory.

An entry is a folder ``GROUP/KEY`` with ``features.f32`` (all rows one after another) and ``index.json`` (what they
are). GROUP hashes the source folder and the settings; KEY hashes every source file's name, size and times, and the code
that reads and encodes. So an entry never goes stale: a changed source has another key. It is built under a temporary
name and renamed, so that two runs may build it at once, and replaces its group's older entries.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

import motionsynth
from motionsynth.corpus.reading import Encoded, EncodeSettings, Fault, Progress, encode_files, make_plan
from motionsynth.corpus.stretches import SharedStretch, shared_stretches
from motionsynth.features.spec import FeatureSpec

__all__ = ["FeatureStore", "StoredClip", "default_cache", "open_features"]

_INDEX: Final = "index.json"
_FEATURES: Final = "features.f32"
_ABANDONED_S: Final = 6 * 3600
"""A temporary folder this old belongs to a process that was killed."""


@dataclass(frozen=True, slots=True)
class StoredClip:
    """Where a file's rows are."""

    file: str
    start: int
    frames: int
    mirrored_start: int | None


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
        cache_note: why nothing could be kept, else empty.
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
    def load(cls, folder: Path, *, from_cache: bool, cache_note: str = "") -> Self | None:
        """Open an entry; None where it is not there or not whole."""
        try:
            index = json.loads((folder / _INDEX).read_bytes())
            spec = FeatureSpec.from_dict(index["spec"])
            count = int(index["rows"])
            size = (folder / _FEATURES).stat().st_size
            if size != count * spec.width * 4:
                return None
            shape = (count, spec.width)
            rows = np.memmap(folder / _FEATURES, np.float32, "c", shape=shape) if count else np.empty(shape, np.float32)
            return cls(
                spec=spec,
                up=index["up"],
                units=index["units"],
                clips=tuple(StoredClip(**clip) for clip in index["clips"]),
                faults=tuple(
                    Fault(f["file"], f["reason"], ("other",) if f["other_skeleton"] else None) for f in index["faults"]
                ),
                shared=tuple(
                    SharedStretch(tuple(s["files"]), tuple(s["starts"]), s["frames"]) for s in index["shared"]
                ),
                sha256=index["sha256"],
                rows=rows,
                from_cache=from_cache,
                cache_note=cache_note,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


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

    Where the cache cannot be written the features are encoded all the same, and kept for this process only.

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
    entry = cache / group / key
    store = FeatureStore.load(entry, from_cache=True)
    if store is not None:
        return store
    note = ""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=entry.parent))
    except OSError as error:
        note = f"{error.filename or entry.parent}: {error.strerror}; features are not kept"
        place = Path(tempfile.mkdtemp(prefix="motionsynth-"))
    try:
        _build(place, root, files, settings, like, workers, progress)
        # mapped before it is published: from then on another process may replace it
        store = FeatureStore.load(place, from_cache=False, cache_note=note)
        if not note:
            _publish(place, entry)
    finally:
        shutil.rmtree(place, ignore_errors=True)  # what is mapped stays readable
    assert store is not None
    return store


def _keys(root: Path, files: Sequence[str], settings: EncodeSettings, further: list[Any]) -> tuple[str, str]:
    place = [str(root.resolve()), asdict(settings), *further]
    sources = []
    for file in files:
        try:
            s = (root / file).stat()
            sources.append((file, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        except OSError:
            sources.append((file, -1, 0, 0))
    return _hash(place)[:20], _hash([_code_version(), sources])[:20]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


@lru_cache(maxsize=1)
def _code_version() -> str:
    """Hash of the code that decides what features are, so that no version reads another's."""
    package = Path(motionsynth.__file__).parent
    own = (package / "corpus" / f"{name}.py" for name in ("cache", "reading", "stretches"))
    modules = [*package.glob("motion/*.py"), *package.glob("features/*.py"), *own]
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(module.read_bytes())
    return digest.hexdigest()


def _build(
    place: Path,
    root: Path,
    files: Sequence[str],
    settings: EncodeSettings,
    like: FeatureSpec | None,
    workers: int | None,
    progress: Progress | None,
) -> None:
    plan = make_plan(root, files, settings, like)
    index = _write_rows(place, encode_files(root, files, plan, workers=workers, progress=progress))
    strangers = Counter(fault.skeleton for fault in index.faults if fault.skeleton is not None)
    if strangers and strangers.most_common(1)[0][1] > len(index.clips):
        # the few files looked at first were of a minority: the commonest skeleton is the corpus'
        common = strangers.most_common(1)[0][0]
        plan = make_plan(root, [fault.file for fault in index.faults if fault.skeleton == common], settings, like)
        index = _write_rows(place, encode_files(root, files, plan, workers=workers, progress=progress))
    document = {
        "spec": plan.spec.to_dict(),
        "up": plan.up,
        "units": plan.units,
        "rows": index.rows,
        "sha256": index.sha256,
        "clips": [asdict(clip) for clip in index.clips],
        "faults": [
            {"file": f.file, "reason": f.reason, "other_skeleton": f.skeleton is not None} for f in index.faults
        ],
        "shared": [asdict(stretch) for stretch in index.shared],
    }
    with (place / _INDEX).open("w", encoding="ascii") as stream:
        json.dump(document, stream)
        stream.flush()
        os.fsync(stream.fileno())


@dataclass(frozen=True)
class _Written:
    clips: list[StoredClip]
    faults: list[Fault]
    shared: list[SharedStretch]
    rows: int
    sha256: str


def _write_rows(place: Path, results: Iterable[Encoded | Fault]) -> _Written:
    """Write rows as they come, so that no more than one clip needs to be in memory."""
    clips: list[StoredClip] = []
    faults, words, rows, digest = [], [], 0, hashlib.sha256()
    with (place / _FEATURES).open("wb") as stream:
        for result in results:
            if isinstance(result, Fault):
                faults.append(result)
                continue
            frames = len(result.features_TD)
            mirrored = result.mirrored_TD
            clips.append(StoredClip(result.file, rows, frames, None if mirrored is None else rows + frames))
            words.append(result.words)
            digest.update(json.dumps([result.file, len(result.words)]).encode("ascii") + result.words.tobytes())
            for array in (result.features_TD, mirrored):
                if array is not None:
                    stream.write(array.tobytes())
                    rows += len(array)
        stream.flush()
        os.fsync(stream.fileno())
    shared = shared_stretches([clip.file for clip in clips], words)
    return _Written(clips, faults, shared, rows, digest.hexdigest())


def _publish(place: Path, entry: Path) -> None:
    """Give a finished entry its name, and clear away what it replaces."""
    place.chmod(0o755)
    try:
        place.rename(entry)
    except OSError:
        if FeatureStore.load(entry, from_cache=False) is None:  # damaged; else another process was faster
            shutil.rmtree(entry, ignore_errors=True)
            with suppress(OSError):  # another process mends it too, and was faster
                place.rename(entry)
    for other in entry.parent.iterdir():
        with suppress(FileNotFoundError):  # another process' temporary folder has got its name meanwhile
            fresh = other.name.startswith(".") and time.time() - other.stat().st_mtime < _ABANDONED_S
            if other != entry and not fresh:
                shutil.rmtree(other, ignore_errors=True)
