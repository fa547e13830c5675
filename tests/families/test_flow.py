"""Flow matching: closed forms of Gaussians, and a field that learns them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.base import StepContext
from motionsynth.families.flow import Flow
from motionsynth.families.probability_flow import Velocity, integrate, log_density

SIZE = 12


@pytest.fixture(scope="module")
def covariance() -> Tensor:
    mix = 0.4 * torch.randn(SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return mix @ mix.T + 0.05 * torch.eye(SIZE, dtype=torch.float64)


def velocity_to(covariance_PP: Tensor) -> Velocity:
    """The velocity that flow matching to N(0, S) has: ``(t S - (1 - t) I) ((1 - t)^2 I + t^2 S)^-1 x``."""
    identity = torch.eye(len(covariance_PP), dtype=torch.float64)

    def velocity(place_BP: Tensor, time_B: Tensor) -> Tensor:
        t = time_B[0]
        between = (1 - t) ** 2 * identity + t**2 * covariance_PP
        return place_BP @ torch.linalg.solve(between, t * covariance_PP - (1 - t) * identity).T

    return velocity


def test_log_density_is_the_gaussians(covariance: Tensor) -> None:
    normal = torch.distributions.MultivariateNormal(torch.zeros(SIZE, dtype=torch.float64), covariance)
    noise_BP = torch.randn(16, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    place_BP = noise_BP @ torch.linalg.cholesky(covariance).T
    exact_B = normal.log_prob(place_BP)
    error = (log_density(velocity_to(covariance), place_BP, 200) - exact_B).abs().max() / SIZE
    coarse = (log_density(velocity_to(covariance), place_BP, 4) - exact_B).abs().max() / SIZE
    assert error < 1e-3
    assert coarse > 1e-2, "the control: two steps are too few"


def test_random_probes_estimate_the_same(covariance: Tensor) -> None:
    place_BP = torch.randn(4, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    velocity = velocity_to(covariance)
    exact_B = log_density(velocity, place_BP, 40)
    probed_B = log_density(velocity, place_BP, 40, probes=4096, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(probed_B, exact_B, atol=0.15, rtol=0)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_paths_lead_to_the_gaussian_and_back(covariance: Tensor, solver: str) -> None:
    noise = torch.randn(20000, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    velocity = velocity_to(covariance)
    made = integrate(velocity, noise, 0.0, 1.0, solver, 200)  # type: ignore[arg-type]
    torch.testing.assert_close(torch.cov(made.T), covariance, atol=0.09 if solver == "euler" else 0.03, rtol=0.05)
    torch.testing.assert_close(integrate(velocity, made, 1.0, 0.0, "heun", 400), noise, atol=0.3, rtol=0)


def trained(steps: int = 400) -> Flow:
    torch.manual_seed(0)
    config = Flow.Config(backbone={"kind": "basis", "width": 64, "layers": 2}, dropout=0.0, condition=("style",))
    family = Flow(config, MotionShape(1, 2, {"style": 2}))
    optimiser = torch.optim.Adam(family.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        style = torch.randint(2, (256,), generator=generator)
        motion = (4.0 * style - 2.0)[:, None, None] + 0.5 * torch.randn(256, 1, 2, generator=generator)
        batch = Batch(motion, torch.ones(256, 1, dtype=torch.bool), {"style": style})
        loss = family.matching_loss(batch, StepContext(step, 0.0, generator)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return family.eval()


@pytest.fixture(scope="module")
def flow() -> Flow:
    return trained()


def test_a_trained_field_makes_what_it_was_shown(flow: Flow) -> None:
    from motionsynth.families.capabilities import SampleOptions

    with torch.no_grad():
        for style, centre in ((0, -2.0), (1, 2.0)):
            drawn = flow.sample(
                2000, generator=torch.Generator().manual_seed(0), how=SampleOptions(labels={"style": style})
            )
            assert float(drawn.mean()) == pytest.approx(centre, abs=0.15)
            assert float(drawn.std()) == pytest.approx(0.5, abs=0.1)


def test_windows_come_back_from_their_noise(flow: Flow) -> None:
    motion = torch.full((8, 1, 2), -2.0) + 0.5 * torch.randn(8, 1, 2, generator=torch.Generator().manual_seed(3))
    batch = Batch(motion, torch.ones(8, 1, dtype=torch.bool), {"style": torch.zeros(8, dtype=torch.int64)})
    with torch.no_grad():
        torch.testing.assert_close(flow.reconstruct(batch), motion, atol=0.05, rtol=0)
        density = flow.log_density(batch)
        exact = torch.distributions.Normal(-2.0, 0.5).log_prob(motion).sum((1, 2)).double()
        wrong = flow.log_density(batch._replace(labels={"style": torch.ones(8, dtype=torch.int64)}))
    assert float((density - exact).mean().abs()) / 2 < 0.15
    assert float((wrong - exact).mean()) < -5, "the control: under the other label the windows are far away"


def test_guidance_sharpens(flow: Flow) -> None:
    guided = Flow(flow.config.model_copy(update={"guidance": 3.0}), flow.shape)
    guided.eval().load_state_dict(flow.state_dict())
    from motionsynth.families.capabilities import SampleOptions

    how, generator = SampleOptions(labels={"style": 1}), torch.Generator()
    with torch.no_grad():
        means = [family.sample(1000, generator=generator.manual_seed(0), how=how).mean() for family in (flow, guided)]
    assert means[1] > means[0] + 0.05
