"""Motion of the walkers: the parameters of one clip, and the cells (content and style) they are drawn from.

Within a cell every parameter is uniform on its range and independent of the others, so the density of the corpus is
known in these coordinates: ``p(x) = sum_c weight_c prod_i 1 / (high_ci - low_ci)`` inside the ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

__all__ = ["CELLS", "OVERLAPPING", "Cell", "WalkerParameters"]

Range = tuple[float, float]
"""Least and greatest value."""


@dataclass(frozen=True)
class WalkerParameters:
    """All that decides a walker clip: the same parameters give the same clip, bit for bit.

    Lengths are centimetres, angles degrees. A parameter that a content does not use is zero.
    """

    content: str
    style: str
    frames: int
    """Frames of the clip, at 30 a second."""
    skip: int
    """Frames of the performance before the clip's first."""
    recorded: int
    """Frames of the whole performance; the clip is ``performance[skip:skip + frames]``."""
    noise_seed: int
    """Seed of the tremor."""
    heading: float
    """Direction that the walker faces at the start; 0 is +z, 90 is +x."""
    start_x: float
    start_z: float
    phase: float
    """Part of a stride (or of a swaying cycle) done at the start, 0 to 1."""
    cadence: float
    """Steps a second; squats or sways a second where no step is made."""
    step_length: float
    step_width: float
    travel: float
    """Direction of travel from the heading; 90 is to the walker's left."""
    turn_rate: float
    """Degrees a second, positive to the left."""
    duty: float
    """Part of the stride that a foot is on the floor."""
    lift: float
    """Clearance of the toes in swing."""
    strike: float
    """Upward pitch of the toes when the heel lands."""
    push: float
    """Rise of the heel when the toes leave."""
    bounce: float
    """Rise of the pelvis at mid-stance; negative where it sinks, as in running."""
    crouch: float
    """Drop of the pelvis below the height that the length of the steps asks."""
    lean: float
    """Forward pitch of the pelvis."""
    stoop: float
    """Forward bend of the back."""
    twist: float
    """Counter-rotation of pelvis and chest."""
    sway: float
    """Sideways travel of the pelvis over the standing foot."""
    arm_swing: float
    abduction: float
    """Angle of the arms from the sides."""
    elbow: float
    onset: float
    """Seconds before the gesture begins."""
    rise: float
    """Seconds the gesture takes to its peak."""
    hold: float
    """Seconds it stays there."""
    reach: float
    """Size of the gesture: degrees of arm, leg or back, centimetres of a squat."""
    jitter: float
    """Root mean square of the tremor, in degrees."""
    impact: float
    """Shake of the body at landings and stops: degrees of trunk, a third as many centimetres of pelvis."""

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> WalkerParameters:
        """Read the parameters back from a row of ``labels.csv``; they give the very clip in the file.

        Raises:
            KeyError: the row lacks a parameter.
            ValueError: a parameter is not a number.
        """
        kinds = {"str": str, "int": int, "float": float}
        return cls(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(cls)})


@dataclass(frozen=True)
class Cell:
    """One mode of the corpus: its share of the clips, and the range of every parameter that varies or is not zero."""

    content: str
    style: str
    weight: float
    frames: tuple[int, int]
    ranges: MappingProxyType[str, Range]

    @property
    def name(self) -> str:
        """``content/style``."""
        return f"{self.content}/{self.style}"


_COMMON: Final[dict[str, Range]] = {
    "heading": (0.0, 360.0),
    "start_x": (-150.0, 150.0),
    "start_z": (-150.0, 150.0),
    "phase": (0.0, 1.0),
}

_WALK: Final[dict[str, Range]] = {
    **_COMMON,
    "cadence": (1.75, 2.05),
    "step_length": (52.0, 66.0),
    "step_width": (10.0, 16.0),
    "turn_rate": (-8.0, 8.0),
    "duty": (0.60, 0.64),
    "lift": (4.0, 7.0),
    "strike": (14.0, 22.0),
    "push": (34.0, 48.0),
    "bounce": (1.0, 2.2),
    "crouch": (0.5, 1.8),
    "lean": (1.0, 4.0),
    "stoop": (0.0, 6.0),
    "twist": (4.0, 8.0),
    "sway": (1.5, 3.0),
    "arm_swing": (16.0, 28.0),
    "abduction": (7.0, 13.0),
    "elbow": (14.0, 28.0),
    "jitter": (0.25, 0.5),
    "impact": (0.4, 0.9),
}

_STAND: Final[dict[str, Range]] = {
    **_COMMON,
    "cadence": (0.25, 0.45),
    "step_width": (20.0, 30.0),
    "crouch": (0.3, 1.2),
    "lean": (0.0, 3.0),
    "stoop": (0.0, 6.0),
    "sway": (0.8, 2.0),
    "abduction": (7.0, 13.0),
    "elbow": (10.0, 22.0),
    "jitter": (0.12, 0.25),
}


