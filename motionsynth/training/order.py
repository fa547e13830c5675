"""In which order a run sees its windows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["BatchOrder"]


class BatchOrder:
    """Index batches: a fresh permutation of all windows each pass, cut into batches of one size.

    What is left at the end of a pass, fewer than a batch, is not used in that pass; the next permutation puts other
    windows there. With ``whole`` it is the pass's last batch instead, so that a pass holds every window exactly once.
    A batch larger than the data is all of the data.

    Args:
        count: N, number of windows.
        batch_size: windows a batch, at most.
        seed: fixes every permutation.
        device: where the windows are; a permutation goes there once a pass, so that no step waits for a copy.
        whole: whether a pass ends with a smaller batch rather than without some windows.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, device: torch.device | str = "cpu", *, whole: bool = False
    ) -> None:
        if count < 1:
            raise ValueError("there are no windows to train on")
        self.whole = whole
        self.count, self.batch_size, self.device = count, min(batch_size, count), torch.device(device)
        self._generator = torch.Generator().manual_seed(seed)
        self._place(torch.randperm(count, generator=self._generator), 0)

    def _place(self, order_N: Tensor, position: int) -> None:
        self._order_N, self._order_there_N, self._position = order_N, order_N.to(self.device), position

    def next(self) -> tuple[Tensor, Tensor]:
        """The next batch's (B,) int64 indices, on the device and on the CPU; both stay valid."""
        if self.ends_pass:
            self._place(torch.randperm(self.count, generator=self._generator), 0)
        window = slice(self._position, min(self._position + self.batch_size, self.count))
        self._position = window.stop
        return self._order_there_N[window], self._order_N[window]

    @property
    def ends_pass(self) -> bool:
        """True after the last batch of a pass."""
        return self._position + (1 if self.whole else self.batch_size) > self.count

    @property
    def steps_per_pass(self) -> int:
        """Batches in a pass."""
        return -(-self.count // self.batch_size) if self.whole else self.count // self.batch_size

    @property
    def _seen_per_pass(self) -> int:
        return self.count if self.whole else self.steps_per_pass * self.batch_size

    def seen(self, steps: int) -> int:
        """Windows given in so many steps from the start."""
        passes, rest = divmod(steps, self.steps_per_pass)
        return passes * self._seen_per_pass + rest * self.batch_size

    def steps_until(self, seen: int) -> int:
        """The fewest steps that give so many windows."""
        passes, rest = divmod(seen, self._seen_per_pass)
        return passes * self.steps_per_pass + -(-rest // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Generator, permutation and position."""
        return {
            "generator": self._generator.get_state(),
            "order": self._order_N.clone(),
            "position": self._position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another order stood; ``ValueError`` where it was one of other windows, or is none."""
        order_N, position = state["order"], state["position"]
        if len(order_N) != self.count:
            raise ValueError(f"the order is one of {len(order_N)} windows, not of {self.count}")
        if not torch.equal(order_N.sort().values, torch.arange(self.count)) or not 0 <= int(position) <= self.count:
            raise ValueError(f"the order is no permutation of {self.count} windows with a place in it")
        self._generator.set_state(state["generator"])
        self._place(order_N, int(position))
