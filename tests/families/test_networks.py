"""The backbone: lengths, resampling, what the critic compares."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionsynth.nn.convolution import Conv, Downsample, Upsample
from motionsynth.nn.critic import Critic, minibatch_stddev
from motionsynth.nn.decoder import ConvDecoder
from motionsynth.nn.encoder import ConvTrunk, Encoder

X = torch.randn(4, 12, 6, generator=torch.Generator().manual_seed(0))


def test_convolution_is_conv1d():
    conv = Conv(6, 5, 3)
    expected = F.conv1d(X.transpose(1, 2), conv.weight.transpose(1, 2), conv.bias, padding=1).transpose(1, 2)
    result = conv(X)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(), "the layout between layers must need no copy"


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        Conv(6, 5, 4)


def test_linear_upsampling_is_torchs():
    expected = F.interpolate(X.transpose(1, 2), scale_factor=2, mode="linear", align_corners=False).transpose(1, 2)
    torch.testing.assert_close(Upsample(12)(X), expected)


def test_nearest_upsampling_repeats():
    torch.testing.assert_close(Upsample(12, "nearest")(X), X.repeat_interleave(2, 1))


def test_nearest_upsampling_leaves_more_energy_above_the_old_nyquist():
    power = {
        mode: torch.fft.rfft(Upsample(12, mode)(X), dim=1)[:, 7:].abs().square().sum() for mode in ("linear", "nearest")
    }
    assert power["nearest"] > 3 * power["linear"]


def test_downsampling_keeps_constants_and_removes_the_fastest_wave():
    torch.testing.assert_close(Downsample(12)(torch.ones(1, 12, 2)), torch.ones(1, 6, 2))
    alternating = (-1.0) ** torch.arange(12)
    assert Downsample(12)(alternating[None, :, None])[:, 1:-1].abs().max() < 1e-6


@pytest.mark.parametrize("frames", [8, 9, 31, 64])
def test_any_length_from_one_coarse_frame_up(frames):
    decoder, encoder = ConvDecoder(frames, 7, 5, (16, 8, 8, 8)), Encoder(ConvTrunk(frames, 7, (16, 8, 8, 8)), 5)
    motion = decoder(torch.randn(3, 5))
    assert motion.shape == (3, frames, 7)
    assert encoder(motion, torch.ones(3, frames, dtype=torch.bool)).shape == (3, 5)


def test_windows_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="at least 8 frames, not 7"):
        ConvDecoder(7, 7, 5, (16, 8, 8, 8))


def test_minibatch_stddev_is_the_spread_within_groups():
    x = torch.randn(6, 4, 3)
    expected = torch.stack([x[i : i + 3].std(0, correction=0).mean() for i in (0, 3)])
    result = minibatch_stddev(x, 3)
    torch.testing.assert_close(result, expected.repeat_interleave(3)[:, None, None].expand(6, 4, 1))
    assert minibatch_stddev(x[:1].repeat(3, 1, 1), 3).max() < 1e-3


def test_parts_of_a_batch_are_judged_as_if_alone():
    critic = Critic(ConvTrunk(16, 6, (16, 8)), group=4)
    real, fake = torch.randn(2, 6, 16, 6)  # 6 is no multiple of 4: groups of 2
    mask = torch.ones(6, 16, dtype=torch.bool)
    together = critic(torch.cat((real, fake)), torch.cat((mask, mask)), parts=2)
    torch.testing.assert_close(together, torch.cat((critic(real, mask), critic(fake, mask))))


def test_minibatch_stddev_can_be_switched_off():
    critic = Critic(ConvTrunk(16, 6, (16, 8)), group=0)
    motion, mask = torch.randn(4, 16, 6), torch.ones(4, 16, dtype=torch.bool)
    torch.testing.assert_close(critic(motion, mask)[:1], critic(motion[:1], mask[:1]))
    compared = Critic(ConvTrunk(16, 6, (16, 8)), group=4)
    assert not torch.allclose(compared(motion, mask)[:1], compared(motion[:1], mask[:1]))


def test_critic_is_differentiable_twice():
    critic = Critic(ConvTrunk(16, 6, (16, 8))).double()
    motion = torch.randn(4, 16, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(4, 16, dtype=torch.bool)
    weight = critic.trunk.input.weight

    def penalty():
        (gradient,) = torch.autograd.grad(critic.trunk(motion, mask).square().sum(), motion, create_graph=True)
        return gradient.square().sum()

    (slope,) = torch.autograd.grad(penalty(), weight)
    step = torch.randn_like(weight)
    with torch.no_grad():
        weight += 1e-6 * step
    up = penalty().item()
    with torch.no_grad():
        weight -= 2e-6 * step
    assert (up - penalty().item()) / 2e-6 == pytest.approx((slope * step).sum().item(), rel=1e-4)
