"""d-i, the paragraph that the notes doubt: KL(q || q0) replaced by lambda ||G(z) - G0(z)||^2, lambda = 1/(2 sigma^2).

``q(x)`` is the density of ``G(z)`` plus Gaussian noise of width sigma; ``q0`` the same of ``G0``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.losses.likelihood import masked_squared_error
from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import gradient, kl, line, mean, mismatch, normal, seeded
from motionsynth.theory.expectation import generator_loss

__all__ = ["EXPERIMENTS", "drawings"]

Generator = Callable[[Tensor], Tensor]
"""Codes (Z,) -> places (Z,)."""

_SIGMAS = (1.0, 0.5, 0.25, 0.125)


def _generators(seed: int) -> tuple[Generator, Generator]:
    """G and the G0 it came from, both curved."""
    a, b, c, d = (0.4 * torch.randn(4, dtype=torch.float64, generator=seeded(seed))).tolist()
    return (
        lambda z: (1 + a) * z + 0.6 * torch.sin(2 * z + b) + 0.3,
        lambda z: z + 0.6 * torch.sin(2 * z + c) + d,
    )


def _codes() -> tuple[Tensor, Tensor]:
    """(Z,) codes and their log masses under N(0, 1), renormalised."""
    code_Z = torch.linspace(-8, 8, 641, dtype=torch.float64)  # short tails would make KL(q || q0) infinite
    return code_Z, normal(code_Z.unsqueeze(1), torch.zeros(1).double(), torch.ones(1).double())


def _density(place_Z: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """(Z, N) ``log q(x|z)`` and (N,) ``log q(x)`` on a grid fine enough for sigma."""
    points_N1 = line(14.0, int(28 / min(0.1, sigma / 2.5)) + 1)
    given_ZN = normal(points_N1, place_Z.unsqueeze(1), torch.full((len(place_Z), 1), sigma).double())
    return given_ZN, (_codes()[1].unsqueeze(1) + given_ZN).logsumexp(0)


def _both(new: Generator, old: Generator, sigma: float) -> tuple[float, float, float]:
    """``KL(q(x) || q0(x))``, ``KL(q(x,z) || q0(x,z))`` and ``E ||G - G0||^2 / (2 sigma^2)``."""
    code_Z, log_Z = _codes()
    given_ZN, fake_N = _density(new(code_Z), sigma)
    given_before_ZN, before_N = _density(old(code_Z), sigma)
    joint = mean(log_Z, kl(given_ZN, given_before_ZN))
    bound = mean(log_Z, (new(code_Z) - old(code_Z)).square()) / (2 * sigma**2)
    return float(kl(fake_N, before_N)), float(joint), float(bound)


@experiment("proximal/joint", "d-i", "KL(q(x|z)q(z)||q⁰(x|z)q(z))")
def joint(*, cases: int = 4) -> Outcome:
    """KL(q(x|z) q(z) || q0(x|z) q(z)) = E||G(z) - G0(z)||^2 / (2 sigma^2), the proximal term."""
    found = [_both(*_generators(seed), sigma) for seed in range(cases) for sigma in _SIGMAS]
    return Outcome(max(mismatch([row[1]], [row[2]]) for row in found), 1e-6, f"{len(found)} pairs and widths")


@experiment("proximal/marginal", "d-i", "KL(q(x)||q⁰(x)) = KL(q(x|z)q(z)||q⁰(x|z)q(z))", stated="fails")
def marginal(*, cases: int = 4) -> Outcome:
    """KL(q(x) || q0(x)) equals KL(q(x|z) q(z) || q0(x|z) q(z)), as the notes write."""
    found = [_both(*_generators(seed), sigma) for seed in range(cases) for sigma in _SIGMAS]
    return Outcome(min(mismatch([row[0]], [row[1]]) for row in found), 1e-6, f"{len(found)} pairs and widths")


@experiment("proximal/bound", "d-i", "KL(q||q⁰) ~ λ∫q(z)‖G-G⁰‖²dz")
def bound(*, cases: int = 4) -> Outcome:
    """KL(q(x) || q0(x)) <= E||G(z) - G0(z)||^2 / (2 sigma^2): the term bounds it from above."""
    found = [_both(*_generators(seed), sigma) for seed in range(cases) for sigma in _SIGMAS]
    shares = [row[0] / row[2] for row in found]
    return Outcome(max(0.0, max(shares) - 1), 1e-6, f"KL is {min(shares):.4f} to {max(shares):.4f} of the bound")


@experiment("proximal/vanishing_sigma", "d-i", "方差趋向于0的高斯分布的极限", stated="fails")
def vanishing_sigma(*, seed: int = 0, sigmas: tuple[float, ...] = (0.4, 0.2, 0.1, 0.05)) -> Outcome:
    """As sigma -> 0 the bound tends to KL(q || q0)."""
    # a generator without folds: the density of G(z) exists, so KL(q || q0) has a limit
    found = [_both(lambda z: 1.2 * z + 0.3 + 0.1 * seed, lambda z: z, sigma) for sigma in sigmas]
    times = [row[2] / row[0] for row in found]
    detail = (
        f"KL {found[0][0]:.3f} to {found[-1][0]:.3f} while the bound goes from {found[0][2]:.2f} to {found[-1][2]:.1f}"
    )
    return Outcome(min(times[-1] - 1, times[-1] / times[0] - 1), 1e-2, detail)


@experiment("proximal/divergence_rate", "d-i", "λ = 1/(2σ²)")
def divergence_rate(*, sigmas: tuple[float, ...] = (0.2, 0.1, 0.05)) -> Outcome:
    """The bound diverges as sigma^-2, while KL(q || q0) stays below its limit at sigma = 0."""
    limit = 0.5 * (1.2**2 + 0.3**2 - 1) - math.log(1.2)
    found = [_both(lambda z: 1.2 * z + 0.3, lambda z: z, sigma) for sigma in sigmas]
    rates = [
        math.log(b[2] / a[2]) / math.log(t / s)
        for a, b, s, t in zip(found, found[1:], sigmas, sigmas[1:], strict=False)
    ]
    error = max(abs(rate + 2) for rate in rates) + max(0.0, *(row[0] - limit for row in found))
    return Outcome(error, 1e-3, f"exponent {rates[-1]:.4f}; KL {found[-1][0]:.5f}, limit {limit:.5f}")


@experiment("proximal/same_density", "d-i", "KL(q||q⁰) ~ λ∫q(z)‖G-G⁰‖²dz", stated="fails")
def same_density(*, seed: int = 0) -> Outcome:
    """Where q = q0 the proximal term is zero."""
    _, old = _generators(seed)
    divergence, _, term = _both(lambda z: old(-z), old, 0.5)
    return Outcome(term if divergence < 1e-9 else float("nan"), detail=f"KL {divergence:.0e}, term {term:.2f}")


@experiment("proximal/printed_sign", "d-i", "更准确的不被低估的loss", stated="fails")
def printed_sign(*, cases: int = 4) -> Outcome:
    """As printed, -E[log D(G) + lambda||G - G0||^2] bounds -E[log D] + KL(q || q0) from above."""
    shortfalls = [-margin for margin in _margins(cases, sign=-1)]
    return Outcome(min(shortfalls), detail=f"short by {min(shortfalls):.2f} to {max(shortfalls):.2f} nats")


@experiment("proximal/right_sign", "d-i", "更准确的不被低估的loss")
def right_sign(*, cases: int = 4) -> Outcome:
    """With the sign put right, E[-log D(G) + lambda||G - G0||^2] bounds -E[log D] + KL(q || q0) from above."""
    margins = _margins(cases, sign=1)
    return Outcome(max(0.0, -min(margins)), detail=f"above by {min(margins):.2f} to {max(margins):.2f} nats")


def _margins(cases: int, sign: int) -> list[float]:
    """The loss with the term, less the notes' objective, at the optimal critic of q0."""
    found = []
    for seed in range(cases):
        new, old = _generators(seed)
        _, fake_N = _density(new(_codes()[0]), 0.5)
        _, before_N = _density(old(_codes()[0]), 0.5)
        data_N = normal(line(14.0, len(fake_N)), torch.ones(1).double(), torch.ones(1).double())
        usual = float(generator_loss(fake_N, data_N - before_N))
        divergence, _, term = _both(new, old, 0.5)
        found.append(usual + sign * term - (usual + divergence))
    return found


