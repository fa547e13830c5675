"""What adversarial families share: critics that know log p/q, those that do not, calibration, and the anchor."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from motionsynth.families.adversary import Anchor, calibration_error, calibration_terms
from motionsynth.losses.adversarial import OBJECTIVES

sys.path.insert(0, str(Path(__file__).parent))
from gaussian_critics import (
    LOGISTIC,
    VARIATIONAL,
    agreement,
    attained,
    trained,
    trained_in_groups,
)

LOGIT = OBJECTIVES["nonsaturating"]


@cache
def critic_of(name: str) -> nn.Module:
    return trained(OBJECTIVES["nonsaturating" if name in LOGISTIC else name])


@pytest.mark.parametrize("name", [*LOGISTIC, *VARIATIONAL])
def test_a_trained_critic_attains_the_divergence_and_the_generator_its_gradient(name):
    """Between N(0, 1) and N(0.6, 1.2^2), against quadrature."""
    figures = attained(OBJECTIVES[name], critic_of(name))
    assert figures["exact"] > 0.05
    assert figures["value"] == pytest.approx(figures["exact"], rel=0.02)
    assert figures["gradient"] == pytest.approx(figures["exact_gradient"], rel=0.02)


def test_the_divergences_are_told_apart():
    """The control of the test above: what one objective attains is not what another should."""
    values = {OBJECTIVES[name].minimises: attained(OBJECTIVES[name], critic_of(name)) for name in LOGISTIC}
    assert len(values) == 5
    for one in values:
        for other in set(values) - {one}:
            assert values[one]["value"] != pytest.approx(values[other]["exact"], rel=0.1)
            assert values[one]["gradient"] != pytest.approx(values[other]["exact_gradient"], rel=0.05)


@pytest.mark.parametrize("name", ["nonsaturating", "fgan_forward_kl", "fgan_reverse_kl", "fgan_js"])
def test_the_output_of_a_trained_critic_is_the_log_ratio(name):
    slope, error = agreement(OBJECTIVES[name], critic_of(name))
    assert slope == pytest.approx(1.0, abs=0.02)
    assert error < 0.05


@pytest.mark.parametrize(
    ("settings", "most"), [({"r1": 0.1}, 0.9), ({"r1": 1.0}, 0.5), ({"r1": 10.0}, 0.15), ({"clip": 0.1}, 0.85)]
)
def test_r1_and_clipped_weights_take_the_ratio_away(settings, most):
    slope, error = agreement(LOGIT, trained(LOGIT, **settings))
    assert 0 < slope < most
    assert error > 0.09


def test_a_critic_of_groups_tells_more_than_the_ratio_of_one():
    assert trained_in_groups()[1] > 0.3


def test_in_the_plane_too_the_logit_is_the_log_ratio():
    from gaussian_critics import new_critic

    sobol = torch.special.ndtri(torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(4096).double()).float()
    mean, spread = torch.tensor([0.5, -0.4]), torch.tensor([0.8, 1.1])
    real, fake = sobol, mean + spread * sobol
    critic = new_critic(2)
    optimiser = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for _ in range(150):
        loss = LOGIT.critic(critic(real), critic(fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    p, q = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(mean, spread)
    x = torch.cat((real, fake))
    true = (p.log_prob(x) - q.log_prob(x)).sum(1)
    with torch.no_grad():
        error = (critic(x) - true).square().mean()
    assert error < 0.02 * true.square().mean()


def logits(count: int = 4000, sharpness: float = 1.0):
    """Outputs of a critic whose sigmoid, at sharpness 1, is the share of real windows among those that get it."""
    generator = torch.Generator().manual_seed(0)
    logit = 2 * torch.randn(4 * count, generator=generator)
    real = torch.rand(4 * count, generator=generator) < logit.sigmoid()
    return sharpness * logit[real][:count], sharpness * logit[~real][:count]


def test_calibration_error_is_small_for_a_calibrated_critic_and_not_for_a_sure_one():
    def error(sharpness: float) -> float:
        terms = calibration_terms(LOGIT, *logits(sharpness=sharpness))
        return calibration_error({f"critic/{name}": float(value) for name, value in terms.items()})[
            "critic/calibration_error"
        ]

    assert error(1.0) < 0.02
    assert error(5.0) > 0.08
    assert error(0.1) > 0.15


def test_calibration_error_by_the_definition():
    real, fake = torch.tensor([2.0, -1.0, 0.1]), torch.tensor([-2.0, 0.2, 0.15])
    d, is_real = torch.cat((real, fake)).sigmoid(), torch.tensor([1.0, 1, 1, 0, 0, 0])
    expected = 0.0
    for k in range(10):
        inside = (d >= k / 10) & (d < (k + 1) / 10)
        if inside.any():
            expected += float(inside.sum() / 6 * (d[inside].mean() - is_real[inside].mean()).abs())
    terms = calibration_terms(LOGIT, real, fake)
    means = {"generator/x": 1.0} | {f"critic/{name}": float(value) for name, value in terms.items()}
    concluded = calibration_error(means)
    assert concluded["critic/calibration_error"] == pytest.approx(expected, rel=1e-5)
    assert set(concluded) == {
        "generator/x",
        "critic/calibration_error",
        "critic/log_likelihood",
        "critic/divergence",
    }
    likelihood = (is_real * d.log() + (1 - is_real) * (1 - d).log()).mean() + torch.tensor(2.0).log()
    assert concluded["critic/log_likelihood"] == pytest.approx(float(likelihood), rel=1e-5)


def test_calibration_terms_of_batches_average_to_those_of_all():
    real, fake = logits(400)
    whole = calibration_terms(LOGIT, real, fake)
    parts = [calibration_terms(LOGIT, *pair) for pair in zip(real.chunk(4), fake.chunk(4), strict=True)]
    for name, value in whole.items():
        torch.testing.assert_close(torch.stack([part[name] for part in parts]).mean(), value)


def test_a_critic_without_a_log_ratio_has_no_calibration():
    for name in ("hinge", "wgan_gp"):
        assert calibration_terms(OBJECTIVES[name], torch.ones(2), torch.zeros(2)) == {}
    assert calibration_error({"critic/total": 1.0}) == {"critic/total": 1.0}


def test_an_anchor_gives_what_the_network_gave_and_follows_when_told():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    anchor, x = Anchor(network), torch.randn(5, 3)
    before = network(x)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    assert torch.equal(anchor.recall(network, x), before) and not torch.equal(network(x), before)
    assert not anchor.recall(network, x).requires_grad and network[0].weight.requires_grad
    anchor.refresh(network)
    assert torch.equal(anchor.recall(network, x), network(x))
    assert not list(anchor.parameters()) and len(anchor.state_dict()) == len(network.state_dict())


def test_an_anchor_refuses_chance():
    with pytest.raises(ValueError, match="1 is a dropout layer"):
        Anchor(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)))
    Anchor(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0)))
