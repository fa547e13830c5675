"""Windows of encoded motion: the frames of clips, held once, and where each window begins; no files here.

Shapes: N windows, C clips, F frames of all clips, T frames of a window, D features, B windows of a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Batch", "WindowMap", "WindowSet", "count_windows", "cut_windows", "no_windows"]


class Batch(NamedTuple):
    """Windows of motion that one step learns from."""

    motion_BTD: Tensor
    """Normalised features, float; zero where the mask is False."""
    mask_BT: Tensor
    """Bool; False on the padded frames of clips shorter than the window."""
    labels: dict[str, Tensor]
    """Label name -> (B,) int64 class indices, such as ``content`` and ``style``."""


class WindowMap(Protocol):
    """Fixed linear map between windows and what networks see in their place: coefficients, or weighted features."""

    @property
    def size(self) -> int:
        """Numbers a frame that networks see."""
        ...

    def encode(self, motion_NTD: Tensor, mask_NT: Tensor | None = None) -> Tensor:
        """Windows of normalised features as networks see them."""
        ...

    def decode(self, seen: Tensor, /) -> Tensor:
        """(N, T, D) normalised features of windows as networks see them."""
        ...

    def project(self, windows: WindowSet) -> WindowSet:
        """The same windows as networks see them."""
        ...

    def account(self, asked: int) -> str:
        """Line about what the map keeps, where so many components were asked for."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Tensors by name for a safetensors file."""
        ...


