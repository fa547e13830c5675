"""Windows of motion in physical units: what instruments take, wherever the motion came from.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.split import SplitName
from motionsynth.features.spec import FeatureSpec

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["MotionSet", "drawn_motions", "split_motions"]


@dataclass(frozen=True, eq=False)
class MotionSet:
    """Whole windows of motion, none padded, in the units of the features.

    Args:
        features_NTD: float32 features in metres, seconds and radians, not normalised; on the CPU.
        spec: what a row holds.
        takes: N names of what each window is part of; windows of one take are drawn together when intervals are
            computed. A generated window is a take of its own.
        names: N readable names, such as ``walk_001.bvh:48``.
        labels: label name -> (N,) int64 class indices, where they are known; else empty.
        nyquist_hz: highest frequency that the motion can hold: half the frame rate, or less where it was recorded at a
            lower rate and resampled.
        notes: what was left out or resampled on the way, as sentences for the user.
    """

    features_NTD: Tensor
    spec: FeatureSpec
    takes: tuple[str, ...]
    names: tuple[str, ...]
    labels: dict[str, Tensor]
    nyquist_hz: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.features_NTD)

    def __post_init__(self) -> None:
        if not len(self.features_NTD) == len(self.takes) == len(self.names):
            raise ValueError("features, takes and names must be of one length")

    def subset(self, index_N: Tensor) -> MotionSet:
        """The windows at those indices."""
        places = index_N.tolist()
        return replace(
            self,
            features_NTD=self.features_NTD[index_N],
            takes=tuple(self.takes[i] for i in places),
            names=tuple(self.names[i] for i in places),
            labels={name: value[index_N] for name, value in self.labels.items()},
        )

    def draw(self, count: int, seed: int) -> MotionSet:
        """``count`` windows without replacement, in their order; all of them where there are no more."""
        if count >= len(self):
            return self
        chosen = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return self.subset(torch.from_numpy(np.sort(chosen)))


def drawn_motions(features_NTD: Tensor, spec: FeatureSpec, name: str) -> MotionSet:
    """Windows that a model drew, features in physical units: each a take of its own, ``NAME:0``, ``NAME:1``, ..."""
    names = tuple(f"{name}:{number}" for number in range(len(features_NTD)))
    return MotionSet(features_NTD, spec, names, names, {}, spec.frame_rate / 2)


def split_motions(corpus: Corpus, split: SplitName) -> MotionSet:
    """The whole windows of a split; those of clips shorter than a window are left out, with a note."""
    windows = corpus.windows(split)
    whole = windows.subset(windows.whole_N)
    short = len(windows) - len(whole)  # a short clip is one window
    batch, takes = whole.as_batch(), whole.takes
    return MotionSet(
        features_NTD=corpus.normaliser.denormalise(batch.motion_BTD),
        spec=corpus.spec,
        takes=takes,
        names=tuple(f"{take}:{start}" for take, start in zip(takes, whole.start_N.tolist(), strict=True)),
        labels=batch.labels,
        nyquist_hz=corpus.spec.frame_rate / 2,
        notes=(f"{split}: {short} clips shorter than {windows.frames} frames are left out",) if short else (),
    )
