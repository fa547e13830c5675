"""Where the numbers of a run come from: named streams of one seed, initial weights, and the thread count."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from motionsynth.families import family_class
from motionsynth.families.base import Family, FamilyConfig, MotionShape

__all__ = ["build_family", "initial_weights", "stream_seed", "torch_threads"]


def stream_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, so that order, noise and weights of one run share no random numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def build_family(config: FamilyConfig, shape: MotionShape, seed: int, *, most: int | None = None) -> Family:
    """A family with its initial weights, on the CPU: a function of its arguments alone.

    Args:
        config: its settings.
        shape: size of its windows.
        seed: of its weights.
        most: numbers that its networks may hold in all; None for no bound.

    Raises:
        ValueError: it cannot be built so, or would hold more.
    """
    with initial_weights(seed), _bounded(math.inf if most is None else most):
        return family_class(config.name)(config, shape)


@contextmanager
def _bounded(most: float) -> Iterator[None]:
    """Inside the block networks that hold more numbers in all are refused, before the first too many is written.

    A layer registers its weights when they have an address and no memory yet, and fills them afterwards. To build
    everything on torch's ``meta`` device first would need no such trick, and costs two seconds of imports a process.
    """
    held = 0

    def count(_: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal held
        held += 0 if tensor is None else tensor.numel()
        if held > most:
            raise ValueError(f"its networks would hold more than {most:,} numbers")

    handles = (
        nn.modules.module.register_module_parameter_registration_hook(count),
        nn.modules.module.register_module_buffer_registration_hook(count),
    )
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError) as error:
        if math.isinf(most):
            raise
        raise ValueError(f"its networks cannot be built ({str(error).partition(chr(10))[0][:120]})") from error
    finally:
        for handle in handles:
            handle.remove()


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
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` CPU threads inside the block, because the order of sums depends on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
