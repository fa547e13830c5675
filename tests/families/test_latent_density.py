"""The mixture that is fitted on latents when training ends."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from motionsynth.families.ae import Autoencoder
from motionsynth.families.capabilities import SampleOptions
from motionsynth.families.latent_density import LatentDensity
from motionsynth.families.vae import VAE

sys.path.insert(0, str(Path(__file__).parent))
from golden_losses import SHAPE, make_windows

WEIGHT = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEAN = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
ROOT = torch.tensor([[[3.0, 0.0], [0.5, 0.4]], [[4.0, 0.0], [0.0, 0.3]], [[3.0, 0.0], [-0.4, 0.3]]]).double()
TRUTH = MixtureSameFamily(Categorical(WEIGHT), MultivariateNormal(MEAN, scale_tril=ROOT))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(count: int = 6000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws from the truth, and the component of each."""
    generator = seeded(seed)
    index = torch.multinomial(WEIGHT, count, replacement=True, generator=generator)
    noise = torch.randn(count, 2, 1, generator=generator, dtype=torch.float64)
    return MEAN[index] + (ROOT[index] @ noise).squeeze(2), index


def fitted(components: int = 3, **settings) -> LatentDensity:
    density = LatentDensity(2, components, **settings)
    density.fit(codes()[0], generator=seeded())
    return density


def test_it_finds_the_mixture_that_made_the_codes():
    density = fitted(floor=0.01)
    order = torch.cdist(MEAN, density.mean_KZ).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    torch.testing.assert_close(density.weight_K[order], WEIGHT, atol=0.02, rtol=0)
    torch.testing.assert_close(density.mean_KZ[order], MEAN, atol=0.25, rtol=0)
    found = density.root_KZZ[order]
    torch.testing.assert_close(found @ found.mT, ROOT @ ROOT.mT, atol=0.25, rtol=0.06)


def test_its_density_is_that_of_the_mixture_it_holds():
    density = fitted()
    held = MixtureSameFamily(
        Categorical(density.weight_K), MultivariateNormal(density.mean_KZ, scale_tril=density.root_KZZ)
    )
    points = codes(200, seed=5)[0]
    torch.testing.assert_close(density.log_density(points), held.log_prob(points), rtol=1e-10, atol=1e-10)


def test_it_fits_as_well_as_an_independent_implementation():
    train, _ = codes()
    held, _ = codes(seed=1)
    density = LatentDensity(2, 3, floor=0.001)
    told = density.fit(train, generator=seeded())
    other = GaussianMixture(3, n_init=5, random_state=0, tol=1e-6, reg_covar=1e-9).fit(train.numpy())
    assert told["log_density"] == pytest.approx(other.score(train.numpy()), abs=5e-3)
    assert float(density.log_density(held).mean()) == pytest.approx(other.score(held.numpy()), abs=5e-3)
    assert float(density.log_density(held).mean()) == pytest.approx(float(TRUTH.log_prob(held).mean()), abs=0.01)


def test_more_components_never_fit_worse_than_one():
    train, _ = codes()
    one, three = (LatentDensity(2, k).fit(train, generator=seeded())["log_density"] for k in (1, 3))
    assert three > one + 1


def test_draws_have_the_moments_of_the_codes_and_follow_the_generator():
    density, (train, _) = fitted(), codes()
    drawn = density.sample(20000, generator=seeded(3))
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn.double().mean(0), train.mean(0), atol=0.5, rtol=0)
    torch.testing.assert_close(drawn.double().T.cov(), train.T.cov(), rtol=0.05, atol=0.5)
    assert torch.equal(drawn, density.sample(20000, generator=seeded(3)))
    assert not torch.equal(drawn[:5], density.sample(5, generator=seeded(4)))


def test_labels_choose_among_the_components():
    train, index = codes()
    density = LatentDensity(2, 3, combinations=5)
    density.fit(train, index, generator=seeded())
    for label in range(3):
        drawn = density.sample(500, torch.full((500,), label), generator=seeded())
        nearest = TRUTH.component_distribution.log_prob(drawn.double()[:, None]).argmax(1)
        assert (nearest == label).double().mean() > 0.97
    unseen = density.sample(20000, torch.full((20000,), 4), generator=seeded())
    torch.testing.assert_close(unseen.double().mean(0), train.mean(0), atol=0.8, rtol=0)


