"""Do the translators of a run keep the content of motion and change its style?

    python tools/accept/translation.py RUN [--check]

Brings the held-out windows of each domain to the other, and prints, before and after: how often a classifier sees the
target domain, and how often it sees the content that the clip has. The classifier is the one of the instruments. It is
fitted on the training split of the whole corpus, with the classes that the run was not shown. Then distances, as roots
of mean squares over normalised numbers: how far the way there and back ends from where it began, how far the
translation moved, and how far the other domain is: to the nearest training window in it, and to its mean window.
With --check exits with 1 where the cycle error is not a fraction of the difference between the domains, the style does
not rise, or the content does not stay.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from family_quality import nearest_difference
from torch import Tensor

from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.windows import Batch
from motionsynth.extractors import Extractor, extractor_for
from motionsynth.extractors.fitting import whole_windows
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Reconstructs, Translates
from motionsynth.run import Run, open_run


class Figures(NamedTuple):
    """What one direction gave."""

    windows: int
    target_before: float
    target_after: float
    content_before: float
    content_after: float
    cycle: float
    moved: float
    nearest: float
    means: float


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--split", default="test", choices=["test", "validation"])
    parser.add_argument("--check", action="store_true", help="exit with 1 where a figure is not as it must be")
    arguments = parser.parse_args()
    run = open_run(arguments.run)
    family, corpus = run.load_family(), open_corpus(run.data)
    assert isinstance(family, Translates) and isinstance(family, Reconstructs)
    judge_corpus = open_corpus(run.data.model_copy(update={"keep": {}}))
    judge = extractor_for(judge_corpus)
    shown = {name: f"{value:.3f}" for name, value in judge.accuracy.items() if name.startswith("test/")}
    print(f"{run.path.name}, {run.record.step} steps; the classifier on held-out takes: {shown}")
    classes = run.record.labels[family.domain_label()]
    good = True
    for source, target in ((0, 1), (1, 0)):
        figures = measure(run, family, corpus, judge, arguments.split, source, target)
        good &= report(f"{classes[source]} -> {classes[target]}", figures)
    return int(arguments.check and not good)


def measure(
    run: Run, family: Family, corpus: Corpus, judge: Extractor, split: str, source: int, target: int
) -> Figures:
    """Translate the held-out windows of one domain."""
    assert isinstance(family, Translates) and isinstance(family, Reconstructs)
    label = family.domain_label()
    held, train = whole_windows(corpus, split), whole_windows(corpus, "train")  # type: ignore[arg-type]
    batch = held.batch((held.labels[label] == source).nonzero()[:, 0])
    other = train.motion_NTD[train.labels[label] == target]
    own = train.motion_NTD[train.labels[label] == source]
    with torch.no_grad():
        after, back = family.translate(batch, target), family.reconstruct(batch)
    before = batch.motion_BTD
    name = run.record.labels[label][target]
    seen = [classify(corpus, judge, motion) for motion in (before, after)]
    wanted = judge.labels[label].index(name) if label in judge.labels else None
    content = true_content(corpus, judge, batch)

    def share(index: int, what: str, value: Tensor | int | None) -> float:
        if value is None or what not in seen[index]:
            return float("nan")
        return float((seen[index][what] == value).double().mean())

    return Figures(
        len(before),
        share(0, label, wanted),
        share(1, label, wanted),
        share(0, "content", content),
        share(1, "content", content),
        rms(back - before),
        rms(after - before),
        float(nearest_difference(before.flatten(1), other.flatten(1)).mean().sqrt()),
        rms(other.mean(0) - own.mean(0)),
    )


def classify(corpus: Corpus, judge: Extractor, motion_NTD: Tensor) -> dict[str, Tensor]:
    """Label name -> (N,) the class that the classifier sees, of windows normalised as the run's are."""
    assert judge.networks and judge.networks.classifier
    features = corpus.normaliser.denormalise(motion_NTD)
    with torch.no_grad():
        scores = judge.networks.classify(judge.normaliser.normalise(features))[1]
    return {name: score.argmax(1) for name, score in zip(judge.labels, scores, strict=True)}


def true_content(corpus: Corpus, judge: Extractor, batch: Batch) -> Tensor | None:
    """(B,) the classifier's index of the content that each window has; None where clips have none."""
    if "content" not in judge.labels or "content" not in batch.labels:
        return None
    index = torch.tensor([judge.labels["content"].index(name) for name in corpus.label_names["content"]])
    return index[batch.labels["content"]]


def rms(difference: Tensor) -> float:
    """Root of the mean square."""
    return float(difference.double().square().mean().sqrt())


def report(title: str, of: Figures) -> bool:
    """Print a direction; whether it is as it must be."""
    print(f"{title}, {of.windows} windows")
    print(f"  target seen     {of.target_before:6.1%} before, {of.target_after:6.1%} after")
    print(f"  content seen    {of.content_before:6.1%} before, {of.content_after:6.1%} after")
    print(f"  there and back  {of.cycle:.3f}; moved {of.moved:.3f}")
    print(f"  other domain    {of.nearest:.3f} to its nearest window, {of.means:.3f} between the means")
    print(f"  cycle error     {of.cycle / of.nearest:.2f} of the nearest, {of.cycle / of.moved:.2f} of the way moved")
    kept = of.content_after >= of.content_before - 0.1
    return of.cycle < 0.5 * of.nearest and of.target_after > max(0.5, 2 * of.target_before) and kept


if __name__ == "__main__":
    sys.exit(main())
