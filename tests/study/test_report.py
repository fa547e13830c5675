"""A study's report says what its results hold, and nothing that they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionsynth.study.report import write_report
from tests.study.made_up import planned, results, study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    of = study()
    write_report(of, results(of), folder, planned=planned(of))
    return folder


def test_verdicts_are_told_in_sentences(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    assert "Supported on walkers (procedural): VAE is above GAN" in text.replace("\\", "")
