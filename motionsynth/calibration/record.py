"""Results of a calibration: ``calibration.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from motionsynth.calibration.curve import Ground
from motionsynth.calibration.plan import KINDS, ZERO, CalibrationConfig, Dose
from motionsynth.calibration.verdict import Series, Verdict
from motionsynth.errors import ConfigError
from motionsynth.files import parse_json, read_regular, write_bytes
from motionsynth.packed_files import read_packed

__all__ = [
    "FORMAT", "Calibration", "DoseFigures", "FigureRecord", "Headline", "calibration_bytes", "load_calibration",
    "save_calibration",
]  # fmt: skip

FORMAT: Final = "motionsynth-calibration-1"
_LARGEST: Final = 1 << 26


@dataclass(frozen=True, slots=True)
class FigureRecord:
    """Properties of a figure that a verdict needs."""

    key: str
    unit: str
    better: str
    within: bool
    summary: str


@dataclass(frozen=True, slots=True)
class DoseFigures:
    """All figures of one dose.

    Args:
        dose: what was done.
        values: key -> one number a repeat, None where undefined.
        reasons: key -> why it is undefined where it is.
        repeated: mean share of windows that repeat another of their set.
        apart: of real motion: key -> one number a repeat, with other takes in each.
        truth: label divergences with the true cells in place of the judged ones: key -> one number a repeat.
    """

    dose: Dose
    values: dict[str, list[float | None]]
    reasons: dict[str, str] = field(default_factory=dict)
    repeated: float = 0.0
    apart: dict[str, list[float | None]] = field(default_factory=dict)
    truth: dict[str, list[float | None]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able copy."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> DoseFigures:
        """Read a file that holds what :meth:`to_dict` gave; ``ConfigError`` where it does not."""
        try:
            found: DoseFigures = TypeAdapter(cls).validate_python(parse_json(read_regular(path, limit=_LARGEST)))
        except OSError as error:
            raise ConfigError(path, None, error.strerror or str(error)) from error
        except ValidationError as error:
            raise config_error(error, path) from error
        except ValueError as error:
            raise ConfigError(path, None, f"is damaged: {error}; delete it") from error
        return found


@dataclass(frozen=True, slots=True)
class Headline:
    """The figure that speaks for an axis: of the valid ones that which reads hidden doses best.

    Args:
        key: of the figure.
        error: its mean error as a share of the axis.
    """

    key: str
    error: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that a calibration found.

    Args:
        config: what was asked for.
        corpus: fingerprint of the corpus.
        extractor: fingerprint of the feature extractor.
        corpus_name: for headings.
        count: windows of each set.
        ground: what real motion has on each axis.
        doses: figures by dose, real motion first.
        figures: records by key.
        verdicts: of every figure on every axis.
        headlines: axis -> figure.
        errors: axis -> figure -> error of the inverse.
        notes: what was left out, as sentences.
    """

    config: CalibrationConfig
    corpus: str
    extractor: str
    corpus_name: str
    count: int
    ground: Ground
    doses: tuple[DoseFigures, ...]
    figures: dict[str, FigureRecord]
    verdicts: tuple[Verdict, ...] = ()
    headlines: dict[str, Headline] = field(default_factory=dict)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def series(self, key: str) -> Series:
        """One figure in all doses."""
        record = self.figures[key]
        zero = next(found for found in self.doses if found.dose == ZERO)
        return Series(
            key,
            record.better,  # type: ignore[arg-type]  # as it was written
            record.within,
            {found.dose: _array(found.values[key]) for found in self.doses if key in found.values},
            _array(zero.apart[key]),
        )

    def ladder(self, kind: str) -> tuple[Dose, ...]:
        """Doses of a kind that were measured, weakest first."""
        found = [f.dose for f in self.doses if f.dose.kind == kind]
        return tuple(sorted(found, key=lambda dose: dose.value, reverse=not KINDS[kind].rising))

    def verdict(self, key: str, axis: str) -> Verdict | None:
        """Verdict on a figure on an axis."""
        return next((v for v in self.verdicts if v.key == key and v.axis == axis), None)


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write ``calibration.json``."""
    document = {
        "format": FORMAT,
        "config": calibration.config.model_dump(mode="json"),
        "corpus": calibration.corpus,
        "corpus_name": calibration.corpus_name,
        "extractor": calibration.extractor,
        "count": calibration.count,
        "ground": asdict(calibration.ground),
        "figures": {key: asdict(record) for key, record in calibration.figures.items()},
        "verdicts": [asdict(verdict) for verdict in calibration.verdicts],
        "headlines": {axis: asdict(headline) for axis, headline in calibration.headlines.items()},
        "errors": calibration.errors,
        "notes": calibration.notes,
        "doses": [found.to_dict() for found in calibration.doses],
    }
    write_bytes(path, (json.dumps(_finite(document), indent=1, allow_nan=False) + "\n").encode())


def calibration_bytes(path: Path) -> bytes:
    """Content of a ``calibration.json``, unpacked where it is packed by xz.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read_packed(path, limit=_LARGEST)
    except (OSError, ValueError) as error:
        raise ConfigError(path, None, getattr(error, "strerror", None) or str(error)) from error


def load_calibration(path: str | Path) -> Calibration:
    """Read ``calibration.json``, packed by xz or not, or the one in a folder.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    path = Path(path)
    path = path / "calibration.json" if path.is_dir() else path
    content = calibration_bytes(path)
    try:
        document = parse_json(content)
    except ValueError as error:
        raise ConfigError(path, None, f"not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise ConfigError(path, None, f"is no calibration of this version ({FORMAT}); run `motionsynth calibrate`")
    try:
        calibration = TypeAdapter(Calibration).validate_python(document)
    except ValidationError as error:
        raise config_error(error, path) from error
    if wrong := _contradiction(calibration):
        raise ConfigError(path, None, f"is damaged: {wrong}")
    return calibration


def config_error(error: ValidationError, path: Path) -> ConfigError:
    """The first complaint about a file of a calibration, which names the entry."""
    first = error.errors()[0]
    return ConfigError(path, ".".join(map(str, first["loc"]))[:80] or None, f"is damaged: {first['msg']}")


def _contradiction(calibration: Calibration) -> str | None:
    """Reason for which its parts do not belong together; None where they do."""
    strange = {found.dose.kind for found in calibration.doses} - {*KINDS, ZERO.kind}
    zero = next((found for found in calibration.doses if found.dose == ZERO), None)
    named = {verdict.key for verdict in calibration.verdicts} | {line.key for line in calibration.headlines.values()}
    if strange:
        return f"doses of an unknown kind {min(strange)[:40]!r}"
    if zero is None or not set(calibration.figures) <= zero.values.keys() & zero.apart.keys():
        return "figures of real motion are missing"
    if named - calibration.figures.keys():
        return f"no figure is called {min(named - calibration.figures.keys())[:40]!r}"
    return None


def _array(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _finite(value: Any) -> Any:
    """JSON knows no infinity: a spread of zero makes any movement infinite, written as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
