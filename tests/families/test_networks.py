"""The backbones: lengths, resampling, padding, what a critic compares."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter, ValidationError

from motionsynth.corpus.shape import MotionShape
from motionsynth.families import family_class
from motionsynth.families.backbone import (
    BackboneConfig,
    BasisConfig,
    CriticConfig,
    build_critic,
    build_decoder,
    build_encoder,
)
from motionsynth.families.base import StepContext
from motionsynth.losses.adversarial import r1_penalty
from motionsynth.nn.convolution import Conv, Downsample, LearnedUpsample, Upsample
from motionsynth.nn.critic import Critic, minibatch_stddev
from motionsynth.nn.decoder import ConvDecoder
from motionsynth.nn.encoder import ConvTrunk, Encoder
from motionsynth.nn.steps import Double, clock

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, freeze_all_but, make_batch


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


X = torch.randn(4, 12, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 1), (3, 8)])
def test_convolution_is_conv1d_with_the_ends_held(kernel, dilation):
    conv = Conv(6, 5, kernel, dilation=dilation)
    held = F.pad(X.transpose(1, 2), (dilation * (kernel // 2),) * 2, mode="replicate")
    expected = F.conv1d(held, conv.weight.transpose(1, 2), conv.bias, dilation=dilation).transpose(1, 2)
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


KINDS = ("conv", "gru", "transformer")
SMALL = {
    "conv": {"widths": (16, 8)},
    "gru": {"width": 16, "mapping_width": 16},
    "transformer": {"width": 16, "heads": 2, "layers": 2, "feedforward": 16, "mapping_width": 16},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
any_length = pytest.mark.parametrize("kind", KINDS[1:])
UPSAMPLING = ("linear", "nearest", "learned")


def backbone(kind: str, **settings: object) -> BackboneConfig:
    return TypeAdapter(BackboneConfig).validate_python({"kind": kind, **SMALL[kind], **settings})


def critic_settings(kind: str, **settings: object) -> CriticConfig:
    return CriticConfig(**({"widths": (16, 8)} if kind == "conv" else {}), **settings)


def built(name: str, kind: str, **settings: object):
    cls = family_class(name)
    more = {"critic": critic_settings(kind)} if "critic" in cls.Config.model_fields else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cls(cls.Config(name=name, backbone=backbone(kind, **settings), **more), SHAPE)


def losses_and_gradients(family, batch, *, autocast: bool = False):
    found = []
    for phase in family.phases:
        freeze_all_but(family, phase.trains)
        family.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            total = phase.loss(batch, StepContext(0, 0.5, torch.Generator().manual_seed(0))).total
        total.backward()
        found.append((total.detach(), {n: p.grad for n, p in family.named_parameters() if p.grad is not None}))
    return found


every_pairing = pytest.mark.parametrize(("name", "kind"), [(n, k) for n in ("ae", "vae", "gan") for k in KINDS])


@every_pairing
def test_families_learn_with_every_backbone(name, kind):
    family, moved = built(name, kind, upsample="learned"), set()
    for total, gradients in losses_and_gradients(family, make_batch()):
        assert total.isfinite() and total.shape == ()
        moved |= {n for n, g in gradients.items() if g.abs().sum() > 0}
    assert moved == {n for n, _ in family.named_parameters()}


@every_pairing
def test_padded_frames_change_nothing_in_any_backbone(name, kind):
    batch = make_batch()
    spoiled = batch._replace(motion_BTD=batch.motion_BTD.masked_fill(~batch.mask_BT[..., None], float("nan")))
    family = built(name, kind)
    for clean, dirty in zip(*(losses_and_gradients(family, b) for b in (batch, spoiled)), strict=True):
        assert torch.equal(clean[0], dirty[0])
        assert all(torch.equal(clean[1][n], dirty[1][n]) for n in clean[1])


@every_pairing
def test_every_backbone_runs_under_bf16_autocast(name, kind):
    family = built(name, kind)
    exact, rounded = (losses_and_gradients(family, make_batch(), autocast=autocast) for autocast in (False, True))
    for (total, _), (rough, gradients) in zip(exact, rounded, strict=True):
        assert rough.dtype == torch.float32
        assert rough.item() == pytest.approx(total.item(), rel=0.05)
        assert all(g.isfinite().all() for g in gradients.values())


@every_pairing
def test_every_backbone_is_deterministic(name, kind):
    first, second = (losses_and_gradients(built(name, kind), make_batch()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one[0], other[0])
        assert all(torch.equal(one[1][n], other[1][n]) for n in one[1])


@any_length
@pytest.mark.parametrize("patch", [1, 4])
def test_a_padded_window_is_read_as_the_window_without_padding(kind, patch):
    encoder = build_encoder(backbone(kind, patch_frames=patch), SHAPE, 5, side=2).double()
    motion, side = torch.randn(3, 13, SHAPE.features, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    whole = encoder(motion, torch.ones(3, 13, dtype=torch.bool), side)
    padded, mask = F.pad(motion, (0, 0, 0, 19), value=7.0), torch.arange(32).expand(3, -1) < 13
    torch.testing.assert_close(encoder(padded, mask, side), whole)
    longer = torch.arange(32).expand(3, -1) < 14
    assert not torch.allclose(encoder(padded, longer, side), whole), "a real frame does count"


@any_length
@pytest.mark.parametrize("upsample", UPSAMPLING)
def test_decoders_go_beyond_the_window(kind, upsample):
    decoder = build_decoder(backbone(kind, upsample=upsample), SHAPE, 5, side=2)
    assert decoder.longest is None
    z, side = torch.randn(3, 5), torch.randn(3, 2)
    window, longer = decoder(z, side), decoder(z, side, 3 * SHAPE.frames + 1)
    assert window.shape == (3, SHAPE.frames, SHAPE.features)
    assert longer.shape == (3, 3 * SHAPE.frames + 1, SHAPE.features)
    assert torch.equal(decoder(z, side, 5), window[:, :5])
    before, after = (part.diff(dim=1).abs().mean() for part in (window, longer[:, SHAPE.frames :]))
    assert after > 0.02 * before, "motion goes on"


def test_a_gru_goes_on_from_where_it_was():
    decoder = build_decoder(backbone("gru", patch_frames=1), SHAPE, 5)
    z = torch.randn(2, 5)
    # the last convolution of the head sees one frame ahead
    torch.testing.assert_close(decoder(z, None, 50)[:, : SHAPE.frames - 1], decoder(z)[:, :-1])


def test_the_clock_shows_no_number_beyond_the_window_that_it_did_not_show_in_it():
    seen, later = clock(16, 16, torch.device("cpu")), clock(48, 16, torch.device("cpu"))[16:]
    assert seen.shape == (16, 8)
    torch.testing.assert_close(later, seen.repeat(2, 1), atol=1e-4, rtol=0)
    assert len(torch.unique(seen.round(decimals=4), dim=0)) == 16


@any_length
def test_windows_shorter_than_a_patch_are_read_and_made(kind):
    shape = MotionShape(3, 6, {})
    motion = build_decoder(backbone(kind), shape, 5)(torch.randn(2, 5))
    assert motion.shape == (2, 3, 6)
    assert build_encoder(backbone(kind), shape, 4)(motion, torch.ones(2, 3, dtype=torch.bool)).shape == (2, 4)


@every_kind
@pytest.mark.parametrize("side", [0, 3])
def test_critics_are_differentiable_twice(kind, side):
    critic = build_critic(backbone(kind), critic_settings(kind), SHAPE, side=side).double()
    motion = torch.randn(4, SHAPE.frames, SHAPE.features, dtype=torch.float64)
    mask, beside = torch.ones(motion.shape[:2], dtype=torch.bool), torch.randn(4, side, dtype=torch.float64)
    weights = list(critic.parameters())
    steps = [torch.randn_like(weight) for weight in weights]

    def penalty():
        return r1_penalty(lambda x: critic.trunk(x, mask, beside if side else None).square().sum((1, 2)), motion)

    slopes = torch.autograd.grad(penalty(), weights, allow_unused=True)
    expected = sum(float((s * d).sum()) for s, d in zip(slopes, steps, strict=True) if s is not None)
    values = []
    for size in (1e-7, -2e-7):  # so small that no rectifier changes sides, where the penalty jumps
        with torch.no_grad():
            torch._foreach_add_(weights, steps, alpha=size)
        values.append(penalty().item())
    assert (values[0] - values[1]) / 2e-7 == pytest.approx(expected, rel=1e-4)


@every_kind
def test_critics_of_every_kind_compare_windows(kind):
    motion, mask = torch.randn(4, SHAPE.frames, SHAPE.features), torch.ones(4, SHAPE.frames, dtype=torch.bool)
    for group, alike in ((4, False), (0, True)):
        critic = build_critic(backbone(kind), critic_settings(kind, minibatch_stddev=group), SHAPE)
        assert torch.allclose(critic(motion, mask)[:1], critic(motion[:1], mask[:1]), atol=1e-5) == alike


@any_length
def test_critics_without_levels_refuse_their_widths(kind):
    with pytest.raises(ValueError, match=f"family.critic.widths: a {kind} critic"):
        build_critic(backbone(kind), CriticConfig(widths=(16, 8)), SHAPE)


@every_kind
def test_backbones_of_default_settings_are_of_like_size(kind):
    shape, size = MotionShape(64, 100, {}), {}
    config = TypeAdapter(BackboneConfig).validate_python({"kind": kind})
    size["encoder"], size["decoder"] = build_encoder(config, shape, 16), build_decoder(config, shape, 16)
    size["critic"] = build_critic(config, CriticConfig(), shape)
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in size.items()}
    for name, expected in {"encoder": 384_000, "decoder": 664_000, "critic": 500_000}.items():
        assert 0.6 * expected < counts[name] < 1.5 * expected


def test_learned_upsampling_begins_as_linear_and_draws_nothing():
    state = torch.get_rng_state()
    learned = LearnedUpsample(6)
    assert torch.equal(state, torch.get_rng_state())
    torch.testing.assert_close(learned(X), Upsample(12)(X))
    decoders = []
    for mode in ("linear", "learned"):
        torch.manual_seed(0)
        decoders.append(build_decoder(backbone("conv", upsample=mode), SHAPE, 5))
    torch.testing.assert_close(*(decoder(torch.ones(2, 5)) for decoder in decoders))
    assert "weight" in dict(learned.named_parameters())


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_doubling_of_any_length_is_that_of_a_known_one(mode):
    torch.testing.assert_close(Double(mode)(X), Upsample(12, mode)(X))


def test_a_backbone_without_kind_is_a_basis_and_unknown_ones_are_named():
    assert TypeAdapter(BackboneConfig).validate_python({"width": 8}) == BasisConfig(width=8)
    with pytest.raises(ValidationError, match="widths belongs to conv"):
        TypeAdapter(BackboneConfig).validate_python({"widths": [8]})
    with pytest.raises(ValidationError, match="'conv', 'gru', 'transformer'"):
        TypeAdapter(BackboneConfig).validate_python({"kind": "mlp"})
    with pytest.raises(ValidationError, match="a width of 128 cannot be shared out to 3 heads"):
        TypeAdapter(BackboneConfig).validate_python({"kind": "transformer", "heads": 3})
