"""Critics trained to tell two Gaussians, where log p/q and every divergence are known; run it for the table of figures.

The losses are the product's; the critics are small perceptrons, and expectations are over quantiles, so that what is
left is the error of the critic. p is N(0, 1), q is N(mean, spread^2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from motionsynth.losses.adversarial import OBJECTIVES, Objective, r1_penalty
from motionsynth.nn.critic import minibatch_stddev

MEAN, SPREAD = 0.6, 1.2
LOGISTIC = ("nonsaturating", "minimax", "forward_kl", "reverse_kl", "pearson")
VARIATIONAL = ("fgan_forward_kl", "fgan_reverse_kl", "fgan_pearson", "fgan_js")
GRID = torch.linspace(-14, 14, 20001, dtype=torch.float64)


def quantiles(count: int = 1024) -> Tensor:
    """(N, 1) standard normal numbers, evenly spread over its quantiles."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count).float()[:, None]


def log_normal(x: Tensor, mean: Tensor | float, spread: float) -> Tensor:
    return -0.5 * ((x - mean) / spread) ** 2 - math.log(spread * math.sqrt(2 * math.pi))


def log_ratio(x: Tensor) -> Tensor:
    return log_normal(x, 0.0, 1.0) - log_normal(x, MEAN, SPREAD)


def divergence(minimises: str, mean: Tensor) -> Tensor:
    """The divergence between p and q by quadrature; differentiable in the mean of q."""
    log_p, log_q = log_normal(GRID, 0.0, 1.0), log_normal(GRID, mean, SPREAD)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    p, q = log_p.exp(), log_q.exp()
    integrand = {
        "KL(p || q)": p * (log_p - log_q),
        "KL(q || p)": q * (log_q - log_p),
        "2 JSD(p, q)": p * (log_p - log_m) + q * (log_q - log_m),
        "2 KL((p + q)/2 || p)": (p + q) * (log_m - log_p),
        "integral of (p - q)^2 / q": (p - q).square() * (-log_q).exp(),
    }[minimises]
    return torch.trapezoid(integrand, GRID)


def new_critic(inputs: int = 1, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(inputs, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1), nn.Flatten(0)
        )


def over(loss: Callable[[Tensor, Tensor], Tensor], real_N: Tensor, fake_N: Tensor, on_real_N, on_fake_N) -> Tensor:
    """A loss that is a mean over real outputs plus one over generated ones, by weights instead of by draws."""
    none = torch.zeros(1)
    of_real_N = torch.vmap(lambda v: loss(v[None], none))(on_real_N)
    of_fake_N = torch.vmap(lambda v: loss(none, v[None]))(on_fake_N)
    return real_N @ of_real_N + fake_N @ of_fake_N - loss(none, none)


def weights(x: Tensor, mean: float = 0.0, spread: float = 1.0) -> Tensor:
    """(N,) shares of a Gaussian at (N, 1) evenly spread points."""
    return log_normal(x.squeeze(1), mean, spread).softmax(0)


POINTS = torch.linspace(-8, 9, 800)[:, None]
REAL, FAKE = weights(POINTS), weights(POINTS, MEAN, SPREAD)
NOISE = torch.linspace(-6, 6, 600)[:, None]


def train_critic(loss_of: Callable[[nn.Module], Tensor], *, inputs: int = 1, steps=500, clip=None) -> nn.Module:
    """A perceptron that minimises a loss, its weights clipped where asked for."""
    critic = new_critic(inputs)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, steps)
    for _ in range(steps):
        loss = loss_of(critic)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if clip:
            with torch.no_grad():
                for weight in critic.parameters():
                    weight.clamp_(-clip, clip)
    return critic.requires_grad_(False)


def trained(objective: Objective, *, r1: float = 0.0, clip: float | None = None, steps: int = 500) -> nn.Module:
    """The critic of an objective on p and q, with R1 or with its weights clipped where asked for."""

    def loss(critic: nn.Module) -> Tensor:
        output_N = critic(POINTS)
        adversarial = over(objective.critic, REAL, FAKE, output_N, output_N)
        return adversarial + (0.5 * r1 * r1_penalty(critic, quantiles()) if r1 else 0.0)

    return train_critic(loss, clip=clip, steps=steps)


