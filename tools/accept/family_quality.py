"""How near a family's clips are to held-out motion, and what stands in place of a model: the figures of families.py.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from motionsynth.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.motions import MotionSet, split_motions
from motionsynth.corpus.windows import WindowSet
from motionsynth.durable import write_bytes
from motionsynth.evaluation.compared import equal_motions
from motionsynth.evaluation.motions import as_one_kind
from motionsynth.extractors import Extractor, extractor_for
from motionsynth.families.base import Family, Reconstructs
from motionsynth.losses.likelihood import masked_squared_error
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import choose
from motionsynth.metrics.suite import score

__all__ = ["BASELINES", "COUNT", "Bench", "Quality", "reconstruction_error"]

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

    @classmethod
    def open(cls, data: DataConfig) -> Bench:
        """Read the corpus; the extractor is trained where none is kept for it."""
        corpus = open_corpus(data)
        judge = extractor_for(corpus)
        held = split_motions(corpus, "test").draw(COUNT, SEED)
        return cls(corpus, judge, judge.describe(as_one_kind(held), spaces=["pca"]))

    def quality(self, motion_NTD: Tensor) -> Quality:
        """Of (N, T, D) normalised windows."""
        names = tuple(f"window:{number}" for number in range(len(motion_NTD)))
        spec = self.corpus.spec
        features_NTD = self.corpus.normaliser.denormalise(motion_NTD)
        return self.judged(MotionSet(features_NTD, spec, names, names, {}, spec.frame_rate / 2))

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
        kept = folder / f"baselines-{self.corpus.fingerprint[:12]}.json"
        if kept.exists():
            return {name: Quality(*values) for name, values in json.loads(kept.read_text()).items()}
        windows = self.corpus.windows("train")
        mean_TD = windows.motion_NTD[windows.mask_NT.all(1)].mean(0)
        noise_NTD = torch.randn(COUNT, *mean_TD.shape, generator=torch.Generator().manual_seed(SEED))
        found = {
            "real": self.judged(split_motions(self.corpus, "train").draw(COUNT, SEED)),
            "mean clip": self.quality(mean_TD.expand(COUNT, -1, -1)),
            "white noise": self.quality(noise_NTD),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, json.dumps(found).encode() + b"\n")
        return found

    def mean_clip_error(self) -> float:
        """Mean squared error a normalised number of the mean training window in place of each test window."""
        train, test = self.corpus.windows("train"), self.corpus.windows("test")
        mean_TD = train.motion_NTD[train.mask_NT.all(1)].mean(0)
        return _mean_error(test, [mean_TD.expand(len(part), -1, -1) for part in _parts(test)])


def reconstruction_error(family: Family, windows: WindowSet) -> float:
    """Mean squared error a normalised number of the frames that are there, encoded and decoded."""
    assert isinstance(family, Reconstructs)
    with torch.no_grad():
        return _mean_error(windows, [family.reconstruct(windows.batch(index_B)).float() for index_B in _parts(windows)])


def _parts(windows: WindowSet) -> Sequence[Tensor]:
    return torch.split(torch.arange(len(windows)), _BATCH)


def _mean_error(windows: WindowSet, others: Sequence[Tensor]) -> float:
    errors = [
        masked_squared_error(windows.motion_NTD[index_B], other_BTD, windows.mask_NT[index_B]).double().sum()
        for index_B, other_BTD in zip(_parts(windows), others, strict=True)
    ]
    return float(torch.stack(errors).sum()) / (int(windows.mask_NT.sum()) * windows.motion_NTD.shape[2])


def as_json(quality: Quality) -> dict[str, Any]:
    """For a file."""
    return quality._asdict()
