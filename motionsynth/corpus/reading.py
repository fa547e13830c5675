"""From files to features, on all cores; imports no torch, so that a worker starts in a fraction of a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from motionsynth.corpus.conform import DeeperMoverError, OtherSkeletonError, conform, skeleton_signature
from motionsynth.corpus.facts import Facts
from motionsynth.corpus.plan import Fault, Plan
from motionsynth.corpus.stretches import Words, frame_words
from motionsynth.errors import ClipError
from motionsynth.features.encode import encode_array
from motionsynth.motion.clip import Clip
from motionsynth.motion.formats import read_clip
from motionsynth.motion.mirror import mirror
from motionsynth.processes import safe_children
from motionsynth.progress import Progress

__all__ = ["Encoded", "Progress", "available_cores", "encode_clip", "encode_files", "over_files"]

Result = TypeVar("Result")

_CHUNK: Final = 8
"""Files that a worker gets at a time."""
_SERIAL_BYTES: Final = 8 * 2**20
"""A corpus smaller than this is read before a second process has started."""
_IDLE_S: Final = 10
"""Workers without work end after this long; joblib's own five minutes would sit in memory beside the training."""


class Encoded(NamedTuple):
    """A file that can be learned from."""

    file: str
    features_TD: npt.NDArray[np.float32]
    mirrored_TD: npt.NDArray[np.float32] | None
    words: Words
    """One word for each frame of the file, at the file's own rate."""
    facts: Facts
    """The findings in it."""


def _encode_file(plan: Plan, root: Path, file: str) -> Encoded | Fault:
    try:
        clip = read_clip(root / file)
    except ClipError as error:
        return Fault(file, str(error))
    return encode_clip(plan, root, file, clip)


def encode_clip(plan: Plan, root: Path, file: str, clip: Clip) -> Encoded | Fault:
    """Encode a clip that was read from a file, or return why it cannot be used."""
    try:
        conformed, facts = conform(clip, plan)
        mirrored = None
        if plan.mirror_frames is not None:
            mirrored = encode_array(mirror(conformed, plan.mirror_frames), plan.spec)
        return Encoded(file, encode_array(conformed, plan.spec), mirrored, frame_words(clip), facts)
    except OtherSkeletonError as error:
        return Fault(file, f"{root / file}: {error}", skeleton=skeleton_signature(clip, any_bones=plan.any_bones))
    except DeeperMoverError as error:
        return Fault(file, f"{root / file}: {error}", mover=error.joint)
    except ValueError as error:
        return Fault(file, f"{root / file}: {error}")


def encode_files(
    root: Path, files: Sequence[str], plan: Plan, *, workers: int | None = None, progress: Progress | None = None
) -> Iterator[Encoded | Fault]:
    """Read and encode files, in order; on all cores where that pays.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        plan: what is done to each.
        workers: processes; as many as there are cores where None.
        progress: called after every few files.
    """
    return over_files(partial(_encode_file, plan), root, files, workers=workers, progress=progress)


def over_files(
    function: Callable[[Path, str], Result],
    root: Path,
    files: Sequence[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Call ``function(root, file)`` for every file, on all cores where that pays; results come in order."""
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    workers = min(workers or available_cores(), len(chunks))
    results: Iterable[list[Result]]
    if workers > 1 and sum(_size(root / file) for file in files) > _SERIAL_BYTES:
        from joblib import Parallel, delayed

        with safe_children():
            results = Parallel(workers, return_as="generator", idle_worker_timeout=_IDLE_S)(
                delayed(_each)(function, root, chunk) for chunk in chunks
            )
    else:
        results = (_each(function, root, chunk) for chunk in chunks)
    done = 0
    for result in results:
        yield from result
        done += len(result)
        if progress is not None:
            progress(done, len(files))


def _each(function: Callable[[Path, str], Result], root: Path, files: Sequence[str]) -> list[Result]:
    return [function(root, file) for file in files]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
