"""Windows are the clips' own frames; what is too short is padded and masked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth.corpus.windows import count_windows, cut_windows, no_windows


def clip(frames: int, base: float = 0.0) -> torch.Tensor:
    return base + 1 + torch.arange(frames * 3, dtype=torch.float32).reshape(frames, 3)


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(st.integers(1, 40), min_size=1, max_size=6), length=st.integers(1, 20), stride=st.integers(1, 25)
)
def test_every_window_is_a_stretch_of_its_clip(frames: list[int], length: int, stride: int) -> None:
    clips = [clip(count, 1000.0 * index) for index, count in enumerate(frames)]
    windows = cut_windows(
        clips, {"content": range(len(clips))}, [str(i) for i in range(len(clips))], length=length, stride=stride
    )
    assert len(windows) == sum(count_windows(count, length, stride) for count in frames)
    covered = [set[int]() for _ in clips]
    for motion, mask, index, start in zip(
        windows.motion_NTD, windows.mask_NT, windows.clip_N.tolist(), windows.start_N.tolist(), strict=True
    ):
        here = clips[index][start : start + length]
        assert torch.equal(motion[mask], here)
        assert mask.tolist() == [True] * len(here) + [False] * (length - len(here))
        assert not motion[~mask].any()
        covered[index] |= set(range(start, start + len(here)))
    assert windows.labels["content"].tolist() == windows.clip_N.tolist()
    if stride <= length:
        assert covered == [set(range(count)) for count in frames]


def test_a_batch_is_taken_by_index() -> None:
    windows = cut_windows([clip(30), clip(5)], {"style": [3, 1]}, ["a", "b"], length=10, stride=10)
    batch = windows.batch(torch.tensor([3, 0]))
    assert batch.mask_BT.sum(1).tolist() == [5, 10]
    assert batch.labels["style"].tolist() == [1, 3]


def test_a_split_without_clips_has_no_windows() -> None:
    windows = no_windows(8, 3, ["content"])
    assert len(windows) == 0
    assert windows.motion_NTD.shape == (0, 8, 3)
    assert windows.labels["content"].shape == (0,)


def test_misuse_is_refused() -> None:
    for length, stride in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1 frame"):
            cut_windows([clip(3)], {}, ["a"], length=length, stride=stride)
    with pytest.raises(ValueError, match="at least one clip"):
        cut_windows([], {}, [], length=4, stride=1)
    with pytest.raises(ValueError, match="at least one frame"):
        cut_windows([clip(3), clip(0)], {}, ["a", "b"], length=4, stride=1)
