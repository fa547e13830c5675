"""A study of seconds: two dozen walkers, networks of a few numbers, three figures."""

from __future__ import annotations

from pathlib import Path

import pytest

CALIBRATION = """\
count: 48
repeats: 4
thresholds: {resamples: 100}
doses:
  low_pass: [6, 3, 1.5, 0.8]
  jitter: [0.5, 1, 2, 4]
cells:
  counts: [35, 14, 7, 3, 1]
  shares: [0.75, 0.5, 0.25, 0.1, 0.0]
axes:
  blur: {dose: low_pass, rival: drop, opposite: jitter}
  drop: {dose: cells, rival: blur}
  jitter: {dose: jitter, rival: drop, opposite: blur}
"""

STUDY = """\
name: small
question: Does it run?
results: results
corpora:
  walkers:
    data: {path: walkers, window_frames: 32, stride_frames: 16}
base:
  train.batch_size: 8
  train.threads: 1
  train.log_every_steps: 1
  train.validate_every_steps: 20
  train.checkpoint_every_steps: 5
seeds: 2
arms:
  vae:
    family: vae
    set: &small
      train.steps: 40
      family.latent_dim: 4
      family.backbone: {kind: conv, widths: [8, 8, 8, 8], upsample: linear}
  wild:
    family: vae
    seeds: 1
    set:
      <<: *small
      family.optimise: {all: {lr: 1e30}}
  real:
    landmark: real
    tier: landmark
measure:
  count: 48
  metrics: [smoothness/energy_above_3hz, smoothness/speed_ratio, fidelity/frechet.pca]
  features: [pca]
  clips: 2
calibration: {count: 48, plan: calibration.yaml}
hypotheses:
  vae-is-blurred:
    says: A VAE blurs.
    endpoint: {metric: smoothness/energy_above_3hz, axis: blur}
    first: vae
    second: real
    direction: less
    margin: 0.05
"""


def make_small(folder: Path) -> Path:
    """The study's YAML in a folder with its corpus, whose extractor is kept already; a cache must be set before."""
    from motionsynth.walkers.corpus import make_walkers

    make_walkers(folder / "walkers", clips=120)
    (folder / "calibration.yaml").write_text(CALIBRATION)
    (folder / "small.yaml").write_text(STUDY)
    fit_judge(folder / "walkers")
    return folder / "small.yaml"


def fit_judge(corpus: Path) -> None:
    """Keep an extractor that has learnt for two steps where studies look for that of a corpus."""
    from motionsynth.corpus.config import DataConfig
    from motionsynth.corpus.corpus import open_corpus
    from motionsynth.extractors import recipe
    from motionsynth.extractors.store import extractor_for

    with pytest.MonkeyPatch.context() as patch:
        for network in recipe.STEPS:
            patch.setitem(recipe.STEPS, network, 2)
        extractor_for(open_corpus(DataConfig(path=corpus, window_frames=32, stride_frames=16), workers=1))
