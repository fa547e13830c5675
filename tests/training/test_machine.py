"""What ``auto`` stands for, what a run keeps of it, and what is told on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionsynth.config import TrainConfig, baseline, load_config, resolve_config
from motionsynth.errors import ConfigError
from motionsynth.families.gmm import GMM
from motionsynth.runs.begin import settle
from motionsynth.runs.run import open_run
from motionsynth.runs.train import resume, train, train_once
from motionsynth.training.machine import THREADS, describe_machine, differences, settled
from motionsynth.training.trainer import Trainer
from tests.records import change_record
from tests.training.toy_family import SHAPE, Toy, ToyConfig, make_config, make_windows

AUTO = TrainConfig(steps=3)
SMALL = (
    "train.batch_size=8",
    "train.steps=2",
    "family.backbone={kind: conv, widths: [8,8,8,8]}",
    "train.checkpoint_every_steps=1",
)


def has_amx(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": answer, "avx512_bf16": True}, raising=False)


def test_auto_takes_bf16_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, precision in ((True, "bf16"), (False, "float32")):
        has_amx(monkeypatch, answer)
        found = settled(AUTO, ToyConfig(), "cpu")
        assert (found.threads, found.precision) == (THREADS, precision)
        assert settled(AUTO, GMM.Config(), "cpu").precision == "float32", "closed forms are no products of bf16"
    said = TrainConfig(steps=3, threads=3, precision="bf16")
    assert settled(said, ToyConfig(), "cpu") == said


@pytest.mark.parametrize("capability", [(7, 5), (8, 0)])
def test_auto_asks_a_gpu_for_its_capability(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert settled(AUTO, ToyConfig(), "cuda").precision == ("bf16" if capability >= (8, 0) else "float32")


def test_a_trainer_that_is_told_nothing_learns_as_one_that_is_told_what_it_chose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_amx(monkeypatch, True)

    def learnt(**train: object) -> torch.Tensor:
        config = make_config(**train)
        torch.manual_seed(0)
        weights = Trainer(Toy(config.family, SHAPE), config.family, config.train, make_windows()).fit().weights
        return torch.cat([weight.flatten() for weight in weights.values()])

    unsaid = learnt(threads="auto", precision="auto")
    assert torch.equal(unsaid, learnt(threads=1, precision="bf16"))
    assert not torch.equal(unsaid, learnt(threads=1, precision="float32"))


@pytest.mark.parametrize("wrong", ["0", "many", "1.5", "true", "null"])
def test_threads_are_a_number_or_auto(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"train\.threads: must be (auto, or )?a (whole )?number"):
        load_config(baseline("vae"), overrides=[f"train.threads={wrong}"])


def test_a_run_keeps_what_auto_stood_for_and_goes_on_by_it_elsewhere(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_amx(monkeypatch, True)
    run_dir = tmp_path / "vae"
    asked, told = resolve_config("vae", data=corpus, overrides=SMALL), list[str]()
    run = train(asked, run_dir=run_dir, track=False, announce=told.append).run
    assert told[0] == f"auto: train.threads {THREADS}, train.precision bf16"
    run = open_run(run_dir)
    assert run.record.chosen == {"threads": str(THREADS), "precision": "bf16"}
    assert run.record.machine == describe_machine("cpu")
    assert (run.config.train.threads, run.config.train.precision) == (THREADS, "bf16")

    has_amx(monkeypatch, False)
    assert settle(asked).train.precision == "float32"
    assert train_once(asked, run_dir=run_dir, track=False).step == 2, "it is the run that auto made"

    change_record(run_dir, state="stopped", machine={**run.record.machine, "processor": "a Z80"})
    told.clear()
    resume(run_dir, track=False, announce=told.append)
    assert "another machine" in told[0] and "was a Z80" in told[0] and "bf16 is slow here" in told[0]
    again = open_run(run_dir)
    assert again.config == run.config and again.record.machine == describe_machine("cpu")


def test_nothing_is_told_of_the_same_machine_or_of_runs_from_before() -> None:
    train = TrainConfig(steps=1, precision="float32")
    assert differences(train, describe_machine("cpu"), "cpu") == []
    assert differences(train, {}, "cpu") == []
