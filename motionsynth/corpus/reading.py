"""From files to features, on all cores; imports no torch, so that a worker starts in a fraction of a second."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from motionsynth.corpus.stretches import Words, frame_words
from motionsynth.errors import BvhError, CorpusError
from motionsynth.features.encode import encode_array
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import UNITS, detect_units, moving_joint, refuse_vast, stretching_bones, up_axis
from motionsynth.motion.skeleton import FloatArray
from motionsynth.motion.transform import to_y_up

if TYPE_CHECKING:
    from motionsynth.config import DataConfig

__all__ = [
    "EncodeSettings",
    "Encoded",
    "Fault",
    "Plan",
    "Progress",
    "conform",
    "encode_files",
    "find_files",
    "make_plan",
    "over_files",
    "skeleton_signature",
]

Result = TypeVar("Result")
Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""

_PROBES: Final = 9
"""Files read to see what a corpus is made of, spread over it."""
_CHUNK: Final = 8
"""Files that a worker gets at a time."""
_SERIAL_BYTES: Final = 8 * 2**20
"""A corpus smaller than this is read before a second process has started."""
_IDLE_S: Final = 10
"""Workers without work end after this long; joblib's own five minutes would sit in memory beside the training."""


@dataclass(frozen=True)
class EncodeSettings:
    """The part of a data configuration that decides what the features of a file are."""

    frame_rate: float
    units: str
    up: str
    velocities: bool
    contacts: bool
    mirror: bool

    @classmethod
    def of(cls, config: DataConfig) -> EncodeSettings:
        """Pick the settings out of a configuration."""
        return cls(config.frame_rate, config.units, config.up, config.velocities, config.contacts, config.mirror)


@dataclass(frozen=True)
class Plan:
    """How every file of a corpus is brought to features."""

    spec: FeatureSpec
    up: str
    units: str
    mirror_frames: FloatArray | None = None
    """How each joint mirrors its counterpart, the same for all clips; None where no mirror images are wanted."""


class Encoded(NamedTuple):
    """A file that can be learned from."""

    file: str
    features_TD: npt.NDArray[np.float32]
    mirrored_TD: npt.NDArray[np.float32] | None
    words: Words
    """One word for each frame of the file, at the file's own rate."""


class Fault(NamedTuple):
    """A file that cannot."""

    file: str
    reason: str
    skeleton: tuple[Any, ...] | None = None
    """Where nothing is wrong but its skeleton is not the corpus': what tells skeletons apart."""


def find_files(path: Path) -> tuple[Path, list[str]]:
    """List a folder's BVH files (or the one file), sorted, as POSIX paths inside the folder; hidden names are left out.

    Raises:
        CorpusError: there is no such folder, or no BVH file in it.
    """
    if path.is_file():
        return path.parent, [path.name]
    if not path.exists():
        raise CorpusError(f"{path}: no such folder; 'motionsynth data make walkers' makes a corpus to start with")
    found, seen = [], set()
    for folder, inside, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        inside[:] = [] if real in seen else sorted(name for name in inside if not name.startswith("."))
        if real not in seen:
            place = Path(folder).relative_to(path)
            found += [(place / n).as_posix() for n in names if n.lower().endswith(".bvh") and not n.startswith(".")]
        seen.add(real)
    if not found:
        raise CorpusError(f"{path}: holds no BVH file")
    return path, sorted(found)


def make_plan(root: Path, files: Sequence[str], settings: EncodeSettings, like: FeatureSpec | None = None) -> Plan:
    """Look at a few files and settle skeleton, unit, up axis, moving joint and heading axis for all.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        settings: how they are encoded.
        like: features of another corpus that theirs are to be the same as; unit and up axis remain their own.

    Raises:
        CorpusError: not one file can be used, or they have another skeleton than ``like``.
    """
    spread = dict.fromkeys(files[i] for i in np.linspace(0, len(files) - 1, _PROBES).round().astype(int))
    rest = [file for file in files if file not in spread]
    plans: list[tuple[Plan, Clip]] = []
    first_error = ""
    for number, file in enumerate([*spread, *rest]):
        if number >= len(spread) and plans:
            break
        try:
            plans.append(_plan_for(read_bvh(root / file), settings))
        except (BvhError, ValueError) as error:
            text = str(error) if isinstance(error, BvhError) else f"{root / file}: {error}"
            first_error = first_error or text
    if not plans:
        raise CorpusError(f"{root}: none of its {len(files)} BVH files can be used; {first_error}")
    kinds = [(p.spec.names, p.spec.parents, p.spec.moving_joint, p.up, p.units, p.spec.orders) for p, _ in plans]
    common = Counter(kinds).most_common(1)[0][0]
    plan, typical = plans[kinds.index(common)]
    if like is not None:
        plan = _plan_like(like, plan, typical, root)
    if not settings.mirror:
        return plan
    from motionsynth.motion.mirror import mirror_frames

    try:
        alike = [clip for (_, clip), kind in zip(plans, kinds, strict=True) if kind == common]
        return replace(plan, mirror_frames=mirror_frames(alike))
    except ValueError as error:
        raise CorpusError(f"{root}: data.mirror: {error}") from error


