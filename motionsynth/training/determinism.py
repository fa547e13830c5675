"""Sources of the numbers of a run: named streams of one seed, initial weights, and the thread count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from motionsynth.corpus.shape import MotionShape
from motionsynth.families import family_class
from motionsynth.families.backbone import BasisConfig
from motionsynth.families.base import Family, FamilyConfig
from motionsynth.training.bounds import bounded_networks
from motionsynth.training.machine import THREADS

__all__ = ["build_family", "initial_weights", "stream_seed", "torch_threads"]


def stream_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, so that order, noise and weights of one run share no random numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def build_family(config: FamilyConfig, shape: MotionShape, seed: int, *, kept: int | None = None) -> Family:
    """A family with its initial weights, on the CPU: a function of its arguments alone.

    Args:
        config: its settings.
        shape: size of its windows; its networks see coefficients instead where the settings have a basis.
        seed: of its weights.
        kept: numbers in the file that its weights are then read from, which it may not exceed by far; None for none.

    Raises:
        ValueError: it cannot be built so, or would hold far more.
    """
    if isinstance(config.basis, BasisConfig):
        shape = shape.as_coefficients(config.basis.components)
    with initial_weights(seed), nullcontext() if kept is None else bounded_networks(kept):
        return family_class(config.name)(config, shape)


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Inside the block networks draw their initial weights from ``seed``, on the CPU.

    ``nn`` layers draw their weights from torch's global generator and take no other, so it is seeded here and given
    back afterwards as it was; drawing on the CPU makes the weights the same for every device.
    """
    with torch.random.fork_rng(devices=[]):
        # the CPU generator alone: ``torch.manual_seed`` would also reseed every GPU, which fork_rng was told to skip
        torch.default_generator.manual_seed(stream_seed(seed, "weights"))
        yield


@contextmanager
def torch_threads(count: int | Literal["auto"]) -> Iterator[None]:
    """Compute with ``count`` CPU threads inside the block, because the order of sums depends on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS if count == "auto" else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
