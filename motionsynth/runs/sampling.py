"""Draw from a trained run: normalised features, the same ones for the same seed.

Shapes: N samples, T frames, D features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from motionsynth.errors import RunError
from motionsynth.families.base import Family
from motionsynth.families.capabilities import SampleOptions
from motionsynth.runs.run import Run
from motionsynth.training.determinism import stream_seed, torch_threads

__all__ = ["CHUNK", "SampleSet", "draw_from", "draw_samples"]

CHUNK = 64
"""Windows drawn at a time, always."""


class SampleSet(NamedTuple):
    """Windows drawn from one run."""

    motion_NTD: Tensor
    """(N, T, D) float32 normalised features, on the CPU."""
    seed: int
    """Seed that they were drawn with."""


def draw_samples(
    run: Run, count: int, seed: int, *, how: SampleOptions = SampleOptions(), device: torch.device | str = "cpu"
) -> SampleSet:
    """Draw windows from a run's moving average, or from its weights where it kept none.

    Same run, seed, ``how`` and machine, same bytes; the first samples of a larger count are those of a smaller one.
    Devices have random generators of their own: a GPU's samples are not the CPU's.

    Args:
        run: a run that has finished.
        count: N.
        seed: any integer.
        how: length, prior, labels and noise.
        device: where the family computes.

    Raises:
        RunError: the run has no intact weights, or draws values that are not finite.
        ValueError: the family cannot draw so; see ``Family.sample``.
    """
    with torch_threads(run.config.train.threads):
        motion_NTD = draw_from(run.load_family(device), count, seed, how)
    if not motion_NTD.isfinite().all():
        raise RunError(run.path, "draws values that are not finite: its training has diverged")
    return SampleSet(motion_NTD, seed)


def draw_from(family: Family, count: int, seed: int, how: SampleOptions = SampleOptions()) -> Tensor:
    """(N, T, D) draws on the CPU from a family as it stands, in whole chunks of ``CHUNK``.

    Each chunk has a generator of its own, so its draws depend on the seed and on its place alone; and its arithmetic
    never depends on ``count``: libraries choose other kernels, which round otherwise, for other batch sizes.
    """
    if count < 1:
        raise ValueError("count must be at least 1")
    device = next(family.parameters()).device
    training = family.training
    family.eval()
    chunks = []
    with torch.no_grad():
        for place in range(0, count, CHUNK):
            generator = torch.Generator(device).manual_seed(stream_seed(seed, f"samples/{place}"))
            drawn = family.sample(CHUNK, generator=generator, how=how).float()
            chunks.append(family.expand(drawn, how.frames).cpu())
    family.train(training)
    return torch.cat(chunks)[:count]
