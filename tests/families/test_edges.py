"""What networks with convolutions make where windows begin and end: nothing that differs from their middle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.base import Family
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.latent import LatentConfig
from motionsynth.nn import convolution
from motionsynth.nn.convolution import ResidualBlock, Upsample, last_held
from motionsynth.nn.encoder import ConvTrunk
from motionsynth.nn.steps import Double, FrameHead
from motionsynth.nn.translator import Translator

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import learn_by_gradient, make_batch

SHAPE = MotionShape(32, 8, {"content": 2, "style": 2})
LATENT = [name for name in FAMILIES if issubclass(family_class(name).Config, LatentConfig)]
TWITCH = 2.0


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def ends(motion_BTD: Tensor) -> Tensor:
    """Squared acceleration at the first and last three frames against the middle; geometric means."""
    squared_BA = motion_BTD.diff(n=2, dim=1).square().mean(2)
    log_A = squared_BA.log().mean(0)
    return torch.cat((log_A[:3], log_A[-3:])).sub(log_A[8:-8].mean()).exp()


def zeros_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the convolutions did before: the control of each test here."""
    monkeypatch.setattr(convolution, "edges_held", lambda x, count=1: F.pad(x, (0, 0, count, count)))


def built(name: str) -> Family:
    small: dict[str, Any] = {"name": name, "backbone": {"kind": "conv", "widths": (16, 16, 16)}}
    if "critic" in family_class(name).Config.model_fields and name != "aae":
        small["critic"] = {"widths": (8, 8)}
    if name == "infogan":
        small["latent_dim"] = 16
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return family_class(name)(family_class(name).Config.model_validate(small), SHAPE)


def drawn(family: Family) -> Tensor:
    prior = "normal" if "normal" in family.priors else family.priors[-1]
    with torch.no_grad():
        return family.eval().sample(64, generator=torch.Generator().manual_seed(0), how=SampleOptions(prior=prior))


@pytest.mark.parametrize("name", LATENT)
def test_no_generator_twitches_where_its_windows_begin_and_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither before it has learnt anything nor after some steps; with zeros beyond the ends every one does.

    Networks that have learnt nothing begin and end more calmly than they go on, as what they repeat does not move.
    """
    for held in (True, False):
        if not held:
            zeros_beyond(monkeypatch)
        family = built(name)
        untrained = ends(drawn(family))
        learn_by_gradient(family.train(), [make_batch(16, seed, SHAPE) for seed in range(10)])
        for found in (untrained, ends(drawn(family))):
            assert (found.max() < TWITCH) == held, found


@pytest.mark.parametrize("upsample", ["linear", "nearest", "learned"])
def test_frames_made_of_steps_do_not_twitch(upsample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part of ``gru`` and ``transformer`` decoders that has convolutions."""
    head, steps_BLC = FrameHead(16, 8, 4, upsample=upsample), torch.randn(64, 12, 16) + 3.0
    assert ends(head(steps_BLC)).max() < TWITCH
    zeros_beyond(monkeypatch)
    assert ends(head(steps_BLC)).max() > TWITCH


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_doubled_frames_have_no_ends_of_their_own(mode: str) -> None:
    """A constant stays one, and the ends of noise are no rougher than its middle."""
    noise_BTC = torch.randn(4096, 16, 4)
    for double in (Upsample(16, mode), Double(mode)):
        torch.testing.assert_close(double(torch.ones(1, 16, 4)), torch.ones(1, 32, 4))
        squared_A = double(noise_BTC).diff(n=2, dim=1).square().mean((0, 2))
        assert squared_A[[0, -1]].max() < 1.1 * squared_A[8:-8].max()


def test_a_constant_goes_through_a_convolution_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    block, still = ResidualBlock(4, 6, 5), torch.randn(3, 1, 4).expand(-1, 9, -1)
    torch.testing.assert_close(block(still), block(still)[:, 4:5].expand(-1, 9, -1))
    zeros_beyond(monkeypatch)
    assert (block(still)[:, 0] - block(still)[:, 4]).abs().max() > 0.1


def test_padded_frames_hold_the_last_one_that_is_there() -> None:
    motion_BTD = torch.randn(2, 6, 3)
    mask_BT = torch.arange(6) < torch.tensor([[4], [6]])
    held_BTD = last_held(motion_BTD.masked_fill(~mask_BT[..., None], torch.nan), mask_BT)
    assert torch.equal(held_BTD[1], motion_BTD[1]) and torch.equal(held_BTD[0, :4], motion_BTD[0, :4])
    assert torch.equal(held_BTD[0, 4:], motion_BTD[0, 3:4].expand(2, -1))


def test_trunks_see_a_short_window_go_on_as_it_ended() -> None:
    """Read as the same window with its last frame repeated, under the mask that says so."""
    trunk = ConvTrunk(17, 4, (8, 8, 8))
    motion_BTD, mask_BT = torch.randn(3, 17, 4), (torch.arange(17) < 9).expand(3, -1)
    repeated = torch.cat((motion_BTD[:, :9], motion_BTD[:, 8:9].expand(-1, 8, -1)), 1)
    seen: list[Tensor] = []
    trunk.input.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    torch.testing.assert_close(trunk(motion_BTD, mask_BT), trunk(repeated, mask_BT))
    assert torch.equal(seen[0][:, 8:, :4], motion_BTD[:, 8:9].expand(-1, 12, -1)), "frames up to the coarse step too"
    assert torch.equal(seen[0][:, :, 4] == 1, F.pad(mask_BT, (0, 3)))


def test_a_padded_window_is_translated_as_the_window_without_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    translator, motion_BTD = Translator(4, 8, (1, 4)), torch.randn(2, 20, 4)
    mask_BT = (torch.arange(32) < 20).expand(2, -1)
    padded_BTD = F.pad(motion_BTD, (0, 0, 0, 12), value=torch.nan)

    def apart() -> float:
        whole_BTD = translator(motion_BTD, torch.ones(2, 20, dtype=torch.bool))
        return float((translator(padded_BTD, mask_BT)[:, :20] - whole_BTD).abs().max().detach())

    assert apart() < 1e-5
    assert not translator(padded_BTD, mask_BT)[:, 20:].any()
    zeros_beyond(monkeypatch)
    assert apart() > 1e-3
