"""The order of windows: every pass a permutation, cut into batches of one size, and resumable."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from motionsynth.training.order import BatchOrder


def take(order: BatchOrder, count: int) -> list[list[int]]:
    batches = []
    for _ in range(count):
        there_B, here_B = order.next()
        assert torch.equal(there_B, here_B)
        batches.append(here_B.tolist())
    return batches


def test_a_pass_sees_no_window_twice_and_the_next_has_another_order() -> None:
    order = BatchOrder(10, 3, seed=0)
    first, second = take(order, 3), take(order, 3)
    for batches in (first, second):
        seen = list(chain(*batches))
        assert [len(batch) for batch in batches] == [3, 3, 3] and len(set(seen)) == 9
    assert first != second


def test_the_end_of_a_pass_is_told_after_its_last_batch() -> None:
    order = BatchOrder(10, 3, seed=0)
    assert [order.next() and order.ends_pass for _ in range(7)] == [False, False, True, False, False, True, False]


def test_what_one_pass_leaves_others_use() -> None:
    order = BatchOrder(10, 3, seed=0)
    assert set(chain(*take(order, 12))) == set(range(10))


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    order = BatchOrder(5, 128, seed=0)
    assert order.batch_size == 5
    assert [sorted(batch) for batch in take(order, 2)] == [list(range(5))] * 2


def test_a_whole_pass_ends_with_what_is_left() -> None:
    order = BatchOrder(10, 3, seed=0, whole=True)
    for _ in range(2):
        batches = take(order, 4)
        assert [len(batch) for batch in batches] == [3, 3, 3, 1] and sorted(chain(*batches)) == list(range(10))
        assert order.ends_pass
    order.next()
    assert not order.ends_pass
    even = BatchOrder(9, 3, seed=0, whole=True)
    assert [even.next() and even.ends_pass for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(("whole", "per_pass", "seen"), [(False, 3, [0, 3, 6, 9, 12]), (True, 4, [0, 3, 6, 9, 10, 13])])
def test_steps_and_windows_are_counted(whole: bool, per_pass: int, seen: list[int]) -> None:
    order = BatchOrder(10, 3, seed=0, whole=whole)
    assert order.steps_per_pass == per_pass
    assert [order.seen(steps) for steps in range(len(seen))] == seen
    for wanted in range(1, 30):
        steps = order.steps_until(wanted)
        assert order.seen(steps) >= wanted > order.seen(steps - 1)


@pytest.mark.parametrize("taken", range(9))
def test_a_whole_pass_goes_on_where_it_stood(taken: int) -> None:
    order, other = BatchOrder(10, 3, seed=0, whole=True), BatchOrder(10, 3, seed=9, whole=True)
    take(order, taken)
    other.load_state_dict(order.state_dict())
    assert take(order, 9) == take(other, 9)


def test_seeds_decide() -> None:
    assert take(BatchOrder(10, 3, seed=1), 6) == take(BatchOrder(10, 3, seed=1), 6)
    assert take(BatchOrder(10, 3, seed=1), 6) != take(BatchOrder(10, 3, seed=2), 6)


@pytest.mark.parametrize("taken", range(8))
def test_state_goes_on_where_it_stood(taken: int) -> None:
    order, other = BatchOrder(10, 3, seed=0), BatchOrder(10, 3, seed=9)
    take(order, taken)
    other.load_state_dict(order.state_dict())
    assert take(order, 8) == take(other, 8)


def test_no_windows_and_other_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="no windows"):
        BatchOrder(0, 3, seed=0)
    with pytest.raises(ValueError, match="one of 9 windows, not of 10"):
        BatchOrder(10, 3, seed=0).load_state_dict(BatchOrder(9, 3, seed=0).state_dict())
