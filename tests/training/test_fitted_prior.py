"""The density of latents that a finished run carries."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from motionsynth.families.ae import Autoencoder
from motionsynth.families.capabilities import SampleOptions
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import draw_samples
from tests.training.toy_family import make_config, make_run, make_windows


def train(path: Path, **settings: object) -> Run:
    family = Autoencoder.Config.model_validate({"latent_dim": 3, "backbone": {"kind": "conv", "widths": (4, 4)}})
    run = make_run(path, make_config(steps=12, **settings).model_copy(update={"family": family}))
    train_run(run, make_windows(120))
    return run


def test_a_finished_run_draws_from_it_wherever_it_is_copied(tmp_path: Path) -> None:
    run = train(tmp_path / "run")
    drawn = draw_samples(run, 5, seed=0)
    assert torch.equal(drawn.motion_NTD, draw_samples(run, 5, seed=0, how=SampleOptions(prior="fitted")).motion_NTD)
    assert not torch.equal(drawn.motion_NTD, draw_samples(run, 5, seed=0, how=SampleOptions(prior="normal")).motion_NTD)
    shutil.copytree(run.path, tmp_path / "elsewhere")
    shutil.rmtree(run.path)
    assert torch.equal(drawn.motion_NTD, draw_samples(open_run(tmp_path / "elsewhere"), 5, seed=0).motion_NTD)


def test_weights_and_their_average_each_have_the_density_of_their_own_codes(tmp_path: Path) -> None:
    run, windows = train(tmp_path / "run"), make_windows(120)
    means = []
    for ema in (False, True):
        family = run.load_family(ema=ema)
        assert isinstance(family, Autoencoder)
        with torch.no_grad():
            code = family.encode(windows.batch(torch.arange(120))).double()
        density = family.latent_density
        means.append((density.weight_K[:, None] * density.mean_KZ).sum(0))
        torch.testing.assert_close(means[-1], code.mean(0), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(*means, rtol=1e-3), "the codes differ, and so do the densities"


def test_the_same_seed_fits_the_same_density(tmp_path: Path) -> None:
    first, same, other = (train(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    states = [run.load_weights()[0] for run in (first, same, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["latent_density.mean_KZ"], states[2]["latent_density.mean_KZ"])


@pytest.mark.parametrize("average", [None, 0.9])
def test_a_run_without_an_average_has_one_density(tmp_path: Path, average: float | None) -> None:
    weights, averages = train(tmp_path / "run", ema_decay=average).load_weights()
    assert weights["latent_density.weight_K"].any()
    assert bool(averages) == bool(average)
    assert not averages or averages["latent_density.weight_K"].any()
