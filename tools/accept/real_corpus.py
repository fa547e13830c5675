"""How near to held-out motion are the clips of trained runs?

    python tools/accept/real_corpus.py RUN... [--samples 1000]

For runs trained on the same corpus, prints the Frechet distance to the test takes, in the space of the 64 first
principal components of training windows, of: training windows (the floor), the mean window, the untrained network
of each run, and each run's samples; and the curve that each journal kept on the validation takes. Exits with 1 where
a run is farther than half of its untrained network or of the mean window.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from motionsynth.corpus.corpus import open_corpus
from motionsynth.metrics.frechet import Moments, PrincipalComponents
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
    train, test = (windows.motion_NTD[windows.mask_NT.all(1)] for windows in map(corpus.windows, ("train", "test")))
    axes = PrincipalComponents.fit(train.numpy())
    reference = axes.moments(test.numpy())
    order = np.random.default_rng(0).permutation(len(train))[: arguments.samples]
    mean = Moments.at(axes.project(train.mean(0, keepdim=True).numpy())[0]).distance(reference)
    print(f"{len(train)} training windows, {len(test)} test windows, {axes.explained:.1%} of the variance")
    print(
        f"{'real training takes':28} {axes.moments(train[torch.from_numpy(order)].numpy()).distance(reference):10.1f}"
    )
    print(f"{'mean window':28} {mean:10.1f}")
    failed = False
    for run in runs:
        fresh = build_family(run.config.family, run.shape, run.config.train.seed)
        untrained = axes.moments(draw_from(fresh, arguments.samples, 0).numpy()).distance(reference)
        trained = axes.moments(draw_samples(run, arguments.samples, 0).motion_NTD.numpy()).distance(reference)
        print(f"{run.path.name + ', untrained':28} {untrained:10.1f}")
        print(
            f"{run.path.name + f', {run.record.step} steps':28} {trained:10.1f}  {trained / mean:.2f} of the mean window"
        )
        failed |= not trained <= 0.5 * min(mean, untrained)
    for run in runs:
        print_curve(run.path / "metrics.jsonl")
    return int(failed)


def print_curve(journal: Path) -> None:
    """The Frechet distance to the validation takes as training went on."""
    import json

    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    points = [
        (row["step"], row["metrics"].get("validation/frechet"), row["metrics"].get("budget/minutes")) for row in rows
    ]
    print(
        f"{journal.parent.name}: " + "  ".join(f"{step}: {value:.0f}" for step, value, _ in points if value is not None)
    )


if __name__ == "__main__":
    sys.exit(main())
