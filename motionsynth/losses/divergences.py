"""f-divergences between data p and model q, by a critic: from its log-ratio, and in their variational form.

``D_f(p || q) = integral q(x) f(p(x) / q(x)) dx`` with f convex and f(1) = 0. Where q moves, its gradient is that of
``E_q[h]`` at a fixed ``h = f(r) - r f'(r)``, ``r = p/q``: which is all that a generator has to minimise once a critic
knows r. Each direction is written as p || q or q || p, since sources disagree on names.

Shapes: B batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "EXPONENT_CAP",
    "F_DIVERGENCES",
    "FDivergence",
    "capped_exp",
    "capped_share",
    "forward_kl_generator",
    "minimax_generator",
    "pearson_generator",
    "reverse_kl_generator",
]

EXPONENT_CAP: Final = 10.0
"""End of the exponential in ``capped_exp``: no critic knows ratios beyond e^10, and one would own a batch."""


def capped_exp(exponent_B: Tensor) -> Tensor:
    """``e^x`` for ``x <= EXPONENT_CAP``, its tangent beyond: convex, increasing, with a gradient of at most e^10."""
    return torch.exp(exponent_B.clamp(max=EXPONENT_CAP)) * (1 + F.relu(exponent_B - EXPONENT_CAP))


def capped_share(exponent_B: Tensor) -> Tensor:
    """Share of exponents at which ``capped_exp`` is not the exponential."""
    return (exponent_B > EXPONENT_CAP).float().mean()


def minimax_generator(fake_B: Tensor) -> Tensor:
    """``E_q[log(1 - D)]``, ``D = sigmoid(s)``: at ``s = log p/q`` it is the gradient of ``2 JSD(p, q)``.

    References:
        Goodfellow et al., Generative Adversarial Nets, 2014, theorem 1.

    Args:
        fake_B: (B,) s, logits of generated windows.
    """
    return -F.softplus(fake_B).mean()


def forward_kl_generator(fake_B: Tensor) -> Tensor:
    """``-E_q[e^s]``: at ``s = log p/q`` it has the gradient of ``KL(p || q) = integral p log(p/q) dx``.

    ``f(u) = u log u``, ``h = -u``. The exponential is ``capped_exp``.

    Args:
        fake_B: (B,) s, logits of generated windows.
    """
    return -capped_exp(fake_B).mean()


def reverse_kl_generator(fake_B: Tensor) -> Tensor:
    """``-E_q[s]``: at ``s = log p/q`` it is ``KL(q || p) = integral q log(q/p) dx``, and has its gradient.

    ``f(u) = -log u``, ``h = 1 - log u``.

    Args:
        fake_B: (B,) s, logits of generated windows.
    """
    return -fake_B.mean()


def pearson_generator(fake_B: Tensor) -> Tensor:
    """``-E_q[e^(2 s)]``: at ``s = log p/q`` it has the gradient of ``integral (p(x) - q(x))^2 / q(x) dx``.

    ``f(u) = (u - 1)^2``, ``h = 1 - u^2``: Pearson's chi^2 with the data observed and the *model* expected, in the
    denominator, as in his test; ``E_p[p/q] - 1``, which like KL(p || q) is infinite where the model leaves data out.
    Nowozin et al. print this f beside the integral of ``(q - p)^2 / p``, which is that of ``(1 - u)^2 / u``, Neyman's,
    by their own definition of D_f. The exponential is ``capped_exp``.

    Args:
        fake_B: (B,) s, logits of generated windows.
    """
    return -capped_exp(2 * fake_B).mean()


@dataclass(frozen=True, slots=True)
class FDivergence:
    """``D_f(p || q) = sup_T E_p[T(x)] - E_q[f*(T(x))]`` with ``T = g(v)``, v the critic's output, any number.

    ``g`` increases, so that v is high where a window looks real, and maps into the domain of the conjugate f*; the
    best T is ``f'(p/q)``.

    References:
        Nowozin, Cseke & Tomioka, f-GAN, 2016, equation 7 and tables 2 and 6. Copies and code differ in the sign of v in
        g of KL(q || p): their own rule that g increase asks for ``-exp(-v)``.
    """

    f: Callable[[Tensor], Tensor]
    """Convex, ``f(1) = 0``, of ``u = p/q``."""
    activation: Callable[[Tensor], Tensor]
    """g, output -> domain of f*."""
    conjugate: Callable[[Tensor], Tensor]
    """``f*(t) = sup_u u t - f(u)``."""
    penalty: Callable[[Tensor], Tensor]
    """``f*(g(v))``, simplified by hand so that nothing overflows."""

    def critic(self, real_B: Tensor, fake_B: Tensor) -> Tensor:
        """``-(E_p[g(v)] - E_q[f*(g(v))])``, minus a lower bound of the divergence.

        Args:
            real_B: (B,) v of real windows.
            fake_B: (B,) v of generated windows.
        """
        return self.penalty(fake_B).mean() - self.activation(real_B).mean()

    def generator(self, fake_B: Tensor) -> Tensor:
        """``-E_q[f*(g(v))]``: the part of the bound that the generator has a hand in; small where it is small.

        Args:
            fake_B: (B,) v of generated windows.
        """
        return -self.penalty(fake_B).mean()


F_DIVERGENCES: Final[dict[str, FDivergence]] = {
    # KL(p || q)
    "forward_kl": FDivergence(
        f=lambda u: torch.xlogy(u, u),
        activation=lambda v: v,
        conjugate=lambda t: torch.exp(t - 1),
        penalty=lambda v: capped_exp(v - 1),
    ),
    # KL(q || p)
    "reverse_kl": FDivergence(
        f=lambda u: -torch.log(u),
        activation=lambda v: -capped_exp(-v),
        conjugate=lambda t: -1 - torch.log(-t),
        penalty=lambda v: v - 1,
    ),
    # integral of (p - q)^2 / q
    "pearson": FDivergence(
        f=lambda u: (u - 1).square(),
        activation=lambda v: v,
        conjugate=lambda t: t.square() / 4 + t,
        penalty=lambda v: v.square() / 4 + v,
    ),
    # 2 JSD(p, q)
    "js": FDivergence(
        f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log((u + 1) / 2),
        activation=lambda v: math.log(2) - F.softplus(-v),
        conjugate=lambda t: -torch.log(2 - torch.exp(t)),
        penalty=lambda v: F.softplus(v) - math.log(2),
    ),
}
"""Name -> its variational form. ``js`` has the gradients of the minimax game of a logistic critic."""
