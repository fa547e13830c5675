"""What only the variational autoencoder promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

from motionsynth.families.base import StepContext
from motionsynth.families.vae import VAE

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch

BATCH = make_batch()
COUNT = BATCH.mask_BT.sum(1) * SHAPE.features


def vae(**settings) -> VAE:
    torch.manual_seed(0)
    return VAE(VAE.Config.model_validate(settings), SHAPE)


def loss(family: VAE, progress: float = 1.0):
    return family.elbo_loss(BATCH, StepContext(0, progress, torch.Generator().manual_seed(0)))


def test_the_loss_is_minus_the_elbo_summed_over_frames_and_features():
    family = vae(sigma={"kind": "fixed", "value": 0.5})
    result = loss(family)
    mean, log_variance = family.posterior(BATCH)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    decoded = family.decoder(mean + noise * (0.5 * log_variance).exp())
    log_density = torch.distributions.Normal(decoded, 0.5).log_prob(BATCH.motion_BTD)
    likelihood = (log_density * BATCH.mask_BT[..., None]).sum((1, 2))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    expected = (likelihood - kl).mean()
    torch.testing.assert_close(result.terms["elbo"], expected.detach())
    torch.testing.assert_close(result.total, -expected)


def test_the_learned_variance_is_the_mean_squared_error_of_the_batch():
    family = vae(sigma={"kind": "learned", "value": 1e-3})
    terms = loss(family).terms
    per_window = terms["nll"].item() / COUNT.float().mean().item()
    assert per_window == pytest.approx(0.5 * (1 + math.log(2 * math.pi * terms["mse"].item())), rel=1e-5)
    assert family.likelihood.noise_variance.item() == pytest.approx(0.99 + 0.01 * terms["mse"].item())


def test_the_learned_variance_has_a_floor():
    family = vae(sigma={"kind": "learned", "value": 7.0})
    loss(family)
    assert family.likelihood.noise_variance.item() == pytest.approx(0.99 + 0.49)


def test_judging_uses_the_running_variance():
    family = vae().eval()
    family.likelihood.noise_variance.fill_(4.0)
    terms = loss(family).terms
    assert terms["sigma"] == 2.0
    expected = 0.5 * COUNT.float().mean() * (math.log(2 * math.pi * 4.0)) + terms["mse"] * COUNT.sum() / len(COUNT) / 8
    torch.testing.assert_close(terms["nll"], expected)


@pytest.mark.parametrize(
    ("settings", "progress", "weight"),
    [
        ({}, 0.0, 1.0),
        ({"beta": 0.25}, 0.5, 0.25),
        ({"kl_warmup": 0.5}, 0.0, 0.0),
        ({"kl_warmup": 0.5}, 0.25, 0.5),
        ({"kl_warmup": 0.5}, 0.5, 1.0),
        ({"kl_warmup": 0.5, "kl_start": 100}, 0.0, 100.0),
        ({"kl_warmup": 0.5, "kl_start": 100}, 0.25, 10.0),
        ({"kl_warmup": 0.5, "kl_start": 100}, 0.75, 1.0),
        ({"kl_warmup": 0.5, "kl_start": 4, "beta": 0}, 0.25, 2.0),
    ],
)
def test_the_weight_of_the_kl_term(settings, progress, weight):
    result = loss(vae(**settings), progress)
    expected = result.terms["nll"] + weight * result.terms["kl"]
    torch.testing.assert_close(result.total.detach(), expected)


def test_the_aggregate_posterior_is_reported_when_judged_only():
    family = vae(latent_dim=4)
    assert "aggregate_mmd" not in loss(family).terms
    family.eval()
    with torch.no_grad():
        head = family.encoder.head
        head.weight.zero_()
        head.bias.zero_()
    terms = loss(family).terms  # every posterior is the prior
    assert terms["active_units"] == 0 and terms["kl"] == 0
    assert terms["aggregate_mean_distance"] == 0 and terms["aggregate_covariance_distance"] == 0
    with torch.no_grad():
        head.bias[:4] = 3.0
        head.bias[4:] = -4.0
    moved = loss(family).terms
    assert moved["aggregate_mean_distance"].item() == pytest.approx(6.0)
    assert moved["aggregate_covariance_distance"].item() == pytest.approx(2 * (1 - math.exp(-4.0)), rel=1e-5)
    assert moved["aggregate_mmd"] > terms["aggregate_mmd"] + 0.1


def test_a_little_training_raises_the_elbo():
    family = vae(backbone={"widths": (16, 16)}, latent_dim=4)
    optimiser = torch.optim.Adam(family.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    elbo = []
    for step in range(60):
        result = family.elbo_loss(BATCH, StepContext(step, 1.0, generator))
        optimiser.zero_grad()
        result.total.backward()
        optimiser.step()
        elbo.append(result.terms["elbo"].item())
    assert elbo[-1] > elbo[0] + 50
