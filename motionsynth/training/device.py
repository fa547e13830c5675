"""Where a model computes."""

from __future__ import annotations

import torch

from motionsynth.errors import ConfigError

__all__ = ["resolve_device"]


def resolve_device(name: str) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as the device to use; ``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: the name is none of these, or no GPU can be used.
    """
    if name not in ("auto", "cpu", "cuda") and not name.startswith("cuda:"):
        raise ConfigError(None, "--device", f"{name!r} is not auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(None, "--device", "cuda was asked for, but no GPU can be used; say cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
