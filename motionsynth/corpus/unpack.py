"""Clips out of an archive that may be broken or hostile.

No name in an archive becomes a path as it is: a clip goes where the caller asks, after its bytes have the checksum that
the caller expects. An archive that holds a name which leads out of a folder is refused as a whole; links and devices
are never followed or made; sizes are checked against a bound before anything is unpacked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, NamedTuple

from motionsynth.corpus.finding import is_litter
from motionsynth.files import replacing
from motionsynth.progress import Progress

__all__ = ["MOST_CLIP_BYTES", "ArchiveError", "Unpacked", "place", "unpack_tar", "unpack_zip"]

MOST_CLIP_BYTES: Final = 256 * 2**20
"""Largest size of a clip of a corpus."""
_MOST_BYTES: Final = 2 * 2**30
"""Largest size that an archive of a corpus unpacks to."""
_TOO_MUCH: Final = "it unpacks to more than a corpus can be"
_CHUNK: Final = 2**18


class ArchiveError(Exception):
    """An archive is not what it should be; with the reason."""


class Unpacked(NamedTuple):
    """Contents of an archive.

    Args:
        names: clips that are in place.
        broken: why no more could be read; empty where it was whole.
    """

    names: frozenset[str]
    broken: str


def place(source: IO[bytes], target: Path, sha256: str | None = None) -> str:
    """Copy a clip to where it belongs, whole or not at all; returns its SHA-256.

    Raises:
        ArchiveError: it has another checksum than ``sha256``, or is too large; ``target`` is then as it was.
    """
    digest, size = hashlib.sha256(), 0
    with replacing(target) as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > MOST_CLIP_BYTES:
                raise ArchiveError(f"{target.name} is larger than a clip can be")
            digest.update(chunk)
            file.write(chunk)
        if sha256 not in (None, digest.hexdigest()):
            raise ArchiveError(f"{target.name} does not match its checksum")
    return digest.hexdigest()


def unpack_tar(
    archive: IO[bytes], wanted: Mapping[str, str], folder: Path, progress: Callable[[int], None] | None = None
) -> Unpacked:
    """Take clips out of a ``.tar.gz`` whose files lie in one folder; of one that is cut short those that are whole.

    Args:
        archive: the file, read from its beginning.
        wanted: path inside that folder -> SHA-256.
        folder: where clips go, under their last name.
        progress: called with the number of clips in place.

    Raises:
        ArchiveError: a name leads out of the archive, a clip is a link, or it holds more than it can.
    """
    archive.seek(0)
    done: set[str] = set()
    try:
        with gzip.GzipFile(fileobj=archive) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r|") as tar:
            for member in tar:
                _refuse_stray(member.name)
                if member.size > _MOST_BYTES:
                    raise ArchiveError(_TOO_MUCH)
                path = member.name.partition("/")[2]
                if path in wanted and _take(tar, member, folder / PurePosixPath(path).name, wanted[path]):
                    done.add(PurePosixPath(path).name)
                    if progress:
                        progress(len(done))
    except (tarfile.TarError, EOFError, zlib.error) as error:
        return Unpacked(frozenset(done), str(error) or type(error).__name__)
    except OSError as error:
        if error.errno is not None:  # of the disk; what gzip finds wrong has no number
            raise
        return Unpacked(frozenset(done), str(error))
    return Unpacked(frozenset(done), "")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error before it fills memory or disk: headers may swell as well as files."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream, self._left = stream, _MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise ArchiveError(_TOO_MUCH)
        return content


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, sha256: str) -> bool:
    stream = tar.extractfile(member) if member.isreg() else None
    if stream is None:
        raise ArchiveError(f"{member.name} in it is no plain file")
    try:
        place(stream, target, sha256)
    except ArchiveError:
        return False  # fetched by itself, later
    return True


def unpack_zip(archive: IO[bytes], folder: Path, progress: Progress | None = None) -> dict[str, str]:
    """Take every BVH file out of a ``.zip`` into a flat folder; returns name -> SHA-256.

    Args:
        archive: the file.
        folder: where clips go, under their last name.
        progress: called with (clips in place, clips in all).

    Raises:
        ArchiveError: it is no zip or damaged, a name leads out of it, a member is a link or encrypted, two clips have
            one name, it holds none, or it holds more than it can.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            clips = _clips_of(opened.infolist())
            found: dict[str, str] = {}
            for name, member in clips.items():
                with opened.open(member) as stream:
                    found[name] = place(stream, folder / name)
                if progress:
                    progress(len(found), len(clips))
            return found
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise ArchiveError(f"cannot be unpacked: {error}") from error


def _clips_of(members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Name in the flat folder -> member; refuses the whole archive before any of it is unpacked."""
    clips: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        _refuse_stray(member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(f"{member.filename} in it is a link")
        if member.flag_bits & 1:
            raise ArchiveError(f"{member.filename} in it is encrypted")
        name = PurePosixPath(member.filename).name
        litter = any(map(is_litter, PurePosixPath(member.filename).parts))
        if member.is_dir() or litter or not name.lower().endswith(".bvh"):
            continue
        if name in clips:
            raise ArchiveError(f"it holds {name} twice")
        clips[name] = member
    if sum(member.file_size for member in members) > _MOST_BYTES:
        raise ArchiveError(_TOO_MUCH)
    if not clips:
        raise ArchiveError("it holds no BVH file")
    return clips


def _refuse_stray(name: str) -> None:
    parts: list[Any] = re.split(r"[/\\]", name)
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise ArchiveError(f"{name!r} in it leads out of the folder: nothing of it is used")