def _cell(
    name: str, weight: float, frames: tuple[int, int], base: dict[str, Range], **changes: Range
) -> tuple[str, Cell]:
    content, style = name.split("/")
    ranges = {**base, **changes}
    order = [field.name for field in fields(WalkerParameters) if field.name in ranges]
    assert len(order) == len(ranges), f"{name} has a range for what is no parameter"
    return name, Cell(content, style, weight, frames, MappingProxyType({key: ranges[key] for key in order}))


_DEFINED: Final = dict(
    [
        _cell("walk/normal", 0.20, (80, 180), _WALK),
        # The overlapping pair: all as walk/normal but for two ranges, half of which they share.
        _cell("walk/relaxed", 0.12, (80, 180), _WALK, cadence=(1.60, 1.90), arm_swing=(10.0, 22.0)),
        _cell(
            "walk/elderly", 0.10, (100, 200), _WALK,
            cadence=(1.15, 1.45), step_length=(26.0, 36.0), turn_rate=(-6.0, 6.0), duty=(0.68, 0.72),
            lift=(2.0, 3.5), strike=(2.0, 7.0), push=(14.0, 22.0), bounce=(0.2, 0.8), crouch=(7.0, 10.0),
            lean=(6.0, 10.0), stoop=(22.0, 36.0), twist=(1.0, 3.0), sway=(2.0, 4.0), arm_swing=(4.0, 9.0),
            elbow=(28.0, 48.0), jitter=(0.35, 0.6), impact=(0.15, 0.4),
        ),
        _cell(
            "run/active", 0.14, (56, 110), _WALK,
            cadence=(2.6, 3.0), step_length=(80.0, 105.0), step_width=(5.0, 10.0), duty=(0.34, 0.39),
            lift=(16.0, 26.0), strike=(4.0, 10.0), push=(50.0, 64.0), bounce=(-5.5, -3.5), crouch=(0.0, 1.5),
            lean=(8.0, 14.0), stoop=(4.0, 10.0), twist=(8.0, 13.0), sway=(0.8, 1.6), arm_swing=(32.0, 46.0),
            abduction=(10.0, 18.0), elbow=(75.0, 100.0), jitter=(0.45, 0.8), impact=(1.6, 2.8),
        ),
        _cell(
            "turn/normal", 0.08, (110, 200), _WALK,
            step_length=(44.0, 56.0), turn_rate=(38.0, 75.0), arm_swing=(12.0, 22.0),
        ),
        _cell(
            "sidestep/normal", 0.08, (60, 140), _WALK,
            cadence=(1.9, 2.5), step_length=(12.0, 19.0), step_width=(30.0, 38.0), travel=(84.0, 96.0),
            strike=(0.0, 3.0), push=(12.0, 20.0), bounce=(0.6, 1.4), crouch=(6.0, 10.0), twist=(0.0, 1.0),
            arm_swing=(1.0, 5.0), abduction=(16.0, 28.0), elbow=(40.0, 65.0),
        ),
        _cell(
            "raise/active", 0.09, (44, 96), _STAND,
            onset=(0.10, 0.30), rise=(0.30, 0.45), hold=(0.25, 0.60), reach=(135.0, 170.0),
            jitter=(0.4, 0.7), impact=(1.2, 2.2),
        ),
        _cell(
            "raise/elderly", 0.05, (100, 180), _STAND,
            onset=(0.20, 0.60), rise=(1.00, 1.50), hold=(0.40, 1.00), reach=(95.0, 130.0), crouch=(6.0, 9.0),
            lean=(5.0, 9.0), stoop=(20.0, 34.0), elbow=(20.0, 38.0), jitter=(0.15, 0.3),
        ),
        _cell(
            "kick/active", 0.06, (56, 110), _STAND,
            onset=(0.15, 0.35), rise=(0.26, 0.36), hold=(0.05, 0.15), reach=(65.0, 95.0), elbow=(50.0, 80.0),
            abduction=(12.0, 22.0), jitter=(0.3, 0.55), impact=(1.2, 2.2),
        ),
        _cell(
            "bow/normal", 0.05, (90, 150), _STAND,
            onset=(0.20, 0.50), rise=(0.70, 1.00), hold=(0.40, 0.90), reach=(45.0, 75.0),
        ),
        _cell("idle/normal", 0.02, (64, 200), _STAND),
        # The rare cell.
        _cell(
            "squat/active", 0.01, (70, 140), _STAND,
            cadence=(0.60, 0.85), reach=(26.0, 38.0), jitter=(0.25, 0.45), impact=(0.3, 0.7),
        ),
    ]
)  # fmt: skip

CELLS: Final[MappingProxyType[str, Cell]] = MappingProxyType(_DEFINED)
"""The modes by name, ``content/style``; their weights sum to one and are the exact shares of the corpus."""

OVERLAPPING: Final = ("walk/normal", "walk/relaxed")
"""The one pair of cells whose ranges share some volume; between all others there is a gap."""
