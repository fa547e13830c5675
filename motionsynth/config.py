"""The configuration of a run: one complete YAML, frozen models, one override syntax.

data:    which clips, how they are encoded and cut
family:  which model (tagged by ``name``), with ``optimise`` by phase
train:   budget, batch, seed, precision, checkpoints
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from motionsynth.corpus.bones import bones_sha256
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.selection import names_sha256, read_clip_names
from motionsynth.errors import ConfigError, unknown_word
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.base import FamilyConfig
from motionsynth.files import from_home
from motionsynth.hashes import hash_json
from motionsynth.printable import shown
from motionsynth.provenance import shipped_file
from motionsynth.settings import (
    FrozenConfig,
    Setting,
    Settings,
    WrongSettingError,
    config_error,
    located,
    parse_setting,
)
from motionsynth.yaml_files import YAML_SUFFIXES, dump_yaml, read_yaml

__all__ = [
    "RunConfig",
    "TrainConfig",
    "baseline",
    "config_hash",
    "dump_config",
    "load_config",
    "plain_config",
    "resolve_config",
]


class TrainConfig(FrozenConfig):
    """Budget, batch, seed and bookkeeping of a run."""

    steps: int | None = Field(None, ge=1)
    """Budget in optimiser steps (each runs every phase that is due)."""
    samples: int | None = Field(None, ge=1)
    """Budget in windows seen."""
    passes: int | None = Field(None, ge=1)
    """Budget in passes over all windows."""
    minutes: float | None = Field(None, gt=0)
    """Budget in minutes of training."""
    batch_size: int = Field(128, ge=2)
    """Windows a step."""
    seed: int = 0
    """Seed of weights, order and noise."""
    threads: int | Literal["auto"] = "auto"
    """CPU threads; sums depend on it, so it belongs to the run. More help on idle cores and hurt on busy ones. ``auto``
    takes as many as were measured to help, and the run then says how many."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """``bf16`` runs the networks under autocast; ``auto`` does so where the processor multiplies it natively, and the
    run then says which it is."""
    compile: bool = False
    """Put networks through ``torch.compile``: minutes at the start, for faster steps afterwards."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of the moving average of all weights that samples are drawn from; null for none."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of a phase's gradient; null for no clipping."""
    log_every_steps: int = Field(20, ge=1)
    """Steps between two rows of the journal."""
    validate_every_steps: int = Field(500, ge=1)
    """Steps between two evaluations of the losses on the validation split."""
    stop_when_copying: float | None = Field(None, gt=0.05, lt=1)
    """Share of draws closer to a training window than the closest 5 % of windows are to those of other clips, above
    which two validations in a row end the training; null for never."""
    checkpoint_every_steps: int = Field(500, ge=1)
    """Steps between two checkpoints; the newest two are kept."""

    @field_validator("threads", mode="before")
    @classmethod
    def _counted(cls, threads: Any) -> Any:
        if threads == "auto" or (isinstance(threads, int) and not isinstance(threads, bool) and threads >= 1):
            return threads
        raise ValueError("must be auto, or a whole number of 1 or more")

    @model_validator(mode="after")
    def _one_budget(self) -> TrainConfig:
        if sum(budget is not None for budget in (self.steps, self.samples, self.passes, self.minutes)) != 1:
            raise ValueError("give exactly one of steps, samples, passes and minutes")
        return self


class RunConfig(FrozenConfig):
    """One complete run."""

    data: DataConfig = DataConfig()
    family: FamilyConfig
    train: TrainConfig

    @model_validator(mode="after")
    def _train_suits_family(self) -> RunConfig:
        for key in self.family.UNUSED:
            # float32 is what ``auto`` stands for here, and what runs say that have begun
            nothing = {TrainConfig.model_fields[key].default, "float32" if key == "precision" else None}
            if getattr(self.train, key) not in nothing:
                reason = f"train.{key} means nothing to {self.family.name}, which learns in closed form"
                raise WrongSettingError(("train", key), reason)
        return self


def load_config(
    path: str | Path, *, data: str | Path | None = None, overrides: Iterable[str | Setting] = ()
) -> RunConfig:
    """Read a run's YAML; replace its data section or folder; then apply ``key.sub=value`` overrides in order.

    A path in a YAML counts from the YAML's folder where something is there, and otherwise from the working folder.

    Args:
        path: YAML of a complete run.
        data: a folder of clips, which replaces ``data.path``, or a YAML whose keys replace those of the data section.
        overrides: as ``--set`` takes them, such as ``train.steps=500``.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, or a value does not fit; names key and file with line, or
            the override.
    """
    settings = Settings(read_yaml(path), RunConfig)
    if data is not None and Path(data).suffix in YAML_SUFFIXES:
        settings.put_file(("data",), read_yaml(from_home(str(data))), DataConfig)
    elif data is not None:
        settings.put(Setting(("data", "path"), str(data), f"--data {shown(str(data))}"))
    for override in overrides:
        setting = override if isinstance(override, Setting) else parse_setting(override)
        settings.put(setting)
        if setting.key in _BUDGETS and setting.value is not None:
            # one budget replaces another: `--set train.steps=500` must not ask the user to clear train.minutes
            for other in _BUDGETS - {setting.key}:
                settings.drop(other)
    config = _parsed(settings)
    for key, hint in (("clips", ""), ("bones", "; it is same, mean or a BVH file")):
        file = getattr(config.data, key)
        if isinstance(file, Path) and not settings.of_a_run and not os.path.isfile(file):  # noqa: PTH113 - of any name
            raise settings.wrong(("data", key), f"no such file: {shown(str(file), 200)}{hint}")
    return config


