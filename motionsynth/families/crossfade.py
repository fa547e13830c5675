"""Clips of any length through a map of windows: what overlapping windows become is faded from one to the next.

Shapes: B clips, L frames of the longest, W windows of a clip, V = B W, F frames of a window, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["cross_faded"]


def cross_faded(motion_BLD: Tensor, mask_BL: Tensor, frames: int, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``y_t = sum_w h(t - s_w) f_w(t - s_w) / sum_w h(t - s_w)``, ``h(u) = sin^2(pi (u + 1/2) / F)`` inside a window.

    Windows start at ``s_w``, evenly from the first frame of a clip to the last that a whole window fits, at most half a
    window apart, so that each ends before it stops to count. A clip shorter than a window is one window with padding.

    Args:
        motion_BLD: features; what stands in padded frames, which are the last, counts for nothing.
        mask_BL: False on padded frames.
        frames: F.
        change: (V, F, D) windows and their (V, F) mask -> f, (V, F, D); windows of a clip lie together.

    Returns:
        (B, L, D), zero where padded.
    """
    clips, longest = mask_BL.shape
    length_B = mask_BL.sum(1)
    steps = math.ceil(max(0, longest - frames) / max(1, frames // 2))
    place_W = torch.arange(steps + 1, device=mask_BL.device)
    start_BW = (length_B - frames).clamp(min=0)[:, None] * place_W // max(1, steps)
    frame_F = torch.arange(frames, device=mask_BL.device)
    frame_BWF = start_BW[..., None] + frame_F
    mask_VF = (frame_BWF < length_B[:, None, None]).flatten(0, 1)
    first_B11 = longest * torch.arange(clips, device=mask_BL.device)[:, None, None]
    row_X = (frame_BWF.clamp(max=longest - 1) + first_B11).flatten()
    window_VFD = motion_BLD.flatten(0, 1)[row_X].view(*mask_VF.shape, motion_BLD.shape[2])
    changed_VFD = change(window_VFD, mask_VF)
    weight_VF = torch.sin(torch.pi * (frame_F + 0.5) / frames).square() * mask_VF
    weighed_XD = (changed_VFD * weight_VF[..., None]).flatten(0, 1)
    sum_LD = weighed_XD.new_zeros(clips * longest, weighed_XD.shape[1]).index_add(0, row_X, weighed_XD)
    share_L = weight_VF.new_zeros(clips * longest).index_add(0, row_X, weight_VF.flatten())
    faded_LD = sum_LD / share_L.where(share_L > 0, 1.0)[:, None]
    return faded_LD.view(clips, longest, -1)
