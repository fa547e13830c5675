"""Classifier two-sample test: can anything tell generated windows from real ones?

Shapes: N windows of both sets together, E size of an embedding, K random features.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError

__all__ = ["FOLDS", "MEASURES", "classifier_accuracy", "folds_by_take"]

FOLDS: Final = 5
FEATURES: Final = 256
"""Random Fourier features of the kernel, beside the E coordinates themselves."""
RIDGE: Final = 0.3
LINEAR: Final = 0.1
"""Weight of the bare coordinates: at 0.1 they hold about as much of the kernel as the random features."""
FARTHEST: Final = 10.0
"""Coordinates are cut there, in standard deviations: one exploded window must not decide what the others look like."""
SEED: Final = 0


def classifier_accuracy(x_NE: Tensor, is_generated_N: Tensor, fold_N: Tensor) -> float:
    """Cross-validated accuracy, each side weighing half, of ridge regression on random Fourier features.

    With ``phi(x) = (sqrt(2) cos(W x / sqrt(E) + b), x / 10, 1)``, W normal and b uniform, of coordinates standardised
    by the reference, the windows of a fold are judged by the sign of ``<w, phi(x)>`` where w minimises over the other
    folds ``sum_i c_i (y_i - <w, phi(x_i)>)^2 + 0.6 |w|^2``, y being +1 or -1 and c_i giving both sides equal weight.
    It sees shifts, and what a Gaussian kernel as wide as the data sees: spread, correlation, gaps. In closed form:
    there is no schedule to tune.

    References:
        Lopez-Paz & Oquab, Revisiting Classifier Two-Sample Tests, 2017; Rahimi & Recht, Random Features for Large-Scale
        Kernel Machines, 2007.

    Args:
        x_NE: (N, E) features of both sets.
        is_generated_N: bool, which set each is of.
        fold_N: int64 fold from 0, so that no take is in two; each side must be in two folds at least.

    Returns:
        0.5 where the sets cannot be told apart, 1 where they always can; a tie counts half. Below 0.5 where few takes
        hold what both sets have: whoever leaves out the only take of a kind learns that this kind is the other side's.

    Raises:
        ValueError: a side has no window left to learn from when a fold is left out.
    """
    x = _standardised(x_NE.double(), ~is_generated_N)
    sign_N = torch.where(is_generated_N, 1.0, -1.0).to(x)
    phi_NK = _features(x)
    folds = int(fold_N.max()) + 1
    member_FN = (fold_N == torch.arange(folds, device=fold_N.device)[:, None]).to(x)
    left_F2 = torch.stack([((1 - member_FN) * (sign_N == side)).sum(1) for side in (1.0, -1.0)], 1)
    if not bool((left_F2 > 0).all()):
        raise ValueError("each side must have windows in at least two folds")
    size = phi_NK.shape[1]
    grams = x.new_zeros(2, folds, size, size)
    sums = x.new_zeros(2, folds, size)
    for side, of in enumerate((1.0, -1.0)):
        for fold in range(folds):
            rows = phi_NK[(fold_N == fold) & (sign_N == of)]
            grams[side, fold], sums[side, fold] = rows.T @ rows, of * rows.sum(0)
    # what is left when a fold is taken out, both sides scaled to N / 2
    weight_2F = (len(x) / 2 / left_F2).T
    gram = (weight_2F[..., None, None] * (grams.sum(1, keepdim=True) - grams)).sum(0)
    target = (weight_2F[..., None] * (sums.sum(1, keepdim=True) - sums)).sum(0)
    gram.diagonal(dim1=-2, dim2=-1).add_(2 * RIDGE)
    weights_FK = torch.cholesky_solve(target[..., None], torch.linalg.cholesky(gram))[..., 0]
    score_N = (phi_NK * weights_FK[fold_N]).sum(1)
    # scores of one repeated window differ by rounding only
    right_N = torch.where(score_N.abs() < 1e-9, 0.5, (score_N.sign() == sign_N).double())
    return float((right_N[is_generated_N].mean() + right_N[~is_generated_N].mean()) / 2)


def _standardised(x_NE: Tensor, is_reference_N: Tensor) -> Tensor:
    """By mean and deviation of the reference; a dimension that it lacks is measured by the widest that it has."""
    reference = x_NE[is_reference_N]
    mean, spread = reference.mean(0), reference.std(0, unbiased=False)
    spread = spread.clamp_min(1e-3 * float(spread.max()))
    if not bool((spread > 0).all()):
        both = x_NE.std(0, unbiased=False)
        spread = both.where(both > 0, both.new_ones(()))
    return ((x_NE - mean) / spread).clamp(-FARTHEST, FARTHEST)


def _features(x_NE: Tensor) -> Tensor:
    """(N, FEATURES + E + 1), the same random ones every time."""
    rng = np.random.default_rng(SEED)
    directions = torch.from_numpy(rng.normal(size=(x_NE.shape[1], FEATURES)) / x_NE.shape[1] ** 0.5).to(x_NE)
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, FEATURES)).to(x_NE)
    waves = (x_NE @ directions + phase).cos_() * 2**0.5
    return torch.cat((waves, LINEAR * x_NE, x_NE.new_ones(len(x_NE), 1)), 1)


def folds_by_take(take_N: Tensor, folds: int = FOLDS) -> Tensor:
    """(N,) int64 fold of each window: takes dealt out in a shuffled order, the same every time.

    Raises:
        ValueError: there are fewer takes than folds.
    """
    takes, number_N = torch.unique(take_N, return_inverse=True)
    if len(takes) < folds:
        raise ValueError(f"{len(takes)} take(s) cannot be dealt to {folds} folds")
    dealt = torch.from_numpy(np.random.default_rng(SEED).permutation(len(takes)) % folds).to(take_N.device)
    return dealt[number_N]


def _takes(take_N: Tensor) -> int:
    return len(set(take_N.tolist()))


def _c2st(sets: Sets, space: str | None) -> dict[str, float]:
    sides = (sets.generated, sets.reference)
    takes = [_takes(side.take_N) for side in sides]
    if min(takes) < 2:
        raise UndefinedError(
            f"cross-validation by take needs at least 2 takes a side, here are {takes[0]} and {takes[1]}"
        )
    fold_N = torch.cat([folds_by_take(side.take_N, min(FOLDS, *takes)) for side in sides])
    x_NE = torch.cat([side.embeddings[space or ""] for side in sides])
    is_generated_N = torch.arange(len(x_NE), device=x_NE.device) < len(sets.generated)
    return {"c2st": classifier_accuracy(x_NE, is_generated_N, fold_N)}


MEASURES: Final = (
    Measure(
        (
            Metric(
                "c2st",
                "fidelity",
                "1",
                "lower",
                "Accuracy with which a classifier (ridge regression on random Fourier features, 5-fold cross-"
                "validation by take) tells generated from reference windows; 0.5: not at all. Rises with N, as the "
                "classifier learns from more.",
                "Lopez-Paz & Oquab 2017",
                ideal=0.5,
                bounds=SHARE,
            ),
        ),
        _c2st,
        resample="takes",
        spaces=True,
    ),
)
