"""What only the variational autoencoder promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch.distributions import Laplace, Normal

from motionsynth.corpus.windows import Batch
from motionsynth.families.base import StepContext
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.vae import VAE

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch
from linear import Linear

BATCH = make_batch()
COUNT = BATCH.mask_BT.sum(1) * SHAPE.features


def vae(**settings) -> VAE:
    torch.manual_seed(0)
    return VAE(VAE.Config.model_validate(settings), SHAPE)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    family = vae(sigma={"kind": "learned", "value": 2.0, "floor": 1e-3})
    terms = loss(family).terms
    per_window = terms["nll"].item() / COUNT.float().mean().item()
    assert per_window == pytest.approx(0.5 * (1 + math.log(2 * math.pi * terms["mse"].item())), rel=1e-5)
    assert family.likelihood.noise_variance.item() == pytest.approx(4 * 0.99 + 0.01 * terms["mse"].item())


def test_the_learned_variance_has_a_floor():
    """Whatever the value that it starts from."""
    family = vae(sigma={"kind": "learned", "value": 1.0, "floor": 7.0})
    loss(family)
    assert family.likelihood.noise_variance.item() == pytest.approx(0.99 + 0.49)
    lower = vae(sigma={"kind": "learned", "value": 7.0, "floor": 0.1})
    terms = loss(lower).terms
    assert terms["mse"] > 0.1**2
    assert lower.likelihood.noise_variance.item() == pytest.approx(49 * 0.99 + 0.01 * terms["mse"].item())


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
    family = vae(backbone={"kind": "conv", "widths": (16, 16)}, latent_dim=4)
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


def decoded(family: VAE) -> torch.Tensor:
    """What the loss above decodes."""
    mean, log_variance = family.posterior(BATCH)
    return family.decoder(mean + torch.randn(mean.shape, generator=seeded()) * (0.5 * log_variance).exp()).detach()


@pytest.mark.parametrize(("kind", "distribution"), [("gaussian", Normal), ("laplace", Laplace)])
@pytest.mark.parametrize("sigma", ["fixed", "learned", "per_feature"])
def test_every_likelihood_is_that_of_its_distribution_at_its_best_spread(kind, distribution, sigma):
    family = vae(likelihood=kind, sigma={"kind": sigma, "value": 0.4, "floor": 1e-3})
    error = (BATCH.motion_BTD - decoded(family))[BATCH.mask_BT]  # frames that are there, features
    axes = {"fixed": None, "learned": (0, 1), "per_feature": 0}[sigma]
    if kind == "gaussian":
        spread = torch.tensor(0.4) if axes is None else error.square().mean(axes).sqrt()
        variance = spread.square()
    else:
        spread = torch.tensor(0.4 / math.sqrt(2)) if axes is None else error.abs().mean(axes)
        variance = 2 * spread.square()
    expected = -distribution(0.0, spread).log_prob(error).sum() / len(COUNT)
    torch.testing.assert_close(loss(family).terms["nll"], expected)
    for factor in (0.95, 1.05) if axes is not None else ():
        assert -distribution(0.0, factor * spread).log_prob(error).sum() / len(COUNT) > expected, "not the best spread"
    running = torch.as_tensor(0.16) + 0.01 * (variance - 0.16)
    torch.testing.assert_close(family.likelihood.noise_variance, running.expand_as(family.likelihood.noise_variance))
    assert family.likelihood.noise_variance.shape == ((SHAPE.features,) if sigma == "per_feature" else ())


@pytest.mark.parametrize(("kind", "kurtosis"), [("gaussian", 3.0), ("laplace", 6.0)])
def test_samples_shown_have_the_noise_of_the_likelihood(kind, kurtosis):
    family = vae(likelihood=kind, sigma={"kind": "per_feature"}).eval()
    variance = torch.linspace(0.5, 4.0, SHAPE.features)
    family.likelihood.noise_variance.copy_(variance)
    with torch.no_grad():
        mean, sample, default = (
            family.sample(400, generator=seeded(), how=SampleOptions(show=show, prior="normal"))
            for show in ("mean", "sample", None)
        )
    assert torch.equal(mean, default)
    noise = (sample - mean).flatten(0, 1)
    torch.testing.assert_close(noise.square().mean(0), variance, rtol=0.15, atol=0)
    standard = noise / variance.sqrt()
    assert abs(float(standard.mean())) < 0.02
    assert float(standard.pow(4).mean()) == pytest.approx(kurtosis, rel=0.1)
    with pytest.raises(ValueError, match=r"unknown show 'median', .*known: mean, sample"):
        family.sample(2, generator=seeded(), how=SampleOptions(show="median", prior="normal"))


def test_free_bits_cost_nothing():
    plain, free = loss(vae()), loss(vae(free_bits=0.5))
    mean, log_variance = vae().posterior(BATCH)
    prior = Normal(torch.zeros_like(mean), 1.0)
    kl = torch.distributions.kl_divergence(Normal(mean, (0.5 * log_variance).exp()), prior).mean(0)
    assert (kl < 0.5).any()
    expected = plain.terms["nll"] + kl.clamp(min=0.5).sum()
    torch.testing.assert_close(free.total, expected)
    torch.testing.assert_close(free.terms["elbo"], plain.terms["elbo"])


def test_a_dimension_within_its_free_bits_is_not_pushed():
    def gradients(**settings) -> tuple[torch.Tensor, ...]:
        family = vae(**settings)
        return torch.autograd.grad(loss(family).total, tuple(family.parameters()))

    without, free, pushed = gradients(beta=0.0), gradients(free_bits=100.0), gradients()
    assert all(torch.equal(a, b) for a, b in zip(without, free, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(without, pushed, strict=True))


SETTINGS = [
    {},
    {"sigma": {"kind": "per_feature", "floor": 1e-3}},
    {"likelihood": "laplace", "sigma": {"kind": "per_feature", "floor": 1e-3}},
    {"free_bits": 0.02},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradients_of_two_processes_average_to_that_of_the_joined_batch(settings):
    """Each process holds four of the eight windows; what they gather is recorded first, then averaged."""

    def gradient(batch, **ranks) -> list[torch.Tensor]:
        family = vae(**settings)
        total = family.elbo_loss(batch, StepContext(0, 1.0, seeded(), **ranks)).total
        return list(torch.autograd.grad(total, tuple(family.parameters())))

    halves = [Batch(BATCH.motion_BTD[part], BATCH.mask_BT[part], {}) for part in (slice(0, 4), slice(4, 8))]
    gathered: list[list[torch.Tensor]] = [[], []]
    for rank, half in enumerate(halves):
        gradient(half, rank=rank, ranks=2, average=lambda v, seen=gathered[rank]: seen.append(v) or v)
    means = [torch.stack(pair).mean(0) for pair in zip(*gathered, strict=True)]
    apart = []
    for rank, half in enumerate(halves):
        left = iter(means)
        apart.append(gradient(half, rank=rank, ranks=2, average=lambda _, left=left: next(left)))
    for one, first, second in zip(gradient(BATCH), *apart, strict=True):
        torch.testing.assert_close((first + second) / 2, one, rtol=1e-4, atol=2e-5)
    lonely = [gradient(half, rank=rank, ranks=2) for rank, half in enumerate(halves)]
    assert not all(
        torch.allclose((first + second) / 2, one, rtol=1e-3, atol=1e-4)
        for one, first, second in zip(gradient(BATCH), *lonely, strict=True)
    ), "without what is gathered they differ"


def test_the_elbo_is_that_of_the_closed_form():
    linear = Linear(VAE)
    linear.family.eval()
    with torch.no_grad():
        elbo = [linear.family.elbo_loss(linear.batch, StepContext(0, 1.0, seeded(s))).terms["elbo"] for s in range(400)]
    error = torch.stack(elbo).std() / 20
    assert float(torch.stack(elbo).mean()) == pytest.approx(float(linear.elbo_B.mean()), abs=4 * float(error))
    assert error < 0.05
    assert (linear.elbo_B < linear.evidence_B).all()


def test_the_bound_by_importance_rises_from_the_elbo_to_the_log_density():
    linear, generator = Linear(VAE), seeded()

    def bound(samples: int, draws: int) -> float:
        rows = [linear.family.log_likelihood_bound(linear.batch, samples, generator=generator) for _ in range(draws)]
        assert rows[0].shape == (32,) and rows[0].dtype == torch.float64
        return float(torch.stack(rows).mean())

    one, few, many, most = bound(1, 400), bound(5, 100), bound(50, 20), bound(2000, 1)
    elbo, exact = float(linear.elbo_B.mean()), float(linear.evidence_B.mean())
    assert one == pytest.approx(elbo, abs=0.15)
    assert one + 0.1 < few < many < exact + 0.02
    assert most == pytest.approx(exact, abs=0.02)
    assert exact - elbo > 0.3, "there is a gap to close"


def test_the_bound_is_the_log_density_where_the_encoder_is_the_true_posterior():
    linear = Linear(VAE, exact=True)
    for samples in (1, 7):
        bound_B = linear.family.log_likelihood_bound(linear.batch, samples, generator=seeded())
        torch.testing.assert_close(bound_B, linear.evidence_B, rtol=1e-5, atol=1e-4)
    with pytest.raises(ValueError, match="1 sample or more, not 0"):
        linear.family.log_likelihood_bound(linear.batch, 0, generator=seeded())


def test_padded_frames_have_no_part_in_the_bound():
    family = vae().eval()
    spoiled = BATCH._replace(motion_BTD=BATCH.motion_BTD.masked_fill(~BATCH.mask_BT[..., None], 1e6))
    clean, dirty = (family.log_likelihood_bound(b, 3, generator=seeded()) for b in (BATCH, spoiled))
    assert torch.equal(clean, dirty)


def test_weights_of_before_there_were_likelihoods_load():
    family, state = vae(), vae().state_dict()
    state["noise_variance"] = torch.tensor(0.7)
    del state["likelihood.noise_variance"]
    family.load_state_dict(state)
    assert float(family.likelihood.noise_variance) == pytest.approx(0.7)
