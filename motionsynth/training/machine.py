"""The machine that a run is trained on, and what ``auto`` stands for there.

What ``auto`` stands for was measured: docs/performance.md, "Threads and precision".
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import torch

from motionsynth.config import TrainConfig
from motionsynth.families.base import FamilyConfig

__all__ = ["CHOSEN", "THREADS", "chosen", "describe_machine", "differences", "multiplies_bf16", "settled"]

THREADS: Final = 1
"""``auto`` threads. A second one takes a step of the shipped networks to 0.8 to 1.2 times its speed on idle cores, and
to a tenth of it or less where other programs use them: threads wait for one another after each of hundreds of calls."""

CHOSEN: Final = ("threads", "precision")
"""Keys of ``train`` that may be ``auto``."""


def multiplies_bf16(device: torch.device | str) -> bool:
    """Test whether products of bfloat16 matrices are faster than those of float32 there, in a whole step.

    On a CPU that takes AMX: with AVX512-BF16 alone steps are slower, because of the conversions.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in early versions of torch
    return bool(capabilities.get("amx_bf16"))


def settled(train: TrainConfig, family: FamilyConfig, device: torch.device | str) -> TrainConfig:
    """The same settings with what ``auto`` stands for on this machine.

    Args:
        train: of a run that begins; one that goes on has no ``auto`` any more.
        family: what is trained; float32 for one that learns in closed form.
        device: where.
    """
    precision: Literal["bf16", "float32"] = "float32"
    if "precision" not in family.UNUSED and train.precision == "auto" and multiplies_bf16(device):
        precision = "bf16"
    meant = {"threads": THREADS, "precision": precision}
    return train.model_copy(update={key: meant[key] for key in CHOSEN if getattr(train, key) == "auto"})


def chosen(asked: TrainConfig, settings: TrainConfig) -> dict[str, str]:
    """Values that stand in ``settings`` for each ``auto`` of what was asked for."""
    return {key: str(getattr(settings, key)) for key in CHOSEN if getattr(asked, key) == "auto"}


def describe_machine(device: torch.device | str) -> dict[str, str]:
    """Facts that the bits of a training may depend on: device, processor, its number of cores, and torch."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    gpu = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if gpu else "CPU",
        "processor": processor,
        "cores": str(os.cpu_count() or 1),
        "torch": torch.__version__,
    }


def differences(train: TrainConfig, before: Mapping[str, str], device: torch.device | str) -> list[str]:
    """Lines that tell a person how this machine differs from the one that a run was trained on so far.

    Args:
        train: the run's settings, which it keeps.
        before: ``describe_machine`` of that time; nothing is told without.
        device: where the run goes on.
    """
    now = describe_machine(device)
    lines = [f"{key} is {now[key]}, was {was}" for key, was in before.items() if now.get(key, was) != was]
    if not lines:
        return []
    if train.precision == "bf16" and not multiplies_bf16(device):
        lines.append("bf16 is slow here, and stays the run's precision")
    return [f"goes on on another machine, whose rounding may differ: {'; '.join(lines)}"]
