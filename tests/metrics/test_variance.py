"""Variance within a clip and across clips, against numpy and for what it reacts to."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from motionsynth.metrics.record import Sets, UndefinedError
from motionsynth.metrics.variance import MEASURES, across_variance, pose_channels, within_variance
from motionsynth.metrics.within import shared_cells
from tests.metrics.altered import check_records, figures, of_cells, shrunk, standing, with_features
from tests.metrics.sets import walkers

RNG = np.random.default_rng(0)


def test_variance_over_time_is_that_of_a_sinusoid():
    wave = 0.3 * torch.sin(2 * torch.pi * 4 * torch.arange(60) / 60)
    pose = torch.stack((wave, torch.full((60,), 5.0)), -1)[None].double()
    assert float(within_variance(pose)[0]) == pytest.approx(0.3**2 / 2 / 2)


def test_variance_across_clips_is_numpys_in_each_cell():
    poses = torch.from_numpy(RNG.normal(size=(90, 4)) + 100)
    cell_N = torch.from_numpy(RNG.integers(0, 5, 90))
    cells = torch.tensor([0, 3, 4])
    expected = [poses[cell_N == c].numpy().var(0, ddof=1).mean() for c in cells]
    np.testing.assert_allclose(across_variance(poses, cell_N, cells), expected)


def test_poses_are_free_of_heading_and_place():
    windows = walkers()
    rows = windows.features_NTD.clone()
    for name in ("root_velocity_m_s", "root_yaw_velocity_rad_s", "root_height_m"):
        rows[..., windows.spec.slices[name]] += 0.7
    elsewhere = with_features(windows, rows)
    torch.testing.assert_close(pose_channels(elsewhere), pose_channels(windows), atol=1e-5, rtol=1e-4)
    assert float((elsewhere.positions_NTJ3 - windows.positions_NTJ3).abs().max()) > 1
    rest = with_features(windows, torch.where(torch.arange(rows.shape[-1]) < 4, 0.0, windows.features_NTD))
    joints = list(windows.spec.joints_below)
    torch.testing.assert_close(
        pose_channels(windows), rest.positions_NTJ3[:, :, joints].flatten(2), atol=1e-5, rtol=1e-4
    )


def test_the_two_variances_are_the_parts_of_the_whole():
    pose = pose_channels(walkers(0)).double()
    count = len(pose)
    one = torch.zeros(count, dtype=torch.int64)
    across = float(across_variance(pose.mean(1), one, one[:1])) * (count - 1) / count
    whole = float(pose.flatten(0, 1).var(0, correction=0).mean())
    assert float(within_variance(pose).mean()) + across == pytest.approx(whole)


def test_a_set_against_itself_is_ideal_and_halves_are_near():
    check_records(MEASURES)
    whole = walkers()
    ideal = {metric.name: metric.ideal for metric in chain.from_iterable(m.metrics for m in MEASURES)}
    assert figures(MEASURES, whole, whole) == ideal
    for name, value in figures(MEASURES, walkers(0), walkers(1)).items():
        assert value == pytest.approx(1.0, abs=0.2), name


def test_figures_are_those_of_a_loop():
    a, b = walkers(0), walkers(1)
    poses = [pose_channels(windows).double().numpy() for windows in (a, b)]
    logs = [np.log(pose.var(1).mean(-1) + 1e-8) for pose in poses]
    cells, weights = shared_cells(a, b)
    masks = [[(windows.cell_N == c).numpy() for c in cells] for windows in (a, b)]
    values = figures(MEASURES, a, b)
    assert values["variance_within_clip_ratio"] == pytest.approx(np.exp(logs[0].mean() - logs[1].mean()), rel=1e-4)
    differences = [logs[0][i].mean() - logs[1][j].mean() for i, j in zip(*masks, strict=True)]
    expected = np.exp(weights.numpy() @ differences)
    assert values["variance_within_clip_ratio_within"] == pytest.approx(expected, rel=1e-4)
    across = [
        weights.numpy() @ [pose.mean(1)[i].var(0, ddof=1).mean() for i in mask]
        for pose, mask in zip(poses, masks, strict=True)
    ]
    assert values["variance_across_clips_ratio_within"] == pytest.approx(across[0] / across[1], rel=1e-3)


def test_shrinkage_lowers_the_one_and_copies_the_other():
    real, other = walkers(0), walkers(1)
    less = figures(MEASURES, shrunk(other, 0.5), real)
    same = figures(MEASURES, other, real)
    for end in ("", "_within"):
        assert less[f"variance_within_clip_ratio{end}"] == pytest.approx(
            0.25 * same[f"variance_within_clip_ratio{end}"], rel=0.2
        )
        assert less[f"variance_across_clips_ratio{end}"] == pytest.approx(
            same[f"variance_across_clips_ratio{end}"], rel=0.2
        )
    assert other.cell_N is not None
    first = torch.stack([(other.cell_N == cell).nonzero()[0, 0] for cell in other.cell_N])
    copies = figures(MEASURES, other.subset(first), real)  # one clip a cell, over and over
    assert copies["variance_across_clips_ratio_within"] < 1e-3
    assert copies["variance_across_clips_ratio"] > 0.2


def test_dropped_cells_move_only_what_is_not_compared_within_cells():
    real, other = walkers(0), walkers(1)
    left, same = figures(MEASURES, of_cells(other, [0, 1, 2]), real), figures(MEASURES, other, real)
    for name in ("variance_within_clip_ratio", "variance_across_clips_ratio"):
        moved = abs(np.log(left[name] / same[name]))
        assert moved > 0.2
        assert abs(np.log(left[f"{name}_within"] / same[f"{name}_within"])) < 0.5 * moved


def test_still_and_constant_sets_have_a_value():
    real, still = walkers(0), standing(walkers(1))
    assert 0 < figures(MEASURES, still, real)["variance_within_clip_ratio"] < 0.01
    constant = still.subset(torch.zeros(20, dtype=torch.int64))
    for value in figures(MEASURES, constant, constant).values():
        assert value == 1.0
    assert 0 < figures(MEASURES, constant, real)["variance_across_clips_ratio"] < 0.001
    for measure in MEASURES:
        if measure.needs:
            with pytest.raises(UndefinedError, match="no cells"):
                measure.compute(Sets(replace(real, cell_N=None), real), None)
