"""The configuration of a run: one complete YAML, frozen models, one override syntax.

data:    which clips, how they are encoded and cut
family:  which model (tagged by ``name``), with ``optimise`` by phase
train:   budget, batch, seed, precision, checkpoints
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from motionsynth.errors import ConfigError, unknown_word
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.base import FamilyConfig, FrozenConfig
from motionsynth.printable import printable

__all__ = [
    "DataConfig",
    "RunConfig",
    "TrainConfig",
    "config_error",
    "config_hash",
    "dump_config",
    "load_config",
    "plain_config",
    "read_yaml",
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
    """Folder of BVH files."""
    second: Path | None = None
    """Folder of another corpus with the same skeleton, whose clips join; a label ``corpus`` tells the two apart."""
    labels: Literal["auto", "csv", "folders", "pattern", "none"] = "auto"
    """Where labels come from; ``auto``: ``labels.csv`` if it is there, else ``pattern`` if given, else sub-folders."""
    pattern: str | None = None
    """Regular expression with named groups (``content``, ``style``, ``take``) searched in each file's name."""
    keep: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Label -> classes: only clips of these are learnt from, such as ``{style: [normal, elderly]}``; empty for all."""
    clips: Path | None = None
    """Text file that lists the clips of ``path`` to use, one a line, from the folder of the YAML that names it; null
    for all."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """What to do with a file that cannot be used; skipped files are counted and listed."""
    frame_rate: float = Field(30.0, gt=0)
    """Frames a second that every clip is brought to."""
    units: Literal["auto", "m", "cm", "mm", "in", "cmu"] = "auto"
    """Unit of length of the files; ``auto`` judges by the skeleton's height; ``cmu`` is the CMU library's own."""
    up: Literal["auto", "y", "z"] = "auto"
    """Axis that points up in the files; ``auto`` judges by the pose."""
    window_frames: int = Field(64, ge=8)
    """T, frames in a window."""
    stride_frames: int = Field(16, ge=1)
    """Frames between the starts of neighbouring windows."""
    velocities: bool = False
    """Whether the features hold joint velocities."""
    contacts: bool = True
    """Whether the features hold foot contacts."""
    mirror: bool = False
    """Whether the training split also holds each clip mirrored left to right."""
    split: SplitConfig = SplitConfig()

    @field_validator("clips")
    @classmethod
    def _from_anywhere(cls, clips: Path | None) -> Path | None:
        return clips.absolute() if clips else None  # a run that is resumed from another folder finds it too


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
    threads: int = Field(1, ge=1)
    """CPU threads; sums depend on it, so it belongs to the run. More help on idle cores and hurt on busy ones."""
    precision: Literal["float32", "bf16"] = "float32"
    """``bf16`` runs the networks under autocast."""
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
    checkpoint_every_steps: int = Field(500, ge=1)
    """Steps between two checkpoints; the newest two are kept."""

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
            if getattr(self.train, key) != TrainConfig.model_fields[key].default:
                raise ValueError(f"train.{key} means nothing to {self.family.name}, which learns in closed form")
        return self


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its traps: ``2e-4`` is a number here, not a string, and a key that stands twice is an error."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """A mapping as it is written; what ``<<`` brings in comes later, and a key beside it still replaces that."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in lines:
                reason = f"the key {key.value} stands on line {lines[key.value]} already"
                raise yaml.MarkedYAMLError(None, None, reason, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)