def _network(theta_P: Tensor, code_B: Tensor) -> Tensor:
    """A small network, two layers, 13 parameters: codes (B,) -> places (B,)."""
    hidden_BH = torch.tanh(code_B.unsqueeze(1) * theta_P[:4] + theta_P[4:8])
    return hidden_BH @ theta_P[8:12] + theta_P[12]


def _term(place_B: Tensor, before_B: Tensor) -> Tensor:
    """``mean ||G(z) - G0(z)||^2``, by the product's own function: each place is a window of one frame, one feature."""
    frame_BT = torch.ones(len(place_B), 1, dtype=torch.bool)
    return masked_squared_error(place_B.view(-1, 1, 1), before_B.view(-1, 1, 1), frame_BT).mean()


def _travel(seed: int, *, weight: float, per_refresh: int, refreshes: int, rate: float = 0.05) -> Tensor:
    """Parameters after gradient steps on -log D + weight ||G - G0||^2, G0 copied anew every ``per_refresh`` steps."""
    generator = seeded(seed)
    theta_P = torch.randn(13, dtype=torch.float64, generator=generator)
    code_B = torch.randn(64, dtype=torch.float64, generator=generator)
    for _ in range(refreshes):
        before_B = _network(theta_P, code_B).detach()
        for _ in range(per_refresh):

            def loss(theta: Tensor, before: Tensor = before_B) -> Tensor:
                place_B = _network(theta, code_B)
                fooled = OBJECTIVES["nonsaturating"].generator(2 - place_B)  # a critic with the logit 2 - x
                return fooled + weight * _term(place_B, before)

            theta_P = theta_P - rate * gradient(loss, theta_P)
    return theta_P


