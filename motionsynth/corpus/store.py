"""The encoded files of a corpus as one array of rows with an index, in memory or in an entry of the cache.

An entry is a folder with ``features.f32`` (all rows one after another) and ``index.json``: what the rows are, the name
of the entry and the SHA-256 of the features, and the SHA-256 of all that. Every byte is checked when it is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt

from motionsynth.corpus.facts import Facts
from motionsynth.corpus.plan import Fault, Plan
from motionsynth.corpus.reading import Encoded
from motionsynth.corpus.stretches import SharedStretch, shared_stretches
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import open_regular, read_regular, write_synced
from motionsynth.hashes import hash_json

__all__ = [
    "FEATURES",
    "INDEX",
    "DamagedEntryError",
    "FeatureStore",
    "StoredClip",
    "WrittenRows",
    "refuse_changed",
    "write_index",
    "write_rows",
]

INDEX: Final = "index.json"
FEATURES: Final = "features.f32"


@dataclass(frozen=True, slots=True)
class StoredClip:
    """Place of a file's rows."""

    file: str
    start: int
    frames: int
    mirrored_start: int | None
    facts: Facts
    """The findings in it when it was read."""


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
        folder: entry of the cache that they lie in; None where they are in memory only.
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
    folder: Path | None = None

    @classmethod
    def load(cls, folder: Path, entry: str, *, fresh: bool = False) -> Self | None:
        """Open an entry; None where there is none.

        Args:
            folder: where it lies.
            entry: its name, ``GROUP/KEY``.
            fresh: whether this process has just written it; every byte is looked at otherwise.

        Raises:
            DamagedEntryError: it is not, byte for byte, what was written under that name.
        """
        if not os.path.lexists(folder):
            return None
        try:
            content = _read_index(folder / INDEX, entry)
            rows = _map_rows(folder / FEATURES, content)
            if not fresh:
                refuse_changed(rows, content["features_sha256"])
            return replace(cls.of(content, rows, from_cache=not fresh), folder=folder)
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
    if hash_json(content) != document["sha256"] or content["entry"] != entry:
        raise ValueError(f"{INDEX} is not the one that was written there")
    return content


def _map_rows(path: Path, content: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Map the rows copy-on-write."""
    shape = (int(content["rows"]), FeatureSpec.from_dict(content["spec"]).width)
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size != 4 * shape[0] * shape[1]:
            raise ValueError(f"{FEATURES} has another size than what was written")
        rows: npt.NDArray[np.float32]
        rows = np.memmap(file, np.float32, "c", shape=shape) if shape[0] else np.empty(shape, np.float32)
    return rows


def refuse_changed(rows: npt.NDArray[np.float32], sha256: str) -> None:
    """Compare rows with what was written: a page of a disk that went bad would be learned from.

    Raises:
        ValueError: they have another SHA-256.
    """
    if hashlib.sha256(rows.data).hexdigest() != sha256:
        raise ValueError(f"{FEATURES} is not what was written")


@dataclass(frozen=True)
class WrittenRows:
    """The result of reading all files by one plan."""

    clips: list[StoredClip]
    faults: list[Fault]
    shared: list[SharedStretch]
    rows: int
    sha256: str
    features_sha256: str

    @property
    def facts(self) -> dict[str, Facts]:
        """File -> what was found in it."""
        return {clip.file: clip.facts for clip in self.clips}

    def content(self, entry: str, plan: Plan) -> dict[str, Any]:
        """The content of an index, as JSON-able types.

        Args:
            entry: the name of the entry.
            plan: what the files were read by.
        """
        return {
            "entry": entry,
            "spec": plan.spec.to_dict(),
            "up": plan.up,
            "units": plan.units,
            "rows": self.rows,
            "sha256": self.sha256,
            "features_sha256": self.features_sha256,
            "clips": [asdict(clip) for clip in self.clips],
            "faults": [
                {"file": f.file, "reason": f.reason, "other_skeleton": f.skeleton is not None} for f in self.faults
            ],
            "shared": [asdict(stretch) for stretch in self.shared],
        }


def write_index(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the index of an entry that nobody reads yet, and wait until it is on the disk."""
    document = json.dumps({"sha256": hash_json(content), "content": content})
    write_synced(folder / INDEX, document.encode("ascii"))


def write_rows(stream: IO[bytes], results: Iterable[Encoded | Fault]) -> WrittenRows:
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
    return WrittenRows(clips, faults, shared, rows, digest.hexdigest(), content.hexdigest())
