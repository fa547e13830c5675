"""YAML files: read within bounds as plain values with the line of every key, and written so that they read back.

Every YAML that the package reads goes through ``read_yaml``, every value of ``--set`` through ``parse_value``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from motionsynth.errors import ConfigError
from motionsynth.files import read_regular
from motionsynth.printable import shown

__all__ = ["YAML_SUFFIXES", "Key", "YamlFile", "dotted", "dump_yaml", "parents", "parse_value", "read_yaml"]

Key = tuple[str | int, ...]
"""Names of keys and places in lists, from the top of a document."""

YAML_SUFFIXES: Final = (".yaml", ".yml")

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_NODES: Final = 100_000
"""Most values of a document, those that aliases repeat counted each time."""


def _integer(text: str) -> int:
    # Python refuses thousands of digits, and what is larger than this fits no tensor
    if len(text) > 70 or not -(2**63) <= (value := int(text, 0)) < 2**63:
        raise OverflowError(f"{text if len(text) <= 70 else text[:20] + '…'} is beyond the integers, which end at 2^63")
    return value


_FLOAT: Final = re.compile(
    r"""[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?""",
    re.VERBOSE,
)
_PLAIN: Final[Sequence[tuple[re.Pattern[str], Callable[[str], Any]]]] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"yes|Yes|YES|true|True|TRUE|on|On|ON"), lambda _: True),
    (re.compile(r"no|No|NO|false|False|FALSE|off|Off|OFF"), lambda _: False),
    (re.compile(r"[-+]?(?:0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0|[1-9][0-9_]*)"), _integer),
    (_FLOAT, float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), lambda text: float(text.replace(".", "", 1))),
)
"""Words without quotes that are no text, and their values: those of YAML 1.1 and numbers such as ``2e-4``, but dates,
times (``12:30``) and numbers with leading zeros, which are names of folders and takes, stay text."""


@dataclass(frozen=True, slots=True)
class YamlFile:
    """Content of a YAML file.

    Args:
        path: the file.
        value: its mapping, of ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and None alone.
        lines: key -> line, counted from 1.
    """

    path: Path
    value: dict[str, Any]
    lines: Mapping[Key, int]

    def line_of(self, key: Sequence[str | int]) -> int | None:
        """Line of a key, or of its nearest parent that is there; None where no part of it is."""
        return next((self.lines[part] for part in parents(key) if part in self.lines), None)

    def place_of(self, key: Sequence[str | int]) -> str:
        """``FILE:LINE`` of a key or of its nearest parent, ``FILE`` where no part of it is there."""
        line = self.line_of(key)
        return f"{self.path}:{line}" if line else str(self.path)

    def wrong(self, key: Sequence[str | int], reason: str) -> ConfigError:
        """Error that names file, line and dotted key."""
        return ConfigError(self.place_of(key), dotted(key), reason)


def parents(key: Sequence[str | int]) -> Iterator[Key]:
    """A key, then its parents from the nearest on."""
    return (tuple(key[:length]) for length in range(len(key), 0, -1))


def dotted(key: Sequence[str | int]) -> str | None:
    """A key as ``--set`` takes it; None for the whole document."""
    return ".".join(shown(str(part)) for part in key) or None


def read_yaml(path: str | Path, *, limit: int = MAX_BYTES, aliases: bool = False) -> YamlFile:
    """Read a mapping from a YAML file: plain values alone, at most ``MAX_NODES`` of them, ``MAX_DEPTH`` deep.

    Args:
        path: the file.
        limit: most bytes it may have.
        aliases: whether ``&name``, ``*name`` and ``<<`` are read; what they repeat counts as if it were written out.

    Raises:
        ConfigError: the file cannot be read, is no regular file, no UTF-8, no YAML, no mapping or beyond a bound, has a
            key twice, a tag such as ``!!int``, or an alias without ``aliases``; names file and line.
    """
    path = Path(path)
    try:
        text = read_regular(path, limit=limit).decode("utf-8")
    except OSError as error:
        raise ConfigError(path, None, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, None, "is not UTF-8 text") from error
    reader = _Reader(aliases)
    try:
        value = reader.read(text)
    except _WrongYamlError as error:
        raise ConfigError(f"{path}:{error.line}", None, error.reason) from error
    if not isinstance(value, dict):
        raise ConfigError(path, None, "must be a mapping of keys to values")
    return YamlFile(path, value, dict(reader.lines))


def parse_value(text: str) -> Any:
    """Value of a piece of YAML, within the bounds of ``read_yaml``.

    Raises:
        ValueError: it is no YAML, or beyond a bound.
    """
    try:
        return _Reader(aliases=False).read(text)
    except _WrongYamlError as error:
        raise ValueError(error.reason) from error


def dump_yaml(value: Mapping[str, Any]) -> str:
    """YAML of plain values, in their order, which ``read_yaml`` reads back to the same ones."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    if all(character.isprintable() or character == "\n" for character in text):
        return text
    # in escapes, so that no name breaks a line or reaches a terminal as a command
    escaped: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False)
    return escaped


