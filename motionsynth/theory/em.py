"""b. Expectation maximisation: exact posterior, a bound that touches, a likelihood that never falls.

The data are masses w_N over the points of a grid; the model is a Gaussian mixture; ``r_NK = p(z=k|x)``.
Free energy ``F(r, q) = E_x sum_k r log(q(x, z=k) / r)``, which is ``-KL(p(x,z) || q(x,z))`` up to the data's entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import gradient, kl, line, mismatch, random_mixture, seeded

__all__ = ["EXPERIMENTS", "drawing"]

_FLOOR = 1e-3
"""Smallest variance: far below any that is reached, it only guards the hard steps, which can empty a component."""


@dataclass(frozen=True, slots=True)
class _Mixture:
    log_weight_K: Tensor
    mean_K: Tensor
    variance_K: Tensor

    def log_joint(self, points_N1: Tensor) -> Tensor:
        """(N, K) ``log q(x, z)``, as a density."""
        squared_NK = (points_N1 - self.mean_K).square() / self.variance_K
        return self.log_weight_K - 0.5 * (squared_NK + torch.log(2 * torch.pi * self.variance_K))


def _start(components: int, seed: int) -> tuple[Tensor, Tensor, _Mixture]:
    """Grid, data and a model drawn at random."""
    generator = seeded(seed)
    points_N1 = line(6.0, 161)
    data_N = random_mixture(points_N1, 4, generator)
    means_K = 2 * torch.randn(components, dtype=torch.float64, generator=generator)
    level_K = torch.full((components,), 1 / components, dtype=torch.float64)
    return points_N1, data_N, _Mixture(level_K.log(), means_K, torch.ones_like(means_K))


def _free_energy(data_N: Tensor, log_r_NK: Tensor, log_joint_NK: Tensor) -> Tensor:
    inside_N = (log_r_NK.exp() * (log_joint_NK - log_r_NK.clamp_min(-700))).sum(1)  # 0 log 0 = 0
    return (data_N.exp() * inside_N).sum()


def _likelihood(data_N: Tensor, log_joint_NK: Tensor) -> Tensor:
    return (data_N.exp() * log_joint_NK.logsumexp(1)).sum()


def _maximise(points_N1: Tensor, data_N: Tensor, log_r_NK: Tensor) -> _Mixture:
    """The M step in closed form."""
    mass_NK = data_N.exp().unsqueeze(1) * log_r_NK.exp()
    total_K = mass_NK.sum(0).clamp_min(1e-300)
    mean_K = (mass_NK * points_N1).sum(0) / total_K
    variance_K = (mass_NK * (points_N1 - mean_K).square()).sum(0) / total_K
    return _Mixture((total_K / total_K.sum()).log(), mean_K, variance_K.clamp_min(_FLOOR))


def _soft(log_joint_NK: Tensor) -> Tensor:
    return log_joint_NK.log_softmax(1)


def _hard(log_joint_NK: Tensor) -> Tensor:
    """Each point to its likeliest component, as in k-means."""
    return F.one_hot(log_joint_NK.argmax(1), log_joint_NK.shape[1]).to(log_joint_NK.dtype).log()


def _random_posterior(shape: torch.Size, seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=seeded(seed + 1000)).log_softmax(1)


@experiment("em/joint_kl", "b", "从KL散度推导")
def joint_kl(*, seed: int = 0, components: int = 4) -> Outcome:
    """KL(p(x,z) || q(x,z)) = E_x KL(p(z|x) || q(z|x)) + KL(p(x) || q(x)), for any p(z|x).

    So the joint KL bounds the data's KL from above, and the gap is what the E step closes.
    """
    points_N1, data_N, model = _start(components, seed)
    joint_NK = model.log_joint(points_N1)
    joint_NK = joint_NK - joint_NK.flatten().logsumexp(0)  # renormalised on the grid
    guess_NK = _random_posterior(joint_NK.shape, seed)
    whole = kl((data_N.unsqueeze(1) + guess_NK).flatten(), joint_NK.flatten())
    posterior = (data_N.exp() * kl(guess_NK, _soft(joint_NK))).sum()
    marginal = kl(data_N, joint_NK.logsumexp(1))
    detail = f"{float(whole):.4f} = {float(posterior):.4f} + {float(marginal):.4f} nats"
    return Outcome(mismatch([float(whole)], [float(posterior + marginal)]), detail=detail)


@experiment("em/exact_posterior", "b", "E步: p(z|x) = q(z|x)")
def exact_posterior(*, seed: int = 0, components: int = 4) -> Outcome:
    """The E step's optimum is the exact posterior: the bound touches log q(x) there, and lacks KL(p(z|x) || q(z|x))
    elsewhere.
    """
    points_N1, data_N, model = _start(components, seed)
    joint_NK = model.log_joint(points_N1)
    likelihood = _likelihood(data_N, joint_NK)
    guess_NK = _random_posterior(joint_NK.shape, seed)
    gap = likelihood - _free_energy(data_N, guess_NK, joint_NK)
    expected = (data_N.exp() * kl(guess_NK, _soft(joint_NK))).sum()
    touch = float(abs(likelihood - _free_energy(data_N, _soft(joint_NK), joint_NK)))
    slope = gradient(
        lambda logit: _free_energy(data_N, logit.view(joint_NK.shape).log_softmax(1), joint_NK), joint_NK.flatten()
    )
    error = max(mismatch([float(gap)], [float(expected)]), touch, float(slope.abs().max()))
    return Outcome(error, detail=f"gap of a random p(z|x) {float(gap):.4f} nats, of the exact one {touch:.1g}")


@experiment("em/m_step", "b", "M步: max E[log q(x,z)]")
def m_step(*, seed: int = 0, components: int = 4) -> Outcome:
    """After the E step the M step's objective has the gradient of the data's log-likelihood."""
    return _slopes(seed, components, exact=True)


@experiment("em/m_step_any_posterior", "b", "M步: max E[log q(x,z)]", stated="fails")
def m_step_any_posterior(*, seed: int = 0, components: int = 4) -> Outcome:
    """After any p(z|x), exact or not, the M step's objective has the gradient of the data's log-likelihood."""
    return _slopes(seed, components, exact=False)


def _slopes(seed: int, components: int, *, exact: bool) -> Outcome:
    points_N1, data_N, model = _start(components, seed)
    joint_NK = model.log_joint(points_N1)
    r_NK = (_soft(joint_NK) if exact else _random_posterior(joint_NK.shape, seed)).exp()

    def joint(parameters: Tensor) -> Tensor:
        logit_K, mean_K, log_variance_K = parameters.view(3, -1)
        return _Mixture(logit_K.log_softmax(0), mean_K, log_variance_K.exp()).log_joint(points_N1)

    here = torch.cat([model.log_weight_K, model.mean_K, model.variance_K.log()])
    step = gradient(lambda theta: (data_N.exp() * (r_NK * joint(theta)).sum(1)).sum(), here)
    truth = gradient(lambda theta: _likelihood(data_N, joint(theta)), here)
    return Outcome(mismatch(step, truth), detail=f"|gradient| {float(truth.norm()):.3f}")


def _ascent(seed: int, components: int, steps: int, *, hard_after: int) -> tuple[list[float], list[float]]:
    """Log-likelihood before each E step, and the bound between M and E, over alternations."""
    points_N1, data_N, model = _start(components, seed)
    likelihoods, bounds = [], []
    for step in range(steps):
        joint_NK = model.log_joint(points_N1)
        likelihoods.append(float(_likelihood(data_N, joint_NK)))
        r_NK = (_soft if step < hard_after else _hard)(joint_NK)
        model = _maximise(points_N1, data_N, r_NK)
        bounds.append(float(_free_energy(data_N, r_NK, model.log_joint(points_N1))))
    return likelihoods, bounds


@experiment("em/monotone", "b", "EM: 固定一个求另一个")
def monotone(*, seeds: int = 8, components: int = 4, steps: int = 80) -> Outcome:
    """EM never lowers the log-likelihood: L(t) <= bound after M <= L(t+1), whatever the start."""
    worst, rise = 0.0, 0.0
    for seed in range(seeds):
        likelihoods, bounds = _ascent(seed, components, steps, hard_after=steps)
        pairs = zip(likelihoods[:-1], bounds[:-1], likelihoods[1:], strict=True)
        worst = max([worst, *(max(now - bound, bound - then) for now, bound, then in pairs)])
        rise += (likelihoods[-1] - likelihoods[0]) / seeds
    return Outcome(worst, 1e-12, f"largest fall in {seeds} x {steps} steps; mean rise {rise:.3f} nats")


@experiment("em/monotone_hard", "b", "EM: 固定一个求另一个", stated="fails", margin=1e-3)
def monotone_hard(*, seeds: int = 8, components: int = 4, steps: int = 80) -> Outcome:
    """EM with a hard assignment in the posterior's place never lowers the log-likelihood."""
    falls = []
    for seed in range(seeds):
        likelihoods, _ = _ascent(seed, components, steps, hard_after=steps // 2)
        falls.append(max(now - then for now, then in pairwise(likelihoods)))
    return Outcome(
        min(falls), 1e-12, f"falls of {min(falls):.3f} to {max(falls):.3f} nats after {steps // 2} exact steps"
    )


def drawing(*, seed: int = 0) -> Drawing:
    """Log-likelihood over alternations, soft and hard."""
    steps = tuple(float(step) for step in range(60))
    soft, _ = _ascent(seed, 4, 60, hard_after=60)
    hard, _ = _ascent(seed, 4, 60, hard_after=30)
    return Drawing(
        "em",
        "Log-likelihood over EM steps: with the exact posterior it never falls; with hard assignments from "
        "step 30 it does",
        (
            Series("exact posterior", steps, tuple(soft), "reference"),
            Series("hard assignment from step 30", steps, tuple(hard), "generated"),
        ),
        "EM step",
        "log-likelihood (nats)",
    )


EXPERIMENTS: tuple[Experiment, ...] = (joint_kl, exact_posterior, m_step, m_step_any_posterior, monotone, monotone_hard)
