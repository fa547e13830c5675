"""No take leaks between splits; neighbours in recording order are kept apart; the seed decides, and only the seed."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth.corpus.config import SplitConfig
from motionsynth.corpus.split import SPLITS, Take, split_classes, split_takes


def numbered(numbers: list[int], cell: str = "walk/calm", files_a_take: int = 1) -> list[Take]:
    return [Take(f"{cell}/{n}_{k}.bvh", cell, str(n)) for n in numbers for k in range(files_a_take)]


@settings(max_examples=150, deadline=None)
@given(
    numbers=st.sets(st.integers(0, 80), min_size=1, max_size=40),
    gap=st.integers(0, 3),
    seed=st.integers(0, 50),
    files=st.integers(1, 2),
)
def test_blocks_keep_their_distance(numbers: set[int], gap: int, seed: int, files: int) -> None:
    takes = numbered(sorted(numbers), files_a_take=files)
    split = split_takes(takes, SplitConfig(gap=gap, seed=seed))
    assert set(split.of_file) | set(split.dropped) == {take.file for take in takes}
    assert not set(split.of_file) & set(split.dropped)
    of_number = {int(take.take or 0): split.of_file.get(take.file) for take in takes}
    for take in takes:  # the files of a take stay together
        assert split.of_file.get(take.file) == of_number[int(take.take or 0)]
    kept = sorted(number for number, there in of_number.items() if there)
    changes = [(a, b) for a, b in pairwise(kept) if of_number[a] != of_number[b]]
    used = {of_number[number] for number in kept}
    assert len(changes) == len(used) - 1  # every split is one block
    assert "train" in used
    assert used == set(SPLITS) if len(numbers) >= 3 else "validation" not in used
    if not split.notes:
        assert all(b - a > gap for a, b in changes)


def test_shares_are_kept() -> None:
    split = split_takes(numbered(list(range(100))), SplitConfig(validation=0.2, test=0.1, gap=2))
    assert [len(split.files(name)) for name in SPLITS] == [66, 20, 10]
    assert len(split.dropped) == 4
    assert all("gap" in reason for reason in split.dropped.values())


def test_takes_that_are_far_apart_lose_nothing_to_gaps() -> None:
    assert not split_takes(numbered(list(range(0, 100, 5))), SplitConfig(gap=3)).dropped


def test_tiny_cells() -> None:
    one = split_takes(numbered([4]), SplitConfig())
    assert list(one.of_file.values()) == ["train"]
    two = split_takes(numbered([4, 9]), SplitConfig())
    assert sorted(two.of_file.values()) == ["test", "train"]
    three = split_takes(numbered([1, 2, 3]), SplitConfig(gap=1))
    assert sorted(three.of_file.values()) == sorted(SPLITS)
    assert three.notes == ["walk/calm: 3 takes leave room for a gap of 0 only"]


def test_the_seed_decides_and_a_cell_does_not_depend_on_others() -> None:
    takes = numbered(list(range(20)))
    first = split_takes(takes, SplitConfig(seed=1)).of_file
    assert first == split_takes(list(reversed(takes)), SplitConfig(seed=1)).of_file
    more = split_takes(takes + numbered(list(range(9)), "run/mad"), SplitConfig(seed=1)).of_file
    assert {file: there for file, there in more.items() if file in first} == first
    assert len({tuple(sorted(split_takes(takes, SplitConfig(seed=s)).of_file.items())) for s in range(20)}) == 6


def test_named_takes_stay_whole_across_cells() -> None:
    takes = [Take(f"{cell}{n}.bvh", cell, f"session{n}") for cell in ("walk", "run") for n in range(20)]
    takes += [Take(f"jump{n}.bvh", "jump", f"session{n % 7}") for n in range(30)]
    split = split_takes(takes, SplitConfig())
    assert not split.ordered
    where: dict[str | None, set[str]] = {}
    for take in takes:
        where.setdefault(take.take, set()).add(split.of_file[take.file])
    assert all(len(splits) == 1 for splits in where.values())
    assert {name: len(split.files(name)) > 0 for name in SPLITS} == dict.fromkeys(SPLITS, True)


@pytest.mark.parametrize("count", range(1, 12))
def test_files_without_takes_are_dealt_one_by_one(count: int) -> None:
    split = split_takes([Take(f"{n}.bvh", "", None) for n in range(count)], SplitConfig())
    assert len(split.of_file) == count
    assert len(split.files("train")) >= 1
    assert all(split.files(name) for name in SPLITS[: 3 if count > 2 else 1])


def test_clips_that_share_frames_do_not_straddle() -> None:
    split = split_takes(numbered(list(range(30))), SplitConfig(gap=0))
    train, validation, test = (split.files(name)[0] for name in SPLITS)
    pairs = [(test, train), (validation, test), (split.files("train")[1], split.files("train")[2])]
    split.keep_apart(pairs)
    assert set(split.dropped) == {train, validation}  # from training first, else from validation
    assert test in split.of_file
    assert split.dropped[train] == f"shares frames with {test}, which is in test"


def test_clips_linked_by_a_third_do_not_straddle() -> None:
    split = split_takes(numbered(list(range(30))), SplitConfig(gap=0))
    train, validation, test = (split.files(name)[0] for name in SPLITS)
    split.keep_apart([(test, train), (train, validation)])
    assert set(split.dropped) == {train, validation}


def test_the_record_says_it_all() -> None:
    takes = numbered(list(range(12)))
    config = SplitConfig(seed=5)
    split = split_takes(takes, config)
    record = json.loads(json.dumps(split.record(takes, config)))
    listed = {entry["file"]: name for name in SPLITS for entry in record["splits"][name]}
    assert listed == split.of_file
    assert (record["seed"], record["gap_takes"]) == (5, 1)
    assert {entry["file"] for entry in record["dropped"]} == set(split.dropped)


def actors(count: int, clips: int = 7) -> dict[str, str]:
    return {f"{name:02}_{clip}.bvh": f"{name:02}" for name in range(count) for clip in range(clips)}


@settings(max_examples=50, deadline=None)
@given(count=st.integers(2, 20), seed=st.integers(0, 20))
def test_classes_are_dealt_whole(count: int, seed: int) -> None:
    classes = actors(count)  # named by numbers, which are no order of recording here
    config = SplitConfig(seed=seed, validation=0.2, test=0.2)
    split = split_classes(classes, "actor", config)
    assert split.of_file == split_classes(dict(reversed(classes.items())), "actor", config).of_file
    where: dict[str, set[str]] = {}
    for file, there in split.of_file.items():
        where.setdefault(classes[file], set()).add(there)
    assert set(where) == set(classes.values()) and all(len(splits) == 1 for splits in where.values())
    sizes = [len(split.files(name)) // 7 for name in SPLITS]
    assert sizes == (
        [1, 0, 1] if count == 2 else [count - 2 * max(1, round(0.2 * count)), *[max(1, round(count / 5))] * 2]
    )
    assert split.notes == (["actor: of 2 classes none is left for validation"] if count == 2 else [])
    assert not split.dropped and not split.ordered


def test_the_seed_decides_who_is_held_out() -> None:
    held = {split_classes(actors(6), "actor", SplitConfig(seed=seed)).files("test") for seed in range(40)}
    assert len(held) == 6


def test_of_one_class_none_can_be_held_out() -> None:
    with pytest.raises(ValueError, match="the only actor is 00, so none can be held out"):
        split_classes(actors(1), "actor", SplitConfig())


def test_the_record_says_what_was_dealt_whole() -> None:
    takes, config = numbered([1, 2, 3]), SplitConfig()
    assert split_takes(takes, config).record(takes, config)["hold_out"] == "take"
    named = [Take(file, "walk", "1") for file in actors(4)]
    assert split_classes(actors(4), "actor", config).record(named, config)["hold_out"] == "actor"
