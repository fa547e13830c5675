"""Training windows that a model keeps, for families whose samples begin with motion.

Shapes: N samples, M windows in the bank, L labels, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from motionsynth.corpus.windows import Batch, WindowSet

__all__ = ["WindowBank"]


class WindowBank(nn.Module):
    """Equally many whole training windows of each class of the first label, evenly over the corpus, in buffers.

    Args:
        places: M, windows that it holds.
        frames: T.
        features: D.
        labels: names of the labels that it keeps; the first has two classes.
    """

    motion_MTD: Tensor
    mask_MT: Tensor
    label_ML: Tensor
    filled: Tensor

    def __init__(self, places: int, frames: int, features: int, *, labels: tuple[str, ...]) -> None:
        super().__init__()
        self.labels = labels
        # half precision: a thousandth of a standard deviation is below what anyone sees, and runs are half as large
        self.register_buffer("motion_MTD", torch.zeros(places, frames, features, dtype=torch.float16))
        self.register_buffer("mask_MT", torch.ones(places, frames, dtype=torch.bool))
        self.register_buffer("label_ML", torch.zeros(places, len(labels), dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def fill(self, windows: WindowSet) -> None:
        """Take windows of both classes, those without padding where there are any."""
        places = len(self.motion_MTD)
        kind_N, whole_N = windows.labels[self.labels[0]], windows.whole_N
        chosen = []
        for kind in (0, 1):
            of_kind = kind_N == kind
            index = (of_kind & whole_N if (of_kind & whole_N).any() else of_kind).nonzero()[:, 0]
            wanted = min(places // 2, len(index))
            chosen.append(index[torch.linspace(0, len(index) - 1, wanted, device=index.device).round().long()])
        batch = windows.batch(torch.cat(chosen))
        count = len(batch.motion_BTD)
        self.motion_MTD[:count] = batch.motion_BTD.to(self.motion_MTD.dtype)
        self.mask_MT[:count] = batch.mask_BT
        self.label_ML[:count] = torch.stack([batch.labels[name] for name in self.labels], 1)
        self.filled.fill_(count)

    def draw(self, count: int, weight_2: Tensor, wanted: Mapping[str, int], *, generator: torch.Generator) -> Batch:
        """Windows at random, with replacement; normal numbers where nothing was put by.

        Args:
            count: N.
            weight_2: how likely each class of the first label is, where none is ``wanted``.
            wanted: label name -> class index of all windows.
            generator: source of randomness, on the bank's device.

        Raises:
            ValueError: no window has these labels.
        """
        device = self.motion_MTD.device
        if not int(self.filled):
            _, *size = self.motion_MTD.shape
            kind_N = torch.multinomial(weight_2, count, replacement=True, generator=generator)
            labels = {name: torch.full_like(kind_N, wanted.get(name, 0)) for name in self.labels}
            if self.labels[0] not in wanted:
                labels[self.labels[0]] = kind_N
            motion_NTD = torch.randn(count, *size, generator=generator, device=device)
            return Batch(motion_NTD, torch.ones(count, size[0], dtype=torch.bool, device=device), labels)
        label_ML = self.label_ML[: int(self.filled)]
        kind_M = label_ML[:, 0]
        each_2 = torch.bincount(kind_M, minlength=2).clamp(min=1)
        weight_M = (weight_2 / each_2)[kind_M]
        if self.labels[0] in wanted:
            weight_M = torch.ones_like(weight_M)
        for place, name in enumerate(self.labels):
            if name in wanted:
                weight_M = weight_M * (label_ML[:, place] == wanted[name])
        if not weight_M.any():
            asked = ", ".join(f"{name} {index}" for name, index in wanted.items())
            raise ValueError(f"no training window with {asked} is there to begin with")
        index_N = torch.multinomial(weight_M, count, replacement=True, generator=generator)
        labels = dict(zip(self.labels, label_ML[index_N].unbind(1), strict=True))
        return Batch(self.motion_MTD[index_N].float(), self.mask_MT[index_N], labels)
