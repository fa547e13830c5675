"""Takes dealt to train, validation and test: fixed by a seed, and recorded.

Numbered takes are dealt cell by cell in *blocks* of neighbours, for neighbours in recording order are near-duplicates:
a random split would put a take's twin on the other side. Between two blocks no take follows another by ``gap`` or less.
Named takes, and files without takes, have no order: they are dealt at random, every take whole.

A cell of one take goes to training; of two, to training and test; from three on every split gets one. Where a cell is
too small for the gap it is made narrower, and the record says so.

Classes of a label, such as people, are dealt whole instead where they are what is to be held out, by the same rules as
the named takes of one cell.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np

from motionsynth.corpus.config import SplitConfig

__all__ = ["SPLITS", "Split", "SplitName", "Take", "split_classes", "split_takes"]

SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = get_args(SplitName)


class Take(NamedTuple):
    """Cell and take of one file."""

    file: str
    cell: str
    take: str | None


@dataclass
class Split:
    """Split of each file, and the files that are in none."""

    of_file: dict[str, SplitName]
    dropped: dict[str, str]
    """File -> why it is in no split."""
    ordered: bool
    """True where takes were numbered, and so dealt in blocks."""
    notes: list[str] = field(default_factory=list)
    held: str = "take"
    """Unit that was dealt whole: takes, or the classes of this label."""

    def files(self, split: SplitName) -> tuple[str, ...]:
        """The files of a split, sorted."""
        return tuple(sorted(file for file, there in self.of_file.items() if there == split))

    def keep_apart(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Keep clips that share frames in one split only: in test if there are any, else in validation.

        Clips count as sharing also where a third one links them.
        """
        group: dict[str, set[str]] = {}
        for first, second in pairs:
            if first in self.of_file and second in self.of_file:
                joined = group.get(first, {first}) | group.get(second, {second})
                group.update(dict.fromkeys(joined, joined))
        for file in sorted(group):
            keeper = max(sorted(group[file]), key=lambda other: SPLITS.index(self.of_file[other]))
            if self.of_file[file] != self.of_file[keeper]:
                self.dropped[file] = f"shares frames with {keeper}, which is in {self.of_file[keeper]}"
        self.of_file = {file: there for file, there in self.of_file.items() if file not in self.dropped}

    def record(self, takes: Sequence[Take], config: SplitConfig) -> dict[str, Any]:
        """Contents of ``splits.json``."""
        by_file = {take.file: take for take in takes}
        return {
            "seed": config.seed,
            "validation_share": config.validation,
            "test_share": config.test,
            "gap_takes": config.gap if self.ordered else 0,
            "hold_out": self.held,
            "takes": "blocks of neighbours" if self.ordered else "at random",
            "splits": {
                split: [
                    {"file": file, "cell": by_file[file].cell, "take": by_file[file].take} for file in self.files(split)
                ]
                for split in SPLITS
            },
            "dropped": [{"file": file, "reason": reason} for file, reason in sorted(self.dropped.items())],
            "notes": self.notes,
        }


def split_takes(takes: Sequence[Take], config: SplitConfig) -> Split:
    """Deal takes to the three splits.

    Args:
        takes: every usable file, its cell and its take.
        config: shares, gap and seed.
    """
    ordered = bool(takes) and all(take.take is not None and take.take.isdecimal() for take in takes)
    split = Split({}, {}, ordered)
    dealt: dict[str, SplitName] = {}
    cells: dict[str, list[Take]] = defaultdict(list)
    for take in takes:
        cells[take.cell].append(take)
    for cell, members in sorted(cells.items()):
        # each cell draws on its own, so that a clip more in one does not reshuffle all others
        rng = _generator(config, cell)
        if ordered:
            _deal_blocks(cell, members, config, rng, split)
        else:
            _deal_at_random(members, config, rng, split, dealt)
    return split


def split_classes(classes: Mapping[str, str], label: str, config: SplitConfig) -> Split:
    """Deal whole classes of a label to the three splits, at random.

    Args:
        classes: every usable file -> its class.
        label: its name.
        config: shares, of the classes, and seed.

    Raises:
        ValueError: there is one class only, so that nothing can be held out.
    """
    names = sorted(set(classes.values()))
    if len(names) < 2:
        raise ValueError(f"the only {label} is {', '.join(names)}, so none can be held out")
    split = Split({}, {}, False, held=label)
    members = [Take(file, "", name) for file, name in classes.items()]
    _deal_at_random(members, config, _generator(config, label), split, {})
    if len(names) < 3:
        split.notes.append(f"{label}: of {len(names)} classes none is left for validation")
    return split


