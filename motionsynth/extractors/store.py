"""Extractors on the disk: a folder that is whole or not there, and the ones kept for corpora seen before."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from motionsynth.corpus.cache import default_cache
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.shape import MotionShape
from motionsynth.errors import ExtractorError
from motionsynth.extractors.cells import Cells
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.fitting import train_extractor
from motionsynth.extractors.gate import Gate
from motionsynth.extractors.networks import Networks
from motionsynth.extractors.recipe import RECIPE
from motionsynth.extractors.spaces import Axes, Standard
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import new_folder, parse_json, read_regular, remove_folder, write_synced
from motionsynth.hashes import hash_bytes, hash_json
from motionsynth.progress import Progress
from motionsynth.tensor_files import dump_tensors, load_tensors

__all__ = ["extractor_for", "load_extractor", "refuse_taken", "save_extractor"]

_log = logging.getLogger(__name__)

_FORMAT: Final = 2
"""In extractors of format 1 convolutions saw zeros beyond the ends of a window."""
_HEADER, _WEIGHTS = "extractor.json", "weights.safetensors"
_LARGEST_HEADER, _LARGEST_WEIGHTS = 1 << 24, 1 << 33


def extractor_for(
    corpus: Corpus,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Extractor:
    """The extractor of a corpus: the one that is kept, or else one that is trained now and kept.

    Args:
        corpus: whose training split it is fitted on.
        folder: where it is kept; None for the cache, by the corpus' fingerprint and the version of the recipe.
        device: where it is trained.
        progress: called with (steps done, steps in all) while it is trained.

    Raises:
        ExtractorError: ``folder`` holds one of another corpus, or a damaged one; the corpus is too small.
    """

    place = folder or _cache_place(corpus)
    kept = _open_kept(place, corpus, mend=folder is None)
    if kept is not None:
        return kept
    extractor = train_extractor(corpus, device=device, progress=progress)
    try:
        save_extractor(extractor, place)
    except ExtractorError as error:
        if folder is not None:
            raise
        if not (place / _HEADER).exists():  # else another process was faster
            _log.warning("the extractor is not kept: %s", error)
    return extractor


def save_extractor(extractor: Extractor, folder: Path) -> None:
    """Write ``extractor.json`` and ``weights.safetensors`` into a new folder, which is whole or not there.

    Raises:
        ExtractorError: the folder is there and not empty, or cannot be written.
    """
    weights = dump_tensors(extractor.tensors())
    header = _header(extractor)
    hashes = {_HEADER: _header_hash(header), _WEIGHTS: hash_bytes(weights)}
    document = json.dumps({**header, "sha256": hashes}, indent=1, ensure_ascii=False)
    refuse_taken(folder)
    try:
        with new_folder(folder, size=len(weights) + len(document)) as place:
            write_synced(place / _WEIGHTS, weights)
            write_synced(place / _HEADER, document.encode() + b"\n")
    except OSError as error:
        raise ExtractorError(folder, f"cannot be written: {error.strerror or error}") from error


def refuse_taken(folder: Path) -> None:
    """Raise ``ExtractorError`` where an extractor cannot be written because something is there."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        kind = "not empty" if folder.is_dir() and not folder.is_symlink() else "no folder"
        raise ExtractorError(folder, f"is there already and {kind}; name another folder")


def load_extractor(folder: Path) -> Extractor:
    """Open a stored extractor.

    Raises:
        ExtractorError: it is missing, damaged, or of a format that this version does not know.
    """

    folder = Path(folder)
    if not os.path.lexists(folder / _HEADER):
        raise ExtractorError(folder, f"is no extractor: has no {_HEADER}; make one with `motionsynth extractor train`")
    header = _read_header(folder / _HEADER)
    weights = _read(folder / _WEIGHTS, _LARGEST_WEIGHTS)
    if hash_bytes(weights) != header["sha256"][_WEIGHTS]:
        raise ExtractorError(folder / _WEIGHTS, f"is damaged or was changed: its SHA-256 is not the one in {_HEADER}")
    try:
        return _rebuild(header, load_tensors(weights))
    except Exception as error:  # what does not fit together raises whatever it comes upon
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ExtractorError(folder / _HEADER, f"is damaged: {reason}") from error


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_regular(path, limit=limit)
    except OSError as error:
        raise ExtractorError(error.filename or path, error.strerror or str(error)) from error


