"""e. Forward and reverse KL on mixtures with too few components: what the direction of a divergence does, and when.

The data are eight equal Gaussians far apart, on a line or on a ring; the model has K = 1, 2, 4 or 8 Gaussians. A mode
is *covered* where the model puts at least a quarter of the data's mass nearer to it than to any other mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.theory.claim import Drawing, Experiment, Outcome, Series, experiment
from motionsynth.theory.density import jensen_shannon, kl, middle, mixture, normal, seeded

__all__ = ["DIVERGENCES", "EXPERIMENTS", "MODES", "Fit", "Stage", "drawings", "fit_mixture", "line_stage", "ring_stage"]

MODES: Final = 8
_LADDER: Final = (1, 2, 4, 8)
_SHARE: Final = 0.25

Divergence = Callable[[Tensor, Tensor], Tensor]

DIVERGENCES: Final[dict[str, Divergence]] = {
    "forward": kl,
    "reverse": lambda data, model: kl(model, data),
    "softened": lambda data, model: 2 * kl(middle(data, model), data),
    "js": jensen_shannon,
}
"""Name -> divergence of data and model: KL(p || q), KL(q || p), 2 KL(p/2+q/2 || p), JS."""


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """A grid and the data on it.

    Args:
        points_ND: (N, D) grid.
        modes_MD: (M, D) places of the modes.
        width: standard deviation of a mode.
    """

    points_ND: Tensor
    modes_MD: Tensor
    width: float

    @property
    def given_MN(self) -> Tensor:
        """``log p(x|mode)``."""
        return normal(self.points_ND, self.modes_MD, torch.full_like(self.modes_MD, self.width))

    @property
    def data_N(self) -> Tensor:
        return self.given_MN.logsumexp(0) - math.log(len(self.modes_MD))

    def covered(self, log_N: Tensor) -> int:
        """Modes whose surroundings, all that is nearest to them, have at least a quarter of the data's mass."""
        nearest_N = torch.cdist(self.points_ND, self.modes_MD).argmin(1)
        mass_M = torch.zeros(len(self.modes_MD), dtype=torch.float64).index_add(0, nearest_N, log_N.exp())
        return int((mass_M >= _SHARE / len(self.modes_MD)).sum())

    def between(self, log_N: Tensor) -> float:
        """Mass farther than four standard deviations from every mode."""
        distance_N = torch.cdist(self.points_ND, self.modes_MD).amin(1)
        return float(log_N.exp()[distance_N > 4 * self.width].sum())


@cache
def line_stage() -> Stage:
    """Eight modes 2 apart on a line."""
    points_N1 = torch.linspace(-10, 10, 401, dtype=torch.float64).unsqueeze(1)
    return Stage(points_N1, 2 * torch.arange(MODES, dtype=torch.float64).unsqueeze(1) - 7, 0.15)


@cache
def ring_stage() -> Stage:
    """Eight modes on a ring of radius 2 in the plane."""
    side = torch.linspace(-3, 3, 41, dtype=torch.float64)
    turn = torch.arange(MODES, dtype=torch.float64) * (2 * math.pi / MODES)
    return Stage(torch.cartesian_prod(side, side), 2 * torch.stack([turn.cos(), turn.sin()], 1), 0.2)


@dataclass(frozen=True, eq=False, slots=True)
class Fit:
    """The best mixture found: its divergence in nats, its log masses, the modes it covers, its mass between them."""

    divergence: float
    log_N: Tensor
    covered: int
    between: float


def fit_mixture(stage: Stage, name: str, components: int, *, restarts: int = 4, seed: int = 0) -> Fit:
    """The mixture of K Gaussians that minimises a divergence from the data, the best of several starts.

    Starts: components on modes at random, narrow; and wide ones over groups of neighbouring modes, each for itself.

    Args:
        stage: grid and data.
        name: a key of ``DIVERGENCES``.
        components: K.
        restarts: starts of the narrow kind.
        seed: of the starts.
    """
    generator = seeded(seed)
    starts = [
        _narrow(stage, torch.randperm(MODES, generator=generator)[:components], generator) for _ in range(restarts)
    ]
    starts.append(_wide(stage, components))
    return min((_descend(stage, DIVERGENCES[name], start) for start in starts), key=lambda fit: fit.divergence)


