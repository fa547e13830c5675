"""Bases of windows that no corpus was needed for."""

from __future__ import annotations

import torch

from motionsynth.corpus.basis import WindowBasis, free_modes


def plain_basis(frames: int, features: int, components: int, seed: int = 0) -> WindowBasis:
    """Random orthonormal axes of one band, with a metric that weighs all features alike."""
    numbers = frames * features
    random = torch.randn(numbers, numbers, generator=torch.Generator().manual_seed(seed))
    axes = torch.linalg.qr(random).Q.T[:components].contiguous()
    ones = torch.ones(frames, features)
    kept = {"features": 1.0, "motion": 1.0}
    return WindowBasis(
        free_modes(frames), torch.zeros_like(ones), ones, (axes,), torch.ones(components), torch.ones(components), kept
    )
