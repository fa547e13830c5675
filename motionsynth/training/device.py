"""Device that a model computes on."""

from __future__ import annotations

import torch

from motionsynth.errors import ConfigError

__all__ = ["resolve_device"]


def resolve_device(name: str, *, local_rank: int | None = None) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as the device to use; ``auto`` takes a GPU where there is one.

    Args:
        name: what was asked for.
        local_rank: number of this process on this machine, where several train one model: each takes the GPU of its
            number.

    Raises:
        ConfigError: the name is none of these, no GPU can be used, or there is none for this process.
    """
    if name not in ("auto", "cpu", "cuda") and not name.startswith("cuda:"):
        raise ConfigError(None, "--device", f"{name!r} is not auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(None, "--device", "cuda was asked for, but no GPU can be used; say cpu or auto")
    device = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    if local_rank is None or device == "cpu":
        return device
    if device != "cuda":
        raise ConfigError(None, "--device", f"{name}: every process takes a GPU of its own; say cuda, auto or cpu")
    if local_rank >= (count := torch.cuda.device_count()):
        reason = f"process {local_rank + 1} of this machine would need a GPU of its own, and there are {count}"
        raise ConfigError(None, "--device", f"{reason}; start fewer processes, or say cpu")
    return f"cuda:{local_rank}"
