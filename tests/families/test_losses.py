"""Losses against closed forms and independent implementations."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from motionsynth.losses.adversarial import (
    OBJECTIVES,
    ObjectiveName,
    gradient_penalty,
    hinge_critic,
    least_squares_critic,
    least_squares_generator,
    non_saturating_critic,
    non_saturating_generator,
    r1_penalty,
    wasserstein_critic,
    wasserstein_generator,
)
from motionsynth.losses.divergences import EXPONENT_CAP, F_DIVERGENCES, capped_exp, capped_share
from motionsynth.losses.likelihood import (
    gaussian_nll,
    kl_to_standard_normal,
    masked_squared_error,
)
from motionsynth.losses.matching import mmd_to_standard_normal

torch.manual_seed(0)
X, Y = torch.randn(2, 5, 7, 3, dtype=torch.float64)
MASK = torch.arange(7) < torch.tensor([7, 3, 5, 1, 7])[:, None]


def test_squared_error_counts_the_frames_that_are_there():
    error = masked_squared_error(X, Y, MASK)
    for b, length in enumerate(MASK.sum(1)):
        assert error[b] == pytest.approx(((X - Y)[b, :length] ** 2).sum().item())


def test_gaussian_nll_is_minus_the_log_density():
    full = torch.ones_like(MASK)
    error = masked_squared_error(X, Y, full)
    nll = gaussian_nll(error, torch.full((5,), 21), torch.tensor(0.3**2, dtype=torch.float64))
    expected = -Independent(Normal(Y, 0.3), 2).log_prob(X)
    torch.testing.assert_close(nll, expected)


def test_mean_squared_error_is_the_best_variance():
    error, count = (X - Y).square().sum(), torch.tensor(X.numel())
    best = error / count
    values = [gaussian_nll(error, count, best * factor) for factor in (0.9, 1.0, 1.1)]
    assert min(values) == values[1]
    assert values[1].item() == pytest.approx(0.5 * X.numel() * (1 + math.log(2 * math.pi * best.item())))


def test_kl_agrees_with_torch_distributions():
    mean, log_variance = torch.randn(2, 6, 4, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
    assert kl_to_standard_normal(torch.zeros(1, 4), torch.zeros(1, 4)).sum() == 0


def test_mmd_is_zero_on_average_at_the_prior_and_not_elsewhere():
    generator = torch.Generator().manual_seed(0)
    same = [mmd_to_standard_normal(torch.randn(64, 8, generator=generator)).item() for _ in range(200)]
    assert abs(sum(same)) / 200 < 3 * torch.tensor(same).std().item() / math.sqrt(200)
    shrunk = mmd_to_standard_normal(0.2 * torch.randn(64, 8, generator=generator))
    assert shrunk > 10 * torch.tensor(same).std()


def test_mmd_closed_form_agrees_with_draws():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20, 4, generator=generator, dtype=torch.float64) + 1
    draws, others = torch.randn(2, 100_000, 4, generator=generator, dtype=torch.float64)

    def kernel(a, b):
        return torch.exp(-torch.cdist(a, b).square() / 8)

    own = (kernel(z, z).sum() - 20) / (20 * 19)
    prior = torch.exp(-(draws - others).square().sum(1) / 8).mean()
    expected = own - 2 * kernel(z, draws).mean() + prior
    assert mmd_to_standard_normal(z).item() == pytest.approx(expected.item(), abs=5e-3)


def test_non_saturating_pair_at_indifference_and_against_the_definition():
    zero = torch.zeros(4)
    assert non_saturating_critic(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert non_saturating_generator(zero).item() == pytest.approx(math.log(2))
    real, fake = torch.randn(2, 9, dtype=torch.float64)
    expected = -torch.log(real.sigmoid()).mean() - torch.log(1 - fake.sigmoid()).mean()
    torch.testing.assert_close(non_saturating_critic(real, fake), expected)
    torch.testing.assert_close(non_saturating_generator(fake), -torch.log(fake.sigmoid()).mean())
    assert non_saturating_generator(torch.tensor([-1e4])).isfinite()


def test_r1_of_a_quadratic_critic_and_its_second_derivative():
    """critic(x) = a/2 |x|^2 has gradient a x, so the penalty is a^2 E|x|^2 and its derivative 2 a E|x|^2."""
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(lambda x: 0.5 * a * x.square().sum((1, 2)), X)
    power = X.square().sum((1, 2)).mean()
    torch.testing.assert_close(penalty, 0.49 * power)
    (slope,) = torch.autograd.grad(penalty, a)
    torch.testing.assert_close(slope, 1.4 * power)


def test_r1_stays_in_float32_under_autocast():
    weight = torch.randn(21, 1)
    seen = []

    def critic(x):
        logits = x.flatten(1) @ weight
        seen.append(logits.dtype)
        return logits.squeeze(1)

    with torch.autocast("cpu", torch.bfloat16):
        penalty = r1_penalty(critic, X.float())
    assert seen == [torch.float32]
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def slope(function, at):
    at = at.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(at).sum(), at)
    return gradient


RATIOS = torch.linspace(0.05, 6.0, 60, dtype=torch.float64)
OUTPUTS = torch.linspace(-4.0, 4.0, 81, dtype=torch.float64)


@pytest.mark.parametrize("form", F_DIVERGENCES.values(), ids=F_DIVERGENCES)
def test_f_divergences_are_those_of_their_conjugates(form):
    """f is convex and 0 at 1; f*(g(v)) is the largest u g(v) - f(u), and the penalty as coded; g increases."""
    assert form.f(torch.ones(1, dtype=torch.float64)).item() == pytest.approx(0.0, abs=1e-12)
    assert (torch.diff(slope(form.f, RATIOS)) > 0).all()
    outputs = OUTPUTS[OUTPUTS > -1.9]  # below -2 the best u of Pearson's is negative
    dense = torch.exp(torch.linspace(-9, 9, 40001, dtype=torch.float64))
    t = form.activation(outputs)
    best = (dense[:, None] * t - form.f(dense)[:, None]).amax(0)
    torch.testing.assert_close(form.conjugate(t), best, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(form.penalty(outputs), form.conjugate(t))
    assert (torch.diff(t) > 0).all()


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_best_output_is_where_the_log_ratio_says(name):
    """At T = f'(u) the bound u T - f*(T) is f(u): outputs and ratios belong together as log_ratio has it."""
    form, outputs = F_DIVERGENCES[name], OUTPUTS[OUTPUTS > -1.9]
    ratios = OBJECTIVES[f"fgan_{name}"].log_ratio(outputs).exp()
    torch.testing.assert_close(form.activation(outputs), slope(form.f, ratios))
    torch.testing.assert_close(ratios * form.activation(outputs) - form.penalty(outputs), form.f(ratios))


