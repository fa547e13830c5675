"""What becomes of held-out motion that is brought from one class of a label to another: style, content, sharpness.

Both classes are compared over the same contents, as many windows of each in either: else what a style's clips are of
would count as style. Ratios are natural logarithms, means over windows: 0 is as sharp, below 0 smoother, above sharper.

Shapes: N windows, B windows of a batch, T frames, D features, X numbers of a window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.motions import MotionSet
from motionsynth.corpus.windows import Batch
from motionsynth.errors import RunError, StudyError
from motionsynth.evaluation.evaluate import SPACES
from motionsynth.extractors.extractor import Extractor
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Decodes, Encodes, Translates
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.neighbours import nearest
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import choose
from motionsynth.metrics.suite import score
from motionsynth.runs.run import Run
from motionsynth.study.domains import Domain, content_label, described, domains
from motionsynth.study.world import Found, Shown, World
from motionsynth.training.determinism import torch_threads

__all__ = ["Translator", "brought_clips", "translation", "translation_keys"]

_BATCH: Final = 64
_RATIOS: Final = ("energy_above_5hz", "share_above_5hz", "jerk_ratio", "acceleration_ratio")
"""Metrics of ``metrics.spectra`` and ``metrics.derivatives``; each has a twin that compares within cells."""
_TITLES: Final = {"jerk_ratio": "jerk", "acceleration_ratio": "acceleration"}
_SEEN: Final = ("style_before", "style_seen", "style_real")
_KEPT: Final = ("content_before", "content_kept")
_STEPS: Final = ("windows", "moved", "apart", "cycle")


def translation_keys(between: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """Keys of all that :func:`translation` may find; ``cycle`` and ``..._own_change`` are of runs alone.

    Args:
        between: as ``measure.between``.
    """
    titles = [_TITLES.get(name, name) for name in _RATIOS]
    ends = ("change", "own_change", "against_target")
    names = [*_STEPS, *_SEEN, *_KEPT, *(f"frechet.{space}" for space in SPACES), "foot_skate_against_target"]
    names += [f"{title}_{end}" for title in titles for end in ends]
    groups = ["translation", *(f"translation.to_{name}" for pair in between.values() for name in pair)]
    return tuple(f"{group}/{name}" for group in groups for name in names)


def translation(world: World, shown: Shown) -> Found:
    """Bring held-out windows of each class to the other, and measure what they have become.

    ``shown.run`` does it, by :class:`Translator`; of landmarks ``nearest_other`` answers with the nearest training
    window of the other class, by the root mean square over the normalised numbers of whole windows, and any other
    leaves windows as they are.

    | key | |
    |---|---|
    | ``style_seen`` | share in which the judge sees the class that windows were brought to |
    | ``style_before``, ``style_real`` | the same of the sources, and of real windows of that class |
    | ``content_kept`` | share in which it sees the content that the source has |
    | ``content_before`` | the same of the sources |
    | ``frechet.SPACE`` | to real held-out windows of that class |
    | ``R_change`` | log ratio to the window's own source, mean over windows; R is ``energy_above_5hz``, ... |
    | ``R_against_target`` | log ratio to real windows of that class and the same content, mean over contents |
    | ``R_own_change`` | as ``R_change``, of windows brought to the class that they have: by the way there alone |
    | ``foot_skate_against_target`` | log ratio of the speed of planted feet |
    | ``moved``, ``cycle`` | root mean square of the change, and of what is left of it there and back; normalised |
    | ``apart`` | the same from the source to the nearest training window of that class |
    | ``windows`` | N of each direction |

    Keys begin with ``translation/``: means over both directions; those of one with ``translation.to_CLASS/``.

    Args:
        world: whose ``measure.between`` names the label and both classes.
        shown: its run, or landmark; its motions are not looked at.

    Raises:
        StudyError: the corpus, or the run, knows no such classes; or the run was trained on what it is judged by.
        RunError: it cannot translate, or comes to numbers that are not finite.
    """
    ends = domains(world)
    translator = Translator.of(world, shown.run) if shown.run is not None else None
    found: Found = {}
    directions = []
    for source, target in (ends, ends[::-1]):
        directions.append(_direction(world, shown, translator, source, target))
        found |= {f"translation.to_{target.name}/{key}": value for key, value in directions[-1].items()}
    return _means(directions) | found


def brought_clips(world: World, run: Run, count: int) -> dict[str, MotionSet]:
    """``to CLASS`` -> held-out windows that a run brought there, for the eye, spread over contents."""
    translator = Translator.of(world, run)
    labels = world.reference.corpus.label_names
    found = {}
    for source, target in ((ends := domains(world)), ends[::-1]):
        spread_N = torch.linspace(0, len(source.held) - 1, min(count, len(source.held))).round().long()
        found[f"to {target.name}"] = translator.bring(source.held.subset(spread_N), labels, source.name, target.name)
    return found


@dataclass(frozen=True, eq=False)
class Translator:
    """A run that brings windows of one class to another, in the features of files.

    A family that translates does so; one that encodes and decodes under a condition on the label encodes a window under
    its own class and decodes the code, the posterior's mean, under the other.

    Args:
        run: the run.
        family: what it has learnt.
        label: whose classes it goes between.
    """

    run: Run
    family: Family
    label: str

    @classmethod
    def of(cls, world: World, run: Run) -> Translator:
        """A run whose training clips are none of those that it is judged by; raises as :func:`translation` does."""
        assert world.measure.between is not None
        ((label, names),) = world.measure.between.items()
        for name in names:
            if name not in run.record.labels.get(label, ()):
                raise StudyError(run.path, f"knows no {label} {name!r}, so it cannot bring anything to it")
        try:
            seen = {entry["file"] for entry in run.splits()["splits"]["train"]}
        except (KeyError, TypeError) as error:
            raise StudyError(run.path / "splits.json", "does not name the clips that it was trained on") from error
        if shared := seen & {take for domain in domains(world) for take in domain.held.takes}:
            raise StudyError(
                run.path, f"has learnt from {len(shared)} clips that it is judged by, such as {min(shared)}"
            )
        family = run.load_family()
        conditional = label in getattr(run.config.family, "condition", ())
        codes = isinstance(family, Encodes) and isinstance(family, Decodes)
        own = isinstance(family, Translates) and family.domain_label() == label
        if not own and not (codes and conditional):
            raise RunError(
                run.path,
                f"{run.record.family} does not go between classes of {label}: it needs translators between them, or "
                f"codes and family.condition: [{label}]",
            )
        return cls(run, family, label)

    def bring(self, motions: MotionSet, labels: Mapping[str, Sequence[str]], *way: str) -> MotionSet:
        """Windows brought from class to class.

        Args:
            motions: the windows, all of the first class of the way.
            labels: label name -> class names, by which ``motions.labels`` are to be read.
            way: names of classes: where they come from, where they go, and where they go from there.
        """
        normaliser, names = self.run.normaliser(), self.run.record.labels[self.label]
        parts = []
        with torch.no_grad(), torch_threads(self.run.config.train.threads):
            for batch in self._batches(motions, labels):
                brought_BTD = batch.motion_BTD
                for own, to in pairwise(names.index(name) for name in way):
                    brought_BTD = self._bring(batch._replace(motion_BTD=brought_BTD), own, to).float()
                parts.append(brought_BTD)
        brought_NTD = normaliser.denormalise(torch.cat(parts))
        if not brought_NTD.isfinite().all():
            raise RunError(self.run.path, "translates to values that are not finite: its training has diverged")
        return replace(motions, features_NTD=brought_NTD)

    def _bring(self, batch: Batch, own: int, to: int) -> Tensor:
        family = self.family
        if isinstance(family, Translates):
            return family.translate(batch, to)
        assert isinstance(family, Encodes) and isinstance(family, Decodes)  # see ``of``
        under = [
            batch._replace(labels=batch.labels | {self.label: torch.full((len(batch.motion_BTD),), index)})
            for index in (own, to)
        ]
        before, after = map(self.family.project, under)
        return self.family.expand(family.decode(family.encode(before), family.side(after)), batch.mask_BT.shape[1])

    def _batches(self, motions: MotionSet, labels: Mapping[str, Sequence[str]]) -> Iterator[Batch]:
        """Windows as the run's family takes them, with the other labels that it is told."""
        given = {}
        for name in getattr(self.run.config.family, "condition", ()):
            if name != self.label:
                given[name] = _renamed(self.run, name, motions.labels[name], labels[name])
        normalised_NTD = self.run.normaliser().normalise(motions.features_NTD)
        for index_B in torch.split(torch.arange(len(motions)), _BATCH):
            motion_BTD = normalised_NTD[index_B]
            mask_BT = torch.ones(motion_BTD.shape[:2], dtype=torch.bool)
            yield Batch(motion_BTD, mask_BT, {name: value[index_B] for name, value in given.items()})


