"""The training benchmark ends where it is told to stop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from motionsynth.training.trainer import TrainingResult
from tests.training.toy_family import make_config
from tools.bench import training


def test_a_stop_signal_ends_it_with_the_signals_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus: Any = SimpleNamespace(windows=lambda split: None)
    setting = training.Setting(make_config(), corpus, torch.device("cpu"), tmp_path)
    monkeypatch.setattr(training, "new_run", lambda *_: SimpleNamespace(path=tmp_path, journal_path=tmp_path / "none"))
    stopped = TrainingResult("stopped", 3, 15, {}, {})
    monkeypatch.setattr(training, "train_run", lambda *_, **__: stopped)
    with pytest.raises(SystemExit) as left:
        training._trained(setting, 40)
    assert left.value.code == 143
