"""What the length of the windows leaves out is said before anything is trained."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionsynth.corpus.report import short_takes


def test_nothing_is_said_where_every_clip_holds_a_window() -> None:
    assert short_takes([64, 65, 200], 64) == ""


def test_clips_and_frames_are_counted_and_a_window_is_offered() -> None:
    lengths = [20] * 2 + [50] * 38 + [100] * 10
    assert short_takes(lengths, 64) == (
        "40 of 50 clips (80%, 66% of frames) are shorter than a window of 64 frames: padded in training, left out of "
        "evaluation; data.window_frames=48 leaves out 2 (4.0%)"
    )
    assert short_takes(lengths, 48).endswith("left out of evaluation"), "few are: nothing is offered"


def test_where_all_are_too_short_this_is_said() -> None:
    assert short_takes([5] * 20, 8).endswith("even windows of 8 frames leave out 5% or more")


@given(st.lists(st.integers(2, 300), min_size=1, max_size=200), st.integers(8, 200))
def test_the_window_that_is_offered_leaves_out_few_and_is_the_longest(lengths: list[int], window: int) -> None:
    found = re.search(r"data\.window_frames=(\d+) leaves out (\d+)", short_takes(lengths, window))
    if found is None:
        return
    offered = int(found[1])
    assert 8 <= offered < window and offered % 4 == 0
    short = [sum(frames < length for frames in lengths) for length in (offered, offered + 4)]
    assert short[0] == int(found[2]) and short[0] < 0.05 * len(lengths)
    assert short[1] >= 0.05 * len(lengths) or offered + 4 > max(lengths)


@pytest.mark.parametrize(("short", "offers"), [(4, False), (5, True)])
def test_from_five_in_a_hundred_on_another_is_offered(short: int, offers: bool) -> None:
    assert ("data.window_frames" in short_takes([30] * short + [90] * (100 - short), 64)) is offers
