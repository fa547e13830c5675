"""Clips that a path stands for, and the ones among them that cannot be used: one rule for every command.

Below a folder every file counts whose name ends in ``.bvh`` or ``.amc``, in any case and at any depth. Hidden names and
``__MACOSX``, which operating systems leave behind, do not. What should be a file and is none (a dead link, a named
pipe) is found all the same, so that reading it tells what is wrong; what should be a folder of clips and cannot be
looked into is a fault of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from motionsynth.errors import ConfigError, CorpusError, MotionSynthError, RunError
from motionsynth.motion.formats import is_clip

__all__ = ["BadFiles", "Found", "OnBadFile", "count_bad", "find_clips", "find_files", "is_litter"]

OnBadFile = Literal["stop", "skip"]
"""A file that cannot be used stops the work, or is left out and listed."""

_LITTER: Final = "__MACOSX"
_NAMED: Final = 3
"""Bad files that an error names; it counts the others."""


class Found(NamedTuple):
    """The clips of a folder."""

    root: Path
    files: list[str]
    """POSIX paths inside the folder, sorted."""
    faults: dict[str, str]
    """Folders inside that cannot be looked into and may hold clips: POSIX path -> reason."""


def find_files(path: Path) -> Found:
    """List a folder's clips, or the one file.

    A folder that can be reached in two ways is listed once, by its own path rather than by a link.

    Raises:
        CorpusError: there is no such path, or no clip below the folder.
    """
    if not os.path.lexists(path):
        hint = "folder; 'motionsynth data make walkers' makes a corpus to start with"
        raise CorpusError(f"{path}: no such {'file' if is_clip(path.name) else hint}")
    if not path.is_dir():
        return Found(path.parent, [path.name], {})
    found = Found(path, [], {})
    seen: set[str] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [("", ())]
    links: list[tuple[str, tuple[str, ...]]] = []
    while waiting or links:
        place, above = (waiting or links).pop()
        real = os.path.realpath(path / place)
        if real in above:
            found.faults[place] = "is a link to a folder above it"
        if real not in seen:
            seen.add(real)
            folders, linked = _look_into(found, place)
            waiting += [(inside, (*above, real)) for inside in folders]
            links += [(inside, (*above, real)) for inside in linked]
    if not found.files:
        reasons = "".join(f"; {path / place} {reason}" for place, reason in list(found.faults.items())[:_NAMED])
        raise CorpusError(f"{path}: holds no BVH or AMC file{reasons}")
    found.files.sort()
    return found


def _look_into(found: Found, place: str) -> tuple[list[str], list[str]]:
    """Add a folder's files to those found; returns its folders, and links to folders, last name first."""
    folders: list[str] = []
    links: list[str] = []
    try:
        entries = sorted(os.scandir(found.root / place), key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        found.faults[place or "."] = f"cannot be looked into: {error.strerror or error}"
        return [], []
    for entry in entries:
        if is_litter(entry.name):
            continue
        inside = f"{place}/{entry.name}" if place else entry.name
        reason = "is a link to nothing"
        try:
            is_folder = entry.is_dir()
        except OSError as error:
            is_folder, reason = False, f"cannot be looked into: {error.strerror or error}"
        if is_folder:
            (links if entry.is_symlink() else folders).append(inside)
        elif is_clip(entry.name):
            found.files.append(inside)
        elif not Path(entry.name).suffix and not Path(entry.path).exists():
            found.faults[inside] = reason  # by its name it was a folder
    return folders, links


def is_litter(name: str) -> bool:
    """Test whether a name is hidden, or one that operating systems leave behind."""
    return name.startswith(".") or name == _LITTER


@dataclass
class BadFiles:
    """Files that cannot be used, collected while a command goes through all it was given.

    Args:
        policy: what becomes of them.
        reasons: path -> why, beginning with the path.
    """

    policy: OnBadFile = "stop"
    reasons: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def collecting(self, path: Path) -> Iterator[None]:
        """A block that uses one file; what is wrong with it is kept, and the work goes on with the next.

        A mistake in an option, or in a run, is not the file's and is let through.
        """
        try:
            yield
        except (ConfigError, RunError):
            raise
        except (MotionSynthError, ValueError) as error:
            self.add(path, str(error))

    def add(self, path: Path, reason: str) -> None:
        """Keep what is wrong with a file."""
        self.reasons[str(path)] = reason if reason.startswith(str(path)) else f"{path}: {reason}"

    def settle(self, used: int) -> None:
        """End the work before anything of it is kept.

        Args:
            used: files that could be used.

        Raises:
            CorpusError: some could not be and the policy is ``stop``, or none could.
        """
        if self.reasons and (self.policy == "stop" or not used):
            raise CorpusError(_refusal(list(self.reasons.values()), used))


def _refusal(reasons: Sequence[str], used: int) -> str:
    """One sentence for files that cannot be used, and the way on."""
    if len(reasons) == 1 and not used:
        return reasons[0]
    way = "; --on-bad-file skip leaves such files out and lists them" if used else ""
    return count_bad(reasons, used + len(reasons)) + way


def count_bad(reasons: Sequence[str], files: int) -> str:
    """The number of files that cannot be used, among ``files`` in all, and the reasons of the first few."""
    more = f" (and {len(reasons) - _NAMED} more)" if len(reasons) > _NAMED else ""
    return f"{len(reasons)} of {files} files cannot be used: {'; '.join(reasons[:_NAMED])}{more}"


def find_clips(paths: Iterable[Path], bad: BadFiles) -> list[Path]:
    """The files that a list of files and folders stands for, each once; faults of folders go to ``bad``.

    Raises:
        CorpusError: a path does not exist, or a folder holds no clip.
    """
    clips: dict[Path, None] = {}
    for path in paths:
        found = find_files(path)
        clips.update(dict.fromkeys(found.root / file for file in found.files))
        for place, reason in found.faults.items():
            bad.add(found.root / place, reason)
    return list(clips)
