"""Files that are complete or absent: written beside their place, synced, and renamed into it."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["hash_bytes", "refuse_unwritable", "replacing", "sync_folder", "write_bytes", "write_synced"]

_SUFFIX = ".tmp"


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends: a crash leaves the old one or the new one.

    Raises:
        OSError: the file cannot be written, and ``path`` is then as it was; names ``path``, never the temporary file.
    """
    path = Path(path)
    try:
        with _temporary(path) as file:
            yield file
    except OSError as error:
        if error.filename is not None and Path(error.filename).name.endswith(_SUFFIX):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def _temporary(path: Path) -> Iterator[BinaryIO]:
    # not mkstemp: its files are for the owner only, and the umask cannot be read without changing it for every thread
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """Replace a file by ``content`` and wait until its name is on the disk too; see ``replacing``."""
    with replacing(path) as file:
        file.write(content)
    sync_folder(Path(path).parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk; only for names that nobody reads yet."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_unwritable(folder: str | Path) -> None:
    """Say before long work what writing into a folder, which need not be there yet, would say after it.

    Raises:
        NotADirectoryError: it, or a part of its path, is a file.
        PermissionError: nothing may be written there.
    """
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    code = 0 if os.access(there, os.W_OK | os.X_OK) else errno.EACCES
    if not there.is_dir():
        code = errno.ENOTDIR
    if code:
        raise OSError(code, os.strerror(code), str(there))


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_bytes(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
