"""d-ii. x as the latent variable (Hu et al. 2018): the gradient identity, its exact form, and the forms that fail.

``p(x|y=0)`` is the generator's density, the only one that moves; ``p(x|y=1)`` the data's; ``p(y) = 1/2``. With
``r(y|x) = q^r(y|x) = q(1-y|x)``, so ``r(0|x) = D`` and ``r(1|x) = 1 - D``, and ``q^r(x|y)`` proportional to
``r(y|x) p_theta0(x)``, ``p_theta0 = (p_gen + p_data) / 2`` at theta0:

``grad E_{p(x|y) p(y)}[-log r(y|x)] = grad {E_{p(y)} KL(p(x|y) || q^r(x|y)) - JSD(p(x|0) || p(x|1))}`` at theta0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

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
    plane,
    random_mixture,
    random_parameters,
    seeded,
)

__all__ = ["EXPERIMENTS", "drawings"]


@dataclass(frozen=True, slots=True)
class _View:
    """Data, a generator at theta0, and a critic: all that the second view speaks of."""

    data_N: Tensor
    fake: Density
    theta0_P: Tensor
    logit_N: Tensor

    @property
    def before_N(self) -> Tensor:
        """``p_theta0(x)``."""
        return middle(self.fake(self.theta0_P), self.data_N)

    def reversed_2N(self) -> Tensor:
        """``log r(y|x)`` for y = 0, 1."""
        return torch.stack([F.logsigmoid(self.logit_N), F.logsigmoid(-self.logit_N)])

    def target_2N(self, before_N: Tensor | None = None) -> Tensor:
        """``log q^r(x|y)``, constants for the generator."""
        return F.log_softmax(self.reversed_2N() + (self.before_N if before_N is None else before_N), 1)

    def both_2N(self, theta_P: Tensor) -> Tensor:
        """``log p_theta(x|y)`` for y = 0, 1."""
        return torch.stack([self.fake(theta_P), self.data_N])

    def left(self, theta_P: Tensor) -> Tensor:
        """``E_{p(x|y) p(y)}[-log r(y|x)]``, what the generator minimises."""
        return -0.5 * mean(self.both_2N(theta_P), self.reversed_2N()).sum()

    def kl_term(self, theta_P: Tensor, target_2N: Tensor | None = None) -> Tensor:
        """``E_{p(y)} KL(p(x|y) || q^r(x|y))``."""
        return 0.5 * kl(self.both_2N(theta_P), self.target_2N() if target_2N is None else target_2N).sum()

    def jsd(self, theta_P: Tensor) -> Tensor:
        return jensen_shannon(self.fake(theta_P), self.data_N)

    def right(self, theta_P: Tensor) -> Tensor:
        return self.kl_term(theta_P) - self.jsd(theta_P)


def _views(cases: int, dimensions: int = 1, *, optimal: bool = False, sign: float = 1.0) -> Iterator[_View]:
    """Views at random; the critic is noise, or ``sign`` times the optimal logits."""
    for seed in range(cases):
        generator = seeded(seed)
        points_ND = line() if dimensions == 1 else plane()
        data_N = random_mixture(points_ND, 3, generator)
        theta0_P = random_parameters(2, dimensions, generator)
        logit_N = 1.5 * torch.randn(len(points_ND), dtype=torch.float64, generator=generator)
        fake: Density = _MixtureOn(points_ND)
        if optimal:
            logit_N = sign * (data_N - fake(theta0_P))
        yield _View(data_N, fake, theta0_P, logit_N)


@dataclass(frozen=True, slots=True)
class _MixtureOn:
    points_ND: Tensor

    def __call__(self, theta_P: Tensor) -> Tensor:
        return mixture(self.points_ND, theta_P)


Side = Callable[[_View, Tensor], Tensor]


def _slopes(views: Iterable[_View], left: Side, right: Side, *, step: float = 0.0) -> list[float]:
    """Mismatch of two gradients, at theta0 or a step away from it."""
    return [_slope_mismatch(view, left, right, step) for view in views]


def _slope_mismatch(view: _View, left: Side, right: Side, step: float) -> float:
    theta_P = view.theta0_P + step * torch.randn(view.theta0_P.shape, dtype=torch.float64, generator=seeded(7))
    return mismatch(gradient(lambda t: left(view, t), theta_P), gradient(lambda t: right(view, t), theta_P))


_TERM = "∇[-E log qʳ] = ∇[E KL - JSD]"


@experiment("second_view/identity", "d-ii", _TERM)
def identity(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """At theta0, grad E[-log q^r(y|x)] = grad {E KL(p(x|y) || q^r(x|y)) - JSD}, minus sign and factor 1, at any D."""
    found = _slopes(_views(cases, dimensions), _View.left, _View.right)
    return Outcome(max(found), detail=f"{cases} generators, critics of noise")


@experiment("second_view/identity_2d", "d-ii", _TERM)
def identity_2d(*, cases: int = 3) -> Outcome:
    """In two dimensions, too, grad E[-log q^r(y|x)] = grad {E KL(p(x|y) || q^r(x|y)) - JSD} at theta0."""
    return Outcome(
        max(_slopes(_views(cases, 2), _View.left, _View.right)), detail=f"{cases} generators, critics of noise"
    )


@experiment("second_view/doubled", "d-ii", "½ argmax_G E[qʳ(y=0|x)]")
def doubled(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """For the non-saturating loss both double: grad -E_G[log D] = grad {KL(p_G || q^r(x|0)) - 2 JSD} at theta0."""
    found = _slopes(_views(cases, dimensions), _non_saturating, lambda v, t: _only_fake(v, t) - 2 * v.jsd(t))
    return Outcome(max(found), detail=f"{cases} generators, critics of noise")


def _non_saturating(view: _View, theta_P: Tensor) -> Tensor:
    return -mean(view.fake(theta_P), F.logsigmoid(view.logit_N))


def _only_fake(view: _View, theta_P: Tensor) -> Tensor:
    return kl(view.fake(theta_P), view.target_2N()[0])


@experiment("second_view/not_doubled", "d-ii", "½ argmax_G E[qʳ(y=0|x)]", stated="fails")
def not_doubled(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """For the non-saturating loss the JSD counts once: grad -E_G[log D] = grad {KL(p_G || q^r(x|0)) - JSD}."""
    return Outcome(min(_slopes(_views(cases, dimensions), _non_saturating, lambda v, t: _only_fake(v, t) - v.jsd(t))))


@experiment("second_view/plus_sign", "d-ii", _TERM, stated="fails")
def plus_sign(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """With a plus sign: grad E[-log q^r(y|x)] = grad {E KL(p(x|y) || q^r(x|y)) + JSD} at theta0."""
    return Outcome(min(_slopes(_views(cases, dimensions), _View.left, lambda v, t: v.kl_term(t) + v.jsd(t))))


@experiment("second_view/away", "d-ii", "在当前θ处求梯度", stated="fails")
def away(*, cases: int = 8, dimensions: int = 1, step: float = 0.3) -> Outcome:
    """Away from theta0: grad E[-log q^r(y|x)] = grad {E KL(p(x|y) || q^r(x|y)) - JSD}, q^r still of theta0."""
    found = _slopes(_views(cases, dimensions), _View.left, _View.right, step=step)
    return Outcome(min(found), detail=f"a step of {step:g} in every parameter")


@experiment("second_view/everywhere", "d-ii", "缺少了一个限制后验p(x|y)和q(x)之间距离的正则项")
def everywhere(*, cases: int = 8, dimensions: int = 1, step: float = 0.3) -> Outcome:
    """With E KL(p(x|y) || p_theta0(x)) in the JSD's place the identity holds at every theta."""
    found = _slopes(_views(cases, dimensions), _View.left, lambda v, t: v.kl_term(t) - _held_back(v, t), step=step)
    return Outcome(max(found), detail=f"a step of {step:g} in every parameter")


