"""What a view of a cell is measured by: the suite of figures, dose readings, a spectrum, and further instruments.

Shapes: N windows, T frames, D features, F frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch

from motionsynth.calibration.curve import Curve
from motionsynth.calibration.reading import read_figure
from motionsynth.calibration.record import Calibration, calibration_bytes, load_calibration
from motionsynth.comparison.likelihood import log_density_figures
from motionsynth.comparison.motions import as_one_kind
from motionsynth.comparison.reference import Reference
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import open_corpus
from motionsynth.extractors.store import extractor_for
from motionsynth.hashes import hash_bytes
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.likelihood import LIKELIHOOD
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import MEASURES, Chosen, choose
from motionsynth.metrics.spectra import ENERGY_FLOOR, frequencies_hz, log_energy, window_energy
from motionsynth.metrics.suite import score
from motionsynth.study.plan import MeasureConfig
from motionsynth.study.results import DoseReading, ViewResult
from motionsynth.study.translation import translation
from motionsynth.study.walker_coordinates import walker_coordinates
from motionsynth.study.world import Found, Shown, World

__all__ = ["INSTRUMENTS", "measure_view", "open_world", "read_dose"]


def open_world(data: DataConfig, measure: MeasureConfig, calibration: Path | None) -> World:
    """Read the clips, the extractor that judges them, which is trained where none is kept, and the calibration.

    Raises:
        CorpusError, ExtractorError: they cannot be used.
    """
    corpus = open_corpus(data)
    curves = load_calibration(calibration) if calibration else None
    identity = hash_bytes(calibration_bytes(calibration)) if calibration else ""
    return World(Reference(corpus, "test"), extractor_for(corpus), curves, measure, identity)


def measure_view(world: World, shown: Shown) -> ViewResult:
    """All that a study's instruments find in one view."""
    found: Found = {}
    spectrum: dict[str, list[float]] = {}
    cells: dict[str, dict[str, float]] = {}
    for name in world.measure.instruments:
        if name == "suite":
            suite, spectrum, cells = _suite(world, shown)
            found |= suite
        else:
            found |= INSTRUMENTS[name](world, shown)
    figures = {key: value for key, value in found.items() if isinstance(value, float)}
    undefined = {key: value for key, value in found.items() if isinstance(value, str)}
    return ViewResult(figures, undefined, _doses(world, figures), spectrum, cells)


def _suite(world: World, shown: Shown) -> tuple[Found, dict[str, list[float]], dict[str, dict[str, float]]]:
    """Every figure that was chosen, without intervals: those of a study are over training seeds."""
    reference, train = _held(world)
    motions = as_one_kind(shown.motions.draw(len(reference.motion_NTD), world.measure.seed))
    generated = world.judge.describe(motions)
    figures = score(Sets(generated, reference, train), _chosen(world), seed=world.measure.seed)
    found: Found = {key: figure.outcome for key, figure in figures.items()}
    return found | _likelihood(world, shown), _spectrum(generated, reference), _by_cell(generated, reference)


def _likelihood(world: World, shown: Shown) -> Found:
    """How probable held-out windows are to the model, where it has a density and the figure was asked for."""
    wanted = {metric.name for measure, _ in _chosen(world, densities=True) for metric in measure.metrics}
    # of the model as it is drawn from, whatever is shown of it: told once, with the arm's own view
    is_main = shown.view == shown.arm.views[shown.arm.main_view]
    if shown.run is None or not is_main or not wanted & {metric.name for metric in LIKELIHOOD.metrics}:
        return {}
    count, seed = world.measure.count, world.measure.seed
    held, train = (world.reference.motions(split).draw(count, seed) for split in ("test", "train"))
    figures, _ = log_density_figures(shown.run, held, train, wanted=wanted, resamples=0, seed=seed, device="cpu")
    return {key: figure.outcome for key, figure in figures.items()}


@lru_cache(maxsize=2)
def _held(world: World) -> tuple[Descriptors, Descriptors | None]:
    """The held-out windows of a world, and its training split where a figure asks what was copied; kept a process."""
    measure = world.measure
    reference = as_one_kind(world.reference.motions("test").draw(measure.count, measure.seed))
    asks = [space for of, space in _chosen(world) if "train" in of.needs and space]
    train = None
    if any("train" in of.needs for of, _ in _chosen(world)):
        whole = as_one_kind(world.reference.motions("train", mirrored=True))
        train = world.judge.describe(whole, spaces=tuple(dict.fromkeys(asks)) or None)
    return world.judge.describe(reference), train