def _narrow(stage: Stage, chosen_K: Tensor, generator: torch.Generator) -> Tensor:
    """Parameters of a component of twice a mode's width near each mode chosen."""
    means_KD = stage.modes_MD[chosen_K]
    means_KD = means_KD + stage.width * torch.randn(means_KD.shape, dtype=torch.float64, generator=generator)
    scales_KD = torch.full_like(means_KD, math.log(2 * stage.width))
    return torch.cat([torch.zeros(len(means_KD), 1, dtype=torch.float64), means_KD, scales_KD], 1).flatten()


def _wide(stage: Stage, components: int) -> Tensor:
    groups = stage.modes_MD.view(components, -1, stage.modes_MD.shape[1])
    means_KD = groups.mean(1)
    variance_KD = (groups - means_KD.unsqueeze(1)).square().mean(1) + stage.width**2
    logit_K1 = torch.zeros(components, 1, dtype=torch.float64)
    nudge_KD = 0.02 * torch.randn(means_KD.shape, dtype=torch.float64, generator=seeded(components))
    return torch.cat([logit_K1, means_KD + nudge_KD, 0.5 * variance_KD.log()], 1).flatten()


def _descend(stage: Stage, divergence: Divergence, start_P: Tensor) -> Fit:
    from scipy.optimize import minimize

    data_N = stage.data_N

    def value(theta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        theta_P = torch.from_numpy(theta).requires_grad_()
        loss = divergence(data_N, mixture(stage.points_ND, theta_P))
        loss.backward()  # type: ignore[no-untyped-call]
        assert theta_P.grad is not None
        return float(loss.detach()), theta_P.grad.numpy()

    # widths stay above half of a mode's: a spike between two points of the grid is no density
    dimensions = stage.points_ND.shape[1]
    bounds = [(-12.0, 12.0), *[(-12.0, 12.0)] * dimensions, *[(math.log(stage.width / 2), 3.0)] * dimensions]
    done = minimize(
        value, start_P.numpy(), jac=True, method="L-BFGS-B", bounds=bounds * (len(start_P) // len(bounds)),
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9},
    )  # fmt: skip
    log_N = mixture(stage.points_ND, torch.from_numpy(done.x))
    return Fit(float(done.fun), log_N, stage.covered(log_N), stage.between(log_N))


@cache
def _ladder(name: str, stage: Callable[[], Stage] = line_stage) -> dict[int, Fit]:
    """Best fits by K; kept, as several experiments read the same ones."""
    return {components: fit_mixture(stage(), name, components) for components in _LADDER}


def _format_covered(fits: dict[int, Fit]) -> str:
    return "covered: " + ", ".join(f"K={components}: {fit.covered}" for components, fit in fits.items())


_STAGES: Final = (line_stage, ring_stage)


def _missing(name: str, components: tuple[int, ...]) -> list[int]:
    """Modes not covered, on the line and on the ring, by K."""
    return [MODES - _ladder(name, stage)[count].covered for stage in _STAGES for count in components]


@experiment("misspecification/forward_covers", "e", "正向KL: 生成样本比较平滑, 是数据的mixture")
def forward_covers() -> Outcome:
    """The optimum of forward KL(p || q) covers all 8 modes at every K = 1, 2, 4, 8."""
    return Outcome(max(_missing("forward", _LADDER)), 0, _format_covered(_ladder("forward")))


@experiment("misspecification/reverse_seeks", "e", "逆向KL: 倾向于选择较突出的mode")
def reverse_seeks() -> Outcome:
    """The optimum of reverse KL(q || p) covers exactly K modes at every K."""
    return Outcome(_off_k("reverse"), 0, _format_covered(_ladder("reverse")))


@experiment("misspecification/softened_seeks", "e", "GAN: mode collapse")
def softened_seeks() -> Outcome:
    """The optimum of the notes' GAN objective, 2 KL(p/2+q/2 || p), covers exactly K modes at every K."""
    return Outcome(_off_k("softened"), 0, _format_covered(_ladder("softened")))


def _off_k(name: str) -> int:
    return max(abs(_ladder(name, stage)[count].covered - count) for stage in _STAGES for count in _LADDER)


@experiment("misspecification/reverse_covers", "e", "逆向KL: 倾向于选择较突出的mode", stated="fails", margin=1)
def reverse_covers() -> Outcome:
    """At K = 1, 2, 4 the optimum of reverse KL covers all 8 modes."""
    return Outcome(min(_missing("reverse", (1, 2, 4))), 0, _format_covered(_ladder("reverse")))


@experiment("misspecification/js_both", "e", "minimax的JS")
def js_both() -> Outcome:
    """JS does either: on the line it covers all 8 modes with K = 1 and seeks exactly 4 with K = 4."""
    fits = _ladder("js")
    return Outcome(abs(fits[1].covered - MODES) + abs(fits[4].covered - 4), 0, _format_covered(fits))


@experiment("misspecification/reverse_sharp", "e", "GAN的输出: 比较清晰")
def reverse_sharp() -> Outcome:
    """The optimum of reverse KL puts no mass between the modes at any K."""
    found = [_ladder("reverse", stage)[count].between for stage in _STAGES for count in _LADDER]
    return Outcome(max(found), 1e-3, f"at most {max(found):.1e} farther than 4 sigma from every mode")


@experiment("misspecification/forward_sharp", "e", "VAE的输出是smoothed的", stated="fails")
def forward_sharp() -> Outcome:
    """At K = 1, 2, 4 the optimum of forward KL puts no mass between the modes."""
    found = [_ladder("forward", stage)[count].between for stage in _STAGES for count in (1, 2, 4)]
    return Outcome(min(found), 1e-3, f"{min(found):.2f} to {max(found):.2f} of the mass")


@experiment("misspecification/optima_coincide", "e", "VAE和GAN是互相对称的")
def optima_coincide() -> Outcome:
    """At K = 8 the optima of forward, reverse and softened KL and of JS are one: the data."""
    found = [
        0.5 * float((_ladder(name, stage)[MODES].log_N.exp() - stage().data_N.exp()).abs().sum())
        for stage in _STAGES
        for name in DIVERGENCES
    ]
    return Outcome(max(found), 1e-3, f"total variation from the data at most {max(found):.1e}")


@experiment(
    "misspecification/direction_alone",
    "e",
    "VAE优化的是正向KL散度, 而GAN优化的是reverse KL散度",
    stated="fails",
    margin=1,
)
def direction_alone() -> Outcome:
    """The direction alone decides: reverse KL covers fewer modes than forward KL at K = 8."""
    lead = min(_missing("reverse", (MODES,))) - max(_missing("forward", (MODES,)))
    return Outcome(1 - lead, 0, f"at K=8 both cover {_ladder('reverse')[MODES].covered}")


@experiment("misspecification/any_start", "e", "mode collapse问题", stated="fails", margin=1)
def any_start(*, seed: int = 1) -> Outcome:
    """At K = 8 descent on reverse KL covers all 8 modes from any start."""
    # all components start on one mode: nothing in reverse KL asks for the others
    missing = []
    for stage in (make() for make in _STAGES):
        start = _narrow(stage, torch.full((MODES,), 3), seeded(seed))
        missing.append(MODES - _descend(stage, DIVERGENCES["reverse"], start).covered)
    return Outcome(min(missing), 0, f"from one mode: {missing[0]} of 8 missing on the line, {missing[1]} on the ring")


def drawings() -> tuple[Drawing, Drawing]:
    """Modes covered by K, and what two components make of the line."""
    names = {"forward": "KL(p || q)", "reverse": "KL(q || p)", "softened": "2 KL(p/2+q/2 || p)", "js": "JS"}
    x = tuple(map(float, _LADDER))
    covered = Drawing(
        "modes_covered",
        "Modes covered by K: forward KL covers all, reverse and softened reverse KL cover K, all meet at K = 8",
        tuple(
            Series(names[name], x, tuple(float(_ladder(name)[count].covered) for count in _LADDER), markers=True)
            for name in DIVERGENCES
        ),
        "components K",
        "modes covered, of 8",
        x_scale="log",
        x_ticks=x,
    )
    stage = line_stage()
    places, width = tuple(stage.points_ND[:, 0].tolist()), 0.05

    def density(log_N: Tensor) -> tuple[float, ...]:
        return tuple((log_N.exp() / width).tolist())

    made = Drawing(
        "two_components",
        "Two components for eight modes: forward KL spreads over all of them and between, reverse KL takes two",
        (
            Series("data", places, density(stage.data_N), "train"),
            Series("KL(p || q)", places, density(_ladder("forward")[2].log_N), "reference"),
            Series("KL(q || p)", places, density(_ladder("reverse")[2].log_N), "generated"),
        ),
        "x",
        "density",
    )
    return covered, made


EXPERIMENTS: tuple[Experiment, ...] = (
    forward_covers, reverse_seeks, softened_seeks, reverse_covers, js_both, reverse_sharp, forward_sharp,
    optima_coincide, direction_alone, any_start,
)  # fmt: skip
