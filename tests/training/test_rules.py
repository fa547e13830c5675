"""The gradient rule: each phase moves its own weights and no others, and nothing that is not finite moves any."""

from __future__ import annotations

import math
import shutil

import pytest
import torch
from torch import Tensor

from motionsynth.config import TrainConfig
from motionsynth.families.base import AdamConfig, Family, Loss, Phase, StepContext
from motionsynth.training.rule import NonFiniteError
from motionsynth.training.rules import GradientRule, scheduled_rate
from tests.training.toy_family import SHAPE, Toy, ToyConfig, make_windows


def make_rule(*, break_at: int | None = None, deferred: bool | None = None, **train: object) -> GradientRule:
    torch.manual_seed(0)
    config = ToyConfig(break_at=break_at)
    return GradientRule(
        Toy(config, SHAPE),
        config.optimise,
        TrainConfig.model_validate({"steps": 100, "batch_size": 8} | train),
        deferred=deferred,
    )


def take_steps(rule: GradientRule, count: int, start: int = 0) -> None:
    windows, generator = make_windows(), torch.Generator().manual_seed(5)
    for step in range(start, start + count):
        index_B = torch.arange(8) + 8 * (step % 6)
        rule.step(windows.batch(index_B), StepContext(step, step / 100, generator))


def weights_of(family: Family) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in family.state_dict().items()}


def changed(before: dict[str, Tensor], family: Family) -> set[str]:
    after = family.state_dict()
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def test_each_phase_moves_its_own_weights_only() -> None:
    rule = make_rule()
    before = weights_of(rule.family)
    take_steps(rule, 1, start=1)  # the generator is due at even steps
    assert changed(before, rule.family) == {"critic"}
    take_steps(rule, 1, start=2)
    assert changed(before, rule.family) == {"critic", "generator"}


@pytest.mark.parametrize("deferred", [False, True])
def test_a_bad_loss_is_named_and_moves_nothing(deferred: bool) -> None:
    rule = make_rule(break_at=2, deferred=deferred)
    take_steps(rule, 2)
    before = weights_of(rule.family)
    with pytest.raises(NonFiniteError) as caught:  # noqa: PT012 - the check comes later where it is deferred
        take_steps(rule, 1, start=2)
        take_steps(rule, 3, start=3)  # a GPU is not waited for: it goes on, but must move nothing more
        rule.check()
    assert (caught.value.step, caught.value.phase) == (2, "generator")
    assert "loss term adversarial is nan" in caught.value.reason and "total loss is nan" in caught.value.reason
    assert "size" not in caught.value.reason, "that term was finite"
    assert changed(before, rule.family) == {"critic"}, "the critic's phase came before, in the same step"
    after = weights_of(rule.family)
    steps = {int(state["step"]) for state in rule.optimisers["critic"].state.values()}
    assert steps == {3} and all(value.isfinite().all() for value in after.values())


@pytest.mark.parametrize("deferred", [False, True])
def test_without_the_fault_the_same_steps_pass(deferred: bool) -> None:
    rule = make_rule(deferred=deferred)
    take_steps(rule, 6)
    rule.check()
    assert {int(state["step"]) for state in rule.optimisers["critic"].state.values()} == {6}


def test_deferred_checks_change_no_number() -> None:
    now, later = make_rule(deferred=False, ema_decay=0.9), make_rule(deferred=True, ema_decay=0.9)
    for rule in (now, later):
        take_steps(rule, 7)
    assert now.collect(0.5) == later.collect(0.5)
    for one, other in zip(now.averaged_weights().values(), later.averaged_weights().values(), strict=True):
        assert torch.equal(one, other)
    assert not changed(weights_of(now.family), later.family)


def test_an_infinite_gradient_of_a_finite_loss_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(self: Toy, batch: object, context: StepContext) -> Loss:
        steep = self.generator.weight.sum() * 0
        return Loss(torch.sqrt(steep * steep), {})  # sqrt has slope inf at 0, and inf * 0 is nan

    monkeypatch.setattr(Toy, "generator_loss", loss)
    with pytest.raises(NonFiniteError, match=r"step 0, phase generator: the gradient norm is nan"):
        take_steps(make_rule(), 1)


