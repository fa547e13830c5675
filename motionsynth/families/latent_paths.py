"""Ways through latents: a path from one to another, and an axis along which one thing changes.

Shapes: N latents of a walk, Z latent dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from motionsynth.families.base import Family
from motionsynth.families.capabilities import HasCodes, LatentCode

__all__ = ["Axis", "code_axes", "great_circle", "number_axis", "path_between", "straight_line"]

DIMENSION_RANGE: Final = (-2.0, 2.0)
"""Range of a latent number that is N(0, 1): 95 % of its draws."""
CODE_RANGE: Final = (-1.0, 1.0)
"""Range of a continuous code, which is uniform there."""


def straight_line(first_Z: Tensor, last_Z: Tensor, count: int) -> Tensor:
    """``(1 - s) a + s b`` for ``count`` shares s from 0 to 1: (N, Z)."""
    share_N1 = torch.linspace(0, 1, count, device=first_Z.device)[:, None]
    path_NZ = (1 - share_N1) * first_Z + share_N1 * last_Z
    path_NZ[0], path_NZ[-1] = first_Z, last_Z
    return path_NZ


def great_circle(first_Z: Tensor, last_Z: Tensor, count: int) -> Tensor:
    """``(sin((1 - s) w) a / |a| + sin(s w) b / |b|) / sin w``, w their angle, at a norm that goes from |a| to |b|.

    Draws of N(0, I) lie near a sphere of radius sqrt(Z), of which a straight line cuts off the cap. Where there is no
    one great circle, between parallel or opposite latents, the line is straight.

    References:
        Shoemake, Animating Rotation with Quaternion Curves, 1985; White, Sampling Generative Networks, 2016.

    Args:
        first_Z: (Z,) where the path begins.
        last_Z: (Z,) where it ends.
        count: N, at least 2.
    """
    norms = torch.stack((first_Z.norm(), last_Z.norm()))
    cosine = (first_Z @ last_Z / norms.prod().clamp(min=1e-12)).clamp(-1, 1)
    if norms.min() == 0 or 1 - cosine.abs() < 1e-6:
        return straight_line(first_Z, last_Z, count)
    angle = cosine.arccos()
    share_N1 = torch.linspace(0, 1, count, device=first_Z.device)[:, None]
    onward_NZ = ((1 - share_N1) * angle).sin() * first_Z / norms[0] + (share_N1 * angle).sin() * last_Z / norms[1]
    path_NZ = onward_NZ / angle.sin() * (norms[0] + share_N1 * (norms[1] - norms[0]))
    path_NZ[0], path_NZ[-1] = first_Z, last_Z
    return path_NZ


def path_between(family: Family, first_Z: Tensor, last_Z: Tensor, count: int, *, linear: bool) -> Tensor:
    """(N, Z) latents from one to the other; numbers that are codes go straight."""
    if linear:
        return straight_line(first_Z, last_Z, count)
    path_NZ = straight_line(first_Z, last_Z, count)
    noise_Z = torch.ones(len(first_Z), dtype=torch.bool, device=first_Z.device)
    for axis in code_axes(family):
        noise_Z[axis.place] = False
    path_NZ[:, noise_Z] = great_circle(first_Z[noise_Z], last_Z[noise_Z], count)
    return path_NZ


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers of a latent that vary from ``low`` to ``high``, or over their classes, while all others stay."""

    name: str
    place: slice
    low: float
    high: float
    classes: int = 0

    def vary(self, z_Z: Tensor, count: int) -> tuple[Tensor, list[str]]:
        """(N, Z) latents that differ in this alone, and a caption for each."""
        z_NZ = z_Z.repeat(self.classes or count, 1)
        if self.classes:
            z_NZ[:, self.place] = torch.eye(self.classes, device=z_Z.device)
            return z_NZ, [f"class {index}" for index in range(self.classes)]
        values_N = torch.linspace(self.low, self.high, count, device=z_Z.device)
        z_NZ[:, self.place] = values_N[:, None]
        return z_NZ, [f"{value:+.2f}" for value in values_N.tolist()]


def code_axes(family: Family) -> list[Axis]:
    """The codes of a family that has such."""
    codes: tuple[LatentCode, ...] = family.latent_codes if isinstance(family, HasCodes) else ()
    low, high = CODE_RANGE
    return [Axis(c.name, c.place, low, high, c.size if c.kind == "categorical" else 0) for c in codes]


def number_axis(place: int, low: float = DIMENSION_RANGE[0], high: float = DIMENSION_RANGE[1]) -> Axis:
    """One number of a latent."""
    return Axis(f"z{place}", slice(place, place + 1), low, high)
