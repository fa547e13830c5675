"""Steps that play E and M: the critic and the generator in the notes' two views.

First view: the critic infers y, as E; the generator re-estimates q(x|y), as M; both lower ``KL(q(x,y) || p(x,y))``.
Second view: the generator infers x, as E; the critic re-estimates q(y|x), as M; but E is told the labels reversed.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import gradient, kl, mean, middle, mismatch, mixture, random_parameters, seeded, slope
from motionsynth.theory.expectation import critic_loss, generator_loss
from motionsynth.theory.optimal_critic import label_kl, scene

__all__ = ["EXPERIMENTS", "drawing"]


@experiment("roles/first_critic_e", "d-i 3)", "EM的E步, 先训练D, 也是后验p(y|x)")
def first_critic_e(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """First view, D is E: KL(q(x,y) || p(x,y)) = E_x KL(q(y|x) || D(x)) + KL(p/2+q/2 || p), and D* closes the first
    term.
    """
    worst = 0.0
    for seed in range(cases):
        _, real_N, fake_N, logit_N = scene(seed, dimensions)
        half_N = middle(real_N, fake_N)

        def labels(logit: Tensor) -> Tensor:
            return torch.stack([F.logsigmoid(logit), F.logsigmoid(-logit)], 1)

        inferred = mean(half_N, kl(labels(real_N - fake_N), labels(logit_N)))
        whole, rest = label_kl(real_N, fake_N, logit_N), kl(half_N, real_N)
        closed = label_kl(real_N, fake_N, real_N - fake_N) - rest
        worst = max(worst, mismatch([float(whole)], [float(inferred + rest)]), abs(float(closed)))
    return Outcome(worst, detail=f"{cases} critics")


def _alternate(seed: int, steps: int, *, held_back: bool) -> tuple[list[float], list[float]]:
    """KL(q(x,y) || p(x,y)) after each exact D step, and KL(q || p); the G step takes its exact minimum over all q.

    The minimum of ``-E_q log D + KL(q || q0)`` is ``q`` proportional to ``D q0``; of ``-E_q log D`` alone one point.
    """
    _, real_N, fake_N, _ = scene(seed)
    joints, distances = [], []
    for _ in range(steps):
        critic_N = real_N - fake_N
        joints.append(float(label_kl(real_N, fake_N, critic_N)))
        distances.append(float(kl(fake_N, real_N)))
        favour_N = F.logsigmoid(critic_N)
        if held_back:
            fake_N = F.log_softmax(favour_N + fake_N, 0)
        else:  # e^-60 elsewhere, so that logarithms stay finite
            fake_N = F.log_softmax(60.0 * F.one_hot(favour_N.argmax(), len(favour_N)).double(), 0)
    return joints, distances


@experiment("roles/first_alternation", "d-i 3)", "GAN和EM很像")
def first_alternation(*, cases: int = 6, steps: int = 300) -> Outcome:
    """First view: exact D and G steps on the notes' objective never raise KL(q(x,y) || p(x,y)), as EM, and reach p."""
    rises, ends, starts = [], [], []
    for seed in range(cases):
        joints, distances = _alternate(seed, steps, held_back=True)
        rises.append(max(b - a for a, b in pairwise(joints)))
        starts.append(distances[0])
        ends.append(distances[-1])
    detail = f"KL(q || p) from {max(starts):.2f} to {max(ends):.1e} nats in {steps} steps"
    return Outcome(max(*rises, *ends, 0.0), detail=detail)


@experiment("roles/first_without_kl", "d-i", "原始GAN的loss其实是一个被低估了的loss", stated="fails")
def first_without_kl(*, cases: int = 6, steps: int = 12) -> Outcome:
    """First view: exact D and G steps without KL(q || q0) never raise KL(q(x,y) || p(x,y))."""
    rises = []
    for seed in range(cases):
        joints, _ = _alternate(seed, steps, held_back=False)
        rises.append(max(b - a for a, b in pairwise(joints)))
    return Outcome(min(rises), detail=f"rises of {min(rises):.2f} to {max(rises):.2f} nats")


