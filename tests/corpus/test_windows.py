"""Windows are the clips' own frames; what is too short is padded and masked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth.corpus.windows import WindowSet, count_windows, cut_windows, no_windows


def clip(frames: int, base: float = 0.0) -> torch.Tensor:
    return base + 1 + torch.arange(frames * 3, dtype=torch.float32).reshape(frames, 3)


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(st.integers(1, 40), min_size=1, max_size=6), length=st.integers(1, 20), stride=st.integers(1, 25)
)
def test_every_window_is_a_stretch_of_its_clip(frames: list[int], length: int, stride: int) -> None:
    clips = [clip(count, 1000.0 * index) for index, count in enumerate(frames)]
    windows = cut_windows(
        torch.cat(clips), frames, {"content": range(len(clips))}, list(map(str, frames)), length=length, stride=stride
    )
    assert len(windows) == sum(count_windows(count, length, stride) for count in frames)
    covered = [set[int]() for _ in clips]
    batch = windows.as_batch()
    for motion, mask, index, start in zip(
        batch.motion_BTD, batch.mask_BT, windows.clip_N.tolist(), windows.start_N.tolist(), strict=True
    ):
        here = clips[index][start : start + length]
        assert torch.equal(motion[mask], here)
        assert mask.tolist() == [True] * len(here) + [False] * (length - len(here))
        assert not motion[~mask].any()
        covered[index] |= set(range(start, start + len(here)))
    assert windows.labels["content"].tolist() == windows.clip_N.tolist()
    if stride <= length:
        assert covered == [set(range(count)) for count in frames]


@pytest.mark.parametrize("stride", [1, 4])
def test_memory_is_that_of_the_frames_whatever_the_stride(stride: int) -> None:
    """Beside them a window has four numbers of its own; copied out, as the control, it has all of its frames'."""
    frames, length, width = [200, 90, 5], 64, 3
    rows = torch.cat([clip(count) for count in frames])
    windows = cut_windows(rows, frames, {}, ["a", "b", "c"], length=length, stride=stride)
    own = (windows.row_N, windows.length_N, windows.clip_N, windows.start_N)
    assert windows.rows_FD.untyped_storage().nbytes() == 4 * width * (200 + 90 + length), "a short clip is padded once"
    assert sum(one.untyped_storage().nbytes() for one in own) == 4 * 8 * len(windows)
    copied = windows.as_batch().motion_BTD.untyped_storage().nbytes()
    assert copied == 4 * len(windows) * length * width > 20 * windows.rows_FD.nbytes / stride
    half = windows.subset(torch.arange(0, len(windows), 2))
    assert half.rows_FD.data_ptr() == windows.rows_FD.data_ptr(), "a part shares them"


def test_clips_of_full_length_are_not_copied() -> None:
    rows = torch.cat((clip(30), clip(10)))
    assert cut_windows(rows, [30, 10], {}, ["a", "b"], length=10, stride=1).rows_FD.data_ptr() == rows.data_ptr()


def test_parts_hold_the_same_windows() -> None:
    rows = torch.cat((clip(30), clip(5), clip(12, 500.0)))
    windows = cut_windows(rows, [30, 5, 12], {"style": [3, 1, 2]}, ["a", "b", "c"], length=10, stride=3)
    whole, all_of_them = windows.subset(windows.whole_N), windows.as_batch()
    assert whole.takes == ("a",) * 8 + ("c",) * 2 and len(windows) == 11
    for part, index in ((whole, windows.whole_N), (windows.even(4), slice(None, None, 3))):
        for found, expected in zip(part.as_batch()[:2], all_of_them[:2], strict=True):
            assert torch.equal(found, expected[index])
        assert torch.equal(part.labels["style"], windows.labels["style"][index])
        assert part.takes == tuple(windows.clips[clip] for clip in windows.clip_N[index])
    assert windows.even(11) is windows and windows.identity != whole.identity
    blocks = list(windows.batches(4))
    assert [len(block.mask_BT) for block in blocks] == [4, 4, 3]
    assert torch.equal(torch.cat([block.motion_BTD for block in blocks]), all_of_them.motion_BTD)
    again = WindowSet.of(*all_of_them, windows.clip_N, windows.start_N, windows.clips)
    assert again.identity == windows.identity and torch.equal(again.as_batch().motion_BTD, all_of_them.motion_BTD)
    assert torch.equal(again.as_batch().mask_BT, all_of_them.mask_BT)


def test_a_batch_is_taken_by_index() -> None:
    rows = torch.cat((clip(30), clip(5)))
    windows = cut_windows(rows, [30, 5], {"style": [3, 1]}, ["a", "b"], length=10, stride=10)
    batch = windows.batch(torch.tensor([3, 0]))
    assert batch.mask_BT.sum(1).tolist() == [5, 10]
    assert batch.labels["style"].tolist() == [1, 3]


def test_a_split_without_clips_has_no_windows() -> None:
    windows = no_windows(8, 3, ["content"])
    assert len(windows) == 0
    assert windows.as_batch().motion_BTD.shape == (0, 8, 3) and windows.size == (8, 3)
    assert windows.labels["content"].shape == (0,)


def test_misuse_is_refused() -> None:
    for length, stride in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1 frame"):
            cut_windows(clip(3), [3], {}, ["a"], length=length, stride=stride)
    with pytest.raises(ValueError, match="at least one clip"):
        cut_windows(clip(0), [], {}, [], length=4, stride=1)
    with pytest.raises(ValueError, match="at least one frame"):
        cut_windows(clip(3), [3, 0], {}, ["a", "b"], length=4, stride=1)
