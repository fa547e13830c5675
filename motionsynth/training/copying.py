"""An early end of training, where what is drawn are copies of training windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from motionsynth.training.distributed import Ranks

__all__ = ["FIGURE", "IN_A_ROW", "CopyWatch"]

FIGURE: Final = "close_to_train"
"""Name of the share of drawn windows that are as close to training windows as copies."""
IN_A_ROW: Final = 2
"""Validations that must find copies, one after the other."""


class CopyWatch:
    """Count of validations in a row that find more copies among draws than training may go on with.

    Args:
        most: share of draws above which a validation counts; None for never.
        ranks: the processes that train together; rank 0 alone validates and tells the others.
    """

    def __init__(self, most: float | None, ranks: Ranks) -> None:
        self.most, self.ranks = most, ranks
        self.count = 0

    @property
    def ends(self) -> bool:
        """True where training ends here."""
        return self.count >= IN_A_ROW

    def see(self, validation: Mapping[str, float]) -> None:
        """Take in what a validation has found; all ranks call it at the same step, with what they have."""
        if self.most is not None:
            self.count = self.ranks.share(self.count + 1 if validation.get(FIGURE, 0.0) > self.most else 0)

    def load(self, count: object) -> None:
        """Put back the count of a checkpoint; ``ValueError`` where it is none."""
        if not isinstance(count, int) or not 0 <= count <= IN_A_ROW:
            raise ValueError(f"{count!r} validations in a row have found copies")
        self.count = count
