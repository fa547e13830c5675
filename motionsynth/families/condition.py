"""Condition of a model: the labels of each window.

Shapes: B batch, N samples, S numbers that hold for a whole window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionsynth.corpus.windows import Batch

__all__ = ["Condition"]


class Condition(nn.Module):
    """Labels side by side as one-hot numbers, which every network of a family takes beside its input.

    Labels that nobody asks for are drawn as they stand together in the training windows.

    Args:
        names: labels that the family is conditioned on; none for a family without labels.
        classes: label name -> number of classes, of all labels that windows have.

    Raises:
        ValueError: windows have no such label.
    """

    share_L: Tensor

    def __init__(self, names: tuple[str, ...], classes: Mapping[str, int]) -> None:
        super().__init__()
        for name in names:
            if name not in classes:
                known = f"only {', '.join(classes)}" if classes else "none at all"
                raise ValueError(f"family.condition: clips have no label {name!r}, {known}")
        self.names, self.sizes = names, tuple(classes[name] for name in names)
        self.width = sum(self.sizes)
        if names:
            count = math.prod(self.sizes)
            self.register_buffer("share_L", torch.full((count,), 1 / count))

    def of(self, batch: Batch) -> Tensor | None:
        """(B, S) one-hot labels of a batch; None where there is no condition."""
        return self.code({name: batch.labels[name] for name in self.names}) if self.names else None

    def code(self, labels: Mapping[str, Tensor]) -> Tensor:
        """(B, S) one-hot numbers of (B,) class indices, one entry a label."""
        pairs = zip(self.names, self.sizes, strict=True)
        return torch.cat([F.one_hot(labels[name], size).float() for name, size in pairs], 1)

    @property
    def combinations(self) -> int:
        """L, how many combinations of classes there are; 1 where there is no condition."""
        return math.prod(self.sizes)

    def combination(self, side_BS: Tensor) -> Tensor:
        """(B,) combination of classes that each row of one-hot numbers stands for, from 0 to L - 1."""
        cell_B = torch.zeros(len(side_BS), dtype=torch.int64, device=side_BS.device)
        for one_hot_BC in torch.split(side_BS, list(self.sizes), 1):
            cell_B = cell_B * one_hot_BC.shape[1] + one_hot_BC.argmax(1)
        return cell_B

    def observe(self, labels: Mapping[str, Tensor]) -> None:
        """Take the shares of all combinations of classes from (N,) class indices of the training windows."""
        if self.names:
            cell_N = torch.zeros_like(labels[self.names[0]])
            for name, size in zip(self.names, self.sizes, strict=True):
                cell_N = cell_N * size + labels[name]
            self.share_L.copy_(torch.bincount(cell_N, minlength=len(self.share_L)) / len(cell_N))

    def draw(self, count: int, fixed: Mapping[str, int], *, generator: torch.Generator) -> Tensor | None:
        """(N, S) labels: ``fixed`` ones as they are, the others as the training windows have them beside those.

        Raises:
            ValueError: a class index is out of range.
        """
        if not self.names:
            return None
        allowed_L = torch.ones(self.sizes, device=self.share_L.device)
        for axis, (name, size) in enumerate(zip(self.names, self.sizes, strict=True)):
            if name in fixed:
                if not 0 <= fixed[name] < size:
                    raise ValueError(f"label {name}: class {fixed[name]} is not one of {size}")
                one_hot_C = F.one_hot(torch.tensor(fixed[name], device=allowed_L.device), size)
                allowed_L = allowed_L * one_hot_C.reshape(
                    [-1 if place == axis else 1 for place in range(allowed_L.ndim)]
                )
        share_L = self.share_L.reshape(self.sizes) * allowed_L
        # a combination that no training window has may be asked for all the same
        share_L = share_L if share_L.any() else allowed_L
        cell_N = torch.multinomial(share_L.flatten(), count, replacement=True, generator=generator)
        index_N = torch.unravel_index(cell_N, self.sizes)
        return self.code(dict(zip(self.names, index_N, strict=True)))
