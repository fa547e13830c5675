"""Windows generated before, kept so that a critic does not forget them.

Shapes: B batch, P places, T frames, D features, S numbers beside a window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionsynth.families.adversary import Judged
from motionsynth.families.base import StepContext

__all__ = ["ReplayPool"]


class ReplayPool(nn.Module):
    """A store of generated windows, half of which stand in for new ones (Shrivastava et al., 2017, section 2.3).

    Until it is full, what comes is stored and given back. From then on every window is, by the toss of a coin, either
    given back as it came, or stored in the place of one drawn at random, which is given back instead. The places that
    one batch takes are all different. Its tensors are buffers, so that a resumed training goes on as it was.

    Args:
        places: P, windows that it holds; 0 for none, where everything is given back as it came.
        frames: T.
        features: D.
        side: S, numbers beside each window.
    """

    motion_PTD: Tensor
    mask_PT: Tensor
    side_PS: Tensor
    filled: Tensor

    def __init__(self, places: int, frames: int, features: int, *, side: int = 0) -> None:
        super().__init__()
        self.places = places
        self.register_buffer("motion_PTD", torch.zeros(places, frames, features))
        self.register_buffer("mask_PT", torch.zeros(places, frames, dtype=torch.bool))
        self.register_buffer("side_PS", torch.zeros(places, side))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, new: Judged, context: StepContext) -> Judged:
        """Exchange windows with the store: some that come back are from earlier, and it takes what they leave.

        Args:
            new: B windows, without gradient.
            context: where chance comes from.
        """
        count = len(new.motion_BTD)
        if not self.places or not count:
            return new
        filled = int(self.filled)
        fresh = min(self.places - filled, count)
        drawn_P = context.uniform(self.places).argsort()
        empty_B = torch.arange(filled, filled + fresh, device=drawn_P.device)
        # a batch larger than the store exchanges as much as there are places
        place_B = torch.cat((empty_B, drawn_P[drawn_P < filled]))[:count]
        takes_B = context.uniform(len(place_B)) < 0.5
        takes_B[:fresh] = False
        stores_B = takes_B.clone()
        stores_B[:fresh] = True
        self.filled += fresh
        stores = (self.motion_PTD, self.mask_PT, self.side_PS)
        swapped = (
            None if value is None else _swap(store, value, place_B, takes_B, stores_B)
            for store, value in zip(stores, new, strict=True)
        )
        return Judged(*swapped)  # type: ignore[arg-type]  # only a side may be None, and is where it was


def _swap(store_P: Tensor, value_B: Tensor, place_B: Tensor, takes_B: Tensor, stores_B: Tensor) -> Tensor:
    """Swap rows of one tensor with the store, which keeps what is left."""
    held, given_B = len(place_B), value_B.clone()
    given_B[:held][takes_B] = store_P[place_B[takes_B]].to(given_B.dtype)
    store_P[place_B[stores_B]] = value_B[:held][stores_B].to(store_P.dtype)
    return given_B
