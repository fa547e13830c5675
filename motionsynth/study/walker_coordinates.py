"""Generated walkers in the coordinates in which the corpus has a density: cells, and generating parameters inside them.

In the space of windows both KL divergences of any model from a corpus on a thin manifold are infinite. In the
corpus' own coordinates they are

    KL(p || q) = sum_c p_c log(p_c / q_c) + sum_c p_c KL(p(theta|c) || q(theta|c)),

and what lies off the manifold is a number of its own. p is the exact density, looked at through the same judge and
readers as the windows; see ``walkers.fit``.

The judge's gate shuts some windows out, a few of the corpus' own too. By the chain rule, r the event of passing,

    KL(p || q) = KL(p(r) || q(r)) + sum_r p(r) KL(p(. | r) || q(. | r)).

What is shut out has no coordinates, so its own term cannot be measured. Zero in its place, as one more cell of which
nothing is known, would reward whoever draws such windows, since they would take weight from the term of the others. It
is set to what that of the realistic windows is: then the weights are gone, and the gate's own term is added to the
others whole. It never falls where more of the windows are shut out than of the corpus'.

All estimates fall with fewer windows, so all sets are measured on as many realistic ones.

Shapes: N windows, C cells, P parameters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from motionsynth.comparison.motions import as_one_kind
from motionsynth.corpus.motions import MotionSet
from motionsynth.extractors.extractor import Extractor
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.skeleton import FloatArray
from motionsynth.study.world import Shown, World
from motionsynth.walkers.body import FRAME_RATE, SKELETON
from motionsynth.walkers.cells import CELLS, Cell
from motionsynth.walkers.divergences import Pair, cell_divergences, inside_divergences
from motionsynth.walkers.fit import Judge, Judged, Places, WalkerFit, fit_for, residuals_cm
from motionsynth.walkers.reader import slow_part
from motionsynth.walkers.windows import PHASE, exact_weights, seen_names

__all__ = ["KEYS", "judge_of", "measure_walkers", "not_walkers", "walker_coordinates"]

KEYS: Final = (
    "known/kl_forward",
    "known/kl_reverse",
    "known/asymmetry",
    "known/gate_kl_forward",
    "known/gate_kl_reverse",
    "known/cell_kl_forward",
    "known/cell_kl_reverse",
    "known/inside_kl_forward",
    "known/inside_kl_reverse",
    "known/spread_inside",
    "known/outside_share",
    "known/residual",
    "known/off_manifold_share",
    "known/unrealistic_share",
)
FEW: Final = 8
"""Windows that a cell needs before its spread is measured."""
MARGIN: Final = 0.1
"""A parameter is outside where it is beyond its range by more than this share of it."""
SYNTHESISED: Final = 256
"""Windows whose walker is made anew for the residual, spread evenly over the set."""
OFF: Final = 0.95
"""Share of fresh windows that count as on the manifold."""
_NAMES: Final = tuple(CELLS)


def walker_coordinates(world: World, shown: Shown) -> dict[str, float | str]:
    """Measure a view in the walkers' own coordinates.

    Returns:
        | key | what it is | right |
        |---|---|---|
        | ``known/kl_forward`` | KL(p of the corpus, q of the windows), nats: gate, cells and inside | 0 |
        | ``known/kl_reverse`` | KL(q, p) | 0 |
        | ``known/asymmetry`` | the first less the second: above 0 where more is missing than is too much | 0 |
        | ``known/gate_kl_*`` | the part of what the judge's gate shuts out | 0 |
        | ``known/cell_kl_*`` | the part of the cells' weights among realistic windows | 0 |
        | ``known/inside_kl_*`` | the part inside cells | 0 |
        | ``known/spread_inside`` | distance of the quartiles of parameters inside cells, over the right one | 1 |
        | ``known/outside_share`` | share of parameters beyond the range of their cell by a tenth of it | as real |
        | ``known/residual`` | distance to the nearest walker's motion, over fresh real windows' | 1 |
        | ``known/off_manifold_share`` | windows farther from it than 95 % of fresh real ones of their cell | 0.05 |
        | ``known/unrealistic_share`` | windows that the judge's gate shuts out | as real |

        The last and the gate's are of all windows; all others of as many realistic ones as the study measures. Each is
        a reason instead where the corpus is not the walkers', or there are too few realistic windows.
    """
    if reason := not_walkers(world):
        return dict.fromkeys(KEYS, reason)
    motions = as_one_kind(shown.motions)
    return measure_walkers(_fit(world), judge_of(world.judge), motions, world.measure.count, world.measure.seed)


def measure_walkers(
    fitted: WalkerFit, judge: Judge, motions: MotionSet, count: int | None = None, seed: int = 0
) -> dict[str, float | str]:
    """The figures of canonical windows; see :func:`walker_coordinates`.

    Args:
        fitted: to the judge's own windows.
        judge: puts windows into cells.
        motions: at least one window, as ``features.canonical`` has it.
        count: realistic windows that are measured; all where None.
        seed: by which they are chosen.

    Raises:
        ValueError: the judge names a cell whose clips are all shorter than a window.
    """
    judged = judge(motions.features_NTD.cpu().numpy())
    if strange := {_NAMES[index] for index in judged.cell_N} - set(fitted.readers):
        raise ValueError(f"the judge knows cells that have no window of this length: {', '.join(sorted(strange))}")
    passed = int(judged.realistic_N.sum())
    gate, _ = cell_divergences(fitted.gate_weights, np.array([passed, len(motions) - passed], dtype=np.float64))
    reason = f"{passed} of {len(motions)} windows are realistic, {count} are needed" if count else ""
    found: dict[str, float | str] = dict.fromkeys(KEYS, reason or "no window is realistic")
    found["known/unrealistic_share"] = 1.0 - passed / len(motions)
    found |= {"known/gate_kl_forward": gate.forward, "known/gate_kl_reverse": gate.reverse}
    if not passed or (count is not None and passed < count):
        return found
    # sets may be in the order of clips, and then their first windows are of few
    order_N = np.random.default_rng(seed).permutation(len(motions))
    chosen = np.sort(order_N[judged.realistic_N[order_N]][:count])
    return found | _of_realistic(fitted, motions, chosen, judged.cell_N[chosen], gate)


def _of_realistic(
    fitted: WalkerFit, motions: MotionSet, chosen: Places, cell_N: Places, gate: Pair
) -> dict[str, float | str]:
    features = motions.features_NTD.cpu().numpy()[chosen]
    slow = slow_part(features, motions.spec)
    read = {name: reader.read(slow[cell_N == _NAMES.index(name)]) for name, reader in fitted.readers.items()}
    found = _divergences(fitted, read, gate) | _inside(fitted, read)
    return found | _manifold(fitted, features, motions.spec, cell_N, read)


def not_walkers(world: World) -> str:
    """Why a corpus has no known density; empty where it has."""
    judge, spec, config = world.judge, world.judge.spec, world.reference.corpus.config
    if spec.names != SKELETON.names or spec.frame_rate != FRAME_RATE:
        return "the corpus is not the walkers', whose density alone is known"
    if judge.cell_source != "classifier":
        return "the judge does not tell the walkers' cells apart"
    weights = exact_weights(config.window_frames, config.stride_frames)
    if set(judge.cell_names) != {name for name, weight in zip(_NAMES, weights, strict=True) if weight}:
        return "the corpus has not all cells of the walkers, so its density is another"
    return ""


def judge_of(extractor: Extractor) -> Judge:
    """An extractor as a judge of windows of its corpus."""
    place_C = np.array([_NAMES.index(name) for name in extractor.cell_names])
    rate = extractor.spec.frame_rate

    def judge(features_NTD: npt.NDArray[np.float32]) -> Judged:
        names = tuple(map(str, range(len(features_NTD))))
        motions = MotionSet(torch.from_numpy(features_NTD), extractor.spec, names, names, {}, rate / 2)
        told = extractor.describe(motions, spaces=("pca",))
        assert told.cell_N is not None
        passed = np.ones(len(names), dtype=bool) if told.realistic_N is None else told.realistic_N.numpy()
        return Judged(place_C[told.cell_N.numpy()], passed)

    return judge


@lru_cache(maxsize=2)
def _fit(world: World) -> WalkerFit:
    config = world.reference.corpus.config
    return fit_for(
        judge_of(world.judge),
        world.judge.identity,
        world.judge.spec,
        frames=config.window_frames,
        stride=config.stride_frames,
    )


def _divergences(fitted: WalkerFit, read: dict[str, FloatArray], gate: Pair) -> dict[str, float | str]:
    count_C = np.array([float(len(read.get(name, ()))) for name in _NAMES])
    cells, weight_C = cell_divergences(fitted.cell_weights, count_C)
    forward = reverse = 0.0
    for name, p, q in zip(_NAMES, fitted.cell_weights, weight_C, strict=True):
        if p:
            inside = inside_divergences(fitted.expected(name), read[name][:, fitted.kept[name]])
            forward, reverse = forward + float(p) * inside.forward, reverse + float(q) * inside.reverse
    total = Pair(*(sum(parts) for parts in zip(gate, cells, (forward, reverse), strict=True)))
    return {
        "known/kl_forward": total.forward,
        "known/kl_reverse": total.reverse,
        "known/asymmetry": total.forward - total.reverse,
        "known/cell_kl_forward": cells.forward,
        "known/cell_kl_reverse": cells.reverse,
        "known/inside_kl_forward": forward,
        "known/inside_kl_reverse": reverse,
    }


def _inside(fitted: WalkerFit, read: dict[str, FloatArray]) -> dict[str, float | str]:
    """Spread against the right one, and parameters out of range; the phase, a circle, has neither."""
    spreads, weights, outside = [], [], []
    for name, p in zip(_NAMES, fitted.cell_weights, strict=True):
        if not p:
            continue
        kept = fitted.kept[name][fitted.kept[name] > 0]
        values, expected = read[name][:, kept], fitted.expected(name)
        if len(values) >= FEW and len(kept):
            right = _middle_half(expected.values_MP[:, fitted.kept[name] > 0], expected.weights_M)
            spreads.append((_middle_half(values) / right).mean())
            weights.append(float(p))
        outside.append(_outside(CELLS[name], values, kept).ravel())
    spread = float(np.average(spreads, weights=weights)) if spreads else f"no cell has {FEW} windows"
    return {"known/spread_inside": spread, "known/outside_share": float(np.concatenate(outside).mean())}


def _middle_half(values_NP: FloatArray, weights_N: FloatArray | None = None) -> FloatArray:
    """(P,) distance of the quartiles: a few windows that are no walker's, read as far outside, do not move it."""
    if weights_N is None:
        weights_N = np.full(len(values_NP), 1 / len(values_NP))
    order = np.argsort(values_NP, axis=0, kind="stable")
    level = np.cumsum(weights_N[order], 0) - 0.5 * weights_N[order]
    columns = zip(level.T, np.take_along_axis(values_NP, order, 0).T, strict=True)
    return np.array([float(np.diff(np.interp((0.25, 0.75), at, value))[0]) for at, value in columns])


