"""The rule of expectation maximisation: whole passes, a likelihood that never falls, and an end that it finds."""

from __future__ import annotations

import itertools
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from motionsynth.config import RunConfig, TrainConfig, load_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.corpus.windows import Batch, WindowSet
from motionsynth.errors import ConfigError, TrainingError
from motionsynth.families.gmm import GMM
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run, create_run
from motionsynth.runs.sampling import draw_samples
from motionsynth.training.budget import refuse_hopeless
from motionsynth.training.determinism import build_family
from motionsynth.training.em import EMRule
from motionsynth.training.journal import JournalRow, read_journal
from motionsynth.training.rules import GradientRule, rule_for
from motionsynth.training.trainer import Trainer
from tests.training.toy_family import SHAPE as TOY_SHAPE
from tests.training.toy_family import make_config as toy_config

FRAMES, FEATURES, COUNT = 6, 3, 70
SHAPE = MotionShape(FRAMES, FEATURES, {})
START = 4
"""Passes that the start takes: three for axes, one for means."""
BASELINE = Path(__file__).parents[2] / "configs" / "run" / "gmm.yaml"


def make_config(**train: object) -> RunConfig:
    settings: dict[str, object] = {
        "batch_size": 16,
        "log_every_steps": 1,
        "validate_every_steps": 10,
        "checkpoint_every_steps": 4,
    } | train
    if not {"passes", "steps", "samples", "minutes"} & set(train):
        settings["passes"] = 60
    return RunConfig(
        data=DataConfig(window_frames=8),
        family=GMM.Config(components=3, latent_dim=2, axes=8, tolerance=1e-3),
        train=TrainConfig.model_validate(settings),
    )


def make_windows(count: int = COUNT, seed: int = 0, padded: int = 3) -> WindowSet:
    generator = torch.Generator().manual_seed(seed)
    centre = 3 * torch.randn(3, FRAMES, FEATURES, generator=generator)
    noise = torch.randn(count, FRAMES, FEATURES, generator=generator).cumsum(1)
    mask = torch.ones(count, FRAMES, dtype=torch.bool)
    mask[:padded, -2:] = False
    motion = (centre[torch.arange(count) % 3] + noise) * mask[..., None]
    clips = tuple(f"clip_{i:03}" for i in range(count))
    return WindowSet.of(motion, mask, {}, torch.arange(count), torch.zeros(count, dtype=torch.int64), clips)


def make_trainer(config: RunConfig | None = None, windows: WindowSet | None = None) -> Trainer:
    config = config or make_config()
    family = build_family(config.family, SHAPE, config.train.seed)
    return Trainer(family, config.family, config.train, make_windows() if windows is None else windows)


def make_run(path: Path, config: RunConfig | None = None) -> Run:
    config = config or make_config()
    return create_run(
        path,
        config.model_copy(update={"data": DataConfig(window_frames=8)}),
        spec={"toy": True},
        width=FEATURES,
        labels={},
        normaliser={"mean": torch.zeros(FEATURES), "scale": torch.ones(FEATURES)},
        corpus_fingerprint="toys",
        splits={"train": [], "validation": [], "test": []},
        write_skeleton=lambda target: target.write_text("HIERARCHY\n") and None,
    )


def wide(windows: WindowSet) -> WindowSet:
    """The same windows with the eight frames that a run has at least."""
    motion, mask, _ = windows.as_batch()
    motion = torch.cat((motion, motion[:, -2:]), 1)
    return WindowSet.of(motion, torch.cat((mask, mask[:, -2:]), 1), {}, windows.clip_N, windows.start_N, windows.clips)


def rows_of(run: Run) -> list[tuple[int, dict[str, float]]]:
    def told(row: JournalRow) -> dict[str, float]:
        return {n: v for n, v in row.metrics.items() if n not in ("speed/steps_per_second", "budget/minutes")}

    return [(row.step, told(row)) for row in read_journal(run.journal_path)]


