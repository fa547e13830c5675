"""Do the translators of a run keep the content of motion and change its style?

    python tools/accept/translation.py RUN [--check]

Brings the held-out windows of each of the run's domains to the other, and prints, before and after: how often a
classifier sees the target domain, and how often it sees the content that the clip has; as the instrument
``motionsynth.study.translation`` measures them, with as many windows of each content in either domain. The classifier
is the one of the instruments. It is fitted on the training split of the whole corpus, with the classes that the run was
not shown. Then distances, as roots of mean squares over normalised numbers: how far the way there and back ends from
where it began, how far the translation moved, and how far the nearest training window in the other domain is; and how
much energy above 5 Hz the translation has, against its source and against real motion of the other domain.
With --check exits with 1 where the cycle error is not a fraction of the difference between the domains, the style does
not rise, or the content does not stay.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from motionsynth.comparison.reference import Reference
from motionsynth.corpus.corpus import open_corpus
from motionsynth.extractors.store import extractor_for
from motionsynth.families.capabilities import Translates
from motionsynth.runs.run import open_run
from motionsynth.study.domains import domains
from motionsynth.study.plan import ArmConfig, MeasureConfig, ViewConfig
from motionsynth.study.translation import translation
from motionsynth.study.world import Found, Shown, World

ALL = 10**9
"""More windows than any split holds."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--split", default="test", choices=["test", "validation"])
    parser.add_argument("--check", action="store_true", help="exit with 1 where a figure is not as it must be")
    arguments = parser.parse_args()
    run = open_run(arguments.run)
    family = run.load_family()
    assert isinstance(family, Translates)
    label = family.domain_label()
    first, second = run.record.labels[label]
    judge = extractor_for(open_corpus(run.data.model_copy(update={"keep": {}})))
    shown = {name: f"{value:.3f}" for name, value in judge.accuracy.items() if name.startswith("test/")}
    print(f"{run.path.name}, {run.record.step} steps; the classifier on held-out takes: {shown}")
    measure = MeasureConfig(count=ALL, instruments=("translation",), between={label: (first, second)})
    world = World(Reference(open_corpus(run.data), arguments.split), judge, None, measure)
    arm = ArmConfig(family=run.record.family)
    found = translation(world, Shown(arm, ViewConfig(), 0, domains(world)[0].held, run))
    good = [report(f"{source} -> {target}", target, found) for source, target in ((first, second), (second, first))]
    return int(arguments.check and not all(good))


def report(title: str, target: str, found: Found) -> bool:
    """Print a direction; whether it is as it must be."""

    def of(key: str) -> float:
        value = found[f"translation.to_{target}/{key}"]
        return math.nan if isinstance(value, str) else value

    print(f"{title}, {of('windows'):.0f} windows")
    print(f"  target seen     {of('style_before'):6.1%} before, {of('style_seen'):6.1%} after")
    print(f"  content seen    {of('content_before'):6.1%} before, {of('content_kept'):6.1%} after")
    print(f"  there and back  {of('cycle'):.3f}; moved {of('moved'):.3f}; the other domain is {of('apart'):.3f} apart")
    print(
        f"  cycle error     {of('cycle') / of('apart'):.2f} of that, {of('cycle') / of('moved'):.2f} of the way moved"
    )
    changed, against = (math.exp(of(f"energy_above_5hz_{end}")) for end in ("change", "against_target"))
    print(f"  above 5 Hz      {changed:.2f} of the source's energy, {against:.2f} of the other domain's")
    kept = of("content_kept") >= of("content_before") - 0.1
    return of("cycle") < 0.5 * of("apart") and of("style_seen") > max(0.5, 2 * of("style_before")) and kept


if __name__ == "__main__":
    sys.exit(main())
