"""Draws: equal numbers, halves by block, doses that choose among windows."""

from __future__ import annotations

import numpy as np
import pytest

from motionsynth.calibration.draws import Repeat, changes_nothing, draw_repeats, evenly, halve_takes
from motionsynth.calibration.plan import ZERO, Dose
from tests.calibration.pools import make_pool

COUNT = 60


def repeats(number: int = 4, seed: int = 0) -> list[Repeat]:
    return draw_repeats(make_pool(), 100, count=COUNT, repeats=number, seed=seed)


def test_every_repeat_draws_anew_and_a_seed_fixes_all() -> None:
    first, again, other = repeats(), repeats(), repeats(seed=1)
    assert all(np.array_equal(a.windows_N, b.windows_N) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].windows_N, other[0].windows_N)
    assert len({r.windows_N.tobytes() for r in first}) == len({r.reference_N.tobytes() for r in first}) == 4
    assert len({r.half_N.tobytes() for r in first}) > 1
    # more repeats leave the earlier ones as they were
    assert np.array_equal(repeats(6)[3].windows_N, first[3].windows_N)


def test_sets_are_of_one_size_and_repeat_no_window() -> None:
    for repeat in repeats():
        assert len(np.unique(repeat.windows_N)) == len(np.unique(repeat.reference_N)) == COUNT
    few = draw_repeats(make_pool(), 30, count=COUNT, repeats=1, seed=0)[0]
    assert len(few.windows_N) == len(few.reference_N) == len(few.apart_N) == 30


def test_halves_share_no_take_and_are_blocks_of_each_cell() -> None:
    pool = make_pool()
    for seed in range(5):
        first, second = halve_takes(pool, np.random.default_rng(seed))
        assert sorted([*first, *second]) == list(range(len(pool)))
        assert not set(pool.clip_N[first]) & set(pool.clip_N[second])
        for cell in np.unique(pool.cell_N):
            takes = np.unique(pool.clip_N[pool.cell_N == cell])
            inside = np.isin(takes, pool.clip_N[first])
            assert abs(inside.sum() - len(takes) / 2) <= 0.5
            # one block, going round from the last take to the first
            assert np.sum(inside != np.roll(inside, 1)) <= 2


@pytest.mark.parametrize("kept", [9, 3, 1])
@pytest.mark.parametrize("apart", [False, True])
def test_as_many_cells_are_kept_as_claimed(kept: int, apart: bool) -> None:
    pool = make_pool()
    for repeat in repeats():
        drawn = repeat.of(Dose("cells", kept), pool, apart=apart)
        assert len(drawn.index_N) == COUNT
        assert len(np.unique(pool.cell_N[drawn.index_N])) <= kept
        assert drawn.repeated == COUNT - len(np.unique(drawn.index_N))
        if apart:
            assert np.isin(drawn.index_N, repeat.half_N).all()
        fewer = repeat.of(Dose("cells", 1), pool, apart=apart)
        assert np.isin(np.unique(pool.cell_N[fewer.index_N]), np.unique(pool.cell_N[drawn.index_N])).all() or kept == 1


def test_windows_repeat_only_where_there_are_too_few() -> None:
    rng = np.random.default_rng(0)
    few, many = np.array([3, 5, 9]), np.arange(100)
    counts = np.unique(evenly(few, 8, rng), return_counts=True)[1]
    assert sorted(counts) == [2, 3, 3]
    assert len(np.unique(evenly(many, 60, rng))) == 60


@pytest.mark.parametrize("windows", [1, 2, 4])
def test_few_windows_of_each_cell_repeat_and_come_of_as_many_clips_as_can_be(windows: int) -> None:
    pool = make_pool()
    for repeat in repeats():
        drawn = repeat.of(Dose("windows_per_cell", windows), pool).index_N
        before, after = (np.bincount(pool.cell_N[index], minlength=12) for index in (repeat.windows_N, drawn))
        assert np.array_equal(before, after)
        for cell in np.unique(pool.cell_N[drawn]):
            kept = np.unique(drawn[pool.cell_N[drawn] == cell])
            clips = len(np.unique(pool.clip_N[pool.cell_N == cell]))
            assert len(kept) <= windows
            assert len(np.unique(pool.clip_N[kept])) == min(len(kept), clips)


def test_a_memoriser_shows_a_few_training_windows_over_and_over() -> None:
    pool = make_pool()
    for repeat in repeats():
        drawn = repeat.of(Dose("memoriser", 8), pool, apart=True).index_N
        assert len(np.unique(drawn)) == 8 and len(drawn) == COUNT
        assert np.isin(drawn, repeat.train_N).all()
        weaker = repeat.of(Dose("memoriser", 32), pool, apart=True).index_N
        assert set(drawn) <= set(weaker)


def test_doses_of_motion_draw_what_real_motion_draws() -> None:
    repeat = repeats()[0]
    assert np.array_equal(repeat.of(Dose("low_pass", 4.0), make_pool()).index_N, repeat.windows_N)
    assert np.array_equal(repeat.of(ZERO, make_pool(), apart=True).index_N, repeat.apart_N)


@pytest.mark.parametrize(
    ("dose", "reason"),
    [
        (Dose("low_pass", 20.0), "no more than 15 Hz"),
        (Dose("windows_per_cell", 100), "holds no more of a cell"),
        (Dose("memoriser", 5000), "no more windows"),
        (Dose("neighbours", 500), "takes"),
        (Dose("low_pass", 6.0), None),
        (Dose("windows_per_cell", 1), None),
    ],
)
def test_doses_that_a_corpus_cannot_take_are_told(dose: Dose, reason: str | None) -> None:
    found = changes_nothing(dose, make_pool(), COUNT)
    assert found is None if reason is None else reason in (found or "")
