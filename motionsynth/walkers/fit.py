"""Readers of all cells fitted to fresh windows, and those windows as judge and readers see them: what to expect.

Fitted once for a judge and kept beside the other caches. The windows that no corpus holds serve twice: readers are
fitted to them, and, read by fits that left them out, they are what the exact density of the corpus becomes when it is
looked at through this judge and these readers. Generated windows are compared with that, so that an error of judge or
reader is in both and is no divergence.

Shapes: M fresh windows, N windows, T frames, J joints, P parameters of a cell.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from motionsynth.array_files import read_arrays
from motionsynth.corpus.cache import default_cache
from motionsynth.features.geometry import joint_positions_m
from motionsynth.features.spec import FeatureSpec
from motionsynth.files import locked, write_bytes
from motionsynth.hashes import hash_json
from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.body import FRAME_RATE
from motionsynth.walkers.cells import CELLS, Cell
from motionsynth.walkers.divergences import Expected
from motionsynth.walkers.plan import VERSION as CORPUS_VERSION
from motionsynth.walkers.reader import Basis, Reader, determination, phase_error, slow_part
from motionsynth.walkers.windows import PHASE, exact_weights, fresh_windows, seen_names, walker_window

__all__ = ["IDENTIFIABLE", "Judge", "Judged", "Places", "WalkerFit", "fit_for", "fit_walkers", "residuals_cm"]

_log = logging.getLogger(__name__)

VERSION: Final = 1
"""Raised with every change of what is fitted, here or in the modules above."""
WINDOWS: Final = 1000
"""Fresh windows of each cell."""
IDENTIFIABLE: Final = 0.8
"""Least R^2 on windows left out of the fit with which a parameter counts as told by its window."""
RESIDUALS: Final = 48
"""Fresh windows of each cell whose distance to their own walker's motion is the measure of others'."""
_MOST_BYTES: Final = 1 << 30
_SLACK: Final = 0.1
"""Share of its range by which a parameter may lie beyond it and is believed when a walker is made anew."""
_NAMES: Final = tuple(CELLS)

Places = npt.NDArray[np.int64]


class Judged(NamedTuple):
    """Judgement of windows."""

    cell_N: Places
    """Index into ``CELLS``."""
    realistic_N: npt.NDArray[np.bool_]


Judge = Callable[[npt.NDArray[np.float32]], Judged]
"""(N, T, D) features -> cells, and whether each window is realistic."""


@dataclass(frozen=True, eq=False)
class WalkerFit:
    """All that the instrument knows.

    Args:
        readers: of each cell that has windows.
        r2: cell -> (P,) R^2 on windows left out.
        error: cell -> (P,) root mean square error there, as a share of the parameter's range.
        judged_M: cell as judged of each fresh window, an index into ``CELLS``.
        realistic_M: whether the gate lets it pass.
        weights_M: what it stands for; sums to one.
        read_MP: its parameters as the judged cell's reader has them, NaN beyond that cell's.
        residual_cm: cell -> residuals of some of its windows.
    """

    readers: Mapping[str, Reader]
    r2: Mapping[str, FloatArray]
    error: Mapping[str, FloatArray]
    judged_M: Places
    realistic_M: npt.NDArray[np.bool_]
    weights_M: FloatArray
    read_MP: FloatArray
    residual_cm: Mapping[str, FloatArray]

    @cached_property
    def kept(self) -> dict[str, Places]:
        """Cell -> the parameters that its windows tell, as indices into :func:`seen_names`."""
        return {name: np.flatnonzero(r2_P > IDENTIFIABLE) for name, r2_P in self.r2.items()}

    @cached_property
    def cell_weights(self) -> FloatArray:
        """(12,) the exact weights of the cells as the judge and the gate let them be seen."""
        seen = np.bincount(self.judged_M[self.realistic_M], self.weights_M[self.realistic_M], minlength=len(_NAMES))
        return np.asarray(seen / seen.sum())

    @cached_property
    def gate_weights(self) -> FloatArray:
        """(2,) the exact weights of what the gate lets pass and of what it shuts out.

        They are known from a sample, so half a window is added to each, as to those that are measured: a gate that
        lets all fresh windows pass has no exact zero, which no window could ever be held against.
        """
        size = 1.0 / float((self.weights_M**2).sum())
        passed = float(self.weights_M[self.realistic_M].sum())
        return np.array([size * passed + 0.5, size * (1.0 - passed) + 0.5]) / (size + 1.0)

    def expected(self, name: str) -> Expected:
        """Identifiable parameters of the realistic fresh windows that are judged to be of a cell."""
        here = (self.judged_M == _NAMES.index(name)) & self.realistic_M
        weights = self.weights_M[here]
        return Expected(self.read_MP[here][:, self.kept[name]], weights / weights.sum())


def fit_walkers(
    judge: Judge, spec: FeatureSpec, *, frames: int, stride: int, count: int = WINDOWS, seed: int = 0
) -> WalkerFit:
    """Draw fresh windows of every cell, judge them, and learn to read their parameters.

    Args:
        judge: puts windows into cells.
        spec: what a feature row holds.
        frames: T.
        stride: of the corpus' windows.
        count: fresh windows of each cell.
        seed: of what is drawn. Same arguments, same fit, on one machine.
    """
    cell_weights = exact_weights(frames, stride)
    parts: list[tuple[str, FloatArray, FloatArray, Judged, float]] = []
    readers, r2, error, residual = {}, {}, {}, {}
    for (name, cell), weight in zip(CELLS.items(), cell_weights, strict=True):
        if not weight:
            continue
        fresh = fresh_windows(cell, count, seed, spec, frames=frames, stride=stride)
        slow = slow_part(fresh.features_NTD, spec)
        readers[name], held_out = Reader.fit(slow, fresh.truth_NP)
        r2[name], error[name] = _errors(cell, held_out, fresh.truth_NP)
        residual[name] = residuals_cm(cell, fresh.features_NTD[:RESIDUALS], held_out[:RESIDUALS], spec)
        parts.append((name, slow.astype(np.float32), held_out, judge(fresh.features_NTD), weight))
    read = [_read_as_judged(readers, *part[:4]) for part in parts]
    return WalkerFit(
        readers=readers,
        r2=r2,
        error=error,
        judged_M=np.concatenate([part[3].cell_N for part in parts]),
        realistic_M=np.concatenate([part[3].realistic_N for part in parts]),
        weights_M=np.concatenate([np.full(count, part[4] / count) for part in parts]),
        read_MP=np.concatenate(read),
        residual_cm=residual,
    )


def fit_for(judge: Judge, identity: str, spec: FeatureSpec, *, frames: int, stride: int) -> WalkerFit:
    """The fit that is kept for a judge, or else one that is made now (about a minute) and kept.

    Of several processes that ask for it at once one fits, and the others wait for what it keeps.

    Args:
        judge: puts windows into cells.
        identity: tells this judge from any other.
        spec: what a feature row holds.
        frames: T.
        stride: of the corpus' windows.
    """
    content = [VERSION, CORPUS_VERSION, WINDOWS, identity, spec.to_dict(), frames, stride]
    key = hash_json(content)[:32]
    place = default_cache() / "walkers" / f"{key}.npz"
    if (kept := _load(place)) is not None:
        return kept
    with _alone(place):
        if (kept := _load(place)) is not None:
            return kept
        fitted = fit_walkers(judge, spec, frames=frames, stride=stride)
        try:
            write_bytes(place, _packed(fitted))
        except OSError as error:
            _log.warning("what was fitted to the walkers is not kept: %s", error)
    return fitted


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep other processes from making the same file; the system drops the lock when this process dies."""
    with ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locked(place.with_suffix(".lock")))
            except TimeoutError:
                _log.info("waiting for another process that fits the readers of the walkers")
                stack.enter_context(locked(place.with_suffix(".lock"), wait_seconds=-1.0))
        except OSError as error:
            # a cache that takes no lock may still hold files; at worst the same is fitted twice
            _log.warning("readers of the walkers are fitted without a lock: %s", error)
        yield


