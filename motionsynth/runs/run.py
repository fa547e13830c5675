"""A run directory: the only thing handed from training to generation, evaluation and study.

    run.json                what it is (format 2), its state, and a checksum of both
    config.yaml             the resolved configuration
    normaliser.safetensors  what features are divided by
    basis.safetensors       what windows are coefficients of, or weights of features, where the networks see those
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
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from motionsynth import __version__
from motionsynth.config import RunConfig, config_hash, dump_config, load_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import WindowMap
from motionsynth.errors import ConfigError, RunError
from motionsynth.families.base import Family
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import locked, new_folder, parse_json, write_bytes, write_synced
from motionsynth.hashes import hash_bytes
from motionsynth.motion.skeleton import Skeleton
from motionsynth.nn.convolution import Conv
from motionsynth.provenance import git_commit
from motionsynth.run_files import (
    BASIS,
    CONFIG,
    FORMAT,
    NORMALISER,
    RECORD,
    SKELETON,
    SPLITS,
    WEIGHTS,
    RunFiles,
    RunRecord,
    refuse_taken,
    sealed,
)
from motionsynth.tensor_files import count_numbers, dump_tensors, load_tensors
from motionsynth.training.bounds import SLACK
from motionsynth.training.checkpoint import numbers_kept, pack_weights, unpack_weights
from motionsynth.training.determinism import build_family

__all__ = ["FORMAT", "Run", "RunRecord", "create_run", "open_run"]

_LOCK = ".lock"
_Built = TypeVar("_Built")


class Run:
    """An open run directory.

    Args:
        files: what is in it.
        record: its ``run.json``.
        config: its configuration.
    """

    def __init__(self, files: RunFiles, record: RunRecord, config: RunConfig) -> None:
        self.files, self.path, self.record, self.config = files, files.path, record, config
        self._locks = 0
        self._basis: WindowMap | None = None

    @property
    def shape(self) -> MotionShape:
        """Size of the windows, and the basis that the networks see them in."""
        classes = {name: len(names) for name, names in self.record.labels.items()}
        return MotionShape(self.record.frames, self.record.width, classes, self.basis())

    def basis(self) -> WindowMap | None:
        """Map between windows and what the networks see in their place; None where they see windows."""
        if (settings := self.config.family.basis) and self._basis is None:
            size, read = (self.record.frames, self.record.width), settings.READ
            self._basis = self._built(BASIS, lambda content: read(load_tensors(content), size))
        return self._basis

    @property
    def data(self) -> DataConfig:
        """Its data section, with folders where they were when it began: it may have named them from another folder.

        A file of bones is the run's own skeleton, which has the same bones.
        """
        places = {"path": self.record.corpus_path, "second": self.record.second_path}
        # not Path.exists, which raises for a name that no file system takes
        there = {key: Path(place) for key, place in places.items() if place and os.path.exists(place)}  # noqa: PTH110
        if isinstance(self.config.data.bones, Path):
            there["bones"] = self.path / SKELETON
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
        self.record = self.files.record()

    def update(self, **changes: Any) -> None:
        """Change entries of ``run.json``, on the disk as a whole or not at all."""
        record = RunRecord.model_validate({**self.record.model_dump(), **changes})
        write_bytes(self.path / RECORD, sealed(record.model_dump(mode="json")))
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
                record = self.files.record()
                other = f"process {record.pid} on {record.host}" if record.pid else "another process"
                raise RunError(self.path, f"{other} is training in this directory") from error
            self._locks = 1
            try:
                yield
            finally:
                self._locks = 0

    @property
    def is_training(self) -> bool:
        """True while a process of this machine trains in it; False for a run that was killed, whatever its state."""
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
        write_bytes(self.path / WEIGHTS, content)
        self.update(sha256={**self.record.sha256, WEIGHTS: hash_bytes(content)}, **changes)

    def load_family(self, device: torch.device | str = "cpu", *, ema: bool = True) -> Family:
        """The trained family, ready to sample.

        Args:
            device: where it goes.
            ema: whether its weights are the moving average, where the run kept one.

        Raises:
            RunError: there are no weights yet, or they are damaged or of another family.
        """
        family, weights, averages = self._load()
        try:
            family.load_state_dict(averages if ema and averages else weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise RunError(self.path / WEIGHTS, f"does not fit {self.record.family}: {reason[:300]}") from error
        return family.to(device).eval()

    def load_weights(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights by name, and their moving average by the same names, empty where none was kept; on the CPU."""
        _, weights, averages = self._load()
        return weights, averages

    def build_family(self) -> Family:
        """The family with its initial weights, as large as what was learnt of it allows.

        Raises:
            RunError: it would hold many more numbers than the weights, or the newest checkpoint; cannot be built; or
                has convolutions that learnt before they held the ends of a window.
        """
        path = self.path / WEIGHTS
        try:
            kept = count_numbers(path) if path.exists() else numbers_kept(self.checkpoints_path)
        except (OSError, ValueError) as error:
            raise RunError(path, f"is damaged: {error}") from error
        try:
            family = build_family(self.config.family, self.shape, self.config.train.seed, kept=kept)
        except ValueError as error:
            against = "" if kept is None else f" beside {WEIGHTS if path.exists() else 'checkpoints'}"
            raise RunError(self.path / CONFIG, f"cannot be used{against}: {error}") from error
        if self.record.format < 2 and any(isinstance(part, Conv) for part in family.modules()):
            reason = "its convolutions learnt with zeros beyond the ends of a window, and would now make other motion"
            raise RunError(self.path, f"cannot be used: {reason}; train it again")
        return family

    def _load(self) -> tuple[Family, dict[str, Tensor], dict[str, Tensor]]:
        """The family with its initial weights, then what ``load_weights`` gives, read only where it is of that size."""
        path = self.path / WEIGHTS
        if not path.exists():
            raise RunError(path, "is missing: training has not finished; go on with train --resume")
        family = self.build_family()
        largest = 2 * sum(value.nbytes for value in family.state_dict().values()) + SLACK
        weights, averages = self._built(WEIGHTS, unpack_weights, limit=largest)
        return family, weights, averages

    def normaliser_tensors(self) -> dict[str, Tensor]:
        """Contents of ``normaliser.safetensors``."""
        return self._built(NORMALISER, load_tensors)

    def normaliser(self) -> Normaliser:
        """Map from features to those the family learnt, and back."""
        normaliser = self._built(NORMALISER, lambda content: Normaliser.from_tensors(load_tensors(content)))
        if len(normaliser.mean_D) != self.record.width:
            reason = f"is of {len(normaliser.mean_D)} features, but {RECORD} has {self.record.width}"
            raise RunError(self.path / NORMALISER, reason)
        return normaliser

    def _built(self, name: str, build: Callable[[bytes], _Built], limit: int | None = None) -> _Built:
        """Make something of the content of a file, which must be as it was written."""
        content = self.files.read_checked(name, self.record, limit=limit)
        try:
            return build(content)
        except ValueError as error:
            raise RunError(self.path / name, f"is damaged: {error}") from error

    def spec(self) -> FeatureSpec:
        """Columns of the features."""
        try:
            spec = FeatureSpec.from_dict(self.record.features)
        except ValueError as error:
            raise RunError(self.path / RECORD, f"is damaged: features: {error}") from error
        if spec.width != self.record.width:
            reason = f"is damaged: its features make {spec.width} columns, but its width is {self.record.width}"
            raise RunError(self.path / RECORD, reason)
        return spec

    def skeleton(self) -> Skeleton:
        """Skeleton that the features are decoded onto."""
        from motionsynth.motion.bvh import read_bvh

        self.files.read_checked(SKELETON, self.record)
        return read_bvh(self.path / SKELETON).skeleton

    def splits(self) -> dict[str, Any]:
        """The record of which clips were trained on, chosen by, and held out."""
        splits = self._built(SPLITS, parse_json)
        if not isinstance(splits, dict):
            raise RunError(self.path / SPLITS, "is damaged: not the record of a split")
        return splits


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
    basis: Mapping[str, Tensor] | None = None,
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
        basis: tensors of the basis that the networks see windows in; None where they see the windows.
        write_skeleton: writes the skeleton as BVH to the path it is given.
        tags: what it belongs to, such as ``{"study": "smoke", "arm": "vae"}``; none where None.

    Raises:
        RunError: the directory is not empty, or cannot be made.
    """
    path = Path(path)
    files = {
        CONFIG: dump_config(config).encode(),
        NORMALISER: dump_tensors(normaliser),
        SPLITS: json.dumps(splits, indent=1, ensure_ascii=False).encode() + b"\n",
        **({BASIS: dump_tensors(basis)} if basis else {}),
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
    try:
        record = _place(path, record, files, write_skeleton)
    except OSError as error:
        raise RunError(error.filename or path, error.strerror or str(error)) from error
    return Run(RunFiles(path), record, config)


def _place(
    path: Path, record: RunRecord, files: Mapping[str, bytes], write_skeleton: Callable[[Path], None]
) -> RunRecord:
    """Make the directory, complete or not at all; the record with the hash of the skeleton too."""
    refuse_taken(path)
    with new_folder(path, size=sum(map(len, files.values()))) as folder:
        write_skeleton(folder / SKELETON)
        hashes = {**record.sha256, SKELETON: hash_bytes((folder / SKELETON).read_bytes())}
        record = record.model_copy(update={"sha256": hashes})
        for name, content in {**files, RECORD: sealed(record.model_dump(mode="json"))}.items():
            write_synced(folder / name, content)
    return record


def open_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        RunError: it is missing, damaged, of a format that this version does not know, or holds something else than
            files and folders.
    """
    files = RunFiles(path)
    record = files.record()
    files.read_checked(CONFIG, record)
    try:
        config = load_config(files.path / CONFIG)
    except ConfigError as error:
        raise RunError(files.path / CONFIG, f"{error.key or ''} {error.reason}".strip()) from error
    for key, noted, meant in (
        ("family", record.family, config.family.name),
        ("frames", record.frames, config.data.window_frames),
    ):
        if noted != meant:
            raise RunError(files.path / RECORD, f"is damaged: its {key} is {noted}, but that of {CONFIG} is {meant}")
    return Run(files, record, config)
