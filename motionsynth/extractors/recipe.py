"""Recipe of an extractor: sizes and budgets, the same for every corpus, so that its figures can be compared.

A kept extractor is found again by the corpus' fingerprint and :data:`RECIPE`: raise it with every change of what is
fitted, here or anywhere in this package.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BATCH", "COMPONENTS", "KINETIC_BLOCK", "PASSES", "RECIPE", "STEPS", "budget"]

RECIPE: Final = 3
"""Version of what is fitted and how."""

COMPONENTS: Final = 64
"""Principal components of the space ``pca``, as far as there are windows for them."""

KINETIC_BLOCK: Final = 2048
"""Training windows whose positions are held at a time."""

STEPS: Final = {"classifier": 1500, "ae": 2000}
"""Optimiser steps of each network at most, by name of its configuration, of ``BATCH`` windows each."""

PASSES: Final = 200
"""Passes over the training windows at most, which is less than ``STEPS`` where there are fewer than 640 of them: twice
what both networks need on 120 windows until held-out takes gain nothing more."""

BATCH: Final = 64
"""Windows a step."""


def budget(name: str, windows: int) -> int:
    """Optimiser steps of a network on so many training windows: ``min(STEPS, PASSES windows / batch)``."""
    return min(STEPS[name], -(-PASSES * windows // min(BATCH, windows)))
