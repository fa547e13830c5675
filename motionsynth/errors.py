"""Every error that a user can cause, under one base class.

    MotionSynthError
    ├── ClipError(path, line, reason)        a file of motion cannot be read or written
    │   ├── AmcError                         an AMC file, or the ASF file of its skeleton
    │   └── BvhError                         a BVH file
    ├── ConfigError(path, key, reason)       a configuration file or ``--set`` is wrong
    ├── CorpusError                          a folder of clips cannot become training data
    ├── DownloadError(url, reason)           what a corpus is made of cannot be fetched, or is not what it should be
    ├── ExtractorError(path, reason)         a feature extractor is damaged, or does not fit the motion
    ├── RanksError                           processes that train one model have lost one another
    ├── RunError(path, reason)               a run directory is missing, damaged or of another kind
    ├── StudyError(path, reason)             a study's results are damaged, or it cannot go on
    │   └── WorkerDiedError                  a process ended while a cell ran in it
    ├── TrackingError                        an MLflow store does not take what a run has to tell
    │   └── StoreError                       it will not before a person puts something right
    └── TrainingError(step, phase, reason)   training cannot go on
        └── DivergedError                    its numbers stopped being finite

The command line prints the message on one line and exits with the error's ``exit_code``: 2 where the input is wrong, 3
where a training diverged, 1 where something failed, such as a disk that is full. Anything else that escapes is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "AmcError",
    "BvhError",
    "ClipError",
    "ConfigError",
    "CorpusError",
    "DivergedError",
    "DownloadError",
    "ExtractorError",
    "MotionSynthError",
    "RanksError",
    "RunError",
    "StoreError",
    "StudyError",
    "TrackingError",
    "TrainingError",
    "WorkerDiedError",
    "list_first",
    "unknown_word",
]


class MotionSynthError(Exception):
    """Base class of every error that motionsynth raises on purpose."""

    exit_code: ClassVar[int] = 2
    """Exit status of the command line."""

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is otherwise rebuilt from its message alone, and one that takes more than that breaks the pipe
        # by which a process of a pool hands it over
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(kind: type[MotionSynthError], args: tuple[Any, ...], state: dict[str, Any]) -> MotionSynthError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ClipError(MotionSynthError):
    """A file of motion cannot be read or written; ``line`` counts from 1, or is None where no line is at fault."""

    def __init__(self, path: str | Path, line: int | None, reason: str) -> None:
        self.path, self.line, self.reason = Path(path), line, reason
        super().__init__(f"{path}:{line}: {reason}" if line is not None else f"{path}: {reason}")


class AmcError(ClipError):
    """An AMC file, or the ASF file of its skeleton, cannot be read."""


class BvhError(ClipError):
    """A BVH file cannot be read or written."""


class ConfigError(MotionSynthError):
    """A configuration is wrong; ``key`` is the dotted path of the offending entry."""

    def __init__(self, path: str | Path | None, key: str | None, reason: str) -> None:
        self.path, self.key, self.reason = path, key, reason
        super().__init__(": ".join(str(part) for part in (path, key, reason) if part is not None))


class CorpusError(MotionSynthError):
    """A folder of clips cannot become training data."""


class DownloadError(MotionSynthError):
    """Source of a corpus that cannot be fetched, or that is not what its checksum promises."""

    exit_code = 1

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url}: {reason}")


class ExtractorError(MotionSynthError):
    """A feature extractor is missing or damaged, cannot be fitted, or does not fit the motion it is given."""

    def __init__(self, path: str | Path | None, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}" if path is not None else reason)


class RanksError(MotionSynthError):
    """Processes that train one model have lost one another, or no longer hold the same numbers."""

    exit_code = 1


class RunError(MotionSynthError):
    """A run directory is missing, damaged, or not of the kind that a command needs."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path, self.reason = Path(path), reason
        super().__init__(f"{path}: {reason}")


class StudyError(MotionSynthError):
    """A study's results are damaged or do not belong together, or it cannot go on."""

    def __init__(self, path: str | Path | None, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}" if path is not None else reason)


class WorkerDiedError(StudyError):
    """A process ended while a cell ran in it: it was killed, or the machine had no memory left."""

    exit_code = 1


class TrackingError(MotionSynthError):
    """An MLflow store does not take what a run has to tell it; the run's files keep everything."""


class StoreError(TrackingError):
    """An MLflow store cannot be used before a person puts something right: no outage, and not to be waited for."""


class TrainingError(MotionSynthError):
    """Training cannot go on; names the step and the phase in which it broke."""

    exit_code = 1

    def __init__(self, step: int, phase: str, reason: str) -> None:
        self.step, self.phase, self.reason = step, phase, reason
        super().__init__(f"step {step}, phase {phase}: {reason}")


class DivergedError(TrainingError):
    """A loss or a gradient stopped being finite: an outcome of the run, and no fault of the machine."""

    exit_code = 3


def list_first(words: Sequence[str], most: int) -> str:
    """The first ``most`` words, and the number of the others: ``a, b and 3 more``."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def unknown_word(what: str, word: str, known: Iterable[str]) -> str:
    """Message about a word that is none of those known: the nearest one, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown {what}, {hint}known: {', '.join(known) or 'none'}"
