"""Networks that see frames whose features are weighted by how far they move joints and feet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionsynth.config import RunConfig, config_hash, resolve_config
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.motion_metric import MotionMetric
from motionsynth.corpus.weighted_features import WeightedFeatures
from motionsynth.errors import ConfigError
from motionsynth.families.base import StepContext
from motionsynth.families.likelihood import Likelihood
from motionsynth.features.geometry import joint_positions_m
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import draw_from, draw_samples
from motionsynth.runs.train import train
from motionsynth.walkers.corpus import make_walkers

KINDS = {
    "conv": "widths: [8, 8]",
    "gru": "width: 8, layers: 1, mapping_width: 8",
    "transformer": "width: 8, heads: 2, layers: 1, feedforward: 8, mapping_width: 8",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "walkers"
    make_walkers(folder, clips=12)
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return open_corpus(config("ae", "conv", folder).data)


def config(name: str, kind: str, folder: Path, metric: str = "{}", *more: str) -> RunConfig:
    section = f"family.backbone={{kind: {kind}, {KINDS[kind]}, metric: {metric}}}"
    small = ("data.window_frames=16", "train.steps=4", "train.batch_size=8", section)
    critic = {"gan": {"conv": "{widths: [8, 8]}", "gru": "{}"}}.get(name, {}).get(kind)
    return resolve_config(
        name, data=folder, overrides=(*small, *([f"family.critic={critic}"] if critic else []), *more)
    )


def trained(config: RunConfig, run_dir: Path) -> Run:
    return open_run(train(config, run_dir=run_dir, track=False).run.path)


def test_a_weight_is_how_far_joints_move_by_finite_differences(corpus: Corpus) -> None:
    """With velocities left out; the root's height moves all joints by itself, and is the measure."""
    windows, spec, normaliser = corpus.windows("train"), corpus.spec, corpus.normaliser
    weight_D = WeightedFeatures.fit(windows, spec, normaliser, MotionMetric(1.0, 0.0, 0.0)).weight_D
    poses_P1D = windows.as_batch().motion_BTD.flatten(0, 1)[::7, None]
    moving = [spec.moving_joint, *spec.joints_below]

    def moved_m(feature: int) -> float:
        step = torch.zeros(poses_P1D.shape[-1])
        step[feature] = 0.01
        ends = (joint_positions_m(normaliser.denormalise(poses_P1D + sign * step), spec) for sign in (1, -1))
        before, after = (one[:, 0][:, moving] for one in ends)
        return float(((before - after) / 0.02).square().sum(2).mean().sqrt())

    height = spec.slices["root_height_m"].start
    strong = weight_D[spec.slices["joint_rotations_6d"]].argsort(descending=True)[:3] + (
        spec.slices["joint_rotations_6d"].start
    )
    for feature in strong.tolist():
        ratio = float(weight_D[feature] / weight_D[height])
        assert ratio == pytest.approx(moved_m(feature) / moved_m(height), rel=0.05)
    assert float(weight_D.square().mean()) == pytest.approx(1.0, abs=0.05)
    assert float(weight_D[spec.slices["foot_contacts"]].max()) == pytest.approx(0.1), "they move nothing"


def test_weighted_windows_come_back_at_any_length(corpus: Corpus) -> None:
    weights = WeightedFeatures.fit(corpus.windows("train"), corpus.spec, corpus.normaliser, MotionMetric())
    windows = corpus.windows("validation")
    batch, weighted = windows.as_batch(), weights.project(windows).as_batch()
    assert torch.equal(weighted.mask_BT, batch.mask_BT)
    torch.testing.assert_close(weights.decode(weighted.motion_BTD), batch.motion_BTD)
    longer = torch.randn(2, 99, corpus.spec.width)
    torch.testing.assert_close(weights.decode(weights.encode(longer)), longer)
    again = WeightedFeatures.from_tensors(weights.tensors(), (16, corpus.spec.width))
    assert torch.equal(again.weight_D, weights.weight_D)
    for wrong in ({}, {"weight_D": torch.zeros(3)}, {"weight_D": torch.ones(3)}):
        with pytest.raises(ValueError, match="weights of"):
            WeightedFeatures.from_tensors(wrong, (16, corpus.spec.width))


def test_an_error_counts_by_its_weight(folder: Path, corpus: Corpus, tmp_path: Path) -> None:
    """The likelihood of a run sees weighted windows: an error of a feature counts by the square of its weight."""
    run = trained(config("vae", "conv", folder, "{feet: 1.0}"), tmp_path / "run")
    family = run.load_family()
    weights, likelihood = run.basis(), getattr(family, "likelihood", None)
    assert isinstance(weights, WeightedFeatures) and isinstance(likelihood, Likelihood)
    batch = corpus.windows("train").batch(torch.arange(4))
    seen = family.project(batch)
    torch.testing.assert_close(seen.motion_BTD, batch.motion_BTD * weights.weight_D)
    assert torch.equal(seen.mask_BT, batch.mask_BT)
    for feature in (int(weights.weight_D.argmax()), int(weights.weight_D.argmin())):
        off_BTD = batch.motion_BTD.clone()
        off_BTD[..., feature] += 1.0
        context = StepContext(0, 0.0, torch.Generator())
        mse = likelihood.loss(seen, weights.encode(off_BTD), context).mse
        assert float(mse) == pytest.approx(float(weights.weight_D[feature]) ** 2 / corpus.spec.width, rel=1e-4)


@pytest.mark.parametrize(("name", "kind"), [("vae", "gru"), ("vae", "transformer"), ("gan", "conv"), ("gan", "gru")])
def test_every_kind_learns_and_draws_features_as_they_were(name: str, kind: str, folder: Path, tmp_path: Path) -> None:
    run = trained(config(name, kind, folder), tmp_path / "run")
    drawn = draw_samples(run, 3, 0).motion_NTD
    family, weights = run.load_family(), run.basis()
    assert weights is not None and drawn.shape == (3, 16, run.record.width)
    family.basis = None  # what the network gives is weighted
    made = draw_from(family, 3, 0)
    torch.testing.assert_close(weights.decode(made), drawn)
    assert not torch.allclose(made, drawn, atol=0.1)


def test_without_a_metric_a_run_is_what_it_was(folder: Path) -> None:
    """Its hash too: the key is not said where it says nothing."""
    plain, told, weighted = (
        resolve_config("vae", data=folder, overrides=(f"family.backbone={{kind: conv{metric}}}",))
        for metric in ("", ", metric: null", ", metric: {}")
    )
    assert plain.family.basis is None
    assert config_hash(plain) == config_hash(told) != config_hash(weighted)


@pytest.mark.parametrize(
    ("name", "metric", "reason"),
    [
        ("vae", "{joints: 0, feet: 0}", "joints or feet must be above 0"),
        ("vae", "{knees: 1}", r"family\.backbone\.metric\.knees: unknown key"),
        ("cyclegan", "{}", "metric must be null: translators give features as they are"),
    ],
)
def test_metrics_that_weigh_nothing_are_refused(name: str, metric: str, reason: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve_config(name, data=folder, overrides=(f"family.backbone={{kind: conv, metric: {metric}}}",))
