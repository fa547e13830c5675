"""What only the Helmholtz machine promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch.distributions import Independent, Normal

from motionsynth.families.base import StepContext
from motionsynth.families.vae import VAE
from motionsynth.families.wakesleep import WakeSleep

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_batch
from linear import LATENTS, SIGMA, Linear

BATCH = make_batch()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def context(seed: int = 0) -> StepContext:
    return StepContext(0, 1.0, seeded(seed))


def wakesleep(**settings) -> WakeSleep:
    torch.manual_seed(0)
    return WakeSleep(WakeSleep.Config.model_validate(settings), SHAPE)


def test_wake_is_the_vae_s_bound_without_the_encoder_s_part():
    sigma = {"kind": "fixed", "value": 0.5}
    family = wakesleep(sigma=sigma)
    vae = VAE(VAE.Config.model_validate({"sigma": sigma}), SHAPE)
    vae.load_state_dict(family.state_dict())
    wake, whole = family.wake_loss(BATCH, context()), vae.elbo_loss(BATCH, context())
    for term in ("elbo", "nll", "kl", "mse", "sigma"):
        torch.testing.assert_close(wake.terms[term], whole.terms[term])
    torch.testing.assert_close(wake.total.detach(), whole.terms["nll"])
    wake.total.backward()
    assert all(p.grad is None for p in family.encoder.parameters())
    whole.total.backward()
    for mine, other in zip(family.decoder.parameters(), vae.decoder.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_sleep_is_minus_the_log_density_of_the_latents_of_dreams():
    family = wakesleep()
    generator = seeded()
    h = torch.randn(8, 16, generator=generator)
    dream = family.dream(h, BATCH, torch.rand(BATCH.motion_BTD.shape, generator=generator))
    mean, log_variance = family.posterior(dream)
    expected = -Independent(Normal(mean, (0.5 * log_variance).exp()), 1).log_prob(h).mean()
    result = family.sleep_loss(BATCH, context())
    torch.testing.assert_close(result.total, expected)
    result.total.backward()
    assert all(p.grad is None for p in family.decoder.parameters())
    assert all(p.grad is not None for p in family.encoder.parameters())


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_dreams_have_the_noise_of_the_likelihood_and_the_masks_of_the_batch(kind):
    family = wakesleep(likelihood=kind, sigma={"kind": "fixed", "value": 0.7})
    batch = make_batch(400)
    h = torch.randn(400, 16, generator=seeded())
    dream = family.dream(h, batch, torch.rand(batch.motion_BTD.shape, generator=seeded()))
    noise = (dream.motion_BTD - family.decode(h).detach())[batch.mask_BT]
    assert float(noise.std()) == pytest.approx(0.7, rel=0.02)
    assert dream.labels is batch.labels and torch.equal(dream.mask_BT, batch.mask_BT)
    assert not dream.motion_BTD[~batch.mask_BT].any()


def test_what_the_real_windows_are_changes_no_dream():
    family = wakesleep()
    other = BATCH._replace(motion_BTD=BATCH.motion_BTD.flip(0).neg().masked_fill(~BATCH.mask_BT[..., None], 0.0))
    assert torch.equal(family.sleep_loss(BATCH, context()).total, family.sleep_loss(other, context()).total)
    assert not torch.equal(family.wake_loss(BATCH, context()).total, family.wake_loss(other, context()).total)


def bounds(linear: Linear, draws: int = 300) -> tuple[float, float]:
    """Means of the bounds of wake and of sleep."""
    linear.family.eval()
    with torch.no_grad():
        wake = [linear.family.wake_loss(linear.batch, context(s)).terms["elbo"] for s in range(draws)]
        sleep = [linear.family.sleep_loss(linear.batch, context(s)).terms["information"] for s in range(draws)]
    return float(torch.stack(wake).mean()), float(torch.stack(sleep).mean())


def information(linear: Linear) -> float:
    """``I(x; h) = 1/2 log |I + W^T W / sigma^2|``."""
    weight = linear.weight_XZ.double()
    return 0.5 * float(torch.logdet(torch.eye(LATENTS) + weight.T @ weight / SIGMA**2))


def test_both_bounds_are_reached_by_the_true_posterior():
    linear = Linear(WakeSleep, exact=True)
    wake, sleep = bounds(linear)
    assert wake == pytest.approx(float(linear.evidence_B.mean()), abs=0.05)
    assert sleep == pytest.approx(information(linear), abs=0.05)


def test_both_bounds_lie_below_for_another_encoder():
    linear = Linear(WakeSleep)
    wake, sleep = bounds(linear)
    assert wake == pytest.approx(float(linear.elbo_B.mean()), abs=0.1) and wake < float(linear.evidence_B.mean()) - 0.3
    assert sleep < information(linear) - 0.1


def test_an_encoder_that_knows_nothing_has_no_information():
    family = wakesleep(latent_dim=4)
    with torch.no_grad():
        family.encoder.head.weight.zero_()
        family.encoder.head.bias.zero_()
    batch = make_batch(4000)
    assert abs(float(family.sleep_loss(batch, context()).terms["information"])) < 0.1
    assert float(family.wake_loss(batch, context()).terms["kl"]) == 0


def test_sleep_alone_finds_the_true_posterior_of_a_linear_model():
    linear = Linear(WakeSleep, exact=True)
    encoder, truth = linear.family.encoder, linear.family.encoder.map.weight.detach().clone()
    with torch.no_grad():
        encoder.map.weight.zero_()
        encoder.map.bias.zero_()
        encoder.log_variance_Z.zero_()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 600)
    generator = seeded()
    for step in range(600):
        optimiser.zero_grad()
        linear.family.sleep_loss(linear.batch, StepContext(step, 1.0, generator)).total.backward()
        optimiser.step()
        schedule.step()
    torch.testing.assert_close(encoder.map.weight, truth, atol=0.03, rtol=0)
    assert bounds(linear)[1] == pytest.approx(information(linear), abs=0.1)


def test_a_little_training_reconstructs():
    torch.manual_seed(0)
    family = wakesleep(
        backbone={"kind": "conv", "widths": (16, 16)},
        latent_dim=4,
        sigma={"kind": "learned", "value": 1.0, "floor": 0.1},
    )
    batch = make_batch(64)
    optimisers = {p.name: torch.optim.Adam(getattr(family, p.trains[0]).parameters(), lr=3e-3) for p in family.phases}
    generator = seeded()

    def error() -> float:
        with torch.no_grad():
            return float((family.reconstruct(batch) - batch.motion_BTD)[batch.mask_BT].square().mean())

    mean_clip = float(batch.motion_BTD[batch.mask_BT].var())
    assert error() > 0.9 * mean_clip
    for step in range(250):
        for phase in family.phases:
            optimisers[phase.name].zero_grad()
            phase.loss(batch, StepContext(step, 1.0, generator)).total.backward()
            optimisers[phase.name].step()
    assert error() < 0.8 * mean_clip
    assert math.isfinite(float(family.log_likelihood_bound(batch, 3, generator=generator).mean()))
