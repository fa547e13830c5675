"""Set of a window's nearest neighbour: the two-sample test of a 1-nearest-neighbour classifier.

Shapes: N generated windows, M reference windows, E features, P pairs drawn, C cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from motionsynth.metrics.neighbours import TIE, Rows, either, other_cells, others, rows_of, search
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError
from motionsynth.metrics.within import LEAST_WINDOWS, cell_means, shared_cells

__all__ = ["DRAWS", "MEASURES", "draw_pairs", "nearest_neighbour_accuracy", "recognised"]

DRAWS: Final = 8
"""Most draws of one window a take."""


def recognised(generated_PE: Tensor, reference_PE: Tensor, *, cell_P: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Classify each window's nearest neighbour: 1 if of its own set, 0 if of the other, 1/2 for a tie.

    Row i of one set is no neighbour of row i of the other, as it is none of itself. So each window has P - 1 to choose
    from in either set, and the classes are as likely where the sets are of one distribution, however small P is: with
    the P of the other set the share would be (P - 1) / (2 P - 1).

    Args:
        generated_PE: (P, E) finite features.
        reference_PE: (P, E) finite features, on the same device, in an order that has nothing to do with the other's.
        cell_P: cell of row i in both sets: windows of another cell are no neighbours either.

    Returns:
        (P,) and (P,) float64; nan where a window has no neighbour.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """
    if generated_PE.shape != reference_PE.shape:
        raise ValueError(f"sets {tuple(generated_PE.shape)} and {tuple(reference_PE.shape)} are not of one size")
    generated, reference = rows_of(generated_PE, reference_PE)
    return _own_is_nearer(generated, reference, cell_P), _own_is_nearer(reference, generated, cell_P)


def _own_is_nearer(own: Rows, other: Rows, cell_P: Tensor | None) -> Tensor:
    exclude = either(others(None), other_cells(cell_P, cell_P))
    inside, across = (search(own, rows, 1, exclude).distance_NK[:, 0] for rows in (own, other))
    tied_P = (inside - across).abs() <= TIE * across
    accuracy_P = (inside < across).double().masked_fill(tied_P, 0.5)
    return accuracy_P.masked_fill(inside.isinf() & across.isinf(), torch.nan)


def nearest_neighbour_accuracy(generated_PE: Tensor, reference_PE: Tensor) -> float:
    r"""Compute the leave-one-out accuracy of telling both sets apart by the nearest neighbour.

    :math:`\frac{1}{2P} \sum_i ( 1[d(g_i, G \setminus g_i) < d(g_i, R \setminus r_i)] + 1[d(r_i, R \setminus r_i) <
    d(r_i, G \setminus g_i)] )`, a tie counting a half: 1/2 for two sets of one distribution, 1 for sets apart, towards
    0 for a set and its copy in another order, and 1/2 for two sets of one constant.

    References:
        Lopez-Paz & Oquab, Revisiting Classifier Two-Sample Tests, 2017; Xu et al., An Empirical Study on Evaluation
        Metrics of Generative Adversarial Networks, 2018 (leave-one-out 1-NN).

    Args:
        generated_PE: (P, E) finite features, P at least 2.
        reference_PE: (P, E) finite features, on the same device; see :func:`recognised` for their order.

    Raises:
        UndefinedError: there is one window a set.
        ValueError: the shapes do not fit, or a number is not finite.
    """
    if len(generated_PE) < 2:
        raise UndefinedError("a single window of a set has no neighbour in it")
    return float(torch.cat(recognised(generated_PE, reference_PE)).mean())