def _read_header(path: Path) -> dict[str, Any]:
    content = _read(path, _LARGEST_HEADER)
    try:
        header: dict[str, Any] = parse_json(content)
        found, hashes = header["format"], header.get("sha256")
        expected = _header_hash(header)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ExtractorError(path, "is damaged: not the JSON of an extractor") from error
    if found != _FORMAT:
        reason = f"format {repr(found)[:40]} is unknown to this version, which reads {_FORMAT}; fit it again"
        raise ExtractorError(path, reason)
    if not isinstance(hashes, dict) or hashes.get(_HEADER) != expected or _WEIGHTS not in hashes:
        raise ExtractorError(path, "is damaged or was changed: its SHA-256 is not the one it holds")
    return header


def _header_hash(header: Mapping[str, Any]) -> str:
    """Hash of a header without its hashes; the same before and after a trip through JSON."""
    content = {key: value for key, value in header.items() if key != "sha256"}
    return hash_json(content)


def _cache_place(corpus: Corpus) -> Path:
    return default_cache() / "extractors" / f"{corpus.fingerprint[:32]}-{RECIPE}"


def _open_kept(place: Path, corpus: Corpus, *, mend: bool) -> Extractor | None:
    """The extractor kept at a place; None where there is none, or where a damaged one was cleared away to mend it."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return None
    try:
        kept = load_extractor(place)
    except ExtractorError:
        if not mend:
            raise
        with suppress(OSError):
            remove_folder(place)  # another process that opens it now finds it whole or not at all
        return None
    if kept.fingerprint != corpus.fingerprint:
        reason = kept.mismatch(corpus.spec, corpus.config.window_frames) or "its clips, labels, split or stride differ"
        raise ExtractorError(place, f"was fitted on another corpus than {corpus.config.path}: {reason}")
    return kept


def _header(extractor: Extractor) -> dict[str, Any]:
    gate = extractor.gate
    return {
        "format": _FORMAT,
        "recipe": RECIPE,
        "motionsynth": extractor.version,
        "corpus_fingerprint": extractor.fingerprint,
        "seed": extractor.seed,
        "frames": extractor.frames,
        "features": extractor.spec.to_dict(),
        "labels": extractor.labels,
        "cells": {"source": extractor.cells.source, "names": extractor.cells.names},
        "gate": gate and {"threshold": gate.threshold, "percentile": gate.percentile, "source": gate.source},
        "networks": extractor.networks and extractor.networks.header(),
        "accuracy": extractor.accuracy,
    }


def _rebuild(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Extractor:
    def below(part: str) -> dict[str, Tensor]:
        return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}

    spec = FeatureSpec.from_dict(header["features"])
    labels = {name: tuple(classes) for name, classes in header["labels"].items()}
    shape = MotionShape(header["frames"], spec.width, {name: len(classes) for name, classes in labels.items()})
    extractor = Extractor(
        fingerprint=header["corpus_fingerprint"],
        frames=header["frames"],
        spec=spec,
        labels=labels,
        seed=int(header["seed"]),
        version=str(header["motionsynth"]),
        normaliser=Normaliser.from_tensors(below("normaliser")),
        axes=Axes(**below("pca")),
        kinetic=Standard(**below("kinetic")),
        cells=Cells(tuple(header["cells"]["names"]), header["cells"]["source"], tensors["cells"]),
        gate=_gate(below("gate"), header["gate"]) if header["gate"] else None,
        networks=Networks.rebuild(header["networks"], shape, tensors) if header["networks"] else None,
        accuracy={str(name): float(value) for name, value in header["accuracy"].items()},
    )
    _refuse_misfit(extractor)
    return extractor


def _refuse_misfit(extractor: Extractor) -> None:
    """Raise ``ValueError`` where a tensor has not the size that the others make it have."""
    axes, gate, cells = extractor.axes, extractor.gate, extractor.cells
    numbers = extractor.frames * extractor.spec.width
    count = len(axes.axes_KP)
    fits = {
        "normaliser": extractor.normaliser.mean_D.shape == (extractor.spec.width,),
        "pca": axes.mean_P.shape == (numbers,) and axes.axes_KP.shape == (count, numbers),
        "kinetic": len({tuple(value.shape) for value in extractor.kinetic}) == 1,
        "cells": cells.table.ndim == 2 and len(cells.names) == len(cells.table),
        "gate": gate is None or gate.train_MK.shape == (len(gate.apart_M), count),
    }
    if misfit := next((name for name, does in fits.items() if not does), None):
        raise ValueError(f"the tensors of {misfit} do not fit the others")


def _gate(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Gate:
    threshold, percentile = float(header["threshold"]), float(header["percentile"])
    return Gate(tensors["train_MK"], tensors["apart_M"], threshold, percentile, header["source"])