def _renamed(run: Run, label: str, index_N: Tensor, names: Sequence[str]) -> Tensor:
    """(N,) a run's class indices of a label, from those of a corpus that may know more of them."""
    known = run.record.labels[label]
    used = [names[i] for i in sorted(set(index_N.tolist()))]
    if strange := [name for name in used if name not in known]:
        raise StudyError(run.path, f"is told {label}, and does not know {', '.join(strange)}")
    place_C = torch.tensor([known.index(name) if name in known else 0 for name in names])
    return place_C[index_N]


class _Brought(NamedTuple):
    """What became of the windows of one class."""

    there: MotionSet
    back: MotionSet | None = None
    own: MotionSet | None = None
    """The same windows, brought to the class that they have."""


def _brought(world: World, shown: Shown, translator: Translator | None, source: Domain, target: Domain) -> _Brought:
    held = source.held
    if translator is not None:
        labels = world.reference.corpus.label_names
        ways = ((target,), (target, source), (source,))
        return _Brought(*(translator.bring(held, labels, *(of.name for of in (source, *way))) for way in ways))
    if shown.arm.landmark != "nearest_other":
        return _Brought(held)
    corpus = world.reference.corpus
    index_N = nearest(corpus.normaliser.normalise(held.features_NTD).flatten(1), target.train_NX).index_NK[:, 0]
    chosen_NTD = target.train_NX[index_N].reshape(held.features_NTD.shape)
    return _Brought(replace(held, features_NTD=corpus.normaliser.denormalise(chosen_NTD)))