def _outside(cell: Cell, values_NP: FloatArray, kept: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which parameters are out of range; an onset may lie before the window, so only its upper end is one."""
    names = [seen_names(cell)[index] for index in kept]
    assert PHASE not in names
    low_P, high_P = (np.array([cell.ranges[name][end] for name in names]) for end in (0, 1))
    slack_P = MARGIN * (high_P - low_P)
    below = values_NP < low_P - slack_P
    below[:, [index for index, name in enumerate(names) if name == "onset"]] = False
    return np.asarray(below | (values_NP > high_P + slack_P))


def _manifold(
    fitted: WalkerFit,
    features: npt.NDArray[np.float32],
    spec: FeatureSpec,
    cell_N: Places,
    read: dict[str, FloatArray],
) -> dict[str, float | str]:
    """How far windows are from walkers' motion, in units of what fresh windows of their cell are."""
    count = len(cell_N)
    chosen = np.unique(np.linspace(0, count - 1, min(SYNTHESISED, count)).round().astype(np.int64))
    ratios, off = [], []
    for index in np.unique(cell_N[chosen]):
        name = _NAMES[index]
        own = np.flatnonzero(cell_N == index)
        rows = np.isin(own, chosen)
        found = residuals_cm(CELLS[name], features[own[rows]], read[name][rows], spec)
        ratios.append(np.log(found) - np.log(fitted.residual_cm[name]).mean())
        off.append(found > np.quantile(fitted.residual_cm[name], OFF))
    return {
        "known/residual": float(np.exp(np.concatenate(ratios).mean())),
        "known/off_manifold_share": float(np.concatenate(off).mean()),
    }