def load_config(path: str | Path, *, data: str | Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a run's YAML; replace its data section or folder; then apply ``key.sub=value`` overrides in order.

    Args:
        path: YAML of a complete run.
        data: a folder of clips, which replaces ``data.path``, or a YAML whose keys replace those of the data section.
        overrides: as ``--set`` takes them, such as ``train.steps=500``.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, or a value does not fit; names file and key.
    """
    document = read_yaml(Path(path))
    if "data" in document:
        document["data"] = _with_list(document["data"], Path(path))
    if data is not None:
        section = document.setdefault("data", {})
        is_yaml = Path(data).suffix in (".yaml", ".yml")
        section |= _with_list(read_yaml(Path(data)), Path(data)) if is_yaml else {"path": str(data)}
    for override in overrides:
        _override(document, override)
    return parse_config(document, path)


def _with_list(section: Any, path: Path) -> Any:
    """A data section whose list of clips is named from where its YAML lies, not from where the command runs."""
    if isinstance(section, dict) and isinstance(section.get("clips"), str):
        return section | {"clips": str(path.parent / section["clips"])}
    return section


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; ``ConfigError`` with path and line where it is none."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(path, None, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, None, "is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise ConfigError(where, None, f"not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(document, dict):
        raise ConfigError(path, None, "must be a mapping of keys to values")
    return document


def parse_config(document: Mapping[str, Any], path: str | Path) -> RunConfig:
    """Validate a mapping as a run's configuration; ``path`` is what errors name."""
    family = document.get("family")
    name = family.get("name") if isinstance(family, dict) else None
    if name not in FAMILIES:
        raise ConfigError(path, "family.name", unknown_word(f"family {name!r}", str(name), FAMILIES))
    config_class = family_class(name).Config
    try:
        parsed = config_class.model_validate(family)
    except ValidationError as error:
        raise config_error(error, path, config_class, ("family",)) from error
    try:
        return RunConfig.model_validate({**document, "family": parsed})
    except ValidationError as error:
        raise config_error(error, path, RunConfig, ()) from error


def _override(document: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError("--set", override, "must look like train.steps=500")
    *parents, last = key.strip().split(".")
    node: Any = document
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError("--set", key, f"{parent} is not a section")
    try:
        node[last] = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError("--set", key, f"{text!r} is not valid YAML") from error
    if last in _BUDGETS and parents == ["train"] and node[last] is not None:
        # one budget replaces another: `--set train.steps=500` must not ask the user to clear train.minutes
        for other in _BUDGETS - {last}:
            node.pop(other, None)


_BUDGETS = frozenset({"steps", "samples", "passes", "minutes"})


def config_error(
    error: ValidationError, path: str | Path, model: type[BaseModel], prefix: tuple[str, ...]
) -> ConfigError:
    """The first complaint of pydantic, as one line that names the dotted key and guesses what a misspelt one meant."""
    first = error.errors()[0]
    location, fields = _resolve(model, [str(part) for part in first["loc"]])
    key = ".".join([*prefix, *location]) or None
    if first["type"] == "extra_forbidden":
        return ConfigError(path, key, unknown_word("key", location[-1], fields))
    if first["type"] == "union_tag_invalid":
        key, known = f"{key}.{first['ctx']['discriminator'].strip(chr(39))}", first["ctx"]["expected_tags"]
        tag = first["ctx"]["tag"]
        return ConfigError(path, key, unknown_word(f"value {tag!r}", tag, re.findall(r"'([^']*)'", known)))
    if first["type"] == "missing":
        return ConfigError(path, key, "is missing")
    if first["type"] == "literal_error":
        names = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        return ConfigError(path, key, unknown_word(f"value {first['input']!r}", str(first["input"]), names))
    message = first["msg"].removeprefix("Value error, ")
    given = first["input"]
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool | None) else ""
    return ConfigError(path, key, f"{message[0].lower()}{message[1:]}{shown}")


def _resolve(model: type[BaseModel], location: Iterable[str]) -> tuple[list[str], Iterable[str]]:
    """A location as the user writes it, without the tags of unions, and the fields of the section that it is in."""
    node: Any = model
    written: list[str] = []
    section = model
    for part in location:
        members = [member for member in get_args(node) if _is_model(member)]
        tagged = [member for member in members if len(members) > 1 and part in _tags(member)]
        if tagged:
            node = tagged[0]
            continue
        written.append(part)
        if get_origin(node) is dict:
            node = get_args(node)[1]
            continue
        section = node if _is_model(node) else members[0] if members else section
        field = section.model_fields.get(part)
        node = field.annotation if field else None
    return written, section.model_fields


def _tags(model: type[BaseModel]) -> set[Any]:
    """Words that a model may be told apart by in a union."""
    return {word for field in model.model_fields.values() for word in get_args(field.annotation)}


def _is_model(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, BaseModel)


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML; reads back to an equal one."""
    text = yaml.safe_dump(_said(config), sort_keys=False, allow_unicode=True)
    if printable(text, keep="\n") == text:
        return text
    return yaml.safe_dump(_said(config), sort_keys=False)  # in YAML's own escapes, so that a terminal obeys no name


def config_hash(config: RunConfig) -> str:
    """SHA-256 over the canonical JSON of the resolved configuration: the identity of a run."""
    return hashlib.sha256(json.dumps(plain_config(config), sort_keys=True).encode()).hexdigest()


def plain_config(config: RunConfig) -> dict[str, Any]:
    """What identifies a run, as plain values without keys that say nothing; a list of clips counts by its names.

    Raises:
        ConfigError: the list of clips cannot be read.
    """
    plain = _said(config)
    if config.data.clips is not None:
        from motionsynth.corpus.selection import names_sha256, read_clip_names

        plain["data"]["clips"] = names_sha256(read_clip_names(config.data.clips))
    return plain


def _said(config: RunConfig) -> dict[str, Any]:
    plain: dict[str, Any] = config.model_dump(mode="json")
    for key in ("second", "keep", "clips"):
        if not plain["data"][key]:  # not said where they say nothing: so runs from before they were keep their hash
            del plain["data"][key]
    plain["family"] = config.family.model_dump(mode="json")
    return plain
