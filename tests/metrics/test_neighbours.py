"""Nearest neighbours against brute force and scikit-learn, and where float32 products alone would fail."""

from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from motionsynth.metrics import neighbours
from motionsynth.metrics.neighbours import kth_distance, nearest, nearest_others, rows_of


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def brute(queries, points, allowed=None):
    distance = (queries.double()[:, None] - points.double()).square().sum(-1).sqrt()
    return distance if allowed is None else distance.masked_fill(~allowed, torch.inf)


@pytest.fixture(params=[2**22, 700])
def block(request, monkeypatch):
    """Once in one block, and once in many."""
    monkeypatch.setattr(neighbours, "_BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(("points", "count"), [(5, 3), (40, 1), (500, 7), (2000, 4)])
def test_agrees_with_scikit_learn(points, count):
    queries_NE, points_ME = normal(60, 12) + 3, normal(points, 12, seed=1) + 3
    found = nearest(queries_NE, points_ME, count)
    model = NearestNeighbors(n_neighbors=count, algorithm="kd_tree").fit(points_ME.double().numpy())
    distance, index = model.kneighbors(queries_NE.double().numpy())
    torch.testing.assert_close(found.distance_NK, torch.from_numpy(distance), rtol=1e-12, atol=0)
    assert found.index_NK.tolist() == index.tolist()


@pytest.mark.usefixtures("block")
def test_neither_itself_nor_its_group_is_a_neighbour():
    points_ME, group_N = normal(300, 4), torch.arange(300) // 3
    apart = group_N[:, None] != group_N
    for found, allowed in [
        (nearest_others(points_ME, 4), ~torch.eye(300, dtype=torch.bool)),
        (nearest_others(points_ME, 4, group_N=group_N), apart),
        (nearest(points_ME, points_ME, 4, groups=(group_N, group_N)), apart),
    ]:
        expected = brute(points_ME, points_ME, allowed).sort(1)
        torch.testing.assert_close(found.distance_NK, expected.values[:, :4], rtol=1e-12, atol=0)
        assert found.index_NK.tolist() == expected.indices[:, :4].tolist()
    (rows,) = rows_of(points_ME)
    expected = brute(points_ME, points_ME, apart).sort(1).values[:, 3]
    torch.testing.assert_close(kth_distance(rows, 4, group_N), expected, rtol=1e-12, atol=0)


def test_where_points_run_out_the_distance_is_infinite():
    found = nearest_others(normal(4, 3), 3, group_N=torch.tensor([0, 0, 1, 1]))
    assert found.distance_NK.isfinite().tolist() == [[True, True, False]] * 4
    assert (found.index_NK[:, 2] == -1).all()
    assert (found.index_NK[:, :2] >= 0).all()


@pytest.mark.usefixtures("block")
def test_copies_are_at_distance_zero_and_close_points_in_order_far_from_the_centre():
    """A float32 product has an error of 0.05 in distances here, a thousand times what tells these points apart."""
    direction = normal(64) / normal(64).norm()
    near_ME = 1000 * normal(1, 64) + 1e-3 * torch.arange(1, 200)[:, None] * direction
    queries_NE = near_ME[:50].clone()
    points_ME = torch.cat([near_ME, 100 * normal(300, 64, seed=2)])
    found = nearest(queries_NE, points_ME, 3)
    expected = brute(queries_NE, points_ME).sort(1).values[:, :3]
    assert (found.distance_NK[:, 0] == 0).all()
    torch.testing.assert_close(found.distance_NK, expected, rtol=1e-12, atol=0)
    naive = (queries_NE.square().sum(1)[:, None] + points_ME.square().sum(1) - 2 * queries_NE @ points_ME.T).sort(1)
    assert (naive.values[:, 0].abs().sqrt() > 1e-2).any()  # negative control


def test_rows_of_a_constant_are_all_at_distance_zero():
    found = nearest_others(torch.full((100, 5), 0.3), 5)
    assert (found.distance_NK == 0).all()
    assert (found.index_NK != torch.arange(100)[:, None]).all()


def test_each_row_is_its_own_result():
    queries_NE, points_ME = normal(90, 6), normal(200, 6, seed=1)
    whole, part = nearest(queries_NE, points_ME, 2), nearest(queries_NE[30:40], points_ME, 2)
    assert torch.equal(whole.distance_NK[30:40], part.distance_NK)
    assert torch.equal(whole.index_NK[30:40], part.index_NK)


@pytest.mark.parametrize(
    ("queries", "points", "match"),
    [
        (torch.zeros(3, 2), torch.zeros(3, 4), "one width"),
        (torch.zeros(3), torch.zeros(3), "one width"),
        (torch.zeros(0, 2), torch.zeros(3, 2), "one width"),
        (torch.zeros(3, 2), torch.tensor([[0.0, torch.nan]]), "finite"),
    ],
)
def test_wrong_arguments_are_refused(queries, points, match):
    with pytest.raises(ValueError, match=match):
        nearest(queries, points)


def test_no_neighbours_cannot_be_asked_for():
    with pytest.raises(ValueError, match="0 neighbours"):
        nearest(torch.zeros(3, 2), torch.zeros(3, 2), 0)
