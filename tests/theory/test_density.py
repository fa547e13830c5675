"""The grid's divergences against closed forms, and the product's losses against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.theory.density import (
    gradient,
    jensen_shannon,
    kl,
    line,
    middle,
    mismatch,
    mixture,
    normal,
    plane,
    random_mixture,
    seeded,
)
from motionsynth.theory.expectation import critic_loss, expected_critic, generator_loss, minimax_loss


def gaussian(points: torch.Tensor, mean: list[float], scale: list[float]) -> torch.Tensor:
    return normal(points, torch.tensor(mean, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))


def test_kl_of_gaussians_is_the_closed_form() -> None:
    points = line(12.0, 481)
    found = kl(gaussian(points, [0.4], [0.8]), gaussian(points, [-0.3], [1.1]))
    assert float(found) == pytest.approx(math.log(1.1 / 0.8) + (0.8**2 + 0.7**2) / (2 * 1.1**2) - 0.5, rel=1e-10)


def test_kl_in_the_plane_adds_up() -> None:
    points = plane(9.0, 121)
    found = kl(gaussian(points, [0.4, 0.0], [0.8, 1.0]), gaussian(points, [-0.3, 0.5], [1.1, 1.0]))
    first = math.log(1.1 / 0.8) + (0.8**2 + 0.7**2) / (2 * 1.1**2) - 0.5
    assert float(found) == pytest.approx(first + 0.125, rel=1e-8)


def test_densities_sum_to_one_and_js_is_symmetric_and_bounded() -> None:
    first, second = (random_mixture(plane(), 3, seeded(seed)) for seed in (1, 2))
    for density in (first, second, middle(first, second)):
        assert float(density.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert float(jensen_shannon(first, second)) == pytest.approx(float(jensen_shannon(second, first)), abs=1e-14)
    assert 0 < float(jensen_shannon(first, second)) < math.log(2)


def test_a_mixture_of_one_is_the_gaussian() -> None:
    parameters = torch.tensor([3.0, 0.5, math.log(0.7)], dtype=torch.float64)
    assert torch.allclose(mixture(line(), parameters), gaussian(line(), [0.5], [0.7]))


def test_gradient_is_the_derivative() -> None:
    points = line(12.0, 481)
    fixed = gaussian(points, [0.0], [1.0])
    here = torch.tensor([0.7], dtype=torch.float64)
    slope = gradient(lambda mean: kl(normal(points, mean, torch.ones(1).double()), fixed), here)
    assert float(slope) == pytest.approx(0.7, rel=1e-9)


def test_mismatch_is_relative_and_sees_signs() -> None:
    assert mismatch([0.0], [0.0]) == 0
    assert mismatch([1e-12, 0.0], [1e-12, 0.0]) == 0
    assert mismatch([1.0], [-1.0]) == 2
    assert mismatch([100.0, 1.0], [100.0, 2.0]) == pytest.approx(0.01)


def test_the_products_losses_are_summed_as_written() -> None:
    generator = seeded(3)
    real, fake = (random_mixture(line(), 2, generator) for _ in range(2))
    logit = torch.randn(len(line()), dtype=torch.float64, generator=generator)
    real_on_d, fake_on_d = (float((density.exp() * F.logsigmoid(logit)).sum()) for density in (real, fake))
    fake_off_d = float((fake.exp() * F.logsigmoid(-logit)).sum())
    assert float(critic_loss(real, fake, logit)) == pytest.approx(-real_on_d - fake_off_d, rel=1e-12)
    assert float(generator_loss(fake, logit)) == pytest.approx(-fake_on_d, rel=1e-12)
    assert float(minimax_loss(fake, logit)) == pytest.approx(fake_off_d, rel=1e-12)


def test_an_expectation_over_equal_masses_is_the_batch() -> None:
    """On a density that is flat, the expectation is the product's own mean over a batch."""
    output = torch.randn(64, dtype=torch.float64, generator=seeded(1))
    flat = torch.full((64,), -math.log(64), dtype=torch.float64)
    for objective in OBJECTIVES.values():
        found = expected_critic(objective.critic, flat, flat, output)
        assert float(found) == pytest.approx(float(objective.critic(output, output)), rel=1e-9, abs=1e-9)