def test_rows_are_means_since_the_last() -> None:
    rule, single = make_rule(), make_rule()
    take_steps(rule, 4)
    rows = []
    for step in range(4):
        windows = make_windows()
        if step == 0:
            generator = torch.Generator().manual_seed(5)
        single.step(windows.batch(torch.arange(8) + 8 * step), StepContext(step, step / 100, generator))
        rows.append(single.collect(0.0))
    together = rule.collect(0.0)
    for name, value in together.items():
        seen = [row[name] for row in rows if name in row]
        assert value == pytest.approx(math.fsum(seen) / len(seen), rel=1e-12), name
    assert together.keys() >= {"critic/penalty", "generator/total", "critic/gradient_norm", "critic/learning_rate"}
    assert sum("critic/penalty" in row for row in rows) == 2, "a lazy term is averaged over the steps that had it"


def test_gradients_are_clipped_before_the_optimiser_sees_them() -> None:
    norms: dict[float | None, list[float]] = {None: [], 0.05: []}
    for limit, seen in norms.items():
        rule = make_rule(clip_norm=limit)
        learners = rule.learners["critic"]

        def note(*_: object, learners: list[Tensor] = learners, seen: list[float] = seen) -> None:
            seen.append(float(torch.cat([w.grad.flatten() for w in learners if w.grad is not None]).norm()))

        rule.optimisers["critic"].register_step_pre_hook(note)
        take_steps(rule, 4)
    assert max(norms[0.05]) <= 0.05 * 1.001 < min(norms[None])


def test_the_average_follows_its_formula() -> None:
    rule = make_rule(ema_decay=0.5)
    expected = {name: weight.detach().clone() for name, weight in rule.family.named_parameters()}
    for step in range(12):
        take_steps(rule, 1, start=step)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, weight in rule.family.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * weight.detach()
    averages = rule.averaged_weights()
    for name, value in expected.items():
        torch.testing.assert_close(averages[name], value)
    assert make_rule().averaged_weights() == {}


def test_the_rate_is_constant_then_linear() -> None:
    adam = AdamConfig(lr=0.4, decay_share=0.25)
    assert [scheduled_rate(adam, p) for p in (0, 0.5, 0.75)] == [0.4] * 3
    assert [scheduled_rate(adam, p) for p in (0.875, 1.0, 1.5)] == pytest.approx([0.2, 0.0, 0.0])
    assert scheduled_rate(AdamConfig(lr=0.4), 1.0) == 0.4
    rule = make_rule()
    windows = make_windows()
    rule.step(windows.batch(torch.arange(8)), StepContext(0, 0.75, torch.Generator()))
    assert [group["lr"] for group in rule.optimisers["generator"].param_groups] == pytest.approx([0.005])


def test_bf16_computes_in_half_and_learns_in_full() -> None:
    full, half = make_rule(), make_rule(precision="bf16")
    for rule in (full, half):
        take_steps(rule, 1)
    assert {weight.dtype for weight in half.family.parameters()} == {torch.float32}
    one, other = full.collect(0.0), half.collect(0.0)
    assert one["generator/size"] != other["generator/size"]
    assert one["generator/size"] == pytest.approx(other["generator/size"], rel=2e-2)


def test_validation_needs_no_phase_to_be_due_and_leaves_no_trace() -> None:
    rule, control = make_rule(), make_rule()
    take_steps(rule, 1, start=1)
    take_steps(control, 1, start=1)
    before = weights_of(rule.family)
    found = rule.validate(make_windows().batch(torch.arange(8)), StepContext(1, 0.0, torch.Generator().manual_seed(1)))
    assert {"critic/total", "generator/total", "generator/size"} <= found.keys()
    assert not any(value.requires_grad for value in found.values())
    assert not changed(before, rule.family)
    for one in (rule, control):
        take_steps(one, 2, start=2)
    assert not changed(weights_of(control.family), rule.family)


def test_terms_with_reserved_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Toy, "critic_loss", lambda self, *_: Loss(self.critic[0].weight.sum(), {"total": torch.zeros(())})
    )
    with pytest.raises(ValueError, match="may not be called total"):
        take_steps(make_rule(), 1)


def test_a_phase_that_trains_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "phases", property(lambda self: (Phase("critic", self.critic_loss, ()),)))
    with pytest.raises(ValueError, match="phase critic trains nothing"):
        make_rule()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's compiler uses what torch deprecates
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_learn_the_same() -> None:
    eager, compiled = make_rule(), make_rule(compile=True)
    for rule in (eager, compiled):
        take_steps(rule, 3)
    assert all(child._compiled_call_impl is not None for child in compiled.family.children())
    assert compiled.collect(0.0) == pytest.approx(eager.collect(0.0), rel=1e-4)
    assert compiled.family.state_dict().keys() == eager.family.state_dict().keys()
