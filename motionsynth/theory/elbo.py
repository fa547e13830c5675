"""c. VAE and AE: the evidence lower bound where all of it is in closed form, and what its Gaussians do not mean.

The linear model is ``z ~ N(0, I)``, ``x = W z + b + N(0, sigma^2 I)``; encoders are ``N(A x + c, diag(s^2))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from motionsynth.losses.likelihood import gaussian_nll, kl_to_standard_normal
from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import gradient, kl, line, mean, mismatch, normal, random_mixture, seeded

__all__ = ["EXPERIMENTS", "drawing"]


@dataclass(frozen=True, slots=True)
class _Linear:
    """The linear-Gaussian model and data from it."""

    weight_DZ: Tensor
    offset_D: Tensor
    variance: Tensor
    data_ND: Tensor

    @property
    def evidence_N(self) -> Tensor:
        """``log q(x)``, by the marginal's own density."""
        covariance = self.weight_DZ @ self.weight_DZ.T + self.variance * torch.eye(len(self.offset_D)).double()
        found: Tensor = MultivariateNormal(self.offset_D, covariance).log_prob(self.data_ND)  # type: ignore[no-untyped-call]
        return found

    @property
    def posterior_covariance_ZZ(self) -> Tensor:
        precision_ZZ = torch.eye(self.weight_DZ.shape[1]).double() + self.weight_DZ.T @ self.weight_DZ / self.variance
        found: Tensor = torch.linalg.inv(precision_ZZ)
        return found

    @property
    def posterior_mean_NZ(self) -> Tensor:
        return (self.data_ND - self.offset_D) @ self.weight_DZ @ self.posterior_covariance_ZZ / self.variance

    def elbo_N(self, mean_NZ: Tensor, variance_Z: Tensor) -> Tensor:
        """The VAE's bound by the product's losses, ``E log q(x|z)`` over the encoder in closed form."""
        error_N = (self.data_ND - self.offset_D - mean_NZ @ self.weight_DZ.T).square().sum(1)
        spread = (self.weight_DZ.square() * variance_Z).sum()
        count_N = torch.full_like(error_N, self.weight_DZ.shape[0])
        reconstruction_N = gaussian_nll(error_N + spread, count_N, self.variance)
        return -reconstruction_N - kl_to_standard_normal(mean_NZ, variance_Z.log().expand_as(mean_NZ)).sum(1)


def _linear(seed: int, data: int, latent: int, *, orthogonal: bool = False) -> _Linear:
    generator = seeded(seed)
    weight_DZ = torch.randn(data, latent, dtype=torch.float64, generator=generator)
    if orthogonal:
        weight_DZ = torch.linalg.qr(weight_DZ)[0] * torch.arange(1, latent + 1)
    offset_D = torch.randn(data, dtype=torch.float64, generator=generator)
    data_ND = 2 * torch.randn(32, data, dtype=torch.float64, generator=generator)
    return _Linear(weight_DZ, offset_D, torch.tensor(0.3, dtype=torch.float64), data_ND)


@experiment("elbo/gap", "c", "VAE的最终目标")
def gap(*, seed: int = 0, data: int = 6, latent: int = 3) -> Outcome:
    """log q(x) - ELBO(x) = KL(p(z|x) || q(z|x)), from encoder to true posterior, for any encoder."""
    model, generator = _linear(seed, data, latent), seeded(seed + 1)
    slope_DZ = 0.3 * torch.randn(data, latent, dtype=torch.float64, generator=generator)
    variance_Z = torch.rand(latent, dtype=torch.float64, generator=generator) + 0.1
    mean_NZ = model.data_ND @ slope_DZ
    gap_N = model.evidence_N - model.elbo_N(mean_NZ, variance_Z)
    truth = MultivariateNormal(model.posterior_mean_NZ, model.posterior_covariance_ZZ)
    kl_N: Tensor = kl_divergence(MultivariateNormal(mean_NZ, torch.diag(variance_Z)), truth)
    return Outcome(mismatch(gap_N, kl_N), detail=f"gaps of {float(gap_N.min()):.2f} to {float(gap_N.max()):.2f} nats")


