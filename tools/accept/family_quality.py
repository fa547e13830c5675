"""How near a family's clips are to held-out motion, and what stands in place of a model: the figures of families.py.

Shapes: N windows, M other windows, T frames, D features, X = T * D numbers of a window.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor

from motionsynth.comparison.compared import equal_motions
from motionsynth.comparison.motions import as_one_kind
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.motions import MotionSet, drawn_motions, split_motions
from motionsynth.corpus.windows import WindowSet
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.store import extractor_for
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Reconstructs, Translates
from motionsynth.files import write_bytes
from motionsynth.losses.likelihood import masked_squared_error
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import choose
from motionsynth.metrics.suite import score

__all__ = [
    "BASELINES",
    "COUNT",
    "Bench",
    "Quality",
    "domain_difference",
    "mean_quality",
    "nearest_difference",
    "reconstruction_error",
    "translated",
]

COUNT: Final = 1024
"""Windows a set, at most."""
SEED: Final = 0
FRECHET, COVERAGE, JERK = "fidelity/frechet.pca", "modes/coverage.pca", "smoothness/jerk_ratio"
BASELINES: Final = ("mean clip", "white noise")
"""What stands in place of any model; the third, a network before its training, is each family's own."""
_BATCH: Final = 256


class Quality(NamedTuple):
    """Three figures of one set of windows against held-out ones; None where a figure has no value."""

    frechet: float | None
    coverage: float | None
    log_jerk: float | None
    """``|log jerk_ratio|``."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Held-out motion and the extractor that judges, as ``motionsynth evaluate`` has them."""

    corpus: Corpus
    judge: Extractor
    reference: Descriptors
    of: tuple[str, int] | None = None
    """Label and class index of the motion that is held against; all of the test takes where None."""

    @classmethod
    def open(cls, data: DataConfig, whole: DataConfig, of: tuple[str, int] | None = None) -> Bench:
        """Read the corpus, and the extractor, which is trained where none is kept.

        Args:
            data: the motion that a family learns from; windows are cut from it as from ``whole``.
            whole: the corpus that all families are judged in; some learn from a few of its cells or windows.
            of: label and class index of the motion that is held against.
        """
        corpus = open_corpus(data.model_copy(update={"stride_frames": whole.stride_frames}))
        judge = extractor_for(open_corpus(whole))
        held = _of_class(split_motions(corpus, "test"), of).draw(COUNT, SEED)
        return cls(corpus, judge, judge.describe(as_one_kind(held), spaces=["pca"]), of)

    def quality(self, motion_NTD: Tensor) -> Quality:
        """Of (N, T, D) normalised windows."""
        features_NTD = self.corpus.normaliser.denormalise(motion_NTD)
        return self.judged(drawn_motions(features_NTD, self.corpus.spec, "window"))

    def judged(self, motions: MotionSet) -> Quality:
        """Of windows in physical units."""
        equal, _ = equal_motions({"generated": motions}, count=len(self.reference), seed=SEED)
        generated = self.judge.describe(as_one_kind(equal["generated"]), spaces=["pca"])
        chosen = choose([FRECHET, COVERAGE, JERK], None, ["pca"])
        found = {key: figure.value for key, figure in score(Sets(generated, self.reference), chosen, seed=SEED).items()}
        ratio = found[JERK]
        return Quality(found[FRECHET], found[COVERAGE], abs(math.log(ratio)) if ratio else None)

    def baselines(self, folder: Path) -> dict[str, Quality]:
        """By name: ``real``, training windows in place of generated ones, and ``BASELINES``; computed once a corpus."""
        name = "-".join(["baselines", self.corpus.fingerprint[:12], *map(str, self.of or ())])
        kept = folder / f"{name}.json"
        if kept.exists():
            return {name: Quality(*values) for name, values in json.loads(kept.read_text()).items()}
        windows = self.corpus.windows("train")
        mean_TD = windows.subset(windows.whole_N).as_batch().motion_BTD.mean(0)
        noise_NTD = torch.randn(COUNT, *mean_TD.shape, generator=torch.Generator().manual_seed(SEED))
        found = {
            "real": self.judged(_of_class(split_motions(self.corpus, "train"), self.of).draw(COUNT, SEED)),
            "mean clip": self.quality(mean_TD.expand(COUNT, -1, -1)),
            "white noise": self.quality(noise_NTD),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, json.dumps(found).encode() + b"\n")
        return found

    def mean_clip_error(self) -> float:
        """Mean squared error a normalised number of the mean training window in place of each test window."""
        train, test = self.corpus.windows("train"), self.corpus.windows("test")
        mean_TD = train.subset(train.whole_N).as_batch().motion_BTD.mean(0)
        return _mean_error(test, [mean_TD.expand_as(batch.motion_BTD) for batch in test.batches(_BATCH)])


def reconstruction_error(family: Family, windows: WindowSet) -> float:
    """Mean squared error a normalised number of the frames that are there, encoded and decoded, or there and back."""
    assert isinstance(family, Reconstructs)
    with torch.no_grad():
        parts = [family.reconstruct(family.project(batch)).float() for batch in windows.batches(_BATCH)]
        return _mean_error(windows, [family.expand(part) for part in parts])


def translated(family: Family, windows: WindowSet, to: int) -> Tensor:
    """(N, T, D) all whole windows of the other domain, in domain ``to``."""
    assert isinstance(family, Translates)
    other = windows.subset((windows.labels[family.domain_label()] == 1 - to) & windows.whole_N)
    with torch.no_grad():
        return torch.cat([family.translate(batch, to) for batch in other.batches(_BATCH)])


def nearest_difference(motion_NX: Tensor, others_MX: Tensor) -> Tensor:
    """(N,) mean squared difference a number from each window to the nearest of the others."""
    return torch.cdist(motion_NX, others_MX).amin(1).square() / motion_NX.shape[1]


def domain_difference(label: str, held: WindowSet, train: WindowSet) -> float:
    """Mean squared difference a number from held-out windows to the nearest training windows of the other class."""
    distances = []
    for to in (0, 1):
        theirs, ours = (
            windows.subset((windows.labels[label] == index) & windows.whole_N).as_batch().motion_BTD.flatten(1)
            for windows, index in ((held, 1 - to), (train, to))
        )
        distances.append(nearest_difference(theirs, ours))
    return float(torch.cat(distances).double().mean())


def mean_quality(several: Sequence[Quality]) -> Quality:
    """Of each figure; None where one has none."""
    columns = [[value for value in column if value is not None] for column in zip(*several, strict=True)]
    return Quality(*(math.fsum(c) / len(several) if len(c) == len(several) else None for c in columns))


def _of_class(motions: MotionSet, of: tuple[str, int] | None) -> MotionSet:
    return motions if of is None else motions.subset((motions.labels[of[0]] == of[1]).nonzero()[:, 0])


def _mean_error(windows: WindowSet, others: Sequence[Tensor]) -> float:
    errors = [
        masked_squared_error(batch.motion_BTD, other_BTD, batch.mask_BT).double().sum()
        for batch, other_BTD in zip(windows.batches(_BATCH), others, strict=True)
    ]
    return float(torch.stack(errors).sum()) / (int(windows.length_N.sum()) * windows.size[1])
