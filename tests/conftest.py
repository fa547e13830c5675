"""Fixtures shared by every test."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

# The work is small: threads that wait for one another cost more than they give, ten times as much on busy cores. Before
# torch is loaded, and for every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_mocap() -> Path:
    """The folder of real motion capture beside the checkout; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared" / "mocap"
    if not folder.is_dir():
        pytest.skip("real motion capture is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 walkers; tests leave them as they are."""
    from motionsynth.walkers.corpus import make_walkers

    folder = tmp_path_factory.mktemp("data") / "walkers"
    make_walkers(folder, clips=60, seed=3)
    return folder


@pytest.fixture
def toy_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests' own tiny family known by its name ``toy``."""
    from motionsynth.families import FAMILIES

    monkeypatch.setitem(FAMILIES, "toy", "tests.training.toy_family:Toy")