class _Dumper(yaml.SafeDumper):
    """Quotes text that would be read as a number, and writes out what stands twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(rf"(?:{_FLOAT.pattern})\Z", re.VERBOSE), list("-+.0123456789")
)


class _WrongYamlError(Exception):
    def __init__(self, line: int, reason: str) -> None:
        self.line, self.reason = line, reason
        super().__init__(reason)


def _line_at(text: str, position: int | None) -> int | None:
    """Line of a byte, which is all that is known of a character that YAML does not take."""
    return None if position is None else text.encode("utf-8", "surrogatepass")[:position].count(b"\n") + 1


_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Reader:
    """One pass over the events of a document, so that what is beyond a bound is never held."""

    def __init__(self, aliases: bool) -> None:
        self.lines: list[tuple[Key, int]] = []
        self._aliases = aliases
        self._anchors: dict[str, tuple[Key, int, int, Any]] = {}
        """Name -> key, start and end in ``lines`` of what stands below it, and value."""
        self._line = 1

    def read(self, text: str) -> Any:
        try:
            self._events = iter(yaml.parse(text, _Loader))
            self._next()  # the stream starts
            if isinstance(self._next(), yaml.StreamEndEvent):
                return None
            value = self._value(self._next(), ())
            self._next()  # the document ends
            if not isinstance(self._next(), yaml.StreamEndEvent):
                raise self._wrong("holds more than one document")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).split("\n")[0]
            line = mark.line + 1 if mark else _line_at(text, getattr(error, "position", None)) or self._line
            raise _WrongYamlError(line, f"not valid YAML: {reason}") from error
        except OverflowError as error:
            raise self._wrong(str(error)) from error
        except ValueError as error:  # PyYAML's own, such as of an escape beyond Unicode
            raise self._wrong(f"not valid YAML: {error}") from error
        return value

    def _next(self) -> Any:
        event: Any = next(self._events)
        self._line = event.start_mark.line + 1
        return event

    def _wrong(self, reason: str) -> _WrongYamlError:
        return _WrongYamlError(self._line, reason)

    def _enter(self, key: Key, line: int | None = None) -> None:
        if len(self.lines) >= MAX_NODES:
            raise self._wrong(f"holds more than {MAX_NODES:,} values")
        self.lines.append((key, line or self._line))

    def _value(self, event: Any, key: Key) -> Any:
        if len(key) > MAX_DEPTH:
            raise self._wrong(f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(str(event.anchor), key)
        self._refuse_decoration(event)
        start = len(self.lines)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        else:
            value = self._mapping(key) if isinstance(event, yaml.MappingStartEvent) else self._list(key)
        if event.anchor is not None:
            self._anchors[event.anchor] = key, start, len(self.lines), value
        return value

    def _refuse_decoration(self, event: Any) -> None:
        if event.anchor is not None and not self._aliases:
            raise self._wrong(f"&{event.anchor}: anchors and aliases are not read here; write the values out")
        if event.tag is not None:
            raise self._wrong(f"{event.tag.replace('tag:yaml.org,2002:', '!!')}: tags are not read; leave it out")

    def _list(self, key: Key) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            self._enter((*key, len(found)))
            found.append(self._value(event, (*key, len(found))))
        return found

    def _mapping(self, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._wrong("a key must be a word")
            self._refuse_decoration(event)
            name = self._text(event.value)
            if not name.isprintable():
                raise self._wrong(f"the key {shown(ascii(name)[1:-1])} holds a character that cannot be printed")
            if name in lines:
                raise self._wrong(f"not valid YAML: the key {shown(name)} stands on line {lines[name]} already")
            lines[name] = self._line
            self._enter((*key, name))
            start = len(self.lines)
            value = self._value(self._next(), (*key, name))
            if name == "<<" and not event.style:
                merged = {"sections": value, "start": start, "end": len(self.lines)}
            else:
                found[name] = value
        return {**self._merge(key, found, **merged), **found} if merged else found

    def _merge(self, key: Key, found: Mapping[str, Any], sections: Any, start: int, end: int) -> dict[str, Any]:
        """Keys of the mapping, or list of mappings, below ``<<`` that are not written beside it; the first has it."""
        if not self._aliases:
            raise self._wrong("<<: merges are not read here; write the values out")
        several = isinstance(sections, list)
        sections = sections if several else [sections]
        owners: dict[str, int] = {}
        for place, section in enumerate(sections):
            if not isinstance(section, dict):
                raise self._wrong("<< takes a mapping, or a list of them")
            for name in section:
                if name not in found:
                    owners.setdefault(name, place)
        depth = len(key) + 1 + several
        for written, line in self.lines[start:end]:
            if len(written) > depth and owners.get(str(written[depth])) == (written[depth - 1] if several else 0):
                self._enter((*key, *written[depth:]), line)
        return {name: sections[place][name] for name, place in owners.items()}

    def _repeated(self, name: str, key: Key) -> Any:
        if not self._aliases:
            raise self._wrong(f"*{name}: anchors and aliases are not read here; write the values out")
        if name not in self._anchors:
            raise self._wrong(f"no &{name} stands before *{name}")
        source, start, end, value = self._anchors[name]
        for written, line in self.lines[start:end]:
            self._enter((*key, *written[len(source) :]), line)
        return copy.deepcopy(value)

    def _scalar(self, event: Any) -> Any:
        text = self._text(event.value)
        if event.style:
            return text
        for pattern, value_of in _PLAIN:
            if pattern.fullmatch(text):
                return value_of(text.replace("_", ""))
        return text

    def _text(self, text: str) -> str:
        if wrong := next((c for c in text if c == "\0" or 0xD800 <= ord(c) < 0xE000), None):
            raise self._wrong(f"holds the character {wrong!a}, which no text has")
        return text
