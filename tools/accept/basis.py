"""python tools/accept/basis.py DATA: what bases of windows keep of held-out motion, before any model.

DATA is a folder of BVH files or a YAML of the data section. Validation windows are projected on bases of the training
windows and compared with test windows; the table of docs/families.md is what it prints for bandai-namco-2-840.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionsynth.corpus.basis import WindowBasis
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.motion_metric import MotionMetric
from motionsynth.extractors.spaces import Standard, kinetics
from motionsynth.features.canonical import canonical
from motionsynth.metrics import derivatives, feet, spectra
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.manifold import manifold
from motionsynth.metrics.record import Measure, Sets
from motionsynth.workflow import resolve_data

COUNT = 1024
"""Windows a side."""
FITTED = 4000
"""Training windows that the kinetic space is scaled by."""
BASES: tuple[tuple[str, dict[str, object]], ...] = (
    ("bands at 2 and 5 Hz, the metric", {"components": 576}),
    ("the same", {"components": 448}),
    ("the same", {"components": 320}),
    ("one band, the metric", {"components": 256, "bands_hz": ()}),
    ("bands, no metric", {"components": 576, "metric": None}),
    ("bands at 1, 3 and 6 Hz, the metric", {"components": 576, "bands_hz": (1.0, 3.0, 6.0)}),
    ("bands, positions alone", {"components": 576, "metric": MotionMetric(velocities=0.0)}),
    ("bands, no extra weight of feet", {"components": 576, "metric": MotionMetric(feet=0.0)}),
)


class Bench:
    """Held-out windows of a corpus, and what projections of them are measured by."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.spec, self.normaliser = corpus, corpus.spec, corpus.normaliser
        train_N = self._draw("train", FITTED, 0)
        train = self._canonical(corpus.windows("train").motion_NTD[train_N])
        positions = Descriptors(train, self.spec, train_N).positions_NTJ3
        self.standard = Standard.fit(kinetics(positions, self.spec))
        self.held_N = self._draw("validation", COUNT, 0)
        self.held_NTD = corpus.windows("validation").motion_NTD[self.held_N]
        test_N = self._draw("test", COUNT, 1)
        self.reference = self.describe(corpus.windows("test").motion_NTD[test_N], "test", test_N)
        self.real = self.describe(self.held_NTD, "validation", self.held_N)

    def _draw(self, split: str, count: int, seed: int) -> Tensor:
        whole_N = self.corpus.windows(split).mask_NT.all(1).nonzero()[:, 0]  # type: ignore[arg-type]
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

    def row(self, motion_NTD: Tensor) -> str:
        """Cells of the table."""
        shown = self.describe(motion_NTD, "validation", self.held_N)
        sets = Sets(shown, self.reference, None)
        kinetic = manifold(
            shown.embeddings["kinetic"],
            self.reference.embeddings["kinetic"],
            groups=(shown.take_N, self.reference.take_N),
        )
        calm, brisk = self.gains(shown)
        figures = (
            f"{_figure(feet.MEASURES, 'foot_skate', sets):.3f}",
            f"{_figure(spectra.MEASURES, 'energy_above_5hz_within', sets):.2f}",
            f"{_figure(derivatives.MEASURES, 'jerk_ratio_within', sets):.2f}",
            f"{calm:+.1f}",
            f"{brisk:+.1f}",
            f"{kinetic.precision:.2f} / {kinetic.recall:.2f}",
        )
        return " | ".join(figures)

    def gains(self, shown: Descriptors) -> tuple[float, float]:
        """Change of the mean energy above 5 Hz in dB, of the calm and of the brisk half of the windows."""
        before_N, after_N = (spectra.log_energy(5.0, self.spec.frame_rate / 2)(one).exp() for one in (self.real, shown))
        calm_N = before_N < before_N.median()
        calm, brisk = (10 * (after_N[half].mean() / before_N[half].mean()).log10() for half in (calm_N, ~calm_N))
        return float(calm), float(brisk)


def _figure(measures: tuple[Measure, ...], name: str, sets: Sets) -> float:
    measure = next(one for one in measures if name in [metric.name for metric in one.metrics])
    return float(measure.compute(sets, None)[name])


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    corpus = open_corpus(resolve_data(Path(sys.argv[1])))
    bench = Bench(corpus)
    print("| basis | coefficients | skating, m/s | energy > 5 Hz | jerk | calm | brisk | kinetic P / R | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(f"| the windows themselves | | {bench.row(bench.held_NTD)} | |")
    for name, options in BASES:
        begun = time.process_time()
        basis = WindowBasis.fit(corpus.windows("train"), corpus.spec, corpus.normaliser, **options)  # type: ignore[arg-type]
        seconds = time.process_time() - begun
        shares = " + ".join(str(len(axes)) for axes in basis.axes)
        back_NTD = basis.decode(basis.encode(bench.held_NTD))
        print(f"| {name} | {basis.size} ({shares}) | {bench.row(back_NTD)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
