"""Types of the functions that are called while long work goes on."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Announce", "Progress", "Stage"]

Progress = Callable[[int, int], None]
"""Called with what is done, and how much there is in all."""
Stage = Callable[[str, int, int], None]
"""Called with the name of the part of the work that goes on, what of it is done, and how much it is in all."""
Announce = Callable[[str], None]
"""Called with a line for a person."""
