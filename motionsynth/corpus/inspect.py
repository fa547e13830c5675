"""An account of a clip or a folder of them before anything is trained on it, by the rules that training follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from motionsynth.corpus.conform import own_bones, skeleton_signature
from motionsynth.corpus.facts import Facts, fact_notes
from motionsynth.corpus.finding import find_files
from motionsynth.corpus.labels import Labels, LabelSource, read_labels
from motionsynth.corpus.people import People, compare_people
from motionsynth.corpus.plan import EncodeSettings, Fault, Plan, probe_clip
from motionsynth.corpus.reading import Encoded, encode_clip, over_files
from motionsynth.corpus.settling import settle
from motionsynth.errors import ClipError, CorpusError
from motionsynth.motion.clip import Clip
from motionsynth.motion.formats import read_clip
from motionsynth.motion.measure import detect_units, detect_up, moving_joint, refuse_vast, stretching_bones, up_axis
from motionsynth.motion.skeleton import FloatArray
from motionsynth.progress import Progress

__all__ = ["InspectedFile", "InspectedSkeleton", "Inspection", "RefusedFile", "inspect_path"]


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """One file that could be read."""

    file: str
    frames: int
    frame_rate: float
    duration_s: float
    skeleton: int
    """Index of its skeleton."""
    labels: dict[str, str]
    take: str | None
    stretching_bones: tuple[str, ...]
    """Joints whose bones change length in time; training refuses such a file."""
    up: str
    """The axis that points up in it: by its own motion where that is certain, else as in most files."""
    units: str
    """Likeliest unit of length, or ``unknown``."""


@dataclass(frozen=True, slots=True)
class InspectedSkeleton:
    """Files with the same joints, tree and bones; the rest is that of the first of them."""

    files: tuple[str, ...]
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    channels: tuple[int, ...]
    """Channels of each joint."""
    rotation_orders: tuple[str, ...]
    height: float
    """In the commonest unit of its files."""
    units: str
    """Likeliest unit of length, or ``unknown``; of most of its files."""
    unit_candidates: tuple[str, ...]
    metres_per_unit: float
    up: str
    """The axis that points up in most of its files."""
    moving_joint: str

    def tree(self) -> list[str]:
        """One line a joint, indented by depth."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return ["  " * depth + name for depth, name in zip(depths, self.joints, strict=True)]


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """One file that cannot be read, or not be trained on, and the whole message: file, line, reason."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """Findings of :func:`inspect_path`.

    Args:
        path: what was asked about.
        loaded: the files that could be read, sorted.
        refused: those that could not.
        unusable: those that could be read and that training refuses.
        notes: files that differ from most, and what training does about it.
        skeletons: the different skeletons, the commonest first.
        people: bones of all that have the commonest one's joints side by side; None where none differ.
        label_source: where labels come from: csv, pattern, folders or none.
        classes: label -> class -> files.
        unlabelled: files without labels and rows of ``labels.csv`` without a file, and why.
        label_error: why labels could not be read at all, else empty.
    """

    path: str
    loaded: tuple[InspectedFile, ...]
    refused: tuple[RefusedFile, ...]
    unusable: tuple[RefusedFile, ...]
    notes: tuple[str, ...]
    skeletons: tuple[InspectedSkeleton, ...]
    people: People | None
    label_source: str
    classes: dict[str, dict[str, int]]
    unlabelled: dict[str, str]
    label_error: str

    @property
    def usable(self) -> tuple[str, ...]:
        """The files that training takes."""
        left_out = {refusal.file for refusal in self.unusable} | set(self.unlabelled)
        return tuple(file.file for file in self.loaded if file.file not in left_out)

    @property
    def frames(self) -> int:
        """Frames of all files that could be read."""
        return sum(file.frames for file in self.loaded)

    @property
    def duration_s(self) -> float:
        """Seconds of all files that could be read."""
        return sum(file.duration_s for file in self.loaded)

    @property
    def frame_rates(self) -> dict[float, int]:
        """Frames a second (to a thousandth) -> files, the commonest first."""
        return dict(Counter(round(file.frame_rate, 3) for file in self.loaded).most_common())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able copy."""
        rates = [{"frame_rate": rate, "files": files} for rate, files in self.frame_rates.items()]
        return asdict(self) | {"frames": self.frames, "duration_s": self.duration_s, "frame_rates": rates}


