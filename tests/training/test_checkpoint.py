"""Checkpoints are whole or not there, and damage is found, told and survived."""

from __future__ import annotations

import copy
import json
import logging
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from motionsynth.errors import MotionSynthError, RunError
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run
from motionsynth.training import checkpoint as module
from motionsynth.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from motionsynth.training.trainer import Trainer
from tests.training.toy_family import make_config, make_run, make_windows

FILES = ("weights.safetensors", "state.pt", "manifest.json")


def make(step: int) -> Checkpoint:
    weight = torch.full((3, 2), float(step))
    state = {"rule": {"optimiser": {0: {"step": torch.tensor(4.0)}}}, "elapsed": 1.5, "names": ("a", None, True)}
    return Checkpoint(step, {"w": weight, "count": torch.tensor(step)}, {"w": weight / 2}, state)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (10, 20, 30):
        save_checkpoint(tmp_path / "checkpoints", make(step))
    return tmp_path / "checkpoints"


def test_the_newest_two_stay_and_the_newest_comes_back(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["20", "30"]
    assert sorted(path.name for path in (folder / "30").iterdir()) == sorted(FILES)
    found = load_newest(folder)
    assert found and found.step == 30
    assert torch.equal(found.weights["w"], torch.full((3, 2), 30.0)) and found.weights["count"] == 30
    assert torch.equal(found.averages["w"], torch.full((3, 2), 15.0))
    assert found.state["elapsed"] == 1.5 and found.state["names"] == ("a", None, True)


def test_nothing_yet_is_none(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "checkpoints") is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_a_damaged_newest_is_told_and_the_older_used(
    folder: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder / "30" / name, damage)
    with caplog.at_level(logging.WARNING):
        found = load_newest(folder)
    assert found and found.step == 20
    assert str(folder / "30") in caplog.text and "damaged" in caplog.text


def test_an_intact_newest_is_told_nothing_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_newest(folder)
    assert not caplog.records


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    path.write_bytes(content[:-5] if damage == "cut" else b"" if damage == "empty" else content)
    if damage == "gone":
        path.unlink()


def test_every_flipped_bit_is_found(folder: Path) -> None:
    weights = folder / "30" / "weights.safetensors"
    whole = weights.read_bytes()
    for place in range(0, len(whole), 7):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        weights.write_bytes(content)
        found = load_newest(folder)
        assert found and found.step == 20
    weights.write_bytes(whole)
    found = load_newest(folder)
    assert found and found.step == 30


def test_none_intact_is_an_error_that_names_them(folder: Path) -> None:
    for step in ("20", "30"):
        spoil(folder / step / "state.pt", "flip")
    with pytest.raises(RunError, match=r"no checkpoint is intact .*30/state\.pt.*20/state\.pt.*another --run-dir"):
        load_newest(folder)


def test_a_manifest_of_another_step_is_damage(folder: Path) -> None:
    shutil.rmtree(folder / "30")
    (folder / "20").rename(folder / "40")
    with pytest.raises(RunError, match="is not of format 1 and step 40"):
        load_newest(folder)


def test_state_that_is_code_is_not_run(folder: Path) -> None:
    state = folder / "30" / "state.pt"
    torch.save({"elapsed": Path("x")}, state)
    manifest = json.loads((folder / "30" / "manifest.json").read_text())
    manifest["sha256"]["state.pt"] = module.hash_bytes(state.read_bytes())
    (folder / "30" / "manifest.json").write_text(json.dumps(manifest))
    found = load_newest(folder)
    assert found and found.step == 20


@pytest.mark.parametrize("crash_at", ["weights.safetensors", "state.pt", "manifest.json", "rename"])
def test_a_crash_while_saving_leaves_the_older(folder: Path, monkeypatch: pytest.MonkeyPatch, crash_at: str) -> None:
    class CrashError(Exception):
        pass

    def write(path: Path, content: bytes) -> None:
        if path.name == crash_at:
            path.write_bytes(content[: len(content) // 2])
            raise CrashError
        path.write_bytes(content)

    def rename(self: Path, target: Path) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_synced", write)
        if crash_at == "rename":
            patch.setattr(Path, "rename", rename)
        with pytest.raises(CrashError):
            save_checkpoint(folder, make(40))
    found = load_newest(folder)
    assert found and found.step == 30
    save_checkpoint(folder, make(40))
    assert sorted(path.name for path in folder.iterdir()) == ["30", "40"], "what the crash left is cleared away"


def test_a_step_is_replaced_and_later_ones_of_an_abandoned_past_go(folder: Path) -> None:
    spoil(folder / "30" / "state.pt", "flip")
    save_checkpoint(folder, make(25))
    assert sorted(path.name for path in folder.iterdir()) == ["20", "25"]
    save_checkpoint(folder, make(30))
    save_checkpoint(folder, make(30))
    found = load_newest(folder)
    assert found and found.step == 30
    assert sorted(path.name for path in folder.iterdir()) == ["25", "30"]


class Call:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> Any:
        return self.called


@pytest.mark.parametrize("call", [Call(bytearray, 10**8), Call(torch.Tensor, 10**8), Call(torch.UntypedStorage, 10**8)])
def test_a_state_that_asks_for_memory_gets_none(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    state = folder / "30" / "state.pt"
    torch.save({"elapsed": call}, state)
    manifest = json.loads((folder / "30" / "manifest.json").read_text())
    manifest["sha256"]["state.pt"] = module.hash_bytes(state.read_bytes())
    (folder / "30" / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(folder / "20")
    with pytest.raises(RunError, match=r"calls (__builtin__|builtins|torch).*, which no state needs"):
        load_newest(folder)
    monkeypatch.setattr(module, "_refuse_calls", lambda _: None)  # the control
    found = load_newest(folder)
    assert found and len(found.state["elapsed"]) == 10**8


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all that a state holds, containers too."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*above, key)
        yield from places(value, (*above, key))


STRANGE = (None, -1, 10**12, math.nan, "x", [], {}, torch.zeros(1), torch.full((50,), 7), torch.zeros(3, 3, 3))


@pytest.mark.usefixtures("toy_known")
def test_a_state_that_says_nonsense_does_not_fit_and_no_more(tmp_path: Path) -> None:
    """Each value of a state in turn is another one: training goes on, or says that it does not fit."""
    run = make_run(tmp_path / "run", make_config(steps=8))
    train_run(run, make_windows())
    folder = run.checkpoints_path
    whole = load_newest(folder)
    assert whole
    seen: Counter[str] = Counter()
    for place in places(whole.state):
        for strange in STRANGE:
            state = copy.deepcopy(whole.state)
            node = state
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = strange
            try:
                trainer = resumed(run, whole._replace(state=state))
                for _ in range(2):
                    trainer._draw_batch()
                    trainer._learn(taken=False)
                trainer.rule.collect(0.5)
                seen["went on"] += 1
            except MotionSynthError as error:
                seen[type(error).__name__ if "\n" not in str(error) else str(error)] += 1
    assert set(seen) <= {"RunError", "went on", "DivergedError"}
    assert seen["RunError"] > 300 and seen["went on"]


def resumed(run: Run, checkpoint: Checkpoint) -> Trainer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("motionsynth.training.trainer.load_newest", lambda _: checkpoint)
        config = run.config
        trainer = Trainer(run.build_family(), config.family, config.train, make_windows(), checkpoints=Path("here"))
        trainer.resume()
    return trainer
