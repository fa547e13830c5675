"""The training benchmarks: they end where they are told to stop, and what they compare is the same arithmetic."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch
from motionsynth.families import family_class
from motionsynth.families.base import StepContext
from motionsynth.training.determinism import build_family
from motionsynth.training.trainer import TrainingResult
from tests.training.toy_family import make_config
from tools.bench import dense, training


def test_a_stop_signal_ends_it_with_the_signals_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus: Any = SimpleNamespace(windows=lambda split: None)
    setting = training.Setting(make_config(), corpus, torch.device("cpu"), tmp_path)
    monkeypatch.setattr(training, "new_run", lambda *_: SimpleNamespace(path=tmp_path, journal_path=tmp_path / "none"))
    stopped = TrainingResult("stopped", 3, 15, {}, {})
    monkeypatch.setattr(training, "train_run", lambda *_, **__: stopped)
    with pytest.raises(SystemExit) as left:
        training._trained(setting, 40)
    assert left.value.code == 143


@pytest.mark.parametrize(("name", "phase"), sorted(dense.LOSSES))
def test_the_loss_by_hand_is_the_familys(name: str, phase: str) -> None:
    backbone = {"kind": "basis", "components": 12, "width": 16, "layers": 2}
    config = family_class(name).Config.model_validate({"name": name, "backbone": backbone})
    family: Any = build_family(config, MotionShape(64, 5, {}), 0).train()
    motion_B1K = torch.randn(8, 1, 12, generator=torch.Generator().manual_seed(1))
    batch = Batch(motion_B1K, torch.ones(8, 1, dtype=torch.bool), {})
    loss = next(one.loss for one in family.phases if one.name == phase)
    context = StepContext(0, 0.0, torch.Generator().manual_seed(2))
    own = loss(batch, context).total
    by_hand = dense.LOSSES[name, phase](family, motion_B1K.flatten(1), 0, torch.Generator().manual_seed(2))
    torch.testing.assert_close(by_hand, own)
