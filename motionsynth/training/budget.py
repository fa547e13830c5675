"""Budgets and windows that no model can come of, refused before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motionsynth.errors import ConfigError
from motionsynth.families.base import EMConfig

if TYPE_CHECKING:
    from motionsynth.config import TrainConfig
    from motionsynth.corpus.windows import WindowSet
    from motionsynth.families.base import FamilyConfig

__all__ = ["refuse_hopeless"]


def refuse_hopeless(config: FamilyConfig, train: TrainConfig, windows: WindowSet | None = None) -> None:
    """Refuse what expectation maximisation cannot make a model of; families that learn by gradient take anything.

    Args:
        config: the family's.
        train: its budget; one in minutes is not known in passes.
        windows: what is learnt from; None while they are not known, which leaves budgets in passes to look at.

    Raises:
        ConfigError: the budget ends before the first M step, or there are fewer whole windows than the family needs.
    """
    if not isinstance(config, EMConfig):
        return
    passes = train.passes
    if windows is not None:
        whole = int(windows.mask_NT.all(1).sum())
        if whole < config.least_windows:
            key, needed = config.least_windows_key, config.least_windows
            raise ConfigError(
                None, key, f"needs {needed} training windows without padded frames, and there are {whole}"
            )
        passes = _whole_passes(train, len(windows))
    if passes is not None and passes < config.least_passes:
        given = next(f"train.{key}={value}" for key in ("passes", "steps", "samples") if (value := getattr(train, key)))
        reason = f"must be at least {config.least_passes}, as {config.name} makes its first M step in that pass"
        raise ConfigError(None, "train.passes", f"{reason}; {given} gives {passes}")


def _whole_passes(train: TrainConfig, windows: int) -> int | None:
    """Whole passes of a budget; None for one in minutes."""
    if train.steps:
        return train.steps // -(-windows // min(train.batch_size, windows))
    return train.samples // windows if train.samples else train.passes
