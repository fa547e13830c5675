"""What an extractor tells of windows, and what it refuses."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from motionsynth.corpus.motions import MotionSet, split_motions
from motionsynth.errors import ExtractorError
from motionsynth.extractors.cells import Cells
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.fitting import train_extractor
from motionsynth.extractors.recipe import STEPS, budget
from motionsynth.features.spec import FeatureSpec
from motionsynth.metrics.components import PrincipalComponents
from motionsynth.metrics.kinetic import kinetic_features
from tests.extractors.corpora import FEW_STEPS, walkers_corpus, walkers_extractor


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return walkers_extractor()


@pytest.fixture(scope="module")
def motions() -> MotionSet:
    return split_motions(walkers_corpus(), "test")


def test_the_budget_is_that_of_all_corpora_but_for_small_ones() -> None:
    for windows in (640, 4000, 9700, 12460):
        assert {name: budget(name, windows) for name in STEPS} == {"classifier": 1500, "ae": 2000}
    assert (budget("ae", 639), budget("ae", 128), budget("classifier", 128)) == (1997, 400, 400)
    assert budget("ae", 24) == 200  # of batches of 24 windows


def test_every_space_has_finite_numbers_for_every_window(extractor: Extractor, motions: MotionSet) -> None:
    described = extractor.describe(motions)
    assert extractor.spaces == tuple(described.embeddings) == ("pca", "kinetic", "classifier", "autoencoder")
    for space, embedding_NE in described.embeddings.items():
        assert embedding_NE.dtype == torch.float32 and len(embedding_NE) == len(motions)
        assert embedding_NE.isfinite().all()
        assert embedding_NE.std(0).max() > 0.1, space
    assert described.names == motions.names and described.nyquist_hz == motions.nyquist_hz
    assert described.cell_N is not None and described.cell_N.dtype == torch.int64
    assert described.realistic_N is not None and described.realistic_N.dtype == torch.bool


def test_windows_of_one_take_have_one_number(extractor: Extractor, motions: MotionSet) -> None:
    take_N = extractor.describe(motions, spaces=()).take_N
    for first, second in ((0, 1), (0, len(motions) - 1)):
        assert (take_N[first] == take_N[second]) == (motions.takes[first] == motions.takes[second])
    assert len(take_N.unique()) == len(set(motions.takes))


def test_the_space_pca_is_that_of_normalised_training_windows(extractor: Extractor, motions: MotionSet) -> None:
    corpus = walkers_corpus()
    train = corpus.windows("train")
    axes = PrincipalComponents.fit(train.subset(train.whole_N).as_batch().motion_BTD.numpy(), 64)
    expected = torch.from_numpy(axes.project(corpus.normaliser.normalise(motions.features_NTD).numpy()))
    found = extractor.describe(motions, spaces=("pca",)).embeddings["pca"]
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


def test_the_space_kinetic_is_standardised_on_the_training_split(extractor: Extractor) -> None:
    train = split_motions(walkers_corpus(), "train")
    described = extractor.describe(train, spaces=("kinetic",))
    embedding_NE = described.embeddings["kinetic"]
    torch.testing.assert_close(embedding_NE.mean(0), torch.zeros(embedding_NE.shape[1]), rtol=0, atol=1e-3)
    assert embedding_NE.std(0).max() < 1.01
    moving = described.positions_NTJ3[:, :, described.moving_joints]
    raw_NE = kinetic_features(moving, train.spec.frame_rate)
    centred = raw_NE - raw_NE.mean(0)
    torch.testing.assert_close(
        embedding_NE, centred / raw_NE.std(0, correction=0).clamp_min(0.05), rtol=1e-3, atol=1e-3
    )


def test_the_judge_tells_cells_better_than_the_commonest_one(extractor: Extractor, motions: MotionSet) -> None:
    cell_N = extractor.describe(motions, spaces=()).cell_N
    assert cell_N is not None and extractor.cell_source == "classifier"
    true_NL = torch.stack([motions.labels[name] for name in extractor.labels], 1)
    right = (extractor.cells.table[cell_N] == true_NL).all(1).double().mean()
    assert right == pytest.approx(extractor.accuracy["test/cell"])
    commonest = true_NL.unique(dim=0, return_counts=True)[1].max() / len(true_NL)
    assert right > 0.6 > commonest
    names = [name.split("/") for name in extractor.cell_names]
    assert {len(parts) for parts in names} == {2}
    assert {parts[0] for parts in names} <= set(extractor.labels["content"])


def test_accuracy_is_of_takes_that_were_held_out(extractor: Extractor) -> None:
    expected = {
        f"{split}/{what}" for split in ("validation", "test") for what in ("content", "style", "cell", "autoencoder")
    }
    assert set(extractor.accuracy) == expected
    assert 0 < extractor.accuracy["test/autoencoder"] < 1  # the mean window's is about 1


def test_the_judge_takes_the_best_of_the_cells_that_occur() -> None:
    cells = Cells(("a/x", "b/y"), "classifier", torch.tensor([[0, 0], [1, 1]]))
    content = torch.tensor([[0.9, 0.1], [0.3, 0.7]]).log()
    style = torch.tensor([[0.2, 0.8], [0.4, 0.6]]).log()
    # a/y would be likeliest for the first window, but does not occur: 0.9 * 0.2 against 0.1 * 0.8
    assert cells.judge([content, style]).tolist() == [0, 1]


def test_without_labels_cells_are_k_means_cells() -> None:
    corpus, extractor = walkers_corpus("none"), walkers_extractor("none")
    assert extractor.cell_source == "k-means" and "classifier" not in extractor.spaces
    train = split_motions(corpus, "train")
    described = extractor.describe(train)
    assert len(extractor.cell_names) == min(64, len(train) // 50)
    assert extractor.cell_names[0] == "k-means 0"
    assert described.cell_N is not None
    centres = torch.stack(
        [described.embeddings["pca"][described.cell_N == k].mean(0) for k in range(len(extractor.cell_names))]
    )
    torch.testing.assert_close(centres, extractor.cells.table, rtol=1e-2, atol=0.3)


def test_same_corpus_and_seed_same_extractor(monkeypatch: pytest.MonkeyPatch, motions: MotionSet) -> None:
    for name in FEW_STEPS:
        monkeypatch.setitem(STEPS, name, 3)
    first, again, other = (train_extractor(walkers_corpus(), seed=seed).describe(motions) for seed in (1, 1, 2))
    for space in ("pca", "kinetic", "classifier", "autoencoder"):
        assert torch.equal(first.embeddings[space], again.embeddings[space])
    assert not torch.allclose(first.embeddings["classifier"], other.embeddings["classifier"])


def test_blocks_do_not_change_what_is_told(
    extractor: Extractor, motions: MotionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = extractor.describe(motions)
    monkeypatch.setattr("motionsynth.extractors.extractor._BLOCK", 7)
    parts = extractor.describe(motions)
    for space in extractor.spaces:
        torch.testing.assert_close(whole.embeddings[space], parts.embeddings[space], rtol=1e-3, atol=1e-3)
    assert whole.cell_N is not None and parts.cell_N is not None
    assert torch.equal(whole.cell_N, parts.cell_N)


def test_progress_counts_the_steps_of_both_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FEW_STEPS:
        monkeypatch.setitem(STEPS, name, 20)
    told: list[tuple[int, int]] = []
    train_extractor(walkers_corpus(), progress=lambda done, total: told.append((done, total)))
    assert told == [(20, 40), (40, 40)]


def test_a_constant_set_is_described(extractor: Extractor, motions: MotionSet) -> None:
    same = replace(motions, features_NTD=motions.features_NTD[:1].expand_as(motions.features_NTD).contiguous())
    described = extractor.describe(same)
    assert all(embedding.isfinite().all() for embedding in described.embeddings.values())


def longer(spec: FeatureSpec, joint: str, share: float) -> FeatureSpec:
    place = spec.names.index(joint)
    rest = [tuple(x * (1 + share * (at == place)) for x in bone) for at, bone in enumerate(spec.rest)]
    return replace(spec, rest=tuple(rest))  # type: ignore[arg-type]


def test_motion_of_another_kind_is_refused(extractor: Extractor, motions: MotionSet) -> None:
    spec = motions.spec
    bone = spec.names[spec.joints_below[0]]
    other_names = replace(spec, names=(*spec.names[:-1], "Tail"))
    for changed, reason in (
        (replace(motions, spec=other_names), "joints differ .*Tail"),
        (replace(motions, spec=longer(spec, bone, 0.1)), f"bone to {bone} differs"),
        (replace(motions, spec=replace(spec, frame_rate=60.0)), "60 frames a second, not 30"),
        (replace(motions, spec=replace(spec, contact_groups=())), "contact_groups"),
        (replace(motions, features_NTD=motions.features_NTD[:, :16]), "windows have 16 frames, not 32"),
    ):
        with pytest.raises(ExtractorError, match=reason):
            extractor.describe(changed)


def test_the_same_skeleton_in_another_unit_fits(extractor: Extractor, motions: MotionSet) -> None:
    spec = motions.spec
    metres = replace(
        spec,
        rest=tuple((x * 0.01, y * 0.01, z * 0.01) for x, y, z in spec.rest),
        metres_per_unit=spec.metres_per_unit * 100,
    )
    assert extractor.mismatch(metres, 32) is None


def spoilt(motions: MotionSet, value: float) -> Tensor:
    features_NTD = motions.features_NTD.clone()
    features_NTD[3, 5, 7] = value
    return features_NTD


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(
    extractor: Extractor, motions: MotionSet, value: float
) -> None:
    with pytest.raises(ExtractorError, match="not finite") as caught:
        extractor.describe(replace(motions, features_NTD=spoilt(motions, value)))
    assert motions.names[3] in str(caught.value) and motions.names[2] not in str(caught.value)


def test_no_windows_and_unknown_spaces_are_refused(extractor: Extractor, motions: MotionSet) -> None:
    with pytest.raises(ExtractorError, match="no window"):
        extractor.describe(motions.subset(torch.arange(0)))
    with pytest.raises(ValueError, match="no feature space inception"):
        extractor.describe(motions, spaces=("pca", "inception"))


def test_a_signal_ends_it_as_it_ends_any_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FEW_STEPS:
        monkeypatch.setitem(STEPS, name, 60)
    told: list[int] = []

    def interrupt(done: int, total: int) -> None:
        told.append(done)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_extractor(walkers_corpus(), progress=interrupt)
    assert told == [20]
