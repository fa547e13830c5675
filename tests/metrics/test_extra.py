"""Figures left out by default are those that no calibration found valid, less those that readers look for."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from motionsynth.calibration.record import load_calibration
from motionsynth.evaluation.evaluate import SPACES
from motionsynth.metrics.registry import EXTRA, choose, figure_keys

DOCS = Path(__file__).parents[2] / "docs" / "calibration"
STANDARD = (
    "fidelity/frechet.*", "fidelity/kid.*", "modes/precision.*", "modes/recall.*", "modes/density.*",
    "modes/coverage.*", "smoothness/jerk_ratio", "smoothness/log_spectral_*", "memorisation/*", "fidelity/foot_*",
    "fidelity/floor_*", "fidelity/range_of_motion", "fidelity/poses_outside_range", "fidelity/bone_length_drift",
)  # fmt: skip


def matches(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


@cache
def never_valid() -> tuple[set[str], set[str]]:
    """Calibrated figures, and those of them that are valid on no axis of either corpus."""
    both = [load_calibration(DOCS / f"{name}.json.xz") for name in ("walkers", "bandai-namco-2")]
    keys = {key for found in both for key in found.figures}
    valid = {v.key for found in both for v in found.verdicts if v.kind in ("valid", "range")}
    return keys, keys - valid


def test_what_is_left_out_is_what_no_calibration_found_valid() -> None:
    keys, never = never_valid()
    assert (len(keys), len(never)) == (134, 71)
    left_out = {key for key in keys if matches(key, EXTRA)}
    assert left_out == {key for key in never if not matches(key, STANDARD)}
    assert len(left_out) == 42


@pytest.mark.parametrize("pattern", EXTRA)
def test_every_pattern_names_a_figure(pattern: str) -> None:
    assert any(fnmatchcase(key, pattern) for key in never_valid()[0])


def test_words_choose_what_is_left_out_by_default() -> None:
    few, everything = (set(figure_keys(choose(None, None, SPACES, extra=extra))) for extra in (False, True))
    assert few < everything and everything - few == {key for key in everything if matches(key, EXTRA)}
    asked = figure_keys(choose(["c2st", "modes/recall.pca"], None, SPACES, extra=False))
    assert "fidelity/c2st.pca" in asked and "modes/recall.pca" in asked