def residuals_cm(
    cell: Cell, features_NTD: npt.NDArray[np.float32], read_NP: FloatArray, spec: FeatureSpec
) -> FloatArray:
    """(N,) distance of windows to the walker's motion of the parameters read from them, its tremor left out.

    The root mean square over frames and joints of the distance between joints in the frame of the moving joint's
    heading and floor point, in centimetres. Parameters farther outside their range than a tenth of it are brought back
    to there: legs reach there in every corner, and not everywhere beyond.

    Args:
        cell: as which the windows are judged.
        features_NTD: (N, T, D) features.
        read_NP: (N, P) parameters by :func:`seen_names`.
        spec: what a feature row holds.
    """
    if not len(features_NTD):
        return np.zeros(0)
    names = seen_names(cell)
    frames = features_NTD.shape[1]
    held = [_within(cell, dict(zip(names, row, strict=True)), frames) for row in read_NP]
    windows = [walker_window(cell, seen, spec, frames=frames) for seen in held]
    apart = _local_cm(features_NTD, spec) - _local_cm(np.stack(windows), spec)
    return np.asarray(np.sqrt((apart**2).sum(-1).mean((1, 2))))


def _within(cell: Cell, seen: Mapping[str, float], frames: int) -> dict[str, float]:
    ranges = {**cell.ranges}
    if "onset" in ranges:
        # as the window sees it: a window may start as late as the longest clip lets it
        ranges["onset"] = (ranges["onset"][0] - (cell.frames[1] - frames) / FRAME_RATE, ranges["onset"][1])
    held = {}
    for name, value in seen.items():
        low, high = ranges[name]
        give = _SLACK * (high - low)
        held[name] = value if name == PHASE else float(np.clip(value, low - give, high + give))
    return held


