"""python tools/accept/basis.py DATA: what bases of windows keep of held-out motion, before any model.

DATA is a folder of BVH files or a YAML of the data section. Validation windows are projected on bases of the training
windows and compared with test windows; the tables of docs/families.md are what it prints for bandai-namco-2-840 and
ui-prmd. A basis passes that meets every condition of ``Row.misses``, all of them beside the windows themselves.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from motionsynth.corpus.basis import WindowBasis, free_modes
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.motion_metric import MotionMetric
from motionsynth.extractors.spaces import Standard, kinetics
from motionsynth.features.canonical import canonical
from motionsynth.metrics import derivatives, feet, spectra
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.manifold import manifold
from motionsynth.metrics.record import Measure, Sets
from motionsynth.runs.begin import resolve_data

COUNT = 1024
"""Windows a side."""
FITTED = 4000
"""Training windows that the kinetic space is scaled by."""
BASES: tuple[tuple[str, dict[str, object]], ...] = (
    ("bands at 2 and 5 Hz, the metric", {"components": 512}),
    ("modes in time x components of features", {"components": 512, "separable": True}),
    ("bands", {"components": 448}),
    ("bands", {"components": 576}),
    ("bands", {"components": 320}),
    ("one band", {"components": 512, "bands_hz": ()}),
    ("bands, no metric", {"components": 512, "metric": None}),
    ("bands, `feet` 0", {"components": 512, "metric": MotionMetric(feet=0.0)}),
    ("bands, `velocities` 0", {"components": 512, "metric": MotionMetric(velocities=0.0)}),
)


class Row(NamedTuple):
    """What projected windows are measured by."""

    skating: float
    energy: float
    jerk: float
    calm: float
    brisk: float
    precision: float
    recall: float

    def misses(self, real: Row) -> list[str]:
        """The conditions that a projection does not meet."""
        met = {
            "skating": self.skating <= real.skating + 0.02,
            "jerk": 0.8 <= self.jerk / real.jerk <= 1.1,
            "calm": self.calm <= 0.0,
            "brisk": abs(self.brisk) <= 1.5,
            "precision": self.precision >= 0.87 * real.precision,
        }
        return [name for name, fine in met.items() if not fine]

    def __str__(self) -> str:
        """Cells of the table."""
        return (
            f"{self.skating:.3f} | {self.energy:.2f} | {self.jerk:.2f} | {self.calm:+.1f} | {self.brisk:+.1f} | "
            f"{self.precision:.2f} / {self.recall:.2f}"
        )


class Bench:
    """Held-out windows of a corpus, and what projections of them are measured by."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.spec, self.normaliser = corpus, corpus.spec, corpus.normaliser
        train_N = self._draw("train", FITTED, 0)
        train = self._canonical(corpus.windows("train").batch(train_N).motion_BTD)
        positions = Descriptors(train, self.spec, train_N).positions_NTJ3
        self.standard = Standard.fit(kinetics(positions, self.spec))
        self.held_N = self._draw("validation", COUNT, 0)
        self.held_NTD = corpus.windows("validation").batch(self.held_N).motion_BTD
        test_N = self._draw("test", COUNT, 1)
        self.reference = self.describe(corpus.windows("test").batch(test_N).motion_BTD, "test", test_N)
        self.real = self.describe(self.held_NTD, "validation", self.held_N)

    def _draw(self, split: str, count: int, seed: int) -> Tensor:
        whole_N = self.corpus.windows(split).whole_N.nonzero()[:, 0]  # type: ignore[arg-type]
        chosen = np.random.default_rng(seed).choice(len(whole_N), min(count, len(whole_N)), replace=False)
        return whole_N[torch.from_numpy(np.sort(chosen))]

    def _canonical(self, motion_NTD: Tensor) -> Tensor:
        return canonical(self.normaliser.denormalise(motion_NTD), self.spec)

    def describe(self, motion_NTD: Tensor, split: str, index_N: Tensor) -> Descriptors:
        """Windows as metrics see them, with the cells of their labels and the kinetic space."""
        windows = self.corpus.windows(split)  # type: ignore[arg-type]
        cell_N = torch.zeros_like(index_N)
        for name in self.corpus.labels.cell_names:
            cell_N = cell_N * len(self.corpus.label_names[name]) + windows.labels[name][index_N]
        plain = Descriptors(self._canonical(motion_NTD), self.spec, windows.clip_N[index_N], cell_N=cell_N)
        space = {"kinetic": self.standard.apply(kinetics(plain.positions_NTJ3, self.spec))}
        return Descriptors(
            plain.motion_NTD, self.spec, plain.take_N, space, cell_N, nyquist_hz=self.spec.frame_rate / 2
        )

    def row(self, motion_NTD: Tensor) -> Row:
        """Measure windows in the place of the held-out ones."""
        shown = self.describe(motion_NTD, "validation", self.held_N)
        sets = Sets(shown, self.reference, None)
        kinetic = manifold(
            shown.embeddings["kinetic"],
            self.reference.embeddings["kinetic"],
            groups=(shown.take_N, self.reference.take_N),
        )
        calm, brisk = self.gains(shown)
        return Row(
            _figure(feet.MEASURES, "foot_skate", sets),
            _figure(spectra.MEASURES, "energy_above_5hz_within", sets),
            _figure(derivatives.MEASURES, "jerk_ratio_within", sets),
            calm,
            brisk,
            kinetic.precision,
            kinetic.recall,
        )

    def gains(self, shown: Descriptors) -> tuple[float, float]:
        """Median change of a window's energy above 5 Hz in dB, of the calm and of the brisk half of the windows."""
        before_N, after_N = (spectra.log_energy(5.0, self.spec.frame_rate / 2)(one) for one in (self.real, shown))
        calm_N = before_N < before_N.median()
        decibel_N = (after_N - before_N) * (10 / math.log(10))
        return float(decibel_N[calm_N].median()), float(decibel_N[~calm_N].median())


