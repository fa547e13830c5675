"""Losses of a critic and a generator: pure functions of the critic's outputs, one reference each.

Throughout p is the data, q the model, and a critic's output is high where a window looks real.

Shapes: B batch, T frames, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from motionsynth.losses.divergences import (
    F_DIVERGENCES,
    capped_exp,
    forward_kl_generator,
    minimax_generator,
    pearson_generator,
    reverse_kl_generator,
)

__all__ = [
    "OBJECTIVES",
    "Objective",
    "ObjectiveName",
    "gradient_penalty",
    "hinge_critic",
    "least_squares_critic",
    "least_squares_generator",
    "non_saturating_critic",
    "non_saturating_generator",
    "r1_penalty",
    "wasserstein_critic",
    "wasserstein_generator",
]

ObjectiveName = Literal[
    "nonsaturating",
    "minimax",
    "forward_kl",
    "reverse_kl",
    "pearson",
    "fgan_forward_kl",
    "fgan_reverse_kl",
    "fgan_pearson",
    "fgan_js",
    "wgan_gp",
    "hinge",
    "lsgan",
]
"""The keys of ``OBJECTIVES``."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A game of two: what the critic minimises, and what the generator does."""

    critic: Callable[[Tensor, Tensor], Tensor]
    """(B,) outputs on real windows and (B,) outputs on generated ones -> scalar."""
    generator: Callable[[Tensor], Tensor]
    """(B,) outputs on generated windows -> scalar, small where they pass for real."""
    minimises: str | None = None
    """The divergence whose gradient the generator follows where the critic is optimal; None where it is of no such
    kind."""
    log_ratio: Callable[[Tensor], Tensor] | None = None
    """(B,) outputs -> (B,) log p/q where the critic is optimal; None where it estimates none."""
    estimate: Callable[[Tensor, Tensor], Tensor] | None = None
    """(B,) outputs on real windows and (B,) on generated ones -> ``minimises`` in nats where the critic is optimal."""
    critic_exponents: Callable[[Tensor, Tensor], Tensor] | None = None
    """Exponents in the critic's loss, of which it takes ``capped_exp``."""
    generator_exponents: Callable[[Tensor], Tensor] | None = None
    """Exponents in the generator's loss, of which it takes ``capped_exp``."""
    lipschitz: bool = False
    """True where the critic must be held to slopes of one, by ``gradient_penalty``."""


