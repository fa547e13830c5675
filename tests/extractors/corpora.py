"""Small corpora and extractors that these tests share."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.fitting import train_extractor
from motionsynth.extractors.recipe import STEPS
from motionsynth.walkers.corpus import make_walkers

FEW_STEPS = {"classifier": 120, "ae": 60}


@lru_cache(maxsize=1)
def _folder() -> Path:
    folder = Path(mkdtemp(prefix="extractors-"))
    make_walkers(folder / "walkers", clips=160, seed=3)
    return folder


@lru_cache(maxsize=4)
def walkers_corpus(labels: str = "auto") -> Corpus:
    """160 clips of walkers in windows of 32 frames."""
    folder = _folder()
    config = DataConfig(path=folder / "walkers", labels=labels, window_frames=32, stride_frames=16)  # type: ignore[arg-type]
    return open_corpus(config, cache=folder / "cache", workers=1)


@lru_cache(maxsize=4)
def walkers_extractor(labels: str = "auto", *, networks: bool = True) -> Extractor:
    """An extractor of them whose networks are trained for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, steps in FEW_STEPS.items():
            patch.setitem(STEPS, name, steps)
        return train_extractor(walkers_corpus(labels), networks=networks)
