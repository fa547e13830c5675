"""Train generative models of skeletal motion through one pipeline, and compare what they make."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionsynth.errors import BvhError, ConfigError, CorpusError, MotionSynthError, RunError, TrainingError
    from motionsynth.motion.bvh import read_bvh, write_bvh
    from motionsynth.motion.clip import Clip
    from motionsynth.motion.skeleton import EndSite, Skeleton

__version__ = "0.1.0"

_HOMES = {
    "BvhError": "errors",
    "Clip": "motion.clip",
    "ConfigError": "errors",
    "CorpusError": "errors",
    "EndSite": "motion.skeleton",
    "MotionSynthError": "errors",
    "RunError": "errors",
    "Skeleton": "motion.skeleton",
    "TrainingError": "errors",
    "read_bvh": "motion.bvh",
    "write_bvh": "motion.bvh",
}

__all__ = [
    "BvhError",
    "Clip",
    "ConfigError",
    "CorpusError",
    "EndSite",
    "MotionSynthError",
    "RunError",
    "Skeleton",
    "TrainingError",
    "read_bvh",
    "write_bvh",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used, so that ``import motionsynth`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
