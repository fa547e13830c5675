"""What only the variational autoencoder with a critic promises."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from motionsynth.families.base import Phase, StepContext
from motionsynth.families.vae import VAE
from motionsynth.families.vaegan import VAEGAN

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, learn_by_gradient, make_batch

BATCH = make_batch()
COUNT = len(BATCH.motion_BTD)
SMALL = {"latent_dim": 3, "backbone": {"kind": "conv", "widths": (16, 16)}, "critic": {"widths": (16, 16)}}


def vaegan(**settings) -> VAEGAN:
    torch.manual_seed(0)
    return VAEGAN(VAEGAN.Config.model_validate(SMALL | settings), SHAPE)


def context(step: int = 1, progress: float = 1.0) -> StepContext:
    return StepContext(step, progress, torch.Generator().manual_seed(0))


class Verdict(nn.Module):
    """A critic that says the same of every window."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, motion_BTD, mask_BT, side_BS=None, *, parts=1):
        return torch.full((len(motion_BTD),), self.logit) + 0.0 * motion_BTD.sum((1, 2))


def gradients(family: VAEGAN, loss) -> dict[str, torch.Tensor]:
    family.zero_grad()
    loss.total.backward()
    return {
        f"{part}.{name}": weight.grad.clone()
        for part in ("encoder", "decoder")
        for name, weight in getattr(family, part).named_parameters()
        if weight.grad is not None
    }


@pytest.mark.parametrize("logit", [-2.0, 0.0, 3.0])
def test_losses_on_known_logits(logit):
    family = vaegan(adversarial=7.0, r1={"gamma": 0.0})
    family.critic = Verdict(logit)
    critic = family.critic_loss(BATCH, context())
    assert critic.total.item() == pytest.approx(math.log1p(math.exp(-logit)) + math.log1p(math.exp(logit)))
    loss = family.vae_loss(BATCH, context())
    assert loss.terms["adversarial"].item() == pytest.approx(math.log1p(math.exp(-logit)))
    torch.testing.assert_close(loss.total.detach(), 7.0 * loss.terms["adversarial"] - loss.terms["elbo"])


def test_without_the_critic_it_is_the_variational_autoencoder():
    settings = {"latent_dim": 3, "backbone": {"kind": "conv", "widths": (16, 16)}}
    vae = VAE(VAE.Config.model_validate(settings), SHAPE)
    family = vaegan(adversarial=0.0)
    vae.encoder.load_state_dict(family.encoder.state_dict())
    vae.decoder.load_state_dict(family.decoder.state_dict())
    own, other = family.vae_loss(BATCH, context()), vae.elbo_loss(BATCH, context())
    torch.testing.assert_close(own.total, other.total)
    for name in ("elbo", "nll", "kl", "mse", "sigma"):
        torch.testing.assert_close(own.terms[name], other.terms[name])
    mine = gradients(family, own)
    other.total.backward()
    for part in ("encoder", "decoder"):
        for name, weight in getattr(vae, part).named_parameters():
            torch.testing.assert_close(mine[f"{part}.{name}"], weight.grad)


def test_the_critic_moves_the_decoder_and_never_the_encoder():
    quiet, loud = (vaegan(adversarial=weight) for weight in (0.0, 50.0))
    without, with_critic = (gradients(family, family.vae_loss(BATCH, context())) for family in (quiet, loud))
    for name, gradient in without.items():
        assert torch.equal(gradient, with_critic[name]) == name.startswith("encoder"), name


def test_generated_windows_are_draws_of_the_prior_under_the_labels_of_the_batch():
    family, seen = vaegan(condition=("content",), r1={"gamma": 0.0}), []
    family.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[:2]))
    family.critic_loss(BATCH, context())
    (latent, side), label = seen[0], family.condition.of(BATCH)
    assert torch.equal(latent, context().normal(COUNT, 3)) and torch.equal(side, label)


def test_what_the_critic_says_of_a_window_is_what_is_given_back():
    family = vaegan(similarity="critic", described={"kind": "fixed", "value": 0.5}, adversarial=0.0, beta=0.0)
    loss = family.vae_loss(BATCH, context())
    mean, log_variance = family.posterior(BATCH)
    made = family.decode(mean + context().normal(COUNT, 3) * (0.5 * log_variance).exp())
    expected = torch.zeros(())
    for row in range(COUNT):  # one window at a time: whatever stands beside it says nothing of it
        one = slice(row, row + 1)
        h, g = (family.critic.describe(x[one], BATCH.mask_BT[one]) for x in (BATCH.motion_BTD, made))
        expected = expected - torch.distributions.Normal(g, 0.5).log_prob(h).sum() / COUNT
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(loss.terms["described_nll"], expected.detach())
    assert {"nll", "mse", "sigma"} <= loss.terms.keys()


def test_descriptions_of_a_batch_as_a_whole_do_depend_on_neighbours():
    """The control of the test above."""
    critic = vaegan().critic
    alone = critic.describe(BATCH.motion_BTD[:1], BATCH.mask_BT[:1])
    assert not torch.allclose(critic.describe(BATCH.motion_BTD, BATCH.mask_BT)[:1], alone, atol=1e-4)
    torch.testing.assert_close(critic.describe(BATCH.motion_BTD, BATCH.mask_BT, parts=COUNT)[:1], alone)


def test_a_learned_spread_of_descriptions_is_their_mean_squared_error():
    family = vaegan(similarity="critic", adversarial=0.0, beta=0.0)
    loss = family.vae_loss(BATCH, context())
    width = family.critic.head.in_features
    per_number = loss.terms["described_nll"] / width
    running = family.described.noise_variance
    mse = (running - 0.99e-6) / 0.01  # the running value moves by a hundredth of the way from its start
    assert per_number.item() == pytest.approx(0.5 * (1 + math.log(2 * math.pi * mse.item())), rel=1e-2)


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 100.0), (0.25, 10.0), (0.5, 1.0), (1.0, 1.0)])
def test_the_weight_of_the_kl_term(progress, weight):
    loss = vaegan(kl_warmup=0.5, kl_start=100, adversarial=3.0).vae_loss(BATCH, context(progress=progress))
    expected = loss.terms["nll"] + weight * loss.terms["kl"] + 3.0 * loss.terms["adversarial"]
    torch.testing.assert_close(loss.total.detach(), expected)


@pytest.mark.parametrize("similarity", ["motion", "critic"])
def test_a_little_training_lowers_the_error(similarity, monkeypatch):
    """Error of the critic's description under a critic that stands still: one that learns moves what is measured."""
    still = property(lambda family: (Phase("vae", family.vae_loss, ("encoder", "decoder")),))
    if similarity == "critic":
        monkeypatch.setattr(VAEGAN, "phases", still)
    family, batch = vaegan(similarity=similarity, r1={"gamma": 1.0}, adversarial=0.0), make_batch(32)

    def error() -> float:
        with torch.no_grad():
            windows = [batch.motion_BTD, family.reconstruct(batch)]
            if similarity == "critic":
                windows = [family.critic.describe(one, batch.mask_BT, parts=len(one)) for one in windows]
            return float((windows[0] - windows[1]).square().mean())

    before = error()
    learn_by_gradient(family, [batch] * 100, lr=3e-3)
    assert error() < 0.5 * before
