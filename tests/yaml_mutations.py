"""Mutations of YAML: what a slip of the hand, a broken disk or a hostile hand makes of a file that is right."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from tests.damage import places_in

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

__all__ = ["VALUES", "WORDS", "mutated_text", "mutated_tree", "mutations"]

WORDS: Sequence[str] = (
    *("", "~", "x", "-1", "0", "1.5", "1e999", ".nan", ".inf", "-.inf", "true", "no", "2026-13-45", "2026-11-29"),
    *("12:30", "0x", "0o17", "010", "=", "<<", "9" * 5000, str(2**63), str(2**63 - 1), "1e308", "~/mocap", "~nobody/x"),
    *(
        "!!int x",
        "!!timestamp x",
        "!!python/object/apply:os.system [x]",
        "!!binary x",
        "! x",
        "&a [*a]",
        "*a",
        "{<<: 3}",
    ),
    *("[vae]", "{kind: conv}", "{kind: [conv]}", "{kind: {}}", "{? [a] : b}", "[[" * 20 + "]]" * 20, "{1: 2, 1: 3}"),
    *("{", "]", "'", '"', "|", "%", "@", "\t", "- - -", "---", "...", "?", ": :", "\\", '"\\ud800"', '"\\UFFFFFFFF"'),
    *('"\\0"', '"\\e[31m"', "\u202e", "\u0085", "\ufeff", "\U0001f600", "a" * 300, "{null: 1}", "{true: 1}", "[true]"),
)
"""Values as they may be written."""

VALUES: Sequence[Any] = (
    *(None, True, False, [], {}, "", "x", "a\nb", "\x1b[31m", "a" * 300, "nan", "inf", "1e999", "2026-13-45", "~/x"),
    *(0, 1, -1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**400, 0.5, 1e308, 1e-320, float("inf"), float("nan")),
    *([None], ["x"], [[]], [1, 2, 3], [True], [float("nan")], [10**400], {"x": 1}, {"kind": "conv"}, {"name": ["vae"]}),
    *({1: 2}, {None: 1}, {True: 1}, {"": {}}, {"a.b": 1}, {"kind": None}, {"kind": ["conv"]}, list(range(2000))),
)
"""Values as they may be in a tree."""


def mutations(texts: Sequence[str], count: int, *, seed: int) -> Iterator[bytes]:
    """Contents of files, every other one made of the text and of the tree of one of ``texts``."""
    draw = random.Random(seed)
    for number in range(count):
        text = draw.choice(texts)
        for _ in range(draw.choice((1, 1, 2))):
            text = mutated_tree(text, draw) if number % 2 else mutated_text(text, draw)
        content = text.encode("utf-8", "surrogatepass")
        if number % 50 == 0:
            content = _with_bytes(content, draw)
        yield content


def mutated_text(text: str, draw: random.Random) -> str:
    """A text in which a value, a line or some characters are others."""
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    match draw.randrange(7):
        case 0 | 1 if ":" in lines[at]:
            lines[at] = f"{lines[at].partition(':')[0]}: {draw.choice(WORDS)}"
        case 2:
            del lines[at : at + draw.randint(1, 4)]
        case 3:
            lines.insert(draw.randrange(len(lines) + 1), lines[at])
        case 4:
            lines[at] = draw.choice((" ", "  ", "\t", "- ")) + lines[at] if draw.random() < 0.5 else lines[at].lstrip()
        case 5:
            column = draw.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:column] + draw.choice(WORDS) + lines[at][column + draw.randrange(3) :]
        case _:
            joined = "\n".join(lines)
            start = draw.randrange(len(joined) + 1)
            return joined[:start] + joined[start + draw.randint(1, 60) :]
    return "\n".join(lines)


def mutated_tree(text: str, draw: random.Random) -> str:
    """A text whose tree has one value, key or branch that is another; as it is where it is no mapping."""
    try:
        tree = yaml.load(text, _LOADER)
    except (yaml.YAMLError, ValueError):
        return text
    places = list(places_in(tree))
    if not places:
        return text
    holder, key = draw.choice(places)
    match draw.randrange(6):
        case 0 | 1 | 2:
            holder[key] = copy.deepcopy(draw.choice(VALUES))
        case 3:
            del holder[key]
        case 4 if isinstance(holder, dict):
            holder[draw.choice((1, None, True, "", "x", f"{key}s", "name", "kind", "data", "a\nb"))] = holder.pop(key)
        case _:
            other, name = draw.choice(places)
            holder[key] = copy.deepcopy(other[name])
    return yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)


def _with_bytes(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.randbytes(draw.randint(1, 8)) + content[at + draw.randrange(2) :]
