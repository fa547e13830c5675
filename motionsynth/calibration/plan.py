"""Settings of a calibration: doses, repeats, axes and thresholds, read from one YAML."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from motionsynth.errors import ConfigError
from motionsynth.provenance import shipped_file
from motionsynth.settings import FrozenConfig, Setting, Settings, config_error
from motionsynth.yaml_files import read_yaml

__all__ = ["KINDS", "ZERO", "Axis", "CalibrationConfig", "Dose", "Kind", "Thresholds", "load_plan", "shipped_plan"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Properties of doses of one kind.

    Args:
        acts: ``motion`` changes whole clips, ``windows`` changes windows, ``draw`` chooses among undosed windows.
        unit: of the value, as tables show it.
        rising: whether a larger value is the stronger dose.
        phrase: sentence for a model's figure in doses of this kind, with ``{dose}`` for the amount.
        summary: what is done, for the report.
        scale: where curves are drawn and interpolated: ``log`` for values, ``linear``, or ``dropped`` (1 - share kept).
        one: the unit after 1, where it reads otherwise.
    """

    acts: Literal["motion", "windows", "draw"]
    unit: str
    rising: bool
    scale: Literal["log", "linear", "dropped"]
    phrase: str
    summary: str
    one: str | None = None


KINDS: Final[Mapping[str, Kind]] = {
    "low_pass": Kind(
        "motion",
        "Hz",
        False,
        "log",
        "as smooth as real motion low-passed at {dose}",
        "zero-phase Butterworth low-pass of whole clips, -3 dB at the cut-off",
    ),
    "neighbours": Kind(
        "windows",
        "windows",
        True,
        "log",
        "as blurred as the mean of {dose}",
        "mean of a window and its nearest windows of other takes in principal components",
        one="window",
    ),
    "shrinkage": Kind(
        "motion",
        "times",
        False,
        "linear",
        "as subdued as real motion shrunk to {dose} its deviation",
        "deviation from the clip's mean pose and mean velocity multiplied by a factor",
    ),
    "jitter": Kind(
        "motion",
        "degrees",
        True,
        "linear",
        "as rough as real motion with {dose} of jitter in each joint",
        "white noise on every joint's rotation, standard deviation about each axis",
        one="degree",
    ),
    "noise": Kind(
        "motion",
        "standard deviations",
        True,
        "linear",
        "as noisy as real motion with noise of {dose}",
        "white noise on every normalised feature",
        one="standard deviation",
    ),
    "time_warp": Kind(
        "motion",
        "times",
        False,
        "linear",
        "as slow as real motion at {dose} its speed",
        "whole clips slowed down by a factor",
    ),
    "foot_slip": Kind(
        "motion",
        "m/s",
        True,
        "linear",
        "slides like real motion with a drift of {dose}",
        "a constant drift of the root over the floor, in a direction drawn for each clip",
    ),
    "cells": Kind(
        "draw",
        "cells",
        False,
        "dropped",
        "covers as much as real data with {dose} of its cells dropped",
        "only some cells (content x style) are kept, at the same number of windows",
    ),
    "windows_per_cell": Kind(
        "draw",
        "windows a cell",
        False,
        "log",
        "covers each mode as {dose} of real data over and over would",
        "a few windows of each cell, of as many clips as can be, over and over",
        one="window a cell",
    ),
    "memoriser": Kind(
        "draw",
        "windows",
        False,
        "log",
        "varies as much as {dose} of the training set over and over",
        "a few training windows over and over",
        one="window",
    ),
}
"""Every kind of dose there is; ``doses`` in the YAML has the amounts."""


@dataclass(frozen=True, slots=True, order=True)
class Dose:
    """One kind of damage in one amount; kind ``none`` is real motion as it is."""

    kind: str
    value: float

    @property
    def key(self) -> str:
        """Such as ``low_pass-4``: names its file and its entry in ``calibration.json``."""
        return "none" if self.kind == "none" else f"{self.kind}-{self.value:g}"

    @property
    def label(self) -> str:
        """Such as ``low_pass 4 Hz``."""
        return "real" if self.kind == "none" else f"{self.kind} {self.value:g} {KINDS[self.kind].unit}"


ZERO: Final = Dose("none", 0.0)


class Thresholds(FrozenConfig):
    """Thresholds of an instrument."""

    spearman: float = Field(0.9, gt=0, lt=1)
    """The lower bound of |Spearman's rank correlation| between dose and figure must reach this."""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Confidence of that bound and of intervals of doses."""
    spreads: float = Field(2.0, gt=0)
    """Real-against-real spreads within which a figure counts as unmoved."""
    least_doses: int = Field(3, ge=3)
    """Neighbouring doses that a range needs at least."""
    rival_share: float = Field(0.5, gt=0, le=1)
    """Share of each rival kind's doses, from the weakest, that must leave a figure alone where not all do."""
    resamples: int = Field(1000, ge=100)
    """Bootstrap resamples of the repeats."""