@dataclass(frozen=True, slots=True)
class WindowSet:
    """The windows of one split: window n is the T rows from ``row_N[n]`` on.

    Windows that overlap share their frames, so that memory is that of the clips, whatever the stride. Windows are
    gathered when they are asked for, by :meth:`batch`.

    Args:
        rows_FD: float32 normalised features, clip after clip; a clip shorter than T has zeros behind it, up to T rows.
        row_N: (N,) int64 row at which each window starts.
        length_N: (N,) int64 frames that are there; those after them, up to T, are padding.
        frames: T.
        labels: label name -> (N,) int64 class indices.
        clip_N: (N,) int64 index into ``clips`` of the clip each window was cut from.
        start_N: (N,) int64 frame at which each window starts in its clip.
        clips: names of the clips, as errors and journals show them.
        basis: what windows are seen through: a batch then holds their coefficients. None for the frames themselves.
    """

    rows_FD: Tensor
    row_N: Tensor
    length_N: Tensor
    frames: int
    labels: dict[str, Tensor]
    clip_N: Tensor
    start_N: Tensor
    clips: tuple[str, ...]
    basis: WindowMap | None = None

    @classmethod
    def of(
        cls,
        motion_NTD: Tensor,
        mask_NT: Tensor,
        labels: dict[str, Tensor],
        clip_N: Tensor,
        start_N: Tensor,
        clips: tuple[str, ...],
    ) -> WindowSet:
        """Windows that share no frames; those of a window that the mask leaves out are its last."""
        count, frames = mask_NT.shape
        row_N = torch.arange(count, device=motion_NTD.device) * frames
        return cls(motion_NTD.flatten(0, 1), row_N, mask_NT.sum(1), frames, labels, clip_N, start_N, clips)

    def __len__(self) -> int:
        return len(self.row_N)

    @property
    def device(self) -> torch.device:
        """Device of the frames."""
        return self.rows_FD.device

    @property
    def size(self) -> tuple[int, int]:
        """Frames and features of a window of a batch."""
        return (self.frames, self.rows_FD.shape[1]) if self.basis is None else (1, self.basis.size)

    @property
    def whole_N(self) -> Tensor:
        """(N,) bool, whether no frame of a window is padding."""
        return self.length_N == self.frames

    def batch(self, index_B: Tensor) -> Batch:
        """The windows at those indices, on the device of the set."""
        # all windows that there could be, as a view: rows of one window lie together, so each is one copy
        every_WTD = self.rows_FD.unfold(0, self.frames, 1).mT
        motion_BTD = every_WTD.index_select(0, self.row_N[index_B])
        labels = {name: value[index_B] for name, value in self.labels.items()}
        if self.basis is not None:
            motion_BTD = self.basis.encode(motion_BTD)
            return Batch(motion_BTD, torch.ones_like(motion_BTD[..., 0], dtype=torch.bool), labels)
        mask_BT = torch.arange(self.frames, device=self.device) < self.length_N[index_B, None]
        return Batch(motion_BTD, mask_BT, labels)

    def batches(self, size: int) -> Iterator[Batch]:
        """All windows in their order, ``size`` at a time."""
        return map(self.batch, torch.split(torch.arange(len(self), device=self.device), size))

    def as_batch(self) -> Batch:
        """All windows at once, as large as they are: for few, such as those of :meth:`even`."""
        return self.batch(torch.arange(len(self), device=self.device))

    def subset(self, index_M: Tensor) -> WindowSet:
        """The windows at those indices, or where a mask is True; they share the frames of this set."""
        labels = {name: value[index_M] for name, value in self.labels.items()}
        row_M, length_M, clip_M, start_M = (v[index_M] for v in (self.row_N, self.length_N, self.clip_N, self.start_N))
        return replace(self, row_N=row_M, length_N=length_M, labels=labels, clip_N=clip_M, start_N=start_M)

    def even(self, most: int) -> WindowSet:
        """Every k-th of the windows, with the smallest k that leaves at most so many."""
        step = -(-len(self) // most)
        return self.subset(torch.arange(0, len(self), step, device=self.device)) if step > 1 else self

    @property
    def takes(self) -> tuple[str, ...]:
        """Name of the clip of each window."""
        return tuple(self.clips[clip] for clip in self.clip_N.tolist())

    @property
    def identity(self) -> str:
        """Identity of the windows of clips; what is in them is the corpus fingerprint's affair."""
        digest = hashlib.sha256("\0".join(self.clips).encode())
        for tensor in (self.clip_N, self.start_N):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return f"{len(self)} windows {digest.hexdigest()}"

    def to(self, device: torch.device | str) -> WindowSet:
        """The same windows on another device."""
        return WindowSet(
            self.rows_FD.to(device),
            self.row_N.to(device),
            self.length_N.to(device),
            self.frames,
            {name: value.to(device) for name, value in self.labels.items()},
            self.clip_N.to(device),
            self.start_N.to(device),
            self.clips,
            self.basis,
        )


def cut_windows(
    rows_FD: Tensor,
    count_C: Sequence[int],
    labels: Mapping[str, Sequence[int]],
    clips: Sequence[str],
    *,
    length: int,
    stride: int,
) -> WindowSet:
    """Cut each clip into windows of ``length`` frames, one every ``stride`` frames.

    The last window of a clip ends on its last frame; a clip shorter than ``length`` gives one window, padded with
    zeros and masked.

    Args:
        rows_FD: normalised features of the clips, one after the other, float; kept, not copied, where none is short.
        count_C: frames of each clip, at least 1; at least one clip.
        labels: label name -> class index of each clip.
        clips: name of each clip.
        length: T, frames in a window.
        stride: frames between the starts of neighbouring windows.

    Raises:
        ValueError: length or stride is not positive, there is no clip, or a clip has no frames.
    """
    if length < 1 or stride < 1:
        raise ValueError("length and stride must be at least 1 frame")
    frames_C = torch.tensor(count_C, dtype=torch.int64)
    if not len(frames_C) or not frames_C.all():
        raise ValueError("windows need at least one clip, and each clip at least one frame")
    padded_C = frames_C.clamp(min=length)
    first_C = padded_C.cumsum(0) - padded_C
    rows_FD = rows_FD.to(torch.float32)
    if not padded_C.equal(frames_C):
        moved_C = first_C - (frames_C.cumsum(0) - frames_C)
        place_F = torch.arange(len(rows_FD)) + moved_C.repeat_interleave(frames_C)
        rows_FD = rows_FD.new_zeros(int(padded_C.sum()), rows_FD.shape[1]).index_copy_(0, place_F, rows_FD)
    last_C = padded_C - length
    windows_C = -(-last_C // stride) + 1
    clip_N = torch.arange(len(frames_C)).repeat_interleave(windows_C)
    number_N = torch.arange(len(clip_N)) - (windows_C.cumsum(0) - windows_C)[clip_N]
    start_N = torch.minimum(number_N * stride, last_C[clip_N])
    return WindowSet(
        rows_FD,
        first_C[clip_N] + start_N,
        frames_C.clamp(max=length)[clip_N],
        length,
        {name: torch.tensor(list(values), dtype=torch.int64)[clip_N] for name, values in labels.items()},
        clip_N,
        start_N,
        tuple(clips),
    )


def count_windows(frames: int, length: int, stride: int) -> int:
    """Number of windows that :func:`cut_windows` cuts from a clip of that many frames."""
    return -(-max(frames - length, 0) // stride) + 1


def no_windows(length: int, width: int, labels: Sequence[str]) -> WindowSet:
    """The windows of a split without clips."""
    none = torch.zeros(0, dtype=torch.int64)
    rows_FD = torch.zeros(length, width)  # one view of a window is there, and none starts
    return WindowSet(rows_FD, none, none, length, dict.fromkeys(labels, none), none, none, ())
