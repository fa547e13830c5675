"""Fresh windows of the walkers corpus with the parameters that made them, and the exact weights of its cells.

Shapes: N windows, T frames, D features, P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from motionsynth.features.encode import encode_array
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.body import FRAME_RATE
from motionsynth.walkers.cells import CELLS, Cell, WalkerParameters
from motionsynth.walkers.motion import walker_clip

__all__ = ["PHASE", "FreshWindows", "exact_weights", "fresh_windows", "seen_names", "walker_window"]

Features = npt.NDArray[np.float32]

PHASE: Final = "phase"
"""The one parameter that is a circle: turns, 0 to 1."""
_UNSEEN: Final = ("heading", "start_x", "start_z", "jitter")
"""Parameters that do not show: features leave out where a walker starts and faces, and slow motion the tremor."""
_FLOATS: Final = tuple(field.name for field in fields(WalkerParameters) if field.type == "float")


@dataclass(frozen=True, eq=False, slots=True)
class FreshWindows:
    """Windows that no corpus holds.

    Args:
        features_NTD: float32 features in physical units.
        truth_NP: the parameters by :func:`seen_names`, as the window shows them: the phase at its first frame, the
            onset in seconds from there.
    """

    features_NTD: Features
    truth_NP: FloatArray


def seen_names(cell: Cell) -> tuple[str, ...]:
    """The parameters of a cell that vary and that motion without tremor shows, the phase first."""
    return (PHASE, *(name for name in cell.ranges if name not in (*_UNSEEN, PHASE)))


def exact_weights(frames: int, stride: int) -> FloatArray:
    """(12,) share of each cell among whole windows, in the order of ``CELLS``: its clips times their windows.

    A cell's clips have lengths uniform on its range; one with F >= T frames gives a window every ``stride`` frames and
    one that ends on its last frame.

    Args:
        frames: T.
        stride: frames between the starts of neighbouring windows.

    Raises:
        ValueError: no clip is as long as a window.
    """
    windows = [float(_lengths(cell, frames, stride)[1].sum()) / _count(cell) for cell in CELLS.values()]
    weights: FloatArray = np.array([cell.weight for cell in CELLS.values()]) * windows
    if not weights.sum():
        raise ValueError(f"no walker's clip has {frames} frames")
    return np.asarray(weights / weights.sum())


def fresh_windows(cell: Cell, count: int, seed: int, spec: FeatureSpec, *, frames: int, stride: int) -> FreshWindows:
    """Draw windows as the corpus cuts them, each from a performance of its own.

    Args:
        cell: which; its clips must reach a window's length.
        count: N.
        seed: of the parameters and the tremor; no corpus uses the same numbers.
        spec: what a feature row holds.
        frames: T.
        stride: frames between the starts of neighbouring windows of a clip.
    """
    generator = np.random.default_rng([0x77616C6B, seed, *cell.name.encode()])
    lengths, windows = _lengths(cell, frames, stride)
    clips = generator.choice(lengths, count, p=windows / windows.sum())
    rows, truth = [], []
    for length in clips:
        starts = _starts(int(length), frames, stride)
        skip = starts[int(generator.integers(len(starts)))]
        drawn = {name: float(generator.uniform(low, high)) for name, (low, high) in cell.ranges.items()}
        rows.append(_encoded(cell, drawn, skip, int(generator.integers(2**32)), spec, frames))
        truth.append([_seen(cell, drawn, skip)[name] for name in seen_names(cell)])
    return FreshWindows(np.stack(rows), np.array(truth))


def walker_window(cell: Cell, seen: Mapping[str, float], spec: FeatureSpec, *, frames: int) -> Features:
    """(T, D) the window without tremor of the parameters that a window shows.

    Raises:
        ValueError: the parameters ask a leg to reach farther than it is long.
    """
    drawn = dict(seen)
    skip = 0
    if "onset" in cell.ranges:
        # gestures know when the performance began: the window starts as late as makes the onset a usual one
        middle = sum(cell.ranges["onset"]) / 2
        skip = max(0, round((middle - drawn["onset"]) * FRAME_RATE))
        drawn["onset"] += skip / FRAME_RATE
    drawn[PHASE] -= _rate(drawn) * skip / FRAME_RATE
    return _encoded(cell, drawn, skip, 0, spec, frames)


def _encoded(
    cell: Cell, drawn: Mapping[str, float], skip: int, noise_seed: int, spec: FeatureSpec, frames: int
) -> Features:
    clip = walker_clip(
        WalkerParameters(
            content=cell.content,
            style=cell.style,
            frames=frames,
            skip=skip,
            recorded=skip + frames,
            noise_seed=noise_seed,
            **{**dict.fromkeys(_FLOATS, 0.0), **drawn},
        )
    )
    return encode_array(clip, spec)


def _seen(cell: Cell, drawn: Mapping[str, float], skip: int) -> dict[str, float]:
    seconds = skip / FRAME_RATE
    seen = {**drawn, PHASE: (drawn[PHASE] + _rate(drawn) * seconds) % 1.0}
    if "onset" in cell.ranges:
        seen["onset"] -= seconds
    return seen


def _rate(drawn: Mapping[str, float]) -> float:
    """Turns of the phase a second: strides, which are two steps, or sways."""
    return drawn["cadence"] * (0.5 if drawn.get("step_length") else 1.0)


def _count(cell: Cell) -> int:
    return cell.frames[1] - cell.frames[0] + 1


def _lengths(cell: Cell, frames: int, stride: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Lengths of clips that hold a window, and how many windows each gives."""
    lengths = np.arange(max(cell.frames[0], frames), cell.frames[1] + 1)
    return lengths, np.array([float(len(_starts(int(length), frames, stride))) for length in lengths])


def _starts(length: int, frames: int, stride: int) -> list[int]:
    last = length - frames
    return sorted({*range(0, last + 1, stride), last})
