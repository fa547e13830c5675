"""What is in a BVH file or a folder of them, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from motionsynth.corpus.labels import Labels, LabelSource, read_labels
from motionsynth.corpus.reading import Progress, find_files, over_files, skeleton_signature
from motionsynth.errors import BvhError, CorpusError
from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import detect_units, moving_joint, refuse_vast, stretching_bones, up_axis

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


@dataclass(frozen=True, slots=True)
class InspectedSkeleton:
    """Files with the same joints, tree and bones; the rest is told of the first of them."""

    files: tuple[str, ...]
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    channels: tuple[int, ...]
    """Channels of each joint."""
    rotation_orders: tuple[str, ...]
    height: float
    """In the file's unit."""
    units: str
    """Likeliest unit of length, or ``unknown``."""
    unit_candidates: tuple[str, ...]
    metres_per_unit: float
    up: str
    moving_joint: str

    def tree(self) -> list[str]:
        """One line a joint, indented by depth."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return ["  " * depth + name for depth, name in zip(depths, self.joints, strict=True)]


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """One file that could not be read, and the whole message: file, line, reason."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What :func:`inspect_path` found.

    Args:
        path: what was asked about.
        loaded: the files that could be read, sorted.
        refused: those that could not.
        skeletons: the different skeletons, the commonest first.
        label_source: where labels come from: csv, pattern, folders or none.
        classes: label -> class -> files.
        unlabelled: files without labels and rows of ``labels.csv`` without a file, and why.
        label_error: why labels could not be read at all, else empty.
    """

    path: str
    loaded: tuple[InspectedFile, ...]
    refused: tuple[RefusedFile, ...]
    skeletons: tuple[InspectedSkeleton, ...]
    label_source: str
    classes: dict[str, dict[str, int]]
    unlabelled: dict[str, str]
    label_error: str

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
        """As JSON-able types."""
        rates = [{"frame_rate": rate, "files": files} for rate, files in self.frame_rates.items()]
        return asdict(self) | {"frames": self.frames, "duration_s": self.duration_s, "frame_rates": rates}


class _Seen(NamedTuple):
    """What is kept of a file once it was read."""

    file: str
    frames: int
    frame_rate: float
    duration_s: float
    stretching: tuple[str, ...]
    signature: tuple[Any, ...]
    skeleton: InspectedSkeleton


def inspect_path(
    path: Path,
    *,
    labels: LabelSource = "auto",
    pattern: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Read every BVH file of a folder, or one file, and tell what is there.

    Args:
        path: a folder, searched to any depth, or one file.
        labels: where labels come from.
        pattern: regular expression with named groups for file names.
        workers: processes that read; as many as there are cores where None.
        progress: called with (files done, files in all).

    Raises:
        CorpusError: there is no such folder, or no BVH file in it.
    """
    root, files = find_files(Path(path))
    results = over_files(_look, root, files, workers=workers, progress=progress)
    seen, refused = [], []
    for result in results:
        if isinstance(result, _Seen):
            seen.append(result)
        else:
            refused.append(result)
    label_error = ""
    try:
        found = read_labels(root, files, labels, pattern)
    except CorpusError as error:
        found, label_error = Labels("none", (), {}, {}), str(error)
    order = [signature for signature, _ in Counter(one.signature for one in seen).most_common()]
    loaded = tuple(_file(one, order.index(one.signature), found) for one in seen)
    return Inspection(
        path=str(path),
        loaded=loaded,
        refused=tuple(refused),
        skeletons=tuple(_skeleton([one for one in seen if one.signature == signature]) for signature in order),
        label_source=found.source,
        classes={
            name: dict(sorted(Counter(file.labels[name] for file in loaded if name in file.labels).items()))
            for name in found.names
        },
        unlabelled=found.faults,
        label_error=label_error,
    )


def _look(root: Path, file: str) -> _Seen | RefusedFile:
    try:
        clip = read_bvh(root / file)
        refuse_vast(clip)
    except BvhError as error:
        return RefusedFile(file, str(error))
    except ValueError as error:
        return RefusedFile(file, f"{root / file}: {error}")
    return _Seen(
        file,
        len(clip),
        clip.frame_rate,
        clip.duration,
        tuple(stretching_bones(clip)),
        skeleton_signature(clip),
        _describe(clip),
    )


def _describe(clip: Clip) -> InspectedSkeleton:
    skeleton, units = clip.skeleton, detect_units(clip)
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
        up=up_axis(clip),
        moving_joint=skeleton.names[moving_joint(clip)],
    )


def _skeleton(members: Sequence[_Seen]) -> InspectedSkeleton:
    """The first member's, but for what single clips can misjudge: a still actor hides which joint travels."""
    described = [member.skeleton for member in members]
    values = asdict(described[0])
    for name in ("up", "moving_joint"):
        values[name] = Counter(getattr(one, name) for one in described).most_common(1)[0][0]
    return InspectedSkeleton(**values | {"files": tuple(member.file for member in members)})


def _file(seen: _Seen, skeleton: int, labels: Labels) -> InspectedFile:
    known = labels.clips.get(seen.file)
    return InspectedFile(
        seen.file,
        seen.frames,
        seen.frame_rate,
        seen.duration_s,
        skeleton,
        known.classes if known else {},
        known.take if known else None,
        seen.stretching,
    )
