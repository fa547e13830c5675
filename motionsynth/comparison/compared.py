"""The sets of one evaluation: of one size, of one kind, and described once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from motionsynth.comparison.motions import as_one_kind
from motionsynth.comparison.reference import Reference
from motionsynth.corpus.motions import MotionSet
from motionsynth.corpus.split import SplitName
from motionsynth.errors import CorpusError, MotionSynthError
from motionsynth.extractors.extractor import Extractor
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import Chosen
from motionsynth.metrics.suite import Figure, score
from motionsynth.progress import Stage

__all__ = ["Compared", "Described", "Stage", "equal_motions"]


_LEAST: Final = 2


@dataclass(frozen=True, eq=False)
class Compared:
    """Windows that are compared, all in the features that their own motion tells.

    Args:
        generated: the generated ones.
        reference: as many held-out real ones.
        real: as many of the training split, for the row of real motion.
        held: those of the other held-out split, which stand in for ``real`` where a figure asks what was copied from
            the training split; None where it has none.
        available: how many there were to choose from, by the same names.
        source: the reference, from which the whole training split is read where it is needed.
        notes: what was left out, resampled or subsampled.
    """

    generated: MotionSet
    reference: MotionSet
    real: MotionSet
    held: MotionSet | None
    available: Mapping[str, int]
    source: Reference
    notes: tuple[str, ...]

    @classmethod
    def of(cls, generated: MotionSet, source: Reference, *, count: int, seed: int) -> Compared:
        """Bring generated windows and a reference to one number of windows, and take the rows beside from its splits.

        Raises:
            CorpusError: there is no training window as long as the reference's.
            MotionSynthError: a set holds fewer than two windows.
        """
        reference, train = source.motions(source.split), source.motions("train")
        other: SplitName = "validation" if source.split != "validation" else "test"
        held = source.motions(other) if source.corpus.clips(other) else None
        sets = {"generated": generated, "reference": reference}
        for name, motions in {**sets, "training": train}.items():
            if len(motions) < _LEAST:
                raise CorpusError(
                    f"the {name} set holds {len(motions)} windows of {source.corpus.config.window_frames} frames: "
                    f"at least {_LEAST} are needed to compare anything"
                )
        equal, notes = equal_motions(sets, count=count, seed=seed)
        size = len(equal["generated"])
        noted = [*generated.notes, *reference.notes, *train.notes, *notes]
        if len(train) < size:
            noted.append(f"the training split holds {len(train)} windows only: so many stand in the row of real motion")
        rows = {**equal, "real": train.draw(size, seed), "held": held.draw(size, seed) if held else None}
        kinds = {name: as_one_kind(motions) if motions else None for name, motions in rows.items()}
        assert kinds["generated"] is not None and kinds["reference"] is not None and kinds["real"] is not None
        return cls(
            kinds["generated"],
            kinds["reference"],
            kinds["real"],
            kinds["held"],
            {"generated": len(generated), "reference": len(reference), "real": len(train)},
            source,
            tuple(dict.fromkeys(noted)),
        )

    def described(self, judge: Extractor, chosen: Sequence[Chosen], device: str, stage: Stage) -> Described:
        """Describe each set for the metrics; the training split only where a chosen measure needs it."""
        in_training = [(measure, space) for measure, space in chosen if "train" in measure.needs]
        total = 4 + bool(in_training)
        done = 0

        def describe(motions: MotionSet | None, spaces: Sequence[str] | None = None) -> Descriptors | None:
            nonlocal done
            found = judge.describe(motions, spaces=spaces, device=device) if motions else None
            done += 1
            stage("describe", done, total)
            return found

        train = None
        if in_training:
            spaces = tuple(dict.fromkeys(space for _, space in in_training if space is not None))
            whole = as_one_kind(self.source.motions("train", mirrored=True))
            train = describe(whole, spaces or judge.spaces)
        generated, reference, real = (describe(s) for s in (self.generated, self.reference, self.real))
        assert generated is not None and reference is not None and real is not None
        return Described(Sets(generated, reference, train), real, describe(self.held))


@dataclass(frozen=True, eq=False)
class Described:
    """The same as metrics see it."""

    sets: Sets
    real: Descriptors
    held: Descriptors | None

    def score(
        self, chosen: Sequence[Chosen], resamples: int, seed: int, stage: Stage
    ) -> tuple[dict[str, Figure], dict[str, Figure]]:
        """Figures of the generated set, and of real motion in its place."""
        alone = [pair for pair in chosen if "train" not in pair[0].needs]
        copied = [pair for pair in chosen if "train" in pair[0].needs]
        work = 2 * len(chosen) * (1 + resamples)
        spent = 0

        def scored(sets: Sets, pairs: Sequence[Chosen]) -> dict[str, Figure]:
            nonlocal spent
            before = spent
            found = score(
                sets,
                pairs,
                resamples=resamples,
                seed=seed,
                progress=lambda done, _: stage("score", before + done, work),
            )
            spent += len(pairs) * (1 + resamples)
            return found

        figures = scored(self.sets, chosen)
        real = scored(self.sets._replace(generated=self.real, train=None), alone)
        if copied and self.held is not None:
            # training windows are in the training split: what was not copied looks like another held-out split
            real |= scored(self.sets._replace(generated=self.held), copied)
        return figures, {key: real[key] for key in figures if key in real}


def equal_motions(
    sets: Mapping[str, MotionSet], *, count: int, seed: int
) -> tuple[dict[str, MotionSet], tuple[str, ...]]:
    """Sets of one size, ``count`` or what the smallest holds; a sentence for each that was subsampled for it.

    Raises:
        MotionSynthError: ``count`` is less than two.
    """
    if count < _LEAST:
        raise MotionSynthError(f"--count {count}: at least {_LEAST} windows are needed to compare anything")
    size = min(count, *(len(motions) for motions in sets.values()))
    short = next((name for name, motions in sets.items() if len(motions) == size), None)
    why = f"as many as the {short} set holds" if size < count else "as many as are asked for"
    notes = [
        f"{len(motions)} {name} windows are subsampled to {size} (seed {seed}), {why}"
        for name, motions in sets.items()
        if len(motions) > size
    ]
    return {name: motions.draw(size, seed) for name, motions in sets.items()}, tuple(notes)
