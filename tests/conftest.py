"""Fixtures shared by every test."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_mocap() -> Path:
    """The folder of real motion capture beside the checkout; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared" / "mocap"
    if not folder.is_dir():
        pytest.skip("real motion capture is not beside this checkout")
    return folder


@pytest.fixture
def toy_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests' own tiny family known by its name ``toy``."""
    from motionsynth.families import FAMILIES

    monkeypatch.setitem(FAMILIES, "toy", "tests.training.toy_family:Toy")