def _held_back(view: _View, theta_P: Tensor) -> Tensor:
    return 0.5 * kl(view.both_2N(theta_P), view.before_N).sum()


@experiment("second_view/jsd_held", "d-ii", _TERM, stated="fails")
def jsd_held(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """The identity holds with the JSD held constant as q^r and p_theta0 are."""
    return Outcome(min(_slopes(_views(cases, dimensions), _View.left, _View.kl_term)))


@experiment("second_view/target_moves", "d-ii", "θ0: 上一轮迭代中得到的", stated="fails")
def target_moves(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """The identity holds with q^r(x|y) made of the generator that moves, not of theta0, at any D.

    Here the critic leans to one side: D* with 3 added to its logit.
    """
    views = (replace(view, logit_N=view.logit_N + 3) for view in _views(cases, dimensions, optimal=True))
    return Outcome(min(_slopes(views, _View.left, _right_moving)))


@experiment("second_view/target_moves_optimal", "d-ii", "θ0: 上一轮迭代中得到的")
def target_moves_optimal(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """At D* the identity holds with q^r(x|y) made of the generator that moves as well as of theta0."""
    views = _views(cases, dimensions, optimal=True)
    return Outcome(max(_slopes(views, _View.left, _right_moving)), detail=f"{cases} generators")


def _right_moving(view: _View, theta_P: Tensor) -> Tensor:
    moving = view.target_2N(middle(view.fake(theta_P), view.data_N))
    return view.kl_term(theta_P, moving) - view.jsd(theta_P)


@experiment("second_view/data_optimal_critic", "d-ii", "qʳ(x|y=0)")
def data_optimal_critic(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """At D*, q^r(x|0) is the data: grad -E_G[log D] = grad {KL(p_G || p_data) - 2 JSD}."""
    views = list(_views(cases, dimensions, optimal=True))
    targets = max(float((v.target_2N().exp() - v.both_2N(v.theta0_P).flip(0).exp()).abs().max()) for v in views)
    return Outcome(max(targets, *_slopes(views, _non_saturating, _against_data)), detail=f"{cases} generators")


def _against_data(view: _View, theta_P: Tensor) -> Tensor:
    return kl(view.fake(theta_P), view.data_N) - 2 * view.jsd(theta_P)


@experiment("second_view/data_any_critic", "d-ii", "qʳ(x|y=0)", stated="fails")
def data_any_critic(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """At any D, grad -E_G[log D] = grad {KL(p_G || p_data) - 2 JSD}, p_data in the place of q^r."""
    return Outcome(min(_slopes(_views(cases, dimensions), _non_saturating, _against_data)))


@experiment("second_view/values", "d-ii", _TERM, stated="fails")
def values(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """At theta0 both sides of the identity have one value, not only one gradient."""
    found = [
        mismatch([float(view.left(view.theta0_P))], [float(view.right(view.theta0_P))])
        for view in _views(cases, dimensions)
    ]
    return Outcome(min(found))


@experiment("second_view/value_gap", "d-ii", _TERM)
def value_gap(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """At theta0 the left side exceeds the right by -1/2 sum_y log Z_y, Z_y = E_{p_theta0}[q^r(y|x)]; that is log 2 at
    D*.
    """
    errors, gaps = [], []
    for optimal in (False, True):
        for view in _views(cases, dimensions, optimal=optimal):
            normaliser = -0.5 * (view.reversed_2N() + view.before_N).logsumexp(1).sum()
            gaps.append(float(view.left(view.theta0_P) - view.right(view.theta0_P)))
            errors.append(abs(gaps[-1] - float(normaliser)))
    errors += [abs(gap - 0.6931471805599453) for gap in gaps[cases:]]
    return Outcome(max(errors), detail=f"gaps of {min(gaps):.3f} to {max(gaps):.3f} nats")


@experiment("second_view/kl_bounds_jsd", "d-ii", "KL项是JSD项的一个上界")
def kl_bounds_jsd(*, cases: int = 40, dimensions: int = 1) -> Outcome:
    """At D*, E KL(p(x|y) || q^r(x|y)) bounds the JSD from above, with room for a factor of 2."""
    shares = _shares(cases, dimensions)
    return Outcome(
        max(0.0, 2 * max(shares) - 1), detail=f"JSD is {min(shares):.3f} to {max(shares):.3f} of the KL term"
    )


@experiment("second_view/kl_bounds_jsd_reversed", "d-ii", "KL项是JSD项的一个上界", stated="fails")
def kl_bounds_jsd_reversed(*, cases: int = 40, dimensions: int = 1) -> Outcome:
    """At the reversed critic D = q/(p+q), E KL(p(x|y) || q^r(x|y)) bounds the JSD from above."""
    views = list(_views(cases, dimensions, optimal=True, sign=-1.0))
    jsds = [float(view.jsd(view.theta0_P)) for view in views]
    short = [1 - float(view.kl_term(view.theta0_P)) / jsd for view, jsd in zip(views, jsds, strict=True)]
    detail = f"short by {min(short):.2f} of the JSD, which is {min(jsds):.3f} to {max(jsds):.3f} nats; the KL term is 0"
    return Outcome(min(short), detail=detail)


def _shares(cases: int, dimensions: int) -> list[float]:
    views = _views(cases, dimensions, optimal=True)
    return [float(view.jsd(view.theta0_P) / view.kl_term(view.theta0_P)) for view in views]


@experiment("second_view/pulled_to_mixture", "d-ii", "qʳ(x|y)也是一个两者的混合")
def pulled_to_mixture(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """A critic that cannot tell pulls G toward the half-and-half mixture of its last self and the data."""
    return Outcome(max(_from_mixture(cases, dimensions, optimal=False)))


@experiment("second_view/pulled_to_mixture_optimal", "d-ii", "qʳ(x|y)也是一个两者的混合", stated="fails")
def pulled_to_mixture_optimal(*, cases: int = 8, dimensions: int = 1) -> Outcome:
    """The optimal critic pulls G toward the half-and-half mixture of its last self and the data."""
    return Outcome(min(_from_mixture(cases, dimensions, optimal=True)))


def _from_mixture(cases: int, dimensions: int, *, optimal: bool) -> list[float]:
    """Distance of ``q^r(x|0)`` from ``p_theta0(x)``, the largest over x, relative to the largest mass."""
    views = _views(cases, dimensions, optimal=True, sign=float(optimal))
    return [mismatch(view.target_2N()[0].exp(), view.before_N.exp()) for view in views]


def drawings() -> tuple[Drawing, Drawing]:
    """Both sides' gradients as theta leaves theta0; KL term and JSD from the reversed to the optimal critic."""
    view = list(_views(5))[-1]  # one where the JSD is steep at theta0
    direction_P = torch.randn(view.theta0_P.shape, dtype=torch.float64, generator=seeded(7))
    steps = torch.linspace(-0.6, 0.6, 41, dtype=torch.float64)
    sides: tuple[tuple[str, Callable[[Tensor], Tensor], str], ...] = (
        ("E[-log q^r]", view.left, "reference"),
        ("E KL - JSD", view.right, "generated"),
        ("E KL + JSD", lambda t: view.kl_term(t) + view.jsd(t), ""),
        ("E KL - E KL(p || p_theta0)", lambda t: view.kl_term(t) - _held_back(view, t), ""),
    )
    slopes = []
    for name, side, role in sides:
        y = tuple(float(gradient(side, view.theta0_P + step * direction_P) @ direction_P) for step in steps)
        slopes.append(Series(name, tuple(steps.tolist()), y, role))  # type: ignore[arg-type]
    identity_drawing = Drawing(
        "second_view",
        "Slopes of both sides: E KL - JSD meets the generator's loss at theta0 alone, with KL to p_theta0 "
        "everywhere, with a plus sign not there",
        tuple(slopes),
        "distance from theta0",
        "slope (nats)",
    )
    turns = torch.linspace(-1, 1.5, 51, dtype=torch.float64)
    ratio_N = view.data_N - view.fake(view.theta0_P)
    terms = [
        float(_View(view.data_N, view.fake, view.theta0_P, turn * ratio_N).kl_term(view.theta0_P)) for turn in turns
    ]
    x, jsd = tuple(turns.tolist()), float(view.jsd(view.theta0_P))
    bound_drawing = Drawing(
        "kl_jsd",
        "The KL term is 0 at the reversed critic (-1), below the JSD on the way, and above it at the optimal "
        "critic (1)",
        (
            Series("E KL(p(x|y) || q^r(x|y))", x, tuple(terms), "generated"),
            Series("JSD", x, (jsd,) * len(x), "reference"),
        ),
        "critic's logit over log p/q",
        "nats",
    )
    return identity_drawing, bound_drawing


EXPERIMENTS: tuple[Experiment, ...] = (
    identity, identity_2d, doubled, not_doubled, plus_sign, away, everywhere, jsd_held, target_moves,
    target_moves_optimal, data_optimal_critic, data_any_critic, values, value_gap, kl_bounds_jsd,
    kl_bounds_jsd_reversed, pulled_to_mixture, pulled_to_mixture_optimal,
)  # fmt: skip