def _generator(config: SplitConfig, word: str) -> np.random.Generator:
    seed = hashlib.sha256(f"{config.seed}|{word}".encode()).digest()[:8]
    return np.random.default_rng(int.from_bytes(seed, "little"))


def _sizes(count: int, config: SplitConfig) -> dict[SplitName, int]:
    """Numbers of a cell's takes that each split gets, before gaps."""
    if count < 3:
        return {"train": 1, "validation": 0, "test": count - 1}
    test, validation = (max(1, round(share * count)) for share in (config.test, config.validation))
    while test + validation > count - 1:
        test, validation = (test - 1, validation) if test >= validation else (test, validation - 1)
    return {"train": count - test - validation, "validation": validation, "test": test}


def _deal_blocks(cell: str, members: list[Take], config: SplitConfig, rng: np.random.Generator, split: Split) -> None:
    by_number: dict[int, list[str]] = defaultdict(list)
    for member in members:
        by_number[int(member.take or 0)].append(member.file)
    numbers = sorted(by_number)
    sizes = _sizes(len(numbers), config)
    order = [SPLITS[i] for i in rng.permutation(len(SPLITS)) if sizes[SPLITS[i]]]
    gap, dealt = _widest_gap(numbers, order, sizes, config.gap)
    if gap < config.gap:
        split.notes.append(f"{cell or 'the corpus'}: {len(numbers)} takes leave room for a gap of {gap} only")
    for number, there in zip(numbers, dealt, strict=True):
        for file in by_number[number]:
            if there is None:
                split.dropped[file] = f"take {number} lies in the gap between two splits"
            else:
                split.of_file[file] = there


def _widest_gap(
    numbers: list[int], order: Sequence[SplitName], sizes: Mapping[SplitName, int], widest: int
) -> tuple[int, list[SplitName | None]]:
    """The widest gap that leaves training a take, and what every number is dealt to; training pays for the gaps."""
    for gap in range(widest, 0, -1):
        for train in range(sizes["train"], 0, -1):
            dealt = _lay_out(numbers, order, {**sizes, "train": train}, gap)
            if dealt is not None:
                return gap, dealt
    dealt = _lay_out(numbers, order, sizes, 0)
    assert dealt is not None  # without a gap the sizes add up
    return 0, dealt


def _lay_out(
    numbers: list[int], order: Sequence[SplitName], sizes: Mapping[SplitName, int], gap: int
) -> list[SplitName | None] | None:
    """Blocks in this order with gaps between, what is left over going to the last; None where they do not fit."""
    dealt: list[SplitName | None] = []
    for split in order:
        if dealt:
            last = numbers[len(dealt) - 1]
            dealt += [None for number in numbers[len(dealt) :] if number - last <= gap]
        dealt += [split] * sizes[split]
        if len(dealt) > len(numbers):
            return None
    return dealt + [order[-1]] * (len(numbers) - len(dealt))


def _deal_at_random(
    members: list[Take], config: SplitConfig, rng: np.random.Generator, split: Split, dealt: dict[str, SplitName]
) -> None:
    """Deal whole takes; one that an earlier cell has ``dealt`` already stays where it is."""
    groups: dict[str, list[str]] = defaultdict(list)
    for member in sorted(members):
        groups[f"take {member.take}" if member.take is not None else f"file {member.file}"].append(member.file)
    open_places = [there for there, count in _sizes(len(groups), config).items() for _ in range(count)]
    names = list(groups)
    free = [names[i] for i in rng.permutation(len(names)) if names[i] not in dealt]
    for name in set(names) - set(free):
        if dealt[name] in open_places:
            open_places.remove(dealt[name])
    # takes that came dealt may have used up one split's places twice over: the emptiest splits fill first
    open_places.sort(key=lambda there: ("test", "validation", "train").index(there))
    dealt.update(zip(free, open_places, strict=False))
    for name, files in groups.items():
        split.of_file.update(dict.fromkeys(files, dealt[name]))
