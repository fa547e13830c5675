"""Budgets, windows and numbers of processes that no model can come of, refused before the first step."""

from __future__ import annotations

import math
from collections.abc import Iterable

from motionsynth.config import TrainConfig
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import ConfigError
from motionsynth.families.backbone import CriticConfig
from motionsynth.families.base import EMConfig, Family, FamilyConfig
from motionsynth.nn.critic import Critic

__all__ = ["refuse_company", "refuse_hopeless", "refuse_shares"]


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
        whole = int(windows.whole_N.sum())
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


def refuse_company(config: FamilyConfig, train: TrainConfig, ranks: int, windows: WindowSet | None = None) -> None:
    """Refuse to train on several processes what the configuration says cannot be.

    Args:
        config: the family's.
        train: for the batch.
        ranks: processes that are to train one model.
        windows: what is learnt from, which may be fewer than a batch; None while they are not known.

    Raises:
        ConfigError: the family must be trained by one process; or the batch cannot be shared evenly, or not without
            tearing groups of windows apart that a critic compares.
    """
    if ranks == 1:
        return
    if config.alone:
        raise _not_alone(config.name, config.alone)
    if not isinstance(config, EMConfig):
        critics = [value for value in dict(config).values() if isinstance(value, CriticConfig)]
        size = train.batch_size if windows is None else min(train.batch_size, len(windows))
        _refuse_uneven(size, ranks, [critic.minibatch_stddev for critic in critics])


def refuse_shares(family: Family, batch_size: int, ranks: int, *, whole: bool) -> None:
    """Refuse batches whose shares would not add up to what one process learns from them; see ``refuse_company``.

    Args:
        family: as it will be trained.
        batch_size: windows of a joined batch.
        ranks: processes that share it.
        whole: whether a pass's last batch may be smaller, and so shares uneven; statistics are then summed.

    Raises:
        ConfigError: as ``refuse_company``.
    """
    if ranks == 1:
        return
    if family.alone:
        raise _not_alone(type(family).__name__, family.alone)
    if not whole:
        _refuse_uneven(batch_size, ranks, [part.group for part in family.modules() if isinstance(part, Critic)])


def _not_alone(name: str, reason: str) -> ConfigError:
    text = f"{name} must be trained by one process: {reason}; start it without torchrun"
    return ConfigError(None, "family.name", text)


def _refuse_uneven(batch_size: int, ranks: int, groups: Iterable[int]) -> None:
    if batch_size % ranks:
        reason = f"{batch_size} windows cannot be shared evenly by {ranks} processes"
        raise ConfigError(None, "train.batch_size", f"{reason}; take a multiple of {ranks}")
    share = batch_size // ranks
    for group in filter(None, groups):
        joined = math.gcd(batch_size, group)  # as the critic has them
        if math.gcd(share, group) != joined:
            reason = f"{batch_size} windows on {ranks} processes are {share} on each"
            torn = f"which tears groups of {joined} apart that the critic compares"
            advice = f"take a multiple of {group * ranks}, or family.critic.minibatch_stddev=0"
            raise ConfigError(None, "train.batch_size", f"{reason}, {torn}; {advice}")
