"""Files: regular ones alone, read within bounds, written whole or not at all, and locked.

Every reader of a file that may come from someone else goes through ``read_regular``; every writer through
``replacing``, ``write_bytes`` or, for a folder as a whole, ``new_folder``; every lock between processes through
``locked``.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "TEMPORARY_SUFFIX",
    "from_home",
    "full_disk",
    "locked",
    "naming",
    "new_folder",
    "open_regular",
    "parse_json",
    "read_regular",
    "refuse_irregular",
    "refuse_unwritable",
    "remove_folder",
    "replacing",
    "sweep_temporaries",
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
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\.(.{0,40})\.([0-9]+)\.[0-9a-f]{16}" + re.escape(TEMPORARY_SUFFIX), re.DOTALL)
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
    """Raise where an output cannot be replaced: only a regular file, or nothing, is.

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
def replacing(path: str | Path, *, size: int | None = None) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends: a crash leaves the old one or the new one.

    Args:
        path: the file.
        size: bytes that it will have, to be named where the disk is full; unknown where None.

    Raises:
        OSError: the file cannot be written, or ``path`` is there and no regular file; it is then as it was. Names
            ``path``, never the temporary file, and on a full disk the room that is needed and that there is.
    """
    path = Path(path)
    refuse_irregular(path)
    temporary = _temporary(path)
    with naming(path, temporary, size=size):
        # not mkstemp: its files are for the owner only, and the umask cannot be read without changing it for a moment
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


@contextmanager
def new_folder(path: str | Path, *, size: int | None = None) -> Iterator[Path]:
    """A folder to fill that gets the name ``path`` when the block ends: a crash leaves all of it or nothing.

    Args:
        path: the folder; must be missing, or empty. Its parents are made.
        size: bytes that will be written, to be named where the disk is full; unknown where None.

    Raises:
        OSError: something cannot be written, or ``path`` is there and no empty folder; it is then as it was. Names
            places in ``path``, never the temporary folder.
    """
    path = Path(path)
    temporary = _temporary(path)
    with naming(path, temporary, size=size):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            yield temporary
            sync_folder(temporary)
            temporary.rename(path)  # the system refuses this where the folder has meanwhile been filled by another
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Take a folder away under a name that no reader looks at first, so that half of it is never seen."""
    temporary = _temporary(path)
    path.rename(temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """A new name beside ``path`` that names the process, so that what it leaves when it is killed can be swept."""
    return path.with_name(f".{path.name[:40]}.{os.getpid()}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


@contextmanager
def naming(path: Path, temporary: Path | None = None, *, size: int | None = None) -> Iterator[None]:
    """Name in errors of writing what was written, and on a full disk the room that is needed and that there is.

    Args:
        path: what is written.
        temporary: under which name; ``path`` itself where None.
        size: bytes that it will have; unknown where None.
    """
    temporary = temporary or path
    try:
        yield
    except Exception as error:
        system = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(system, OSError):
            raise
        inside = system.filename is not None and temporary in ((place := Path(system.filename)), *place.parents)
        if inside:
            system.filename, system.filename2 = str(path / place.relative_to(temporary)), None
        elif system.filename is None and system.errno in (*_FULL, errno.EIO, errno.EFBIG):
            system.filename = str(path)  # a write names no file
        if system.errno in _FULL and system.strerror == os.strerror(system.errno):
            needed = "" if size is None else f"{size:,} bytes to write, "
            system.strerror += f": {needed}{_free_bytes(path):,} free"
        if inside and system is not error:
            raise system from None  # what was made of it names the temporary place
        raise


def _free_bytes(path: Path) -> int:
    """Bytes that may still be written where ``path`` lies."""
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    return shutil.disk_usage(there).free


def full_disk(error: BaseException | None) -> OSError | None:
    """The full disk, or exceeded quota, that an error is or was raised from; None where it is none of these."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error = error.__cause__
    return None


def sweep_temporaries(folder: str | Path, *, of: str | None = None) -> None:
    """Remove what processes that were killed left behind while they wrote; never what another process writes now.

    Args:
        folder: looked through with all folders below it, but through no links.
        of: only what was to become this name, and only in ``folder`` itself.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            found = _TEMPORARY.fullmatch(name)
            if found and (of is None or found[1] == of[:40]) and not _writes_now(int(found[2])):
                _remove(Path(place) / name)
        folders[:] = [name for name in folders if of is None and not _TEMPORARY.fullmatch(name)]


def _writes_now(pid: int) -> bool:
    """Test whether a process may be there; not this one, which sweeps before it writes."""
    if pid == os.getpid() or os.name == "nt":  # there, asking a process by signal 0 ends it
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is there, and another user's
    return True


def _remove(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Replace a file by ``content`` and wait until its name is on the disk too; see ``replacing``."""
    path = Path(path)
    with replacing(path, size=len(content)) as file:
        file.write(content)
    with naming(path, size=len(content)):
        sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk; only in a folder that nobody reads yet, see ``new_folder``."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def refuse_unwritable(folder: str | Path, *names: str) -> None:
    """Raise before long work where a folder, which need not be there yet, cannot be written into.

    Args:
        folder: where files are to be written.
        names: the files, as far as they are known.

    Raises:
        NotADirectoryError: the folder, or a part of its path, is a file.
        PermissionError: nothing may be written there.
        OSError: one of the files is there and no regular file.
    """
    folder = Path(folder)
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    code = 0 if os.access(there, os.W_OK | os.X_OK) else errno.EACCES
    if not there.is_dir():
        code = errno.ENOTDIR
    if code:
        raise OSError(code, os.strerror(code), str(there))
    for name in names:
        refuse_irregular(folder / name)


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
