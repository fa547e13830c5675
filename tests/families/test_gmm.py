"""The mixture against scikit-learn, SciPy and closed forms."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families.gmm import GMM
from motionsynth.families.kmeans import kmeans
from motionsynth.families.ppca import noise_variance

T, D = 4, 3
SIZE, COUNT = T * D, 400
SHAPE = MotionShape(T, D, {})


def make_x() -> torch.Tensor:
    """(N, X) windows in two clouds, correlated, as float32 numbers."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(COUNT, SIZE, generator=generator) @ torch.randn(SIZE, SIZE, generator=generator)
    x = x * torch.rand(SIZE, generator=generator)
    x[:150] += 2
    return x


X = make_x()


def as_batch(x: torch.Tensor, mask: torch.Tensor | None = None) -> Batch:
    mask = torch.ones(len(x), T, dtype=torch.bool) if mask is None else mask
    return Batch(x.reshape(-1, T, D).float(), mask, {})


def make(**settings) -> GMM:
    torch.manual_seed(0)
    return GMM(GMM.Config.model_validate({"axes": SIZE} | settings), SHAPE)


def learn(family: GMM, passes: int, x: torch.Tensor = X) -> list[float]:
    """M steps after the start; the mean log-likelihood of a window in each."""
    generator, likelihoods = torch.Generator().manual_seed(0), []
    while len(likelihoods) < passes or int(family.passes) <= family.config.axes_passes:
        statistics = family.new_statistics()
        family.accumulate(as_batch(x), statistics)
        if "log_likelihood" in statistics:
            likelihoods.append(float(statistics["log_likelihood"]) / len(x))
        family.maximise(statistics, generator=generator)
    return likelihoods


def covariances(family: GMM) -> np.ndarray:
    """(K, X, X), multiplied out from the parameters by the definition."""
    spread_KE = (family.variance_KZ - family.noise_K[:, None]).sqrt()
    loading = torch.einsum("ex,kez,kz->kxz", family.axes_EX, family.direction_KEZ, spread_KE)
    return (loading @ loading.mT + family.noise_K[:, None, None] * torch.eye(SIZE)).numpy()


