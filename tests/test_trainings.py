"""Runs of several seeds: one after the other bit for bit, at once within rounding; each with a directory of its own."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from motionsynth.config import RunConfig, resolve_config
from motionsynth.errors import MotionSynthError, RunError
from motionsynth.runs import train as trainings
from motionsynth.runs.begin import begin
from motionsynth.runs.run import open_run
from motionsynth.runs.train import Outcome, seed_cases, train, train_seeds
from motionsynth.training.journal import read_journal

SMALL = (
    "train.steps=4",
    "train.batch_size=8",
    "train.precision=float32",
    "train.log_every_steps=1",
    "train.ema_decay=0.9",
    "family.backbone={kind: basis, components: 32, width: 8, layers: 1}",
)


def config_of(corpus: Path, family: str = "vae", *overrides: str) -> RunConfig:
    return resolve_config(family, data=corpus, overrides=[*SMALL, *overrides])


def outcomes(ends: list[Outcome | MotionSynthError]) -> list[Outcome]:
    found = [end for end in ends if isinstance(end, Outcome)]
    assert len(found) == len(ends), ends
    return found


@pytest.fixture(scope="module")
def single(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of seed 1 by itself."""
    config = config_of(corpus, "vae", "train.seed=1")
    return train(config, run_dir=tmp_path_factory.mktemp("single") / "vae", track=False).run.path


def test_on_a_cpu_every_run_is_what_it_is_by_itself(corpus: Path, single: Path, tmp_path: Path) -> None:
    cases = seed_cases("vae", range(2), config=config_of(corpus), run_dir=tmp_path / "vae")
    ends = outcomes(train_seeds(cases, device="cpu", track=False))
    assert [end.run.path.name for end in ends] == ["vae-seed-0", "vae-seed-1"]
    assert [end.run.config.train.seed for end in ends] == [0, 1]
    samples = [f"samples/{path.name}" for path in (single / "samples").glob("*.bvh")]
    for name in ("config.yaml", "weights.safetensors", *samples):
        assert (ends[1].run.path / name).read_bytes() == (single / name).read_bytes()
    assert samples
    assert (ends[0].run.path / "weights.safetensors").read_bytes() != (single / "weights.safetensors").read_bytes()


class Stops:
    """Asks the process to stop at a step."""

    def on_log(self, step: int, *_: object) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGTERM)


def test_a_batch_that_was_stopped_ends_as_single_runs_do(
    corpus: Path, single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered: list[tuple[str, str]] = []

    def sync(run_dir: Path) -> Any:
        delivered.append((run_dir.name, open_run(run_dir).record.state))
        return SimpleNamespace(warning=None)

    monkeypatch.setattr(trainings, "sync_run", sync)
    told: list[str] = []

    def batch(progress: Any = None, config: RunConfig | None = None) -> list[Outcome]:
        cases = seed_cases("vae", range(2), config=config, run_dir=tmp_path / "vae")
        return outcomes(train_seeds(cases, device="cpu", progress=progress, announce=told.append, stacked=True))

    stopped = batch(Stops(), config_of(corpus))
    assert [(end.exit_code, end.step, end.run.record.state) for end in stopped] == [(143, 2, "stopped")] * 2
    assert len([line for line in told if line.startswith("windows:")]) == 1, "the corpus is opened once"
    runs = [end.run for end in batch()]
    assert [run.record.state for run in runs] == ["finished"] * 2
    assert sorted(delivered) == [(f"vae-seed-{seed}", state) for seed in (0, 1) for state in ("finished", "stopped")]
    for run in runs:
        assert [row.step for row in read_journal(run.journal_path)] == [1, 2, 3, 4]
        assert len(list((run.samples_path).glob("*.bvh"))) == len(list((single / "samples").glob("*.bvh")))
    assert len({run.record.tracking_id for run in runs}) == 2
    found, expected = runs[1].load_weights(), open_run(single).load_weights()
    for one, other in zip(found, expected, strict=True):
        learnt = [name for name in other if name.startswith(("encoder", "decoder"))]
        assert all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6) for name in learnt)
    assert [end.step for end in batch()] == [4, 4], "finished runs are left as they are"


def test_families_that_cannot_train_one_after_the_other_and_say_so(corpus: Path, tmp_path: Path) -> None:
    config = config_of(corpus, "vae", "family.backbone={kind: conv, widths: [8, 8]}")
    told: list[str] = []
    cases = seed_cases("vae", range(2), config=config, run_dir=tmp_path / "vae")
    ends = outcomes(train_seeds(cases, device="cpu", track=False, announce=told.append, stacked=True))
    assert [end.run.record.state for end in ends] == ["finished"] * 2
    assert [line for line in told if "one after the other: only networks on coefficients" in line]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_seed_that_diverges_costs_no_other(corpus: Path, tmp_path: Path, stacked: bool) -> None:
    config = config_of(corpus, "vae", "train.steps=2", "family.optimise={all: {lr: 1e30}}", "train.ema_decay=null")
    cases = seed_cases("vae", range(2), config=config, run_dir=tmp_path / "vae")
    ends = train_seeds(cases, device="cpu", track=False, stacked=stacked)
    assert [getattr(end, "exit_code", 0) for end in ends] == [3, 3]
    assert [open_run(case.run_dir).record.state for case in cases] == ["failed", "failed"]


def test_runs_that_are_not_alike_are_refused(corpus: Path, tmp_path: Path) -> None:
    cases = seed_cases("vae", range(2), config=config_of(corpus), run_dir=tmp_path / "vae")
    begin(cases[0].config, run_dir=cases[0].run_dir)
    with pytest.raises(RunError, match="is there already"):
        seed_cases("vae", range(2), config=config_of(corpus), run_dir=tmp_path / "vae")
    with pytest.raises(RunError, match="is a run of vae, but gan was asked for"):
        seed_cases("gan", range(2), config=None, run_dir=tmp_path / "vae")
    with pytest.raises(RunError, match="no such run directory"):
        seed_cases("vae", range(2), config=None, run_dir=tmp_path / "other")
    begin(config_of(corpus, "vae", "train.seed=1", "family.latent_dim=5"), run_dir=cases[1].run_dir)
    with pytest.raises(RunError, match="another configuration"):
        train_seeds(cases, device="cpu", track=False, stacked=True)