def agreement(objective: Objective, critic: nn.Module) -> tuple[float, float]:
    """Slope of the critic's log-ratio on the true one over p and q, and the root mean squared difference."""
    found_N, true_N = objective.log_ratio(critic(POINTS)), log_ratio(POINTS).squeeze(1)
    share_N = (REAL + FAKE) / 2
    deviation_N = true_N - share_N @ true_N
    slope = (share_N * deviation_N) @ found_N / ((share_N * deviation_N) @ true_N)
    return slope.item(), (share_N @ (found_N - true_N).square()).sqrt().item()


def attained(objective: Objective, critic: nn.Module) -> dict[str, float]:
    """The divergence by critic and exact, and the slopes in q's mean of the generator's loss and of the divergence."""
    mean = torch.tensor(MEAN, requires_grad=True)
    output_N = critic(mean + SPREAD * NOISE)
    loss = weights(NOISE) @ torch.vmap(lambda v: objective.generator(v[None]))(output_N)
    (slope,) = torch.autograd.grad(loss, mean)
    exact_mean = torch.tensor(MEAN, dtype=torch.float64, requires_grad=True)
    exact = divergence(objective.minimises, exact_mean)
    (exact_slope,) = torch.autograd.grad(exact, exact_mean)
    value = over(objective.estimate, REAL, FAKE, critic(POINTS), critic(POINTS))
    names = ("value", "exact", "gradient", "exact_gradient")
    return {name: one.item() for name, one in zip(names, (value, exact, slope, exact_slope), strict=True)}


def trained_in_groups(steps: int = 300) -> tuple[float, float]:
    """As ``agreement``, of a logistic critic that sees beside each number how far its group of four is spread."""
    objective = OBJECTIVES["nonsaturating"]
    generator = torch.Generator().manual_seed(0)

    def seen(x: Tensor) -> Tensor:
        x = x[torch.randperm(len(x), generator=generator)]
        return torch.cat((x, minibatch_stddev(x[:, None], 4)[:, 0]), 1)

    def loss(critic: nn.Module) -> Tensor:
        return objective.critic(critic(seen(quantiles())), critic(seen(MEAN + SPREAD * quantiles())))

    critic = train_critic(loss, inputs=2, steps=steps)
    shown = torch.cat((seen(quantiles()), seen(MEAN + SPREAD * quantiles())))
    true, found = log_ratio(shown[:, :1]).squeeze(1), critic(shown)
    slope = torch.cov(torch.stack((true, found)))[0, 1] / true.var()
    return slope.item(), (found - true).square().mean().sqrt().item()


SPOILT = {
    "nothing": {},
    "R1, gamma 0.1": {"r1": 0.1},
    "R1, gamma 1": {"r1": 1.0},
    "R1, gamma 10": {"r1": 10.0},
    "weights clipped at 0.1": {"clip": 0.1},
}
"""What is done to a critic beside its loss."""


if __name__ == "__main__":
    logistic = OBJECTIVES["nonsaturating"]
    shared = trained(logistic)
    print("| objective | divergence | by the critic | exact | slope of the loss | exact | error of log p/q |")  # noqa: T201
    for name in (*LOGISTIC, *VARIATIONAL):
        game = OBJECTIVES[name]
        critic_of_game = shared if name in LOGISTIC else trained(game)
        row = attained(game, critic_of_game)
        figures = " | ".join(f"{row[key]:.4f}" for key in ("value", "exact", "gradient", "exact_gradient"))
        print(f"| `{name}` | {game.minimises} | {figures} | {agreement(game, critic_of_game)[1]:.3f} |")  # noqa: T201
    for what, settings in SPOILT.items():
        slope, error = agreement(logistic, trained(logistic, **settings))
        print(f"| {what} | {slope:.3f} | {error:.3f} |")  # noqa: T201
    slope, error = trained_in_groups()
    print(f"| groups of 4 | {slope:.3f} | {error:.3f} |")  # noqa: T201