def _plan_for(clip: Clip, settings: EncodeSettings) -> tuple[Plan, Clip]:
    """What one clip by itself suggests, and the clip with y up."""
    if len(clip) < 2:
        raise ValueError("fewer than 2 frames")
    refuse_vast(clip)
    up = up_axis(clip) if settings.up == "auto" else settings.up
    found = detect_units(clip)
    units = found.name if settings.units == "auto" else settings.units
    upright = to_y_up(clip, "z" if up == "z" else "y")
    spec = FeatureSpec.for_clip(
        upright,
        frame_rate=settings.frame_rate,
        metres_per_unit=found.metres if settings.units == "auto" else UNITS[settings.units],
        velocities=settings.velocities,
        contacts=settings.contacts,
        moving_joint=moving_joint(clip),
    )
    return Plan(spec, up, units), upright


def _plan_like(like: FeatureSpec, plan: Plan, typical: Clip, root: Path) -> Plan:
    """The plan with features laid out as those of another corpus, in its own unit."""
    scale = plan.spec.metres_per_unit / like.metres_per_unit
    if reason := like.mismatch(typical.skeleton, typical.translations[0] * scale):
        raise CorpusError(
            f"{root}: cannot join a corpus of another skeleton: {reason}; two corpora need one skeleton, so bring this "
            "one to the other's first"
        )
    rest = tuple((float(x), float(y), float(z)) for x, y, z in like.rest_array / scale)
    return replace(plan, spec=replace(like, rest=rest, metres_per_unit=plan.spec.metres_per_unit))


def conform(clip: Clip, plan: Plan) -> Clip:
    """Bring a clip to the corpus' up axis and frame rate.

    Raises:
        ValueError: the clip cannot be turned, has other joints or bones, or bones that change length; says which.
    """
    from motionsynth.motion.resample import resample

    if len(clip) < 2:
        raise ValueError(f"has {len(clip)} frame(s): at least 2 are needed")
    refuse_vast(clip)
    clip = to_y_up(clip, "z" if plan.up == "z" else "y")
    difference = plan.spec.mismatch(clip.skeleton, clip.translations[0])
    if difference:
        raise _OtherSkeletonError(difference)
    below = {plan.spec.names[joint] for joint in plan.spec.joints_below}
    stretching = [name for name in stretching_bones(clip) if name in below]
    if stretching:
        listed = ", ".join(stretching[:4]) + (f" and {len(stretching) - 4} more" if len(stretching) > 4 else "")
        raise ValueError(f"bones change length in time: {listed}; features hold rigid bones only")
    clip = resample(clip, plan.spec.frame_rate)
    if len(clip) < 2:
        raise ValueError(f"lasts less than 2 frames at {plan.spec.frame_rate:g} frames a second")
    return clip


class _OtherSkeletonError(ValueError):
    pass


def _encode_file(plan: Plan, root: Path, file: str) -> Encoded | Fault:
    from motionsynth.motion.mirror import mirror

    try:
        clip = read_bvh(root / file)
        conformed = conform(clip, plan)
        mirrored = None
        if plan.mirror_frames is not None:
            mirrored = encode_array(mirror(conformed, plan.mirror_frames), plan.spec)
        return Encoded(file, encode_array(conformed, plan.spec), mirrored, frame_words(clip))
    except BvhError as error:
        return Fault(file, str(error))
    except _OtherSkeletonError as error:
        return Fault(file, f"{root / file}: {error}", skeleton_signature(clip))
    except ValueError as error:
        return Fault(file, f"{root / file}: {error}")


def skeleton_signature(clip: Clip) -> tuple[Any, ...]:
    """What two clips of one skeleton have in common: joints, tree, and bones to a hundredth of the longest."""
    bones = np.linalg.norm(clip.translations[0], axis=-1)
    bones[: moving_joint(clip) + 1] = 0.0  # these translations are places, not bones
    shares = np.round(bones / max(bones.max(), np.finfo(float).tiny), 2)
    return clip.skeleton.names, clip.skeleton.parents, tuple(shares.tolist())


def encode_files(
    root: Path, files: Sequence[str], plan: Plan, *, workers: int | None = None, progress: Progress | None = None
) -> Iterator[Encoded | Fault]:
    """Read and encode files, in order; on all cores where that pays.

    Args:
        root: the folder.
        files: POSIX paths inside it.
        plan: what is done to each.
        workers: processes; as many as there are cores where None.
        progress: called after every few files.
    """
    return over_files(partial(_encode_file, plan), root, files, workers=workers, progress=progress)


def over_files(
    function: Callable[[Path, str], Result],
    root: Path,
    files: Sequence[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Call ``function(root, file)`` for every file, on all cores where that pays; results come in order."""
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    workers = min(workers or available_cores(), len(chunks))
    results: Iterable[list[Result]]
    if workers > 1 and sum(_size(root / file) for file in files) > _SERIAL_BYTES:
        from joblib import Parallel, delayed

        results = Parallel(workers, return_as="generator", idle_worker_timeout=_IDLE_S)(
            delayed(_each)(function, root, chunk) for chunk in chunks
        )
    else:
        results = (_each(function, root, chunk) for chunk in chunks)
    done = 0
    for result in results:
        yield from result
        done += len(result)
        if progress is not None:
            progress(done, len(files))


def _each(function: Callable[[Path, str], Result], root: Path, files: Sequence[str]) -> list[Result]:
    return [function(root, file) for file in files]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
