"""Folders of clips: each holds those of one command alone, under names that every system keeps apart.

A folder of clips comes to be as a whole. Everything is written into a hidden folder inside it and moved to its final
names at the end, so that what is seen is complete; ``.motionsynth.json`` lists it with its checksums. By that list a
later command with ``--overwrite`` knows what it may remove, and refuses to touch anything else.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from motionsynth.errors import BvhError, MotionSynthError, list_first
from motionsynth.files import TEMPORARY_SUFFIX, locked, parse_json, read_regular, sync_folder, write_bytes
from motionsynth.hashes import hash_bytes, hash_file
from motionsynth.motion.formats import SUFFIXES

__all__ = ["MANIFEST", "clip_folder", "distinct_names", "distinct_paths", "refuse_filled"]

MANIFEST: Final = ".motionsynth.json"
"""Lists what the folder beside it got from this package: path inside the folder -> SHA-256."""
_STAGE: Final = ".clips."
"""Begins the name of the hidden folder that clips are written into."""
_LOCK: Final = ".lock"
_MOST_MANIFEST: Final = 64 * 2**20

_SUFFIX: Final = ".bvh"
"""Ends the names of clips that are written, whatever they are made of."""
_MOST_BYTES: Final = 255
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')
_RESERVED: Final = frozenset(["con", "prn", "aux", "nul", "conin$", "conout$"]) | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}
_DIRECTIONS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@contextmanager
def clip_folder(folder: Path, *, overwrite: bool = False, made_of: Iterable[Path] = ()) -> Iterator[Path]:
    """A hidden folder to write into, whose files become those of ``folder`` when the block ends; else nothing is left.

    Args:
        folder: where the clips are to be; made where it is missing.
        overwrite: whether what this package wrote there before is replaced.
        made_of: files that the clips are made of, none of which may lie in ``folder``: they would be removed.

    Raises:
        MotionSynthError: ``folder`` is not empty, or with ``overwrite`` holds anything that this package did not write,
            or what the clips are made of.
        OSError, BvhError: something cannot be written; names the final place.
    """
    folder = Path(folder)
    refuse_filled(folder, overwrite=overwrite)
    _refuse_own_sources(folder, made_of)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    stage = folder / f"{_STAGE}{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with _final_names(stage, folder):
            stage.mkdir()
            with locked(stage / _LOCK):
                yield stage
                _publish(stage, folder, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # others may have put something there
                path.rmdir()
        raise
    shutil.rmtree(stage, ignore_errors=True)


def refuse_filled(folder: Path, *, overwrite: bool = False) -> None:
    """Raise before long work where ``clip_folder`` would not take a folder; hidden files in it do not count.

    Raises:
        MotionSynthError: it would not; names what is in the way.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise MotionSynthError(f"{folder}: is not a folder; name another to write into")
    seen = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    if not seen:
        return
    if not overwrite:
        raise MotionSynthError(
            f"{folder}: is not empty (it holds {list_first(seen, 1)}); name another folder, or give --overwrite to "
            "replace what motionsynth wrote there"
        )
    listed = _read_manifest(folder)
    for inside in _files_in(folder):
        if inside not in listed:
            raise MotionSynthError(
                f"{folder}: holds {inside}, which motionsynth did not write there; move it away, or name another folder"
            )
        if _sha256(folder / inside) != listed[inside]:
            raise MotionSynthError(
                f"{folder}: {inside} was changed since motionsynth wrote it; move it away, or name another folder"
            )


def _refuse_own_sources(folder: Path, made_of: Iterable[Path]) -> None:
    inside = folder.resolve()
    for path in made_of:
        if path.resolve().is_relative_to(inside):
            raise MotionSynthError(
                f"{folder}: holds {path}, which clips are made of and which they would replace; name another folder"
            )


