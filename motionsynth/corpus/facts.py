"""Facts of single files that are not those of their corpus, and the sentences that name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from motionsynth.errors import list_first

__all__ = ["Facts", "fact_notes"]

_SHOWN: Final = 3
_SAME_RATE: Final = 0.01
"""Frame rates within this share of one another are one: files write 1/30 s as 0.0333, and 29.97 is 30 to most."""


class Facts(NamedTuple):
    """The findings in one file, and the steps that brought it to its corpus."""

    frame_rate: float
    """Frames a second that the file declares."""
    own_up: str = ""
    """The axis that points up in it, where that is certain and another than in the corpus; it was turned by it."""
    seeming_up: str = ""
    """The axis that seems to point up, where that is another than in the corpus and not certain; it was not heeded."""
    scale: float = 1.0
    """Lengths in the file, as a multiple of those of the corpus, where it is in another unit; it was scaled."""
    unit: str = ""
    """The name of that unit, where it is known."""
    reordered: bool = False
    """True where it lists the joints in another order; they were matched by name."""
    mover: str = ""
    """The last joint on the trunk that moves; empty where none does."""
    jumps: bool = False
    """True where frame 0 stands far off frame 1, as where a rest pose comes first."""
    legs: float = 1.0
    """Leg length that it was brought to, as a multiple of its own, where it had other bones than the corpus."""


def fact_notes(facts: Mapping[str, Facts], mover: str, frame_rate: float) -> tuple[str, ...]:
    """Name the files that differ from most of their corpus, and what was done about it.

    Args:
        facts: file -> what was found in it.
        mover: the joint whose path is the trajectory in the features.
        frame_rate: frames a second of the features.
    """
    return (
        *_up_notes(facts),
        *_unit_notes(facts),
        *_bone_notes(facts),
        *_layout_notes(facts, mover),
        *_jump_notes(facts),
        *_rate_notes(facts, frame_rate),
    )


def _up_notes(facts: Mapping[str, Facts]) -> list[str]:
    notes = []
    for axis, other in (("y", "z"), ("z", "y")):
        if own := [file for file, one in facts.items() if one.own_up == axis]:
            rest = f"the other {len(facts) - len(own)} {other} up"
            notes.append(f"{_are(own)} {axis} up, {rest}; each is turned by its own axis: {_some(own)}")
        if seeming := [file for file, one in facts.items() if one.seeming_up == axis]:
            looks = "seems" if len(seeming) == 1 else "seem"
            notes.append(
                f"{_files(seeming)} {looks} {axis} up, but perhaps the person lies: taken to be {other} up like the "
                f"others: {_some(seeming)}; in a folder of their own data.up={axis} sets it"
            )
    return notes


def _unit_notes(facts: Mapping[str, Facts]) -> list[str]:
    notes = []
    for scale, unit in dict.fromkeys((one.scale, one.unit) for one in facts.values() if one.scale != 1.0):
        own = [file for file, one in facts.items() if (one.scale, one.unit) == (scale, unit)]
        size = f"{scale:.6g} times larger" if scale > 1 else f"{1 / scale:.6g} times smaller"
        notes.append(f"{_are(own)} in {unit or 'another unit'}, {size}: scaled: {_some(own)}")
    return notes


def _bone_notes(facts: Mapping[str, Facts]) -> list[str]:
    ratios = {file: one.legs for file, one in facts.items() if one.legs != 1.0}
    if not ratios:
        return []
    return [
        f"{_are(ratios)} brought to the bones of the corpus: rotations kept, the way travelled multiplied by "
        f"{min(ratios.values()):.3f} to {max(ratios.values()):.3f}, as leg lengths ask"
    ]


def _layout_notes(facts: Mapping[str, Facts], mover: str) -> list[str]:
    notes = []
    if reordered := [file for file, one in facts.items() if one.reordered]:
        lists = "lists its" if len(reordered) == 1 else "list their"
        notes.append(f"{_files(reordered)} {lists} joints in another order, matched by name: {_some(reordered)}")
    for joint in sorted({one.mover for one in facts.values()} - {"", mover}):
        own = [file for file, one in facts.items() if one.mover == joint]
        notes.append(f"the trajectory is the path of {mover}; in {_files(own)} only {joint} moves it: {_some(own)}")
    return notes


def _jump_notes(facts: Mapping[str, Facts]) -> list[str]:
    jumping = [file for file, one in facts.items() if one.jumps]
    if not jumping:
        return []
    return [
        f"{_files(jumping)} {'jumps' if len(jumping) == 1 else 'jump'} between frames 0 and 1, as where a rest pose "
        f"comes first: {_some(jumping)}; 'motionsynth data convert IN OUT --slice 1:' cuts it off"
    ]


def _rate_notes(facts: Mapping[str, Facts], frame_rate: float) -> list[str]:
    """One line for each rate that is far from the commonest."""
    rates = Counter(round(one.frame_rate, 3) for one in facts.values()).most_common()
    notes = []
    for rate, _ in rates[1:]:
        if abs(rate / rates[0][0] - 1.0) > _SAME_RATE:
            own = [file for file, one in facts.items() if round(one.frame_rate, 3) == rate]
            declares = "declares" if len(own) == 1 else "declare"
            notes.append(
                f"{_files(own)} {declares} {rate:g} frames a second, where {rates[0][1]} of {len(facts)} declare "
                f"{rates[0][0]:g}: {_some(own)}; all are brought to {frame_rate:g}, so check the 'Frame Time' line"
            )
    return notes


def _files(files: Collection[str]) -> str:
    return f"{len(files)} file" + ("" if len(files) == 1 else "s")


def _are(files: Collection[str]) -> str:
    return f"{_files(files)} {'is' if len(files) == 1 else 'are'}"


def _some(files: Collection[str]) -> str:
    return list_first(list(files), _SHOWN)