def _second_e(seed: int, *, held_back: bool) -> float:
    """Norm of the gradient over all densities of the generator's loss, at q^r(x|y=0)."""
    _, data_N, fake_N, logit_N = scene(seed)
    before_N = middle(fake_N, data_N)
    target_N = F.log_softmax(F.logsigmoid(logit_N) + before_N, 0)

    def loss(free_N: Tensor) -> Tensor:
        free_N = F.log_softmax(free_N, 0)
        return generator_loss(free_N, logit_N) + held_back * kl(free_N, before_N)

    return float(gradient(loss, target_N).abs().sum())


@experiment("roles/second_generator_e", "d-ii", "EM算法的E步, 式子(1)")
def second_generator_e(*, cases: int = 6) -> Outcome:
    """Second view, G is E: with KL(p(x|y) || p_theta0(x)) added its optimum over all densities is q^r(x|y), the
    posterior.
    """
    return Outcome(max(_second_e(seed, held_back=True) for seed in range(cases)), detail=f"{cases} critics")


@experiment("roles/second_generator_bare", "d-ii", "缺少了一个限制后验p(x|y)和q(x)之间距离的正则项", stated="fails")
def second_generator_bare(*, cases: int = 6) -> Outcome:
    """Second view, G is E as it stands: without that term its optimum over all densities is q^r(x|y), the posterior."""
    return Outcome(min(_second_e(seed, held_back=False) for seed in range(cases)), detail=f"{cases} critics")


@experiment("roles/second_critic_m", "d-ii", "EM算法的M步, (2)式")
def second_critic_m(*, cases: int = 6) -> Outcome:
    """Second view, D is M: it maximises E_{p(y) p(x|y)}[log q(y|x) p_theta0(x)], the expected log-likelihood."""
    worst = 0.0
    for seed in range(cases):
        _, data_N, fake_N, logit_N = scene(seed)
        prior_N = middle(fake_N, data_N)
        inferred_2N = torch.stack([fake_N, data_N])

        def expected(logit: Tensor, inferred: Tensor = inferred_2N, prior: Tensor = prior_N) -> Tensor:
            return mean(inferred, torch.stack([F.logsigmoid(-logit), F.logsigmoid(logit)]) + prior).sum()

        found = gradient(partial(critic_loss, data_N, fake_N), logit_N)
        worst = max(worst, mismatch(-found, gradient(expected, logit_N)))
    return Outcome(worst, detail=f"{cases} critics")


@experiment("roles/second_one_objective", "d-ii", "对抗关系", stated="fails")
def second_one_objective(*, cases: int = 6, rate: float = 0.05) -> Outcome:
    """Second view: G's step lowers the loss that D's step lowers, as E and M lower one."""
    rises = []
    for seed in range(cases):
        points_ND, data_N, _, _ = scene(seed)
        theta_P = random_parameters(2, 1, seeded(seed + 50))
        logit_N = data_N - mixture(points_ND, theta_P)
        slope_P = slope(partial(generator_loss, logit_N=logit_N), partial(mixture, points_ND), theta_P)
        before, after = (
            float(critic_loss(data_N, mixture(points_ND, theta), logit_N))
            for theta in (theta_P, theta_P - rate * slope_P)
        )
        rises.append((after - before) / (rate * float(slope_P.square().sum())))
    return Outcome(min(rises), detail=f"D's loss rises by {min(rises):.2f} to {max(rises):.2f} of G's descent")


def drawing(*, seed: int = 0) -> Drawing:
    """The joint KL over exact alternations, with the KL to the last generator and without."""
    steps = 20
    x = tuple(float(step) for step in range(steps))
    return Drawing(
        "roles",
        "With KL(q || q0) the alternation of critic and generator descends as EM does; without it the "
        "generator collapses at once",
        (
            Series("-E log D + KL(q || q0)", x, tuple(_alternate(seed, steps, held_back=True)[0]), "reference"),
            Series("-E log D alone", x, tuple(_alternate(seed, steps, held_back=False)[0]), "generated"),
        ),
        "exact D and G steps",
        "KL(q(x,y) || p(x,y)) (nats)",
        y_scale="log",
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    first_critic_e, first_alternation, first_without_kl, second_generator_e, second_generator_bare, second_critic_m,
    second_one_objective,
)  # fmt: skip