class Axis(FrozenConfig):
    """One thing that may be wrong with motion, and the doses that show it."""

    dose: str
    """Kind of dose whose curve is read backwards."""
    also: tuple[str, ...] = ()
    """Kinds that are shown beside it."""
    rival: str
    """Axis whose doses must leave the figure alone."""
    opposite: str | None = None
    """Axis that may move figures to the other side of real motion."""
    prefer: tuple[str, ...] = ()
    """Figures that may speak for the axis, the first valid one does; where none is, that which reads doses best."""

    @field_validator("dose", "also")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        for kind in (value,) if isinstance(value, str) else value:
            if kind not in KINDS:
                raise ValueError(f"unknown kind of dose {kind!r}; there are {', '.join(KINDS)}")
        return value


class CellCounts(FrozenConfig):
    """Numbers of cells to keep."""

    counts: tuple[int, ...] = (35, 14, 7, 3, 1)
    """Numbers where the corpus has more cells than the largest of these."""
    shares: tuple[float, ...] = (0.75, 0.5, 0.25, 0.1, 0.0)
    """Shares of its cells where it has not, at least one cell each."""

    def of(self, cells: int) -> tuple[int, ...]:
        """Numbers of cells to keep of so many, falling."""
        kept = self.counts if cells > max(self.counts) else [max(1, math.floor(share * cells)) for share in self.shares]
        return tuple(sorted({count for count in kept if count < cells}, reverse=True))


class CalibrationConfig(FrozenConfig):
    """One complete calibration."""

    count: int = Field(1024, ge=16)
    """Windows of each set."""
    repeats: int = Field(10, ge=3, le=1000)
    """Draws of both sets."""
    seed: int = 0
    """Fixes draws, noise and directions."""
    thresholds: Thresholds = Thresholds()
    doses: dict[str, tuple[float, ...]]
    """Kind -> amounts, in any order; ``cells`` stands apart."""
    cells: CellCounts = CellCounts()
    axes: dict[str, Axis]

    @model_validator(mode="after")
    def _consistent(self) -> CalibrationConfig:
        for kind, values in self.doses.items():
            if kind not in KINDS or kind == "cells":
                raise ValueError(
                    f"doses.{kind}: unknown kind of dose; there are {', '.join(KINDS)} (cells stand apart)"
                )
            _check_amounts(kind, values)
        for name, axis in self.axes.items():
            for other in (axis.rival, axis.opposite):
                if other is not None and other not in self.axes:
                    raise ValueError(f"axes.{name}: no axis {other!r}")
            for kind in (axis.dose, *axis.also):
                if kind not in self.doses and kind != "cells":
                    raise ValueError(f"axes.{name}: doses has no {kind!r}")
        return self

    def ladder(self, kind: str, cells: int) -> tuple[Dose, ...]:
        """Doses of one kind from the weakest to the strongest, for a corpus with so many cells."""
        values = self.cells.of(cells) if kind == "cells" else self.doses.get(kind, ())
        return tuple(Dose(kind, float(v)) for v in sorted(set(values), reverse=not KINDS[kind].rising))


_ALLOWED: Final[Mapping[str, tuple[Callable[[float], bool], str]]] = {
    "low_pass": (lambda v: v > 0, "positive frequencies in Hz"),
    "neighbours": (lambda v: v >= 2 and v == int(v), "whole numbers from 2"),
    "shrinkage": (lambda v: 0 <= v < 1, "factors from 0, below 1"),
    "time_warp": (lambda v: 0 < v < 1, "factors between 0 and 1"),
    "windows_per_cell": (lambda v: v >= 1 and v == int(v), "whole numbers from 1"),
    "memoriser": (lambda v: v >= 1 and v == int(v), "whole numbers from 1"),
}


def _check_amounts(kind: str, values: tuple[float, ...]) -> None:
    allowed, words = _ALLOWED.get(kind, (lambda v: v > 0, "positive numbers"))
    wrong = [value for value in values if not (math.isfinite(value) and allowed(value))]
    if wrong or not values:
        raise ValueError(f"doses.{kind}: must be {words}" + (f", not {wrong[0]:g}" if wrong else ""))


def shipped_plan() -> Path:
    """The YAML that ships: in the checkout, or inside the installed package."""
    if path := shipped_file("configs/calibration.yaml"):
        return path
    raise ConfigError("configs/calibration.yaml", None, "is missing; give --config")


def load_plan(path: str | Path, **changes: int) -> CalibrationConfig:
    """Read a calibration's YAML; ``changes`` replace ``count``, ``repeats`` or ``seed``.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value does not fit; names file and key.
    """
    settings = Settings(read_yaml(path, aliases=True), CalibrationConfig)
    for name, value in changes.items():
        settings.put(Setting((name,), value, f"{name}={value}"))
    try:
        return CalibrationConfig.model_validate(settings.value)
    except ValidationError as error:
        raise config_error(error, settings, CalibrationConfig) from error
