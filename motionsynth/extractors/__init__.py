"""What is fitted on the training split of a corpus to judge motion by: feature spaces, cells, and a realism gate."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionsynth.extractors.extractor import Extractor
    from motionsynth.extractors.fitting import train_extractor
    from motionsynth.extractors.store import extractor_for, load_extractor

__all__ = ["Extractor", "extractor_for", "load_extractor", "train_extractor"]

_HOMES = {
    "Extractor": "extractor",
    "extractor_for": "store",
    "load_extractor": "store",
    "train_extractor": "fitting",
}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used: torch stays unloaded for whoever only asks for help."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
