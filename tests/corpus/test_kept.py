"""What was fitted to features is kept beside them, and is read again only where nothing has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from motionsynth.corpus.basis import WindowBasis
from motionsynth.families.backbone import BasisConfig
from motionsynth.features.normalise import Normaliser
from tests.corpus.folders import cell_names, open_folder, write_clips

CONFIG = BasisConfig(components=6, bands_hz=(2.0,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", cell_names(5))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[WindowBasis]:
    """What was fitted, as it happens."""
    done: list[WindowBasis] = []
    fit = BasisConfig.fit

    def noted(*arguments: Any) -> WindowBasis:
        done.append(fit(*arguments))
        return done[-1]

    monkeypatch.setattr(BasisConfig, "fit", noted)
    return done


def fitted(folder: Path, cache: Path, config: BasisConfig = CONFIG, **options: object) -> WindowBasis:
    basis = open_folder(folder, cache, **{"window_frames": 16, "stride_frames": 1, **options}).basis(config)
    assert basis
    return basis


def kept(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*/basis-*"))


def test_a_basis_is_fitted_once_for_all_networks(folder: Path, tmp_path: Path, fits: list[WindowBasis]) -> None:
    cache = tmp_path / "cache"
    first = fitted(folder, cache)
    again = fitted(folder, cache, CONFIG.model_copy(update={"width": 24, "layers": 5}))
    assert len(fits) == 1 and len(kept(cache)) == 1
    tensors = again.tensors()
    assert all(torch.equal(value, tensors[name]) for name, value in first.tensors().items())


def test_other_settings_windows_or_clips_have_a_basis_of_their_own(
    folder: Path, tmp_path: Path, fits: list[WindowBasis]
) -> None:
    cache = tmp_path / "cache"
    fitted(folder, cache)
    fitted(folder, cache, CONFIG.model_copy(update={"feet": 1.0}))
    fitted(folder, cache, stride_frames=2)
    assert len(fits) == len(kept(cache)) == 3
    write_clips(folder, cell_names(6))
    fitted(folder, cache)
    assert len(fits) == 4 and len(kept(cache)) == 1, "the old features are gone, and their bases with them"


def test_a_damaged_basis_is_made_again(folder: Path, tmp_path: Path, fits: list[WindowBasis]) -> None:
    cache = tmp_path / "cache"
    first = fitted(folder, cache)
    (file,) = kept(cache)
    whole = file.read_bytes()
    for damaged in (whole[:-4] + bytes(4), whole[:100], b""):
        file.write_bytes(damaged)
        assert torch.equal(fitted(folder, cache).axes[0], first.axes[0])
        assert file.read_bytes() == whole
    assert len(fits) == 4


def test_where_nothing_can_be_kept_it_is_fitted_each_time(
    folder: Path, tmp_path: Path, fits: list[WindowBasis]
) -> None:
    (tmp_path / "cache").write_text("no folder")
    for _ in range(2):
        fitted(folder, tmp_path / "cache")
    assert len(fits) == 2


def test_a_normaliser_is_fitted_once_for_one_training_split(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    fit = Normaliser.fit
    monkeypatch.setattr(Normaliser, "fit", lambda features: (fits.append(len(features)), fit(features))[1])
    first, again = (open_folder(folder, tmp_path / "cache", stride_frames=stride) for stride in (4, 1))
    for name, value in first.normaliser.tensors().items():
        assert torch.equal(again.normaliser.tensors()[name], value)
    assert fits == [len(first.clips("train"))]
    (file,) = (tmp_path / "cache").glob("*/*/normaliser-*")
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + bytes(4))
    assert torch.equal(open_folder(folder, tmp_path / "cache").normaliser.mean_D, first.normaliser.mean_D)
    assert len(fits) == 2 and file.read_bytes() == whole, "a damaged one is made again"
    other = open_folder(folder, tmp_path / "cache", split={"validation": 0.4})
    assert other.clips("train") != first.clips("train") and len(other.normaliser.mean_D) and len(fits) == 3
