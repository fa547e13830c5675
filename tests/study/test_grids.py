"""Mixtures on grids, measured by every divergence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from motionsynth.study.grids import measure_grid
from motionsynth.study.load import load_study, plan_cells
from motionsynth.study.plan import ArmConfig, CorpusEntry


def measured(objective: str, components: int, density: str = "line", seed: int = 0) -> dict[str, float]:
    arm = ArmConfig(objective=objective, set={"components": components})  # type: ignore[arg-type]
    return measure_grid(arm, CorpusEntry(density=density), seed)  # type: ignore[arg-type]


def test_each_direction_is_best_at_its_own_divergence() -> None:
    forward, reverse = measured("forward", 2), measured("reverse", 2)
    assert forward["known/kl_forward"] < reverse["known/kl_forward"]
    assert reverse["known/kl_reverse"] < forward["known/kl_reverse"]
    assert forward["known/modes"] == 8 and reverse["known/modes"] == 2
    assert forward["known/between"] > 0.1 > 1e-3 > reverse["known/between"]


def test_reverse_divergence_of_two_modes_of_eight_is_log_four() -> None:
    assert measured("reverse", 2)["known/kl_reverse"] == pytest.approx(math.log(4), abs=1e-3)


def test_well_specified_every_objective_finds_the_data() -> None:
    found = measured("softened", 8, "ring")
    assert found["known/modes"] == 8
    assert max(found["known/kl_forward"], found["known/kl_reverse"], found["known/js"]) < 1e-3


def test_same_seed_same_figures() -> None:
    assert measured("js", 4, seed=1) == measured("js", 4, seed=1)


@pytest.mark.parametrize("amounts", [{}, {"components": 3}, {"components": 0}, {"components": 2, "hz": 4}])
def test_amounts_that_mean_nothing_are_refused(amounts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="divisor of 8"):
        measure_grid(ArmConfig(objective="forward", set=amounts), CorpusEntry(density="line"), 0)


def test_an_arm_without_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective"):
        measure_grid(ArmConfig(family="vae"), CorpusEntry(density="line"), 0)


def test_the_shipped_plan_can_be_read() -> None:
    path = Path(__file__).parents[2] / "configs" / "study" / "known-density.yaml"
    cells = plan_cells(load_study(path), path)
    assert {cell.corpus for cell in cells} == {"line", "ring", "walkers"}
    assert len({cell.key for cell in cells}) == len(cells)
