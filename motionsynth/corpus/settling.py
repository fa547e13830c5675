"""The plan that suits most files of a corpus, found by reading them: whose skeleton, whose bones, whose axes.

Files looked at first may be few of their kind; the corpus is then read again by the plan of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from motionsynth.corpus.bones import mean_bones, with_bones
from motionsynth.corpus.conform import aligned, own_bones
from motionsynth.corpus.facts import Facts
from motionsynth.corpus.plan import EncodeSettings, Fault, Plan, make_plan
from motionsynth.corpus.reading import over_files
from motionsynth.errors import ClipError, CorpusError
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.formats import read_clip
from motionsynth.motion.skeleton import FloatArray
from motionsynth.progress import Progress

__all__ = ["settle"]

_ATTEMPTS: Final = 4
"""Times that a corpus may be read because most of its files turn out to be others than those looked at first."""


class Outcome(Protocol):
    """The result of reading a corpus by one plan."""

    @property
    def facts(self) -> Mapping[str, Facts]:
        """File that can be used -> what was found in it."""

    @property
    def faults(self) -> Sequence[Fault]:
        """The files that cannot."""


Read = TypeVar("Read", bound=Outcome)


def settle(
    root: Path,
    files: Sequence[str],
    settings: EncodeSettings,
    like: FeatureSpec | None,
    read: Callable[[Plan], Read],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Plan, Read]:
    """Read a corpus by the plan that suits most of its files, and again where the files looked at first were few.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        settings: how they are encoded.
        like: features of another corpus that theirs are to be the same as.
        read: reads all files by a plan.
        workers: processes that look at bones, where ``settings.bones`` asks for it.
        progress: called with the number of files looked at.

    Raises:
        CorpusError: as :func:`make_plan`, or the file that ``settings.bones`` names has other joints.
        ClipError: that file cannot be read.
    """

    def on_bones(plan: Plan) -> Plan:
        own = like is None and plan.any_bones  # of two corpora the first has settled it
        return _on_one_skeleton(plan, root, files, settings.bones, workers, progress) if own else plan

    plan = on_bones(make_plan(root, files, settings, like))
    outcome = read(plan)
    for _ in range(_ATTEMPTS - 1):
        better = _better_plan(plan, root, settings, like, outcome)
        if better is None:
            break
        plan = on_bones(better)
        outcome = read(plan)
    return plan, outcome


def _better_plan(
    plan: Plan, root: Path, settings: EncodeSettings, like: FeatureSpec | None, found: Outcome
) -> Plan | None:
    """The plan that suits more files than the one they were read by; None where that is the best."""
    facts = found.facts
    strangers = Counter(fault.skeleton for fault in found.faults if fault.skeleton is not None)
    if strangers and strangers.most_common(1)[0][1] > len(facts):
        common = strangers.most_common(1)[0][0]
        return make_plan(root, [fault.file for fault in found.faults if fault.skeleton == common], settings, like)
    layouts = Counter((one.scale, one.reordered) for one in facts.values())
    if like is None and layouts and (layout := layouts.most_common(1)[0][0]) != (1.0, False):
        return make_plan(root, [f for f, one in facts.items() if (one.scale, one.reordered) == layout], settings)
    deeper = {fault.file: fault.mover for fault in found.faults if fault.mover}
    if like is None and deeper:
        try:
            mover = max(deeper.values(), key=plan.spec.names.index)
            return make_plan(root, sorted([*facts, *deeper]), settings, up=plan.up, mover=mover)
        except CorpusError:
            return None  # joints hang beside it: the files in which it moves are left out
    turned = [one.own_up for one in facts.values() if one.own_up]
    if 2 * len(turned) > len(facts):
        return make_plan(root, list(facts), settings, like, up=turned[0])
    return None


def _on_one_skeleton(
    plan: Plan, root: Path, files: Sequence[str], bones: str, workers: int | None, progress: Progress | None
) -> Plan:
    """The plan with the bones that all clips are to have: the mean of the files', or those of a file."""
    if bones == "mean":
        found = over_files(partial(_bones_of, plan), root, files, workers=workers, progress=progress)
        people = [bones for bones in found if bones is not None]
        return replace(plan, spec=with_bones(plan.spec, mean_bones(people))) if people else plan
    clip = read_bvh(bones)
    try:
        spec = with_bones(plan.spec, own_bones(clip, plan), aligned(clip, plan)[0].skeleton.end_sites)
    except ValueError as error:
        raise CorpusError(f"data.bones: {bones}: {error}") from error
    return replace(plan, spec=spec)


def _bones_of(plan: Plan, root: Path, file: str) -> FloatArray | None:
    """The bones of a file; None where it cannot be used, which reading it will report."""
    try:
        return own_bones(read_clip(root / file), plan)
    except (ClipError, ValueError):
        return None