def marginal(family: GMM, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Log-density of some columns, by SciPy."""
    mixed = np.zeros(len(x))
    for k, covariance in enumerate(covariances(family)):
        part = multivariate_normal(family.mean_KX[k].numpy()[columns], covariance[np.ix_(columns, columns)])
        mixed += float(family.weight_K[k]) * part.pdf(x[:, columns])
    return np.log(mixed)


@pytest.mark.parametrize("latents", [1, 3, 11])
def test_one_component_is_scikit_learns_closed_form_ppca_after_one_m_step(latents):
    family = make(components=1, latent_dim=latents)
    learn(family, 1)
    pca = PCA(latents, svd_solver="full").fit(X.double().numpy())
    np.testing.assert_allclose(family.mean_KX[0], pca.mean_, atol=1e-12)
    # scikit-learn divides by N - 1, maximum likelihood by N
    np.testing.assert_allclose(covariances(family)[0] * COUNT / (COUNT - 1), pca.get_covariance(), atol=1e-11)
    pca.explained_variance_ *= (COUNT - 1) / COUNT
    pca.noise_variance_ *= (COUNT - 1) / COUNT
    expected = pca.score_samples(X.double().numpy())
    np.testing.assert_allclose(family.log_density(as_batch(X)), expected, atol=1e-9)
    before = covariances(family)
    likelihoods = learn(family, 2)
    assert likelihoods[1] == pytest.approx(likelihoods[0], abs=1e-11), "the second pass has nothing to gain"
    np.testing.assert_allclose(covariances(family), before, atol=1e-11)


def test_fewer_axes_than_numbers_find_the_principal_ones():
    family = make(components=1, latent_dim=2, axes=5, axes_passes=40)
    learn(family, 1)
    pca = PCA(2, svd_solver="full").fit(X.double().numpy())
    np.testing.assert_allclose(covariances(family)[0] * COUNT / (COUNT - 1), pca.get_covariance(), atol=1e-7)


def test_with_all_axes_each_pass_is_one_of_scikit_learns_gaussian_mixture():
    start, family = make(components=3, latent_dim=SIZE - 1), make(components=3, latent_dim=SIZE - 1)
    learn(start, 0)
    likelihoods = learn(family, 30)
    peer = GaussianMixture(
        3,
        max_iter=30,
        tol=0,
        reg_covar=0,
        weights_init=start.weight_K.numpy(),
        means_init=start.mean_KX.numpy(),
        precisions_init=np.linalg.inv(covariances(start)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 30 rounds are not enough
        peer.fit(X.double().numpy())
    assert likelihoods[-1] == pytest.approx(peer.lower_bound_, abs=1e-10)
    assert likelihoods[-1] > likelihoods[0] + 1
    np.testing.assert_allclose(family.weight_K, peer.weights_, atol=1e-10)
    np.testing.assert_allclose(family.mean_KX, peer.means_, atol=1e-9)
    np.testing.assert_allclose(covariances(family), peer.covariances_, atol=1e-9)
    np.testing.assert_allclose(family.log_density(as_batch(X)), peer.score_samples(X.double().numpy()), atol=1e-8)


def test_the_density_of_a_padded_window_is_the_marginal_of_its_frames():
    family = make(components=3, latent_dim=4, axes=8)
    learn(family, 5)
    length_B = torch.arange(20) % T + 1
    mask = torch.arange(T) < length_B[:, None]
    mask[0] = torch.tensor([False, True, False, True])  # any frames, not only the first
    found = family.log_density(as_batch(X[:20], mask))
    for row in range(20):
        columns = mask[row].repeat_interleave(D).nonzero().flatten().numpy()
        expected = marginal(family, X[row : row + 1].double().numpy(), columns)
        assert float(found[row]) == pytest.approx(float(expected[0]), abs=1e-9)


def test_reconstructions_are_conditional_means_and_fill_frames_in():
    family = make(components=2, latent_dim=4, axes=8)
    learn(family, 5)
    mask = torch.ones(6, T, dtype=torch.bool)
    mask[3:, 2:] = False
    found = family.reconstruct(as_batch(X[:6], mask)).flatten(1)
    for row in range(6):
        x, there = X[row].double().numpy(), mask[row].repeat_interleave(D).nonzero().flatten().numpy()
        shares, means = [], []
        for k, covariance in enumerate(covariances(family)):
            signal = covariance - float(family.noise_K[k]) * np.eye(SIZE)
            inner, mean = covariance[np.ix_(there, there)], family.mean_KX[k].numpy()
            shares.append(float(family.weight_K[k]) * multivariate_normal(mean[there], inner).pdf(x[there]))
            means.append(mean + signal[:, there] @ np.linalg.solve(inner, x[there] - mean[there]))
        expected = np.average(means, axis=0, weights=shares)
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@pytest.mark.parametrize("noisy", [False, True])
def test_samples_have_the_moments_of_the_density(noisy):
    family = make(components=2, latent_dim=3, sample_noise=noisy)
    learn(family, 5)
    drawn = family.sample(200_000, generator=torch.Generator().manual_seed(0)).flatten(1).double().numpy()
    weight, mean, covariance = family.weight_K.numpy(), family.mean_KX.numpy(), covariances(family)
    if not noisy:
        covariance = covariance - family.noise_K.numpy()[:, None, None] * np.eye(SIZE)
    centre = weight @ mean
    spread = np.einsum("k,kxy->xy", weight, covariance + np.einsum("kx,ky->kxy", mean - centre, mean - centre))
    scale = math.sqrt(np.trace(spread))
    np.testing.assert_allclose(drawn.mean(0), centre, atol=0.01 * scale)
    np.testing.assert_allclose(np.cov(drawn.T), spread, atol=0.02 * scale**2 / 3)
    np.testing.assert_allclose(np.trace(np.cov(drawn.T)), np.trace(spread), rtol=0.02)


@pytest.mark.parametrize("noise", ["own", "shared"])
def test_the_likelihood_never_falls_where_components_have_few_windows_and_noise_its_floor(noise):
    x = X[:40].repeat(2, 1)  # pairs that are equal, so that components collapse onto them
    family = make(components=15, latent_dim=4, noise=noise, min_noise=0.05)
    likelihoods = learn(family, 30, x)
    assert min(np.diff(likelihoods)) > -1e-9 and likelihoods[-1] > likelihoods[0]
    if noise == "own":
        assert (family.noise_K == 0.05**2).any(), "the floor is reached"
    else:
        assert len(family.noise_K.unique()) == 1
    assert (family.variance_KZ >= family.noise_K[:, None]).all()


def test_a_component_without_windows_keeps_its_shape_at_weight_zero():
    family = make(components=3, latent_dim=2)
    learn(family, 3)
    family.mean_KX[1] += 1e4
    before, kept = float(family.log_density(as_batch(X)).mean()), family.mean_KX[1].clone()
    statistics = family.new_statistics()
    family.accumulate(as_batch(X), statistics)
    terms = family.maximise(statistics, generator=torch.Generator())
    assert terms["empty_components"] == 1 and family.weight_K[1] == 0
    assert torch.equal(family.mean_KX[1], kept) and family.weight_K.sum() == pytest.approx(1.0)
    assert float(family.log_density(as_batch(X)).mean()) > before
    drawn = family.sample_latent(1000, generator=torch.Generator().manual_seed(0))
    assert set(drawn[:, 0].tolist()) == {0.0, 2.0}


def test_windows_that_do_not_suffice_are_refused():
    padded = torch.ones(8, T, dtype=torch.bool)
    padded[:, -1] = False
    family = make(components=3, latent_dim=2)
    statistics = family.new_statistics()
    family.accumulate(as_batch(X[:8], padded), statistics)
    assert statistics["padded"] == 8
    with pytest.raises(ValueError, match="every window has padded frames"):
        family.maximise(statistics, generator=torch.Generator())
    with pytest.raises(ValueError, match="9 clusters need at least as many points, not 8"):
        learn(make(components=9, latent_dim=2), 1, X[:8])


@pytest.mark.parametrize(("latents", "axes"), [(SIZE, SIZE), (6, 5)])
def test_more_latents_than_fit_are_refused(latents, axes):
    with pytest.raises(ValueError, match=rf"latent_dim {latents} does not fit {axes} axes in windows of {SIZE}"):
        make(components=1, latent_dim=latents, axes=axes)


def test_more_components_than_windows_to_start_from_are_refused():
    with pytest.raises(ValueError, match="3 components cannot start from 2 start_windows"):
        GMM.Config(components=3, start_windows=2)


def test_k_means_starts_from_the_windows_it_may_see():
    family = make(components=2, latent_dim=2, start_windows=100)
    learn(family, 0)
    share = 100 * family.weight_K
    torch.testing.assert_close(share, share.round())
    assert float(share.sum()) == 100 and 0 < share.min() < 100


def ppca_loss(noise: float, values: np.ndarray, trace: float) -> float:
    """Minus twice the log-likelihood of a window at the best loadings for that noise, but for constants."""
    kept = values[values > noise]
    return float(np.log(kept).sum() + len(kept) + (SIZE - len(kept)) * np.log(noise) + (trace - kept.sum()) / noise)


@pytest.mark.parametrize("values", [[5.0, 3.0, 2.0], [5.0, 0.3, 0.1], [0.2, 0.2, 0.2], [4.0, 0.0, 0.0]])
@pytest.mark.parametrize("rest", [0.5, 6.0])
def test_noise_is_the_maximum_of_the_likelihood(values, rest):
    values, trace = np.array(values), sum(values) + rest
    found = float(noise_variance(torch.tensor(values)[None], torch.tensor([trace], dtype=torch.float64), SIZE))
    best = minimize_scalar(
        lambda log: ppca_loss(math.exp(log), values, trace), bounds=(-8, 4), method="bounded", options={"xatol": 1e-10}
    )
    assert found == pytest.approx(math.exp(best.x), rel=1e-6)


def test_shared_noise_is_the_maximum_for_all_components_together():
    values = torch.tensor([[5.0, 3.0, 0.2], [0.9, 0.4, 0.1], [8.0, 2.0, 1.5]], dtype=torch.float64)
    trace, mass = values.sum(1) + torch.tensor([3.0, 0.5, 9.0]), torch.tensor([10.0, 30.0, 5.0], dtype=torch.float64)
    found = noise_variance(values, trace, SIZE, mass)
    assert len(found.unique()) == 1
    best = minimize_scalar(
        lambda log: sum(
            m * ppca_loss(math.exp(log), v, t)
            for m, v, t in zip(mass.numpy(), values.numpy(), trace.numpy(), strict=True)
        ),
        bounds=(-8, 4),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert float(found[0]) == pytest.approx(math.exp(best.x), rel=1e-6)


def test_k_means_ends_where_scikit_learns_would():
    points = X.double()
    clusters = kmeans(points, 6, generator=torch.Generator().manual_seed(0))
    peer = KMeans(6, init=clusters.centre_KE.numpy(), n_init=1, max_iter=300, tol=0).fit(points.numpy())
    np.testing.assert_array_equal(peer.labels_, clusters.index_M)
    assert clusters.inertia == pytest.approx(peer.inertia_, rel=1e-10)
    best = KMeans(6, n_init=20, random_state=0).fit(points.numpy())
    assert clusters.inertia < 1.1 * best.inertia_


def test_k_means_gives_every_centre_a_point_also_among_copies():
    points = torch.tensor([[0.0], [0.0], [0.0], [1.0], [1.0], [9.0]], dtype=torch.float64)
    clusters = kmeans(points, 3, generator=torch.Generator().manual_seed(0))
    assert clusters.inertia == 0 and sorted(clusters.centre_KE.flatten().tolist()) == [0.0, 1.0, 9.0]
    assert kmeans(points, 6, generator=torch.Generator().manual_seed(0)).inertia == 0, "more centres than places"
