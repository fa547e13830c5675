"""Clips of any length through maps of windows: how windows meet, and what translators in a basis do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from motionsynth.corpus.windows import Batch
from motionsynth.families.crossfade import cross_faded
from motionsynth.families.cyclegan import CycleGAN
from motionsynth.training.determinism import build_family
from tests.bases import plain_basis

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_windows

FRAMES, FEATURES = SHAPE.frames, SHAPE.features
LENGTHS = [1, 2, 7, FRAMES, FRAMES + 1, 24, 41, 200]


def clip(frames: int, count: int = 2) -> Tensor:
    return torch.randn(count, frames, FEATURES, generator=torch.Generator().manual_seed(frames))


def whole(motion_BLD: Tensor) -> Tensor:
    return torch.ones(motion_BLD.shape[:2], dtype=torch.bool)


def by_hand(motion_LD: Tensor, starts: list[int], change) -> Tensor:
    """The weighted mean of what windows become, one window at a time."""
    weight_F = torch.sin(torch.pi * (torch.arange(FRAMES, dtype=torch.float64) + 0.5) / FRAMES) ** 2
    total_LD, share_L1 = torch.zeros_like(motion_LD, dtype=torch.float64), torch.zeros(len(motion_LD), 1)
    for start in starts:
        part = slice(start, start + FRAMES)
        total_LD[part] += weight_F[:, None] * change(motion_LD[part][None])[0]
        share_L1[part] += weight_F[:, None]
    return (total_LD / share_L1).float()


@pytest.mark.parametrize("frames", LENGTHS)
def test_windows_left_alone_give_the_clip_back(frames: int) -> None:
    motion_BLD = clip(frames)
    back_BLD = cross_faded(motion_BLD, whole(motion_BLD), FRAMES, lambda motion_VFD, mask_VF: motion_VFD)
    torch.testing.assert_close(back_BLD, motion_BLD)


def test_windows_cover_a_clip_half_a_window_apart_at_most() -> None:
    seen = []
    time_BLD = torch.arange(41.0)[None, :, None].expand(1, -1, FEATURES)
    cross_faded(time_BLD, whole(time_BLD), FRAMES, lambda motion_VFD, mask_VF: seen.append(motion_VFD) or motion_VFD)
    starts = seen[0][:, 0, 0].tolist()
    assert starts[0] == 0 and starts[-1] == 41 - FRAMES
    assert 0 < min(torch.tensor(starts).diff()) <= max(torch.tensor(starts).diff()) <= FRAMES // 2


def test_what_windows_become_is_weighed_and_not_patched() -> None:
    """Against a loop over windows; a patchwork of the same windows (the control) jumps where they meet."""
    motion_BLD = torch.zeros(1, 40, FEATURES)

    def numbered(motion_VFD: Tensor, mask_VF: Tensor) -> Tensor:
        return motion_VFD + (torch.arange(len(motion_VFD)) % 2)[:, None, None]

    faded_LD = cross_faded(motion_BLD, whole(motion_BLD), FRAMES, numbered)[0]
    turn = iter([0.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(faded_LD, by_hand(motion_BLD[0], [0, 8, 16, 24], lambda part: part + next(turn)))
    patched_L = torch.tensor([0.0] * 12 + [1.0] * 8 + [0.0] * 8 + [1.0] * 12)
    assert faded_LD.diff(dim=0).abs().max() < 0.25 < patched_L.diff().abs().max()


def test_clips_of_several_lengths_do_not_see_each_other_or_their_padding() -> None:
    length_B = torch.tensor([50, 20, 7])
    mask_BL = torch.arange(50) < length_B[:, None]
    spoiled_BLD = clip(50, 3).masked_fill(~mask_BL[..., None], float("nan"))

    def change(motion_VFD: Tensor, mask_VF: Tensor) -> Tensor:
        return 2 * motion_VFD.masked_fill(~mask_VF[..., None], 0.0)

    together_BLD = cross_faded(spoiled_BLD, mask_BL, FRAMES, change)
    for row, length in enumerate(length_B.tolist()):
        torch.testing.assert_close(together_BLD[row, :length], 2 * spoiled_BLD[row, :length])
        assert not together_BLD[row, length:].any()


def in_basis(components: int, **settings: object) -> CycleGAN:
    backbone = {"kind": "basis", "components": components, "width": 8, "layers": 2}
    config = CycleGAN.Config.model_validate({"backbone": backbone, "pool": 0, "bank": 16} | settings)
    family = build_family(config, replace(SHAPE, basis=plain_basis(FRAMES, FEATURES, components)), 0)
    assert isinstance(family, CycleGAN)
    return family.eval()


class Same(nn.Module):
    """A translator that leaves coefficients as they are."""

    def forward(self, motion_BTD: Tensor, mask_BT: Tensor, side_BS: Tensor | None = None) -> Tensor:
        return motion_BTD


@pytest.mark.parametrize("frames", LENGTHS)
def test_identities_give_a_clip_projected_on_the_basis(frames: int) -> None:
    family = in_basis(24)
    family.to_a = family.to_b = Same()
    motion_BLD = clip(frames)
    back_BLD = family.translate(Batch(motion_BLD, whole(motion_BLD), {}), 1)
    basis = family.basis
    assert basis is not None
    if frames < FRAMES:
        padded_BTD = torch.nn.functional.pad(motion_BLD, (0, 0, 0, FRAMES - frames))
        mask_BT = (torch.arange(FRAMES) < frames).expand(2, -1)
        expected_BLD = basis.decode(basis.encode(padded_BTD, mask_BT))[:, :frames]
    else:
        steps = -(-(frames - FRAMES) // (FRAMES // 2))
        starts = [(frames - FRAMES) * step // max(1, steps) for step in range(steps + 1)]
        rows = [by_hand(row_LD, starts, lambda part: basis.decode(basis.encode(part))) for row_LD in motion_BLD]
        expected_BLD = torch.stack(rows)
    torch.testing.assert_close(back_BLD, expected_BLD, rtol=1e-4, atol=1e-5)
    assert frames < FRAMES or (back_BLD - motion_BLD).std() > 0.5, "most of noise is in no component"


def test_a_whole_basis_loses_nothing() -> None:
    family = in_basis(FRAMES * FEATURES)
    family.to_a = family.to_b = Same()
    motion_BLD = clip(41)
    back_BLD = family.translate(Batch(motion_BLD, whole(motion_BLD), {}), 0)
    torch.testing.assert_close(back_BLD, motion_BLD, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("frames", LENGTHS)
def test_translators_in_a_basis_start_near_the_identity(frames: int) -> None:
    family = in_basis(FRAMES * FEATURES)
    motion_BLD = clip(frames)
    batch = Batch(motion_BLD, whole(motion_BLD), {})
    with torch.no_grad():
        there = [family.translate(batch, to) for to in (0, 1, 1)]
    assert torch.equal(there[1], there[2]) and not torch.equal(there[0], there[1])
    for translated in there:
        change = (translated - motion_BLD).square().mean().sqrt()
        assert translated.shape == motion_BLD.shape and 0 < change < 0.5 * motion_BLD.square().mean().sqrt()


def test_each_window_of_a_clip_is_told_its_labels() -> None:
    family, told = in_basis(24, condition=("content",)), []
    family.to_b.register_forward_hook(lambda module, args, out: told.append(args[2]))
    motion_BLD = clip(41, 3)
    family.translate(Batch(motion_BLD, whole(motion_BLD), {"content": torch.tensor([2, 0, 1])}), 1)
    assert told[0].argmax(1).tolist() == [2] * 5 + [0] * 5 + [1] * 5


def test_samples_are_training_windows_as_coefficients() -> None:
    family = in_basis(24)
    family.to_a = family.to_b = Same()
    windows = make_windows(40)
    assert family.basis is not None
    coded = family.basis.project(windows)
    family.begin(coded)
    drawn_N1K = family.sample(50, generator=torch.Generator().manual_seed(0))
    assert drawn_N1K.shape == (50, 1, 24) and family.expand(drawn_N1K, 9).shape == (50, 9, FEATURES)
    assert torch.cdist(drawn_N1K.flatten(1), coded.as_batch().motion_BTD.flatten(1)).amin(1).max() < 0.05


def test_translators_in_a_basis_are_as_wide_as_the_backbone() -> None:
    with pytest.raises(ValueError, match=r"family\.translator: .* as wide as the backbone; leave it out"):
        in_basis(24, translator={"width": 8})
