"""d-i. The generator's step of the first view: what each loss minimises at the optimal critic.

Two kinds of statement are told apart: of *values*, with the critic optimal for the q at hand, and of *gradients* at
``theta0``, with the critic and ``q0`` held as they are, which is what a generator's step sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import (
    Density,
    jensen_shannon,
    kl,
    line,
    mean,
    middle,
    mismatch,
    mixture,
    plane,
    random_mixture,
    random_parameters,
    seeded,
)
from motionsynth.theory.expectation import critic_loss, generator_loss, minimax_loss
from motionsynth.theory.optimal_critic import scene

__all__ = ["EXPERIMENTS", "drawing", "slopes"]


def slopes(real_N: Tensor, fake: Density, theta_P: Tensor, *, logit_N: Tensor | None = None) -> dict[str, Tensor]:
    """Gradients at theta, by name; the critic is the optimal one unless its logits are given.

    Returns:
        ``notes``: -E_q log D + KL(q || q0); ``non_saturating``: -E_q log D; ``minimax``: E_q log(1 - D);
        and of the divergences ``softened`` 2 KL(p/2 + q/2 || p), ``less_js`` KL(q || p) - 2 JS, ``reverse`` KL(q || p)
        and ``js`` 2 JS.
    """
    theta_P = theta_P.detach().clone()
    frozen_N = fake(theta_P)
    critic_N = real_N - frozen_N if logit_N is None else logit_N
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "notes": lambda q: generator_loss(q, critic_N) + kl(q, frozen_N),
        "non_saturating": lambda q: generator_loss(q, critic_N),
        "minimax": lambda q: minimax_loss(q, critic_N),
        "softened": lambda q: 2 * kl(middle(real_N, q), real_N),
        "less_js": lambda q: kl(q, real_N) - 2 * jensen_shannon(q, real_N),
        "reverse": lambda q: kl(q, real_N),
        "js": lambda q: 2 * jensen_shannon(q, real_N),
    }
    fake_N = fake(theta_P.requires_grad_())
    return {name: torch.autograd.grad(f(fake_N), theta_P, retain_graph=True)[0] for name, f in losses.items()}


def _generator(seed: int, dimensions: int) -> tuple[Tensor, Density, Tensor]:
    """Data, a generator of two Gaussians, and its parameters."""
    generator = seeded(seed)
    points_ND = line() if dimensions == 1 else plane()
    real_N = random_mixture(points_ND, 3, generator)
    return real_N, lambda theta: mixture(points_ND, theta), random_parameters(2, dimensions, generator)


def _compare(cases: int, dimensions: int, pairs: tuple[tuple[str, str], ...], *, optimal: bool = True) -> list[float]:
    """Worst mismatch among the pairs of gradients, of each case."""
    found = []
    for seed in range(cases):
        real_N, fake, theta_P = _generator(seed, dimensions)
        other_N = None if optimal else torch.randn(real_N.shape, dtype=torch.float64, generator=seeded(seed + 500))
        slope = slopes(real_N, fake, theta_P, logit_N=other_N)
        found.append(max(mismatch(slope[a], slope[b]) for a, b in pairs))
    return found


@experiment("first_view/substitution", "d-i", "(1-D) p = D q⁰ 代入")
def substitution(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At the optimal critic of q0, E_q[log q/((1-D) p)] = -E_q[log D] + KL(q || q0), for every q."""
    return Outcome(max(_substituted(cases, dimensions, optimal=True)), detail=f"{cases} critics, 4 q each")


