"""What an extractor is made of: sizes and budgets, the same for every corpus, so that its figures can be compared.

A kept extractor is found again by the corpus' fingerprint and :data:`RECIPE`: raise it with every change of what is
fitted, here or anywhere in this package.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BATCH", "COMPONENTS", "KINETIC_BLOCK", "RECIPE", "STEPS"]

RECIPE: Final = 2
"""Version of what is fitted and how."""

COMPONENTS: Final = 64
"""Principal components of the space ``pca``, as far as there are windows for them."""

KINETIC_BLOCK: Final = 2048
"""Training windows whose positions are held at a time."""

STEPS: Final = {"classifier": 1500, "ae": 2000}
"""Optimiser steps of each network, by name of its configuration, of ``BATCH`` windows each."""

BATCH: Final = 64
"""Windows a step."""
