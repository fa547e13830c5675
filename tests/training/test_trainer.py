"""The trainer: budgets, rows, validation, and what it says when training breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motionsynth.config import RunConfig
from motionsynth.corpus.windows import WindowSet
from motionsynth.errors import TrainingError
from motionsynth.families.base import StepContext
from motionsynth.runs.fit import train_run
from motionsynth.training.determinism import build_family
from motionsynth.training.journal import Journal, read_journal
from motionsynth.training.trainer import ProgressListener, Trainer, TrainingResult
from tests.training.toy_family import FRAMES, SHAPE, Toy, make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")


def make_trainer(
    config: RunConfig,
    windows: WindowSet | None = None,
    validation: WindowSet | None = None,
    journal: Journal | None = None,
    listener: ProgressListener | None = None,
) -> Trainer:
    family = build_family(config.family, SHAPE, config.train.seed)
    windows = make_windows() if windows is None else windows
    return Trainer(family, config.family, config.train, windows, validation, journal=journal, listener=listener)


def equal(one: TrainingResult, other: TrainingResult) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_a_seed_decides_everything_and_nothing_global_is_touched() -> None:
    torch.manual_seed(1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = make_trainer(make_config()).fit()
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads
    torch.manual_seed(2)
    assert equal(first, make_trainer(make_config()).fit())
    assert not equal(first, make_trainer(make_config(seed=4)).fit())


def test_threads_are_those_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    loss = Toy.critic_loss

    def spy(self: Toy, *arguments: object) -> object:
        seen.append(torch.get_num_threads())
        return loss(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Toy, "critic_loss", spy)
    for threads in (1, 2):
        make_trainer(make_config(steps=1, threads=threads)).fit()
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 5}, 5), ({"samples": 40}, 5), ({"samples": 41}, 6), ({"passes": 2}, 12)]
)
def test_budgets_in_steps_and_samples(budget: dict[str, int], steps: int) -> None:
    result = make_trainer(make_config(**budget)).fit()
    assert (result.outcome, result.step, result.exit_code) == ("finished", steps, 0)


def test_a_budget_in_minutes_ends_and_journals_its_last_step(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        trainer = make_trainer(make_config(minutes=0.01, log_every_steps=10**6), journal=journal)
        result = trainer.fit()
    assert result.outcome == "finished" and 0.6 <= trainer.elapsed < 5
    rows = read_journal(tmp_path / "j")
    assert [row.step for row in rows] == [result.step]
    assert rows[0].metrics["budget/minutes"] == pytest.approx(0.01, rel=0.5)


def test_elapsed_minutes_count_across_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", make_config(minutes=0.02))
    monkeypatch.setattr(Toy, "kill_at", (20, 15))
    train_run(run, make_windows())
    spent = math.inf
    trainer = Trainer(
        build_family(run.config.family, SHAPE, 0),
        run.config.family,
        run.config.train,
        make_windows(),
        checkpoints=run.checkpoints_path,
    )
    assert trainer.resume() == 21
    spent = trainer.elapsed
    assert 0 < spent < 1.2 and trainer.progress == pytest.approx(spent / 1.2, rel=0.1)


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    trainer = make_trainer(make_config(batch_size=128, samples=30), make_windows(10))
    assert trainer.fit().step == 3 and trainer.samples == 30


def test_windows_that_cannot_be_trained_on_are_refused() -> None:
    with pytest.raises(ValueError, match="no windows"):
        make_trainer(make_config(), make_windows(0))
    windows = make_windows()
    wide = replace(windows, rows_FD=torch.zeros(50 * 8, 4))
    with pytest.raises(ValueError, match=r"windows of \(8, 4\), but the family is built for \(8, 3\)"):
        make_trainer(make_config(), wide)
    with pytest.raises(ValueError, match=r"windows of \(8, 4\)"):
        make_trainer(make_config(), windows, wide)


@pytest.mark.parametrize("step", [0, 6, 14])
def test_a_nan_stops_the_run_and_names_step_phase_term_and_clips(tmp_path: Path, step: int) -> None:
    run = make_run(tmp_path / "run", make_config(break_at=step))
    with pytest.raises(TrainingError) as caught:
        train_run(run, make_windows())
    error = caught.value
    assert (error.step, error.phase) == (step + 1, "generator")
    assert "loss term adversarial is nan" in str(error)
    named = error.__notes__[0].removeprefix("all clips of the batch: ").split(", ")
    assert set(named) == clips_of_batch(run.config, step), "just those that the step was computed on"
    assert run.record.state == "failed" and "adversarial" in str(run.record.error)
    assert not (run.path / "weights.safetensors").exists()
    assert all(row.step <= step for row in read_journal(run.journal_path))


def clips_of_batch(config: RunConfig, step: int) -> set[str]:
    windows, trainer = make_windows(), make_trainer(config)
    for _ in range(step + 1):
        _, index_B = trainer.order.next()
    return set(windows.subset(index_B).takes)


def test_without_the_nan_it_finishes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert train_run(run, make_windows()).outcome == "finished"
    assert run.record.state == "finished" and run.record.error is None


def test_data_that_is_not_finite_is_named_first() -> None:
    windows = make_windows()
    windows.rows_FD[17 * FRAMES + 3, 1] = math.inf
    with pytest.raises(TrainingError, match="not finite in the data: clip_008; clips of the batch: "):
        make_trainer(make_config(), windows).fit()


def test_deferred_checks_name_the_step_that_broke(tmp_path: Path) -> None:
    config = make_config(break_at=4, log_every_steps=20, checkpoint_every_steps=20)
    trainer = make_trainer(config)
    trainer.rule.deferred = True  # type: ignore[attr-defined]
    with pytest.raises(TrainingError) as caught:
        trainer.fit()
    assert trainer.step > 5, "it was not waited for"
    assert (caught.value.step, caught.value.phase) == (5, "generator")
    named = caught.value.__notes__[0].removeprefix("all clips of the batch: ").split(", ")
    assert set(named) == clips_of_batch(config, 4)


def test_validation_is_the_mean_over_all_windows_and_changes_no_weight(tmp_path: Path) -> None:
    validation = make_windows(11, 1)
    with Journal(tmp_path / "j") as journal:
        trainer = make_trainer(make_config(steps=10), validation=validation, journal=journal)
        result = trainer.fit()
    assert equal(result, make_trainer(make_config(steps=10)).fit())
    row = next(row for row in read_journal(tmp_path / "j") if row.step == 10)
    real_B = trainer.family.critic(validation.as_batch().motion_BTD.flatten(1))  # type: ignore[operator]
    whole = trainer.rule.validate(validation.batch(torch.arange(11)), StepContext(10, 1.0, torch.Generator()))
    assert row.metrics["validation/critic/penalty"] == pytest.approx(float(whole["critic/penalty"]), rel=1e-5)
    assert len(real_B) == 11 and "train/critic/total" in row.metrics, "one row holds all of a step"
    assert math.isfinite(row.metrics["validation/generator/total"])


def test_validation_mixes_neighbours_and_does_so_alike_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    validation = make_windows(24, 1)
    trainer = make_trainer(make_config(steps=20, validate_every_steps=10), validation=validation)
    seen: list[torch.Tensor] = []
    validate = trainer.rule.validate
    monkeypatch.setattr(
        trainer.rule, "validate", lambda batch, context: (seen.append(batch.motion_BTD), validate(batch, context))[1]
    )
    trainer.fit()
    assert [len(batch) for batch in seen] == [8] * 6
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    place_N = torch.cdist(first.flatten(1), validation.as_batch().motion_BTD.flatten(1)).argmin(1)
    assert torch.equal(first, second) and sorted(place_N.tolist()) == list(range(24))
    assert all(batch_B.max() - batch_B.min() > 8 for batch_B in place_N.split(8)), "from all over the split"


def test_the_listener_hears_every_row() -> None:
    heard: list[tuple[int, int, float, float]] = []

    class Listener:
        def on_log(
            self, step: int, total: int, metrics: Mapping[str, float], steps_per_second: float, seconds_left: float
        ) -> None:
            assert "train/critic/total" in metrics
            heard.append((step, total, steps_per_second, seconds_left))

    make_trainer(make_config(steps=7), listener=Listener()).fit()
    assert [(step, total) for step, total, *_ in heard] == [(3, 7), (6, 7), (7, 7)]
    assert all(rate > 0 and left >= 0 for *_, rate, left in heard) and heard[-1][3] == 0


def test_families_start_alike_for_a_seed_and_leave_the_generator_alone() -> None:
    config = make_config().family
    before = torch.get_rng_state()
    one, same, other = (build_family(config, SHAPE, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]) and not torch.equal(value, other.state_dict()[name])
