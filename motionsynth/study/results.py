"""What a finished cell leaves: ``HASH.json`` in the results folder, enough to skip it anywhere and to report it.

A file is there whole or not at all; the clips of a cell, where it kept some, are in ``HASH.clips.npz`` beside it. A
study that is published keeps all of them in one file, ``cells.jsonl.xz``.
"""

from __future__ import annotations

import json
import lzma
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from motionsynth.errors import StudyError
from motionsynth.files import parse_json, write_bytes
from motionsynth.packed_files import read_packed

__all__ = [
    "CLIPS", "PACK", "CellResult", "DoseReading", "ViewResult", "pack_results", "read_result", "read_results",
    "save_result",
]  # fmt: skip

FORMAT: Final = "motionsynth-study-cell-2"
CLIPS: Final = ".clips.npz"
"""Behind the hash of a cell: its clips for the player."""

PACK: Final = "cells.jsonl.xz"
"""All cells of a folder, one a line, sorted by key."""
_LARGEST: Final = 1 << 24
_LARGEST_PACK: Final = 1 << 28
"""Most bytes of a cell and of all of them."""
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

State = Literal["finished", "diverged"]


@dataclass(frozen=True, slots=True)
class DoseReading:
    """The headline figure of one axis, read backwards on the calibration of the corpus.

    Args:
        key: of the figure.
        share: where the dose lies on the axis: 0 real motion, 1 the strongest dose; below 0 where the figure is off
            real motion the other way, above 1 beyond the strongest dose; see ``measure.read_dose``.
        state: as ``calibration.reading.Reading.state``.
        dose: the amount in the unit of the dose; None where it is not measured.
        kind: of dose.
        sentence: the same in words.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    key: str
    share: float
    state: str
    dose: float | None
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ViewResult:
    """One way in which a cell was shown, measured.

    Args:
        figures: key -> number; figures that are undefined here are not there.
        undefined: key -> why.
        doses: axis -> reading.
        spectrum: mean spectrum of joint velocities: ``frequencies_hz`` and, against real motion, ``decibels`` of mean
            energies and ``decibels_log`` of mean logarithms.
        cells: name of a cell -> ``windows`` drawn of it, ``real`` windows of it, and natural logarithms of ratios to
            them: ``energy_above_5hz`` and ``energy`` (geometric means), where both have some.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    figures: Mapping[str, float]
    undefined: Mapping[str, str] = field(default_factory=dict)
    doses: Mapping[str, DoseReading] = field(default_factory=dict)
    spectrum: Mapping[str, Sequence[float]] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellResult:
    """All that is kept of a cell.

    Args:
        study, arm, corpus, seed, key: which; see ``plan.Cell``.
        state: ``diverged`` where training stopped being finite.
        error: why, in one line; empty where it finished.
        hypotheses_sha256: of the hypotheses as they stood when the cell ended.
        measure_sha256: of how it was measured.
        fingerprint: of the corpus.
        judge: identity of the feature extractor; empty where none judged.
        calibration: SHA-256 of the calibration that doses were read on; empty where none.
        config: the resolved run without paths; empty for landmarks and grids.
        steps: optimiser steps taken.
        seconds: ``train`` and ``measure``.
        parameters: numbers in each network.
        machine: processor, cores, threads, torch, device.
        created: ISO 8601, UTC.
        versions: of motionsynth, and the commit.
        curve: rows of (step, minutes, Frechet distance of samples to validation windows).
        views: by name; empty where it did not finish.
        notes: what a reader should know.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    study: str
    arm: str
    corpus: str
    seed: int
    key: str
    state: State
    error: str
    hypotheses_sha256: str
    measure_sha256: str
    fingerprint: str
    judge: str
    calibration: str
    config: Mapping[str, Any]
    steps: int
    seconds: Mapping[str, float]
    parameters: Mapping[str, int]
    machine: Mapping[str, Any]
    created: str
    versions: Mapping[str, str | None]
    curve: Sequence[tuple[int, float, float]] = ()
    views: Mapping[str, ViewResult] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def name(self) -> str:
        """For people: ``vae/walkers/0``."""
        return f"{self.arm}/{self.corpus}/{self.seed}"


def save_result(result: CellResult, folder: Path) -> Path:
    """Write ``KEY.json``; numbers are kept to seven digits."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.key}.json"
    write_bytes(path, (_text(result, indent=1) + "\n").encode())
    return path


def pack_results(folder: Path) -> Path:
    """Write all results of a folder into ``cells.jsonl.xz``, one a line, in place of a JSON for each cell.

    Raises:
        StudyError: a result is damaged; nothing is changed.
        OSError: the file cannot be written.
    """
    found = read_results(folder)
    lines = "".join(_text(found[key]) + "\n" for key in sorted(found))
    write_bytes(folder / PACK, lzma.compress(lines.encode()))
    for path in _loose(folder):
        path.unlink()
    return folder / PACK


def read_result(path: Path) -> CellResult:
    """Read a cell's result.

    Raises:
        StudyError: it cannot be read, is damaged, or is of another format; the file is named.
    """
    result = _parsed(path, _content(path, _LARGEST))
    if result.key != path.stem:
        raise StudyError(path, "is damaged: it is the result of another cell; delete it")
    return result


def read_results(folder: Path) -> dict[str, CellResult]:
    """Every cell of a results folder by its key: packed ones, then single ones; an absent folder holds none.

    Raises:
        StudyError: one cannot be read, is damaged, or is of another format; file and line are named.
    """
    pack = folder / PACK
    lines = _content(pack, _LARGEST_PACK).splitlines() if pack.exists() else []
    found = [_parsed(pack, line, f"line {number}: ") for number, line in enumerate(lines, 1)]
    return {result.key: result for result in (*found, *map(read_result, _loose(folder)))}


def _loose(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.json")) if re.fullmatch("[0-9a-f]{16}", path.stem)]


def _content(path: Path, limit: int) -> bytes:
    try:
        return read_packed(path, limit=limit)
    except OSError as error:
        raise StudyError(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise StudyError(path, f"is damaged: {error}; delete it") from error


def _parsed(path: Path, content: bytes, place: str = "") -> CellResult:
    try:
        document = parse_json(content)
        found = document.pop("format")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StudyError(path, f"is damaged: {place}not the JSON of a cell; delete it") from error
    if found != FORMAT:
        raise StudyError(path, f"{place}has format {repr(found)[:40]}, this version reads {FORMAT}; delete it")
    try:
        return _RESULT.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))[:80]
        raise StudyError(path, f"is damaged: {place}{key}: {first['msg']}; delete it") from error


def _text(result: CellResult, indent: int | None = None) -> str:
    document = {"format": FORMAT, **_rounded(asdict(result))}
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)


_RESULT: Final[TypeAdapter[CellResult]] = TypeAdapter(CellResult)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number of a result is not finite")
        return float(f"{value:.7g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value
