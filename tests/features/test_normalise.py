"""Columns that vary get zero mean and unit scale; those that do not come back exactly."""

from __future__ import annotations

import pytest
import torch

from motionsynth.features.normalise import CONSTANT_RANGE, SCALE_FLOOR, Normaliser


def clips() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = (5, 200, 37)
    rows = torch.randn(sum(lengths), 6, generator=generator)
    rows[:, 1] = 0.1  # constant, and 0.1 is no binary fraction
    rows[:, 2] = 1.0 + 1e-6 * rows[:, 2].clamp(-2, 2)  # constant but for rounding
    rows[:, 3] *= 1e-3  # noise
    rows[:, 4] = 1e6 + rows[:, 4]
    rows[:, 5] = rows[:, 5] * 40 - 7
    return list(rows.split(lengths))


def test_columns_become_standard() -> None:
    normaliser = Normaliser.fit(clips())
    rows = normaliser.normalise(torch.cat(clips()))
    assert normaliser.constant_D.tolist() == [False, True, True, False, False, False]
    for column in (0, 5):
        assert abs(float(rows[:, column].mean())) < 1e-5
        assert float(rows[:, column].std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert float(rows[:, 4].std(correction=0)) == pytest.approx(1, abs=0.05)


def test_constants_come_back_whatever_a_model_says() -> None:
    normaliser = Normaliser.fit(clips())
    rows = torch.cat(clips())
    assert not normaliser.normalise(rows)[:, 1:3].any()
    invented = normaliser.denormalise(torch.randn(3, 7, 6))
    assert (invented[..., 1] == rows[0, 1]).all()
    assert (invented[..., 2] - 1).abs().max() < CONSTANT_RANGE


def test_noise_is_not_blown_up() -> None:
    normaliser = Normaliser.fit(clips())
    assert float(normaliser.scale_D[3]) == pytest.approx(SCALE_FLOOR)
    assert normaliser.normalise(torch.cat(clips()))[:, 3].abs().max() < 0.3
    assert float(Normaliser.fit(clips(), floor=1e-6).scale_D[3]) == pytest.approx(1e-3, rel=0.1)


def test_normalising_is_undone() -> None:
    normaliser, rows = Normaliser.fit(clips()), torch.cat(clips()).double()
    back = normaliser.denormalise(normaliser.normalise(rows))
    varying = ~normaliser.constant_D
    torch.testing.assert_close(back[:, varying], rows[:, varying], rtol=1e-12, atol=1e-12)


def test_it_survives_safetensors(tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    normaliser = Normaliser.fit(clips())
    save_file(normaliser.tensors(), tmp_path / "n.safetensors")
    back = Normaliser.from_tensors(load_file(tmp_path / "n.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(back.tensors().values(), normaliser.tensors().values(), strict=True))


def test_a_huge_offset_does_not_cost_the_scale() -> None:
    rows = 1000 + torch.randn(100_000, 1, generator=torch.Generator().manual_seed(1))
    assert float(Normaliser.fit([rows]).scale_D) == pytest.approx(1, abs=0.01)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        Normaliser.fit([torch.zeros(0, 3)])
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            Normaliser.fit([torch.tensor([[0.0, bad]])])
    with pytest.raises(ValueError, match="lacks scale_D"):
        Normaliser.from_tensors({"mean_D": torch.zeros(2), "constant_D": torch.zeros(2, dtype=torch.bool)})
    with pytest.raises(ValueError, match="must be positive"):
        Normaliser(torch.zeros(2), torch.zeros(2), torch.zeros(2, dtype=torch.bool))
