"""A killed run goes on as if nothing had happened, bit for bit; and it only does because everything is restored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from motionsynth.errors import RunError
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import open_run
from motionsynth.training.checkpoint import Checkpoint, load_newest
from motionsynth.training.determinism import stream_seed
from motionsynth.training.journal import read_journal
from tests.training.toy_family import Toy, make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")
REPOSITORY = Path(__file__).resolve().parents[2]
WALL_TIME = ("speed/steps_per_second", "budget/minutes")


def train_apart(path: Path, step: int = -1, number: int = signal.SIGKILL) -> int:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.train_toy", str(path), str(step), str(int(number))]
    return subprocess.run(command, env=environment, timeout=120, check=False).returncode


def uninterrupted(path: Path) -> Path:
    train_run(make_run(path), make_windows(), make_windows(11, 1))
    return path


def same_end(one: Path, other: Path) -> bool:
    """Whether weights, averages, optimisers, generators, order and journals are equal bit for bit."""
    first, second = (load_file(path / "weights.safetensors") for path in (one, other))
    assert first.keys() == second.keys() and any(name.startswith("ema.") for name in first)
    equal = all(torch.equal(first[name], second[name]) for name in first)
    states = [load_newest(path / "checkpoints") for path in (one, other)]
    assert states[0] and states[1]
    for state in states:
        state.state.pop("elapsed")  # type: ignore[union-attr]
    equal &= flat(states[0].state) == flat(states[1].state)
    return equal and journal(one) == journal(other)


def flat(value: object, prefix: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in flat(inner, f"{prefix}/{name}").items()}
    return {prefix: value.tolist() if isinstance(value, torch.Tensor) else value}


def with_generator(checkpoint: Checkpoint | None, state: torch.Tensor) -> Checkpoint | None:
    assert checkpoint
    return checkpoint._replace(state=checkpoint.state | {"generator": state})


def journal(path: Path) -> list[tuple[int, dict[str, float]]]:
    rows = read_journal(path / "metrics.jsonl")
    return [(row.step, {k: v for k, v in row.metrics.items() if k not in WALL_TIME}) for row in rows]


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process SIGTERM inside a step."""
    monkeypatch.setattr(Toy, "kill_at", (step, signal.SIGTERM))


def test_killed_three_times_ends_as_uninterrupted(tmp_path: Path) -> None:
    whole, killed = uninterrupted(tmp_path / "whole"), tmp_path / "killed"
    # before the first checkpoint (7), after it, and after the next row was written but not its checkpoint; even steps
    # only, because the toy's generator learns at those
    for step in (4, 10, 26):
        assert train_apart(killed, step) == -signal.SIGKILL
        assert open_run(killed).record.state == "running"
        assert not open_run(killed).is_training
        assert not (killed / "weights.safetensors").exists()
    assert train_apart(killed) == 0
    assert open_run(killed).record.state == "finished"
    assert same_end(whole, killed)
    steps = [row.step for row in read_journal(killed / "metrics.jsonl")]
    assert steps == sorted(set(steps)), "no step may be journalled twice"


@pytest.mark.parametrize("forgotten", ["generator", "order", "rule", "averages"])
def test_without_one_part_of_the_state_it_ends_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """The control: each part of a checkpoint is needed, or the test above would prove nothing."""
    from motionsynth.training import order, rules, trainer

    whole = uninterrupted(tmp_path / "whole")
    run = make_run(tmp_path / "stopped")
    stop_at(monkeypatch, 10)
    assert train_run(run, make_windows(), make_windows(11, 1)).outcome == "stopped"
    monkeypatch.setattr(Toy, "kill_at", None)
    if forgotten == "generator":
        fresh = torch.Generator().manual_seed(stream_seed(run.config.train.seed, "noise")).get_state()
        monkeypatch.setattr(trainer, "load_newest", lambda folder: with_generator(load_newest(folder), fresh))
    elif forgotten == "order":
        monkeypatch.setattr(order.BatchOrder, "load_state_dict", lambda *_: None)
    elif forgotten == "rule":
        monkeypatch.setattr(rules.GradientRule, "load_state_dict", lambda *_: None)
    else:
        monkeypatch.setattr(rules.GradientRule, "load_averaged_weights", lambda *_: None)
    assert train_run(run, make_windows(), make_windows(11, 1), resume=True).outcome == "finished"
    assert not same_end(whole, run.path)


@pytest.mark.parametrize("step", [0, 2, 6, 12, 20, 38])
def test_stopped_anywhere_ends_as_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    whole = uninterrupted(tmp_path / "whole")
    run = make_run(tmp_path / "stopped")
    stop_at(monkeypatch, step)
    result = train_run(run, make_windows(), make_windows(11, 1))
    assert (result.outcome, result.step, result.signal, result.exit_code) == ("stopped", step + 1, 15, 143)
    assert run.record.state == "stopped"
    monkeypatch.setattr(Toy, "kill_at", None)
    assert train_run(run, make_windows(), make_windows(11, 1), resume=True).outcome == "finished"
    assert same_end(whole, run.path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_with_its_code(tmp_path: Path, number: int, code: int) -> None:
    assert train_apart(tmp_path / "run", 12, number) == code
    run = open_run(tmp_path / "run")
    assert (run.record.state, run.record.step, run.record.pid) == ("stopped", 13, None)
    assert (run.checkpoints_path / "13").is_dir()


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from motionsynth.training.signals import StopRequest\n"
        "with StopRequest() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert stop.signal == signal.SIGTERM\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_handlers_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    stop_at(monkeypatch, 0)
    train_run(make_run(tmp_path / "run"), make_windows())
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_other_windows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")
    stop_at(monkeypatch, 8)
    train_run(run, make_windows())
    monkeypatch.setattr(Toy, "kill_at", None)
    with pytest.raises(RunError, match="was trained on other windows"):
        train_run(run, make_windows(48), resume=True)
    train_run(run, make_windows(), resume=True)


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_config(steps=4))
    train_run(run, make_windows())
    before = (run.path / "weights.safetensors").stat().st_mtime_ns
    result = train_run(run, make_windows(), resume=True)
    assert (result.outcome, result.step) == ("finished", 4)
    assert (run.path / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="is finished already"):
        train_run(run, make_windows())
