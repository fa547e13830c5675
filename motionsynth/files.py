"""Files: regular ones alone, read within bounds, written whole or not at all, and locked.

Every reader of a file that may come from someone else goes through ``read_regular``, every writer through ``replacing``
or ``write_bytes``, and every lock between processes through ``locked``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "TEMPORARY_SUFFIX",
    "from_home",
    "hash_bytes",
    "locked",
    "open_regular",
    "parse_json",
    "read_regular",
    "refuse_irregular",
    "refuse_unwritable",
    "replacing",
    "sync_folder",
    "write_bytes",
    "write_synced",
]

TEMPORARY_SUFFIX = ".tmp"
"""Ends the name of a file or folder that is being written; what a kill left under such a name may be removed."""

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def from_home(path: str) -> str:
    """A path whose ``~`` or ``~NAME`` at the beginning stands for a home folder; as it is where nobody is called so."""
    return os.path.expanduser(path)  # noqa: PTH111 - pathlib's raises where nobody is called so


@contextmanager
def open_regular(path: str | Path, *, follow_links: bool = True) -> Iterator[BinaryIO]:
    """A regular file to read, unbuffered; never waits on a named pipe and never reads a device.

    Args:
        path: the file.
        follow_links: whether it may be a symbolic link to one.

    Raises:
        OSError: it is missing, cannot be read, or is anything else (``EINVAL``); names ``path``.
    """
    path = Path(path)
    try:
        _refuse(path, path.stat() if follow_links else path.lstat())
    except FileNotFoundError as error:
        if path.is_symlink():
            raise FileNotFoundError(errno.ENOENT, "is a link to nothing", str(path)) from error
        raise
    try:
        descriptor = os.open(path, _READING | (0 if follow_links else getattr(os, "O_NOFOLLOW", 0)))
    except OSError as error:
        if error.errno == errno.ELOOP and not follow_links:
            raise OSError(errno.EINVAL, "is a symbolic link, not a file", str(path)) from error
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        _refuse(path, os.fstat(descriptor))  # it may have been exchanged since
        yield file


def read_regular(path: str | Path, *, limit: int | None = None, follow_links: bool = True) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        limit: most bytes it may have; None for no bound.
        follow_links: whether it may be a symbolic link to one.

    Raises:
        OSError: as ``open_regular``, or it is larger than ``limit`` (``EFBIG``).
    """
    with open_regular(path, follow_links=follow_links) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read() if limit is None or size <= limit else b""
    if limit is not None and max(size, len(content)) > limit:
        raise OSError(errno.EFBIG, f"has {size:,} bytes, more than the {limit:,} that such a file may have", str(path))
    return content


def parse_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError: it is none: not UTF-8, nested too deeply, with ``NaN`` or ``Infinity`` for a number, or with a
            number of thousands of digits.
    """
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def refuse_irregular(path: str | Path) -> None:
    """Say of an output whether it can be replaced: only a regular file, or nothing, is.

    Raises:
        OSError: it is a device, a named pipe, a folder or a symbolic link (``EINVAL``, for a folder ``EISDIR``).
    """
    path = Path(path)
    with suppress(FileNotFoundError):
        _refuse(path, path.lstat())


def _refuse(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((name for of_kind, name in _KINDS if of_kind(found.st_mode)), "no file")
    code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
    raise OSError(code, f"is {kind}, not a file", str(path))


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends: a crash leaves the old one or the new one.

    Raises:
        OSError: the file cannot be written, or ``path`` is there and no regular file; it is then as it was. Names
            ``path``, never the temporary file.
    """
    path = Path(path)
    refuse_irregular(path)
    try:
        with _temporary(path) as file:
            yield file
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            error.filename = str(path)  # a write names no file
        elif error.filename is not None and Path(error.filename).name.endswith(TEMPORARY_SUFFIX):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def _temporary(path: Path) -> Iterator[BinaryIO]:
    # not mkstemp: its files are for the owner only, and the umask cannot be read without changing it for every thread
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
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
    """Wait until the names in a folder are on the disk; does nothing where the system cannot open a folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: str | Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock between processes; the system drops it when this process dies.

    Args:
        path: the lock's file; made where it is missing, and left there.
        wait_seconds: how long to wait for another process that holds it; for ever where negative.

    Raises:
        TimeoutError: another process still holds it.
        OSError: the file cannot be made, or is no regular file.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    refuse_irregular(path)
    by_presence = issubclass(FileLock, SoftFileLock)  # where the system has no locks, the file itself is one
    if not by_presence and not os.path.lexists(path):
        # filelock would wait for a file that cannot be made as for one that is held
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666))
    lock = FileLock(path, timeout=wait_seconds, thread_local=False)
    try:
        lock.acquire(poll_interval=0.05)
    except Timeout as error:
        raise TimeoutError(errno.ETIMEDOUT, "is held by another process", str(path)) from error
    try:
        yield
    finally:
        lock.release()


def hash_bytes(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