def non_saturating_critic(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """``-E_real[log D] - E_fake[log(1 - D)]`` with ``D = sigmoid(logit)``; 2 log 2 where the critic cannot tell.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014.

    Args:
        real_B: (B,) logits of real windows.
        fake_B: (B,) logits of generated windows.
    """
    return F.softplus(-real_B).mean() + F.softplus(fake_B).mean()


def non_saturating_generator(fake_B: Tensor) -> Tensor:
    """``-E_fake[log D]`` with ``D = sigmoid(logit)``; log 2 where the critic cannot tell.

    At ``logit = log p/q`` it has the gradient of ``KL(q || p) - 2 JSD(p, q) = 2 KL((p + q)/2 || p)``.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014, section 3; Arjovsky & Bottou, Towards Principled Methods
        for Training GANs, 2017, theorem 2.5, for its divergence.

    Args:
        fake_B: (B,) logits of generated windows.
    """
    return F.softplus(-fake_B).mean()


def wasserstein_critic(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """``E_fake[v] - E_real[v]``: minus the Wasserstein-1 distance at the best v of slope one.

    References:
        Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017.

    Args:
        real_B: (B,) outputs on real windows.
        fake_B: (B,) outputs on generated windows.
    """
    return fake_B.mean() - real_B.mean()


def wasserstein_generator(fake_B: Tensor) -> Tensor:
    """``-E_fake[v]``; of the hinge game too.

    Args:
        fake_B: (B,) outputs on generated windows.
    """
    return -fake_B.mean()


def hinge_critic(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """``E_real[max(0, 1 - v)] + E_fake[max(0, 1 + v)]``; 2 where the critic cannot tell.

    References:
        Lim & Ye, Geometric GAN, 2017.

    Args:
        real_B: (B,) outputs on real windows.
        fake_B: (B,) outputs on generated windows.
    """
    return F.relu(1 - real_B).mean() + F.relu(1 + fake_B).mean()


def least_squares_critic(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """``1/2 E_real[(v - 1)^2] + 1/2 E_fake[v^2]``, least at ``v = p / (p + q)``.

    References:
        Mao et al., Least Squares Generative Adversarial Networks, 2017, equation 9.

    Args:
        real_B: (B,) outputs on real windows.
        fake_B: (B,) outputs on generated windows.
    """
    return 0.5 * (real_B - 1).square().mean() + 0.5 * fake_B.square().mean()


def least_squares_generator(fake_B: Tensor) -> Tensor:
    """``1/2 E_fake[(v - 1)^2]``.

    Args:
        fake_B: (B,) outputs on generated windows.
    """
    return 0.5 * (fake_B - 1).square().mean()


def r1_penalty(critic: Callable[..., Tensor], *real: Tensor) -> Tensor:
    """``E_real[|grad_x logit(x)|^2]``, the mean squared norm of the critic's gradient on real windows.

    Computed in float32 also under autocast: a gradient of a gradient loses too much in bfloat16.

    References:
        Mescheder, Geiger & Nowozin, Which Training Methods for GANs do actually Converge?, 2018.

    Args:
        critic: (B, ...) -> (B,) logits, of one argument for each of ``real``.
        real: (B, ...) each, such as real windows (B, T, D), or windows and latents (B, Z) where it judges pairs.
    """
    return _slope(critic, *real).square().sum(1).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix_B: Tensor) -> Tensor:
    """``E[(|grad_x v(x)| - 1)^2]`` at ``x = mix real + (1 - mix) fake``; in float32 also under autocast.

    References:
        Gulrajani et al., Improved Training of Wasserstein GANs, 2017, equation 3.

    Args:
        critic: (B, ...) -> (B,) outputs.
        real: (B, ...) real windows.
        fake: (B, ...) generated windows.
        mix_B: (B,) shares, uniform in [0, 1).
    """
    between = torch.lerp(fake.detach(), real.detach(), mix_B.view(-1, *[1] * (real.ndim - 1)))
    norm_B: Tensor = torch.linalg.vector_norm(_slope(critic, between), dim=1)
    return (norm_B - 1).square().mean()


def _slope(critic: Callable[..., Tensor], *at: Tensor) -> Tensor:
    """(B, N) gradient of the critic by all of its (B, ...) arguments, itself differentiable."""
    slope = torch.func.grad(lambda *at: critic(*at).sum(), argnums=tuple(range(len(at))))
    with torch.enable_grad(), torch.autocast(at[0].device.type, enabled=False):
        gradients = slope(*(one.detach() for one in at))
    return torch.cat([gradient.flatten(1) for gradient in gradients], 1)


def _logistic(
    generator: Callable[[Tensor], Tensor],
    minimises: str,
    estimate: Callable[[Tensor, Tensor], Tensor],
    exponents: Callable[[Tensor], Tensor] | None = None,
) -> Objective:
    """A game of the logistic critic, whose logit is log p/q at the optimum; only the generator's loss differs."""
    return Objective(non_saturating_critic, generator, minimises, lambda s: s, estimate, generator_exponents=exponents)


def _variational(
    name: str,
    minimises: str,
    log_ratio: Callable[[Tensor], Tensor],
    critic_exponents: Callable[[Tensor, Tensor], Tensor] | None = None,
    generator_exponents: Callable[[Tensor], Tensor] | None = None,
) -> Objective:
    """A game for a lower bound of a divergence, which the critic raises and the generator lowers."""
    form = F_DIVERGENCES[name]
    return Objective(
        form.critic,
        form.generator,
        minimises,
        log_ratio,
        lambda real_B, fake_B: -form.critic(real_B, fake_B),
        critic_exponents,
        generator_exponents,
    )


_FORWARD, _REVERSE, _JS = "KL(p || q)", "KL(q || p)", "2 JSD(p, q)"
_PEARSON, _SOFTENED = "integral of (p - q)^2 / q", "2 KL((p + q)/2 || p)"
_TWO_LOG_2 = 2 * math.log(2)

OBJECTIVES: Final[dict[str, Objective]] = {
    "nonsaturating": _logistic(
        non_saturating_generator,
        _SOFTENED,
        lambda real, fake: F.softplus(-real).mean() + F.softplus(-fake).mean() - _TWO_LOG_2,
    ),
    "minimax": _logistic(minimax_generator, _JS, lambda real, fake: _TWO_LOG_2 - non_saturating_critic(real, fake)),
    "forward_kl": _logistic(forward_kl_generator, _FORWARD, lambda real, fake: real.mean(), lambda s: s),
    "reverse_kl": _logistic(reverse_kl_generator, _REVERSE, lambda real, fake: -fake.mean()),
    "pearson": _logistic(
        pearson_generator, _PEARSON, lambda real, fake: (capped_exp(fake) - 1).square().mean(), lambda s: 2 * s
    ),
    "fgan_forward_kl": _variational(
        "forward_kl", _FORWARD, lambda v: v - 1, lambda real, fake: fake - 1, lambda fake: fake - 1
    ),
    "fgan_reverse_kl": _variational("reverse_kl", _REVERSE, lambda v: v, lambda real, fake: -real),
    "fgan_pearson": _variational("pearson", _PEARSON, lambda v: (1 + v / 2).clamp(min=1e-6).log()),
    "fgan_js": _variational("js", _JS, lambda v: v),
    "wgan_gp": Objective(wasserstein_critic, wasserstein_generator, lipschitz=True),
    "hinge": Objective(hinge_critic, wasserstein_generator),
    "lsgan": Objective(least_squares_critic, least_squares_generator, log_ratio=lambda v: torch.logit(v, eps=1e-6)),
}
"""Name in a configuration -> the game."""