_BUDGETS = frozenset(("train", name) for name in ("steps", "samples", "passes", "minutes"))


def _parsed(settings: Settings) -> RunConfig:
    document = located(settings.value, RunConfig, None)
    family = document.get("family")
    name = family.get("name") if isinstance(family, dict) else None
    if not isinstance(name, str) or name not in FAMILIES:
        reason = unknown_word(f"family {shown(repr(name))}", shown(str(name)), FAMILIES)
        raise settings.wrong(("family", "name"), reason)
    config_class = family_class(name).Config
    try:
        parsed = config_class.model_validate(family)
    except ValidationError as error:
        raise config_error(error, settings, config_class, ("family",)) from error
    try:
        return RunConfig.model_validate({**document, "family": parsed})
    except ValidationError as error:
        raise config_error(error, settings, RunConfig) from error


def resolve_config(
    family: str,
    *,
    config: str | Path | None = None,
    data: str | Path | None = None,
    overrides: Iterable[str | Setting] = (),
) -> RunConfig:
    """The complete configuration of a run: the family's baseline (or ``config``), then ``data``, then the overrides.

    Raises:
        ConfigError: a file, key or value is wrong, or ``config`` is of another family.

    Example:
        >>> from motionsynth import resolve_config
        >>> config = resolve_config("vae", data="walkers", overrides=["train.steps=500", "family.latent_dim=16"])
        >>> config.train.steps, config.family.latent_dim, config.data.window_frames
        (500, 16, 64)
    """
    if family not in FAMILIES:
        raise ConfigError(None, "FAMILY", unknown_word(f"family {family!r}", family, FAMILIES))
    resolved = load_config(config or baseline(family), data=data, overrides=overrides)
    if resolved.family.name != family:
        raise ConfigError(config, "family.name", f"is {resolved.family.name}, but {family} was asked for")
    return resolved


def baseline(family: str = "gmm") -> Path:
    """The YAML that ships for a family, in the checkout or inside the installed package.

    Without a family: the one whose data section is that of commands that train none, with windows every fourth frame.
    """
    if path := shipped_file(f"configs/run/{family}.yaml"):
        return path
    raise ConfigError(f"configs/run/{family}.yaml", None, "is missing; give --config")


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML; reads back to an equal one."""
    return dump_yaml(_without_defaults(config))


def config_hash(config: RunConfig) -> str:
    """SHA-256 over the canonical JSON of the resolved configuration: the identity of a run."""
    return hash_json(plain_config(config))


def plain_config(config: RunConfig) -> dict[str, Any]:
    """Identity of a run, as plain values without keys at defaults that once were missing.

    A list of clips counts by its names, a file of bones by its bytes.

    Raises:
        ConfigError: the list of clips, or the file of bones, cannot be read.
    """
    plain = _without_defaults(config)
    for sigma in (plain["family"].get("sigma"), plain["family"].get("described")):
        # ``value`` was the floor too before there was a key for it: what is as it was then keeps its hash
        if (
            isinstance(sigma, dict)
            and "floor" in sigma
            and (sigma["kind"] == "fixed" or sigma["floor"] == sigma["value"])
        ):
            del sigma["floor"]
    if config.data.clips is not None:
        plain["data"]["clips"] = names_sha256(read_clip_names(config.data.clips))
    if isinstance(config.data.bones, Path):
        plain["data"]["bones"] = bones_sha256(config.data.bones)
    return plain


def _without_defaults(config: RunConfig) -> dict[str, Any]:
    plain: dict[str, Any] = config.model_dump(mode="json")
    for key, default in (("second", None), ("keep", {}), ("clips", None), ("bones", "same"), ("hold_out", "take")):
        if plain["data"][key] == default:  # left out at their defaults: runs from before they were keep their hash
            del plain["data"][key]
    if plain["train"]["stop_when_copying"] is None:
        del plain["train"]["stop_when_copying"]
    plain["family"] = config.family.model_dump(mode="json")
    backbone = plain["family"].get("backbone", {})
    if not backbone.get("metric"):
        backbone.pop("metric", None)
    return plain
