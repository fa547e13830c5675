"""The configuration of a run: one complete YAML, frozen models, one override syntax.

data:    which clips, how they are encoded and cut
family:  which model (tagged by ``name``), with ``optimise`` by phase
train:   budget, batch, seed, precision, checkpoints
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticKnownError

from motionsynth.errors import unknown_word
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.base import FamilyConfig, FrozenConfig
from motionsynth.files import from_home
from motionsynth.hashes import hash_json
from motionsynth.printable import shown
from motionsynth.settings import Setting, Settings, WrongSettingError, config_error, located, parse_setting
from motionsynth.yaml_files import YAML_SUFFIXES, dump_yaml, read_yaml

__all__ = [
    "DataConfig",
    "RunConfig",
    "TrainConfig",
    "config_hash",
    "dump_config",
    "load_config",
    "plain_config",
]


class SplitConfig(FrozenConfig):
    """How takes are dealt to train, validation and test."""

    validation: float = Field(0.15, gt=0, lt=1)
    """Share of each cell's takes held out to choose by."""
    test: float = Field(0.15, gt=0, lt=1)
    """Share of each cell's takes held out to judge by."""
    gap: int = Field(1, ge=0)
    """Takes dropped between blocks, because neighbours in recording order are near-duplicates."""
    seed: int = 0
    """Fixes which block of each cell goes where."""


class DataConfig(FrozenConfig):
    """Which clips a run learns from, and how they become windows."""

    path: Path = Path("data/walkers")
    """Folder of clips: BVH files, or AMC files with their skeletons."""
    second: Path | None = None
    """Folder of another corpus with the same skeleton, whose clips join; a label ``corpus`` tells the two apart."""
    labels: Literal["auto", "csv", "folders", "pattern", "none"] = "auto"
    """Where labels come from; ``auto``: ``labels.csv`` if there, else ``pattern`` if given, else sub-folders if any."""
    pattern: str | None = None
    """Regular expression with named groups (``content``, ``style``, ``take``) searched in each file's name."""
    keep: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Label -> classes: only clips of these are learnt from, such as ``{style: [normal, elderly]}``; empty for all."""
    clips: Path | None = None
    """Text file that lists the clips of ``path`` to use, one a line; null for all."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """What to do with a file that cannot be used; skipped files are counted and listed."""
    frame_rate: float = Field(30.0, gt=0)
    """Frames a second that every clip is brought to."""
    units: Literal["auto", "m", "cm", "mm", "in", "cmu"] = "auto"
    """Unit of length of the files; ``auto`` judges by the skeleton's height; ``cmu`` is the CMU library's own."""
    up: Literal["auto", "y", "z"] = "auto"
    """Axis that points up in the files; ``auto`` judges each by its motion, in doubt by most files."""
    bones: Literal["same", "mean"] | Path = "same"
    """Bones that clips have: ``same`` refuses clips whose bones differ; ``mean`` brings people of several sizes to the
    mean of their skeletons, a path to the skeleton of that BVH file."""
    window_frames: int = Field(64, ge=8, le=10_000)
    """T, frames in a window."""
    stride_frames: int = Field(16, ge=1)
    """Frames between the starts of neighbouring windows."""
    velocities: bool = False
    """Whether the features hold joint velocities."""
    contacts: bool = True
    """Whether the features hold foot contacts."""
    mirror: bool = False
    """Whether the training split also holds each clip mirrored left to right."""
    hold_out: str = Field("take", min_length=1)
    """Unit dealt whole to train, validation or test: takes, or all clips of a class of this label (``actor``)."""
    split: SplitConfig = SplitConfig()

    @field_validator("path", "second", "clips", "bones", mode="before")
    @classmethod
    def _named(cls, path: Any) -> Any:
        if path == "":  # which pathlib takes for the working folder
            raise ValueError("names nothing; leave it out, or write . for the folder itself")
        if not isinstance(path, str | Path | None):
            raise PydanticKnownError("string_type")
        return path

    @field_validator("clips", "bones")
    @classmethod
    def _from_anywhere(cls, file: Path | str | None) -> Path | str | None:
        return file.absolute() if isinstance(file, Path) else file  # a run resumed from another folder finds it too


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
    """Whether networks go through ``torch.compile``: minutes at the start, for faster steps afterwards."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of the moving average of all weights that samples are drawn from; null for none."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of a phase's gradient; null for no clipping."""
    log_every_steps: int = Field(20, ge=1)
    """Steps between two rows of the journal."""
    validate_every_steps: int = Field(500, ge=1)
    """Steps between two evaluations of the losses on the validation split."""
    stop_when_copying: float | None = Field(None, gt=0.05, lt=1)
    """Share of draws closer to a training window than the closest 5 % of validation windows are, above which two
    validations in a row end the training; null for never."""
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


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML; reads back to an equal one."""
    return dump_yaml(_said(config))


def config_hash(config: RunConfig) -> str:
    """SHA-256 over the canonical JSON of the resolved configuration: the identity of a run."""
    return hash_json(plain_config(config))


def plain_config(config: RunConfig) -> dict[str, Any]:
    """Identity of a run, as plain values without keys that say nothing.

    A list of clips counts by its names, a file of bones by its bytes.

    Raises:
        ConfigError: the list of clips, or the file of bones, cannot be read.
    """
    plain = _said(config)
    for sigma in (plain["family"].get("sigma"), plain["family"].get("described")):
        # ``value`` was the floor too before there was a key for it: what is as it was then keeps its hash
        if (
            isinstance(sigma, dict)
            and "floor" in sigma
            and (sigma["kind"] == "fixed" or sigma["floor"] == sigma["value"])
        ):
            del sigma["floor"]
    if config.data.clips is not None:
        from motionsynth.corpus.selection import names_sha256, read_clip_names

        plain["data"]["clips"] = names_sha256(read_clip_names(config.data.clips))
    if isinstance(config.data.bones, Path):
        from motionsynth.corpus.bones import bones_sha256

        plain["data"]["bones"] = bones_sha256(config.data.bones)
    return plain


def _said(config: RunConfig) -> dict[str, Any]:
    plain: dict[str, Any] = config.model_dump(mode="json")
    for key, default in (("second", None), ("keep", {}), ("clips", None), ("bones", "same"), ("hold_out", "take")):
        if plain["data"][key] == default:  # not said where they say nothing: runs from before they were keep their hash
            del plain["data"][key]
    if plain["train"]["stop_when_copying"] is None:
        del plain["train"]["stop_when_copying"]
    plain["family"] = config.family.model_dump(mode="json")
    backbone = plain["family"].get("backbone", {})
    if not backbone.get("metric"):
        backbone.pop("metric", None)
    return plain
