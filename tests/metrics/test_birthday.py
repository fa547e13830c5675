"""The birthday-paradox estimate on sets whose support is known."""

from __future__ import annotations

import pytest
import torch

from motionsynth.metrics import neighbours
from motionsynth.metrics.birthday import COLLIDING, MEASURES, birthday_support, collision_distance
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("support", [20, 200, 2000])
def test_finds_the_number_of_distinct_windows(support):
    drawn_N = torch.randint(support, (1500,), generator=torch.Generator().manual_seed(1))
    windows_NE = normal(support, 16)[drawn_N] + 1e-4 * normal(1500, 16, seed=2)
    assert birthday_support(windows_NE, 0.01) == pytest.approx(support, rel=0.15)


def test_without_collisions_it_is_the_number_of_pairs():
    windows_NE = normal(40, 16)
    assert birthday_support(windows_NE, 1e-3) == 40 * 39 / 2
    group_N = torch.arange(40) // 2
    assert birthday_support(windows_NE, 1e-3, group_N) == 40 * 38 / 2
    with pytest.raises(UndefinedError, match="one take"):
        birthday_support(windows_NE, 1e-3, torch.zeros(40))


@pytest.mark.parametrize("block", [2**22, 3000])
def test_the_distance_is_the_quantile_of_the_pairs_of_different_takes(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    reference, take = normal(300, 8), torch.arange(300) // 3
    pairs = torch.pdist(reference.double())
    i, j = torch.triu_indices(300, 300, 1)
    apart = pairs[take[i] != take[j]].sort().values
    found = collision_distance(reference, take, 0.01)
    assert found == pytest.approx(float(apart[(int(0.01 * 2 * len(apart)) - 1) // 2]), rel=1e-5)


def test_two_halves_have_the_support_that_the_reference_has_by_definition():
    (measure,) = MEASURES
    figures = measure.compute(Sets(points(normal(1500, 4)), points(normal(1500, 4, seed=1))), "space")
    assert figures["birthday_support"] == pytest.approx(1 / COLLIDING, rel=0.15)
    halved = measure.compute(Sets(points(normal(700, 4)), points(normal(700, 4, seed=1))), "space")
    assert halved["birthday_support"] == pytest.approx(1 / COLLIDING, rel=0.25)
    collapsed = measure.compute(Sets(points(0.1 * normal(500, 4)), points(normal(500, 4, seed=1))), "space")
    assert collapsed["birthday_support"] < 10


def test_a_reference_that_cannot_say_what_collides_is_refused():
    with pytest.raises(UndefinedError, match="needs 1000 pairs"):
        collision_distance(normal(40, 4))
    with pytest.raises(UndefinedError, match=r"0\.1% of the pairs of reference windows coincide"):
        collision_distance(torch.full((200, 4), 0.3))
    with pytest.raises(UndefinedError, match="has 0"):
        collision_distance(normal(200, 4), torch.zeros(200))
