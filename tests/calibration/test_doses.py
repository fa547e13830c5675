"""Doses hit what they claim, in the amount that they claim."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from motionsynth.calibration.doses import (
    apply_dose,
    butterworth,
    drift,
    jitter,
    low_pass,
    nearest_of_other_takes,
    slow_down,
    white_noise,
)
from motionsynth.calibration.plan import ZERO, Dose
from motionsynth.features.normalise import Normaliser
from motionsynth.motion.rotations import matrices_from_6d
from tests.calibration.pools import FRAMES, make_pool

RATE = 30.0


@lru_cache(maxsize=1)
def normaliser() -> Normaliser:
    return Normaliser.fit(make_pool().clips_TD)


def a_clip() -> np.ndarray:
    return make_pool().clips_TD[0].double().numpy()


@pytest.mark.parametrize("cutoff", [10.0, 4.0, 0.8])
def test_a_low_pass_keeps_1_over_root_2_of_a_sine_at_its_cut_off_without_delay(cutoff: float) -> None:
    frames = np.arange(6000)
    middle = slice(2000, 4000)
    for frequency, gain in ((cutoff / 4, 1.0), (cutoff, 0.5**0.5)):
        sine = np.sin(2 * np.pi * frequency / RATE * frames)
        passed = low_pass(sine[:, None], cutoff, RATE)[:, 0]
        assert passed[middle].std() / sine[middle].std() == pytest.approx(gain, abs=1e-3)
        # no delay: what is left is in phase with what came
        assert np.corrcoef(passed[middle], sine[middle])[0, 1] == pytest.approx(1.0, abs=1e-4)


def test_the_response_of_a_low_pass_is_that_of_a_squared_butterworth() -> None:
    from scipy.signal import freqz_sos

    frequencies = np.array([0.5, 1.0, 2.0, 4.0, 6.0, 10.0])
    _, response = freqz_sos(butterworth(4.0, RATE), worN=frequencies, fs=RATE)
    w = np.tan(np.pi * frequencies / RATE) / np.tan(np.pi * 4.0 / RATE)
    expected = 1 / (1 + (np.sqrt(2) - 1) * w**8)
    assert np.abs(response) ** 2 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("cutoff", [0.0, 15.0, 20.0])
def test_a_cut_off_beyond_what_motion_holds_is_refused(cutoff: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 15 Hz"):
        butterworth(cutoff, RATE)


def test_jitter_turns_joints_by_the_angle_it_claims() -> None:
    pool = make_pool()
    spec, clip = pool.motions.spec, a_clip()
    turned = jitter(clip, 2.0, spec, np.random.default_rng(0))
    columns = spec.slices["joint_rotations_6d"]
    before, after = (matrices_from_6d(torch.from_numpy(c[:, columns].reshape(-1, 6))) for c in (clip, turned))
    cosine = ((before.transpose(1, 2) @ after).diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
    # three axes of 2 degrees each
    assert float(angle.square().mean().sqrt()) == pytest.approx(2.0 * 3**0.5, rel=0.02)
    untouched = [
        c for name, part in spec.slices.items() if "rotation" not in name for c in range(part.start, part.stop)
    ]
    assert np.array_equal(turned[:, untouched], clip[:, untouched])


def test_noise_has_the_deviation_it_claims_where_a_column_varies() -> None:
    clip, scales = a_clip(), normaliser()
    noise = white_noise(clip, 0.2, scales, np.random.default_rng(0)) - clip
    varies = ~scales.constant_D.numpy()
    assert noise[:, varies].std(0) / scales.scale_D.numpy()[varies] == pytest.approx(0.2, rel=0.35)
    assert (noise[:, varies] / scales.scale_D.numpy()[varies]).std() == pytest.approx(0.2, rel=0.02)
    assert not noise[:, ~varies].any()


def test_a_drift_moves_the_root_by_its_speed() -> None:
    spec, clip = make_pool().motions.spec, a_clip()
    moved = drift(clip, 0.3, spec, np.random.default_rng(0)) - clip
    assert np.linalg.norm(moved[:, spec.slices["root_velocity_m_s"]], axis=1) == pytest.approx(0.3)
    moved[:, spec.slices["root_velocity_m_s"]] = 0
    assert not moved.any()


def test_slow_motion_passes_the_same_poses_at_a_fraction_of_the_speed() -> None:
    spec, clip = make_pool().motions.spec, a_clip()
    slow = slow_down(clip, 0.5, spec)
    assert len(slow) == 2 * len(clip)
    velocity = spec.slices["root_velocity_m_s"]
    assert slow[: 2 * len(clip) - 1 : 2, velocity] == pytest.approx(0.5 * clip[:, velocity], abs=1e-9)
    rotations = spec.slices["joint_rotations_6d"]
    assert slow[: 2 * len(clip) - 1 : 2, rotations] == pytest.approx(clip[:, rotations], abs=1e-9)


def test_shrinkage_leaves_a_share_of_the_way_to_the_mean_pose() -> None:
    pool = make_pool()
    heights = pool.motions.spec.slices["root_height_m"]
    undosed, shrunk = (apply_dose(pool, dose, normaliser(), 0) for dose in (ZERO, Dose("shrinkage", 0.25)))
    for clip in range(3):
        mean = pool.clips_TD[clip][:, heights].double().mean().item()
        of_clip = pool.clip_N == clip
        before, after = (m.features_NTD[of_clip][..., heights].double().numpy() - mean for m in (undosed, shrunk))
        assert after == pytest.approx(0.25 * before, abs=1e-5)


@pytest.mark.parametrize("kind", ["none", "cells"])
def test_undosed_windows_are_what_the_corpus_holds(kind: str) -> None:
    pool = make_pool()
    windows = apply_dose(pool, Dose(kind, 0.0), normaliser(), 0).features_NTD
    # but for the last velocity and the floor, which a window knows of itself only
    known = slice(
        pool.motions.spec.slices["joint_rotations_6d"].start, pool.motions.spec.slices["joint_rotations_6d"].stop
    )
    assert torch.allclose(windows[..., known], pool.motions.features_NTD[..., known], atol=1e-5)


@pytest.mark.parametrize(
    "dose",
    [
        Dose("low_pass", 2.0),
        Dose("shrinkage", 0.5),
        Dose("jitter", 2.0),
        Dose("noise", 0.2),
        Dose("time_warp", 0.65),
        Dose("foot_slip", 0.2),
        Dose("neighbours", 4),
    ],
    ids=lambda dose: dose.kind,
)
def test_dosed_windows_are_motion_and_do_not_depend_on_what_else_is_wanted(dose: Dose) -> None:
    pool = make_pool()
    spec = pool.motions.spec
    whole = apply_dose(pool, dose, normaliser(), 3)
    some = np.array([1, 5, len(pool) - 1])
    assert torch.equal(apply_dose(pool, dose, normaliser(), 3, some).features_NTD, whole.features_NTD[some])
    assert whole.features_NTD.shape == (len(pool), FRAMES, spec.width)
    six = whole.features_NTD[..., spec.slices["joint_rotations_6d"]].reshape(-1, 2, 3)
    assert six.norm(dim=-1) == pytest.approx(1.0, abs=1e-4)
    contacts = whole.features_NTD[..., spec.slices["foot_contacts"]]
    assert set(contacts.unique().tolist()) <= {0.0, 1.0}
    assert not torch.allclose(whole.features_NTD, pool.motions.features_NTD, atol=1e-3)


def test_the_filter_works_on_clips_so_that_windows_agree_where_they_overlap() -> None:
    pool = make_pool()
    windows = apply_dose(pool, Dose("low_pass", 2.0), normaliser(), 0).features_NTD
    first, second = np.nonzero(pool.clip_N == 0)[0][:2]
    shift = int(pool.start_N[second] - pool.start_N[first])
    columns = pool.motions.spec.slices["joint_rotations_6d"]
    assert torch.allclose(windows[first, shift:, columns], windows[second, :-shift, columns], atol=1e-5)


def test_neighbours_are_the_nearest_of_other_takes_one_of_each() -> None:
    torch.manual_seed(0)
    points, takes = torch.randn(90, 5), torch.randint(0, 12, (90,))
    wanted = torch.tensor([0, 7, 89])
    found = nearest_of_other_takes(points, takes, 4, wanted)
    for row, window in zip(found.tolist(), wanted.tolist(), strict=True):
        best = {}
        for other in sorted(range(90), key=lambda k: float((points[k] - points[window]).norm())):
            if takes[other] != takes[window]:
                best.setdefault(int(takes[other]), other)
        assert row == list(best.values())[:4]


def test_the_mean_of_neighbours_is_the_mean_of_those_windows() -> None:
    from motionsynth.features.canonical import canonical
    from motionsynth.metrics.components import PrincipalComponents

    pool = make_pool()
    flat = normaliser().normalise(pool.motions.features_NTD).numpy()
    components = min(64, len(flat) - 1)
    points = torch.from_numpy(PrincipalComponents.fit(flat, components).project(flat)).float()
    (other,) = nearest_of_other_takes(points, torch.from_numpy(pool.clip_N), 1, torch.tensor([4]))
    mean = (pool.motions.features_NTD[4] + pool.motions.features_NTD[int(other)]) / 2
    dosed = apply_dose(pool, Dose("neighbours", 2), normaliser(), 0, np.array([4]))
    assert torch.allclose(dosed.features_NTD, canonical(mean[None], pool.motions.spec), atol=1e-5)
