"""Stretches of frames that clips share bit for bit: the same performance cut twice.

Found by hashes: each frame's numbers are mixed into one 64-bit word, and words are combined over runs of 32 frames by
doubling, ``H_2n(t) = H_n(t) + b^n H_n(t + n)``; equal words at two places are equal frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from motionsynth.motion.clip import Clip

__all__ = ["MIN_FRAMES", "SharedStretch", "frame_words", "shared_stretches"]

Words = npt.NDArray[np.uint64]

MIN_FRAMES: Final = 32
"""Shorter runs are not looked for; a power of two."""
_BASE: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class SharedStretch:
    """``frames`` frames that two files hold bit for bit, at a frame of each."""

    files: tuple[str, str]
    starts: tuple[int, int]
    frames: int


def frame_words(clip: Clip) -> Words:
    """(T,) one 64-bit word a frame; frames whose angles and translations are the same bits have the same word."""
    rows = np.concatenate([clip.angles.reshape(len(clip), -1), clip.translations.reshape(len(clip), -1)], axis=1)
    numbers = np.ascontiguousarray(rows + 0.0).view(np.uint64)  # + 0.0: minus zero is zero
    weights = _weights(numbers.shape[1])
    mixed = (numbers ^ (numbers >> np.uint64(31))) * weights
    mixed ^= mixed >> np.uint64(29)
    words: Words = (mixed * np.uint64(_BASE)).sum(axis=1, dtype=np.uint64)
    return words


def _weights(count: int) -> Words:
    """(count,) odd words without pattern: splitmix64 (Steele, Lea and Flood, 2014), the same on every machine."""
    word: Words = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_BASE)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (word ^ (word >> np.uint64(31))) | np.uint64(1)


def shared_stretches(files: Sequence[str], words: Sequence[Words]) -> list[SharedStretch]:
    """Find the runs of at least 32 frames that two clips share.

    Where more than two clips share a run, each is paired with the next. A clip's repetitions of itself do not count,
    nor do poses held still: a T-pose at the start of every file is not one performance cut twice.

    Args:
        files: names of the clips.
        words: (T_i,) :func:`frame_words` of each.
    """
    lengths = np.array([len(one) for one in words], dtype=np.int64)
    runs = np.maximum(lengths - MIN_FRAMES + 1, 0)
    if not runs.sum():
        return []
    clip = np.repeat(np.arange(len(words)), runs)
    start = np.arange(runs.sum()) - np.repeat(np.cumsum(runs) - runs, runs)
    begins = np.cumsum(lengths) - lengths
    every = np.concatenate(words)
    moving = ~_held(every)[begins[clip] + start]
    clip, start = clip[moving], start[moving]
    hashes = _rolling(every)[begins[clip] + start]
    order = np.lexsort((start, clip, hashes))
    first, second = order[:-1], order[1:]
    same = (hashes[first] == hashes[second]) & (clip[first] != clip[second])
    first, second = first[same], second[same]
    if not len(first):
        return []
    return _join(files, clip[first], start[first], clip[second], start[second])


def _held(words: Words) -> npt.NDArray[np.bool_]:
    """(T,) whether the 32 frames from each frame on are all the same; meaningless for the last 31."""
    changes = np.concatenate([[0], np.cumsum(words[1:] != words[:-1])])
    later = np.minimum(np.arange(len(words)) + MIN_FRAMES - 1, len(words) - 1)
    return np.asarray(changes[later] == changes)


def _rolling(words: Words) -> Words:
    """(T,) hash of the 32 frames from each frame on; the last 31 reach beyond the end and are meaningless."""
    rolled, reach, power = words.copy(), 1, _BASE
    while reach < MIN_FRAMES:
        following = np.zeros_like(rolled)
        following[:-reach] = rolled[reach:]
        rolled = rolled + np.uint64(power) * following
        reach, power = 2 * reach, power * power & _MASK
    return rolled


def _join(
    files: Sequence[str],
    clip_a: npt.NDArray[np.int64],
    start_a: npt.NDArray[np.int64],
    clip_b: npt.NDArray[np.int64],
    start_b: npt.NDArray[np.int64],
) -> list[SharedStretch]:
    """Runs that follow one another at one offset are one stretch."""
    order = np.lexsort((start_a, start_b - start_a, clip_b, clip_a))
    columns = np.stack([clip_a, clip_b, start_b - start_a, start_a])[:, order]
    fresh = np.ones(columns.shape[1], dtype=bool)
    fresh[1:] = (np.diff(columns[:3]) != 0).any(axis=0) | (np.diff(columns[3]) > 1)
    heads = np.flatnonzero(fresh)
    tails = np.append(heads[1:], columns.shape[1]) - 1
    return [
        SharedStretch(
            (files[columns[0, head]], files[columns[1, head]]),
            (int(columns[3, head]), int(columns[3, head] + columns[2, head])),
            int(columns[3, tail] - columns[3, head]) + MIN_FRAMES,
        )
        for head, tail in zip(heads.tolist(), tails.tolist(), strict=True)
    ]
