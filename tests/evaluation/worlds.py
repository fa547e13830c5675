"""A small corpus, a run that learnt from it for a moment, and an extractor without networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from motionsynth.config import resolve_config
from motionsynth.corpus.corpus import Corpus
from motionsynth.extractors.store import save_extractor
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.runs.generation import generate
from motionsynth.runs.train import train
from tests.extractors.corpora import walkers_corpus, walkers_extractor

FEW = ("speed_ratio", "energy_above_3hz", "sliced_wasserstein", "recall")
FRAMES = 32
SMALL = (
    "train.steps=6",
    "train.batch_size=8",
    "family.backbone={kind: conv, widths: [8,8,8,8]}",
    "train.threads=1",
)


@lru_cache(maxsize=1)
def home() -> Path:
    """A folder for all that is made here."""
    return Path(mkdtemp(prefix="evaluation-"))


def corpus() -> Corpus:
    """160 clips of walkers in windows of 32 frames."""
    return walkers_corpus()


@lru_cache(maxsize=1)
def data_yaml() -> Path:
    """The data section that opens that corpus."""
    path = home() / "walkers.yaml"
    path.write_text(f"path: {corpus().config.path}\nwindow_frames: {FRAMES}\nstride_frames: 16\n")
    return path


@lru_cache(maxsize=1)
def run_dir() -> Path:
    """A VAE that has learnt for six steps."""
    config = resolve_config("vae", data=data_yaml(), overrides=SMALL)
    return train(config, run_dir=home() / "vae", track=False).run.path


@lru_cache(maxsize=1)
def extractor() -> Path:
    """Principal components, kinetics, k-means cells and a gate, fitted on that corpus."""
    folder = home() / "extractor"
    save_extractor(walkers_extractor(networks=False), folder)
    return folder


@lru_cache(maxsize=1)
def generated() -> Path:
    """24 clips of the run as BVH."""
    folder = home() / "clips"
    generate(run_dir(), 24, seed=0, out=folder)
    return folder


def real_files(folder: Path, count: int, change: Callable[[Clip], Clip] = lambda clip: clip) -> Path:
    """Write some of the corpus' test clips into a folder, changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in corpus().clips("test")[:count]:
        write_bvh(change(read_bvh(corpus().path(name))), folder / Path(name).name)
    return folder


def at_rate(rate: float) -> Callable[[Clip], Clip]:
    """The same poses, played at another rate."""
    return lambda clip: replace(clip, frame_time=1.0 / rate)
