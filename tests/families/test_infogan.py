"""What only InfoGAN promises: codes that can be told from the motion, and a bound on what it says of them."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Normal

from motionsynth.families.base import StepContext
from motionsynth.families.capabilities import Encodes, HasCodes, LatentCode
from motionsynth.families.infogan import InfoGAN

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch

BATCH = make_batch()
SMALL = {
    "latent_dim": 12,
    "backbone": {"kind": "conv", "widths": (16, 16)},
    "critic": {"widths": (16, 16)},
    "codes": {"categorical": (3, 4), "continuous": 2},
}


def infogan(**settings) -> InfoGAN:
    torch.manual_seed(0)
    return InfoGAN(InfoGAN.Config.model_validate(SMALL | settings), SHAPE)


def context(step: int = 0, seed: int = 0, **ranks) -> StepContext:
    return StepContext(step, 0.0, torch.Generator().manual_seed(seed), **ranks)


def test_codes_lie_one_after_the_other_and_say_what_they_are():
    family = infogan()
    assert isinstance(family, HasCodes) and not isinstance(family, Encodes)
    assert family.latent_codes == (
        LatentCode("categorical_0", "categorical", slice(0, 3)),
        LatentCode("categorical_1", "categorical", slice(3, 7)),
        LatentCode("continuous_0", "continuous", slice(7, 8)),
        LatentCode("continuous_1", "continuous", slice(8, 9)),
    )
    assert [code.size for code in family.latent_codes] == [3, 4, 1, 1]


def test_latents_are_codes_and_noise():
    z = infogan().sample_latent(6000, generator=torch.Generator().manual_seed(0))
    assert z.shape == (6000, 12)
    for part, size in ((z[:, :3], 3), (z[:, 3:7], 4)):
        assert set(part.unique().tolist()) == {0.0, 1.0} and (part.sum(1) == 1).all()
        torch.testing.assert_close(part.mean(0), torch.full((size,), 1 / size), atol=0.03, rtol=0)
    uniform, noise = z[:, 7:9], z[:, 9:]
    assert uniform.abs().max() <= 1 and uniform.var(0).allclose(torch.tensor(1 / 3), atol=0.02)
    assert noise.std(0).allclose(torch.tensor(1.0), atol=0.05) and noise.abs().max() > 3


def test_rows_of_two_ranks_are_those_of_one_process():
    family = infogan()
    whole = family.draw_latent(8, context())
    halves = [family.draw_latent(4, context(rank=rank, ranks=2)) for rank in range(2)]
    assert torch.equal(whole, torch.cat(halves))


def test_the_bound_by_hand():
    """log Q + H: softmax and log K for classes, Gaussian and log 2 for numbers uniform in [-1, 1]."""
    family = infogan()
    z = family.draw_latent(64, context())
    out = torch.randn(64, 3 + 4 + 2 + 2, generator=torch.Generator().manual_seed(1)).clamp(max=1.9)
    information, terms = family._information(out, z)
    expected = math.log(3) + math.log(4) + 2 * math.log(2)
    expected += out[:, :3].log_softmax(1)[z[:, :3].bool()].mean() + out[:, 3:7].log_softmax(1)[z[:, 3:7].bool()].mean()
    spread = torch.exp(0.5 * out[:, 9:])
    expected += Normal(out[:, 7:9], spread).log_prob(z[:, 7:9]).sum(1).mean()
    torch.testing.assert_close(information, expected)
    hits = (out[:, 3:7].argmax(1) == z[:, 3:7].argmax(1)).float().mean()
    assert terms["categorical_1_accuracy"] == hits
    r2 = 1 - (out[:, 8] - z[:, 8]).square().mean() * 3
    torch.testing.assert_close(terms["continuous_1_r2"], r2)


def test_a_recogniser_that_knows_nothing_bounds_nothing_and_one_that_knows_all_the_entropy():
    family = infogan(codes={"categorical": (5,), "continuous": 0})
    z = family.draw_latent(32, context())
    blind, _ = family._information(torch.zeros(32, 5), z)
    knowing, terms = family._information(50 * z[:, :5], z)
    assert blind.item() == pytest.approx(0.0, abs=1e-6)
    assert knowing.item() == pytest.approx(math.log(5)) and terms["categorical_0_accuracy"] == 1


def test_the_generator_s_loss_is_the_game_s_less_the_bound():
    family = infogan(information=0.3)
    loss = family.generator_loss(BATCH, context())
    assert {"adversarial", "information", "categorical_0_accuracy", "continuous_0_r2"} <= loss.terms.keys()
    torch.testing.assert_close(loss.total.detach(), loss.terms["adversarial"] - 0.3 * loss.terms["information"])


def test_codes_are_recovered_after_a_little_training_and_not_before():
    family = infogan(critic={"widths": (16, 16), "minibatch_stddev": 0})
    generator = torch.Generator().manual_seed(0)
    parts = [*family.generator.parameters(), *family.recogniser.parameters()]
    optimiser = torch.optim.Adam(parts, lr=3e-3)
    family.critic.requires_grad_(False)
    batch = make_batch(32)
    first = family.generator_loss(batch, context()).terms
    for step in range(120):
        loss = family.generator_loss(batch, StepContext(step, 0.0, generator))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    last = family.generator_loss(batch, context()).terms
    assert first["categorical_1_accuracy"] < 0.6 < 0.9 < last["categorical_1_accuracy"]
    assert first["continuous_0_r2"] < 0.3 < 0.7 < last["continuous_0_r2"]
    assert first["information"] < 0.5 < 2.5 < last["information"]
    drawn = family.draw_latent(32, context(seed=3))
    guess = family.recognise(batch._replace(motion_BTD=family.decode(drawn)))
    assert guess.shape == (32, 9) and (guess[:, :3].sum(1) - 1).abs().max() < 1e-5
    assert (guess[:, 3:7].argmax(1) == drawn[:, 3:7].argmax(1)).float().mean() > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codes": {"categorical": (), "continuous": 0}}, "no code to recover, which is the family gan"),
        ({"codes": {"categorical": (30, 8)}, "latent_dim": 32}, "take 40 numbers, but a latent has latent_dim 32"),
        ({"codes": {"categorical": (1,)}}, "greater than or equal to 2"),
    ],
)
def test_codes_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        InfoGAN.Config.model_validate(settings)


def test_codes_may_fill_the_latent():
    family = infogan(latent_dim=9)
    assert family.sample_latent(3, generator=torch.Generator().manual_seed(0)).shape == (3, 9)