@experiment("proximal/zero_gradient", "d-i", "与之前的q(x)不能相差太远的限制")
def zero_gradient(*, seed: int = 0) -> Outcome:
    """At the first step after G0 is refreshed, the gradients of lambda||G - G0||^2 and of KL(q || q0) are zero."""
    generator = seeded(seed)
    theta_P = torch.randn(13, dtype=torch.float64, generator=generator)
    code_Z, _ = _codes()
    before_Z = _network(theta_P, code_Z)
    squared = gradient(lambda theta: 50 * _term(_network(theta, code_Z), before_Z), theta_P)
    _, before_N = _density(before_Z, 0.3)
    divergence = gradient(lambda theta: kl(_density(_network(theta, code_Z), 0.3)[1], before_N), theta_P)
    return Outcome(
        max(float(squared.abs().max()), float(divergence.abs().max())),
        1e-12,
        f"of the term exactly {float(squared.abs().max()):g}",
    )


@experiment("proximal/one_step", "d-i", "与之前的q(x)不能相差太远的限制")
def one_step(*, seed: int = 0, refreshes: int = 20, weight: float = 5.0) -> Outcome:
    """With one generator step a refresh, the GAN with the proximal term is the GAN without it, bit for bit."""
    plain = _travel(seed, weight=0.0, per_refresh=1, refreshes=refreshes)
    tied = _travel(seed, weight=weight, per_refresh=1, refreshes=refreshes)
    return Outcome(float((plain - tied).abs().max()), 0.0, f"{refreshes} refreshes, lambda {weight:g}")


@experiment("proximal/two_steps", "d-i", "与之前的q(x)不能相差太远的限制", stated="fails")
def two_steps(*, seed: int = 0, refreshes: int = 10, weight: float = 5.0) -> Outcome:
    """With two generator steps a refresh, the GAN with the proximal term is the GAN without it."""
    plain = _travel(seed, weight=0.0, per_refresh=2, refreshes=refreshes)
    tied = _travel(seed, weight=weight, per_refresh=2, refreshes=refreshes)
    start = _travel(seed, weight=0.0, per_refresh=2, refreshes=0)
    moved, held = float((plain - start).norm()), float((tied - start).norm())
    return Outcome(float((plain - tied).norm()) / moved, 0.0, f"parameters move {held:.3f} instead of {moved:.3f}")


@experiment("proximal/second_step", "d-i", "与之前的q(x)不能相差太远的限制")
def second_step(*, rate: float = 0.05, weight: float = 4.0, slope: float = 0.7) -> Outcome:
    """Over two steps of rate eta the term takes 2 lambda eta^2 g off the way 2 eta g (G(z) = z + theta, a loss of slope
    g).
    """
    theta = torch.zeros(1, dtype=torch.float64)
    for _ in range(2):
        theta = theta - rate * gradient(lambda t: (slope * t + weight * t.square()).sum(), theta)
    expected = -2 * rate * slope + 2 * weight * rate**2 * slope
    return Outcome(mismatch(theta, [expected]), detail=f"{-float(theta):.4f} instead of {2 * rate * slope:.4f}")


def drawings() -> tuple[Drawing, Drawing]:
    """The bound and the KL over sigma; distance travelled over steps, with and without the term."""
    sigmas = torch.logspace(-1.3, 0.3, 17, dtype=torch.float64).tolist()
    rows = [_both(lambda z: 1.2 * z + 0.3, lambda z: z, sigma) for sigma in sigmas]
    over_sigma = Drawing(
        "kl_bound",
        "As sigma falls the bound rises without limit, while KL(q || q0) stays below a tenth of a nat",
        (
            Series("E||G - G0||² / (2σ²)", tuple(sigmas), tuple(row[2] for row in rows), "generated"),
            Series("KL(q || q0)", tuple(sigmas), tuple(row[0] for row in rows), "reference"),
        ),
        "σ",
        "nats",
        x_scale="log",
        y_scale="log",
    )
    counts = range(0, 25)
    series = []
    for name, per, weight, role in (
        ("no term", 1, 0.0, "reference"), ("1 step a refresh", 1, 5.0, "generated"),
        ("2 steps a refresh", 2, 5.0, ""), ("8 steps a refresh", 8, 5.0, ""),
    ):  # fmt: skip
        places = [n for n in counts if n % per == 0]
        start = _travel(0, weight=0.0, per_refresh=1, refreshes=0)
        far = [_travel(0, weight=weight, per_refresh=per, refreshes=n // per) - start for n in places]
        series.append(
            Series(name, tuple(map(float, places)), tuple(float(f.norm()) for f in far), role, markers=per > 1)  # type: ignore[arg-type]
        )
    steps = Drawing(
        "proximal", "With one step a refresh the term does nothing; the more steps share a G0, the more it holds back",
        tuple(series), "generator steps", "distance travelled by the parameters",
    )  # fmt: skip
    return over_sigma, steps


EXPERIMENTS: tuple[Experiment, ...] = (
    joint, marginal, bound, vanishing_sigma, divergence_rate, same_density, printed_sign, right_sign, zero_gradient,
    one_step, two_steps, second_step,
)  # fmt: skip