@experiment("first_view/substitution_any_critic", "d-i", "(1-D) p = D q⁰ 代入", stated="fails")
def substitution_any_critic(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At any critic, E_q[log q/((1-D) p)] = -E_q[log D] + KL(q || q0)."""
    return Outcome(min(_substituted(cases, dimensions, optimal=False)), detail=f"{cases} critics, 4 q each")


def _substituted(cases: int, dimensions: int, *, optimal: bool) -> list[float]:
    """Largest mismatch over four q, of each critic."""
    found = []
    for seed in range(cases):
        points_ND, real_N, before_N, logit_N = scene(seed, dimensions)
        critic_N = real_N - before_N if optimal else logit_N
        worst = 0.0
        for other in range(4):
            fake_N = random_mixture(points_ND, 2, seeded(100 * seed + other + 1))
            left = mean(fake_N, fake_N - F.logsigmoid(-critic_N) - real_N)
            right = generator_loss(fake_N, critic_N) + kl(fake_N, before_N)
            worst = max(worst, mismatch([float(left)], [float(right)]))
        found.append(worst)
    return found


def _values(cases: int, dimensions: int) -> list[dict[str, float]]:
    """Losses and divergences at the critic that is optimal for each q, natural logarithms."""
    rows = []
    for seed in range(cases):
        _, real_N, fake_N, _ = scene(seed, dimensions)
        half_N, critic_N = middle(real_N, fake_N), real_N - fake_N
        whole = mean(real_N, -F.logsigmoid(critic_N)) + mean(fake_N, fake_N - F.logsigmoid(-critic_N) - real_N)
        rows.append(
            {
                "whole": float(whole),
                "non_saturating": float(generator_loss(fake_N, critic_N)),
                "minimax": -float(critic_loss(real_N, fake_N, critic_N)),
                "softened": 2 * float(kl(half_N, real_N)),
                "less_js": float(kl(fake_N, real_N) - 2 * jensen_shannon(real_N, fake_N)),
                "back": float(kl(real_N, half_N)),
                "js": 2 * float(jensen_shannon(real_N, fake_N)),
            }
        )
    return rows


@experiment("first_view/value", "d-i", "min KL(q(x,y)||p(x,y))")
def whole_value(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At the optimal critic the notes' whole objective, E_p[log 1/D] + E_q[log q/((1-D) p)], is 2 KL(p/2+q/2 || p) +
    log 4.
    """
    rows = _values(cases, dimensions)
    return Outcome(max(mismatch([row["whole"]], [row["softened"] + math.log(4)]) for row in rows), detail=f"{cases} q")


@experiment("first_view/softened", "d-i", "reverse KL")
def softened(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """KL(q || p) - 2 JS(p || q) = 2 KL(p/2 + q/2 || p), in value: reverse KL, softened."""
    rows = _values(cases, dimensions)
    return Outcome(max(mismatch([row["less_js"]], [row["softened"]]) for row in rows), detail=f"{cases} pairs")


@experiment("first_view/gradients", "d-i", "G的优化目标")
def gradients(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At theta0 and D*, four have one gradient: -E_q[log D] + KL(q || q0), -E_q[log D], 2 KL(p/2+q/2 || p), KL(q || p)
    - 2 JS.
    """
    pairs = (("notes", "softened"), ("non_saturating", "softened"), ("less_js", "softened"))
    return Outcome(max(_compare(cases, dimensions, pairs)), detail=f"{cases} generators")


@experiment("first_view/gradients_any_critic", "d-i", "G的优化目标", stated="fails")
def gradients_any_critic(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At any D the non-saturating loss has the gradient of 2 KL(p/2+q/2 || p)."""
    found = _compare(cases, dimensions, (("non_saturating", "softened"),), optimal=False)
    return Outcome(min(found), detail=f"{cases} generators")


@experiment("first_view/plain_reverse_kl", "d-i 1)", "最小化的KL是reverse KL", stated="fails")
def plain_reverse_kl(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """At D* the non-saturating loss has the gradient of reverse KL(q || p) itself."""
    return Outcome(min(_compare(cases, dimensions, (("non_saturating", "reverse"),))), detail=f"{cases} generators")


@experiment("first_view/non_saturating_value", "d-i", "GAN中常用的G的loss")
def non_saturating_value(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """In value, the non-saturating loss at its optimal critic is 2 KL(p/2+q/2 || p) + KL(p || p/2+q/2) + log 2."""
    rows = _values(cases, dimensions)
    wrong = [mismatch([r["non_saturating"]], [r["softened"] + r["back"] + math.log(2)]) for r in rows]
    return Outcome(
        max(wrong),
        detail=f"KL(p || p/2+q/2) of {min(r['back'] for r in rows):.3f} to {max(r['back'] for r in rows):.3f}",
    )


@experiment("first_view/non_saturating_value_constant", "d-i", "GAN中常用的G的loss", stated="fails")
def non_saturating_value_constant(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """In value, the non-saturating loss at its optimal critic is 2 KL(p/2+q/2 || p) plus a constant."""
    offsets = [row["non_saturating"] - row["softened"] for row in _values(cases, dimensions)]
    return Outcome(
        max(offsets) - min(offsets), detail=f"the 'constant' runs from {min(offsets):.3f} to {max(offsets):.3f}"
    )


@experiment("first_view/minimax", "d-i", "判别器的目标")
def minimax(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """The minimax loss at D* is 2 JS - log 4 in value, and has the gradient of 2 JS with D* held."""
    values = max(mismatch([row["minimax"]], [row["js"] - math.log(4)]) for row in _values(cases, dimensions))
    return Outcome(max(values, *_compare(cases, dimensions, (("minimax", "js"),))), detail=f"{cases} generators")


@experiment("first_view/minimax_reverse_kl", "d-i 5)", "GAN优化的是reverse KL", stated="fails")
def minimax_reverse_kl(*, cases: int = 6, dimensions: int = 1) -> Outcome:
    """The minimax loss at D* has the gradient of the notes' objective, a reverse KL."""
    return Outcome(min(_compare(cases, dimensions, (("minimax", "notes"),))), detail=f"{cases} generators")


def drawing() -> Drawing:
    """Losses and divergences while the generator's one Gaussian moves over data of two modes."""
    points_ND = line()
    data = torch.tensor([0.6, -2.0, -0.7, 0.0, 2.0, -0.7], dtype=torch.float64)
    real_N = mixture(points_ND, data)
    places = torch.linspace(-4, 4, 81, dtype=torch.float64)
    curves: dict[str, list[float]] = {"softened": [], "reverse": [], "js": []}
    held = []
    at = mixture(points_ND, torch.tensor([0.0, 0.5, -0.5], dtype=torch.float64))
    at_value = float(2 * kl(middle(real_N, at), real_N) - generator_loss(at, real_N - at))
    for place in places:
        fake_N = mixture(points_ND, torch.stack([torch.zeros(()), place, torch.tensor(-0.5)]).double())
        curves["softened"].append(float(2 * kl(middle(real_N, fake_N), real_N)))
        curves["reverse"].append(float(kl(fake_N, real_N)))
        curves["js"].append(float(2 * jensen_shannon(fake_N, real_N)))
        held.append(float(generator_loss(fake_N, real_N - at) + kl(fake_N, at)) + at_value)
    x = tuple(places.tolist())
    near = [place for place, where in enumerate(x) if abs(where - 0.5) < 1.3]
    return Drawing(
        "first_view",
        "The notes' objective with its critic held, shifted to meet 2 KL(p/2+q/2 || p) at theta0 = 0.5, "
        "touches it there and nowhere else",
        (
            Series("2 KL(p/2+q/2 || p)", x, tuple(curves["softened"]), "reference"),
            Series(
                "-E log D + KL(q || q0), D held", tuple(x[i] for i in near), tuple(held[i] for i in near), "generated"
            ),
            Series("KL(q || p)", x, tuple(curves["reverse"])),
            Series("2 JS", x, tuple(curves["js"])),
        ),
        "place of the generator's Gaussian",
        "nats",
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    substitution, substitution_any_critic, whole_value, softened, gradients, gradients_any_critic, plain_reverse_kl,
    non_saturating_value, non_saturating_value_constant, minimax, minimax_reverse_kl,
)  # fmt: skip
