"""What a finished cell leaves: ``HASH.json`` in the results folder, enough to skip it anywhere and to report it.

A file is there whole or not at all; the clips of a cell, where it kept some, are in ``HASH.clips.npz`` beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from motionsynth.errors import StudyError
from motionsynth.files import parse_json, read_regular, write_bytes

__all__ = ["CLIPS", "CellResult", "DoseReading", "ViewResult", "read_result", "read_results", "save_result"]

FORMAT: Final = "motionsynth-study-cell-2"
CLIPS: Final = ".clips.npz"
"""Behind the hash of a cell: its clips for the player."""

_LARGEST: Final = 1 << 24
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
    document = {"format": FORMAT, **_rounded(asdict(result))}
    write_bytes(path, (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    return path


def read_result(path: Path) -> CellResult:
    """Read a cell's result.

    Raises:
        StudyError: it cannot be read, is damaged, or is of another format; the file is named.
    """
    try:
        document = parse_json(read_regular(path, limit=_LARGEST))
    except OSError as error:
        raise StudyError(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise StudyError(path, "is damaged: not the JSON of a cell; delete it") from error
    found = document.pop("format", None) if isinstance(document, dict) else None
    if found is None:
        raise StudyError(path, "is damaged: not the JSON of a cell; delete it")
    if found != FORMAT:
        raise StudyError(path, f"has format {repr(found)[:40]}, this version reads {FORMAT}; delete it")
    try:
        result: CellResult = _RESULT.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise StudyError(path, f"is damaged: {place}: {first['msg']}; delete it") from error
    if result.key != path.stem:
        raise StudyError(path, "is damaged: it is the result of another cell; delete it")
    return result


def read_results(folder: Path) -> dict[str, CellResult]:
    """Every cell of a results folder by its key; an absent folder holds none."""
    return {result.key: result for result in _each(folder)}


def _each(folder: Path) -> Iterator[CellResult]:
    for path in sorted(folder.glob("*.json")):
        if len(path.stem) == 16 and set(path.stem) <= set("0123456789abcdef"):
            yield read_result(path)


_RESULT: Final = TypeAdapter(CellResult)


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