@pytest.mark.parametrize(("count", "components"), [(1, 1), (5, 1), (12, 2), (60, 8)])
def test_few_codes_have_few_components(count, components):
    density = LatentDensity(2, 8)
    told = density.fit(codes(count)[0], generator=seeded())
    assert told["components"] == components == int((density.weight_K > 0).sum())
    assert density.sample(50, generator=seeded()).isfinite().all()


def test_codes_without_spread_leave_a_density():
    flat = torch.randn(400, 3, generator=seeded())
    flat[:, 1] = 7.0  # a latent that carries nothing
    density = LatentDensity(3, 4)
    assert math.isfinite(density.fit(flat, generator=seeded())["log_density"])
    assert (density.sample(50, generator=seeded())[:, 1] - 7).abs().max() < 1e-3
    assert math.isfinite(density.fit(torch.ones(400, 3), generator=seeded())["log_density"])


def test_no_axis_of_a_component_is_below_the_floor():
    line = torch.randn(500, 1, generator=seeded()) * torch.ones(2)  # codes on a line
    density = LatentDensity(2, 1, floor=0.1)
    density.fit(line, generator=seeded())
    spread = torch.linalg.svdvals(density.root_KZZ[0]) / line.std(0, correction=0)[0]
    assert float(spread[1]) == pytest.approx(0.1, rel=1e-3)
    assert float(spread[0]) == pytest.approx(math.sqrt(2), rel=1e-3)


def test_codes_that_are_not_finite_or_not_there_are_refused():
    for wrong in (torch.full((4, 2), math.nan), torch.zeros(0, 2)):
        with pytest.raises(ValueError, match="needs codes, all of them finite"):
            LatentDensity(2, 1).fit(wrong, generator=seeded())


def test_a_model_from_before_there_were_densities_loads_and_says_so():
    torch.manual_seed(0)
    family = Autoencoder(Autoencoder.Config(), SHAPE)
    old = {name: value for name, value in family.state_dict().items() if "latent_density" not in name}
    family.fit_prior(make_windows(), generator=seeded())
    family.load_state_dict(old)
    with pytest.raises(ValueError, match=r"no density was fitted.*such as 'normal', or train anew"):
        family.sample(2, generator=seeded())
    assert family.sample(2, generator=seeded(), how=SampleOptions(prior="normal")).isfinite().all()
    del old["encoder.head.bias"]
    with pytest.raises(RuntimeError, match=r"encoder\.head\.bias"):
        family.load_state_dict(old)


def test_part_of_a_density_is_no_density():
    state = fitted().state_dict()
    del state["mean_KZ"]
    with pytest.raises(RuntimeError, match="mean_KZ"):
        LatentDensity(2, 3).load_state_dict(state)


def test_a_family_fits_it_on_draws_of_the_aggregate_posterior():
    """Variance of draws: that of the means and the mean of the variances; means alone lack the latter."""
    torch.manual_seed(0)
    family = VAE(VAE.Config(latent_dim=2), SHAPE).eval()
    windows = make_windows(2000)
    with torch.no_grad():
        family.encoder.head.bias[2:] = 2.0
        mean, log_variance = family.posterior(windows.batch(torch.arange(2000)))
    family.fit_prior(windows, generator=seeded())
    z = family.sample_latent(20000, generator=seeded(), prior="fitted").double()
    expected = mean.T.double().cov() + log_variance.double().exp().mean(0).diag()
    torch.testing.assert_close(z.T.cov(), expected, rtol=0.1, atol=0.3)
    assert float(z.T.cov().trace()) > 2 * float(mean.T.cov().trace())


def test_labels_of_a_condition_choose_the_codes():
    """Codes of an encoder that is told the class; only the fitted prior knows it."""
    torch.manual_seed(0)
    family = Autoencoder(Autoencoder.Config(latent_dim=2, condition=("content",)), SHAPE).eval()
    windows = make_windows(600)
    family.begin(windows)
    family.fit_prior(windows, generator=seeded())
    batch = windows.batch(torch.arange(600))
    with torch.no_grad():
        code = family.encode(batch)
    for label in range(3):
        side = family.condition.code({"content": torch.full((4000,), label)})
        z = family.latents_for(side, 4000, generator=seeded(), prior="fitted")
        mine = code[batch.labels["content"] == label]
        assert (z.mean(0) - mine.mean(0)).norm() < 0.25 * mine.std(0).norm()
        same = family.latents_for(side, 4000, generator=seeded(), prior="normal")
        assert torch.equal(same, torch.randn(4000, 2, generator=seeded()))
