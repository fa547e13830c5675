"""The realism gate: held-out motion passes, and what is no motion does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from motionsynth.corpus.motions import MotionSet, split_motions
from motionsynth.extractors.gate import Gate
from tests.extractors.corpora import walkers_corpus, walkers_extractor


def with_features(motions: MotionSet, features_NTD: Tensor) -> MotionSet:
    return replace(motions, features_NTD=features_NTD)


def passing(motions: MotionSet, features_NTD: Tensor) -> float:
    realistic_N = walkers_extractor().describe(with_features(motions, features_NTD), spaces=("pca",)).realistic_N
    assert realistic_N is not None
    return float(realistic_N.double().mean())


def along(*places: float) -> Tensor:
    return torch.tensor(places)[:, None]


def test_the_threshold_is_a_percentile_of_held_out_windows() -> None:
    # takes lie 2 apart, and a held-out window 1 or 2 beside one of them
    train = along(0, 2), torch.zeros(2)
    held_out = along(*[-1.0] * 50, *[4.0] * 50), torch.zeros(100)
    gate = Gate.fit(train, ["a", "b"], held_out, percentile=40)
    assert gate is not None and gate.source == "validation"
    assert gate.apart_M.tolist() == [2.0, 2.0]
    assert gate.threshold == pytest.approx(0.5)
    assert gate.passes(*held_out).tolist() == [True] * 50 + [False] * 50


def test_what_the_axes_do_not_span_counts() -> None:
    train = along(0, 4), torch.full((2,), 3.0)
    gate = Gate.fit(train, ["a", "b"], (along(-3), torch.tensor([4.0])))
    assert gate is not None
    assert gate.apart_M.tolist() == [5.0, 5.0]
    ratios = gate.ratio(along(0, 4, -3), torch.tensor([0.0, 10.0, 4.0]))
    assert ratios.tolist() == pytest.approx([0.0, 2.0, 1.0])


def test_a_window_is_compared_with_takes_of_its_kind() -> None:
    narrow = [0.1 * place for place in range(6)]
    wide = [100.0 + 10 * place for place in range(6)]
    train = along(*narrow, *wide), torch.zeros(12)
    gate = Gate.fit(train, [str(place) for place in range(12)], (along(-0.1, 90), torch.zeros(2)))
    assert gate is not None
    assert gate.passes(along(-0.05, 92, -5), torch.zeros(3)).tolist() == [True, True, False]


def test_without_validation_other_takes_set_the_threshold() -> None:
    points = along(0, 0, 2, 2)
    gate = Gate.fit((points, torch.zeros(4)), ["a", "a", "b", "b"], None)
    assert gate is not None and gate.source == "training, nearest other take"
    assert gate.threshold == pytest.approx(1.0)
    assert Gate.fit((points, torch.zeros(4)), ["a"] * 4, None) is None


def test_copies_of_one_window_in_two_takes_are_no_reason_for_nan() -> None:
    same = along(1, 1), torch.zeros(2)
    gate = Gate.fit(same, ["a", "b"], same)
    assert gate is not None and gate.threshold == 0.0
    assert gate.passes(along(1, 2), torch.zeros(2)).tolist() == [True, False]


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


def test_copies_of_the_mean_window_cover_one_cell_at_most() -> None:
    test, extractor = split_motions(walkers_corpus(), "test"), walkers_extractor()
    mean_TD = extractor.normaliser.denormalise(extractor.axes.mean_P.view(extractor.frames, -1))
    described = extractor.describe(with_features(test, mean_TD.expand_as(test.features_NTD).contiguous()))
    assert described.cell_N is not None and len(described.cell_N.unique()) == 1