def _nonlinear() -> tuple[Tensor, Tensor]:
    """A grid of x and z, and ``log q(x|z)`` (Z, N) of a curved decoder, as log masses over x."""
    points_N1 = line(6.0, 161)
    code_Z = line(5.0, 101)
    means_Z1 = 2.5 * torch.tanh(2 * code_Z) + 0.3 * code_Z
    return code_Z, normal(points_N1, means_Z1, torch.full_like(means_Z1, 0.5))


@experiment("elbo/joint_kl", "c", "min KL(p(x,z)||q(x,z)) + 常数")
def joint_kl(*, seed: int = 0) -> Outcome:
    """The VAE's loss, averaged over x, is the forward KL(p(x,z) || q(x,z)) plus the data's entropy."""
    generator = seeded(seed)
    code_Z1, log_decoder_ZN = _nonlinear()
    data_N = random_mixture(line(6.0, 161), 3, generator)
    prior_Z = normal(code_Z1, torch.zeros(1).double(), torch.ones(1).double())
    encoder_NZ = normal(
        code_Z1, torch.randn(161, 1, dtype=torch.float64, generator=generator), torch.ones(161, 1) * 0.7
    )
    reconstruction_N = -mean(encoder_NZ, log_decoder_ZN.T)
    loss = mean(data_N, reconstruction_N + kl(encoder_NZ, prior_Z))
    joint = kl((data_N.unsqueeze(1) + encoder_NZ).flatten(), (prior_Z + log_decoder_ZN.T).flatten())
    entropy = -mean(data_N, data_N)
    return Outcome(
        mismatch([float(loss)], [float(joint + entropy)]), detail=f"{float(joint):.3f} + {float(entropy):.3f}"
    )


@experiment("elbo/reparameterised", "c", "重参数采样")
def reparameterised(*, seed: int = 0) -> Outcome:
    """z = mean + scale * noise carries the encoder's gradient: it is that of the integral over z."""
    return _encoder_slope(seed, carried=True)


@experiment("elbo/sampled_without", "c", "重参数采样", stated="fails")
def sampled_without(*, seed: int = 0) -> Outcome:
    """A z drawn without reparameterisation carries the encoder's gradient of -E log q(x|z)."""
    return _encoder_slope(seed, carried=False)


def _encoder_slope(seed: int, *, carried: bool) -> Outcome:
    import numpy as np

    seen = torch.randn(1, dtype=torch.float64, generator=seeded(seed))
    encoder = torch.stack([0.4 * seen[0], torch.tensor(-0.5, dtype=torch.float64)])  # mean, log scale

    def log_likelihood(z: Tensor) -> Tensor:
        return -0.5 * ((seen - 2 * torch.sin(z)) / 0.8).square()

    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(60))

    def sampled(theta: Tensor) -> Tensor:
        z = theta[0] + theta[1].exp() * nodes
        inside = log_likelihood(z if carried else z.detach()) + 0 * theta.sum()  # a drawn z is a number
        return (weights / weights.sum() * inside).sum()

    codes = torch.linspace(-12, 12, 4001, dtype=torch.float64)

    def integral(theta: Tensor) -> Tensor:
        return mean(normal(codes.unsqueeze(1), theta[:1], theta[1:].exp()), log_likelihood(codes))

    found, expected = gradient(sampled, encoder), gradient(integral, encoder)
    return Outcome(
        mismatch(found, expected), 1e-8, f"by noise {found.tolist()[0]:.4f}, by integral {expected.tolist()[0]:.4f}"
    )


@experiment("elbo/diagonal_encoder", "c", "encoder输出均值和方差", stated="fails")
def diagonal_encoder(*, seed: int = 0, data: int = 6, latent: int = 3) -> Outcome:
    """A Gaussian encoder with a variance a dimension closes the gap where the posterior is Gaussian."""
    return _best_diagonal(_linear(seed, data, latent))


@experiment("elbo/diagonal_encoder_orthogonal", "c", "encoder输出均值和方差")
def diagonal_encoder_orthogonal(*, seed: int = 0, data: int = 6, latent: int = 3) -> Outcome:
    """A Gaussian encoder with a variance a dimension closes the gap where the decoder's columns are orthogonal."""
    return _best_diagonal(_linear(seed, data, latent, orthogonal=True))


