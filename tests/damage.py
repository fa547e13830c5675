"""Damage done to files at random, with a fixed seed, and watches on what it does: how long, and how much memory."""

from __future__ import annotations

import copy
import json
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = [
    "MOST_MIB",
    "HangError",
    "damaged_bytes",
    "damaged_document",
    "damaged_json",
    "forget_peak",
    "in_time",
    "peak_mib",
    "places_in",
]

MOST_MIB: Final = 300
"""By which the peak of memory may grow while damaged files are opened; the files themselves take a few."""

_RAW: Final = "\x00raw\x00"
"""Stands in a document for text that ``json.dumps`` would not write."""
STRANGE: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    10_000_000,
    1_000_000_000,
    0.5,
    -1e300,
    "",
    "x" * 5000,
    "\u0000",
    "../../etc/passwd",
    "\x1b[31m\n",
    [],
    {},
    [[]],
    {"a": 1},
    [1e308] * 3,
    f"{_RAW}NaN",
    f"{_RAW}-Infinity",
    f"{_RAW}1e999",
    f"{_RAW}{'9' * 5000}",
    f'{_RAW}"\\ud800"',
    f"{_RAW}{'[' * 100_000}{']' * 100_000}",
    f'{_RAW}{{"a": 1, "a": 2}}',
)


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """Content with a bit flipped, cut, or with bytes put in, written over or repeated."""
    place, flip = chance.randrange(len(content) or 1), 1 << chance.randrange(8)
    if not content:
        return chance.randbytes(8)
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :],
        lambda: content[:place],
        lambda: content[place:],
        lambda: content[:place] + chance.randbytes(chance.randrange(1, 9)) + content[place:],
        lambda: content[:place] + b"\xff\xfe\x80" + content[place + 3 :],
        lambda: content[:place] + chance.randbytes(8) + content[place + 8 :],
        lambda: content + content[place:],
        lambda: b"",
    )
    # a flipped bit is the damage that disks do, and the hardest to see
    return chance.choices(kinds, (8, *[1] * (len(kinds) - 1)))[0]()


def damaged_document(document: Any, chance: random.Random) -> Any:
    """A copy of a JSON document with a value deleted, repeated or replaced; see ``STRANGE``."""
    document = copy.deepcopy(document)
    holder, key = chance.choice(list(places_in(document)))
    action = chance.randrange(5)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif action == 2 and isinstance(holder, dict):
        holder[chance.choice(("", "unknown", "x" * 300))] = holder.pop(key)
    elif action == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * chance.choice((-1, 2, 10**6, 0.5)) + chance.choice((0, 1))
    else:
        holder[key] = chance.choice(STRANGE)
    return document


def damaged_json(document: Any) -> bytes:
    """The text of a damaged document, with what is no JSON value written as it stands."""
    text = json.dumps(document, indent=1)
    raw = json.dumps(_RAW)[1:-1]
    while (start := text.find(f'"{raw}')) >= 0:
        value, length = json.JSONDecoder().raw_decode(text[start:])
        text = text[:start] + value.removeprefix(_RAW) + text[start + length :]
    return text.encode()


def places_in(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in a tree of mappings and lists, as its holder and its key there."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from places_in(node[key])


class HangError(BaseException):
    """Nothing came of it in time; no ``Exception``, so that no door can take it for damage."""


@contextmanager
def in_time(seconds: float = 10.0) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak_mib() -> float:
    """Peak of this process's resident memory since ``forget_peak``."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
