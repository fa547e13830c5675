"""What only adversarially learned inference promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from motionsynth.families.ali import ALI
from motionsynth.families.base import StepContext
from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.nn.convolution import Dense
from motionsynth.nn.encoder import with_side

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, learn_by_gradient, make_batch

BATCH = make_batch()
COUNT = len(BATCH.motion_BTD)
SMALL = {"latent_dim": 3, "backbone": {"kind": "conv", "widths": (16, 16)}, "critic": {"widths": (16, 16)}}


def ali(**settings) -> ALI:
    torch.manual_seed(0)
    return ALI(ALI.Config.model_validate(SMALL | settings), SHAPE)


def context(step: int = 1) -> StepContext:
    return StepContext(step, 0.0, torch.Generator().manual_seed(0))


class Verdict(nn.Module):
    """A critic that says one thing of the first half of a batch and another of the second; notes what it saw."""

    def __init__(self, real: float, fake: float) -> None:
        super().__init__()
        self.said, self.seen = (real, fake), []

    def forward(self, motion_BTD, mask_BT, side_BS=None, *, parts=1):
        self.seen.append((motion_BTD, mask_BT, side_BS, parts))
        half = len(motion_BTD) // 2
        return torch.cat((torch.full((half,), self.said[0]), torch.full((half,), self.said[1])))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(("real", "fake"), [(0.0, 0.0), (2.0, -1.0), (-1.0, 3.0)])
def test_losses_on_known_logits(real, fake):
    family = ali(r1={"gamma": 0.0})
    family.critic = Verdict(real, fake)
    assert family.critic_loss(BATCH, context()).total.item() == pytest.approx(softplus(-real) + softplus(fake))
    match = family.match_loss(BATCH, context())
    assert match.terms["encoder"].item() == pytest.approx(softplus(real))
    assert match.terms["decoder"].item() == pytest.approx(softplus(-fake))
    assert match.total.item() == pytest.approx(softplus(real) + softplus(-fake))


def test_both_phases_judge_windows_with_their_codes_and_latents_with_their_windows():
    family = ali(r1={"gamma": 0.0}, posterior="point", condition=("content",))
    family.critic = Verdict(0.0, 0.0)
    family.critic_loss(BATCH, context())
    family.match_loss(BATCH, context())
    z, label = context().normal(COUNT, 3), family.condition.of(BATCH)
    for motion, mask, side, parts in family.critic.seen:
        # noise of point codes is drawn and not used, so that both kinds give the same latents
        assert parts == 2 and torch.equal(mask, BATCH.mask_BT.repeat(2, 1))
        torch.testing.assert_close(motion[:COUNT], BATCH.motion_BTD)
        torch.testing.assert_close(side[:COUNT], torch.cat((family.encode(BATCH), label), 1))
        torch.testing.assert_close(motion[COUNT:], family.decode(side[COUNT:, :3], label))
        torch.testing.assert_close(side[COUNT:, 3:], label)
        assert not torch.equal(side[COUNT:, :3], side[:COUNT, :3])
    assert z.shape == (COUNT, 3)


def test_the_cycle_is_the_error_of_reconstruction_by_its_weight():
    plain, cycled = ali(posterior="point"), ali(posterior="point", cycle=5.0)
    error = (plain.reconstruct(BATCH) - BATCH.motion_BTD).square()[BATCH.mask_BT].mean()
    loss, other = plain.match_loss(BATCH, context()), cycled.match_loss(BATCH, context())
    torch.testing.assert_close(other.total, loss.total + 5.0 * error)
    torch.testing.assert_close(other.terms["mse"], error.detach())
    assert "mse" not in loss.terms
    judged = plain.eval().match_loss(BATCH, context())
    torch.testing.assert_close(judged.terms["mse"], error.detach())
    torch.testing.assert_close(judged.total, loss.total)


def test_without_a_cycle_nothing_asks_for_a_reconstruction():
    """The control of the test above: at a critic that cannot tell, plain learned inference has no gradient at all."""
    for cycle in (0.0, 5.0):
        family = ali(cycle=cycle)
        with torch.no_grad():
            for weight in family.critic.parameters():
                weight.zero_()
        family.match_loss(BATCH, context()).total.backward()
        steepest = max(p.grad.abs().max().item() for n in (family.encoder, family.decoder) for p in n.parameters())
        assert (steepest > 0) == (cycle > 0)


def test_the_penalty_is_the_slope_in_window_and_latent():
    family = ali(r1={"gamma": 6.0, "every": 3}, posterior="point", condition=("content",))
    loss, off = family.critic_loss(BATCH, context(3)), family.critic_loss(BATCH, context(4))
    x, z = BATCH.motion_BTD.clone().requires_grad_(), family.encode(BATCH).detach().requires_grad_()
    logit = family.critic(x, BATCH.mask_BT, with_side(z, family.condition.of(BATCH)))
    slopes = torch.autograd.grad(logit.sum(), (x, z))
    in_x, in_z = (slope.flatten(1).square().sum(1).mean() for slope in slopes)
    expected = in_x + in_z * 3 / (SHAPE.frames * SHAPE.features)
    torch.testing.assert_close(loss.terms["r1"], expected)
    assert slopes[1].abs().max() > 0
    torch.testing.assert_close(loss.total.detach(), loss.terms["adversarial"] + 0.5 * 6.0 * 3 * expected)
    assert "r1" not in off.terms and "r1" not in family.eval().critic_loss(BATCH, context(3)).terms


def test_a_trained_critic_of_pairs_reaches_their_density_ratio():
    """Pairs (x, z) of correlations a and b: the best logit is log N(.; a) - log N(.; b), which no marginal shows."""
    torch.manual_seed(0)
    correlations, objective, critic = (0.8, -0.8), OBJECTIVES["nonsaturating"], Dense(2, 64, 64, 1)
    joint = [
        torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, r], [r, 1.0]])) for r in correlations
    ]
    optimiser = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for step in range(500):
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / 500)
        real, fake = (pairs.sample((2048,)) for pairs in joint)
        loss = objective.critic(critic(real).squeeze(1), critic(fake).squeeze(1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pair = torch.cartesian_prod(torch.linspace(-1.5, 1.5, 7), torch.linspace(-1.5, 1.5, 7))
    exact = joint[0].log_prob(pair) - joint[1].log_prob(pair)
    assert (critic(pair).squeeze(1).sigmoid() - exact.sigmoid()).abs().max() < 0.1
    assert exact.sigmoid().max() > 0.9


def test_the_joint_matches_where_the_encoder_inverts_the_decoder():
    """On x = 2 z, z of N(0, 1): pairs of the data are pairs of the prior only if the code of x is x / 2."""
    z = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    x = 2 * torch.randn(4000, generator=torch.Generator().manual_seed(1))
    made = torch.cov(torch.stack((2 * z, z)))
    for code, matches in ((x / 2, True), (-x / 2, False), (z, False)):
        assert torch.allclose(torch.cov(torch.stack((x, code))), made, atol=0.2) == matches


def test_a_little_training_fools_and_reconstructs():
    family, batch = ali(cycle=10.0, r1={"gamma": 1.0}), make_batch(32)
    errors = [
        step["match"].terms["mse"].item()
        for step in learn_by_gradient(family, [batch] * 80, lr=3e-3, betas=(0.0, 0.99))
    ]
    assert errors[-1] < 0.7 * errors[0]
