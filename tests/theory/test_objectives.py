"""The product's objectives are all covered by theory."""

from __future__ import annotations

from motionsynth.losses.adversarial import OBJECTIVES
from motionsynth.theory import objectives


def test_every_objective_with_a_divergence_is_compared_with_it() -> None:
    said = {name: objective.minimises for name, objective in OBJECTIVES.items() if objective.minimises}
    assert set(said) == set(objectives._BEST) - {"lsgan"}
    assert set(said.values()) == set(objectives._DIVERGENCES)


def test_a_generator_follows_its_own_divergence_only() -> None:
    for name, objective in OBJECTIVES.items():
        if objective.minimises:
            for said, mismatch in objectives._follows(3, name).items():
                assert (mismatch < 1e-9) == (said == objective.minimises), (name, said, mismatch)
