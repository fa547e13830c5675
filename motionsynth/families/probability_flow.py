"""Paths along a velocity field, and the log-density that is carried along with them.

Shapes: B batch, P numbers of a place, R directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Solver", "Velocity", "integrate", "log_density"]

Solver = Literal["euler", "heun"]
Velocity = Callable[[Tensor, Tensor], Tensor]
"""(B, P) places and (B,) times to (B, P) velocities, row by row independent."""

_ROWS = 8192
"""Places times directions whose derivatives are held at a time."""


def integrate(
    velocity: Velocity, place_BP: Tensor, start: float, end: float, solver: Solver, evaluations: int
) -> Tensor:
    """Follow ``dx/dt = v(x, t)`` from one time to another in equal steps.

    Args:
        velocity: v.
        place_BP: places at the start.
        start: time.
        end: time; before the start to go backwards.
        solver: ``euler``, of first order, takes one evaluation a step; ``heun``, of second order, two.
        evaluations: of the velocity, at most.

    Returns:
        (B, P) places at the end.
    """
    steps = evaluations if solver == "euler" else max(1, evaluations // 2)
    step = (end - start) / steps
    for number in range(steps):
        time_B = place_BP.new_full((len(place_BP),), start + number * step)
        slope_BP = velocity(place_BP, time_B)
        if solver == "heun":
            slope_BP = 0.5 * (slope_BP + velocity(place_BP + step * slope_BP, time_B + step))
        place_BP = place_BP + step * slope_BP
    return place_BP


def log_density(
    velocity: Velocity, place_BP: Tensor, evaluations: int, *, probes: int = 0, generator: torch.Generator | None = None
) -> Tensor:
    """Find the log-density at t = 1 of what is standard normal at t = 0: ``log N(x_0) - int_0^1 div v(x_t, t) dt``.

    Both integrals are taken by Heun's rule along the path backwards from the place.

    References:
        Chen et al., Neural Ordinary Differential Equations, 2018; Grathwohl et al., FFJORD, 2019, for the estimate
        ``div v = E[r^T J r]`` with random signs r, the same along a path.

    Args:
        velocity: v.
        place_BP: places at t = 1.
        evaluations: of the velocity and its divergence.
        probes: R, random directions; 0 takes all P of them, exactly.
        generator: what the directions are drawn by, on the device.

    Returns:
        (B,) float64, in nats.
    """
    count, size = place_BP.shape
    if probes:
        drawn = torch.randint(2, (probes, count, size), generator=generator, device=place_BP.device)
        direction_RBP, scale = drawn.to(place_BP.dtype) * 2 - 1, 1 / probes
    else:
        identity = torch.eye(size, dtype=place_BP.dtype, device=place_BP.device)
        direction_RBP, scale = identity[:, None].expand(size, count, size), 1.0
    steps = max(1, evaluations // 2)
    step = -1.0 / steps
    integral_B = torch.zeros(count, dtype=torch.float64, device=place_BP.device)
    for number in range(steps):
        time_B = place_BP.new_full((count,), 1.0 + number * step)
        slope_BP, divergence_B = _slope(velocity, place_BP, time_B, direction_RBP)
        next_BP, next_B = _slope(velocity, place_BP + step * slope_BP, time_B + step, direction_RBP)
        place_BP = place_BP + 0.5 * step * (slope_BP + next_BP)
        integral_B -= 0.5 * step * scale * (divergence_B + next_B)
    normal_B = -0.5 * (place_BP.double().square().sum(1) + size * math.log(2 * math.pi))
    return normal_B - integral_B


def _slope(velocity: Velocity, place_BP: Tensor, time_B: Tensor, direction_RBP: Tensor) -> tuple[Tensor, Tensor]:
    """(B, P) velocities, and the (B,) float64 sum over directions r of ``r^T J r``."""
    total_B = torch.zeros(len(place_BP), dtype=torch.float64, device=place_BP.device)
    slope_BP = place_BP
    for part_RBP in torch.split(direction_RBP, max(1, _ROWS // max(1, len(place_BP)))):
        copies = len(part_RBP)
        with torch.enable_grad():
            rows_XP = place_BP.detach().repeat(copies, 1).requires_grad_()
            slope_XP = velocity(rows_XP, time_B.repeat(copies))
            (turned_XP,) = torch.autograd.grad(slope_XP, rows_XP, part_RBP.flatten(0, 1))
        slope_BP = slope_XP[: len(place_BP)].detach()
        total_B += (turned_XP.view(part_RBP.shape) * part_RBP).sum((0, 2)).double()
    return slope_BP, total_B
