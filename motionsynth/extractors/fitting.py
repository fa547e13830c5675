"""Fitting an extractor: statistics in closed form, then the networks by the trainer that trains every family.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

import motionsynth
from motionsynth.config import TrainConfig
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.split import SplitName
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import ExtractorError
from motionsynth.extractors.cells import Cells, label_cells, means_cells
from motionsynth.extractors.classifier import Classifier
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.gate import Gate
from motionsynth.extractors.networks import Networks
from motionsynth.extractors.recipe import BATCH, COMPONENTS, KINETIC_BLOCK, budget
from motionsynth.extractors.spaces import Axes, Standard, kinetics
from motionsynth.families.ae import Autoencoder
from motionsynth.families.backbone import ConvConfig
from motionsynth.families.base import AdamConfig, Family, FamilyConfig
from motionsynth.features.geometry import joint_positions_m
from motionsynth.progress import Progress
from motionsynth.training.determinism import initial_weights
from motionsynth.training.trainer import Trainer

__all__ = ["train_extractor"]


_HELD_OUT: tuple[SplitName, ...] = ("validation", "test")
_F = TypeVar("_F", bound="Family")
_LEAST = 8
"""Whole training windows that statistics need."""


def train_extractor(
    corpus: Corpus,
    *,
    seed: int = 0,
    networks: bool = True,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Extractor:
    """Fit all that motion is judged by to the whole windows of a corpus' training split.

    Args:
        corpus: with at least eight training windows.
        seed: of weights, batches and k-means. Same corpus, seed and machine, same extractor, on a CPU.
        networks: whether classifier and autoencoder are trained; without them cells are k-means cells.
        device: where the networks are trained.
        progress: called at the networks' steps.

    Raises:
        ExtractorError: there are too few windows.
    """
    train = whole_windows(corpus, "train")
    if len(train) < _LEAST:
        frames = corpus.config.window_frames
        raise ExtractorError(
            corpus.config.path,
            f"has {len(train)} training windows of {frames} frames, and an extractor needs {_LEAST}: "
            "more or longer clips, or a smaller data.window_frames",
        )
    validation = whole_windows(corpus, "validation")
    axes = Axes.fit(train, COMPONENTS)
    projected = _project(axes, train)
    cells = label_cells(corpus, train.labels) if networks else None
    trained = _train_networks(corpus, train, cells, seed, device, progress) if networks else None
    extractor = Extractor(
        fingerprint=corpus.fingerprint,
        frames=corpus.config.window_frames,
        spec=corpus.spec,
        labels={name: corpus.label_names[name] for name in corpus.labels.cell_names} if cells else {},
        seed=seed,
        version=motionsynth.__version__,
        normaliser=corpus.normaliser,
        axes=axes,
        kinetic=_fit_kinetic(corpus, train),
        cells=cells or means_cells(projected[0], seed),
        gate=Gate.fit(
            projected,
            train.takes,
            _project(axes, validation) if len(validation) else None,
        ),
        networks=trained,
        accuracy={},
    )
    return replace(extractor, accuracy=_measure(extractor, corpus)) if trained else extractor


def whole_windows(corpus: Corpus, split: SplitName) -> WindowSet:
    """The windows of a split without those of clips that are too short."""
    windows = corpus.windows(split)
    return windows.subset(windows.whole_N)


def _project(axes: Axes, windows: WindowSet) -> tuple[Tensor, Tensor]:
    parts = [axes.project(batch.motion_BTD) for batch in windows.batches(KINETIC_BLOCK)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _fit_kinetic(corpus: Corpus, windows: WindowSet) -> Standard:
    features = []
    for batch in windows.batches(KINETIC_BLOCK):
        positions_NTJ3 = joint_positions_m(corpus.normaliser.denormalise(batch.motion_BTD), corpus.spec)
        features.append(kinetics(positions_NTJ3, corpus.spec))
    return Standard.fit(torch.cat(features))


def _train_networks(
    corpus: Corpus,
    train: WindowSet,
    cells: Cells | None,
    seed: int,
    device: torch.device | str,
    progress: Progress | None,
) -> Networks:
    counts = {name: len(corpus.label_names[name]) for name in corpus.labels.cell_names} if cells else {}
    shape = MotionShape(corpus.config.window_frames, corpus.spec.width, counts)
    before = budget("classifier", len(train)) if cells else 0
    total = before + budget("ae", len(train))
    levels = ConvConfig(widths=(64, 64, 48, 32))
    adam = {"all": AdamConfig(lr=2e-3, decay_share=0.5)}
    code_config = Autoencoder.Config(latent_dim=32, backbone=levels, optimise=adam)
    judge, judge_config = None, None
    if cells:
        judge_config = Classifier.Config(backbone=levels, optimise=adam)
        judge = _train(Classifier, judge_config, shape, train, seed, device, _Steps(progress, 0, total))
    autoencoder = _train(Autoencoder, code_config, shape, train, seed, device, _Steps(progress, before, total))
    return Networks(autoencoder, code_config, judge, judge_config)


class _Steps:
    """Hears from the trainer and tells how much of the whole is done."""

    def __init__(self, progress: Progress | None, before: int, total: int) -> None:
        self.progress, self.before, self.total = progress, before, total

    def on_log(
        self, step: int, total: int, metrics: Mapping[str, float], steps_per_second: float, seconds_left: float
    ) -> None:
        """One row of the journal."""
        if self.progress:
            self.progress(self.before + step, self.total)


def _train(
    family_class: type[_F],
    config: FamilyConfig,
    shape: MotionShape,
    windows: WindowSet,
    seed: int,
    device: torch.device | str,
    listener: _Steps,
) -> _F:
    with initial_weights(seed):
        family = family_class(config, shape)
    train = TrainConfig(
        steps=budget(config.name, len(windows)),
        batch_size=BATCH,
        seed=seed,
        log_every_steps=20,
        threads=1,
        precision="float32",
    )
    result = Trainer(family, config, train, windows, device=device, listener=listener).fit()
    if result.signal:
        # the trainer ends its step and returns, so that a run may be resumed; here nothing is kept, so the signal now
        # does what it does to any program
        signal.raise_signal(result.signal)
        raise KeyboardInterrupt
    return family.to("cpu").eval()


def _measure(extractor: Extractor, corpus: Corpus) -> dict[str, float]:
    """Accuracy on the takes that were held out; nothing for a split without whole windows."""
    figures: dict[str, float] = {}
    assert extractor.networks
    for split in _HELD_OUT:
        windows = whole_windows(corpus, split)
        if not len(windows):
            continue
        figures |= {f"{split}/{name}": value for name, value in _figures(extractor, windows).items()}
    return figures


def _figures(extractor: Extractor, windows: WindowSet) -> dict[str, float]:
    networks = extractor.networks
    assert networks
    sums: dict[str, float] = {}
    with torch.no_grad():
        for batch in windows.batches(KINETIC_BLOCK):
            part = {"autoencoder": networks.reconstruction_error(batch.motion_BTD)}
            if networks.classifier is not None:
                part |= _shares_right(extractor, networks, batch.motion_BTD, batch.labels)
            for name, value in part.items():
                sums[name] = sums.get(name, 0.0) + value * len(batch.motion_BTD)
    return {name: value / len(windows) for name, value in sums.items()}


def _shares_right(
    extractor: Extractor, networks: Networks, windows_NTD: Tensor, labels: Mapping[str, Tensor]
) -> dict[str, float]:
    scores = networks.classify(windows_NTD)[1]
    right = {name: score.argmax(1) == labels[name] for name, score in zip(extractor.labels, scores, strict=True)}
    true_NL = torch.stack([labels[name] for name in extractor.labels], 1)
    right["cell"] = (extractor.cells.table[extractor.cells.judge(scores)] == true_NL).all(1)
    return {name: float(value.double().mean()) for name, value in right.items()}