class _Seen(NamedTuple):
    """A file that could be read."""

    file: str
    frames: int
    frame_rate: float
    duration_s: float
    stretching: tuple[str, ...]
    signature: tuple[Any, ...]
    skeleton: InspectedSkeleton
    up_certain: bool
    found: Facts | Fault
    """The findings of training, or its reason to refuse the file."""
    bones: FloatArray | None
    """(J, 3) its bones as training would have them, where it has the corpus' joints and other bones."""


@dataclass(frozen=True)
class _Looked:
    """All files, looked at by one plan."""

    seen: list[_Seen]
    refused: list[Fault]

    @cached_property
    def facts(self) -> Mapping[str, Facts]:
        return {one.file: one.found for one in self.seen if isinstance(one.found, Facts)}

    @cached_property
    def faults(self) -> list[Fault]:
        return self.refused + [one.found for one in self.seen if isinstance(one.found, Fault)]


def inspect_path(
    path: str | Path,
    *,
    labels: LabelSource = "auto",
    pattern: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Read every clip of a folder, or one file, and bring each to features as training would.

    Args:
        path: a folder, searched to any depth, or one file.
        labels: where labels come from.
        pattern: regular expression with named groups for file names.
        workers: processes that read; as many as there are cores where None.
        progress: called with (files done, files in all).

    Raises:
        CorpusError: there is no such folder, or no clip in it.

    Example:
        >>> from motionsynth import inspect_path
        >>> found = inspect_path("walkers", workers=1)
        >>> len(found.loaded), found.refused
        (48, ())
    """
    root, files, faults = find_files(Path(path))
    settings = EncodeSettings()

    def look(plan: Plan | None) -> _Looked:
        results = list(over_files(partial(_look, plan, settings), root, files, workers=workers, progress=progress))
        return _Looked([r for r in results if isinstance(r, _Seen)], [r for r in results if isinstance(r, Fault)])

    plan: Plan | None = None
    try:
        plan, looked = settle(root, files, settings, None, look)
    except CorpusError:  # not one file can be used; each has its own reason
        looked = look(None)
    label_error = ""
    try:
        found = read_labels(root, files, labels, pattern)
    except CorpusError as error:
        found, label_error = Labels("none", (), {}, {}), str(error)
    seen = looked.seen
    order = [signature for signature, _ in Counter(one.signature for one in seen).most_common()]
    groups = [[one for one in seen if one.signature == signature] for signature in order]
    loaded = {one.file: _file(one, k, group, plan, found) for k, group in enumerate(groups) for one in group}
    return Inspection(
        path=str(path),
        loaded=tuple(loaded[one.file] for one in seen),
        refused=(
            *(RefusedFile(place, f"{root / place}: {reason}") for place, reason in faults.items()),
            *(RefusedFile(fault.file, fault.reason) for fault in looked.refused),
        ),
        unusable=tuple(RefusedFile(one.file, one.found.reason) for one in seen if isinstance(one.found, Fault)),
        notes=_notes(plan, looked, found),
        skeletons=tuple(_skeleton([(one, loaded[one.file]) for one in group]) for group in groups),
        people=_people(plan, seen, found),
        label_source=found.source,
        classes={
            name: dict(sorted(Counter(f.labels[name] for f in loaded.values() if name in f.labels).items()))
            for name in found.names
        },
        unlabelled=found.faults,
        label_error=label_error,
    )


def _look(plan: Plan | None, settings: EncodeSettings, root: Path, file: str) -> _Seen | Fault:
    try:
        clip = read_clip(root / file)
        refuse_vast(clip)
    except ClipError as error:
        return Fault(file, str(error))
    except ValueError as error:
        return Fault(file, f"{root / file}: {error}")
    found = _found(plan, settings, root, file, clip)
    return _Seen(
        file,
        len(clip),
        clip.frame_rate,
        clip.duration,
        tuple(stretching_bones(clip)),
        skeleton_signature(clip),
        _describe(clip),
        detect_up(clip).certain,
        found,
        _other_bones(plan, found, clip),
    )


def _other_bones(plan: Plan | None, found: Facts | Fault, clip: Clip) -> FloatArray | None:
    if plan is None or isinstance(found, Facts) or found.skeleton is None:
        return None
    try:
        return own_bones(clip, plan)
    except ValueError:
        return None


def _found(plan: Plan | None, settings: EncodeSettings, root: Path, file: str, clip: Clip) -> Facts | Fault:
    if plan is not None:
        result = encode_clip(plan, root, file, clip)
        return result.facts if isinstance(result, Encoded) else result
    try:
        probe_clip(clip, settings)
    except ValueError as error:
        return Fault(file, f"{root / file}: {error}")
    return Fault(file, f"{root / file}: cannot be used")


def _notes(plan: Plan | None, looked: _Looked, labels: Labels) -> tuple[str, ...]:
    if plan is None:
        return ()
    facts = {file: one for file, one in looked.facts.items() if file not in labels.faults}
    return fact_notes(facts, plan.spec.names[plan.spec.moving_joint], plan.spec.frame_rate)


def _people(plan: Plan | None, seen: Sequence[_Seen], labels: Labels) -> People | None:
    if plan is None:
        return None
    corpus = plan.spec.rest_array
    bones = {one.file: corpus if isinstance(one.found, Facts) else one.bones for one in seen}
    return compare_people({file: own for file, own in bones.items() if own is not None}, labels, plan.spec)


def _describe(clip: Clip) -> InspectedSkeleton:
    skeleton, units, up = clip.skeleton, detect_units(clip), detect_up(clip)
    return InspectedSkeleton(
        files=(),
        joints=skeleton.names,
        parents=skeleton.parents,
        channels=tuple(map(len, skeleton.channels)),
        rotation_orders=skeleton.orders,
        height=units.height,
        units=units.name,
        unit_candidates=units.candidates,
        metres_per_unit=units.metres,
        up=up.axis if up.certain else up_axis(clip),
        moving_joint=skeleton.names[moving_joint(clip)],
    )


def _skeleton(members: Sequence[tuple[_Seen, InspectedFile]]) -> InspectedSkeleton:
    """The value of most members, for a single clip can misjudge: a still actor hides which joint travels."""
    units = _commonest(file.units for _, file in members)
    typical = next((seen.skeleton for seen, _ in members if seen.skeleton.units == units), members[0][0].skeleton)
    values = asdict(typical) | {
        "files": tuple(file.file for _, file in members),
        "up": _commonest(file.up for _, file in members),
        "moving_joint": _commonest(seen.skeleton.moving_joint for seen, _ in members),
    }
    return InspectedSkeleton(**values)


def _file(seen: _Seen, skeleton: int, group: Sequence[_Seen], plan: Plan | None, labels: Labels) -> InspectedFile:
    known = labels.clips.get(seen.file)
    up, units = seen.skeleton.up, seen.skeleton.units
    if plan is not None and isinstance(seen.found, Facts):
        up, units = seen.found.own_up or plan.up, seen.found.unit or plan.units
    elif not seen.up_certain:  # a person who lies misleads
        up = _commonest(one.skeleton.up for one in group if one.up_certain) or _commonest(o.skeleton.up for o in group)
    return InspectedFile(
        seen.file,
        seen.frames,
        seen.frame_rate,
        seen.duration_s,
        skeleton,
        known.classes if known else {},
        known.take if known else None,
        seen.stretching,
        up,
        units,
    )


def _commonest(words: Iterable[str]) -> str:
    counted = Counter(words).most_common(1)
    return counted[0][0] if counted else ""
