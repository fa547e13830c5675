"""Labels that draws are made under."""

from __future__ import annotations

import pytest
import torch

from motionsynth.families.condition import Condition

LABELS = {"style": torch.tensor([0, 0, 1, 1, 1, 2]), "content": torch.tensor([0, 1, 0, 0, 1, 1])}


def observed() -> Condition:
    condition = Condition(("style", "content"), {"style": 3, "content": 3, "take": 9})
    condition.observe(LABELS)
    return condition


def share(fixed: dict[str, int], count: int = 20_000) -> torch.Tensor:
    drawn = observed().draw(count, fixed, generator=torch.Generator().manual_seed(0))
    assert drawn is not None
    return drawn.mean(0)


def test_labels_not_asked_for_follow_the_training_windows():
    torch.testing.assert_close(share({}), torch.tensor([2, 3, 1, 3, 3, 0]) / 6, atol=0.01, rtol=0)
    torch.testing.assert_close(share({"style": 1}), torch.tensor([0, 1, 0, 2 / 3, 1 / 3, 0]), atol=0.01, rtol=0)


@pytest.mark.parametrize("fixed", [{"style": 0, "content": 2}, {"content": 2, "style": 0}, {"style": 2, "content": 0}])
def test_a_combination_that_no_window_has_is_drawn_as_asked(fixed):
    expected = torch.zeros(6)
    expected[fixed["style"]] = expected[3 + fixed["content"]] = 1
    assert torch.equal(share(fixed, 50), expected)


def test_a_class_that_no_window_has_leaves_the_others_open():
    drawn = share({"content": 2})
    assert drawn[5] == 1 and (drawn[:3] > 0.3).all()


def test_classes_out_of_range_and_labels_unknown_are_refused():
    with pytest.raises(ValueError, match="label style: class 3 is not one of 3"):
        share({"style": 3}, 5)
    with pytest.raises(ValueError, match="clips have no label 'mood', only style, content"):
        Condition(("mood",), {"style": 3, "content": 3})
