"""The realism gate: held-out motion passes, and what is no motion does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from motionsynth.corpus.motions import MotionSet, split_motions
from motionsynth.extractors.gate import Gate, nearest_distance
from tests.extractors.corpora import walkers_corpus, walkers_extractor


def with_features(motions: MotionSet, features_NTD: Tensor) -> MotionSet:
    return replace(motions, features_NTD=features_NTD)


def passing(motions: MotionSet, features_NTD: Tensor) -> float:
    realistic_N = walkers_extractor().describe(with_features(motions, features_NTD), spaces=("pca",)).realistic_N
    assert realistic_N is not None
    return float(realistic_N.double().mean())


def test_nearest_distance_is_the_smallest_of_all_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    points, others = torch.randn(2100, 5, generator=generator), torch.randn(70, 5, generator=generator)
    torch.testing.assert_close(nearest_distance(points, others), torch.cdist(points, others).amin(1))


def test_nearest_distance_may_leave_out_the_own_take() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0]])
    takes = torch.tensor([0, 0, 1])
    torch.testing.assert_close(nearest_distance(points, points, takes, takes), torch.tensor([10.0, 9.0, 9.0]))


def test_the_threshold_is_a_percentile_of_held_out_windows() -> None:
    train = torch.zeros(4, 2), torch.ones(4)
    held_out = torch.tensor([[3.0, 0.0]] * 50 + [[6.0, 0.0]] * 50), torch.tensor([4.0] * 50 + [8.0] * 50)
    gate = Gate.fit(train, ["a", "b", "c", "d"], held_out, percentile=40)
    assert gate is not None and gate.source == "validation"
    assert gate.threshold == pytest.approx(5.0)
    assert gate.passes(*held_out).tolist() == [True] * 50 + [False] * 50


def test_without_validation_other_takes_set_the_threshold() -> None:
    points = torch.tensor([[0.0], [0.0], [2.0], [2.0]])
    gate = Gate.fit((points, torch.zeros(4)), ["a", "a", "b", "b"], None)
    assert gate is not None and gate.source == "training, nearest other take"
    assert gate.threshold == pytest.approx(2.0)
    assert Gate.fit((points, torch.zeros(4)), ["a"] * 4, None) is None


def test_held_out_motion_passes() -> None:
    gate = walkers_extractor().gate
    validation, test = (split_motions(walkers_corpus(), split) for split in ("validation", "test"))
    assert gate is not None
    assert passing(validation, validation.features_NTD) == pytest.approx(gate.percentile / 100, abs=1 / len(validation))
    assert passing(test, test.features_NTD) > gate.percentile / 100 - 0.06


def test_noise_does_not_pass() -> None:
    test = split_motions(walkers_corpus(), "test")
    normaliser, generator = walkers_extractor().normaliser, torch.Generator().manual_seed(0)
    noise = torch.randn(test.features_NTD.shape, generator=generator)
    assert passing(test, normaliser.denormalise(noise)) == 0.0
    jittered = normaliser.denormalise(normaliser.normalise(test.features_NTD) + noise)
    assert passing(test, jittered) == 0.0
    scarcely = normaliser.denormalise(normaliser.normalise(test.features_NTD) + 0.01 * noise)
    assert passing(test, scarcely) > 0.9


def test_white_noise_would_cover_cells_without_the_gate() -> None:
    test, extractor = split_motions(walkers_corpus(), "test"), walkers_extractor()
    noise = torch.randn(test.features_NTD.shape, generator=torch.Generator().manual_seed(0))
    described = extractor.describe(with_features(test, extractor.normaliser.denormalise(noise)))
    assert described.cell_N is not None and described.realistic_N is not None
    assert len(described.cell_N.unique()) > 1
    assert not described.realistic_N.any()