def kill_in_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process SIGTERM inside a step."""
    learn: Callable[[EMRule, Batch, object], None] = EMRule.step

    def killed(self: EMRule, batch: Batch, context: object) -> None:
        if context.step == step:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)
        learn(self, batch, context)

    monkeypatch.setattr(EMRule, "step", killed)


@pytest.mark.usefixtures("toy_known")
def test_the_family_decides_the_rule() -> None:
    config, toy = make_config(), toy_config()
    assert isinstance(rule_for(build_family(config.family, SHAPE, 0), config.family, config.train), EMRule)
    assert isinstance(rule_for(build_family(toy.family, TOY_SHAPE, 0), toy.family, toy.train), GradientRule)


def test_every_pass_sees_every_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    windows = make_windows()
    windows.rows_FD[::FRAMES, 0] = torch.arange(COUNT)
    accumulate = GMM.accumulate

    def spy(self: GMM, batch: Batch, statistics: dict[str, torch.Tensor]) -> None:
        seen.extend(batch.motion_BTD[:, 0, 0].int().tolist())
        accumulate(self, batch, statistics)

    monkeypatch.setattr(GMM, "accumulate", spy)
    trainer = make_trainer(make_config(passes=6), windows)
    assert trainer.fit().step == 6 * 5, "70 windows in batches of 16 are five"
    assert trainer.samples == 6 * COUNT == len(seen)
    passes = [seen[i : i + COUNT] for i in range(0, len(seen), COUNT)]
    assert all(sorted(one) == list(range(COUNT)) for one in passes) and passes[0] != passes[1]


def test_it_ends_where_a_pass_gains_less_than_the_tolerance(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    result = train_run(run, wide(make_windows()), wide(make_windows(9, 1, 0)))
    rows = [metrics for _, metrics in rows_of(run) if "train/em/passes" in metrics]
    assert result.outcome == "converged" and result.step == 5 * len(rows) < 60 * 5
    likelihoods = [row["train/em/pass_log_likelihood"] for row in rows[START:]]
    assert not any("train/em/pass_log_likelihood" in row for row in rows[:START])
    gains = [row["train/em/gain"] for row in rows[START + 1 :]]
    assert gains == pytest.approx([b - a for a, b in itertools.pairwise(likelihoods)])
    assert all(gain >= 1e-3 for gain in gains[:-1]) and -1e-9 < gains[-1] < 1e-3
    assert {row["train/em/padded_windows"] for row in rows} == {3.0}
    assert math.isfinite(rows_of(run)[-1][1]["validation/em/log_likelihood"])
    assert draw_samples(run, 2, seed=0).motion_NTD.shape == (2, 8, FEATURES)


def test_rows_between_passes_hold_the_mean_of_what_was_scored() -> None:
    trainer = make_trainer()
    rule = trainer.rule
    for _ in range(5 * START):
        trainer._draw_batch()
        trainer._learn(taken=False)
    assert rule.collect(0.0)["em/passes"] == START
    whole = []
    for _ in range(5):
        trainer._draw_batch()
        trainer._learn(taken=False)
        whole.append(rule.collect(0.0))
    means = [row["em/log_likelihood"] for row in whole]
    index_N = trainer.order.state_dict()["order"]
    sizes = [int(trainer.windows.whole_N[part].sum()) for part in index_N.split(16)]
    total = sum(mean * size for mean, size in zip(means, sizes, strict=True)) / sum(sizes)
    assert whole[-1]["em/pass_log_likelihood"] == pytest.approx(total) and "em/passes" not in whole[0]
    assert rule.collect(0.0) == {}, "told once"


def test_a_likelihood_that_falls_ends_training_and_says_from_where_to_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maximise = GMM.maximise

    def spoilt(self: GMM, statistics: dict[str, torch.Tensor], *, generator: torch.Generator) -> dict[str, float]:
        terms = maximise(self, statistics, generator=generator)
        if int(self.passes) == START + 2:
            self.noise_K.mul_(1.5)
        return terms

    monkeypatch.setattr(GMM, "maximise", spoilt)
    run = make_run(tmp_path / "run")
    with pytest.raises(
        TrainingError, match=r"log-likelihood of pass 7 fell from -\d+\.\d+ to -\d+\.\d+ nats a"
    ) as error:
        train_run(run, wide(make_windows()))
    assert (error.value.step, error.value.phase) == (5 * (START + 3), "em")
    assert "clips" not in str(error.value) and run.record.state == "failed"
    monkeypatch.setattr(GMM, "maximise", maximise)
    assert train_run(make_run(tmp_path / "control"), wide(make_windows())).outcome == "converged"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_data_that_is_not_finite_is_named(value: float) -> None:
    windows = make_windows()
    windows.rows_FD[17 * FRAMES + 3, 1] = value
    with pytest.raises(TrainingError, match=r"not finite: the statistics .*not finite in the data: clip_017"):
        make_trainer(windows=windows).fit()


@pytest.mark.parametrize(
    ("budget", "passes"),
    [({"passes": 1}, 1), ({"passes": START}, START), ({"steps": 24}, START), ({"samples": 5 * COUNT - 1}, START)],
)
def test_a_budget_that_ends_in_the_start_is_refused_before_the_first_step(
    tmp_path: Path, budget: dict[str, int], passes: int
) -> None:
    run = make_run(tmp_path / "run", make_config(**budget))
    ((key, value),) = budget.items()
    with pytest.raises(ConfigError, match=rf"^train.passes: .* 5, .*; train.{key}={value} gives {passes}$"):
        train_run(run, wide(make_windows()))
    assert not read_journal(run.journal_path) and run.record.state == "created"
    refuse_hopeless(make_config().family, make_config(steps=25).train, make_windows())  # negative control
    refuse_hopeless(make_config().family, make_config(minutes=0.001).train, make_windows())  # nobody knows
    control = make_run(tmp_path / "control", make_config(passes=START + 1))
    assert train_run(control, wide(make_windows())).outcome == "finished"


def test_too_few_windows_are_refused() -> None:
    for windows, whole in (
        (make_windows(2, padded=0), 2),
        (make_windows(9, padded=7), 2),
        (make_windows(9, padded=9), 0),
    ):
        with pytest.raises(
            ConfigError, match=rf"^family.components: needs 3 training windows .*, and there are {whole}$"
        ):
            make_trainer(windows=windows)
    make_trainer(windows=make_windows(9, padded=6))  # negative control


def test_a_hopeless_run_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from motionsynth.config import resolve_config
    from motionsynth.runs.train import train

    monkeypatch.setattr("motionsynth.runs.begin.open_corpus", lambda *_, **__: pytest.fail("clips were read"))
    config = resolve_config("gmm", overrides=["train.passes=4"])
    with pytest.raises(ConfigError, match=r"^train.passes: must be at least 5"):
        train(config, run_dir=tmp_path / "run", device="cpu", track=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["precision=bf16", "ema_decay=0.9", "clip_norm=1.0", "compile=true"])
def test_settings_of_the_gradient_rule_are_refused(setting: str) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"train\.{key} means nothing to gmm, which learns in closed form"):
        load_config(BASELINE, overrides=[f"train.{setting}"])


# inside the passes for axes, at the end of the one for means, in the middle of and between passes of EM
@pytest.mark.parametrize("step", [0, 7, 14, 19, 22, 24, 31])
def test_stopped_anywhere_ends_as_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    windows, validation = wide(make_windows()), wide(make_windows(9, 1))
    whole, run = make_run(tmp_path / "whole"), make_run(tmp_path / "stopped")
    assert train_run(whole, windows, validation).outcome == "converged"
    with monkeypatch.context() as patch:
        kill_in_step(patch, step)
        assert train_run(run, windows, validation).outcome == "stopped"
    assert train_run(run, windows, validation, resume=True).outcome == "converged"
    assert same_weights(whole, run) and rows_of(whole) == rows_of(run)


def same_weights(one: Run, other: Run) -> bool:
    first, second = (load_file(run.path / "weights.safetensors") for run in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_without_the_statistics_of_the_pass_it_ends_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    windows = wide(make_windows())
    whole, run = make_run(tmp_path / "whole"), make_run(tmp_path / "stopped")
    train_run(whole, windows)
    with monkeypatch.context() as patch:
        kill_in_step(patch, 12)
        train_run(run, windows)
    with monkeypatch.context() as patch:
        load = EMRule.load_state_dict

        def forgetful(self: EMRule, state: dict[str, Any]) -> None:
            load(self, state | {"statistics": self.family.new_statistics()})

        patch.setattr(EMRule, "load_state_dict", forgetful)
        train_run(run, windows, resume=True)
    assert not same_weights(whole, run)


def test_a_seed_decides_everything_and_nothing_global_is_touched() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = make_trainer().fit().weights
    assert torch.equal(torch.get_rng_state(), state)
    same, other = make_trainer().fit().weights, make_trainer(make_config(seed=1)).fit().weights
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
