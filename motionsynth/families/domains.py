"""Batches that mix the windows of two domains.

Shapes: B batch, T frames, D features, S numbers of the condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

from torch import Tensor

from motionsynth.corpus.windows import Batch
from motionsynth.families.adversary import Judged

__all__ = ["Distance", "Pair", "refuse_domain"]

Distance = Literal["absolute", "squared"]


class Pair(NamedTuple):
    """The windows of a batch, those of domain A before those of B; either may have none."""

    whole: Judged
    a: Judged
    b: Judged
    weight_B: Tensor
    """Weight of a row in a mean over rows, so that both domains count alike however many windows they have."""

    @classmethod
    def of(cls, batch: Batch, domain_B: Tensor, side_BS: Tensor | None, share_2: Tensor) -> Self:
        """Sort a batch.

        Args:
            batch: windows; what stands in padded frames is replaced by zeros.
            domain_B: (B,) 0 for A, 1 for B.
            side_BS: (B, S) numbers beside each window.
            share_2: share of the training windows of each domain.
        """
        order_B = domain_B.argsort(stable=True)
        mask_BT = batch.mask_BT[order_B]
        motion_BTD = batch.motion_BTD[order_B].masked_fill(~mask_BT.unsqueeze(2), 0.0)
        whole = Judged(motion_BTD, mask_BT, None if side_BS is None else side_BS[order_B])
        count_a = int((domain_B == 0).sum())
        weight_B = 0.5 / share_2.clamp(min=1e-6)[domain_B[order_B]]
        return cls(whole, _rows(whole, slice(count_a)), _rows(whole, slice(count_a, None)), weight_B)

    def mean(self, value_B: Tensor) -> Tensor:
        """``1/2 (E_A + E_B)`` of a value of each row, estimated as a weighted mean over rows."""
        return (self.weight_B * value_B).mean()

    def distance(self, motion_BTD: Tensor, kind: Distance = "absolute") -> Tensor:
        """The mean absolute, or squared, difference from the windows, over features and the frames that are there."""
        difference_BTD = motion_BTD - self.whole.motion_BTD
        apart_BTD = difference_BTD.abs() if kind == "absolute" else difference_BTD.square()
        return self.mean(apart_BTD.sum((1, 2)) / (self.whole.mask_BT.sum(1) * motion_BTD.shape[2]))


def _rows(of: Judged, rows: slice) -> Judged:
    side_BS = None if of.side_BS is None else of.side_BS[rows]
    return Judged(of.motion_BTD[rows], of.mask_BT[rows], side_BS)


def refuse_domain(domain: str, condition: tuple[str, ...], labels: Mapping[str, int]) -> None:
    """Raise ``ValueError`` unless the clips have two classes of the label, and the condition is of others.

    Args:
        domain: label whose classes are the domains.
        condition: labels that networks take.
        labels: label name -> number of classes.
    """
    if domain not in labels:
        known = f"only {', '.join(labels)}" if labels else "none at all"
        raise ValueError(f"family.domain: clips have no label {domain!r}, {known}")
    if labels[domain] != 2:
        raise ValueError(
            f"family.domain: the clips have {labels[domain]} classes of {domain}, and translation is between two: "
            f"choose two by data.keep, such as --set 'data.keep={{{domain}: [A, B]}}', or another label with two"
        )
    if domain in condition:
        raise ValueError(f"family.condition: {domain} is the domain, which each network stands for already")
