"""A run directory: the only thing handed from training to generation, evaluation and study.

    run.json                what it is (format 1), and its state
    config.yaml             the resolved configuration
    normaliser.safetensors  what features are divided by
    skeleton.bvh            what features are decoded onto
    splits.json             which clips were trained on, chosen by, and held out
    weights.safetensors     what was learnt; the moving average as ``ema.*``
    metrics.jsonl           the journal
    checkpoints/STEP/       what a resumed training goes on from
    samples/, scores.json   what later commands add

Nothing in it names a place outside it that generation needs: copied to another machine it still generates.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from motionsynth import __version__
from motionsynth.config import DataConfig, RunConfig, config_hash, dump_config, load_config
from motionsynth.errors import ConfigError, RunError
from motionsynth.families.base import Family, MotionShape
from motionsynth.files import hash_bytes, locked, new_folder, write_bytes, write_synced
from motionsynth.provenance import git_commit
from motionsynth.training.checkpoint import pack_weights, unpack_weights
from motionsynth.training.determinism import build_family

if TYPE_CHECKING:
    from motionsynth.features.normalise import Normaliser
    from motionsynth.features.spec import FeatureSpec
    from motionsynth.motion.skeleton import Skeleton

__all__ = ["FORMAT", "Run", "RunRecord", "create_run", "open_run", "refuse_taken"]

FORMAT = 1
_RECORD, _CONFIG, _WEIGHTS, _NORMALISER = "run.json", "config.yaml", "weights.safetensors", "normaliser.safetensors"
_SKELETON, _SPLITS, _LOCK = "skeleton.bvh", "splits.json", ".lock"


class RunRecord(BaseModel):
    """What ``run.json`` holds; keys that other parts add are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[1]
    family: str
    config_hash: str
    corpus_path: str
    """Where the corpus was, in full; only a resumed training looks there."""
    second_path: str | None = None
    """Where the second corpus was, where there was one."""
    corpus_fingerprint: str
    tracking_id: str
    """Made with the run, so that a tracker can find it again from here."""
    state: Literal["created", "running", "finished", "stopped", "failed"]
    pid: int | None = None
    """Process that trains it, while it runs."""
    host: str | None = None
    """Machine of that process."""
    ranks: int = 1
    """Processes that trained it when it was trained last."""
    step: int = 0
    created: str
    """ISO 8601, UTC."""
    motionsynth: str
    git_commit: str | None = None
    frames: int
    """T, frames in a window."""
    width: int
    """D, features in a frame."""
    features: dict[str, Any]
    """The ``FeatureSpec``."""
    labels: dict[str, tuple[str, ...]]
    """Label name -> class names, in order of class index."""
    sha256: dict[str, str]
    """File name -> SHA-256 of those that must not change unnoticed."""
    error: str | None = None
    """Why it failed."""
    surrogate: str | None = None
    """Why what it minimises is only near the divergence that its objective names."""
    tags: dict[str, str] = Field(default_factory=dict)
    """What it belongs to, such as the arm of a study; a tracker shows them."""


