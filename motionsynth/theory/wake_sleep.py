"""d-ii, the wake-sleep algorithm: wake and sleep are the two directions of KL between the joints.

Wake draws x from the data and h from the recogniser q(h|x), and teaches the generator p(x|h); sleep draws h and x from
the generator's p(x, h), and teaches the recogniser. The VAE is wake for both networks; the GAN's critic is sleep with
y as h.

Shapes: H points of h, N of x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import (
    gradient,
    kl,
    line,
    mean,
    mismatch,
    mixture,
    normal,
    random_mixture,
    random_parameters,
    seeded,
    slope,
)
from motionsynth.theory.expectation import critic_loss, generator_loss

__all__ = ["EXPERIMENTS", "drawing"]


@dataclass(frozen=True, slots=True)
class _Machine:
    """A Helmholtz machine on grids: a curved Gaussian generator and a Gaussian recogniser."""

    hidden_H1: Tensor
    prior_H: Tensor
    points_N1: Tensor
    data_N: Tensor
    generator_P: Tensor
    recogniser_P: Tensor

    def model_HN(self, theta_P: Tensor) -> Tensor:
        """``log p(x, h)``."""
        place_H1 = theta_P[0] * self.hidden_H1 + theta_P[1] * torch.sin(2 * self.hidden_H1) + theta_P[2]
        return self.prior_H.unsqueeze(1) + normal(self.points_N1, place_H1, theta_P[3].exp().expand_as(place_H1))

    def recognised_HN(self, eta_P: Tensor) -> Tensor:
        """``log q(h|x)``."""
        place_N1 = eta_P[0] * self.points_N1 + eta_P[1]
        return normal(self.hidden_H1, place_N1, eta_P[2].exp().expand_as(place_N1)).T

    def inference_HN(self, eta_P: Tensor) -> Tensor:
        """``log q(h|x) p_data(x)``."""
        return self.recognised_HN(eta_P) + self.data_N

    def wake(self, theta_P: Tensor, eta_P: Tensor) -> Tensor:
        """``E_{p_data(x) q(h|x)}[-log p(x|h)]``: what the generator minimises while awake (the prior of h is fixed)."""
        log_HN = self.model_HN(theta_P) - self.prior_H.unsqueeze(1)
        return -(self.inference_HN(eta_P).exp() * log_HN).sum()

    def sleep(self, theta_P: Tensor, eta_P: Tensor) -> Tensor:
        """``E_{p(x,h)}[-log q(h|x)]``: what the recogniser minimises while asleep."""
        return -(self.model_HN(theta_P).exp() * self.recognised_HN(eta_P)).sum()

    def forward(self, theta_P: Tensor, eta_P: Tensor) -> Tensor:
        """``KL(p_data(x) q(h|x) || p(x, h))``, the VAE's."""
        return kl(self.inference_HN(eta_P).flatten(), self.model_HN(theta_P).flatten())

    def backward(self, theta_P: Tensor, eta_P: Tensor) -> Tensor:
        """``KL(p(x, h) || p(x) q(h|x))``: over dreams, from the true posterior to the recogniser."""
        model_HN = self.model_HN(theta_P)
        dreams_N = model_HN.logsumexp(0)
        return mean(dreams_N, kl((model_HN - dreams_N).T, self.recognised_HN(eta_P).T))


def _machine(seed: int) -> _Machine:
    generator = seeded(seed)
    hidden_H1, points_N1 = line(4.0, 61), line(6.0, 61)
    prior_H = normal(hidden_H1, torch.zeros(1).double(), torch.ones(1).double())
    theta_P, eta_P = (
        torch.tensor(base, dtype=torch.float64) + 0.2 * torch.randn(len(base), dtype=torch.float64, generator=generator)
        for base in ([1.0, 1.2, 0.0, -0.5], [0.5, 0.1, -0.6])
    )
    return _Machine(hidden_H1, prior_H, points_N1, random_mixture(points_N1, 3, generator), theta_P, eta_P)


Objective = Callable[[_Machine, Tensor, Tensor], Tensor]


def _compare(cases: int, first: Objective, second: Objective, learns: str) -> list[float]:
    """Mismatch of the gradients of two objectives for the network that learns."""
    machines = [_machine(seed) for seed in range(cases)]
    return [mismatch(_slope(machine, first, learns), _slope(machine, second, learns)) for machine in machines]


def _slope(machine: _Machine, objective: Objective, learns: str) -> Tensor:
    if learns == "generator":
        return gradient(lambda theta_P: objective(machine, theta_P, machine.recogniser_P), machine.generator_P)
    return gradient(lambda eta_P: objective(machine, machine.generator_P, eta_P), machine.recogniser_P)


@experiment("wake_sleep/wake", "d-ii", "wake: 最大化基于后验分布的似然期望")
def wake(*, cases: int = 4) -> Outcome:
    """Wake, max E_{q(h|x)}[log p(x|h)] over the generator, descends the forward KL(p_data(x) q(h|x) || p(x,h))."""
    return Outcome(max(_compare(cases, _Machine.wake, _Machine.forward, "generator")), detail=f"{cases} machines")