def _direction(
    world: World, shown: Shown, translator: Translator | None, source: Domain, target: Domain
) -> dict[str, float | str]:
    brought = _brought(world, shown, translator, source, target)
    normaliser = world.reference.corpus.normaliser
    before_NX = normaliser.normalise(source.held.features_NTD).flatten(1)
    after = described(world, brought.there, source.content_N)
    found: dict[str, float | str] = {"windows": float(len(before_NX))}
    found |= _seen(world.judge, source, target, after)
    found |= _scored(Sets(after, source.described), _RATIOS, "change")
    against = (*(f"{name}_within" for name in _RATIOS), "foot_skate_relative")
    found |= _scored(Sets(after, target.described), against, "against_target")
    found |= _distances(Sets(after, target.described), world)
    found["moved"] = _rms(normaliser.normalise(brought.there.features_NTD).flatten(1) - before_NX)
    nearest_N = nearest(before_NX, target.train_NX).distance_NK[:, 0]
    found["apart"] = float((nearest_N.square().mean() / before_NX.shape[1]).sqrt())
    if brought.back is not None:
        found["cycle"] = _rms(normaliser.normalise(brought.back.features_NTD).flatten(1) - before_NX)
    if brought.own is not None:
        own = described(world, brought.own, source.content_N)
        found |= _scored(Sets(own, source.described), _RATIOS, "own_change")
    return found


def _seen(judge: Extractor, source: Domain, target: Domain, after: Descriptors) -> dict[str, float | str]:
    """How often the judge's classifier sees the class brought to, and the content that sources have."""
    sees = [_told(judge, of) for of in (source.described, after, target.described)]
    nothing = f"the judge does not tell {target.label}"
    found: dict[str, float | str] = {}
    if target.label in sees[0] and target.name in judge.labels[target.label]:
        wanted = judge.labels[target.label].index(target.name)
        shares = [_share(of[target.label] == wanted) for of in sees]
        found |= dict(zip(_SEEN, shares, strict=True))
    else:
        found |= dict.fromkeys(_SEEN, nothing)
    content = content_label(judge, target.label)
    if content in sees[0] and source.content_N is not None:
        found["content_before"] = _share(sees[0][content] == source.content_N)
        found["content_kept"] = _share(sees[1][content] == source.content_N)
    else:
        found |= dict.fromkeys(_KEPT, "the judge tells no other label")
    return found


def _told(judge: Extractor, windows: Descriptors) -> dict[str, Tensor]:
    """Label name -> (N,) the class that the judge's classifier sees; empty where it has none."""
    if judge.networks is None or judge.networks.classifier is None:
        return {}
    with torch.no_grad():
        scores = judge.networks.classify(judge.normaliser.normalise(windows.features_NTD))[1]
    return {name: score.argmax(1) for name, score in zip(judge.labels, scores, strict=True)}


def _scored(sets: Sets, metrics: Sequence[str], end: str) -> dict[str, float | str]:
    """Logarithms of metrics that are ratios, under the names that this instrument gives them."""
    found: dict[str, float | str] = {}
    for figure in score(sets, choose(metrics, None, ())).values():
        name = figure.metric.name.removesuffix("_within").removesuffix("_relative")
        key = f"{_TITLES.get(name, name)}_{end}"
        found[key] = figure.outcome
        if figure.value is not None:
            found[key] = math.log(figure.value) if figure.value > 0 else "the ratio is 0, which has no logarithm"
    return found


def _distances(sets: Sets, world: World) -> dict[str, float | str]:
    figures = score(sets, choose(["frechet"], None, world.judge.spaces))
    return {key.rpartition("/")[2]: figure.outcome for key, figure in figures.items()}


def _share(hit_N: Tensor) -> float:
    return float(hit_N.double().mean())


def _rms(difference: Tensor) -> float:
    """Root of the mean square."""
    return float(difference.double().square().mean().sqrt())


def _means(directions: Sequence[Mapping[str, float | str]]) -> Found:
    """Means over both directions; why one of them has none, where one has none."""
    found: Found = {}
    for key in directions[0]:
        values = [of[key] for of in directions]
        reasons = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if not isinstance(value, str)]
        found[f"translation/{key}"] = reasons[0] if reasons else math.fsum(numbers) / len(numbers)
    return found