def _best_diagonal(model: _Linear) -> Outcome:
    # the best diagonal Gaussian by KL(p || q): the posterior's mean, and its precision's diagonal
    variance_Z = 1 / torch.linalg.inv(model.posterior_covariance_ZZ).diagonal()
    gap_N = model.evidence_N - model.elbo_N(model.posterior_mean_NZ, variance_Z)
    return Outcome(float(gap_N.abs().max()), detail=f"{float(gap_N.mean()):.4f} nats are left")


@experiment("elbo/gaussian_data", "c", "数据x的分布也是高斯的", stated="fails")
def gaussian_data() -> Outcome:
    """The model's q(x) is Gaussian because q(z), q(x|z) and p(z|x) are."""
    code_Z1, log_decoder_ZN = _nonlinear()
    prior_Z = normal(code_Z1, torch.zeros(1).double(), torch.ones(1).double())
    points_N1 = line(6.0, 161)
    marginal_N = (prior_Z.unsqueeze(1) + log_decoder_ZN).logsumexp(0)
    centre = mean(marginal_N, points_N1[:, 0])
    scale = mean(marginal_N, (points_N1[:, 0] - centre).square()).sqrt()
    distance = float(kl(marginal_N, normal(points_N1, centre.view(1), scale.view(1))))
    return Outcome(distance, detail=f"{distance:.3f} nats from the Gaussian of its moments")


@experiment("elbo/ae_codes", "c", "普通的AE没有生成功能", stated="fails")
def ae_codes(*, seed: int = 0, cases: int = 20) -> Outcome:
    """An autoencoder without reconstruction error has codes that follow N(0, I)."""
    generator = seeded(seed)
    code_NZ = torch.randn(400, 2, dtype=torch.float64, generator=generator)
    weight_DZ = torch.randn(5, 2, dtype=torch.float64, generator=generator)
    data_ND = code_NZ @ weight_DZ.T
    divergences, errors = [], []
    for _ in range(cases):
        # any invertible map of the codes, undone by the decoder, is as good an autoencoder
        turn_ZZ = 2 * torch.randn(2, 2, dtype=torch.float64, generator=generator)
        encoded_NZ = data_ND @ torch.linalg.pinv(weight_DZ).T @ turn_ZZ.T
        decoded_ND = encoded_NZ @ torch.linalg.inv(turn_ZZ).T @ weight_DZ.T
        errors.append(float((decoded_ND - data_ND).abs().max()))
        fitted = MultivariateNormal(encoded_NZ.mean(0), encoded_NZ.T.cov())
        divergences.append(
            float(kl_divergence(fitted, MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())))
        )
    detail = (
        f"{cases} with error below {max(errors):.0e}: codes {min(divergences):.2f} to {max(divergences):.2f} nats away"
    )
    return Outcome(min(divergences) if max(errors) < 1e-6 else float("nan"), detail=detail)


def drawing(*, seed: int = 0) -> Drawing:
    """Bound, evidence, and bound plus divergence, over the encoder's width."""
    model = _linear(seed, 6, 1)
    truth = MultivariateNormal(model.posterior_mean_NZ, model.posterior_covariance_ZZ)
    widths = torch.logspace(-0.8, 0.8, 41, dtype=torch.float64)
    bounds, sums = [], []
    for width in widths:
        covariance_ZZ = model.posterior_covariance_ZZ * width.square()
        bound = model.elbo_N(model.posterior_mean_NZ, covariance_ZZ.diagonal()).mean()
        divergence = kl_divergence(MultivariateNormal(model.posterior_mean_NZ, covariance_ZZ), truth).mean()
        bounds.append(float(bound))
        sums.append(float(bound + divergence))
    x, evidence = tuple(widths.tolist()), float(model.evidence_N.mean())
    return Drawing(
        "elbo",
        "The ELBO touches log q(x) where the encoder is the true posterior; what it lacks is their KL",
        (
            Series("log q(x)", x, (evidence,) * len(x), "reference"),
            Series("ELBO", x, tuple(bounds), "generated"),
            Series("ELBO + KL(p(z|x) || q(z|x))", x, tuple(sums)),
        ),
        "encoder's standard deviation over the posterior's",
        "nats",
        x_scale="log",
        x_ticks=(0.25, 0.5, 1.0, 2.0, 4.0),
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    gap, joint_kl, reparameterised, sampled_without, diagonal_encoder, diagonal_encoder_orthogonal, gaussian_data,
    ae_codes,
)  # fmt: skip
