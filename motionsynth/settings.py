"""Settings merged from YAML files and options: where each was written, which paths they name, what is wrong with them.

A path in a YAML file counts from the folder of that file where something is there, and otherwise from the working
folder; ``~`` is the home folder. In the configuration that a run directory keeps, paths are as they were for the run.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from motionsynth.errors import ConfigError, unknown_word
from motionsynth.files import from_home
from motionsynth.printable import shown
from motionsynth.yaml_files import Key, YamlFile, dotted, parents, parse_value

__all__ = ["FrozenConfig", "Setting", "Settings", "WrongSettingError", "config_error", "located", "parse_setting"]


class WrongSettingError(ValueError):
    """Raised by a validator about one key of the whole that it validates: the place of that key is then named."""

    def __init__(self, key: Key, reason: str) -> None:
        self.key = key
        super().__init__(reason)


class FrozenConfig(BaseModel):
    """Base of every section of a configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, section: Any) -> Any:
        # pydantic takes true for 1; no validator of the fields, as one that tells kinds of a section apart takes none
        for name, value in section.items() if isinstance(section, dict) else ():
            field = cls.model_fields.get(name)
            if field and any(isinstance(part, bool) for part in (value if isinstance(value, list) else [value])):
                kinds = _plain_types(field.annotation)
                if kinds & {int, float} and not kinds & {bool, Any}:
                    wrong = PydanticCustomError("truth_for_number", "must be a number")
                    detail = InitErrorDetails(type=wrong, loc=(name,), input=value)
                    raise ValidationError.from_exception_data(cls.__name__, [detail])
        return section


