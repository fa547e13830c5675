"""Checkpoints that are whole or not there: ``checkpoints/STEP/`` with weights, state and a manifest of hashes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from motionsynth.errors import RunError
from motionsynth.files import hash_bytes, new_folder, remove_folder, sweep_temporaries, write_synced

__all__ = ["AVERAGE_PREFIX", "Checkpoint", "load_newest", "pack_weights", "save_checkpoint", "unpack_weights"]

AVERAGE_PREFIX = "ema."
_FORMAT = 1
_WEIGHTS, _STATE, _MANIFEST = "weights.safetensors", "state.pt", "manifest.json"
_log = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """What a run goes on from."""

    step: int
    weights: dict[str, Tensor]
    averages: dict[str, Tensor]
    """The moving average by the same names; empty where none is kept."""
    state: dict[str, Any]


def pack_weights(weights: Mapping[str, Tensor], averages: Mapping[str, Tensor]) -> bytes:
    """Weights and their moving average, the latter as ``ema.*``, as one safetensors file."""
    named = {**weights, **{AVERAGE_PREFIX + name: value for name, value in averages.items()}}
    # cloned because safetensors refuses tensors that share memory, as tied weights do
    return save_tensors({name: value.detach().cpu().clone().contiguous() for name, value in named.items()})


def unpack_weights(content: bytes) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights, and their moving average by the same names."""
    named = load_tensors(content)
    averages = {
        name.removeprefix(AVERAGE_PREFIX): value for name, value in named.items() if name.startswith(AVERAGE_PREFIX)
    }
    return {name: value for name, value in named.items() if not name.startswith(AVERAGE_PREFIX)}, averages


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int = 2) -> Path:
    """Write ``folder/STEP`` and leave the newest ``keep`` there.

    It is written under a temporary name, its manifest last, synced, and renamed; older ones are removed only after
    that. Checkpoints of later steps are leftovers of a past that a resumed run has abandoned: they go too.
    """
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


def _load(path: Path, step: int) -> Checkpoint:
    files = {}
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        if manifest["format"] != _FORMAT or manifest["step"] != step:
            raise RunError(path / _MANIFEST, f"is not of format {_FORMAT} and step {step}")
        expected = {name: manifest["sha256"][name] for name in (_WEIGHTS, _STATE)}
        for name in expected:
            files[name] = (path / name).read_bytes()
    except OSError as error:
        raise RunError(error.filename or path, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(path / _MANIFEST, "is damaged") from error
    for name, content in files.items():
        if hash_bytes(content) != expected[name]:
            raise RunError(path / name, "is damaged: its SHA-256 is not the manifest's")
    try:
        state = torch.load(io.BytesIO(files[_STATE]), map_location="cpu", weights_only=True)
        weights, averages = unpack_weights(files[_WEIGHTS])
    except (SafetensorError, UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise RunError(path, f"cannot be read: {error}") from error
    return Checkpoint(step, weights, averages, state)


def _steps(folder: Path) -> list[int]:
    """Steps that have a checkpoint, newest first."""
    if not folder.is_dir():
        return []
    return sorted(
        (int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()), reverse=True
    )
