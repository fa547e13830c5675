"""e. The divergence as a choice: what each adversarial objective of the product descends at its optimal critic.

The notes speak of forward and reverse KL as what VAE and GAN happen to have. With the critic's ratio p/q in hand a
generator can descend either (Nowozin et al. 2016), which is how the two are compared with all else equal.

Data and generator are mixed, 9 to 1 and 1 to 9, so that no ratio reaches the cap of the product's exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor

from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import (
    Density,
    gradient,
    jensen_shannon,
    kl,
    line,
    mean,
    middle,
    mismatch,
    mixture,
    random_mixture,
    random_parameters,
    seeded,
    slope,
)
from motionsynth.theory.expectation import expected_critic, expected_generator

__all__ = ["EXPERIMENTS", "drawing"]

_BEST: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "nonsaturating": lambda s: s,
    "minimax": lambda s: s,
    "forward_kl": lambda s: s,
    "reverse_kl": lambda s: s,
    "pearson": lambda s: s,
    "fgan_forward_kl": lambda s: s + 1,
    "fgan_reverse_kl": lambda s: s,
    "fgan_pearson": lambda s: 2 * s.expm1(),
    "fgan_js": lambda s: s,
    "lsgan": torch.sigmoid,
}
"""Objective -> log p/q -> the optimal critic's output: f'(p/q) in the output's own terms."""

_DIVERGENCES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "KL(p || q)": kl,
    "KL(q || p)": lambda p, q: kl(q, p),
    "2 JSD(p, q)": lambda p, q: 2 * jensen_shannon(p, q),
    "2 KL((p + q)/2 || p)": lambda p, q: 2 * kl(middle(p, q), p),
    "integral of (p - q)^2 / q": lambda p, q: mean(q, (p - q).expm1().square()),
}
"""Name, as the product's objectives say what they minimise -> divergence of data p and generator q."""


def _blend(share: float, log_N: Tensor, other_N: Tensor) -> Tensor:
    return torch.logaddexp(math.log(share) + log_N, math.log(1 - share) + other_N)


def _pair(seed: int) -> tuple[Tensor, Density, Tensor]:
    """Data, a generator and its parameters."""
    generator = seeded(seed)
    points_N1 = line()
    first_N = random_mixture(points_N1, 3, generator)
    theta_P = random_parameters(2, 1, generator)
    data_N = _blend(0.9, first_N, mixture(points_N1, theta_P))
    return data_N, lambda theta: _blend(0.1, first_N, mixture(points_N1, theta)), theta_P


def _follows(seed: int, name: str) -> dict[str, float]:
    """Mismatch of a generator's gradient at the optimal critic with that of each divergence."""
    data_N, fake, theta_P = _pair(seed)
    output_N = _BEST[name](data_N - fake(theta_P))
    found = slope(partial(expected_generator, OBJECTIVES[name].generator, output_N=output_N), fake, theta_P)
    return {
        kind: mismatch(found, slope(partial(divergence, data_N), fake, theta_P))
        for kind, divergence in _DIVERGENCES.items()
    }


@experiment("objectives/optimal_critics", "e", "D网络有足够的拟合能力")
def optimal_critics(*, cases: int = 3) -> Outcome:
    """Each critic of the product is optimal at one function of p/q, and reads log p/q off it."""
    worst = 0.0
    for seed in range(cases):
        data_N, fake, theta_P = _pair(seed)
        ratio_N, fake_N = data_N - fake(theta_P), fake(theta_P)
        for name, best in _BEST.items():
            flat_N = gradient(partial(expected_critic, OBJECTIVES[name].critic, data_N, fake_N), best(ratio_N))
            read = OBJECTIVES[name].log_ratio
            assert read is not None
            worst = max(worst, float(flat_N.abs().max()), mismatch(read(best(ratio_N)), ratio_N))
    return Outcome(worst, detail=", ".join(_BEST))


@experiment("objectives/generators", "e", "正向KL距离, 逆向KL距离")
def generators(*, cases: int = 3) -> Outcome:
    """At its optimal critic each generator of the product has the gradient of the divergence it is said to minimise."""
    named = {name: kind for name in _BEST if (kind := OBJECTIVES[name].minimises) is not None}
    worst = max(_follows(seed, name)[kind] for seed in range(cases) for name, kind in named.items())
    return Outcome(worst, detail="; ".join(f"{name}: {kind}" for name, kind in named.items()))


@experiment("objectives/brand_decides", "e", "GAN优化逆向KL距离", stated="fails")
def brand_decides(*, cases: int = 3) -> Outcome:
    """A GAN descends reverse KL(q || p), whatever its objective: forward_kl, pearson and minimax do."""
    found = [
        _follows(seed, name)["KL(q || p)"] for seed in range(cases) for name in ("forward_kl", "pearson", "minimax")
    ]
    return Outcome(min(found), detail=f"{cases} generators")


@experiment("objectives/least_squares", "e", "GAN优化逆向KL距离", stated="fails")
def least_squares(*, cases: int = 3) -> Outcome:
    """The least-squares GAN, too, descends one of KL(p || q), KL(q || p), 2 JSD, 2 KL(p/2+q/2 || p), Pearson's."""
    return Outcome(min(min(_follows(seed, "lsgan").values()) for seed in range(cases)), detail=f"{cases} generators")


def drawing() -> Drawing:
    """Cost of a sample for each generator, over log p/q there."""
    ratio = torch.linspace(-3, 3, 61, dtype=torch.float64)
    series = []
    for name in ("forward_kl", "minimax", "nonsaturating", "reverse_kl"):
        loss = torch.stack([OBJECTIVES[name].generator(value.view(1)) for value in ratio])
        loss = loss - loss[30]
        loss[loss < -4] = torch.nan  # forward KL's falls as e^s
        series.append(Series(name, tuple(ratio.tolist()), tuple(loss.tolist())))
    return Drawing(
        "objectives",
        "A generator's loss of a sample by log p/q there: reverse KL and the non-saturating loss punish samples "
        "where data are rare, forward KL and minimax hardly; forward KL rewards most where the generator is rare",
        tuple(series),
        "log p/q at the sample",
        "loss, 0 where p = q",
    )


EXPERIMENTS: tuple[Experiment, ...] = (optimal_critics, generators, brand_decides, least_squares)
