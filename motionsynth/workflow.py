"""What the commands do, callable from Python: train, generate, reconstruct, compare, convert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionsynth.errors import ConfigError, CorpusError, MotionSynthError, RunError

if TYPE_CHECKING:
    import torch

    from motionsynth.config import RunConfig
    from motionsynth.corpus.corpus import Corpus
    from motionsynth.motion.clip import Clip
    from motionsynth.run import Run

__all__ = [
    "Conversion",
    "Outcome",
    "compare",
    "convert_path",
    "generate",
    "reconstruct",
    "resolve_config",
    "resume",
    "train",
    "train_once",
]

SHOWN = 6
"""Clips that a finished run keeps as samples and shows beside real ones."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    run: Run
    step: int
    exit_code: int = 0
    """0 finished; 130 or 143 where a signal stopped it."""
    warnings: tuple[str, ...] = field(default=())


def resolve_config(
    family: str, *, config: Path | None = None, data: Path | None = None, overrides: Iterable[str] = ()
) -> RunConfig:
    """The complete configuration of a run: the family's baseline (or ``config``), then ``data``, then the overrides.

    Raises:
        ConfigError: a file, key or value is wrong, or ``config`` is of another family.
    """
    from motionsynth.config import load_config
    from motionsynth.families import FAMILIES

    if family not in FAMILIES:
        raise ConfigError(None, "FAMILY", f"unknown family {family!r}; known: {', '.join(FAMILIES)}")
    resolved = load_config(config or baseline(family), data=data, overrides=overrides)
    if resolved.family.name != family:
        raise ConfigError(config, "family.name", f"is {resolved.family.name}, but {family} was asked for")
    return resolved


def baseline(family: str) -> Path:
    """The YAML that ships for a family: in the checkout, or inside the installed package."""
    package = Path(__file__).parent
    for folder in (package.parent / "configs" / "run", package / "configs" / "run"):
        if (path := folder / f"{family}.yaml").is_file():
            return path
    raise ConfigError(f"configs/run/{family}.yaml", None, "is missing; give --config")
