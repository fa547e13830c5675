"""Several seeds that take their steps at once are, each, what they are by themselves."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from motionsynth.config import RunConfig, TrainConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.errors import DivergedError, MotionSynthError
from motionsynth.families import FAMILIES, family_class
from motionsynth.training.determinism import build_family
from motionsynth.training.seeds import train_stacked, unstackable
from motionsynth.training.signals import StopRequest
from motionsynth.training.trainer import Trainer, TrainingResult
from tools.bench.auto import noise_windows

SHAPE = MotionShape(64, 10, {"style": 2})
SIZES = {"kind": "basis", "components": 12, "width": 16, "layers": 2}
ROUNDING = 2e-5
"""Largest difference of a weight after a few steps, as a share of the largest of its tensor."""
GRADIENT = sorted(set(FAMILIES) - {"gmm", "hmm", "cyclegan"})


def config_of(name: str, seed: int, family: Mapping[str, Any] = {}, **train: Any) -> RunConfig:
    settings = {"steps": 6, "batch_size": 8, "precision": "float32", "ema_decay": 0.9, "log_every_steps": 1}
    return RunConfig(
        family=family_class(name).Config.model_validate({"name": name, "backbone": SIZES} | dict(family)),
        train=TrainConfig.model_validate(settings | {"seed": seed, "validate_every_steps": 3} | train),
    )


class Rows:
    """A journal in memory."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        hidden = ("speed/", "budget/minutes")
        self.rows[step] = {name: value for name, value in metrics.items() if not name.startswith(hidden)}

    def sync(self) -> None:
        pass


def trainer_of(config: RunConfig, folder: Path | None = None, listener: Any = None) -> Trainer:
    family = build_family(config.family, SHAPE, config.train.seed)
    windows = noise_windows(30, family.shape.frames, family.shape.features)
    windows.labels["style"] = torch.arange(30) % 2
    journal: Any = Rows()
    return Trainer(
        family,
        config.family,
        config.train,
        windows,
        windows,
        journal=journal,
        checkpoints=folder / str(config.train.seed) if folder else None,
        listener=listener,
    )


def rows_of(trainer: Trainer) -> dict[int, dict[str, float]]:
    assert isinstance(trainer.journal, Rows)
    return trainer.journal.rows


def at_once(trainers: Sequence[Trainer]) -> list[TrainingResult | MotionSynthError]:
    with StopRequest() as stop:
        return train_stacked([trainer.moves(stop) for trainer in trainers])


def distance(found: TrainingResult | MotionSynthError, expected: TrainingResult) -> float:
    assert isinstance(found, TrainingResult), found
    assert (found.outcome, found.step) == (expected.outcome, expected.step)
    pairs = [(found.weights, expected.weights), (found.averages, expected.averages)]
    return max(
        float((one[name] - value).abs().max() / value.abs().max().clamp(min=1e-9))
        for one, other in pairs
        for name, value in other.items()
        if value.is_floating_point()
    )


@pytest.mark.parametrize("name", GRADIENT)
def test_each_seed_is_what_it_is_by_itself(name: str, tmp_path: Path) -> None:
    configs = [config_of(name, seed) for seed in (0, 1, 7)]
    alone, together = ([trainer_of(c, tmp_path / way) for c in configs] for way in ("alone", "together"))
    ends = [trainer.fit() for trainer in alone]
    for found, expected in zip(at_once(together), ends, strict=True):
        assert distance(found, expected) < ROUNDING
    assert distance(ends[1], ends[2]) > 100 * ROUNDING, "seeds are told apart"
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.generator.get_state(), other.generator.get_state()), "the same noise was drawn"
        assert torch.equal(one.order.state_dict()["order"], other.order.state_dict()["order"])
        found_rows, rows = rows_of(one), rows_of(other)
        assert list(found_rows) == list(rows)
        for step, row in rows.items():
            assert found_rows[step] == pytest.approx(row, rel=2e-3, abs=1e-4)
        kept = [tmp_path / way / str(one.train.seed) / "6" for way in ("together", "alone")]
        sizes = [{path.name: path.stat().st_size for path in folder.iterdir()} for folder in kept]
        assert sizes[0] == sizes[1], "a checkpoint holds one seed's share of what is stacked"


@pytest.mark.parametrize(
    ("name", "family", "train"),
    [
        ("gan", {"condition": ["style"]}, {"clip_norm": 0.1}),
        ("gan", {"objective": "wgan_gp", "r1": {"gamma": 0}, "critic": {"minibatch_stddev": 0}}, {}),
        ("gan", {"critic_every": 2}, {"ema_decay": None}),
        ("flow", {"condition": ["style"], "dropout": 0.2}, {"clip_norm": 0.1}),
        ("vae", {"free_bits": 0.1, "likelihood": "laplace"}, {"clip_norm": 0.5}),
    ],
)
def test_settings_that_change_a_step_hold(name: str, family: dict[str, Any], train: dict[str, Any]) -> None:
    configs = [config_of(name, seed, family, **train) for seed in (0, 1)]
    ends = [trainer_of(config).fit() for config in configs]
    for found, expected in zip(at_once([trainer_of(config) for config in configs]), ends, strict=True):
        assert distance(found, expected) < ROUNDING


