"""Losses against closed forms and independent implementations."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from motionsynth.losses.adversarial import non_saturating_critic, non_saturating_generator, r1_penalty
from motionsynth.losses.likelihood import (
    gaussian_nll,
    kl_to_standard_normal,
    masked_squared_error,
    mmd_to_standard_normal,
)

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