def _plain_types(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    own = {annotation} if isinstance(annotation, type) or annotation is Any else set()
    return own | {kind for part in get_args(annotation) for kind in _plain_types(part)}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that replaces another.

    Args:
        key: which, from the top.
        value: plain, as YAML has it.
        place: where it was written, such as ``my.yaml:3`` or ``--set train.steps=5``.
    """

    key: Key
    value: Any
    place: str


def parse_setting(text: str) -> Setting:
    """Parse ``--set KEY=VALUE``, the value in YAML.

    Raises:
        ConfigError: it looks otherwise, or the value is no YAML.
    """
    key, separator, written = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError("--set", shown(text), "must look like train.steps=500")
    try:
        value = parse_value(written)
    except ValueError as error:
        raise ConfigError("--set", shown(key), f"{shown(repr(written))}: {error}") from error
    return Setting(tuple(key.strip().split(".")), value, f"--set {shown(text)}")


class Settings:
    """Settings of a YAML file, in which others take the place of single ones.

    Args:
        file: the YAML.
        model: what it is validated as; tells which values are paths.
    """

    def __init__(self, file: YamlFile, model: type[BaseModel]) -> None:
        self.of_a_run = (file.path.parent / "run.json").exists()
        """True for the configuration that a run directory keeps."""
        self.value: dict[str, Any] = located(file.value, model, None if self.of_a_run else file.path.parent)
        self._source = str(file.path)
        self._places: dict[Key, tuple[str, str]] = {}
        """Key -> source, and place in it."""
        self._note((), file)

    def put(self, setting: Setting) -> None:
        """Replace one value; sections above it are made where there are none.

        Raises:
            ConfigError: what stands above it is no section.
        """
        *above, last = setting.key
        section = self._section(above, setting)
        section[str(last)] = copy.deepcopy(setting.value)  # a later setting may change a part of it
        self._forget(setting.key)
        self._places[setting.key] = setting.place, setting.place

    def put_file(self, key: Key, file: YamlFile, model: type[BaseModel]) -> None:
        """Replace the values of a section that a YAML names, by those that it gives.

        Raises:
            ConfigError: what stands there is no section.
        """
        section = self._section(key, Setting((*key, next(iter(file.value), "")), None, str(file.path)))
        section |= located(file.value, model, file.path.parent)
        for name in file.value:
            self._forget((*key, name))
        self._note(key, file)

    def drop(self, key: Key) -> None:
        """Take one value out, where it is there."""
        *above, last = key
        section: Any = self.value
        for part in above:
            section = section.get(part, {}) if isinstance(section, dict) else {}
        if isinstance(section, dict):
            section.pop(last, None)
        self._forget(key)

    def place_of(self, key: Sequence[str | int]) -> str:
        """Place where a key, or its nearest parent, was written; with the sources that changed what stands below it."""
        found = next((part for part in parents(key) if part in self._places), None)
        if found is None:
            return self._source
        source, place = self._places[found]
        below = [other for part, (other, _) in self._places.items() if part[: len(key)] == tuple(key)]
        return " with ".join([place, *dict.fromkeys(other for other in below if other != source)])

    def wrong(self, key: Sequence[str | int], reason: str) -> ConfigError:
        """Error that names place and dotted key."""
        return ConfigError(self.place_of(key), dotted(key), reason)

    def _section(self, key: Sequence[str | int], setting: Setting) -> dict[str, Any]:
        section = self.value
        for length, part in enumerate(map(str, key), start=1):
            above = key[:length]
            if section.get(part) is None:
                section[part] = {}
                self._places[tuple(above)] = setting.place, setting.place
            found: Any = section[part]
            if not isinstance(found, dict):
                reason = f"{dotted(above)} is not a section ({self.place_of(above)})"
                raise ConfigError(setting.place, dotted(setting.key), reason)
            section = found
        return section

    def _note(self, key: Key, file: YamlFile) -> None:
        self._places |= {(*key, *part): (str(file.path), f"{file.path}:{line}") for part, line in file.lines.items()}

    def _forget(self, key: Key) -> None:
        for part in [part for part in self._places if part[: len(key)] == key]:
            del self._places[part]


def located(value: Any, annotation: Any, folder: Path | None) -> Any:
    """Plain values, with the paths among them as they count from here.

    Args:
        value: any, right or wrong.
        annotation: the type that it is to have: strings that are to be a ``Path`` are taken for paths.
        folder: of the YAML file that they were written in; None for those of a command line.
    """
    members = get_args(annotation) if get_origin(annotation) is not dict else ()
    members = members or (annotation,)
    if isinstance(value, str) and Path in members and not any(value in get_args(member) for member in members):
        return _located_path(value, folder)
    if not isinstance(value, dict):
        return value
    for member in members:
        if _is_model(member):
            fields = member.model_fields
            return {k: located(v, fields[k].annotation, folder) if k in fields else v for k, v in value.items()}
        if get_origin(member) is dict:
            return {k: located(v, get_args(member)[1], folder) for k, v in value.items()}
    return value


def _located_path(written: str, folder: Path | None) -> str:
    path = from_home(written)
    if written and folder is not None and not Path(path).is_absolute() and os.path.lexists(folder / path):
        return str(folder / path)
    return path


class Source(Protocol):
    """Source of keys, with the place of each: one YAML file, or several sources merged."""

    def place_of(self, key: Sequence[str | int]) -> str: ...

    def wrong(self, key: Sequence[str | int], reason: str) -> ConfigError: ...


def config_error(error: ValidationError, source: Source, model: type[BaseModel], prefix: Key = ()) -> ConfigError:
    """The first complaint of pydantic, as one line that names the dotted key and guesses what a misspelt one meant.

    Args:
        error: what pydantic raised.
        source: where the values were written.
        model: what they were validated as.
        prefix: key of the section that was validated.
    """
    first = error.errors()[0]
    location, fields = _resolve(model, first["loc"])
    key = (*prefix, *location)
    context = first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        return source.wrong(key, unknown_word("key", shown(str(location[-1])), fields))
    if first["type"] == "union_tag_invalid":
        known = re.findall(r"'([^']*)'", context["expected_tags"])
        tag = (*key, context["discriminator"].strip("'"))
        return source.wrong(tag, unknown_word(f"value {shown(repr(context['tag']))}", shown(context["tag"]), known))
    if first["type"] == "missing":
        return source.wrong(key, "is missing")
    given = first["input"]
    if first["type"] == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        return source.wrong(key, unknown_word(f"value {shown(repr(given))}", shown(str(given)), names))
    raised = context.get("error")
    if isinstance(raised, WrongSettingError):
        return ConfigError(source.place_of((*prefix, *raised.key)), dotted(key), str(raised))
    if first["type"] in ("path_type", "string_type") and isinstance(given, int | float | bool):
        return source.wrong(key, f"must be text, as {given} is in quotes")
    message = first["msg"].removeprefix("Value error, ")
    named = f" (got {shown(repr(given))})" if isinstance(given, str | int | float | bool | None) else ""
    return source.wrong(key, f"{message[0].lower()}{message[1:]}{named}")


def _resolve(model: type[BaseModel], location: Iterable[str | int]) -> tuple[list[str | int], Iterable[str]]:
    """A location as the user writes it, without the tags of unions, and the fields of the section that it is in."""
    node: Any = model
    written: list[str | int] = []
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
        field = section.model_fields.get(str(part))
        node = field.annotation if field else None
    return written, section.model_fields


def _tags(model: type[BaseModel]) -> Iterator[Any]:
    """Words that a model may be told apart by in a union."""
    return (word for field in model.model_fields.values() for word in get_args(field.annotation))


def _is_model(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, BaseModel)
