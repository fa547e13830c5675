"""Copies of training windows are told among draws, journalled, and end a training that asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from motionsynth.config import TrainConfig, config_hash, dump_config
from motionsynth.corpus.corpus import MIRRORED
from motionsynth.corpus.windows import WindowSet
from motionsynth.metrics.memorisation import CLOSE
from motionsynth.runs import sample_score as module
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import draw_from
from motionsynth.training.copying import CopyWatch
from motionsynth.training.journal import read_journal
from motionsynth.training.trainer import Score, Trainer
from tests.training.test_resume import same_end, stop_at
from tests.training.toy_family import FEATURES, FRAMES, SHAPE, Toy, ToyConfig, make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")
TRAIN, VALIDATION = make_windows(400), make_windows(300, 1)


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """That of a corpus whose windows are noise."""
    return _score_of(tmp_path / "judged", monkeypatch, TRAIN, VALIDATION)


Sample = Callable[..., Tensor]


def copies(self: Toy, count: int, *, generator: torch.Generator, **_: object) -> Tensor:
    return TRAIN.batch(torch.randint(len(TRAIN), (count,), generator=generator)).motion_BTD


def fresh(self: Toy, count: int, *, generator: torch.Generator, **_: object) -> Tensor:
    return torch.randn(count, FRAMES, FEATURES, generator=generator)


def broken(self: Toy, count: int, **_: object) -> Tensor:
    return torch.full((count, FRAMES, FEATURES), torch.nan)


def figures(score: Score, monkeypatch: pytest.MonkeyPatch, sample: Sample) -> dict[str, float]:
    monkeypatch.setattr(Toy, "sample", sample)
    return dict(score(Toy(ToyConfig(), SHAPE), {}))


def test_a_copier_is_told_from_fresh_draws(score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures(score, monkeypatch, copies)["close_to_train"] == 1
    assert figures(score, monkeypatch, fresh)["close_to_train"] == pytest.approx(CLOSE, abs=0.04)
    assert figures(score, monkeypatch, broken) == {"frechet": math.inf}


def test_the_share_is_that_of_distances_between_windows(score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    def shrunken(self: Toy, count: int, *, generator: torch.Generator, **_: object) -> Tensor:
        return 0.9 * fresh(self, count, generator=generator)

    found = figures(score, monkeypatch, shrunken)["close_to_train"]
    drawn = draw_from(Toy(ToyConfig(), SHAPE), module.SAMPLES, seed=0).flatten(1).numpy()
    train = TRAIN.as_batch().motion_BTD.flatten(1).numpy()
    apart = np.linalg.norm(train[:, None] - train[None], axis=2)
    apart[TRAIN.clip_N[:, None] == TRAIN.clip_N] = np.inf  # windows of one clip overlap
    to_train = np.linalg.norm(drawn[:, None] - train[None], axis=2).min(1)
    expected = np.mean(to_train <= np.quantile(apart.min(1), CLOSE))
    assert 2 * CLOSE < expected < 0.9
    assert found == pytest.approx(expected, abs=1e-3)


def _score_of(path: Path, monkeypatch: pytest.MonkeyPatch, train: WindowSet, validation: WindowSet) -> Score:
    monkeypatch.setattr(module, "COMPONENTS", FRAMES * FEATURES)
    corpus: Any = SimpleNamespace(windows={"train": train, "validation": validation}.__getitem__)
    found = module.sample_score(make_run(path), corpus)
    assert found
    return found


def test_draws_of_people_trained_on_are_no_copies_though_held_out_people_are_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = replace(VALIDATION, rows_FD=VALIDATION.rows_FD + 5)
    score = _score_of(tmp_path / "people", monkeypatch, TRAIN, strangers)
    assert figures(score, monkeypatch, fresh)["close_to_train"] == pytest.approx(CLOSE, abs=0.04)
    assert figures(score, monkeypatch, copies)["close_to_train"] == 1
    alone = replace(TRAIN, clip_N=torch.zeros_like(TRAIN.clip_N))  # of one clip: held-out windows are all there is
    score = _score_of(tmp_path / "alone", monkeypatch, alone, strangers)
    assert figures(score, monkeypatch, fresh)["close_to_train"] == 1


def test_a_mirror_image_is_no_other_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = WindowSet.of(
        TRAIN.as_batch().motion_BTD.repeat(2, 1, 1),  # as still and symmetric motion is
        torch.ones(2 * len(TRAIN), FRAMES, dtype=torch.bool),
        {},
        torch.cat((TRAIN.clip_N, TRAIN.clip_N + len(TRAIN.clips))),
        TRAIN.start_N.repeat(2),
        (*TRAIN.clips, *(f"{name}{MIRRORED}" for name in TRAIN.clips)),
    )
    score = _score_of(tmp_path / "run", monkeypatch, both, VALIDATION)
    assert figures(score, monkeypatch, fresh)["close_to_train"] == pytest.approx(CLOSE, abs=0.04)
    near = lambda self, count, **_: TRAIN.as_batch().motion_BTD[:count] + 1e-3  # noqa: E731
    assert figures(score, monkeypatch, near)["close_to_train"] == 1


@pytest.mark.parametrize(("sample", "end"), [(copies, ("copying", 20)), (fresh, ("finished", 40))])
def test_a_copier_ends_early_and_one_that_draws_fresh_does_not(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch, sample: Sample, end: tuple[str, int]
) -> None:
    monkeypatch.setattr(Toy, "sample", sample)
    run = make_run(tmp_path / "run", make_config(stop_when_copying=0.2))
    result = train_run(run, TRAIN, VALIDATION, score=score)
    assert (result.outcome, result.step) == end
    assert (run.record.state, run.record.outcome, run.record.step) == ("finished", *end)
    last = read_journal(run.journal_path)[-1]
    assert last.step == result.step and {"train/critic/total", "validation/close_to_train"} <= set(last.metrics)
    again = train_run(run, TRAIN, VALIDATION, score=score, resume=True)
    assert (again.outcome, again.step) == end, "it is not gone on with"

    if end[1] == 40:  # judging moved no weight and no random state
        plain = train_run(make_run(tmp_path / "plain"), TRAIN, VALIDATION)
        assert all(torch.equal(plain.weights[name], value) for name, value in result.weights.items())


def watched(path: Path, monkeypatch: pytest.MonkeyPatch, shares: Mapping[int, float], most: float | None = 0.2) -> Run:
    """A run whose validations find those shares, by step."""
    monkeypatch.setattr(Trainer, "_validate", lambda trainer: {"close_to_train": shares[trainer.step]})
    return make_run(path, make_config(stop_when_copying=most))


ENDS_AT_30 = {10: 0.1, 20: 0.5, 30: 0.5, 40: 0.0}


@pytest.mark.parametrize(
    ("shares", "most", "end"),
    [
        (ENDS_AT_30, 0.2, ("copying", 30)),
        (ENDS_AT_30, None, ("finished", 40)),
        (ENDS_AT_30, 0.5, ("finished", 40)),
        ({10: 0.5, 20: 0.1, 30: 0.5, 40: 0.5}, 0.2, ("finished", 40)),
        ({10: 0.5, 20: math.nan, 30: 0.5, 40: 0.5}, 0.2, ("finished", 40)),
    ],
)
def test_two_validations_in_a_row_end_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shares: dict[int, float],
    most: float | None,
    end: tuple[str, int],
) -> None:
    run = watched(tmp_path / "run", monkeypatch, shares, most)
    result = train_run(run, make_windows(), make_windows(11, 1))
    assert (result.outcome, result.step, result.exit_code) == (*end, 0)


@pytest.mark.parametrize("step", [12, 18, 22, 28])
@pytest.mark.parametrize("forgets", [False, True])
def test_stopped_anywhere_it_ends_as_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, forgets: bool
) -> None:
    whole = watched(tmp_path / "whole", monkeypatch, ENDS_AT_30)
    train_run(whole, make_windows(), make_windows(11, 1))
    run = watched(tmp_path / "run", monkeypatch, ENDS_AT_30)
    stop_at(monkeypatch, step)
    assert train_run(run, make_windows(), make_windows(11, 1)).outcome == "stopped"
    monkeypatch.setattr(Toy, "kill_at", None)
    if forgets:
        monkeypatch.setattr(CopyWatch, "load", lambda *_: None)
    end = train_run(run, make_windows(), make_windows(11, 1), resume=True)
    lost = forgets and step > 20  # the control: the count of one validation is in the checkpoint
    assert (end.outcome, end.step) == (("finished", 40) if lost else ("copying", 30))
    assert same_end(whole.path, run.path) != lost


def test_a_damaged_count_is_refused() -> None:
    from motionsynth.training.distributed import Ranks

    for count in (-1, 3, 1.0, "1", None):
        with pytest.raises(ValueError, match="validations in a row"):
            CopyWatch(0.2, Ranks()).load(count)


def test_runs_without_the_key_keep_their_hash() -> None:
    plain, watching = make_config(), make_config(stop_when_copying=0.2)
    assert "stop_when_copying" not in dump_config(plain) and "stop_when_copying: 0.2" in dump_config(watching)
    assert config_hash(plain) != config_hash(watching)
    for wrong in (CLOSE, 1, -1):
        with pytest.raises(ValidationError):
            TrainConfig(steps=1, stop_when_copying=wrong)