def draw_pairs(
    takes: tuple[Tensor, Tensor], cells: tuple[Tensor, Tensor] | None = None, *, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw one window of each take from both sets, as many of the one as of the other, in random pairs.

    Windows of one take overlap: among all windows each would have its nearest neighbour in its own take, and without
    its take the other set would hold more of what resembles it.

    Args:
        takes: (N,) and (M,) takes of the windows.
        cells: (N,) and (M,) cells: one window of each take and cell is drawn, and both of a pair are of one cell.
        seed: of all draws.

    Yields:
        Indices (P,) and (P,), sorted by cell; as many times as it takes to draw most windows, but at most ``DRAWS``.
    """
    device = takes[0].device
    of_take = [np.unique(take.cpu().numpy(), return_inverse=True)[1] for take in takes]
    of_cell = [np.zeros_like(take) for take in of_take] if cells is None else [cell.cpu().numpy() for cell in cells]
    keys = [cell * (take.max(initial=0) + 1) + take for take, cell in zip(of_take, of_cell, strict=True)]
    size = 1 + max(int(cell.max(initial=0)) for cell in of_cell)
    counts = [
        np.bincount(np.unique(k) // (take.max(initial=0) + 1), minlength=size)
        for k, take in zip(keys, of_take, strict=True)
    ]
    fewest_C = np.minimum(*counts)
    draws = max(-(-len(key) // max(1, len(np.unique(key)))) for key in keys)
    rng = np.random.default_rng(seed)
    for _ in range(min(draws, DRAWS)):
        pair = []
        for key, cell in zip(keys, of_cell, strict=True):
            shuffled = rng.permutation(len(key))
            first = shuffled[np.sort(np.unique(key[shuffled], return_index=True)[1])]
            first = first[np.argsort(cell[first], kind="stable")]
            count = np.bincount(cell[first], minlength=size)
            rank = np.arange(len(first)) - np.repeat(count.cumsum() - count, count)
            pair.append(torch.from_numpy(first[rank < fewest_C[cell[first]]]).to(device))
        yield pair[0], pair[1]


def _accuracy(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    found = [
        nearest_neighbour_accuracy(generated.embeddings[space][n], reference.embeddings[space][m])
        for n, m in draw_pairs((generated.take_N, reference.take_N))
    ]
    return {"nearest_neighbour_accuracy": sum(found) / len(found)}


def _within(sets: Sets, space: str | None) -> Mapping[str, float]:
    assert space is not None
    generated, reference = sets.generated, sets.reference
    shared = shared_cells(generated, reference)
    assert generated.cell_N is not None
    assert reference.cell_N is not None
    accuracies: list[Tensor] = []
    cells: list[Tensor] = []
    for n, m in draw_pairs((generated.take_N, reference.take_N), (generated.cell_N, reference.cell_N)):
        kept = torch.isin(generated.cell_N[n], shared.cells_C)
        n, m = n[kept], m[kept]
        cell_P = generated.cell_N[n]
        found = recognised(generated.embeddings[space][n], reference.embeddings[space][m], cell_P=cell_P)
        accuracies += found
        cells += [cell_P, cell_P]
    accuracy_P, cell_P = torch.cat(accuracies), torch.cat(cells)
    known_P = ~accuracy_P.isnan()  # a cell with one take has no neighbours
    known_C = torch.isin(shared.cells_C, cell_P[known_P])
    if not bool(known_C.any()):
        raise UndefinedError(f"no cell with {LEAST_WINDOWS} windows in both sets has two takes in both")
    means_C = cell_means(accuracy_P[known_P], cell_P[known_P], shared.cells_C[known_C])
    weights_C = shared.weights_C[known_C]
    return {"nearest_neighbour_accuracy_within": float(weights_C @ means_C / weights_C.sum())}


_REFERENCE = "Lopez-Paz & Oquab 2017; Xu et al. 2018"
_RULE = f"one window a take and as many of both sets, mean of up to {DRAWS} draws (seed 0), a tie a half"

MEASURES: Final = (
    Measure(
        metrics=(
            Metric(
                name="nearest_neighbour_accuracy",
                group="modes",
                unit="1",
                better="match",
                summary=f"Share of windows whose nearest neighbour is of their own set, mean of both sets; {_RULE}; 1 "
                f"where the sets lie apart or one is collapsed, towards 0 where one copies the other.",
                reference=_REFERENCE,
                ideal=0.5,
                bounds=SHARE,
            ),
        ),
        compute=_accuracy,
        resample="halves",
        spaces=True,
    ),
    Measure(
        metrics=(
            Metric(
                name="nearest_neighbour_accuracy_within",
                group="modes",
                unit="1",
                better="match",
                summary=f"The nearest-neighbour accuracy among the windows of each cell with at least {LEAST_WINDOWS} "
                f"in both sets, weighted by the harmonic mean of their counts; {_RULE}.",
                reference=_REFERENCE,
                ideal=0.5,
                within=True,
                bounds=SHARE,
            ),
        ),
        compute=_within,
        resample="halves",
        spaces=True,
        needs=("cells",),
    ),
)
