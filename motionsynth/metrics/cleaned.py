"""Generated motion as it is exported: with planted feet that are held, see ``motion.feet``.

All other figures are of motion as a model makes it. These stand beside them and describe what clean-up is left with, so
no calibration is made of them.

Shapes: N windows, T frames, J joints, E size of an embedding.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from motionsynth.features.encode import local_transforms
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.feet import foot_skating, leg_length_m
from motionsynth.metrics.manifold import NEIGHBOURS, manifold
from motionsynth.metrics.record import SHARE, Measure, Metric, Sets, UndefinedError
from motionsynth.motion.feet import find_legs, hold_feet
from motionsynth.motion.kinematics import joint_positions

__all__ = ["MEASURES", "cleaned_positions"]

_BLOCK: Final = 256
"""Windows cleaned at a time."""


def cleaned_positions(windows: Descriptors) -> Tensor:
    """(N, T, J, 3) world positions in metres, y up, after ``motion.feet.hold_feet``; those of ``decode``'s clips."""
    spec = windows.spec
    parts = []
    for block_NTD in torch.split(windows.features_NTD, _BLOCK):
        held = hold_feet(*local_transforms(block_NTD, spec), spec.skeleton(), spec.frame_rate)
        rotations, translations = (torch.from_numpy(numbers).float() for numbers in held)
        parts.append(joint_positions(rotations, translations * spec.metres_per_unit, spec.parents))
    return torch.cat(parts).to(windows.features_NTD)


def _skating(windows: Descriptors) -> Tensor:
    spec = windows.spec
    return foot_skating(windows.per_window(cleaned_positions), spec.contact_groups, leg_length_m(spec), spec.frame_rate)


def _kinetic(windows: Descriptors) -> Tensor:
    assert windows.to_kinetic is not None
    return windows.to_kinetic(windows.per_window(cleaned_positions))


def _refuse_legless(windows: Descriptors) -> None:
    leg_length_m(windows.spec)
    if not find_legs(windows.spec.skeleton()):
        raise UndefinedError("no leg is found, so no foot can be held")


def _skate(sets: Sets, space: str | None) -> dict[str, float]:
    _refuse_legless(sets.generated)
    speed, steps, _ = sets.generated.per_window(_skating).sum(0).tolist()
    if not steps:
        raise UndefinedError("no foot joint of the generated set stays near its floor for two frames")
    return {"foot_skate_cleaned": speed / steps}


def _precision(sets: Sets, space: str | None) -> dict[str, float]:
    generated, reference = sets.generated, sets.reference
    _refuse_legless(generated)
    if generated.to_kinetic is None or "kinetic" not in reference.embeddings:
        raise UndefinedError("needs the feature space kinetic")
    found = manifold(
        generated.per_window(_kinetic), reference.embeddings["kinetic"], groups=(generated.take_N, reference.take_N)
    )
    return {"precision_kinetic_cleaned": found.precision}


MEASURES: Final = (
    Measure(
        (
            Metric(
                "foot_skate_cleaned",
                "fidelity",
                "m/s",
                "lower",
                "foot_skate of the generated set after clean-up of its feet, as `generate` exports it.",
                "this package",
            ),
        ),
        _skate,
        resample="takes",
        needs=("feet",),
        calibrated=False,
    ),
    Measure(
        (
            Metric(
                "precision_kinetic_cleaned",
                "modes",
                "1",
                "match",
                "precision in the space kinetic of the generated set after clean-up of its feet, against the reference "
                "as it is.",
                "Kynkaanniemi et al. 2019",
                bounds=SHARE,
            ),
        ),
        _precision,
        resample="halves",
        least=NEIGHBOURS + 1,
        needs=("feet",),
        calibrated=False,
    ),
)
