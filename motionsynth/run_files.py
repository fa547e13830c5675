"""The files of a run directory, which may come from someone else: looked through once, then read within bounds.

Inside a run directory there may be regular files and folders alone: a symbolic link would have a delivery upload, or a
resumed training change, what lies elsewhere. The directory itself may be reached by one, as by ``runs/latest``.

``run.json`` holds its own checksum, ``sha256["run.json"]``: of all else that it says, as JSON with sorted keys, so that
the file may be laid out in any way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from motionsynth import __version__
from motionsynth.errors import RunError
from motionsynth.files import parse_json, read_regular, refuse_irregular
from motionsynth.hashes import hash_bytes

__all__ = [
    "BASIS",
    "CONFIG",
    "FORMAT",
    "NORMALISER",
    "RECORD",
    "SKELETON",
    "SPLITS",
    "WEIGHTS",
    "RunFiles",
    "RunRecord",
    "holds_run",
    "refuse_taken",
    "sealed",
]

FORMAT: Final = 2
"""Format of run directories; in those of format 1 convolutions saw zeros beyond the ends of a window."""
RECORD: Final = "run.json"
CONFIG: Final = "config.yaml"
WEIGHTS: Final = "weights.safetensors"
NORMALISER: Final = "normaliser.safetensors"
BASIS: Final = "basis.safetensors"
SKELETON: Final = "skeleton.bvh"
SPLITS: Final = "splits.json"

_MEGABYTE: Final = 1 << 20
_LARGEST: Final = {
    RECORD: 16 * _MEGABYTE,
    CONFIG: _MEGABYTE,
    NORMALISER: 16 * _MEGABYTE,
    BASIS: 1024 * _MEGABYTE,
    SKELETON: 16 * _MEGABYTE,
    SPLITS: 64 * _MEGABYTE,
    "scores.json": 16 * _MEGABYTE,
    "tracking.json": 16 * _MEGABYTE,
}
"""Most bytes that are read of a file; those of no other name are bounded by who reads them."""

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Size = Annotated[int, Field(ge=1, lt=2**31)]


class RunRecord(BaseModel):
    """Content of ``run.json``; keys that other parts add are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[1, 2]
    family: str
    config_hash: str
    corpus_path: str
    """Full path of the corpus in training; only a resumed training looks there."""
    second_path: str | None = None
    """Full path of the second corpus, where there was one."""
    corpus_fingerprint: str
    tracking_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
    """Made with the run, so that a tracker can find it again from here."""
    state: Literal["created", "running", "finished", "stopped", "failed"]
    pid: _Size | None = None
    """Process that trains it, while it runs."""
    host: str | None = None
    """Machine of that process."""
    ranks: _Size = 1
    """Processes that trained it when it was trained last."""
    step: _Count = 0
    created: str
    """ISO 8601, UTC."""
    motionsynth: str
    git_commit: str | None = None
    frames: _Size
    """T, frames in a window."""
    width: _Size
    """D, features in a frame."""
    features: dict[str, Any]
    """The ``FeatureSpec``."""
    labels: dict[str, tuple[str, ...]]
    """Label name -> class names, in order of class index."""
    sha256: dict[str, str]
    """File name -> SHA-256 of those that must not change unnoticed; that of ``run.json`` itself is left out here."""
    error: str | None = None
    """Reason of the failure."""
    outcome: Literal["finished", "converged", "copying"] | None = None
    """End of a finished training: by its budget, or before; None in runs from before this was noted."""
    surrogate: str | None = None
    """Reason for which what it minimises is only near the divergence that its objective names."""
    up: Literal["y", "z"] = "y"
    """Axis that points up in the corpus' files: exports keep it."""
    source_rate: float | None = Field(default=None, gt=0, le=1e6, allow_inf_nan=False)
    """Frames a second of the corpus' files: exports keep it; they have the model's where None."""
    machine: dict[str, str] = Field(default_factory=dict)
    """Device, processor, cores and torch of where it was trained last; empty in runs from before this was noted."""
    chosen: dict[str, str] = Field(default_factory=dict)
    """Key of ``train`` that was ``auto`` -> what that stood for when the run began."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Names and values that a tracker shows, such as the arm of a study."""

    @field_validator("error", mode="before")
    @classmethod
    def _unicode(cls, error: Any) -> Any:
        # a reason may name a file whose name is no Unicode, and must not keep the state from being written
        return error.encode("utf-8", "replace").decode() if isinstance(error, str) else error


class RunFiles:
    """The files of a run directory, after a look through all of it.

    Args:
        path: the directory; may be a symbolic link to one.

    Raises:
        RunError: there is none, or something inside is neither a regular file nor a folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise RunError(self.path, "no such run directory")
        try:
            for entry in _irregular(self.path):
                refuse_irregular(entry)
        except OSError as error:
            raise _as_run_error(error, self.path) from error

    def read(self, name: str, *, limit: int | None = None) -> bytes:
        """The content of a file.

        Args:
            name: of the file.
            limit: most bytes it may have; what a file of that name may have where None.

        Raises:
            RunError: it is missing, cannot be read, or is too large.
        """
        path = self.path / name
        try:
            return read_regular(path, limit=_LARGEST[name] if limit is None else limit, follow_links=False)
        except OSError as error:
            raise _as_run_error(error, path) from error

    def read_checked(self, name: str, record: RunRecord, *, limit: int | None = None) -> bytes:
        """The content of a file whose SHA-256 stands in ``run.json``; see ``read``.

        Raises:
            RunError: as ``read``, or it is not what was written.
        """
        content = self.read(name, limit=limit)
        if hash_bytes(content) != record.sha256.get(name):
            raise RunError(self.path / name, f"is damaged or was changed: its SHA-256 is not the one in {RECORD}")
        return content

    def record(self) -> RunRecord:
        """Read ``run.json``.

        Raises:
            RunError: it is missing, of a format that this version does not know, damaged, or was changed.
        """
        path = self.path / RECORD
        if not os.path.lexists(path):
            raise RunError(self.path, f"is not a run directory: it has no {RECORD}")
        try:
            document = parse_json(self.read(RECORD))
        except ValueError as error:
            raise RunError(path, "cannot be read: not the JSON of a run") from error
        found = document.get("format") if isinstance(document, dict) else None
        if found is None:
            raise RunError(path, "is damaged: not the JSON of a run")
        if found not in (1, FORMAT):
            shown = repr(found)[:40]
            raise RunError(path, f"format {shown} is unknown to motionsynth {__version__}, which reads 1 and {FORMAT}")
        return _validated(document, path)


def _validated(document: Mapping[str, Any], path: Path) -> RunRecord:
    try:
        record = RunRecord.model_validate(document)
        expected = _checksum(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RunError(path, f"is damaged: {key[:80]}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:  # text that is no Unicode, or is nested too deeply
        raise RunError(path, "is damaged: not the JSON of a run") from error
    hashes = dict(record.sha256)
    if (own := hashes.pop(RECORD, None)) is None:
        raise RunError(path, "holds no checksum of itself: it was changed, or written by an early version; train again")
    if own != expected:
        raise RunError(path, "is damaged or was changed: its SHA-256 is not the one that it holds")
    return record.model_copy(update={"sha256": hashes})


def sealed(document: Mapping[str, Any]) -> bytes:
    """The bytes of a ``run.json`` that says this and holds its checksum; a checksum that is there is replaced."""
    hashes = {**document.get("sha256", {}), RECORD: _checksum(document)}
    text = json.dumps({**document, "sha256": hashes}, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _checksum(document: Mapping[str, Any]) -> str:
    hashes = {name: value for name, value in document.get("sha256", {}).items() if name != RECORD}
    content = {**document, "sha256": hashes}
    return hash_bytes(json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False).encode())


def holds_run(path: str | Path) -> bool:
    """Test whether a folder has a ``run.json``, of whatever kind: what it is worth is seen when it is opened."""
    return os.path.lexists(Path(path) / RECORD)


def refuse_taken(path: Path) -> None:
    """Raise ``RunError`` where a new run cannot be made because something is there."""
    if path.is_symlink():
        raise RunError(path, "is a symbolic link; name the folder itself")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        if not path.is_dir():
            raise RunError(path, "is there already and no folder; name another --run-dir")
        raise RunError(path, "is there already and not empty; go on with it by --resume, or name another --run-dir")


def _irregular(folder: Path) -> Iterator[Path]:
    """Entries at any depth that are neither regular files nor folders; those that vanish meanwhile are passed over."""
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False):
                        yield Path(entry.path)
        except FileNotFoundError:
            continue


def _as_run_error(error: OSError, path: Path) -> RunError:
    reason = error.strerror or str(error)
    if reason.endswith(", not a file"):
        reason += ": a run directory holds files and folders alone; put the file itself there, or remove it"
    return RunError(error.filename or path, reason)
