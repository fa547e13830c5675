"""Checkpoints that are whole or not there: ``checkpoints/STEP/`` with weights, state and a manifest of hashes."""

from __future__ import annotations

import io
import json
import logging
import pickletools
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motionsynth.errors import RunError
from motionsynth.files import (
    new_folder,
    parse_json,
    read_regular,
    remove_folder,
    sweep_temporaries,
    write_synced,
)
from motionsynth.hashes import hash_bytes
from motionsynth.tensor_files import count_numbers, dump_tensors, load_tensors

__all__ = [
    "AVERAGE_PREFIX",
    "Checkpoint",
    "load_newest",
    "numbers_kept",
    "pack_weights",
    "save_checkpoint",
    "unpack_weights",
]

AVERAGE_PREFIX = "ema."
_FORMAT = 1
_WEIGHTS, _STATE, _MANIFEST = "weights.safetensors", "state.pt", "manifest.json"
_LARGEST_MANIFEST, _LARGEST_PICKLE, _LARGEST_FILE = 1 << 16, 1 << 22, 1 << 34
_CALLED = r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch [A-Z][A-Za-z0-9]*Storage"
"""Parts of a state beside plain values: tensors, and the storages that they lie in."""
_log = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """State that a run goes on from."""

    step: int
    weights: dict[str, Tensor]
    averages: dict[str, Tensor]
    """The moving average by the same names; empty where none is kept."""
    state: dict[str, Any]


def pack_weights(weights: Mapping[str, Tensor], averages: Mapping[str, Tensor]) -> bytes:
    """Weights and their moving average, the latter as ``ema.*``, as one safetensors file."""
    named = {**weights, **{AVERAGE_PREFIX + name: value for name, value in averages.items()}}
    return dump_tensors(named)


def unpack_weights(content: bytes) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights, and their moving average by the same names; ``ValueError`` where that is no safetensors file."""
    named = load_tensors(content)
    averages = {
        name.removeprefix(AVERAGE_PREFIX): value for name, value in named.items() if name.startswith(AVERAGE_PREFIX)
    }
    return {name: value for name, value in named.items() if not name.startswith(AVERAGE_PREFIX)}, averages


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int = 2) -> Path:
    """Write ``folder/STEP`` and leave the newest ``keep`` there.

    It is written under a temporary name, its manifest last, synced, and renamed; older ones are removed only after
    that. Checkpoints of later steps are leftovers of a past that a resumed run has abandoned: they go too.

    Raises:
        RunError: the folder is a symbolic link.
    """
    _refuse_link(folder)
    state = io.BytesIO()
    torch.save(checkpoint.state, state)
    files = {_WEIGHTS: pack_weights(checkpoint.weights, checkpoint.averages), _STATE: state.getvalue()}
    hashes = {name: hash_bytes(content) for name, content in files.items()}
    files[_MANIFEST] = json.dumps({"format": _FORMAT, "step": checkpoint.step, "sha256": hashes}, indent=1).encode()
    final = folder / str(checkpoint.step)
    with new_folder(final, size=sum(map(len, files.values()))) as place:
        for name, content in files.items():
            write_synced(place / name, content)
        if final.exists():
            remove_folder(final)  # of an earlier try, with which this step was reached again
    steps = _steps(folder)
    kept = [step for step in steps if step <= checkpoint.step][:keep]
    for step in set(steps) - set(kept):
        remove_folder(folder / str(step))
    sweep_temporaries(folder)
    return final


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest intact checkpoint; None where there has been none yet. Damaged ones are logged as warnings.

    Raises:
        RunError: there are checkpoints, and none is intact.
    """
    damage = []
    for step in _steps(folder):
        try:
            return _load(folder / str(step), step)
        except RunError as error:
            _log.warning("damaged checkpoint, trying an older one: %s", error)
            damage.append(str(error))
    if damage:
        raise RunError(folder, f"no checkpoint is intact ({'; '.join(damage)}); start again with another --run-dir")
    return None


def numbers_kept(folder: Path) -> int | None:
    """Numbers in the newest weights of a checkpoint that can be opened, 0 where none can; None without a checkpoint."""
    steps = _steps(folder)
    for step in steps:
        with suppress(OSError, ValueError):
            return count_numbers(folder / str(step) / _WEIGHTS)
    return 0 if steps else None


def _load(path: Path, step: int) -> Checkpoint:
    expected = _hashes(path / _MANIFEST, step)
    files = {name: _read(path / name, _LARGEST_FILE) for name in (_WEIGHTS, _STATE)}
    for name, content in files.items():
        if hash_bytes(content) != expected.get(name):
            raise RunError(path / name, "is damaged: its SHA-256 is not the manifest's")
    try:
        weights, averages = unpack_weights(files[_WEIGHTS])
    except ValueError as error:
        raise RunError(path / _WEIGHTS, f"cannot be read: {error}") from error
    return Checkpoint(step, weights, averages, _unpickled(files[_STATE], path / _STATE))


def _hashes(path: Path, step: int) -> dict[str, str]:
    """Read the SHA-256 of files from the manifest beside them."""
    content = _read(path, _LARGEST_MANIFEST)
    try:
        manifest = parse_json(content)
        if manifest["format"] != _FORMAT or manifest["step"] != step:
            raise RunError(path, f"is not of format {_FORMAT} and step {step}")
        return dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(path, "is damaged") from error


def _unpickled(content: bytes, path: Path) -> dict[str, Any]:
    """The state that ``torch.save`` wrote: of plain values and tensors alone, and no larger unpacked than packed."""
    try:
        _refuse_hostile(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged pickle comes upon raises whatever it likes, MemoryError included
        raise RunError(path, f"cannot be read: {' '.join(str(error).split())[:120] or type(error).__name__}") from error
    if not isinstance(state, dict):
        raise RunError(path, "cannot be read: not the state of a training")
    return state


def _refuse_hostile(content: bytes) -> None:
    """Raise ``ValueError`` for an archive that becomes larger when it is read, or calls what no state of ours calls.

    Torch's own reader runs no code, but makes a ``bytearray`` of any size that a file asks for.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if packed or sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("its parts are larger than the file")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                if entry.file_size > _LARGEST_PICKLE:
                    raise ValueError(f"has more than {_LARGEST_PICKLE:,} bytes beside its tensors")
                _refuse_calls(archive.read(entry))


def _refuse_calls(pickled: bytes) -> None:
    for opcode, name, _ in pickletools.genops(pickled):
        if "GLOBAL" in opcode.name and not re.fullmatch(_CALLED, str(name)):
            raise ValueError(f"calls {str(name)[:60]}, which no state needs")


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_regular(path, limit=limit, follow_links=False)
    except OSError as error:
        raise RunError(error.filename or path, error.strerror or str(error)) from error


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise RunError(folder, "is a symbolic link, not a folder of checkpoints; put the folder itself there")


def _steps(folder: Path) -> list[int]:
    """Steps that have a checkpoint, newest first.

    Raises:
        RunError: the folder, or that of a step, is a symbolic link: what it leads to is not the run's.
    """
    _refuse_link(folder)
    if not folder.is_dir():
        return []
    places = [path for path in folder.iterdir() if re.fullmatch("0|[1-9][0-9]{0,18}", path.name)]
    if link := next((path for path in places if path.is_symlink()), None):
        raise RunError(link, "is a symbolic link, not a checkpoint; put the folder itself there, or remove it")
    return sorted((int(path.name) for path in places if path.is_dir()), reverse=True)
