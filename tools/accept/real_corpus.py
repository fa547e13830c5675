"""How near to held-out motion are the clips of trained runs?

    python tools/accept/real_corpus.py RUN... [--samples 1000]

For runs trained on the same corpus, prints the Frechet distance to the test takes, in the space of the 64 first
principal components of training windows, of: training windows (the floor), the mean window, the untrained network
of each run, and each run's samples; and the curve that each journal kept on the validation takes. Exits with 1 where
a run is farther than half of its untrained network or of the mean window.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.split import SplitName
from motionsynth.metrics.components import PrincipalComponents
from motionsynth.metrics.frechet import Moments
from motionsynth.run import open_run
from motionsynth.sampling import draw_from, draw_samples
from motionsynth.training.determinism import build_family


def main() -> int:
    """Print the table and the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=1000)
    arguments = parser.parse_args()
    runs = [open_run(path) for path in arguments.runs]
    corpus = open_corpus(runs[0].config.data)
    if any(run.record.corpus_fingerprint != corpus.fingerprint for run in runs):
        parser.error("the runs were not trained on the same corpus, or it has changed")
    train, test = whole_windows(corpus, "train"), whole_windows(corpus, "test")
    axes = PrincipalComponents.fit(train)
    reference = axes.moments(test)
    chosen = np.random.default_rng(0).permutation(len(train))[: arguments.samples]
    mean = Moments.at(axes.project(train.mean(0, keepdims=True))[0]).distance(reference)
    print(f"{len(train)} training windows, {len(test)} test windows, {axes.explained:.1%} of the variance")
    print(f"{'real training windows':28} {axes.moments(train[chosen]).distance(reference):10.1f}")
    print(f"{'mean window':28} {mean:10.1f}")
    failed = False
    for run in runs:
        fresh = build_family(run.config.family, run.shape, run.config.train.seed)
        untrained = axes.moments(draw_from(fresh, arguments.samples, 0).numpy()).distance(reference)
        trained = axes.moments(draw_samples(run, arguments.samples, 0).motion_NTD.numpy()).distance(reference)
        print(f"{run.path.name + ', untrained':28} {untrained:10.1f}")
        name = f"{run.path.name}, {run.record.step} steps"
        print(f"{name:28} {trained:10.1f}  {trained / mean:.2f} of the mean window")
        failed |= not trained <= 0.5 * min(mean, untrained)
    for run in runs:
        print_curve(run.path / "metrics.jsonl")
    return int(failed)


def whole_windows(corpus: Corpus, split: SplitName) -> npt.NDArray[np.float32]:
    """(N, T, D) windows of a split that have no padding."""
    windows = corpus.windows(split)
    whole: npt.NDArray[np.float32] = windows.motion_NTD[windows.mask_NT.all(1)].numpy()
    return whole


def print_curve(journal: Path) -> None:
    """The Frechet distance to the validation takes as training went on, at every tenth of it."""
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    scored = [row for row in rows if "validation/frechet" in row["metrics"]]
    points = [(row["step"], row["metrics"]["validation/frechet"]) for row in scored]
    minutes = max(row["metrics"].get("budget/minutes", 0.0) for row in rows)
    curve = "  ".join(f"{step}: {value:.0f}" for step, value in points[:: max(1, len(points) // 10)] + points[-1:])
    print(f"{journal.parent.name}, {minutes:.1f} minutes, validation takes: {curve}")


if __name__ == "__main__":
    sys.exit(main())
