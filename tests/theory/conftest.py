"""One thread: the grids are small, and threads that wait for one another take ten times as long on busy cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from motionsynth.training.determinism import torch_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield
