"""Samples: same seed, same bytes, however many are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionsynth.errors import RunError
from motionsynth.families.capabilities import SampleOptions
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import CHUNK, draw_samples
from tests.training.toy_family import FEATURES, FRAMES, make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path / "toy", make_config(steps=8))
    train_run(run, make_windows())
    return run


def test_a_seed_decides_and_the_count_does_not(run: Run) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    many = draw_samples(run, CHUNK + 7, seed=1)
    assert many.motion_NTD.shape == (CHUNK + 7, FRAMES, FEATURES) and many.motion_NTD.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    for count in (1, 5, CHUNK, CHUNK + 7):
        assert torch.equal(draw_samples(run, count, seed=1).motion_NTD, many.motion_NTD[:count])
    assert not torch.equal(draw_samples(run, 5, seed=2).motion_NTD, many.motion_NTD[:5])
    assert len(many.motion_NTD.flatten(1).unique(dim=0)) == CHUNK + 7, "no chunk repeats another"


def test_the_average_is_what_is_drawn_from(run: Run) -> None:
    weights, averages = run.load_weights()
    drawn = draw_samples(run, 3, seed=0).motion_NTD
    run.save_weights(averages, {})
    assert torch.equal(draw_samples(run, 3, seed=0).motion_NTD, drawn)
    run.save_weights(weights, {})
    assert not torch.equal(draw_samples(run, 3, seed=0).motion_NTD, drawn)


def test_what_cannot_be_drawn_is_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        draw_samples(run, 0, seed=0)
    with pytest.raises(ValueError, match="toys have 8 frames"):
        draw_samples(run, 1, seed=0, how=SampleOptions(frames=9))


def test_draws_that_are_not_finite_are_an_error(run: Run) -> None:
    weights, _ = run.load_weights()
    weights["generator.bias"][0] = torch.nan
    run.save_weights(weights, {})
    with pytest.raises(RunError, match="not finite: its training has diverged"):
        draw_samples(run, 1, seed=0)