@experiment("wake_sleep/sleep", "d-ii", "sleep: 优化隐变量的后验分布")
def sleep(*, cases: int = 4) -> Outcome:
    """Sleep, max E_{p(x,h)}[log q(h|x)] over the recogniser, descends the other direction, KL(p(x,h) || q(h|x)
    p(x)).
    """
    return Outcome(max(_compare(cases, _Machine.sleep, _Machine.backward, "recogniser")), detail=f"{cases} machines")


@experiment("wake_sleep/sleep_e_step", "d-ii", "Sleep阶段对应EM的E", stated="fails")
def sleep_e_step(*, cases: int = 4) -> Outcome:
    """Sleep descends what the E step minimises, E_x KL(q(h|x) || p(h|x)) over the data."""
    return Outcome(min(_compare(cases, _Machine.sleep, _Machine.forward, "recogniser")), detail=f"{cases} machines")


@experiment("wake_sleep/sleep_optimum", "d-ii", "Sleep阶段对应EM的E")
def sleep_optimum(*, cases: int = 4) -> Outcome:
    """A recogniser of any shape ends asleep where the E step does, at the exact posterior."""
    worst = 0.0
    for seed in range(cases):
        machine = _machine(seed)
        model_HN = machine.model_HN(machine.generator_P)
        posterior_HN = model_HN.log_softmax(0)

        def loss(logit: Tensor, model: Tensor = model_HN) -> Tensor:
            return -(model.exp() * logit.view(model.shape).log_softmax(0)).sum()

        slope = gradient(loss, posterior_HN.flatten())
        other = machine.recognised_HN(machine.recogniser_P)
        excess = loss(other.flatten()) - loss(posterior_HN.flatten())
        expected = machine.backward(machine.generator_P, machine.recogniser_P)
        worst = max(worst, float(slope.abs().max()), mismatch([float(excess)], [float(expected)]))
    return Outcome(worst, detail=f"{cases} machines")


@experiment("wake_sleep/vae_decoder", "d-ii", "相当于VAE的decoder")
def vae_decoder(*, cases: int = 4) -> Outcome:
    """The VAE's decoder gets wake's gradient."""
    return Outcome(max(_compare(cases, _Machine.wake, _vae, "generator")), detail=f"{cases} machines")


def _vae(machine: _Machine, theta_P: Tensor, eta_P: Tensor) -> Tensor:
    """``E_x[E -log p(x|h) + KL(q(h|x) || p(h))]``."""
    prior = mean(machine.data_N, kl(machine.recognised_HN(eta_P).T, machine.prior_H))
    return machine.wake(theta_P, eta_P) + prior


@experiment("wake_sleep/vae_encoder", "d-ii", "VAE扩展了wake阶段")
def vae_encoder(*, cases: int = 4) -> Outcome:
    """The VAE extends wake: its encoder descends the same KL(p_data(x) q(h|x) || p(x,h)) as its decoder."""
    return Outcome(max(_compare(cases, _vae, _Machine.forward, "recogniser")), detail=f"{cases} machines")


@experiment("wake_sleep/vae_encoder_sleep", "d-ii", "VAE扩展了wake阶段", stated="fails")
def vae_encoder_sleep(*, cases: int = 4) -> Outcome:
    """The VAE's encoder learns as the recogniser does asleep."""
    return Outcome(min(_compare(cases, _vae, _Machine.sleep, "recogniser")), detail=f"{cases} machines")


