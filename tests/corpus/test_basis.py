"""A basis of windows: exact where it keeps all, blind to what moves nothing, and the same after a trip to a file."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.fft import dct

import motionsynth.corpus.basis as basis_module
from motionsynth.corpus.basis import WindowBasis, free_modes
from motionsynth.corpus.motion_metric import MotionMetric
from motionsynth.corpus.windows import WindowSet, cut_windows
from motionsynth.features.encode import encode
from motionsynth.features.geometry import joint_positions_m
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.feet import find_legs
from motionsynth.walkers.corpus import plan_walkers, walker_clip

FRAMES = 16


@pytest.fixture(scope="module")
def walkers() -> tuple[WindowSet, FeatureSpec, Normaliser]:
    clips = [walker_clip(one.parameters) for one in plan_walkers(24, 0)[0]]
    spec = FeatureSpec.for_clip(clips[0], frame_rate=clips[0].frame_rate, metres_per_unit=0.01)
    features = [encode(clip, spec) for clip in clips]
    normaliser = Normaliser.fit(features)
    rows, counts = normaliser.normalise(torch.cat(features)), [len(one) for one in features]
    windows = cut_windows(rows, counts, {}, list(map(str, range(len(counts)))), length=FRAMES, stride=4)
    return windows, spec, normaliser


@pytest.fixture(scope="module")
def basis(walkers: tuple[WindowSet, FeatureSpec, Normaliser]) -> WindowBasis:
    return WindowBasis.fit(*walkers, components=60)


@pytest.mark.parametrize("frames", [FRAMES, 64])
def test_modes_are_those_of_a_free_bar(frames: int) -> None:
    """Orthonormal, rising in zero crossings, and lines lie in the first two; faster ones are scipy's bar's."""
    modes = free_modes(frames).double()
    torch.testing.assert_close(modes @ modes.T, torch.eye(frames, dtype=torch.float64), atol=1e-6, rtol=0)
    assert [int((row[1:] * row[:-1] < 0).sum()) for row in modes] == list(range(frames))
    line = modes @ (3.0 + 0.7 * torch.arange(frames, dtype=torch.float64))
    assert line[2:].abs().max() < 1e-5 * line.abs().max()
    second = np.diff(np.eye(frames), 2, axis=0)
    bend = (modes[2:].numpy() @ second.T).__pow__(2).sum(1)
    np.testing.assert_allclose(bend, np.linalg.svd(second, compute_uv=False)[::-1] ** 2, rtol=1e-3, atol=1e-6)


def test_motion_that_goes_on_needs_no_fast_modes_at_the_ends() -> None:
    """Of a slow swing cut anywhere, what lies above 5 Hz at 30 frames a second; the cosine transform is the control."""
    slow = torch.sin(2 * torch.pi * 0.9 * torch.arange(64) / 30 + 0.4)

    def lost(modes: torch.Tensor) -> float:
        return float((modes @ slow)[22:].square().sum() / slow.square().sum())

    cosine = torch.from_numpy(dct(np.eye(64), norm="ortho", axis=0)).float()
    assert lost(free_modes(64)) < 0.05 * lost(cosine)


def test_coefficients_come_back_from_windows_made_of_them(basis: WindowBasis) -> None:
    coded = torch.randn(5, 1, basis.size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(basis.encode(basis.decode(coded)), coded, atol=2e-3, rtol=2e-3)


def test_one_band_without_a_metric_is_principal_components(
    walkers: tuple[WindowSet, FeatureSpec, Normaliser],
) -> None:
    from sklearn.decomposition import PCA

    windows = walkers[0]
    plain = WindowBasis.fit(*walkers, components=12, bands_hz=(), metric=None, whitening=0.0)
    flat = windows.subset(windows.whole_N).as_batch().motion_BTD.flatten(1).numpy()
    pca = PCA(12, svd_solver="full").fit(flat)
    assert plain.kept["features"] == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-3)


def test_bands_hold_their_own_frequencies(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    rate = walkers[1].frame_rate
    ends = [part.shape[1] // basis.features for part in basis.axes]
    lowest = np.cumsum([0, *ends])[:-1] * rate / (2 * FRAMES)
    assert len(ends) == 3 and sum(ends) == FRAMES
    assert lowest[1] >= 2.0 > lowest[1] - rate / (2 * FRAMES) and lowest[2] >= 5.0 > lowest[2] - rate / (2 * FRAMES)


def test_what_a_unit_of_a_feature_counts_is_how_far_it_moves_joints(
    walkers: tuple[WindowSet, FeatureSpec, Normaliser],
) -> None:
    """Against finite differences through the kinematics, for a thigh; a hand moves less than a thigh."""
    windows, spec, normaliser = walkers
    weight_FD = MotionMetric(joints=1.0, feet=0.0, velocities=0.0).weights(spec, normaliser, windows)
    columns, hip = spec.columns(), find_legs(spec.skeleton())[0].hip
    thigh = next(n for n, name in enumerate(columns) if name.startswith(f"joint_rotations_6d.{spec.names[hip]}."))
    poses = windows.as_batch().motion_BTD.flatten(0, 1)
    poses = poses[:: max(1, len(poses) // 512), None].double()
    step = torch.zeros(poses.shape[-1], dtype=torch.float64)
    step[thigh] = 1e-4
    moved = [joint_positions_m(normaliser.denormalise(poses + sign * step), spec)[:, 0] for sign in (1, -1)]
    moving = [spec.moving_joint, *spec.joints_below]
    effect = ((moved[0] - moved[1]) / 2e-4)[:, moving].square().sum(-1).mean().sqrt()
    assert float(weight_FD[0, thigh]) == pytest.approx(float(effect), rel=1e-3)
    hand = max(n for n, name in enumerate(columns) if name.startswith("joint_rotations_6d"))
    assert weight_FD[0, thigh] > weight_FD[0, hand]


def test_the_metric_keeps_more_of_the_motion(walkers: tuple[WindowSet, FeatureSpec, Normaliser]) -> None:
    """Mean distance of joints after the trip, with and without the metric (the control)."""
    windows, spec, normaliser = walkers
    motion = windows.as_batch().motion_BTD
    real = joint_positions_m(normaliser.denormalise(motion), spec)

    def error(metric: MotionMetric | None) -> float:
        basis = WindowBasis.fit(*walkers, components=24, metric=metric)
        back = basis.decode(basis.encode(motion))
        return float((joint_positions_m(normaliser.denormalise(back), spec) - real).norm(dim=-1).mean())

    assert error(MotionMetric()) < 0.7 * error(None)


def test_padded_frames_do_not_count_and_short_windows_keep_their_frames(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    whole = walkers[0].batch(torch.arange(6)).motion_BTD
    mask = torch.ones(6, FRAMES, dtype=torch.bool)
    mask[:, 10:] = False
    short = whole.masked_fill(~mask[..., None], 0.0)
    junk = whole.masked_fill(~mask[..., None], 1e6)
    coded = basis.encode(short, mask)
    assert torch.equal(coded, basis.encode(junk, mask))
    weight_D = basis.weight_FD.square().mean(0).sqrt()

    def error(coded_N1K: torch.Tensor) -> float:
        return float((((basis.decode(coded_N1K) - whole) * weight_D)[:, :10]).square().mean().sqrt())

    best, as_if_whole = error(coded), error(basis.encode(short))
    assert best < 2 * error(basis.encode(whole)) + 1e-3
    assert as_if_whole > 3 * best, "the control: zeros taken for motion"


def test_windows_of_several_lengths_are_fitted_as_each_alone(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    motion = walkers[0].batch(torch.arange(5)).motion_BTD
    length_5 = torch.tensor([9, FRAMES, 3, 12, 9])
    mask = torch.arange(FRAMES) < length_5[:, None]
    coded = basis.encode(motion, mask)
    alone = torch.cat([basis.encode(motion[n : n + 1], mask[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(coded, alone, rtol=1e-5, atol=1e-5)
    # independently: with the last frames' weight at zero, the minimum of the penalised squared error
    weight_D = basis.weight_FD.square().mean(0).sqrt().double()
    mean_TD = basis.decode(torch.zeros(1, 1, basis.size).double())[0]
    rows_KX = ((basis.decode(torch.eye(basis.size).double()[:, None]) - mean_TD) * weight_D)[:, :12].flatten(1)
    total = (basis.deviation_K * basis.unit_K).square().sum()
    noise = float(total) * max(1e-6, 1 - basis.kept["motion"]) / basis.mean_FD.numel()
    stacked = torch.cat((rows_KX.T, torch.diag(noise**0.5 / basis.deviation_K.double())))
    target = torch.cat((((motion[3, :12] - mean_TD[:12]) * weight_D).flatten(), torch.zeros(basis.size)))
    best = torch.linalg.lstsq(stacked, target[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(coded[3, 0], best.float(), rtol=1e-3, atol=1e-3)


def test_a_basis_comes_back_from_its_tensors(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    again = WindowBasis.from_tensors(basis.tensors())
    motion = walkers[0].batch(torch.arange(3)).motion_BTD
    assert torch.equal(again.encode(motion), basis.encode(motion)) and again.kept == pytest.approx(basis.kept)
    with pytest.raises(ValueError, match="lacks"):
        WindowBasis.from_tensors({"mean_FD": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="modes"):
        WindowBasis.from_tensors({**basis.tensors(), "modes_FT": torch.eye(3)})


def test_the_same_windows_give_the_same_basis(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    again = WindowBasis.fit(*walkers, components=60)
    assert all(torch.equal(a, b) for a, b in zip(again.axes, basis.axes, strict=True))


def test_coefficients_have_unit_variance_on_average(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    coded = basis.encode(walkers[0].subset(walkers[0].whole_N).as_batch().motion_BTD)
    assert math.isclose(float(coded.square().mean().sqrt()), 1.0, rel_tol=0.05)
    torch.testing.assert_close(coded[:, 0].std(0, correction=0), basis.deviation_K, rtol=0.15, atol=0.02)


@pytest.mark.parametrize(
    ("options", "whole", "reason"),
    [
        ({"bands_hz": (5.0, 2.0)}, 2, "rise"),
        ({}, 1, "two whole windows that differ; of 1 no two do"),
        ({}, 0, "of 0 no two do"),
    ],
)
def test_bases_that_cannot_be_fitted_are_refused(
    options: dict[str, object], whole: int, reason: str, walkers: tuple[WindowSet, FeatureSpec, Normaliser]
) -> None:
    with pytest.raises(ValueError, match=reason):
        WindowBasis.fit(first_whole(walkers[0], whole), *walkers[1:], **{"components": 60, **options})  # type: ignore[arg-type]


def first_whole(windows: WindowSet, count: int) -> WindowSet:
    """The first windows without padded frames."""
    return windows.subset(windows.whole_N.nonzero()[:count, 0])


def test_few_windows_have_a_basis_of_as_many_components_as_they_differ_in(
    walkers: tuple[WindowSet, FeatureSpec, Normaliser],
) -> None:
    """Of one band they are all that these windows are, and a window twice over adds none."""
    few = first_whole(walkers[0], 9)
    assert WindowBasis.fit(few, *walkers[1:], components=512).size == 8, "of three bands together"
    basis = WindowBasis.fit(few, *walkers[1:], components=512, bands_hz=())
    assert basis.size == 8 and min(basis.kept.values()) > 0.9999
    assert "8 components (512 were asked for" in basis.account(512) and "asked" not in basis.account(8)
    motion = few.as_batch().motion_BTD
    torch.testing.assert_close(basis.decode(basis.encode(motion)), motion, atol=1e-3, rtol=1e-3)
    twice = few.subset(torch.arange(9).repeat(2))
    assert WindowBasis.fit(twice, *walkers[1:], components=512, bands_hz=()).size == 8


def test_many_windows_become_coefficients_batch_by_batch(
    basis: WindowBasis, walkers: tuple[WindowSet, FeatureSpec, Normaliser], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as those computed at once, but for rounding; windows with padded frames among them."""
    windows = walkers[0]
    short = cut_windows(
        windows.rows_FD[:50], [30, 9, 7, 4], {"style": [0, 1, 2, 0]}, list("abcd"), length=FRAMES, stride=4
    )
    for given in (windows, short):
        at_once = basis.project(given)
        with monkeypatch.context() as patch:
            patch.setattr(basis_module, "_KEPT", len(given) * basis.size - 1)
            later = basis.project(given)
        assert later.size == at_once.size == (1, basis.size) and later.identity == at_once.identity
        assert (later.rows_FD.data_ptr() == given.rows_FD.data_ptr()) == bool(given.whole_N.all())
        index_B = torch.arange(len(given)).flip(0)
        found, expected = later.batch(index_B), at_once.batch(index_B)
        torch.testing.assert_close(found.motion_BTD, expected.motion_BTD, rtol=1e-4, atol=1e-4)
        assert torch.equal(found.motion_BTD, later.batch(index_B).motion_BTD)
        assert found.mask_BT.all() and found.labels.keys() == given.labels.keys()
    plain = basis.encode(short.as_batch().motion_BTD)[-3:]
    assert (plain - basis.project(short).as_batch().motion_BTD[-3:]).abs().max() > 0.1, "the control: zeros for motion"
