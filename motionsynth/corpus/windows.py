"""Windows of encoded motion, cut after the split, held as one tensor; no files here.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Batch", "WindowSet", "count_windows", "cut_windows", "no_windows"]


class Batch(NamedTuple):
    """Windows of motion that one step learns from."""

    motion_BTD: Tensor
    """Normalised features, float; zero where the mask is False."""
    mask_BT: Tensor
    """Bool; False on the padded frames of clips shorter than the window."""
    labels: dict[str, Tensor]
    """Label name -> (B,) int64 class indices, such as ``content`` and ``style``."""


@dataclass(frozen=True, slots=True)
class WindowSet:
    """The windows of one split.

    Args:
        motion_NTD: float32 normalised features, zero where padded.
        mask_NT: bool, False where padded.
        labels: label name -> (N,) int64 class indices.
        clip_N: (N,) int64 index into ``clips`` of the clip each window was cut from.
        start_N: (N,) int64 frame at which each window starts in its clip.
        clips: names of the clips, as errors and journals show them.
    """

    motion_NTD: Tensor
    mask_NT: Tensor
    labels: dict[str, Tensor]
    clip_N: Tensor
    start_N: Tensor
    clips: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.motion_NTD)

    def batch(self, index_B: Tensor) -> Batch:
        """The windows at those indices, on the device of the set."""
        return Batch(
            self.motion_NTD[index_B],
            self.mask_NT[index_B],
            {name: value[index_B] for name, value in self.labels.items()},
        )

    @property
    def identity(self) -> str:
        """Which windows of which clips these are; what is in them is the corpus fingerprint's affair."""
        digest = hashlib.sha256("\0".join(self.clips).encode())
        for tensor in (self.clip_N, self.start_N):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return f"{len(self)} windows {digest.hexdigest()}"

    def to(self, device: torch.device | str) -> WindowSet:
        """The same windows on another device."""
        return WindowSet(
            self.motion_NTD.to(device),
            self.mask_NT.to(device),
            {name: value.to(device) for name, value in self.labels.items()},
            self.clip_N.to(device),
            self.start_N.to(device),
            self.clips,
        )


def cut_windows(
    features: Sequence[Tensor],
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
        features: (T_i, D) normalised features of each clip, float, T_i >= 1; at least one clip.
        labels: label name -> class index of each clip.
        clips: name of each clip.
        length: T, frames in a window.
        stride: frames between the starts of neighbouring windows.

    Raises:
        ValueError: length or stride is not positive, there is no clip, or a clip has no frames.
    """
    if length < 1 or stride < 1:
        raise ValueError("length and stride must be at least 1 frame")
    if not features or not all(len(feature_TD) for feature_TD in features):
        raise ValueError("windows need at least one clip, and each clip at least one frame")
    frames = torch.tensor([len(feature_TD) for feature_TD in features])
    starts = [_starts(count, length, stride) for count in frames.tolist()]
    clip_N = torch.arange(len(features)).repeat_interleave(torch.tensor([len(one) for one in starts]))
    start_N = torch.tensor([start for one in starts for start in one])
    # one gather of whole rows instead of a few small operations a clip: ten times faster on a thousand clips
    frame_NT = start_N[:, None] + torch.arange(length)
    mask_NT = frame_NT < frames[clip_N, None]
    first_N = (frames.cumsum(0) - frames)[clip_N]
    row_NT = torch.where(mask_NT, first_N[:, None] + frame_NT, 0)
    motion_NTD = torch.cat(list(features)).to(torch.float32).index_select(0, row_NT.flatten())
    motion_NTD = motion_NTD.reshape(*row_NT.shape, -1)
    motion_NTD[~mask_NT] = 0.0
    return WindowSet(
        motion_NTD,
        mask_NT,
        {name: torch.tensor(list(values), dtype=torch.int64)[clip_N] for name, values in labels.items()},
        clip_N,
        start_N,
        tuple(clips),
    )


def count_windows(frames: int, length: int, stride: int) -> int:
    """How many windows :func:`cut_windows` cuts from a clip of that many frames."""
    return len(_starts(frames, length, stride))


def no_windows(length: int, width: int, labels: Sequence[str]) -> WindowSet:
    """The windows of a split without clips."""
    none = torch.zeros(0, dtype=torch.int64)
    mask_NT = torch.zeros(0, length, dtype=torch.bool)
    return WindowSet(torch.zeros(0, length, width), mask_NT, dict.fromkeys(labels, none), none, none, ())


def _starts(frames: int, length: int, stride: int) -> list[int]:
    last = max(frames - length, 0)
    return sorted({*range(0, last + 1, stride), last})
