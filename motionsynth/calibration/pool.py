"""Whole windows of a split together with the clips that they were cut from, so that doses can act before the cut.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.comparison.reference import Reference
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.motions import MotionSet
from motionsynth.corpus.split import SplitName
from motionsynth.errors import CorpusError

__all__ = ["Pool", "open_pool"]


@dataclass(frozen=True, eq=False)
class Pool:
    """The windows that sets are drawn from.

    Args:
        motions: the windows, undosed.
        clips_TD: each clip's features in physical units.
        clip_names: their names.
        clip_N: which clip each window is of.
        start_N: the frame it starts at.
        cell_N: content x style of each window as labelled; of a corpus without labels all zero, until a judge fills it.
        cell_names: names of the cells; those of a split need not be all. None without labels.
    """

    motions: MotionSet
    clips_TD: tuple[Tensor, ...]
    clip_names: tuple[str, ...]
    clip_N: npt.NDArray[np.int64]
    start_N: npt.NDArray[np.int64]
    cell_N: npt.NDArray[np.int64]
    cell_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clip_N)

    def cut(
        self, clips_TD: Sequence[Tensor | npt.NDArray[np.floating]], wanted_N: npt.NDArray[np.int64], speed: float = 1.0
    ) -> MotionSet:
        """Windows of changed clips.

        Args:
            clips_TD: every clip, (T', D) in physical units, at least ``T / speed`` frames long.
            wanted_N: which windows.
            speed: of the changed clips; a window starts where its first frame went.
        """
        frames = self.motions.features_NTD.shape[1]
        first_C = np.concatenate([[0], np.cumsum([len(clip) for clip in clips_TD])])
        last_C = np.array([len(clip) for clip in clips_TD]) - frames
        clip_N = self.clip_N[wanted_N]
        start_N = np.minimum(np.rint(self.start_N[wanted_N] / speed).astype(np.int64), last_C[clip_N])
        rows_NT = first_C[clip_N, None] + start_N[:, None] + np.arange(frames)
        rows = torch.cat([torch.as_tensor(clip, dtype=torch.float32) for clip in clips_TD])
        features_NTD = rows.index_select(0, torch.from_numpy(rows_NT.ravel())).reshape(*rows_NT.shape, -1)
        return replace(self.motions.subset(torch.from_numpy(wanted_N)), features_NTD=features_NTD)


def open_pool(corpus: Corpus, split: SplitName) -> Pool:
    """All whole windows of a split, those of mirror images left out; as ``evaluate`` has them.

    Raises:
        CorpusError: the split has no window.
    """
    motions = Reference(corpus, split).motions(split)
    if not len(motions):
        raise CorpusError(f"{corpus.config.path}: no whole window of {split} to calibrate on")
    names = tuple(dict.fromkeys(motions.takes))
    place = {name: number for number, name in enumerate(names)}
    cell_N, cell_names = _cells(corpus, motions)
    return Pool(
        motions,
        tuple(corpus.features(name) for name in names),
        names,
        np.array([place[name] for name in motions.takes]),
        np.array([int(name.rpartition(":")[2]) for name in motions.names]),
        cell_N,
        cell_names,
    )


def _cells(corpus: Corpus, motions: MotionSet) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The cell of each window as it is labelled, numbered alike in all splits; no names where there are no labels."""
    labelled = [name for name in corpus.labels.cell_names if name in motions.labels]
    if not labelled:
        return np.zeros(len(motions), dtype=np.int64), ()
    names = tuple(sorted({corpus.labels.cell(file) for file in corpus.split.of_file}))
    place = {name: number for number, name in enumerate(names)}
    of_take = {take: place[corpus.labels.cell(take)] for take in set(motions.takes)}
    return np.array([of_take[take] for take in motions.takes]), names
