"""What only the adversarial autoencoder promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from motionsynth.families.aae import AAE, equidistant_means
from motionsynth.families.base import StepContext
from motionsynth.families.capabilities import SampleOptions
from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.losses.matching import mmd_to_mixture, mmd_to_standard_normal
from motionsynth.nn.critic import LatentCritic

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, learn_by_gradient, make_batch

BATCH = make_batch()
SMALL = {"latent_dim": 3, "backbone": {"kind": "conv", "widths": (16, 16)}, "critic": (32,)}


def aae(**settings) -> AAE:
    torch.manual_seed(0)
    return AAE(AAE.Config.model_validate(SMALL | settings), SHAPE)


def context(step: int = 0) -> StepContext:
    return StepContext(step, 0.0, torch.Generator().manual_seed(0))


def judge_all(family: AAE, logit: float) -> None:
    """A critic that says the same of every latent."""
    with torch.no_grad():
        for weight in family.critic.parameters():
            weight.zero_()
        family.critic.layers[-1].bias.fill_(logit)


@pytest.mark.parametrize(("components", "latent_dim"), [(2, 1), (2, 2), (3, 2), (4, 3), (8, 16), (17, 16)])
def test_means_are_on_the_sphere_and_equally_far_from_one_another(components, latent_dim):
    mean = equidistant_means(components, latent_dim, 2.5)
    assert mean.shape == (components, latent_dim)
    torch.testing.assert_close(mean.norm(dim=1), torch.full((components,), 2.5))
    torch.testing.assert_close(mean.mean(0), torch.zeros(latent_dim), atol=1e-6, rtol=0)
    apart = torch.pdist(mean)
    torch.testing.assert_close(apart, torch.full_like(apart, 2.5 * math.sqrt(2 * components / (components - 1))))


def test_two_latents_hold_any_number_of_means_on_a_circle():
    mean = equidistant_means(7, 2, 3.0)
    torch.testing.assert_close(mean.norm(dim=1), torch.full((7,), 3.0))
    neighbour = (mean - mean.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(neighbour, torch.full((7,), 6.0 * math.sin(math.pi / 7)))


def test_more_means_than_fit_are_refused():
    with pytest.raises(ValidationError, match="3 latents hold at most 4 means at equal distances, not 5"):
        aae(prior="mixture", mixture={"components": 5})
    aae(prior="normal", mixture={"components": 5})


@pytest.mark.parametrize("logit", [-2.0, 0.0, 3.0])
def test_losses_on_known_logits(logit):
    family = aae()
    judge_all(family, logit)
    assert family.critic_loss(BATCH, context()).total.item() == pytest.approx(
        math.log1p(math.exp(-logit)) + math.log1p(math.exp(logit)), rel=1e-6
    )
    assert family.fool_loss(BATCH, context()).total.item() == pytest.approx(math.log1p(math.exp(-logit)), rel=1e-6)


def test_the_critic_is_asked_about_draws_of_the_prior_and_about_codes():
    family, seen = aae(prior="mixture", mixture={"components": 4, "radius": 50.0, "sigma": 0.01}), []
    family.critic.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    family.critic_loss(BATCH, context())
    drawn, code = seen
    nearest = torch.cdist(drawn, equidistant_means(4, 3, 50.0)).min(1).values
    assert nearest.max() < 0.1
    assert torch.equal(code, family.encode(BATCH))


def test_the_reconstruction_error_is_a_mean_over_the_numbers_that_are_there():
    family = aae()
    loss = family.reconstruction_loss(BATCH, context())
    error = (family.reconstruct(BATCH) - BATCH.motion_BTD).square()
    torch.testing.assert_close(loss.total, error[BATCH.mask_BT].mean())


def test_a_trained_critic_reaches_the_density_ratio():
    """Codes N(m, 1) against a prior N(0, 1): the best logit is log q(z)/p(z) = m (m/2 - z)."""
    torch.manual_seed(0)
    shift, objective = 1.0, OBJECTIVES["nonsaturating"]
    critic = LatentCritic(1, (32,))
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 400)
        loss = objective.critic(critic(torch.randn(2048, 1)), critic(torch.randn(2048, 1) + shift))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    z = torch.linspace(-1, 2, 31)
    error = (critic(z[:, None]).sigmoid() - (shift * (shift / 2 - z)).sigmoid()).abs().max()
    assert error < 0.03


def test_at_the_best_critic_fooling_it_moves_codes_to_the_prior():
    """Codes at m, the critic's logit m (m/2 - z): the gradient of -log D has the sign of m."""
    for shift in (-1.0, 0.5, 2.0):
        code = torch.full((1,), shift, requires_grad=True)
        OBJECTIVES["nonsaturating"].generator(shift * (shift / 2 - code)).backward()
        assert code.grad is not None and math.copysign(1, code.grad.item()) == math.copysign(1, shift)