def _chosen(world: World, *, densities: bool = False) -> list[Chosen]:
    measures = (*MEASURES, LIKELIHOOD)
    chosen = choose(world.measure.metrics, world.measure.features, world.judge.spaces, measures=measures)
    names = {metric.name for metric in LIKELIHOOD.metrics}
    return [(of, space) for of, space in chosen if (of.metrics[0].name in names) == densities]


def _spectrum(generated: Descriptors, reference: Descriptors) -> dict[str, list[float]]:
    """Mean energy of joint velocities by frequency against held-out motion's, and the same of mean logarithms, in dB.

    The first weighs windows by their energy, the second all windows alike.
    """
    ours_NF, theirs_NF = (window_energy(windows) + ENERGY_FLOOR for windows in (generated, reference))
    means_F = 10 * (ours_NF.mean(0).log10() - theirs_NF.mean(0).log10())
    logs_F = 10 * (ours_NF.log10().mean(0) - theirs_NF.log10().mean(0))
    frequencies = frequencies_hz(generated.motion_NTD.shape[1], generated.spec.frame_rate)
    return {"frequencies_hz": frequencies.tolist(), "decibels": means_F.tolist(), "decibels_log": logs_F.tolist()}


def _by_cell(generated: Descriptors, reference: Descriptors) -> dict[str, dict[str, float]]:
    """Of each cell that held-out motion has: how many windows, and how much energy they have against real ones.

    Figures within cells are means over the cells that an arm draws; what is calm and what is brisk may differ apart.
    """
    if generated.cell_N is None or reference.cell_N is None:
        return {}
    limit_hz = min(generated.nyquist_hz, reference.nyquist_hz)
    told: dict[str, dict[str, float]] = {}
    energies = {
        name: [windows.per_window(log_energy(hz, limit_hz)) for windows in (generated, reference)]
        for name, hz in (("energy_above_5hz", 5.0), ("energy", 0.0))
    }
    for cell in torch.unique(reference.cell_N).tolist():
        ours_N, theirs_N = generated.cell_N == cell, reference.cell_N == cell
        found = {"windows": float(ours_N.sum()), "real": float(theirs_N.sum())}
        if ours_N.any():
            found |= {name: float(a[ours_N].mean() - b[theirs_N].mean()) for name, (a, b) in energies.items()}
        told[reference.cell_names[cell]] = found
    return told


def _doses(world: World, figures: Mapping[str, float]) -> dict[str, DoseReading]:
    if world.calibration is None:
        return {}
    found = {axis: read_dose(world.calibration, axis, figures) for axis in world.calibration.headlines}
    return {axis: reading for axis, reading in found.items() if reading is not None}


def read_dose(calibration: Calibration, axis: str, figures: Mapping[str, float]) -> DoseReading | None:
    """The headline figure of an axis read backwards; None where the figure is not there.

    The share of the axis is that of the severity at which the calibration's curve has the figure. Beyond either end the
    curve goes on straight, as it is between its end and the nearest dose that differs: below 0 on the far side of real
    motion, above 1 past the strongest dose. So arms that are off the curve can still be told apart, though no dose
    stands behind such numbers.
    """
    key = calibration.headlines[axis].key
    verdict = calibration.verdict(key, axis)
    if key not in figures or verdict is None:
        return None
    kind = calibration.config.axes[axis].dose
    sign = float(np.sign(verdict.rho or 1.0))
    curve = Curve.fit(calibration.series(key), kind, verdict.doses, sign, calibration.ground)
    reading = read_figure(calibration, verdict, figures[key])
    share = (curve.invert(figures[key]) + _beyond(curve, figures[key])) / float(curve.severity_D[-1])
    return DoseReading(key, share, reading.state, reading.dose, kind, reading.sentence)


def _beyond(curve: Curve, figure: float) -> float:
    """Severity by which a figure lies below the curve, as a number below 0, or above it; 0 where it is on it."""
    levels, severities, level = curve.level_D, curve.severity_D, curve.level(figure)
    if not math.isfinite(level):
        return 0.0
    end = 0 if level < levels[0] else -1
    off = min(level - levels[0], 0.0) + max(level - levels[-1], 0.0)
    rising = [place for place in range(len(levels)) if levels[place] != levels[end]]
    if not off or not rising:
        return 0.0
    other = rising[end]
    return float(off * (severities[end] - severities[other]) / (levels[end] - levels[other]))


INSTRUMENTS: Final[dict[str, Callable[[World, Shown], Found]]] = {
    "walker_coordinates": walker_coordinates,
    "translation": translation,
}
"""Name -> what it finds in a view, beside the suite of ``motionsynth evaluate``."""
