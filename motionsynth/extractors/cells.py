"""The cells that windows are put in: content x style as a classifier judges, or k-means cells without labels.

Shapes: N windows, C cells, L labels, K components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from motionsynth.corpus.corpus import Corpus

__all__ = ["Cells", "label_cells", "means_cells"]

CellSource = Literal["classifier", "k-means"]

MOST_MEANS: Final = 64
WINDOWS_PER_MEAN: Final = 50
"""k-means makes one cell for this many training windows, and at most ``MOST_MEANS``."""


class Cells(NamedTuple):
    """Names of the cells, and what tells which one a window is in."""

    names: tuple[str, ...]
    source: CellSource
    table: Tensor
    """``classifier``: (C, L) int64 class of each label; ``k-means``: (C, K) centres in the space ``pca``."""

    def judge(self, log_probabilities: Sequence[Tensor]) -> Tensor:
        """(N,) cell with the largest sum of the labels' log-probabilities, of the cells that occur in training.

        Args:
            log_probabilities: of each label (N, classes).
        """
        table = self.table.to(log_probabilities[0].device)
        scores = torch.stack([scores[:, table[:, label]] for label, scores in enumerate(log_probabilities)])
        return scores.sum(0).argmax(1)

    def nearest(self, coordinates_NK: Tensor) -> Tensor:
        """(N,) cell with the nearest centre."""
        return torch.cdist(coordinates_NK, self.table.to(coordinates_NK)).argmin(1)


def label_cells(corpus: Corpus, labels: Mapping[str, Tensor]) -> Cells | None:
    """The combinations of classes that occur; None where there are fewer than two.

    Args:
        corpus: tells which labels make a cell, and the names of their classes.
        labels: label name -> (N,) int64 class indices of the training windows.
    """
    names = corpus.labels.cell_names
    if not names:
        return None
    table = torch.unique(torch.stack([labels[name] for name in names], 1), dim=0)
    if len(table) < 2:
        return None
    classes = [corpus.label_names[name] for name in names]
    cell_names = ("/".join(of[index] for of, index in zip(classes, row, strict=True)) for row in table.tolist())
    return Cells(tuple(cell_names), "classifier", table)


def means_cells(coordinates_NK: Tensor, seed: int) -> Cells:
    """k-means cells in the space of principal components: min(64, N / 50) of them, at least one."""
    from sklearn.cluster import KMeans

    count = max(1, min(MOST_MEANS, len(coordinates_NK) // WINDOWS_PER_MEAN))
    fitted = KMeans(count, n_init=4, random_state=seed % 2**32).fit(coordinates_NK.numpy())
    names = tuple(f"k-means {number}" for number in range(count))
    return Cells(names, "k-means", torch.from_numpy(fitted.cluster_centers_).float())