def test_draws_of_the_prior_have_its_moments():
    for settings, variance in (({}, 1.0), ({"prior": "mixture", "mixture": {"components": 4, "radius": 3.0}}, 4.0)):
        family = aae(**settings)
        z = family.sample_latent(20000, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(z.mean(0), torch.zeros(3), atol=0.05, rtol=0)
        # simplex corners of radius r in Z dimensions: r^2 / Z along every axis, and sigma^2 = 1 beside it
        torch.testing.assert_close(z.var(0), torch.full((3,), variance), atol=0.1, rtol=0)


def test_priors_are_named_and_others_refused():
    generator = torch.Generator().manual_seed(0)
    family = aae(prior="mixture", mixture={"components": 3})
    assert family.priors == ("mixture", "fitted") and aae().priors == ("normal", "fitted")
    with pytest.raises(ValueError, match="unknown prior 'normal', known: fitted, mixture"):
        family.sample(2, generator=generator, how=SampleOptions(prior="normal"))


def test_the_discrepancy_to_a_mixture_is_that_to_a_normal_where_it_is_one():
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 1.3
    torch.testing.assert_close(mmd_to_mixture(z, torch.zeros(4, 3), 1.0), mmd_to_standard_normal(z))


def test_the_discrepancy_to_a_mixture_matches_draws():
    generator = torch.Generator().manual_seed(0)
    mean, sigma = equidistant_means(3, 3, 2.0), 0.5

    def draw(count: int) -> torch.Tensor:
        chosen = torch.randint(3, (count,), generator=generator)
        return mean[chosen] + sigma * torch.randn(count, 3, generator=generator)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.exp(-torch.cdist(a, b).square() / (2 * 3))

    z, drawn, other = torch.randn(400, 3, generator=generator), draw(4000), draw(4000)
    within = kernel(z, z).fill_diagonal_(0).sum() / (400 * 399)
    expected = within - 2 * kernel(z, drawn).mean() + kernel(drawn, other).mean()
    assert mmd_to_mixture(z, mean, sigma).item() == pytest.approx(expected.item(), abs=0.01)
    assert expected > 0.04
    assert abs(mmd_to_mixture(drawn, mean, sigma).item()) < 0.002


def test_codes_are_points_or_draws():
    point, gaussian = aae(), aae(posterior="gaussian")
    assert torch.equal(point.draw_code(BATCH, context()), point.encode(BATCH))
    mean, log_variance = gaussian.posterior(BATCH)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gaussian.draw_code(BATCH, context()), mean + noise * (0.5 * log_variance).exp())
    assert torch.equal(gaussian.encode(BATCH), mean)


def test_the_proximal_term_is_zero_at_a_copy_and_pulls_back_afterwards():
    family = aae(proximal={"weight": 2.0, "refresh": 3})
    with torch.no_grad():
        for weight in family.encoder.parameters():
            weight.add_(0.1)  # the copy is older than the encoder, until a step that takes a new one
    first = family.fool_loss(BATCH, context(0))
    assert first.terms["proximal"] == 0
    torch.testing.assert_close(first.total.detach(), first.terms["adversarial"])
    before = family.encode(BATCH).detach()
    with torch.no_grad():
        family.encoder.head.bias.add_(0.5)
    moved = family.fool_loss(BATCH, context(1))
    torch.testing.assert_close(moved.terms["proximal"], torch.tensor(3 * 0.25))
    torch.testing.assert_close(moved.total.detach(), moved.terms["adversarial"] + 2.0 * moved.terms["proximal"])
    judge_all(family, 0.0)
    family.zero_grad()
    family.fool_loss(BATCH, context(2)).total.backward()
    torch.testing.assert_close(family.encoder.head.bias.grad, torch.full((3,), 2.0 * 2 * 0.5))
    assert torch.equal(before, family.encode(BATCH) - 0.5) or (before - family.encode(BATCH) + 0.5).abs().max() < 1e-5


def test_judging_takes_no_new_copy():
    family = aae(proximal={"weight": 1.0, "refresh": 2}).eval()
    before = {name: value.clone() for name, value in family.state_dict().items()}
    with torch.no_grad():
        family.encoder.head.bias.add_(0.5)
    assert family.fool_loss(BATCH, context(0)).terms["proximal"].item() == pytest.approx(0.75, rel=1e-5)
    after = family.state_dict()
    anchors = [name for name in before if name.startswith("anchor")]
    assert anchors and all(torch.equal(before[name], after[name]) for name in anchors)


def test_a_copy_at_every_step_is_refused():
    with pytest.raises(ValidationError, match="proximal term is exactly zero"):
        aae(proximal={"refresh": 1})


def test_the_penalty_is_the_slope_at_draws_of_the_prior():
    family = aae(r1={"gamma": 6.0, "every": 2})
    with_penalty, without = (family.critic_loss(BATCH, context(step)) for step in (0, 1))
    assert "r1" in with_penalty.terms and "r1" not in without.terms
    torch.testing.assert_close(
        with_penalty.total.detach(), with_penalty.terms["adversarial"] + 0.5 * 6.0 * 2 * with_penalty.terms["r1"]
    )
    assert "r1" not in family.eval().critic_loss(BATCH, context(0)).terms


def test_a_little_training_reconstructs_and_brings_codes_to_the_prior():
    family = aae(backbone={"kind": "conv", "widths": (16, 16)})
    batch = make_batch(64)
    with torch.no_grad():
        family.encoder.head.bias.add_(2.0)

    def judged() -> tuple[float, float]:
        family.eval()
        with torch.no_grad():
            mse = family.reconstruction_loss(batch, context()).terms["mse"].item()
            mmd = family.fool_loss(batch, context()).terms["mmd"].item()
        family.train()
        return mse, mmd

    before = judged()
    learn_by_gradient(family, [batch] * 250, lr=5e-3)
    after = judged()
    assert after[0] < 0.7 * before[0]
    assert after[1] < 0.5 * before[1]