class Run:
    """An open run directory.

    Args:
        path: the directory.
        record: its ``run.json``.
        config: its configuration.
    """

    def __init__(self, path: Path, record: RunRecord, config: RunConfig) -> None:
        self.path, self.record, self.config = path, record, config
        self._locks = 0

    @property
    def shape(self) -> MotionShape:
        """Size of the windows the family is built for."""
        classes = {name: len(names) for name, names in self.record.labels.items()}
        return MotionShape(self.record.frames, self.record.width, classes)

    @property
    def data(self) -> DataConfig:
        """Its data section, with folders where they were when it began: it may have named them from another folder."""
        places = {"path": self.record.corpus_path, "second": self.record.second_path}
        there = {key: Path(place) for key, place in places.items() if place and Path(place).exists()}
        return self.config.data.model_copy(update=there)

    @property
    def journal_path(self) -> Path:
        """The journal; see ``motionsynth.training.journal``."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints_path(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples_path(self) -> Path:
        """Folder of generated clips."""
        return self.path / "samples"

    def reload(self) -> None:
        """Read ``run.json`` again."""
        self.record = _read_record(self.path)

    def update(self, **changes: Any) -> None:
        """Change entries of ``run.json``, on the disk as a whole or not at all."""
        record = RunRecord.model_validate({**self.record.model_dump(), **changes})
        write_bytes(self.path / _RECORD, _json(record.model_dump(mode="json")))
        self.record = record

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one who trains in this directory; ``RunError`` where another does. May be nested."""
        if self._locks:
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / _LOCK))
            except TimeoutError as error:
                record = _read_record(self.path)
                other = f"process {record.pid} on {record.host}" if record.pid else "another process"
                raise RunError(self.path, f"{other} is training in this directory") from error
            self._locks = 1
            try:
                yield
            finally:
                self._locks = 0

    @property
    def is_training(self) -> bool:
        """Whether a process of this machine trains in it now; False for a run that was killed, whatever its state."""
        if self._locks:
            return True
        try:
            with self.lock():
                return False
        except RunError:
            return True

    def save_weights(self, weights: Mapping[str, Tensor], averages: Mapping[str, Tensor], **changes: Any) -> None:
        """Write ``weights.safetensors``, and its hash with further ``changes`` into ``run.json``."""
        content = pack_weights(weights, averages)
        write_bytes(self.path / _WEIGHTS, content)
        self.update(sha256={**self.record.sha256, _WEIGHTS: hash_bytes(content)}, **changes)

    def load_family(self, device: torch.device | str = "cpu", *, ema: bool = True) -> Family:
        """The trained family, ready to sample.

        Args:
            device: where it goes.
            ema: whether its weights are the moving average, where the run kept one.

        Raises:
            RunError: there are no weights yet, or they are damaged or of another family.
        """
        weights, averages = self.load_weights()
        family = build_family(self.config.family, self.shape, self.config.train.seed)
        try:
            family.load_state_dict(averages if ema and averages else weights)
        except RuntimeError as error:
            raise RunError(self.path / _WEIGHTS, f"does not fit {self.record.family}: {error}") from error
        return family.to(device).eval()

    def load_weights(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights by name, and their moving average by the same names, empty where none was kept; on the CPU."""
        if not (self.path / _WEIGHTS).exists():
            raise RunError(self.path / _WEIGHTS, "is missing: training has not finished; go on with train --resume")
        return unpack_weights(self._read_checked(_WEIGHTS))

    def normaliser_tensors(self) -> dict[str, Tensor]:
        """What ``normaliser.safetensors`` holds."""
        return load_tensors(self._read_checked(_NORMALISER))

    def normaliser(self) -> Normaliser:
        """What maps features to those the family learnt, and back."""
        from motionsynth.features.normalise import Normaliser

        return Normaliser.from_tensors(self.normaliser_tensors())

    def spec(self) -> FeatureSpec:
        """What the features are."""
        from motionsynth.features.spec import FeatureSpec

        return FeatureSpec.from_dict(self.record.features)

    def skeleton(self) -> Skeleton:
        """What the features are decoded onto."""
        from motionsynth.motion.bvh import read_bvh

        return read_bvh(self.path / _SKELETON).skeleton

    def splits(self) -> dict[str, Any]:
        """The record of which clips were trained on, chosen by, and held out."""
        splits: dict[str, Any] = json.loads(self._read_checked(_SPLITS))
        return splits

    def _read_checked(self, name: str) -> bytes:
        content = _read(self.path / name)
        if hash_bytes(content) != self.record.sha256.get(name):
            raise RunError(self.path / name, "is damaged or was changed: its SHA-256 is not the one in run.json")
        return content


def create_run(
    path: str | Path,
    config: RunConfig,
    *,
    spec: Mapping[str, Any],
    width: int,
    labels: Mapping[str, Sequence[str]],
    normaliser: Mapping[str, Tensor],
    corpus_fingerprint: str,
    splits: Mapping[str, Any],
    write_skeleton: Callable[[Path], None],
    tags: Mapping[str, str] | None = None,
) -> Run:
    """Make a run directory, complete or not at all.

    Args:
        path: where; must be missing or empty.
        config: the resolved configuration.
        spec: ``FeatureSpec.to_dict()``.
        width: D, features in a frame.
        labels: label name -> class names in order of class index.
        normaliser: tensors of the fitted normaliser.
        corpus_fingerprint: identity of the clips.
        splits: the record of which clips were trained on, chosen by, and held out.
        write_skeleton: writes the skeleton as BVH to the path it is given.
        tags: what it belongs to, such as ``{"study": "smoke", "arm": "vae"}``; none where None.

    Raises:
        RunError: the directory is not empty, or cannot be made.
    """
    path = Path(path)
    files = {
        _CONFIG: dump_config(config).encode(),
        _NORMALISER: save_tensors({k: v.detach().cpu().clone().contiguous() for k, v in normaliser.items()}),
        _SPLITS: _json(splits),
    }
    record = RunRecord(
        format=FORMAT,
        family=config.family.name,
        config_hash=config_hash(config),
        corpus_path=str(config.data.path.absolute()),
        second_path=str(config.data.second.absolute()) if config.data.second else None,
        corpus_fingerprint=corpus_fingerprint,
        tracking_id=uuid.uuid4().hex,
        state="created",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        motionsynth=__version__,
        git_commit=git_commit(),
        frames=config.data.window_frames,
        width=width,
        features=dict(spec),
        surrogate=config.family.surrogate,
        labels={name: tuple(names) for name, names in labels.items()},
        sha256={name: hash_bytes(content) for name, content in files.items()},
        tags=dict(tags or {}),
    )
    files[_RECORD] = _json(record.model_dump(mode="json"))
    try:
        _place(path, files, write_skeleton)
    except OSError as error:
        raise RunError(error.filename or path, error.strerror or str(error)) from error
    return Run(path, record, config)


def refuse_taken(path: Path) -> None:
    """Raise ``RunError`` where a new run cannot be made because something is there."""
    if path.is_symlink():
        raise RunError(path, "is a symbolic link; name the folder itself")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        kind = "not empty" if path.is_dir() else "no folder"
        raise RunError(path, f"is there already and {kind}; go on with it by --resume, or name another --run-dir")


def _place(path: Path, files: Mapping[str, bytes], write_skeleton: Callable[[Path], None]) -> None:
    refuse_taken(path)
    with new_folder(path, size=sum(map(len, files.values()))) as folder:
        write_skeleton(folder / _SKELETON)
        for name, content in files.items():
            write_synced(folder / name, content)


def open_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        RunError: it is missing, damaged, or of a format that this version does not know.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(path, "no such run directory")
    record = _read_record(path)
    try:
        config = load_config(path / _CONFIG)
    except ConfigError as error:
        raise RunError(path / _CONFIG, f"{error.key or ''} {error.reason}".strip()) from error
    run = Run(path, record, config)
    run._read_checked(_CONFIG)
    return run


def _read_record(path: Path) -> RunRecord:
    if not (path / _RECORD).exists():
        raise RunError(path, "is not a run directory: it has no run.json")
    try:
        document = json.loads(_read(path / _RECORD))
        found = document["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(path / _RECORD, "is damaged: not the JSON of a run") from error
    if found != FORMAT:
        raise RunError(
            path / _RECORD, f"format {found!r} is unknown to motionsynth {__version__}, which reads {FORMAT}"
        )
    try:
        return RunRecord.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RunError(path / _RECORD, f"is damaged: {key}: {first['msg']}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(path, error.strerror or str(error)) from error


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
