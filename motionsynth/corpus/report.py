"""Report on opening a corpus: nothing is left out without being listed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from motionsynth.corpus.stretches import SharedStretch
from motionsynth.errors import list_first

__all__ = ["CorpusReport", "SkippedFile", "short_takes"]

_SHOWN = 5
_FEW = 0.05
"""Share of clips below which those shorter than a window do not matter."""
_SHORTEST, _STEP = 8, 4
"""Frames of the shortest window there may be, and whose multiples are offered."""


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is not learned from, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """The account of a corpus.

    Args:
        files: clips found.
        clips: files in one of the splits.
        frames: their frames, at the features' rate.
        skipped: files that cannot be used: malformed, unlabelled, of another skeleton.
        gap: files left out between the splits, and those that share frames across them.
        shared: stretches of at least 32 frames that files hold bit for bit.
        cells: cell -> its clips.
        padded: cell -> how many of its clips are shorter than a window, and so padded and masked.
        short: what it means that clips are shorter than a window, as :func:`short_takes` words it.
        windows: split -> windows.
        constant_columns: feature columns that never vary.
        labels: where labels come from.
        units: unit of length of the files; ``unknown`` where it had to be scaled to a person's height.
        up: axis that points up in the files.
        notes: what else a person should know.
        from_cache: whether the features came from the cache.
        left_out: files of classes that ``data.keep`` does not name.
    """

    files: int
    clips: int
    frames: int
    skipped: tuple[SkippedFile, ...]
    gap: tuple[SkippedFile, ...]
    shared: tuple[SharedStretch, ...]
    cells: dict[str, int]
    padded: dict[str, int]
    windows: dict[str, int]
    constant_columns: tuple[str, ...]
    labels: str
    units: str
    up: str
    notes: tuple[str, ...]
    from_cache: bool
    left_out: int = 0
    short: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able copy."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people: a few lines, and one for each file that was skipped."""
        cells = len(self.cells)
        listed = [
            f"{self.clips} of {self.files} files in {cells} cell(s), {self.frames} frames; labels: {self.labels}, "
            f"units: {self.units}, up: {self.up}" + (", from the cache" if self.from_cache else ""),
            "windows: " + ", ".join(f"{split} {count}" for split, count in self.windows.items()),
        ]
        if self.left_out:
            listed.append(f"{self.left_out} files are of classes that data.keep leaves out")
        if self.padded:
            whole = [cell or "the corpus" for cell, count in self.padded.items() if count == self.cells.get(cell)]
            listed.append(self.short + (f"; such are all clips of {list_first(whole, _SHOWN)}" if whole else ""))
        listed += [f"skipped {entry.reason}" for entry in self.skipped]
        if self.gap:
            listed.append(f"{len(self.gap)} clip(s) left out to keep the splits apart")
        if self.shared:
            pairs = [f"{s.files[0]} and {s.files[1]} ({s.frames} frames)" for s in self.shared]
            listed.append(f"{len(pairs)} stretch(es) shared bit for bit: {list_first(pairs, _SHOWN)}")
        return listed + list(self.notes)


def short_takes(lengths: Sequence[int], window: int) -> str:
    """Describe how much lies in clips shorter than a window, and which window would be shorter than nearly all of them.

    Args:
        lengths: frames of each clip, at the rate of the features.
        window: frames of a window.

    Returns:
        A sentence; empty where no clip is shorter.
    """
    short = [frames for frames in lengths if frames < window]
    if not short:
        return ""
    share = len(short) / len(lengths)
    sentence = (
        f"{len(short)} of {len(lengths)} clips ({share:.0%}, {sum(short) / sum(lengths):.0%} of frames) are shorter "
        f"than a window of {window} frames: padded in training, left out of evaluation"
    )
    if share < _FEW:
        return sentence
    fits = sorted(lengths)[ceil(_FEW * len(lengths)) - 1]
    fits -= fits % _STEP
    if fits < _SHORTEST:
        return f"{sentence}; even windows of {_SHORTEST} frames leave out {_FEW:.0%} or more"
    left = sum(frames < fits for frames in lengths)
    return f"{sentence}; data.window_frames={fits} leaves out {left} ({left / len(lengths):.1%})"
