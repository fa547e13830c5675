"""Precision, recall, density and coverage against prdc, and their conventions."""

from __future__ import annotations

import pytest
import torch
from prdc import compute_prdc

from motionsynth.metrics import neighbours
from motionsynth.metrics.manifold import MEASURES, NEIGHBOURS, manifold
from motionsynth.metrics.record import Sets, UndefinedError
from tests.metrics.sets import points, walkers


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("block", [2**22, 5000])
@pytest.mark.parametrize(("n", "m", "size", "scale"), [(300, 257, 8, 1.0), (500, 450, 64, 0.7), (200, 400, 512, 1.3)])
def test_equals_prdc_exactly(n, m, size, scale, block, monkeypatch, capsys):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    generated_NE, reference_ME = scale * normal(n, size) + 2, normal(m, size, seed=1) + 2
    for k in (3, 5):
        found = manifold(generated_NE, reference_ME, k)
        # in float64: of float32 rows prdc compares distances rounded to float32
        expected = compute_prdc(reference_ME.double().numpy(), generated_NE.double().numpy(), k)
        for name, value in found._asdict().items():
            assert value == pytest.approx(expected[name], abs=1e-12), name
    capsys.readouterr()


def test_two_halves_of_one_distribution_are_at_their_ideal():
    found = manifold(normal(1500, 16), normal(1500, 16, seed=1))
    assert found.density == pytest.approx(1.0, abs=0.05)
    assert found.coverage == pytest.approx(1 - 2**-NEIGHBOURS, abs=0.015)
    assert found.precision == pytest.approx(found.recall, abs=0.05)


def test_a_set_and_itself():
    x = normal(400, 8)
    assert manifold(x, x) == (1.0, 1.0, pytest.approx(1 + 1 / NEIGHBOURS), 1.0)


def test_constant_sets_are_defined_where_strict_comparison_gives_zero(capsys):
    x = torch.full((60, 4), 0.3)
    assert manifold(x, x) == (1.0, 1.0, 60 / NEIGHBOURS, 1.0)
    assert manifold(x + 1, x) == (0.0, 0.0, 0.0, 0.0)
    strict = compute_prdc(x.double().numpy(), x.double().numpy(), NEIGHBOURS)
    assert strict["density"] == strict["coverage"] == 0
    capsys.readouterr()


def test_a_collapsed_set_is_precise_and_recalls_little():
    reference = normal(800, 16, seed=1)
    collapsed = manifold(normal(1, 16) * 0.5 + 1e-3 * normal(800, 16, seed=2), reference)
    assert collapsed.precision == 1
    assert collapsed.recall < 0.01
    assert collapsed.coverage < 0.2
    assert collapsed.density > 1


def test_dropped_modes_lower_recall_and_coverage_and_collapse_within_modes_too():
    centres = 20 * normal(10, 16)
    mode_N = torch.arange(1000) % 10
    reference = centres[mode_N] + normal(1000, 16, seed=1)
    whole = manifold(centres[mode_N] + normal(1000, 16, seed=2), reference)
    dropped = manifold(centres[mode_N % 5] + normal(1000, 16, seed=2), reference)
    within = manifold(centres[mode_N] + 0.05 * normal(1000, 16, seed=2), reference)
    assert dropped.coverage == pytest.approx(whole.coverage / 2, abs=0.03)
    assert dropped.recall == pytest.approx(whole.recall / 2, abs=0.06)
    assert within.recall < 0.1 * whole.recall
    assert within.coverage < 0.9 * whole.coverage
    assert within.precision >= whole.precision
    assert dropped.precision > 0.8 * whole.precision


def test_windows_of_ones_own_take_are_no_neighbours():
    """Each row four times over, as overlapping windows: balls that reach to them would be points."""
    generated_NE, reference_ME = normal(200, 8), normal(200, 8, seed=1)
    take_N = torch.arange(200).repeat_interleave(4)
    overlapping = reference_ME.repeat_interleave(4, 0) + 1e-4 * normal(800, 8, seed=2)
    apart = manifold(generated_NE, overlapping, groups=(torch.arange(200), take_N))
    assert manifold(generated_NE, overlapping, k=3).coverage < 0.01
    assert apart.coverage > 0.5


def test_too_few_takes_are_undefined():
    with pytest.raises(UndefinedError, match="fewer than 5 others"):
        manifold(normal(10, 3), normal(5, 3))
    with pytest.raises(UndefinedError, match="fewer than 5 others"):
        manifold(normal(10, 3), normal(20, 3), groups=(torch.arange(10), torch.arange(20) // 16))


def test_the_measure_gives_its_figures_between_halves_of_walkers():
    (measure,) = MEASURES
    figures = measure.compute(Sets(walkers(0), walkers(1)), "pca")
    assert list(figures) == [metric.name for metric in measure.metrics]
    assert figures["coverage"] > 0.8
    assert figures["recall"] > 0.5
    noise = points(3 * walkers(0).embeddings["pca"].std(0) * normal(300, 16))
    reference = points(walkers(1).embeddings["pca"])
    assert measure.compute(Sets(noise, reference), "space")["coverage"] < 0.3
