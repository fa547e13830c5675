"""Safetensors files, which may come from someone else: what they hold is known before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from motionsynth.files import refuse_irregular

__all__ = ["count_numbers", "dump_tensors", "load_tensors"]


def count_numbers(path: Path) -> int:
    """Count the numbers that a file says it holds, which it is then long enough for; none of them is read.

    Raises:
        OSError: it is missing, or no regular file.
        ValueError: it is damaged.
    """
    refuse_irregular(path)
    try:
        with safe_open(path, "pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping
    except (SafetensorError, RuntimeError, MemoryError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(_line(error)) from error  # a file with holes may be larger than what can be mapped


def load_tensors(content: bytes) -> dict[str, Tensor]:
    """Tensors by name, on the CPU.

    Raises:
        ValueError: it is not the content of a safetensors file.
    """
    try:
        return load(content)
    except Exception as error:  # beside its own the library lets through what torch and its table of types raise
        raise ValueError(_line(error)) from error


def dump_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file that holds these tensors."""
    # cloned because safetensors refuses tensors that share memory, as tied weights do
    return save({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()})


def _line(error: Exception) -> str:
    return f"not a whole safetensors file ({' '.join(str(error).split())[:120] or type(error).__name__})"
