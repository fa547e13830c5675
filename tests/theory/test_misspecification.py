"""The ladder of mixtures: counts on other starts and other modes, and the counter itself."""

from __future__ import annotations

import math

import pytest
import torch

from motionsynth.theory.density import mixture
from motionsynth.theory.misspecification import Stage, fit_mixture, line_stage, ring_stage


@pytest.mark.parametrize("make", [line_stage, ring_stage])
def test_the_data_cover_all_modes_and_nothing_between(make: object) -> None:
    stage: Stage = make()  # type: ignore[operator]
    assert stage.covered(stage.data_N) == 8
    assert stage.between(stage.data_N) < 1e-3
    assert float(stage.data_N.exp().sum()) == pytest.approx(1, abs=1e-12)


def test_the_counter_sees_dropped_modes_and_bridges() -> None:
    stage = line_stage()
    three = stage.given_MN[:3].logsumexp(0) - math.log(3)
    assert stage.covered(three) == 3
    wide = mixture(stage.points_ND, torch.tensor([0.0, 0.0, math.log(4.6)], dtype=torch.float64))
    assert stage.covered(wide) == 8 and stage.between(wide) > 0.3


@pytest.mark.parametrize(("name", "components", "covered"), [("forward", 2, 8), ("reverse", 2, 2), ("softened", 4, 4)])
def test_counts_stay_on_other_starts_and_other_places(name: str, components: int, covered: int) -> None:
    stage = Stage(line_stage().points_ND + 0.013, line_stage().modes_MD * 1.05, 0.12)
    assert fit_mixture(stage, name, components, seed=9).covered == covered


def test_forward_kl_of_one_component_matches_moments() -> None:
    """Closed form: the best Gaussian by forward KL has the data's mean and variance."""
    stage = line_stage()
    found = fit_mixture(stage, "forward", 1).log_N.exp()
    place = stage.points_ND[:, 0]
    data = stage.data_N.exp()
    # the grid ends at +-10; renormalised there the Gaussian is still an exponential family, so its moments agree
    for power in (1, 2):
        assert float((found * place**power).sum()) == pytest.approx(float((data * place**power).sum()), abs=1e-4)


def test_reverse_kl_of_k_far_modes_is_log_8_over_k() -> None:
    for components in (1, 2, 4):
        assert fit_mixture(line_stage(), "reverse", components).divergence == pytest.approx(
            math.log(8 / components), abs=1e-3
        )