def fit_separable(corpus: Corpus, components: int) -> WindowBasis:
    """Products of a mode in time and a principal component of features, those with the most variance in the metric.

    It knows no window length, and every mode has the same components of features.
    """
    windows = corpus.windows("train")
    whole = windows.subset(windows.whole_N)
    frames, features = whole.size
    modes_FT = free_modes(frames)
    weight_FD = MotionMetric().weights(corpus.spec, corpus.normaliser, whole)
    bins_NFD = modes_FT @ whole.as_batch().motion_BTD
    mean_FD = bins_NFD.mean(0)
    rows_XD = bins_NFD.sub_(mean_FD).mul_(weight_FD).flatten(0, 1)
    vector_DD = torch.linalg.eigh(rows_XD.T @ rows_XD).eigenvectors
    value_FD = (rows_XD @ vector_DD).view(-1, frames, features).square().mean(0)
    value_K, chosen_K = value_FD.flatten().topk(components)
    axes_KFD = torch.zeros(components, frames, features)
    axes_KFD[torch.arange(components), chosen_K // features] = vector_DD.T[chosen_K % features]
    ones_K = torch.ones(components)
    return WindowBasis(modes_FT, mean_FD, weight_FD, (axes_KFD.flatten(1),), ones_K, value_K.sqrt(), {})


def _figure(measures: tuple[Measure, ...], name: str, sets: Sets) -> float:
    measure = next(one for one in measures if name in [metric.name for metric in one.metrics])
    return float(measure.compute(sets, None)[name])


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    corpus = open_corpus(resolve_data(Path(sys.argv[1])))
    bench = Bench(corpus)
    figures = "skating, m/s | energy > 5 Hz | jerk | calm | brisk | kinetic P / R"
    print(f"| basis | coefficients | {figures} | misses | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    real = bench.row(bench.held_NTD)
    print(f"| *the windows themselves* | | {real} | | |", flush=True)
    for name, options in BASES:
        begun = time.process_time()
        basis = _fit(corpus, **options)  # type: ignore[arg-type]
        seconds = time.process_time() - begun
        shares = " + ".join(str(len(axes)) for axes in basis.axes)
        row = bench.row(basis.decode(basis.encode(bench.held_NTD)))
        missed = ", ".join(row.misses(real)) or "none"
        print(f"| {name} | {basis.size} ({shares}) | {row} | {missed} | {seconds:.0f} |", flush=True)


def _fit(corpus: Corpus, *, components: int, separable: bool = False, **options: Any) -> WindowBasis:
    if separable:
        return fit_separable(corpus, components)
    return WindowBasis.fit(corpus.windows("train"), corpus.spec, corpus.normaliser, components=components, **options)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