SOFTENED = {"nonsaturating": lambda u: (u + 1) * torch.log((u + 1) / (2 * u))}
GAMES = {"forward_kl": "forward_kl", "reverse_kl": "reverse_kl", "pearson": "pearson", "minimax": "js"}


@pytest.mark.parametrize("name", [*SOFTENED, *GAMES, *(f"fgan_{form}" for form in F_DIVERGENCES)])
def test_generators_follow_the_gradient_of_their_divergence(name):
    """h = f(u) - u f'(u) but for a constant, so h' = -u f''(u), whatever the critic's output for u is called."""
    f = SOFTENED.get(name) or F_DIVERGENCES[GAMES.get(name, name.removeprefix("fgan_"))].f
    objective, outputs = OBJECTIVES[name], OUTPUTS[OUTPUTS > -1.9]
    ratio = lambda v: objective.log_ratio(v).exp()  # noqa: E731
    by_output = slope(torch.vmap(lambda v: objective.generator(v[None])), outputs)
    u = ratio(outputs)
    double = slope(lambda at: torch.func.vmap(torch.func.grad(f))(at), u)
    torch.testing.assert_close(by_output, -u * double * slope(ratio, outputs))


def test_the_names_of_the_objectives_are_the_known_ones():
    assert set(get_args(ObjectiveName)) == set(OBJECTIVES)
    assert all(objective.minimises is None or objective.log_ratio for objective in OBJECTIVES.values())


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
def test_objectives_are_finite_for_critics_that_are_sure(objective, size):
    for sign in (-1.0, 1.0):
        real, fake = torch.tensor([sign * size, size]), torch.tensor([-sign * size, size])
        real.requires_grad_(), fake.requires_grad_()
        loss = objective.critic(real, fake) + objective.generator(fake)
        loss.backward()
        assert loss.isfinite() and real.grad.isfinite().all() and fake.grad.isfinite().all()


def test_the_capped_exponential_goes_on_straight():
    x = torch.tensor([-3.0, 0.0, 9.9, EXPONENT_CAP], dtype=torch.float64)
    torch.testing.assert_close(capped_exp(x), x.exp())
    beyond = torch.tensor([EXPONENT_CAP + 1e-6, EXPONENT_CAP + 5, 1e4], dtype=torch.float64)
    torch.testing.assert_close(slope(capped_exp, beyond), torch.full_like(beyond, math.exp(EXPONENT_CAP)))
    torch.testing.assert_close(capped_exp(beyond), math.exp(EXPONENT_CAP) * (1 + beyond - EXPONENT_CAP))
    assert capped_share(torch.cat((x, beyond))) == pytest.approx(3 / 7)


def test_hinge_least_squares_and_wasserstein_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    assert hinge_critic(real, fake).item() == pytest.approx((0 + 0.5) / 2 + (0 + 2.0) / 2)
    assert least_squares_critic(real, fake).item() == pytest.approx(0.5 * (1 + 0.25) / 2 + 0.5 * (9 + 1) / 2)
    assert least_squares_generator(fake).item() == pytest.approx(0.5 * (16 + 0) / 2)
    assert wasserstein_critic(real, fake).item() == pytest.approx(-1.0 - 1.25)
    assert wasserstein_generator(fake).item() == pytest.approx(1.0)


def test_gradient_penalty_of_a_linear_critic_and_where_it_is_taken():
    weight = torch.full((7, 3), 0.5, dtype=torch.float64, requires_grad=True)
    share = torch.rand(5, dtype=torch.float64)
    norm = math.sqrt(21 * 0.25)
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2)), X, Y, share)
    assert penalty.item() == pytest.approx((norm - 1) ** 2)
    (by_weight,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(by_weight, 2 * (norm - 1) * weight.detach() / norm)
    seen = []
    gradient_penalty(lambda x: seen.append(x) or x.sum((1, 2)), X, Y, share)
    torch.testing.assert_close(seen[0], share[:, None, None] * X + (1 - share)[:, None, None] * Y)


def test_r1_of_a_critic_of_pairs_counts_both():
    penalty = r1_penalty(lambda x, z: 0.5 * x.square().sum((1, 2)) + 2 * z.sum(1), X, torch.randn(5, 4).double())
    torch.testing.assert_close(penalty, X.square().sum((1, 2)).mean() + 16.0)
