"""Stretches that clips share are found to the frame, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from motionsynth.corpus.stretches import MIN_FRAMES, SharedStretch, frame_words, shared_stretches
from tests.motion.clips import walk


def test_a_shared_stretch_is_found_to_the_frame() -> None:
    long = walk(300, 30)
    clips = {"a": long[10:150], "b": walk(100, 30, seed=1), "c": long[40:260], "d": long[40 : 40 + MIN_FRAMES - 1]}
    found = shared_stretches(list(clips), [frame_words(clip) for clip in clips.values()])
    assert found == [SharedStretch(("a", "c"), (30, 0), 110)]


@pytest.mark.parametrize(("frames", "count"), [(MIN_FRAMES - 1, 0), (MIN_FRAMES, 1), (MIN_FRAMES + 1, 1)])
def test_the_shortest_stretch(frames: int, count: int) -> None:
    clip = walk(100, 30)
    found = shared_stretches(["a", "b"], [frame_words(clip[:50]), frame_words(clip[50 - frames : 90])])
    assert [stretch.frames for stretch in found] == [frames] * count


def test_the_last_bit_counts() -> None:
    clip = walk(60, 30)
    angles = np.array(clip.angles)
    angles[30, 5, 1] = np.nextafter(angles[30, 5, 1], 1e9)
    other = replace(clip, angles=angles)
    assert not shared_stretches(["a", "b"], [frame_words(clip[10:61]), frame_words(other[10:50])])
    words = frame_words(clip), frame_words(other)
    assert np.flatnonzero(words[0] != words[1]).tolist() == [30]


def test_exchanged_numbers_are_other_frames() -> None:
    clip = walk(40, 30)
    swapped = replace(clip, angles=clip.angles[:, :, ::-1])
    assert (frame_words(clip) != frame_words(swapped)).all()


def test_a_clip_that_repeats_itself_shares_nothing() -> None:
    word = np.arange(40, dtype=np.uint64)
    assert shared_stretches(["a", "b"], [np.tile(word, 3), word + np.uint64(500)]) == []
    assert shared_stretches([], []) == []


def test_of_three_copies_each_is_paired_with_the_next() -> None:
    words = frame_words(walk(50, 30))
    found = shared_stretches(["a", "b", "c"], [words, words, words])
    assert [stretch.files for stretch in found] == [("a", "b"), ("b", "c")]


def test_a_pose_held_still_is_no_performance() -> None:
    held, moving = np.full(50, 7, dtype=np.uint64), np.arange(100, 140, dtype=np.uint64)
    assert shared_stretches(["a", "b"], [held, held]) == []
    clips = [np.concatenate([held, moving]), np.concatenate([held[:35], moving])]
    (found,) = shared_stretches(["a", "b"], clips)
    assert found.starts[1] - found.starts[0] == -15
    assert found.frames >= 40
