"""Mixtures on a grid whose density is known: every divergence of data and fit, whichever of them was minimised."""

from __future__ import annotations

from typing import Final

import torch

from motionsynth.study.plan import ArmConfig, CorpusEntry
from motionsynth.theory.misspecification import DIVERGENCES, MODES, fit_mixture, line_stage, ring_stage

__all__ = ["KEYS", "measure_grid"]

KEYS: Final = (
    "known/kl_forward",
    "known/kl_reverse",
    "known/asymmetry",
    "known/softened",
    "known/js",
    "known/modes",
    "known/between",
)
"""Figures of a mixture; see :func:`measure_grid`."""


def measure_grid(arm: ArmConfig, corpus: CorpusEntry, seed: int) -> dict[str, float]:
    """Fit a mixture of ``set.components`` Gaussians to the eight modes of a grid by one divergence; measure by all.

    Args:
        arm: ``objective``, the divergence that is minimised, and ``set: {components: K}``, a divisor of eight.
        corpus: ``density``: ``line`` or ``ring``.
        seed: of the four random starts; a fifth is the same for all seeds. The best of the five is kept.

    Returns:
        In nats ``known/kl_forward`` KL(p || q), ``known/kl_reverse`` KL(q || p), the first less the
        second ``known/asymmetry``, ``known/softened`` 2 KL(p/2+q/2 || p) and ``known/js``, p the data and q the fit,
        renormalised on the grid; ``known/modes``, how many of the eight are covered; ``known/between``, mass farther
        than four standard deviations from every mode.

    Raises:
        ValueError: the arm is no mixture on a grid, the corpus no grid, or the components do not divide eight.
    """
    stages = {"line": line_stage, "ring": ring_stage}
    if arm.objective is None or corpus.density is None:
        raise ValueError("a mixture is fitted by an arm with an objective, on a corpus with a density")
    components = arm.set.get("components")
    if set(arm.set) != {"components"} or not isinstance(components, int) or components < 1 or MODES % components:
        raise ValueError(f"set: {{components: K}} with K a divisor of {MODES} is what a mixture needs, not {arm.set}")
    stage = stages[corpus.density]()
    fit = fit_mixture(stage, arm.objective, components, seed=seed)
    with torch.no_grad():
        found = {name: float(divergence(stage.data_N, fit.log_N)) for name, divergence in DIVERGENCES.items()}
    return {
        "known/kl_forward": found["forward"],
        "known/kl_reverse": found["reverse"],
        "known/asymmetry": found["forward"] - found["reverse"],
        "known/softened": found["softened"],
        "known/js": found["js"],
        "known/modes": float(fit.covered),
        "known/between": fit.between,
    }
