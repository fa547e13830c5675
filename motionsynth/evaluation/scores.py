"""The outcome of an evaluation: figures, their real row, and all that is needed to read them; kept as JSON.

``scores.json`` (format 1), written whole or not at all:

    format, motionsynth, torch, created
    generated, reference   what was compared: kind, name, windows, takes, and where it came from
    real, train            windows of the row of real training motion, and of the whole training split
    frames, frame_rate, nyquist_hz, seed, resamples, level
    extractor              fingerprint, accuracy, spaces, cells
    headlines              sentences in dose units, one for each axis, where a calibration was given
    readings               every figure that can be read as a dose
    notes                  what was left out, resampled or subsampled
    figures                key -> value, low, high, note, unit, better, ideal, within, space, summary, reference, real
    by                     the label by which the reference was parted, if it was; null otherwise
    groups                 class of it -> windows, takes, figures (key -> value, low, high, note, real)

``real`` in a figure is the same figure of real training motion against the reference. A value that is undefined is
null, and its note says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from motionsynth.calibration.reading import Reading, agreement
from motionsynth.comparison.groups import Group, Groups
from motionsynth.files import write_bytes
from motionsynth.metrics.resampling import LEVEL
from motionsynth.metrics.suite import Figure

__all__ = ["FORMAT", "SCORES", "Scores", "SetRecord"]

FORMAT: Final = 1
SCORES: Final = "scores.json"


@dataclass(frozen=True, slots=True)
class SetRecord:
    """One of the sets that were compared.

    Args:
        name: what a person calls it.
        windows: how many were compared.
        takes: how many takes they are of.
        available: how many there were to choose from.
        about: where it came from.
    """

    name: str
    windows: int
    takes: int
    available: int
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "windows": self.windows,
            "takes": self.takes,
            "available": self.available,
            **self.about,
        }


@dataclass(frozen=True, slots=True)
class Scores:
    """All figures of one evaluation.

    Args:
        generated: the generated set.
        reference: the held-out real set.
        real: real training windows, which stand where the generated ones do in the row ``real``.
        train: windows of the training split, where a figure needed it.
        figures: by key, in the order of tables.
        real_figures: the same keys, of real training motion against the reference.
        facts: frames, frame rate, Nyquist frequency, versions and the time.
        extractor: what judged.
        seed: what subsets, samples and resamples were drawn by.
        resamples: for each interval.
        notes: what was left out, resampled or subsampled.
        readings: figures read backwards on the curves of a calibration.
        warnings: what went wrong outside of the figures, as an MLflow server that did not answer; not kept.
        folder: where ``scores.json`` and the report are.
        groups: figures against the reference windows of each class of a label, where one was asked for.
    """

    generated: SetRecord
    reference: SetRecord
    real: SetRecord
    train: int | None
    figures: Mapping[str, Figure]
    real_figures: Mapping[str, Figure]
    facts: Mapping[str, Any]
    extractor: Mapping[str, Any]
    seed: int
    resamples: int
    notes: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    warnings: tuple[str, ...] = ()
    folder: Path | None = None
    groups: Groups | None = None

    @property
    def values(self) -> dict[str, float]:
        """Figures that have a value, by key."""
        return {key: figure.value for key, figure in self.figures.items() if figure.value is not None}

    @property
    def headlines(self) -> tuple[Reading, ...]:
        """Readings that speak for their axis; "outside the range: jitter" only where no reading of jitter is one."""
        speaking = [reading for reading in self.readings if reading.headline]
        named = {reading.axis for reading in speaking if reading.state != "other side"}
        return tuple(reading for reading in speaking if reading.opposite not in named)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The headlines in words, each with how far the other figures of its axis agree."""
        pairs = [(reading, agreement(self.readings, reading.axis)) for reading in self.headlines]
        return tuple(f"{reading.sentence} ({others})" if others else reading.sentence for reading, others in pairs)

    def to_dict(self) -> dict[str, Any]:
        """Contents of ``scores.json``."""
        from dataclasses import asdict

        readings = [asdict(reading) for reading in self.readings]
        for reading in readings:
            del reading["opposite"]  # which its sentence names
        return {
            "format": FORMAT,
            **self.facts,
            "generated": self.generated.to_dict(),
            "reference": self.reference.to_dict(),
            "real": self.real.to_dict(),
            "train": None if self.train is None else {"windows": self.train},
            "seed": self.seed,
            "resamples": self.resamples,
            "level": LEVEL if self.resamples else None,
            "extractor": dict(self.extractor),
            "headlines": list(self.sentences),
            "readings": readings,
            "notes": list(self.notes),
            "figures": {key: _figure(figure, self.real_figures.get(key)) for key, figure in self.figures.items()},
            "by": self.groups.label if self.groups else None,
            "groups": {name: _group(group) for name, group in self.groups.classes.items()} if self.groups else {},
        }

    def save(self, folder: Path) -> Path:
        """Write ``scores.json`` into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        write_bytes(folder / SCORES, text.encode() + b"\n")
        return folder / SCORES


def _figure(figure: Figure, real: Figure | None) -> dict[str, Any]:
    metric = figure.metric
    return {
        **_numbers(figure),
        "unit": metric.unit,
        "better": metric.better,
        "ideal": metric.ideal,
        "within": metric.within,
        "space": figure.space,
        "summary": metric.summary,
        "reference": metric.reference,
        "real": _numbers(real) if real else None,
    }


def _group(group: Group) -> dict[str, Any]:
    real = group.real_figures
    figures = {
        key: {**_numbers(figure), "real": _numbers(real[key]) if key in real else None}
        for key, figure in group.figures.items()
    }
    return {"windows": group.windows, "takes": group.takes, "figures": figures}


def _numbers(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "low": figure.low, "high": figure.high, "note": figure.note}