def _local_cm(features_NTD: npt.NDArray[np.float32], spec: FeatureSpec) -> FloatArray:
    """(N, T, J, 3) joints where the moving joint neither travels nor turns about the vertical."""
    still = torch.from_numpy(np.array(features_NTD))
    still[..., spec.slices["root_velocity_m_s"]] = 0.0
    still[..., spec.slices["root_yaw_velocity_rad_s"]] = 0.0
    return np.asarray(joint_positions_m(still, spec).numpy() * 100.0)


def _errors(cell: Cell, found_NP: FloatArray, truth_NP: FloatArray) -> tuple[FloatArray, FloatArray]:
    names = seen_names(cell)
    error_NP = found_NP - truth_NP
    error_NP[:, 0] = phase_error(found_NP[:, 0], truth_NP[:, 0])
    width_P = np.ptp(truth_NP, axis=0)
    return determination(names, found_NP, truth_NP), np.sqrt((error_NP**2).mean(0)) / width_P


def _read_as_judged(
    readers: Mapping[str, Reader], name: str, slow: FloatArray, held_out_NP: FloatArray, judged: Judged
) -> FloatArray:
    """(N, most parameters) windows of one cell as the readers of the cells they are judged to be in have them."""
    width = max(len(seen_names(cell)) for cell in CELLS.values())
    read = np.full((len(slow), width), np.nan)
    for index in np.unique(judged.cell_N):
        here, said = judged.cell_N == index, _NAMES[index]
        if said == name:
            values = held_out_NP[here]
        elif said in readers:
            values = readers[said].read(slow[here].astype(np.float64))
        else:
            continue
        read[here, : values.shape[1]] = values
    return read


def _packed(fitted: WalkerFit) -> bytes:
    arrays: dict[str, Any] = {
        "judged_M": fitted.judged_M,
        "realistic_M": fitted.realistic_M,
        "weights_M": fitted.weights_M,
        "read_MP": fitted.read_MP,
    }
    for name, reader in fitted.readers.items():
        arrays |= {f"{name}|r2": fitted.r2[name], f"{name}|error": fitted.error[name]}
        arrays |= {f"{name}|residual": fitted.residual_cm[name]}
        arrays |= {f"{name}|scale": reader.scale_C, f"{name}|weights": reader.weights_FP}
        for part in ("window", "deviation", "bands"):
            basis: Basis = getattr(reader, part)
            arrays |= {f"{name}|{part}|mean": basis.mean_C, f"{name}|{part}|axes": basis.axes_CK}
    file = io.BytesIO()
    np.savez(file, **{key.replace("/", "~"): value for key, value in arrays.items()})
    return file.getvalue()


def _load(place: Path) -> WalkerFit | None:
    """Fit that is kept at a place; None where there is nothing, or nothing whole."""
    try:
        arrays = read_arrays(place, limit=_MOST_BYTES)
        return _unpacked({key.replace("~", "/"): array for key, array in arrays.items()})
    except (OSError, ValueError, KeyError):
        return None


def _unpacked(arrays: Mapping[str, Any]) -> WalkerFit:
    names = [name for name in _NAMES if f"{name}|scale" in arrays]

    def basis(name: str, part: str) -> Basis:
        return Basis(arrays[f"{name}|{part}|mean"], arrays[f"{name}|{part}|axes"])

    readers = {
        name: Reader(
            arrays[f"{name}|scale"],
            basis(name, "window"),
            basis(name, "deviation"),
            basis(name, "bands"),
            arrays[f"{name}|weights"],
        )
        for name in names
    }
    return WalkerFit(
        readers,
        {name: arrays[f"{name}|r2"] for name in names},
        {name: arrays[f"{name}|error"] for name in names},
        arrays["judged_M"],
        arrays["realistic_M"],
        arrays["weights_M"],
        arrays["read_MP"],
        {name: arrays[f"{name}|residual"] for name in names},
    )