def test_losses_in_bf16_follow_those_of_single_runs() -> None:
    alone, together = ([trainer_of(config_of("vae", seed, precision="bf16")) for seed in (0, 1)] for _ in range(2))
    for trainer in alone:
        trainer.fit()
    at_once(together)
    for one, other in zip(together, alone, strict=True):
        found, losses = ([row["train/all/total"] for row in rows_of(trainer).values()] for trainer in (one, other))
        assert found == pytest.approx(losses, rel=0.01)


class Stops:
    """Asks the process to stop at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_log(self, step: int, *_: object) -> None:
        if step == self.step:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("name", ["vae", "gan", "flow"])
def test_a_batch_that_was_stopped_goes_on_as_if_it_had_not(name: str, tmp_path: Path) -> None:
    configs = [config_of(name, seed, steps=8, checkpoint_every_steps=2) for seed in (0, 1)]
    whole = at_once([trainer_of(config) for config in configs])
    ends = at_once([trainer_of(c, tmp_path, Stops(5) if c is configs[0] else None) for c in configs])
    assert all(isinstance(end, TrainingResult) and (end.outcome, end.step) == ("stopped", 5) for end in ends)

    resumed = [trainer_of(config, tmp_path) for config in configs]
    assert [trainer.resume() for trainer in resumed] == [5, 5]
    for found, expected in zip(at_once(resumed), whole, strict=True):
        assert isinstance(found, TrainingResult) and isinstance(expected, TrainingResult)
        assert all(torch.equal(found.weights[key], value) for key, value in expected.weights.items())


def test_seeds_that_were_killed_at_different_steps_meet(tmp_path: Path) -> None:
    configs = [config_of("gan", seed, steps=8, checkpoint_every_steps=2) for seed in (0, 1, 2)]
    alone = [trainer_of(config).fit() for config in configs]
    for config, steps in zip(configs, (4, 2, 8), strict=True):  # the last has finished, as one that copies may have
        behind = config.model_copy(update={"train": config.train.model_copy(update={"steps": 8})})
        trainer_of(behind, tmp_path, Stops(steps)).fit()
    trainers = [trainer_of(config, tmp_path) for config in configs]
    assert [trainer.resume() for trainer in trainers] == [4, 2, 8]
    for found, expected in zip(at_once(trainers), alone, strict=True):
        assert distance(found, expected) < ROUNDING


def test_a_seed_that_diverges_leaves_the_others_alone() -> None:
    configs = [config_of("vae", seed) for seed in (0, 1, 2)]
    alone = [trainer_of(config).fit() for config in configs]
    trainers = [trainer_of(config) for config in configs]
    with torch.no_grad():
        next(trainers[1].family.parameters()).fill_(torch.nan)
    ends = at_once(trainers)
    assert isinstance(ends[1], DivergedError) and "step 1, phase all" in str(ends[1])
    for place in (0, 2):
        assert distance(ends[place], alone[place]) < ROUNDING


def test_what_breaks_a_step_ends_every_training(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def noted(place: int, trainer: Trainer, stop: StopRequest) -> Any:
        try:
            return (yield from trainer.moves(stop))
        except MemoryError as error:
            ended.append((place, str(error)))
            raise

    def broken(*_: object) -> None:
        raise MemoryError("no more")

    trainers = [trainer_of(config_of("vae", seed)) for seed in (0, 1)]
    monkeypatch.setattr("motionsynth.training.seeds.SeedBatch.step", broken)
    with StopRequest() as stop, pytest.raises(MemoryError):
        train_stacked([noted(place, trainer, stop) for place, trainer in enumerate(trainers)])
    assert ended == [(0, "no more"), (1, "no more")]


def reason(name: str, family: Mapping[str, Any] = {}, **train: Any) -> str:
    config = config_of(name, 0, family, **train)
    return unstackable(build_family(config.family, SHAPE, 0), config) or ""


def test_what_cannot_be_taken_at_once_says_why() -> None:
    assert "kind: basis" in reason("vae", {"backbone": {"kind": "gru", "width": 8}})
    assert "train.compile" in reason("vae", compile=True)
    assert "train.minutes" in reason("vae", steps=None, minutes=1.0)
    assert "by domain" in reason("cyclegan", {"domain": "style", "pool": 0})
    gmm = RunConfig(family=family_class("gmm").Config.model_validate({"name": "gmm"}), train=TrainConfig(passes=20))
    assert "closed form" in (unstackable(build_family(gmm.family, SHAPE, 0), gmm) or "")
    assert all(not reason(name) for name in GRADIENT)