def _game(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Grid, data, parameters of a generator and a critic's logits."""
    generator = seeded(seed)
    points_ND = line()
    data_N = random_mixture(points_ND, 3, generator)
    theta_P = random_parameters(2, 1, generator)
    return points_ND, data_N, theta_P, torch.randn(len(points_ND), dtype=torch.float64, generator=generator)


def _asleep(real_N: Tensor, fake_N: Tensor, log_2N: Tensor) -> Tensor:
    """Sleep with the label as h: ``E_{p(y) p(x|y)}[-log q(y|x)]``, y = 0 for what is generated."""
    return -0.5 * mean(torch.stack([fake_N, real_N]), log_2N).sum()


@experiment("wake_sleep/gan_critic", "d-ii", "相当于GAN的discriminator")
def gan_critic(*, cases: int = 4) -> Outcome:
    """The GAN's critic is the recogniser asleep with the label y as h: its loss is sleep's, twice."""
    worst = 0.0
    for seed in range(cases):
        points_ND, data_N, theta_P, logit_N = _game(seed)
        fake_N = mixture(points_ND, theta_P)
        dreamt = _asleep(data_N, fake_N, torch.stack([F.logsigmoid(-logit_N), F.logsigmoid(logit_N)]))
        worst = max(worst, mismatch([float(critic_loss(data_N, fake_N, logit_N))], [2 * float(dreamt)]))
    return Outcome(worst, detail=f"{cases} critics")


@experiment("wake_sleep/gan_generator", "d-ii", "GAN扩展了sleep阶段")
def gan_generator(*, cases: int = 4) -> Outcome:
    """The GAN extends sleep: its generator descends sleep's loss with the labels exchanged, twice."""
    worst = 0.0
    for seed in range(cases):
        points_ND, data_N, theta_P, logit_N = _game(seed)
        exchanged_2N = torch.stack([F.logsigmoid(logit_N), F.logsigmoid(-logit_N)])
        fake = partial(mixture, points_ND)
        found = slope(partial(generator_loss, logit_N=logit_N), fake, theta_P)
        expected = 2 * slope(partial(_asleep, data_N, log_2N=exchanged_2N), fake, theta_P)
        worst = max(worst, mismatch(found, expected))
    return Outcome(worst, detail=f"{cases} generators")


def _fitted(posterior_H: Tensor, hidden_H1: Tensor, *, asleep: bool) -> Tensor:
    """The Gaussian that minimises KL to (asleep) or from (awake) a posterior; the best of several starts."""
    from scipy.optimize import minimize

    def value(theta: Tensor) -> Tensor:
        gaussian_H = normal(hidden_H1, theta[:1], theta[1:].exp())
        return kl(posterior_H, gaussian_H) if asleep else kl(gaussian_H, posterior_H)

    def both(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        tensor = torch.from_numpy(theta)
        return float(value(tensor)), gradient(value, tensor).numpy()

    starts = [np.array([place, scale]) for place in (-1.5, 0.0, 1.5) for scale in (-1.0, 0.0)]
    found = min((minimize(both, start, jac=True, method="BFGS") for start in starts), key=lambda done: float(done.fun))
    theta = torch.from_numpy(found.x)
    return normal(hidden_H1, theta[:1], theta[1:].exp())


def _bimodal() -> tuple[Tensor, Tensor]:
    """Points of h, and the posterior of an h whose sign x does not tell."""
    hidden_H1 = line(5.0, 201)
    return hidden_H1, mixture(hidden_H1, torch.tensor([0.3, -1.5, -0.9, 0.0, 1.5, -0.9], dtype=torch.float64))


def _moments(log_H: Tensor, hidden_H1: Tensor) -> tuple[float, float]:
    centre = mean(log_H, hidden_H1[:, 0])
    return float(centre), float(mean(log_H, (hidden_H1[:, 0] - centre).square()))


@experiment("wake_sleep/sleep_covers", "d-ii", "优化推断q(h|x)")
def sleep_covers() -> Outcome:
    """A Gaussian recogniser taught asleep has the mean and variance of a bimodal posterior: it covers both modes."""
    hidden_H1, posterior_H = _bimodal()
    found = _moments(_fitted(posterior_H, hidden_H1, asleep=True), hidden_H1)
    expected = _moments(posterior_H, hidden_H1)
    detail = f"mean and variance {found[0]:.3f}, {found[1]:.3f}"
    return Outcome(mismatch(found, expected), 1e-5, detail)


@experiment("wake_sleep/vae_covers", "d-ii", "优化推断q(h|x)", stated="fails")
def vae_covers() -> Outcome:
    """A Gaussian encoder taught as the VAE's has the mean and variance of a bimodal posterior."""
    hidden_H1, posterior_H = _bimodal()
    found = _moments(_fitted(posterior_H, hidden_H1, asleep=False), hidden_H1)
    expected = _moments(posterior_H, hidden_H1)
    detail = f"mean and variance {found[0]:.3f}, {found[1]:.3f}, not {expected[0]:.3f}, {expected[1]:.3f}"
    return Outcome(mismatch(found, expected), 1e-5, detail)


def drawing() -> Drawing:
    """A bimodal posterior and the Gaussian of either direction."""
    hidden_H1, posterior_H = _bimodal()
    width = float(hidden_H1[1, 0] - hidden_H1[0, 0])
    x = tuple(hidden_H1[:, 0].tolist())

    def density(log_H: Tensor) -> tuple[float, ...]:
        return tuple((log_H.exp() / width).tolist())

    return Drawing(
        "wake_sleep",
        "Where the posterior has two modes a Gaussian taught asleep covers both, one taught as the VAE's "
        "encoder picks one",
        (
            Series("true posterior p(h|x)", x, density(posterior_H), "reference"),
            Series("sleep: KL(p(h|x) || q(h|x))", x, density(_fitted(posterior_H, hidden_H1, asleep=True))),
            Series("VAE: KL(q(h|x) || p(h|x))", x, density(_fitted(posterior_H, hidden_H1, asleep=False)), "generated"),
        ),
        "h",
        "density",
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    wake, sleep, sleep_e_step, sleep_optimum, vae_decoder, vae_encoder, vae_encoder_sleep, gan_critic, gan_generator,
    sleep_covers, vae_covers,
)  # fmt: skip