def _read_manifest(folder: Path) -> dict[str, str]:
    """Path inside a folder -> SHA-256; empty where there is no intact list."""
    try:
        listed = parse_json(read_regular(folder / MANIFEST, limit=_MOST_MANIFEST, follow_links=False))["files"]
        return {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _files_in(folder: Path) -> list[str]:
    """POSIX paths of all that is in a folder but hidden names and plain folders; links are not followed."""
    found: list[str] = []
    waiting = [""]
    while waiting:
        place = waiting.pop()
        for entry in os.scandir(folder / place):
            inside = f"{place}/{entry.name}" if place else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    waiting.append(inside)
            elif not entry.name.startswith("."):
                found.append(inside)
    return sorted(found)


def _sha256(path: Path) -> str:
    """SHA-256 of a file; empty for a link and for what is no file."""
    return hash_file(path) if stat.S_ISREG(path.lstat().st_mode) else ""


def _sweep(folder: Path) -> None:
    """Remove what commands that were killed left here; one that still runs holds its lock."""
    for left in folder.glob(f"{_STAGE}*{TEMPORARY_SUFFIX}"):
        with suppress(TimeoutError, OSError):
            with locked(left / _LOCK):
                pass
            shutil.rmtree(left, ignore_errors=True)


def _publish(stage: Path, folder: Path, *, overwrite: bool) -> None:
    """Move all files to their final names; whatever is seen meanwhile is whole, and listed."""
    refuse_filled(folder, overwrite=overwrite)  # another command may have been faster
    new = _files_in(stage)
    listed = {"format": 1, "files": {inside: _sha256(stage / inside) for inside in new}}
    write_bytes(stage / MANIFEST, json.dumps(listed, indent=1).encode() + b"\n")  # before room may be missed
    old = [folder / inside for inside in _files_in(folder)]
    for path in old:
        path.unlink()
    for place in sorted({parent for path in old for parent in path.relative_to(folder).parents[:-1]}, reverse=True):
        with suppress(OSError):  # hidden files of others stay
            (folder / place).rmdir()
    (stage / MANIFEST).replace(folder / MANIFEST)
    for inside in new:
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        (stage / inside).replace(folder / inside)
    sync_folder(folder)


@contextmanager
def _final_names(stage: Path, folder: Path) -> Iterator[None]:
    """Errors inside the block name the place where a file was to be, not the hidden one."""
    try:
        yield
    except BvhError as error:
        if not error.path.is_relative_to(stage):
            raise
        raise BvhError(folder / error.path.relative_to(stage), error.line, error.reason) from error
    except OSError as error:
        if error.filename and Path(os.fsdecode(error.filename)).is_relative_to(stage):
            error.filename = str(folder / Path(os.fsdecode(error.filename)).relative_to(stage))
        raise


def distinct_names(sources: Sequence[str], *, tails: Sequence[str] | None = None) -> list[str]:
    """Names without an ending for what is made of several files, as close to theirs as may be, one for each.

    A file's own name where no other has it, else with as many of its folders as tell it apart (``walk_001``), else
    with a checksum behind it. No two are the same where case, composed letters or invisible marks do not count, none is
    forbidden on Windows or hidden, and none is longer than 255 bytes with its ending.

    Args:
        sources: POSIX paths of the files.
        tails: what each name is to end with, such as ``_0064``; nothing where None.
    """
    tails = tails or [""] * len(sources)
    choices = []
    for source in sources:
        path = PurePosixPath(source)
        stem = path.name[: -len(path.suffix)] if path.suffix.lower() in SUFFIXES else path.name
        parts = [*(part for part in path.parts[:-1] if part not in ("/", ".", "..")), stem]
        choices.append(["_".join(parts[first:]) for first in reversed(range(len(parts)))])
    identities = [f"{source}\0{tail}" for source, tail in zip(sources, tails, strict=True)]
    names = _apart(choices, [f"{tail}{_SUFFIX}" for tail in tails], identities)
    return [name.removesuffix(_SUFFIX) for name in names]


def distinct_paths(files: Sequence[str]) -> list[str]:
    """Paths for what is made of the files of a folder, in folders as they are: see ``distinct_names``.

    Args:
        files: POSIX paths inside the folder, no two the same.
    """
    children: dict[str, dict[str, str]] = {}
    for file in files:
        for path in (PurePosixPath(file), *PurePosixPath(file).parents):
            if path.name:
                children.setdefault(str(path.parent), {})[path.name] = path.suffix if str(path) == file else ""
    names: dict[str, str] = {".": ""}
    for parent in sorted(children, key=lambda place: (place != ".", place.count("/"), place)):
        own, endings = list(children[parent]), list(children[parent].values())
        choices = [(name[: len(name) - len(ending)],) for name, ending in zip(own, endings, strict=True)]
        written = [ending if ending.lower() in ("", _SUFFIX) else _SUFFIX for ending in endings]
        for name, safe in zip(own, _apart(choices, written, own), strict=True):
            names[str(PurePosixPath(parent, name))] = str(PurePosixPath(names[parent], safe))
    return [names[str(PurePosixPath(file))] for file in files]


def _apart(choices: Sequence[Sequence[str]], endings: Sequence[str], identities: Sequence[str]) -> list[str]:
    """For each entry the first of its choices that no other has, else its last with a checksum, and its ending."""
    entries = list(zip(choices, endings, identities, strict=True))
    names = [_usable(choice[0], ending, identity) for choice, ending, identity in entries]
    for level in range(1, max(map(len, choices), default=0)):
        twice = _twice(names)
        names = [
            _usable(choice[min(level, len(choice) - 1)], ending, identity) if _key(name) in twice else name
            for name, (choice, ending, identity) in zip(names, entries, strict=True)
        ]
    twice = _twice(names)
    taken = set(map(_key, names)) - twice
    for index, (choice, ending, identity) in enumerate(entries):
        number = 0
        while _key(names[index]) in twice or (number and _key(names[index]) in taken):
            names[index] = _usable(choice[-1], ending, identity, _mark(f"{identity}\0{number}"))
            number += 1
        if number:
            taken.add(_key(names[index]))
    return names


def _twice(names: Sequence[str]) -> set[str]:
    return {key for key, count in Counter(map(_key, names)).items() if count > 1}


def _key(name: str) -> str:
    """Key that two names share where some file system takes them for one."""
    plain = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain).casefold())


def _mark(identity: str) -> str:
    return "-" + hash_bytes(identity.encode("utf-8", "surrogatepass"))[:10]


def _usable(stem: str, ending: str, identity: str, mark: str = "") -> str:
    """A name that every file system takes: no forbidden letter, none reserved or hidden, at most 255 bytes."""
    letters = ["_" if letter in _FORBIDDEN or _unprintable(letter) else letter for letter in stem]
    stem = "".join(letters) or "clip"
    if stem.startswith("."):
        stem = "_" + stem[1:]
    if not ending and not mark:
        stem = stem.rstrip(" .") or "_"
    base, dot, rest = stem.partition(".")
    if (stem + ending).partition(".")[0].rstrip(" ").casefold() in _RESERVED:
        stem = f"{base}_{dot}{rest}"
    room = _MOST_BYTES - len(ending.encode())
    if len(stem.encode()) + len(mark) > room:
        mark = mark or _mark(identity)
        stem = stem.encode()[: room - len(mark)].decode(errors="ignore")
    return stem + mark + ending


def _unprintable(letter: str) -> bool:
    return letter in _DIRECTIONS or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
