"""d-i. The label y as the latent variable: what the critic's step minimises, and where its optimum lies.

``q(x, y=1) = p(x) / 2``, ``q(x, y=0) = q(x) / 2``; ``p(x, y) = p(y|x) p(x)`` with ``p(y=1|x) = D(x)``. The data's
density is ``real``, the generator's ``fake``; a critic is its logits over the grid.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import gradient, jensen_shannon, kl, line, mismatch, plane, random_mixture, seeded
from motionsynth.theory.expectation import critic_loss

__all__ = ["EXPERIMENTS", "drawing", "label_kl", "scene"]


def scene(seed: int, dimensions: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Grid, data, generator's density and the logits of a critic of no merit, all at random."""
    generator = seeded(seed)
    points_ND = line() if dimensions == 1 else plane()
    real_N = random_mixture(points_ND, 3, generator)
    fake_N = random_mixture(points_ND, 2, generator)
    logit_N = 1.5 * torch.randn(len(points_ND), dtype=torch.float64, generator=generator)
    return points_ND, real_N, fake_N, logit_N


def label_kl(real_N: Tensor, fake_N: Tensor, logit_N: Tensor) -> Tensor:
    """``KL(q(x,y) || p(x,y))`` summed over x and y as the two tables that they are."""
    generative_2N = torch.stack([real_N, fake_N]) - math.log(2)
    inference_2N = torch.stack([F.logsigmoid(logit_N), F.logsigmoid(-logit_N)]) + real_N
    return kl(generative_2N.flatten(), inference_2N.flatten())


@experiment("optimal_critic/label_kl", "d-i", "y为隐变量: KL(q(x,y)||p(x,y))")
def joint_kl(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """KL(q(x,y) || p(x,y)) = 1/2 {E_p[log 1/D] + E_q[log q/((1-D) p)]} - log 2, for any D.

    The notes leave out the constant.
    """
    worst = 0.0
    for seed in range(cases):
        _, real_N, fake_N, logit_N = scene(seed, dimensions)
        on_real = (real_N.exp() * -F.logsigmoid(logit_N)).sum()
        on_fake = (fake_N.exp() * (fake_N - F.logsigmoid(-logit_N) - real_N)).sum()
        written = 0.5 * (on_real + on_fake) - math.log(2)
        worst = max(worst, mismatch([float(written)], [float(label_kl(real_N, fake_N, logit_N))]))
    return Outcome(worst, detail=f"{cases} critics at random")


@experiment("optimal_critic/critic_step", "d-i", "第一步: 固定q(x)求D")
def critic_step(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """The critic's loss has the gradient of 2 KL(q(x,y) || p(x,y)), at any D."""
    worst = 0.0
    for seed in range(cases):
        _, real_N, fake_N, logit_N = scene(seed, dimensions)
        found = gradient(partial(critic_loss, real_N, fake_N), logit_N)
        expected = gradient(partial(label_kl, real_N, fake_N), logit_N)
        worst = max(worst, mismatch(found, 2 * expected))
    return Outcome(worst, detail=f"{cases} critics at random")


def _trained(real_N: Tensor, fake_N: Tensor, steps: int) -> Tensor:
    """The critic's logits after Newton steps from 0 on the product's own loss."""
    logit_N = torch.zeros_like(real_N)
    for _ in range(steps):
        slope_N = gradient(partial(critic_loss, real_N, fake_N), logit_N)
        accuracy_N = torch.sigmoid(logit_N)
        logit_N = logit_N - slope_N / ((real_N.exp() + fake_N.exp()) * accuracy_N * (1 - accuracy_N))
    return logit_N


@experiment("optimal_critic/ratio", "d-i", "D*(x) = p(x)/(p(x)+q(x))")
def ratio(*, seed: int = 0, dimensions: int = 1, steps: int = 100) -> Outcome:
    """The critic trained to the end is D* = p / (p + q)."""
    _, real_N, fake_N, _ = scene(seed, dimensions)
    found_N = torch.sigmoid(_trained(real_N, fake_N, steps))
    expected_N = real_N.exp() / (real_N.exp() + fake_N.exp())
    error = float((found_N - expected_N).abs().max())
    return Outcome(error, detail=f"D* between {float(expected_N.min()):.1g} and {float(expected_N.max()):.6f}")


@experiment("optimal_critic/reversed", "d-i", "D*(x) = p(x)/(p(x)+q(x))", stated="fails")
def reversed_ratio(*, seed: int = 0, dimensions: int = 1, steps: int = 100) -> Outcome:
    """The critic trained to the end is q / (p + q)."""
    _, real_N, fake_N, _ = scene(seed, dimensions)
    found_N = torch.sigmoid(_trained(real_N, fake_N, steps))
    return Outcome(float((found_N - torch.sigmoid(fake_N - real_N)).abs().max()))


@experiment("optimal_critic/value", "d-i", "当前固定的q(x)的最优解")
def value(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At D* the critic's E_p[log D] + E_q[log(1-D)] is 2 JS(p || q) - log 4, the most that any critic has."""
    worst = 0.0
    for seed in range(cases):
        _, real_N, fake_N, logit_N = scene(seed, dimensions)
        best = -float(critic_loss(real_N, fake_N, real_N - fake_N))
        expected = 2 * float(jensen_shannon(real_N, fake_N)) - math.log(4)
        others = [-float(critic_loss(real_N, fake_N, real_N - fake_N + size * logit_N)) for size in (1e-3, 0.1, 1.0)]
        worst = max(worst, abs(best - expected), max(others) - best)
    return Outcome(worst, detail=f"{cases} pairs of densities")


def drawing(*, seed: int = 0) -> Drawing:
    """Both densities and the trained critic."""
    points_ND, real_N, fake_N, _ = scene(seed)
    width = float(points_ND[1, 0] - points_ND[0, 0])
    x = tuple(points_ND[:, 0].tolist())
    critic_N = torch.sigmoid(_trained(real_N, fake_N, 100))
    return Drawing(
        "optimal_critic",
        "The trained critic lies on p/(p+q): 1 where only data are, 0 where only the generator's samples are",
        (
            Series("data p", x, tuple((real_N.exp() / width).tolist()), "reference"),
            Series("generator q", x, tuple((fake_N.exp() / width).tolist()), "generated"),
            Series("critic, trained to the end", x, tuple(critic_N.tolist())),
        ),
        "x",
        "density; D(x)",
    )


EXPERIMENTS: tuple[Experiment, ...] = (joint_kl, critic_step, ratio, reversed_ratio, value)
