"""Doses read beyond the ends of a curve."""

from __future__ import annotations

import numpy as np
import pytest

from motionsynth.calibration.curve import Curve
from motionsynth.study.measure import _beyond


def curve(levels: list[float], sign: float = 1.0) -> Curve:
    return Curve.through(np.stack([sign * np.array(levels)] * 3, 1), [0.0, 1.0, 2.0, 4.0], sign)


@pytest.mark.parametrize(("figure", "beyond"), [(0.5, 0.0), (0.0, 0.0), (-1.0, -0.5), (9.0, 0.0), (11.0, 1.0)])
def test_a_curve_goes_on_straight_beyond_its_ends(figure: float, beyond: float) -> None:
    assert _beyond(curve([0.0, 2.0, 5.0, 9.0]), figure) == pytest.approx(beyond)


def test_a_falling_figure_is_beyond_where_it_is_too_large() -> None:
    falling = curve([0.0, 2.0, 5.0, 9.0], -1.0)
    assert _beyond(falling, 1.0) == pytest.approx(-0.5)
    assert _beyond(falling, -11.0) == pytest.approx(1.0)


def test_flat_ends_take_the_slope_to_the_nearest_dose_that_differs() -> None:
    assert _beyond(curve([0.0, 0.0, 4.0, 4.0]), -2.0) == pytest.approx(-1.0)
    assert _beyond(curve([0.0, 0.0, 4.0, 4.0]), 6.0) == pytest.approx(1.5)
    assert _beyond(curve([1.0, 1.0, 1.0, 1.0]), 6.0) == 0.0
